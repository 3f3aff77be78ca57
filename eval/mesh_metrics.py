"""What a mesh is worth: Chamfer distance and volume IoU against the true mesh.

Both meshes lie in the world as they are (longest side of the true object's box 1): no scaling, no alignment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.occupancy import Mesh, occupancy
from viewmask.errors import ViewmaskError

SAMPLES = 20_000  # points measured in either direction
RESOLUTION = 128  # voxels along the true object's longest side
NAMES = ("chamfer", "iou")

DEFINITION = (
    "longest side of the true object's box = 1, no alignment; "
    f"Chamfer = half the sum of the two mean unsquared distances, from {SAMPLES:,} area-uniform points of either "
    "surface to the other surface; "
    f"IoU = of the volumes, on voxels of 1/{RESOLUTION}, by winding number > 0.5 "
    "(exact for closed meshes, the mean of 26 rays for open ones)"
)

Floats = NDArray[np.float64]
Triangles = NDArray[np.float64]  # [faces, 3, 3]


def score(truth: Mesh, mesh: Mesh, seed: int = 0) -> dict[str, float]:
    """`chamfer` and `iou` of a mesh against the true one; the seed fixes the sampled points."""
    return {"chamfer": chamfer(truth, mesh, SAMPLES, seed), "iou": volume_iou(truth, mesh, RESOLUTION)}


def chamfer(truth: Mesh, mesh: Mesh, samples: int = SAMPLES, seed: int = 0) -> float:
    """Half the sum of the mean distances truth to mesh and mesh to truth, unsquared, in world units.

    The form is SyncDreamer's (eval_mesh.py), the points are uniform in area.

    Raises:
        ViewmaskError: a mesh has no surface.
    """
    a, b = _triangles(truth), _triangles(mesh)
    rng = np.random.default_rng(seed)
    there = _distance_to(b, _sample(a, samples, rng)[0], rng)
    back = _distance_to(a, _sample(b, samples, rng)[0], rng)
    return float(there.mean() + back.mean()) / 2


def volume_iou(truth: Mesh, mesh: Mesh, resolution: int = RESOLUTION) -> float:
    """Intersection over union of the two solids, on voxels of 1/`resolution` around both; empty ones agree (1).

    Raises:
        ViewmaskError: a mesh has no surface, or reaches absurdly far beyond the unit box.
    """
    boxes = [_triangles(m).reshape(-1, 3) for m in (truth, mesh)]
    lower = np.floor(np.min([box.min(axis=0) for box in boxes], axis=0) * resolution)
    upper = np.ceil(np.max([box.max(axis=0) for box in boxes], axis=0) * resolution)
    if (upper - lower).max() > 4 * resolution:
        raise ViewmaskError("a mesh is more than four units wide: it must lie in the world, where objects measure 1")
    centres = tuple((np.arange(lo, hi) + 0.5) / resolution for lo, hi in zip(lower, upper, strict=True))
    a, b = (occupancy(m, *centres) for m in (truth, mesh))
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def _triangles(mesh: Mesh) -> Triangles:
    triangles = np.asarray(mesh.vertices, dtype=np.float64)[np.asarray(mesh.faces, dtype=np.int64)]
    if not len(triangles) or not np.isfinite(triangles).all():
        raise ViewmaskError("a mesh without triangles, or with corners that are not finite, cannot be measured")
    return triangles


def _sample(triangles: Triangles, count: int, rng: np.random.Generator) -> tuple[Floats, NDArray[Any]]:
    """`count` points uniform in area, and the face of each."""
    origin, edge_1, edge_2 = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.cumsum(np.linalg.norm(np.cross(edge_1, edge_2), axis=1))
    if not area[-1] > 0:
        raise ViewmaskError("a mesh without any area cannot be measured")
    face = np.minimum(np.searchsorted(area, rng.random(count) * area[-1], side="right"), len(area) - 1)
    u, v = rng.random((2, count, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    points: Floats = origin[face] + u * edge_1[face] + v * edge_2[face]
    return points, face


def _distance_to(triangles: Triangles, points: Floats, rng: np.random.Generator) -> Floats:
    """Distance of points [n, 3] to a surface: to the triangles that hold the nearest of many samples of it, [n]."""
    from scipy.spatial import cKDTree
    from trimesh.triangles import closest_point

    samples, face = _sample(triangles, 2 * len(points), rng)
    _, nearest = cKDTree(samples).query(points, k=4, workers=-1)
    candidates = face[nearest].reshape(-1)
    repeated = np.repeat(points, 4, axis=0)
    on_surface = closest_point(triangles[candidates], repeated)
    distance: Floats = np.linalg.norm(on_surface - repeated, axis=1)
    return distance.reshape(-1, 4).min(axis=1)
