"""Visual hull: the largest shape that all silhouettes allow, as a signed field.

Laurentini, "The visual hull concept for silhouette-based image understanding", PAMI 1994. Each view
gives every point of space a signed distance to its silhouette's cone; the hull is where the least of
them is positive. A distance, unlike an occupancy, is smooth: the surface lies between grid points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon import threads
from recon.silhouette import FloatImage, signed_distance
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

Volume = NDArray[np.float32]
Points = NDArray[np.float64]
Indices = NDArray[np.integer]


class NothingInCommonError(ViewmaskError):
    """The silhouettes leave no shape: views contradict each other, or cameras are wrong."""


@dataclass(frozen=True, eq=False)
class Grid:
    """A box of points: `origin` [3] is the first, `pitch` the step, `shape` [3] how many along x, y, z."""

    origin: Points
    pitch: float
    shape: tuple[int, int, int]

    @classmethod
    def around(cls, low: Points, high: Points, resolution: int) -> Grid:
        """Cells of equal size that cover a box, `resolution` of them along its longest side."""
        size = np.asarray(high) - low
        pitch = float(size.max() / resolution)
        shape = np.maximum(np.ceil(size / pitch - 1e-6).astype(int), 2)
        return cls((np.asarray(low) + high - (shape - 1) * pitch) / 2, pitch, (shape[0], shape[1], shape[2]))

    def project(self, camera: Camera, at: Indices | None = None) -> tuple[FloatImage, FloatImage, FloatImage]:
        """Pixel x, pixel y and depth of every point, each of the grid's shape, or of those at indices [3, n]: [n]."""
        turn = np.linalg.inv(camera.camera_to_world[:3, :3])
        start, steps = turn @ (self.origin - camera.position), turn * self.pitch
        i, j, k = np.ogrid[: self.shape[0], : self.shape[1], : self.shape[2]] if at is None else at
        x, y, z = (
            (np.float32(start[row]) + np.float32(steps[row, 0]) * i.astype(np.float32))
            + np.float32(steps[row, 1]) * j.astype(np.float32)
            + np.float32(steps[row, 2]) * k.astype(np.float32)
            for row in range(3)
        )
        depth = np.where(z < -1e-6, -z, np.float32(1e-6))
        return camera.cx + camera.fl_x * x / depth, camera.cy - camera.fl_y * y / depth, depth


def carve(
    cameras: list[Camera], distances: list[FloatImage], resolution: int = 128, tolerant: bool = True
) -> tuple[Volume, Grid]:
    """The hull of silhouettes as a signed field (world units, positive inside) on a grid of its own size.

    Args:
        cameras, distances: the views' cameras and `silhouette.signed_distance`; one alone is cut by a `ball`.
        resolution: grid points along the longest side of the hull's box.
        tolerant: where views contradict each other, let the majority win (see `volume`).

    Raises:
        ViewmaskError: the silhouettes have no volume in common.
    """
    coarse = frame(cameras, 64)
    # Cones are nowhere nearer than a cell's corner: a coarse cell that is dropped holds nothing.
    rough = volume(coarse, cameras, distances, tolerant)
    near = np.argwhere(rough > -1.5 * np.sqrt(3) / 2 * coarse.pitch)
    if not len(near) or not (rough > -coarse.pitch).any():
        raise NothingInCommonError(
            "the silhouettes have no volume in common: the views contradict each other, or their cameras are wrong"
        )
    low = coarse.origin + (near.min(0) - 0.5) * coarse.pitch
    high = coarse.origin + (near.max(0) + 0.5) * coarse.pitch
    grid = Grid.around(low, high, resolution)
    return volume(grid, cameras, distances, tolerant), grid


def frame(cameras: list[Camera], resolution: int) -> Grid:
    """A cube that holds what all cameras look at: around the point nearest to their axes."""
    centre, reach = looked_at(cameras)
    half = 1.1 * reach
    return Grid.around(centre - half, centre + half, resolution)


def looked_at(cameras: list[Camera]) -> tuple[Points, float]:
    """The point nearest to the cameras' axes, and how far around it their pictures reach (the median of them)."""
    axes = np.array([-camera.camera_to_world[:3, 2] for camera in cameras])
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    positions = np.array([camera.position for camera in cameras])
    # Least norm: cameras in one line leave its depth open, and the world's origin is the better guess.
    centre, *_ = np.linalg.lstsq(across.reshape(-1, 3), np.einsum("nij,nj->ni", across, positions).ravel(), rcond=1e-6)
    reach = [
        np.linalg.norm(camera.position - centre)
        * max(camera.cx, camera.width - camera.cx, camera.cy, camera.height - camera.cy)
        / min(camera.fl_x, camera.fl_y)
        for camera in cameras
    ]
    return centre, float(np.median(reach))


def volume(grid: Grid, cameras: list[Camera], distances: list[FloatImage], tolerant: bool = True) -> Volume:
    """Signed distance to the hull (world units, positive inside) at the grid's points, float32 [x, y, z].

    It is the least over the views. Where that leaves a good part of some silhouette without a shape behind it, the
    views contradict each other. There, and only there, the next least counts, so that one bad view is outvoted.
    Consistent silhouettes give exactly the plain hull.

    Softer rules (a margin of some pixels, the second least up to a margin, blends of both) all lose, on the shipped
    generator's views too: their hulls err by too much volume, not too little.

    Args:
        cameras, distances: per view, its camera and `silhouette.signed_distance`.
    """
    each = list(threads.each(partial(cone, grid), cameras, distances))
    hull = reduce(np.minimum, each)
    if len(cameras) == 1 and (distances[0] > 0).any():
        hull = np.minimum(hull, ball(grid, cameras[0], distances[0]))
    if not tolerant or len(cameras) < 3:
        return hull
    for outvoted in range(1, (len(cameras) + 1) // 2):
        behind = missing(grid, hull, cameras, distances)
        if behind is None:
            break
        hull = np.maximum(hull, np.minimum(behind, np.partition(np.stack(each), outvoted, axis=0)[outvoted]))
    return hull


def missing(
    grid: Grid, volume: Volume, cameras: list[Camera], distances: list[FloatImage], at: Indices | None = None
) -> Volume | None:
    """Signed distance to all that lies behind parts of silhouettes that a field leaves empty; None if there are none.

    It is exact up to two cells outside.

    Args:
        at: indices [3, n] of the points that it is wanted at; then it is [n]. All by default.
    """
    points = np.argwhere(volume > -grid.pitch / 2)

    def there(camera: Camera, distance: FloatImage) -> Volume | None:
        mask = unexplained(grid, points, camera, distance)
        if not mask.any():
            return None
        far = _in_pixels(grid, camera, 3)  # the third is for what lies between pixels
        return cone(grid, camera, signed_distance(np.where(mask, 255, 0).astype(np.uint8), far), at)

    behind = [each for each in threads.each(there, cameras, distances) if each is not None]
    return reduce(np.maximum, behind) if behind else None


def _in_pixels(grid: Grid, camera: Camera, cells: int) -> float | None:
    """The length of so many cells in a camera's pixels, at least; None where the grid comes too near to the camera."""
    half = grid.pitch * (np.array(grid.shape) - 1) / 2
    nearest = float(np.linalg.norm(camera.position - grid.origin - half) - np.linalg.norm(half))
    return cells * grid.pitch * max(camera.fl_x, camera.fl_y) / nearest if nearest > grid.pitch else None


def resampled(volume: Volume, grid: Grid, other: Grid) -> Volume:
    """A field at the points of another grid, linear between its own and constant beyond."""
    places = np.ogrid[: other.shape[0], : other.shape[1], : other.shape[2]]
    shift = (other.origin - grid.origin) / grid.pitch
    where = np.broadcast_arrays(*(a + other.pitch / grid.pitch * b for a, b in zip(shift, places, strict=True)))
    return np.asarray(ndimage.map_coordinates(volume, where, order=1, mode="nearest", output=np.float32))


def cone(grid: Grid, camera: Camera, distance: FloatImage, at: Indices | None = None) -> Volume:
    """Signed distance (world units) of the grid's points to one silhouette's cone; behind the camera is outside.

    Of all of them, or of those at indices [3, n].
    """
    x, y, depth = grid.project(camera, at)
    pixels = ndimage.map_coordinates(distance, [y - 0.5, x - 0.5], order=1, mode="nearest", output=np.float32)
    return np.where(depth > 1e-5, pixels * depth / np.float32((camera.fl_x + camera.fl_y) / 2), np.float32(-1e6))


def ball(grid: Grid, camera: Camera, distance: FloatImage) -> Volume:
    """Signed distance (world units) to a ball as wide as a silhouette, where the camera looks.

    One view alone says nothing of depth: the guess is that an object is as deep as it is wide.
    """
    rows, columns = np.nonzero(distance > 0)
    around = frame([camera], 2)
    depth = float(camera.project(around.origin + around.pitch / 2)[1])
    column, row = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
    along = np.array([(column - camera.cx) / camera.fl_x, (camera.cy - row) / camera.fl_y, -1])
    centre = camera.position + depth * (camera.camera_to_world[:3, :3] @ along)
    radius = depth / 2 * max((np.ptp(columns) + 1) / camera.fl_x, (np.ptp(rows) + 1) / camera.fl_y)
    steps = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    squares = [(start + grid.pitch * step) ** 2 for start, step in zip(grid.origin - centre, steps, strict=True)]
    return (radius - np.sqrt(squares[0] + squares[1] + squares[2])).astype(np.float32)


def unexplained(grid: Grid, points: NDArray[np.integer], camera: Camera, distance: FloatImage) -> NDArray[np.bool_]:
    """Pixels inside a silhouette that no part of a shape projects to, slivers left out.

    Args:
        points: indices [n, 3] of the grid's points in the shape, or within half a cell of it.
    """
    covered = np.zeros(distance.shape, bool)
    spread = 1.0
    if len(points):
        pixels, depth = camera.project(grid.origin + grid.pitch * points)
        column, row = np.floor(pixels).astype(int).T
        within = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height) & (depth > 0)
        covered[row[within], column[within]] = True
        # A grid point stands for its cell.
        spread = np.ceil(grid.pitch * max(camera.fl_x, camera.fl_y) / max(depth.min(), 1e-6))
    tolerance = max(camera.width, camera.height) / 128
    margin = int(np.ceil(spread / 2 + tolerance))
    missing = (distance > 0) & ~ndimage.maximum_filter(covered, 2 * margin + 1, mode="constant", cval=0)
    missing = ndimage.binary_opening(missing, iterations=int(np.ceil(tolerance / 2)))
    return ndimage.binary_dilation(missing, iterations=margin + 2, mask=distance > 0) if missing.any() else missing
