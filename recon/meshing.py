"""Meshing: the zero surface of a signed field as a closed mesh of few triangles."""

from __future__ import annotations

import fast_simplification
import numpy as np
import trimesh
from manifold3d import Error, Manifold, Mesh
from numpy.typing import NDArray
from scipy import ndimage, sparse
from skimage import measure

from recon.hull import Grid, NothingInCommonError, Points, Volume


def surface(hull: Volume, grid: Grid, faces: int = 20_000, smooth: int = 10) -> trimesh.Trimesh:
    """The field's zero surface as a closed, outward-facing manifold mesh.

    Args:
        hull, grid: as `carve` gives them.
        faces: at most this many triangles, see `simplify`.
        smooth: rounds of Taubin smoothing, which keeps the volume.

    Raises:
        ViewmaskError: nothing is inside.
    """
    # Outside all around, so that the surface closes; never exactly zero, so that no triangle is a point.
    padded = np.pad(np.clip(hull, -2 * grid.pitch, 2 * grid.pitch), 1, constant_values=-2 * grid.pitch)
    padded[np.abs(padded) < 1e-3 * grid.pitch] = -1e-3 * grid.pitch
    padded = without_floaters(padded)
    if not (padded > 0).any():
        raise NothingInCommonError(
            "the silhouettes have no volume in common: the views contradict each other, or their cameras are wrong"
        )
    vertices, triangles, _, _ = measure.marching_cubes(padded, 0.0, gradient_direction="ascent")
    vertices = grid.origin + (vertices.astype(np.float64) - 1) * grid.pitch
    mesh = trimesh.Trimesh(taubin(vertices, triangles, smooth), triangles, process=False)
    if mesh.volume < 0:
        mesh.invert()
    return without_crumbs(simplify(mesh, faces))


def without_floaters(hull: Volume, share: float = 0.02) -> Volume:
    """The field without components smaller than `share` of the largest one's volume: they are turned outside."""
    labels, count = ndimage.label(hull > 0)
    if count < 2:
        return hull
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    small = sizes < share * sizes.max()
    small[0] = False
    return np.where(small[labels], -np.abs(hull), hull)


def without_crumbs(mesh: trimesh.Trimesh, share: float = 0.001) -> trimesh.Trimesh:
    """The mesh without pieces smaller than `share` of the largest one's volume.

    They are what fewer triangles left of thin parts, and hollows that nobody sees.
    """
    pieces = trimesh.graph.connected_component_labels(mesh.face_adjacency, node_count=len(mesh.faces))
    if not len(pieces) or not pieces.max():
        return mesh
    corners = mesh.vertices[mesh.faces]
    signed = (corners[:, 0] * np.cross(corners[:, 1], corners[:, 2])).sum(axis=1)
    volumes = np.abs(np.bincount(pieces, signed))
    kept = (volumes >= share * volumes.max())[pieces]
    if kept.all():
        return mesh
    mesh = mesh.copy()
    mesh.update_faces(kept)
    mesh.remove_unreferenced_vertices()
    return mesh


def taubin(vertices: Points, faces: NDArray[np.integer], rounds: int, inward: float = 0.5) -> Points:
    """Smooth without shrinking: a Laplacian step, then a slightly larger one back (Taubin, SIGGRAPH 1995)."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    graph = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(vertices),) * 2)
    graph.data[:] = 1
    mean = sparse.diags(1 / np.maximum(np.asarray(graph.sum(1)).ravel(), 1)) @ graph
    for step in (inward, -1.04 * inward) * rounds:
        vertices = vertices + step * (mean @ vertices - vertices)
    return vertices


def simplify(mesh: trimesh.Trimesh, faces: int) -> trimesh.Trimesh:
    """A closed manifold of at most `faces` triangles.

    It keeps more where fewer would move the surface by a twentieth of its size: so few triangles cannot hold many
    parts and holes.
    """
    # The quadric error may tangle a thin part where it is bold, and stops short of the budget where it is careful.
    for aggression in (5, 2):
        if len(mesh.faces) <= faces:
            return mesh
        vertices, triangles = fast_simplification.simplify(
            mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), target_count=faces, agg=aggression
        )
        simple = trimesh.Trimesh(vertices, triangles, process=False)
        mesh = simple if is_closed(simple) else mesh
    # Views that contradict each other leave crumbs and holes, which the quadric error keeps at any price. So what is
    # finer than a tolerance goes, and the tolerance grows until few enough triangles are left.
    solid = Manifold(Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)))
    tolerance = 1e-4 * float(mesh.scale)
    while solid.num_tri() > faces and tolerance < 0.05 * mesh.scale:
        solid = solid.simplify(tolerance)
        tolerance *= 1.3
    result = solid.to_mesh()
    simple = trimesh.Trimesh(result.vert_properties[:, :3].astype(np.float64), result.tri_verts, process=False)
    return simple if is_closed(simple) else mesh


def is_closed(mesh: trimesh.Trimesh) -> bool:
    """Whether the mesh is an oriented 2-manifold without border (manifold3d's own test) that faces outward."""
    solid = Manifold(Mesh(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32)))
    return bool(solid.status() == Error.NoError and mesh.is_watertight and solid.volume() > 0)
