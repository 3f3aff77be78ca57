"""Where a surface lies in its texture: charts, each projected along one of six axes, packed into a square.

A hull is smooth at the scale of its charts, so projecting a chart along an axis stretches it by less than two.
That needs no solver: it is twenty times faster than a general parametrisation, and leaves fewer seams.
xatlas does the packing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh
import xatlas
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

_AXES = np.concatenate([np.eye(3), -np.eye(3)])
_ACROSS = np.array([[1, 2], [2, 0], [0, 1]] * 2)  # the two axes that lie across each of them
_GUTTER = 4  # texels between charts
_SMALLEST = 40  # faces; a smaller chart joins a neighbour if it can


@dataclass(frozen=True, eq=False)
class Atlas:
    """The places of a surface in a square texture.

    Attributes:
        uv: [corners, 2] in [0, 1], origin lower left; `uv_faces`: [faces, 3] into it.
        rows, columns: the texels that show surface, [texels] each.
        points, normals: their places in the world and the surface's unit normals there, [texels, 3] each.
        faces, weights: the face [texels] that a texel lies in, and the shares of its corners there [texels, 3].
    """

    uv: NDArray[np.float64]
    uv_faces: Indices
    rows: Indices
    columns: Indices
    points: Floats
    normals: Floats
    faces: NDArray[np.integer]
    weights: Floats


def unwrap(surface: trimesh.Trimesh, size: int) -> Atlas:
    """Cut a surface into charts and pack them into a texture of `size` x `size` texels."""
    uv, uv_faces = _flat(surface, _unfolded(surface, *_charts(surface)))
    packer, options = xatlas.Atlas(), xatlas.PackOptions()
    packer.add_uv_mesh(uv.astype(np.float32), uv_faces.astype(np.uint32))
    options.resolution, options.padding, options.create_image = size, _GUTTER, False
    packer.generate(xatlas.ChartOptions(), options)
    _, packed, places = packer[0]
    return _texels(surface, places.astype(np.float64), packed.astype(np.int64), size)


def scene(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> EmbreeScene:
    """Triangles ready for ray casting, by several threads at once."""
    triangles = EmbreeScene()
    TriangleMesh(triangles, np.ascontiguousarray(vertices, np.float32), np.ascontiguousarray(faces, np.int32))
    triangles.run(np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32))  # the first ray builds the tree
    return triangles


def _charts(surface: trimesh.Trimesh) -> tuple[Indices, Indices]:
    """The axis (of six) that every face is projected along, and its chart: connected faces of one axis."""
    pairs, count = surface.face_adjacency, len(surface.faces)
    fit = surface.face_normals @ _AXES.T
    near = _graph(pairs, count) + sparse.identity(count)
    near = sparse.diags(1 / np.asarray(near.sum(1)).ravel()) @ near
    wish = fit
    for _ in range(12):  # a face goes with its surroundings, unless that would slant it
        wish = near @ wish
    axis = np.where(fit > 0.2, wish, fit - 2).argmax(1)
    for _ in range(3):
        chart, faces = _connected(pairs, axis)
        votes = np.zeros((len(faces), 6))
        for one, other in (pairs.T, pairs.T[::-1]):
            border = chart[one] != chart[other]
            np.add.at(votes, (chart[one][border], axis[other][border]), faces[chart[other][border]])
        worst = np.full((len(faces), 6), np.inf)
        np.minimum.at(worst, chart, fit)
        votes[worst < 0.05] = 0
        joins = (faces < _SMALLEST) & (votes.max(1) > 0)
        if not joins.any():
            break
        axis = np.where(joins[chart], votes.argmax(1)[chart], axis)
    return axis, _connected(pairs, axis)[0]


def _unfolded(surface: trimesh.Trimesh, axis: Indices, chart: Indices) -> tuple[Indices, Indices]:
    """Charts that nowhere overlap: what lies below another part of its chart becomes a chart of its own."""
    uv, uv_faces = _flat(surface, (axis, chart))
    depth = np.zeros(len(uv))
    depth[uv_faces.ravel()] = (surface.triangles * _AXES[axis][:, None]).sum(-1).ravel()
    # Charts as high as they are: what a ray upwards meets lies over its start.
    relief = np.column_stack([uv, depth]) / surface.scale
    starts = relief[uv_faces].mean(1) + np.array([0, 0, 1e-3])
    upwards = np.broadcast_to(np.array([0, 0, 1], np.float32), starts.shape).copy()
    hidden = scene(relief, uv_faces).run(starts.astype(np.float32), upwards) >= 0
    if not hidden.any():
        return axis, chart
    _, parts = np.unique(2 * chart + hidden, return_inverse=True)
    return axis, _connected(surface.face_adjacency, parts)[0]


def _flat(surface: trimesh.Trimesh, charts: tuple[Indices, Indices]) -> tuple[NDArray[np.float64], Indices]:
    """Places [corners, 2] in the plane across each chart's axis, in world units, and faces [faces, 3] into them.

    Charts lie apart: xatlas takes corners in one place for one corner.
    """
    axis, chart = charts
    corner = surface.faces.astype(np.int64) + chart[:, None] * len(surface.vertices)
    _, first, uv_faces = np.unique(corner.ravel(), return_index=True, return_inverse=True)
    points = surface.vertices[surface.faces.ravel()[first]] - surface.vertices.mean(0)
    row, column = np.divmod(chart[first // 3], 1 + int(np.sqrt(chart.max())))
    apart = 2 * surface.scale * np.column_stack([column, row])
    return np.take_along_axis(points, _ACROSS[axis[first // 3]], axis=1) + apart, uv_faces.reshape(-1, 3)


def _texels(surface: trimesh.Trimesh, uv: NDArray[np.float64], uv_faces: Indices, size: int) -> Atlas:
    """The atlas, its texels found by rays straight down on the charts laid flat."""
    above = np.ones((size, size, 3), np.float32)
    above[..., 0] = np.arange(size) + 0.5
    above[..., 1] = (size - np.arange(size) - 0.5)[:, None]
    down = np.broadcast_to(np.array([0, 0, -1], np.float32), (size * size, 3)).copy()
    flat = scene(np.column_stack([uv * size, np.zeros(len(uv))]), uv_faces)
    hit = flat.run(above.reshape(-1, 3), down, output=True)
    texel = np.flatnonzero(hit["primID"] >= 0)
    row, column = np.divmod(texel, size)
    u, v = hit["u"][texel], hit["v"][texel]
    weights = np.column_stack([1 - u - v, u, v])
    faces = hit["primID"][texel]
    corners = surface.faces[faces]
    normals = blended(surface.vertex_normals.astype(np.float32), corners, weights)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    points = blended(surface.vertices.astype(np.float32), corners, weights)
    return Atlas(uv, uv_faces, row, column, points, normals, faces, weights)


def blended(values: Floats, corners: Indices, weights: Floats) -> Floats:
    """Values of vertices [vertices, channels] between three corners [n, 3], by weights [n, 3]: [n, channels]."""
    first, second, third = (values[corners[:, i]] * weights[:, i, None] for i in range(3))
    return first + second + third


def _graph(pairs: NDArray[np.integer], count: int) -> sparse.csr_matrix:
    both = np.concatenate([pairs, pairs[:, ::-1]]).T
    return sparse.csr_matrix((np.ones(both.shape[1]), both), shape=(count, count))


def _connected(pairs: NDArray[np.integer], label: Indices) -> tuple[Indices, Indices]:
    """Components of faces of one label: their number for every face, and how many faces each has."""
    _, component = connected_components(_graph(pairs[label[pairs[:, 0]] == label[pairs[:, 1]]], len(label)), False)
    return component.astype(np.int64), np.bincount(component)
