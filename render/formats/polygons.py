"""Polygons to triangles: fans where they are convex, ear clipping where they have notches."""

from __future__ import annotations

from typing import Any

import mapbox_earcut
import numpy as np
from numpy.typing import NDArray

STRAIGHT = 1e-6  # sine of a turn to the wrong side that is still taken for straight on


def triangles(points: NDArray[Any], sizes: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Triangles that fill polygons.

    Args:
        points: the polygons' corners one after another, [corners, 3].
        sizes: corners of each polygon, [polygons]. Those with less than three give nothing.

    Returns:
        numbers of corners, int64 [triangles, 3], turning as their polygon does; and the polygon of each triangle, int64
        [triangles]. In the order of the polygons.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    corners: list[NDArray[np.int64]] = [np.zeros((0, 3), dtype=np.int64)]
    polygons: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for size in np.unique(sizes[sizes >= 3]).tolist():
        which = np.flatnonzero(sizes == size)
        corner = starts[which][:, None] + np.arange(size)
        fans = np.ones(len(which), dtype=bool)
        if size > 3:
            fans, normals = _convex(np.asarray(points, dtype=np.float64)[corner])
            for index in np.flatnonzero(~fans).tolist():
                ears = _ears(points[corner[index]], normals[index])
                corners.append(corner[index][ears])
                polygons.append(np.full(len(ears), which[index]))
        steps = np.stack([np.zeros(size - 2, dtype=int), np.arange(1, size - 1), np.arange(2, size)], axis=1)
        corners.append(corner[fans][:, steps].reshape(-1, 3))
        polygons.append(np.repeat(which[fans], size - 2))
    owner = np.concatenate(polygons)
    order = np.argsort(owner, kind="stable")
    return np.concatenate(corners)[order], owner[order]


def _convex(points: NDArray[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Which polygons [polygons, corners, 3] turn to one side alone, and all their normals (Newell's) [polygons, 3]."""
    points = points - points[:, :1]
    onward = np.roll(points, -1, axis=1)
    normals = np.cross(points, onward).sum(axis=1)
    edges = onward - points
    after = np.roll(edges, -1, axis=1)
    length = np.linalg.norm(edges, axis=-1)
    size = length * np.roll(length, -1, axis=1) * np.linalg.norm(normals, axis=-1)[:, None]
    turns = (np.cross(edges, after) * normals[:, None]).sum(-1)
    return (turns >= -STRAIGHT * size).all(axis=1), normals


def _ears(points: NDArray[Any], normal: NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangles [triangles, 3] of one polygon [corners, 3]; a fan if it crosses itself beyond repair."""
    size = len(points)
    flat = np.delete(points - points[0], int(np.abs(normal).argmax()), axis=1)
    ears = mapbox_earcut.triangulate_float64(np.ascontiguousarray(flat, np.float64), np.array([size], np.uint32))
    if not len(ears):
        return np.stack([np.zeros(size - 2, dtype=int), np.arange(1, size - 1), np.arange(2, size)], axis=1)
    found = np.asarray(ears, dtype=np.int64).reshape(-1, 3)
    corners = points[found]
    turned = (np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) @ normal) < 0
    found[turned] = found[turned][:, ::-1]
    return found
