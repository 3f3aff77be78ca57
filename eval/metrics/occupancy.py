"""Which points of space a mesh fills: by winding number, on a regular grid, closed mesh or not, faces as they lie."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from render.orientation import closed, oriented

Floats = NDArray[np.float64]


class Mesh(Protocol):
    """Anything with triangles: `vertices` [n, 3] in the world and `faces` [m, 3]."""

    @property
    def vertices(self) -> Any: ...

    @property
    def faces(self) -> Any: ...


def occupancy(mesh: Mesh, x: Floats, y: Floats, z: Floats) -> NDArray[np.bool_]:
    """Which points of a grid lie inside a mesh: [len(x), len(y), len(z)], winding number > 0.5.

    Faces are first turned outward (`render.orientation`). A closed mesh may intersect itself and overlap: its winding
    number is exact. For an open mesh the winding number is the mean over the 26 rays to the neighbours of a grid
    point. Sheets, seen from both sides, fill nothing.

    Args:
        x, y, z: evenly spaced coordinates with one spacing, ascending.
    """
    grid = np.array([len(x), len(y), len(z)])
    if not grid.all():
        return np.zeros(grid, dtype=bool)
    spacing = next((float(axis[1] - axis[0]) for axis in (x, y, z) if len(axis) > 1), 1.0)
    corners, faces = oriented(mesh.vertices, mesh.faces)
    # In units of the spacing, with grid points on the integers; the odd shift keeps grid lines off corners and edges.
    corners = (corners - [x[0], y[0], z[0]]) / spacing + np.array([0.00113, 0.00071, 0.00157])
    directions = [(0, 0, 1)] if closed(faces) else list(_directions())
    twice = np.zeros(grid, dtype=np.int32)
    for direction in directions:
        twice += _twice_winding_along(corners, faces, grid, direction)
    inside: NDArray[np.bool_] = twice > len(directions)
    return inside


def _directions() -> Iterator[tuple[int, int, int]]:
    """One of each pair of opposite steps to the 26 neighbours."""
    for x, y, z in product((-1, 0, 1), repeat=3):
        if (x, y, z) > (0, 0, 0):
            yield x, y, z


def _twice_winding_along(
    corners: Floats, faces: NDArray[np.int64], grid: NDArray[np.int64], direction: tuple[int, int, int]
) -> NDArray[np.int16]:
    """The sum of every grid point's winding numbers along its two rays +-`direction`, [nx, ny, nz].

    A shear by whole grid steps turns the direction upright and maps the grid onto itself, so that all rays are
    columns of one grid: triangles are drawn onto its floor, and their crossings are summed up each column.
    """
    up = int(np.flatnonzero(direction)[0])
    order = [(up + 1) % 3, (up + 2) % 3, up]  # cyclic, so that orientation stays
    step = np.array(direction)[order] * direction[up]
    size = grid[order]
    points = corners[:, order]
    flat = points[:, :2] - points[:, 2:] * step[:2]
    low = np.minimum(0, -step[:2] * (size[2] - 1))
    high = size[:2] - 1 + np.maximum(0, -step[:2] * (size[2] - 1))
    columns = high - low + 1

    crossings = np.zeros((*columns, size[2] + 1), dtype=np.int16)
    for column, height, sign in _hits(flat, points[:, 2], faces, low, high):
        level = np.clip(np.ceil(height), 0, size[2]).astype(np.int64)
        np.add.at(crossings, (column[:, 0] - low[0], column[:, 1] - low[1], level), -sign)
    # Below a point lie the crossings of the ray down, above it (all less those below) the ones of the ray up.
    below = np.cumsum(crossings, axis=2, dtype=np.int16)
    both = 2 * below[..., :-1] - below[..., -1:]

    level = np.arange(size[2])
    u = np.arange(size[0])[:, None, None] - step[0] * level - low[0]
    v = np.arange(size[1])[None, :, None] - step[1] * level - low[1]
    return np.moveaxis(both[u, v, level], (0, 1, 2), order)


def _hits(
    flat: Floats,
    height: Floats,
    faces: NDArray[np.int64],
    low: NDArray[Any],
    high: NDArray[Any],
    chunk: int = 2_000_000,
) -> Iterator[tuple[NDArray[np.int64], Floats, NDArray[np.int16]]]:
    """Where upright lines through whole numbers meet triangles: columns [n, 2], heights [n], orientations [n].

    Triangles that share an edge divide the lines between them: none is hit twice and none slips through.
    """
    # Every edge is evaluated from its lower corner to its higher one, so both its triangles see the same number.
    triangle = flat[faces]
    first = np.maximum(np.ceil(triangle.min(axis=1)), low).astype(np.int64)
    last = np.minimum(np.floor(triangle.max(axis=1)), high).astype(np.int64)
    extent = np.maximum(last - first + 1, 0)
    count = extent.prod(axis=1)
    keep = np.flatnonzero(count)
    bounds = np.cumsum(count[keep])
    start = 0
    while start < len(keep):
        base = bounds[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(bounds, base + chunk, side="right")))
        part = keep[start:stop]
        start = stop
        face = np.repeat(part, count[part])
        index = np.arange(len(face)) - np.repeat(np.cumsum(count[part]) - count[part], count[part])
        column = first[face] + np.stack([index // extent[face, 1], index % extent[face, 1]], axis=1)
        weights, inside = [], []
        for k in range(3):
            a, b = faces[face, (k + 1) % 3], faces[face, (k + 2) % 3]
            forward = a < b
            p, q = flat[np.where(forward, a, b)], flat[np.where(forward, b, a)]
            cross = (q[:, 0] - p[:, 0]) * (column[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (column[:, 0] - p[:, 0])
            weights.append(np.where(forward, cross, -cross))
            inside.append((cross >= 0) == forward)
        left = inside[0] & inside[1] & inside[2]
        right = ~(inside[0] | inside[1] | inside[2])
        hit = left | right
        w = np.stack(weights, axis=1)[hit]
        area = w.sum(axis=1)
        corner_heights = height[faces[face[hit]]]
        level = np.where(
            area != 0, (w * corner_heights).sum(axis=1) / np.where(area != 0, area, 1), corner_heights[:, 0]
        )
        yield column[hit], level, np.where(left[hit], 1, -1).astype(np.int16)
