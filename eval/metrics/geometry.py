"""What a mesh is worth: Chamfer distance, F-score, volume IoU and normal consistency against the true mesh.

Both meshes lie in the world as they are (longest side of the true object's box 1): no scaling, no alignment.
The second half holds the forms that other papers measure with (`eval.protocols` says which takes which).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics.occupancy import Mesh, occupancy
from render.points import by_area
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit

SAMPLES = 20_000  # points measured in either direction
RESOLUTION = 128  # voxels along the true object's longest side
NEAR = 0.02  # the F-score's distance
NAMES = ("chamfer", "fscore", "iou", "normals")

DEFINITION = (
    "longest side of the true object's box = 1, no alignment; "
    f"Chamfer = half the sum of the two mean unsquared distances, from {SAMPLES:,} area-uniform points of either "
    f"surface to the other surface; F-score = of the shares of these points nearer than {NEAR}; "
    f"IoU = of the volumes, on voxels of 1/{RESOLUTION}, by winding number > 0.5 "
    "(exact for closed meshes, the mean of 26 rays for open ones) once faces lie there singly and face outward, "
    "undefined where the true mesh holds nothing; "
    "normal consistency = mean absolute cosine between the normals at these points and at the nearest ones"
)

Floats = NDArray[np.float64]
Triangles = NDArray[np.float64]  # [faces, 3, 3]


def score(truth: Mesh, mesh: Mesh, seed: int = 0) -> dict[str, float | None]:
    """`chamfer`, `fscore`, `iou` and `normals` of a mesh against the true one; the seed fixes the sampled points.

    `iou` is None where it is undefined: the true mesh has no inside.

    `normals` is the normal consistency of Mescheder et al. 2019 (Occupancy Networks) without the sign, so that
    inside-out faces do not count.

    Raises:
        ViewmaskError: a mesh has no surface, or reaches absurdly far beyond the unit box.
    """
    return {**surface_score(truth, mesh, seed), "iou": volume_iou(truth, mesh, RESOLUTION)}


def surface_score(truth: Mesh, mesh: Mesh, seed: int = 0) -> dict[str, float]:
    """`score` without the volumes: `chamfer`, `fscore` and `normals`.

    Raises:
        ViewmaskError: a mesh has no surface.
    """
    (there, ahead), (back, behind) = _both_ways(truth, mesh, SAMPLES, seed)
    return {
        "chamfer": _half_sum(there, back),
        "fscore": fscore(there, back),
        "normals": _half_sum(ahead, behind),
    }


def chamfer(truth: Mesh, mesh: Mesh, samples: int = SAMPLES, seed: int = 0) -> float:
    """Half the sum of the mean distances truth to mesh and mesh to truth, unsquared, in world units.

    The form is SyncDreamer's (eval_mesh.py), the points are uniform in area.

    Raises:
        ViewmaskError: a mesh has no surface.
    """
    (there, _), (back, _) = _both_ways(truth, mesh, samples, seed)
    return _half_sum(there, back)


def fscore(there: Floats, back: Floats, near: float = NEAR) -> float:
    """Harmonic mean of recall (true points near the mesh) and precision (the mesh's points near the truth), 0 to 1.

    Args:
        there, back: distances truth to mesh and mesh to truth, world units.
        near: what counts as near; 2 % of the object's longest side unless given (Tatarchenko et al. 2019 advise 1 %,
            which meshes made from four views hardly ever meet).
    """
    recall, precision = float((there < near).mean()), float((back < near).mean())
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0


def volume_iou(truth: Mesh, mesh: Mesh, resolution: int = RESOLUTION) -> float | None:
    """Intersection over union of the two solids, on voxels of 1/`resolution` around both.

    None where the true mesh fills no voxel, as sheets do. A mesh without an inside scores 0 against one that has one.

    Raises:
        ViewmaskError: a mesh has no surface, or reaches absurdly far beyond the unit box.
    """
    boxes = [_triangles(m).reshape(-1, 3) for m in (truth, mesh)]
    lower = np.floor(np.min([box.min(axis=0) for box in boxes], axis=0) * resolution)
    upper = np.ceil(np.max([box.max(axis=0) for box in boxes], axis=0) * resolution)
    if (upper - lower).max() > 4 * resolution:
        raise ViewmaskError("a mesh is more than four units wide: it must lie in the world, where objects measure 1")
    centres = tuple((np.arange(lo, hi) + 0.5) / resolution for lo, hi in zip(lower, upper, strict=True))
    return _iou(*(occupancy(m, *centres) for m in (truth, mesh)))


# -- the forms of other papers ----------------------------------------------------------------------------


def grid_iou(truth: Mesh, mesh: Mesh, size: int = 64) -> float | None:
    """`volume_iou` on the `size`^3 nodes -1 + 2 i / size of the cube [-1, 1]^3: SyncDreamer's and EscherNet's grid.

    They take the sign from mesh2sdf, which itself warns of meshes that are not watertight; here it is the winding
    number, the same on closed meshes.
    """
    for m in (truth, mesh):
        _triangles(m)  # refuses what has no surface
    nodes = -1 + 2 * np.arange(size) / size
    return _iou(*(occupancy(m, nodes, nodes, nodes) for m in (truth, mesh)))


def visible_points(mesh: Mesh, cameras: list[Camera] | None = None, voxel: float = 0.01) -> Floats:
    """Points of a surface that an orbit of 16 cameras sees, a pixel a point, thinned to one a voxel: [n, 3].

    SyncDreamer's points (eval_mesh.py): depth maps of 256 x 256 at elevation 30. Points of a voxel are averaged,
    voxels start half a voxel below the smallest coordinates, as open3d's `voxel_down_sample`.

    Raises:
        ViewmaskError: no camera sees anything.
    """
    from embreex.mesh_construction import TriangleMesh
    from embreex.rtcore_scene import EmbreeScene

    triangles = _triangles(mesh)
    scene = EmbreeScene()
    TriangleMesh(scene, np.ascontiguousarray(triangles, dtype=np.float32))
    clouds = []
    for camera in orbit(16) if cameras is None else cameras:
        origins, directions = (part.reshape(-1, 3).astype(np.float32) for part in camera.rays())
        hits = scene.run(origins, directions, output=1)
        hit = hits["primID"] >= 0
        clouds.append(origins[hit] + directions[hit] * hits["tfar"][hit, None])
    points = np.concatenate(clouds).astype(np.float64)
    if not len(points):
        raise ViewmaskError("no camera of the orbit sees the mesh: it must lie in the world, where objects measure 1")
    return thinned(points, voxel)


def thinned(points: Floats, voxel: float) -> Floats:
    """The mean of the points in each voxel: [n, 3] to [m, 3]."""
    cell = np.floor((points - (points.min(axis=0) - voxel / 2)) / voxel).astype(np.int64)
    _, which, count = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    total = np.stack([np.bincount(which.reshape(-1), points[:, axis], len(count)) for axis in range(3)], axis=1)
    return total / count[:, None]


def point_chamfer(a: Floats, b: Floats) -> float:
    """Half the sum of the two mean unsquared distances between point sets [n, 3] and [m, 3]."""
    from scipy.spatial import cKDTree

    return _half_sum(cKDTree(b).query(a, workers=-1)[0], cKDTree(a).query(b, workers=-1)[0])


def unit_box(mesh: Mesh) -> Any:
    """The mesh scaled and moved so that its own box has longest side 1 and lies around the origin."""
    from trimesh import Trimesh

    corners = _triangles(mesh).reshape(-1, 3)
    low, high = corners.min(axis=0), corners.max(axis=0)
    vertices = (np.asarray(mesh.vertices, dtype=np.float64) - (low + high) / 2) / (high - low).max()
    return Trimesh(vertices, np.asarray(mesh.faces), process=False)


# -- distances ----------------------------------------------------------------------------------------------


def _both_ways(truth: Mesh, mesh: Mesh, samples: int, seed: int) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Distances and absolute cosines of normals, truth to mesh and mesh to truth."""
    a, b = _triangles(truth), _triangles(mesh)
    rng = np.random.default_rng(seed)
    return _from_to(a, b, samples, rng), _from_to(b, a, samples, rng)


def _from_to(a: Triangles, b: Triangles, samples: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    import igl

    if not _areas(a).any():
        raise ViewmaskError("a mesh without any area cannot be measured")
    points, face, _, _ = by_area(a, samples, rng)
    corners = np.ascontiguousarray(b.reshape(-1, 3))
    squared, nearest, _ = igl.point_mesh_squared_distance(points, corners, np.arange(len(corners)).reshape(-1, 3))
    return np.sqrt(squared), np.abs((_normals(a[face]) * _normals(b[nearest])).sum(axis=1))


def _half_sum(there: Floats, back: Floats) -> float:
    return float(there.mean() + back.mean()) / 2


def _iou(truth: NDArray[np.bool_], mesh: NDArray[np.bool_]) -> float | None:
    return int((truth & mesh).sum()) / int((truth | mesh).sum()) if truth.any() else None


def _normals(triangles: Triangles) -> Floats:
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    unit: Floats = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    return unit


def _triangles(mesh: Mesh) -> Triangles:
    triangles = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces, dtype=np.int64)]
    if not len(triangles) or not np.isfinite(triangles).all():
        raise ViewmaskError("a mesh without triangles, or with corners that are not finite, cannot be measured")
    return triangles


def _areas(triangles: NDArray[Any]) -> NDArray[Any]:
    """Twice the area of each triangle."""
    areas: NDArray[Any] = np.linalg.norm(
        np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1
    )
    return areas
