"""A light stand-in for any mesh: few triangles and one texture, so that many fit on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh
    from recon.mesh import TexturedMesh
    from render.surface import Surface


def proxy(mesh: Mesh, faces: int, texture: int) -> TexturedMesh:
    """Any mesh as one of at most about `faces` triangles with its colours in one square texture.

    Colours are carried over from the nearest place of the original; a mesh that is small enough stays as it is.

    Args:
        mesh: a `render.surface.Surface` (its colour unlit), a `recon.TexturedMesh`, or bare triangles (grey).
        texture: side in pixels.

    Raises:
        ViewmaskError: no triangles.
    """
    import fast_simplification
    import trimesh
    from scipy.spatial import cKDTree

    from recon import atlas
    from recon.mesh import TexturedMesh
    from recon.texture import padded
    from render.surface import to_srgb

    if isinstance(mesh, TexturedMesh) and len(mesh.faces) <= faces and mesh.texture.shape[0] <= texture:
        return mesh
    if not len(mesh.faces):
        raise ViewmaskError("a mesh without triangles cannot be shown")
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True, merge_tex=True, merge_norm=True)
    if len(shape.faces) > faces:
        vertices, triangles = fast_simplification.simplify(
            shape.vertices.astype(np.float32), shape.faces.astype(np.int32), target_count=faces
        )
        shape = trimesh.Trimesh(vertices, triangles, process=True)
    texels = atlas.unwrap(shape, texture)
    points, colours = _points(mesh, count=2 * len(texels.points))
    nearest = cKDTree(points).query(texels.points, workers=-1)[1]
    picture = padded(to_srgb(colours[nearest]).astype(np.float32), texels, texture)
    return TexturedMesh(shape.vertices, shape.faces, texels.uv, texels.uv_faces, picture)


def surface(mesh: Mesh) -> Surface:
    """A mesh as `render` takes it: as it is, with its texture, or grey."""
    from recon.mesh import TexturedMesh
    from render.surface import Surface
    from render.texture import Texture

    if isinstance(mesh, Surface):
        return mesh
    faces = np.asarray(mesh.faces, np.int32)
    blank = np.zeros((len(faces), 3, 3), np.float32)
    uv, textures, level = blank[..., :2], [], 0.4
    if isinstance(mesh, TexturedMesh):
        uv, textures, level = mesh.uv[mesh.uv_faces].astype(np.float32), [Texture.of(mesh.texture)], 1.0
    return Surface(
        np.asarray(mesh.vertices, np.float32), faces, np.full_like(blank, level), uv,
        np.full(len(faces), len(textures) - 1, np.int32), textures, blank,
    )  # fmt: skip


def _points(mesh: Mesh, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """`count` points uniform in area on a mesh, [count, 3], and their linear colours, [count, 3]."""
    from render.points import by_area
    from render.surface import interpolate

    shape = surface(mesh)
    corners = shape.vertices[shape.faces]
    _, face, u, v = by_area(corners, count, np.random.default_rng(0), corners.dtype.type)
    return interpolate(corners, face, u, v), shape.bare(face, u, v)
