"""A grid filled with the learnt field: predicted inside the hull only, coarsely first, then at the surface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from recon import hull
from recon.field import Field, FieldConfig, Lifted, best_level, collate, inputs, upright
from recon.hull import Grid, Volume
from recon.placement import REACH
from recon.silhouette import FloatImage, signed_distance
from viewmask.learning import checkpoint
from viewmask.views.camera import Camera
from viewmask.views.viewset import ViewSet, resize

SHIPPED = Path(__file__).parent / "weights" / "field"
_COARSE = 4  # steps of the grid between the points that are predicted first; halved until 1
_UNSURE = 0.5  # a logit so near the level may hide a surface that its neighbours miss

_CHUNK = 2048  # points asked at once: what four frames of four views know of them stays in a core's cache
_POLL = 8192  # points of the hull that choose the level
_LEAST = 0.05  # an expected IoU below this is no object
_LOWER = (1.0, 2.0, 4.0, 8.0)  # by so much the level falls, in turn, where a view shows what the network denies
_LOOKS = 16  # pictures to encode in all: few views several times, each time with another view first

Floats = NDArray[np.float32]


class Predictor:
    """Answers at points of the world, from the views of one object.

    The network's frame has its first view at azimuth 0, but an orbit has no first view. So few views are encoded in
    several frames, each with another view first, and the answers are averaged.

    Args:
        views, distances: cut out, with their `silhouette.signed_distance`.
        weights: a folder, or the network itself; the shipped weights by default.

    Raises:
        ViewmaskError: the weights are missing or damaged.
    """

    def __init__(self, views: ViewSet, distances: list[FloatImage], weights: str | Path | Field | None = None) -> None:
        self.model = (
            weights if isinstance(weights, Field) else checkpoint.load(weights or SHIPPED, Field, FieldConfig)[0]
        )
        size = self.model.config.size
        # The network's frames: their origin where the cameras look, their unit what they see.
        self.centre, reach = hull.looked_at(views.cameras)
        self.unit = reach / REACH
        cameras = []
        for camera in views.cameras:
            pose = camera.camera_to_world.copy()
            pose[:3, 3] = (pose[:3, 3] - self.centre) / self.unit
            cameras.append(replace(camera, camera_to_world=pose))
        small = [resize(image, size) for image in views.images]
        pictures = np.stack(small).astype(np.float32) / np.float32(255)
        edges = np.stack([signed_distance(image[..., 3]) for image in small]).astype(np.float32)
        # Distances to cones are taken from the pictures at their full size.
        cones = [
            torch.from_numpy(np.clip(distance, -1e4, 1e4) / np.float32((camera.fl_x + camera.fl_y) / 2))[None, None]
            for distance, camera in zip(distances, cameras, strict=True)
        ]
        count = len(cameras)
        frames = max(1, min(count, _LOOKS // count))
        self.turns = [upright(cameras[i * count // frames]) for i in range(frames)]
        seen = collate([inputs(pictures, edges, cameras, turn) for turn in self.turns], torch.device("cpu"))
        seen.distances = [cone.expand(frames, -1, -1, -1) for cone in cones]
        with torch.inference_mode():
            self.lifted = self.model.encode(seen, frames=True)

    def logits(self, points: NDArray[np.floating]) -> Floats:
        """At points of the world [n, 3]: [n], inside where positive."""
        return self._about(points, self.lifted, self.turns)[0]

    def colours(self, points: Floats) -> Floats:
        """At points of the world [n, 3]: sRGB from 0 to 255, of the first frame, as a texture needs no more."""
        return self._about(points, self.lifted.frame(0), self.turns[:1])[1]

    def _about(
        self, points: NDArray[np.floating], lifted: Lifted, turns: list[NDArray[np.float64]]
    ) -> tuple[Floats, Floats]:
        """Logits [n] and colours [n, 3], averaged over frames."""
        logits, colours = np.empty(len(points), np.float32), np.empty((len(points), 3), np.float32)
        turn = np.stack(turns)
        with torch.inference_mode():
            for start in range(0, len(points), _CHUNK):
                part = (((points[start : start + _CHUNK] - self.centre) / self.unit) @ turn).astype(np.float32)
                inside, colour = self.model.decode_frames(lifted, torch.from_numpy(part))
                logits[start : start + _CHUNK] = inside.mean(0)
                colours[start : start + _CHUNK] = 255 * colour.mean(0)
        return logits, colours


def poll(predictor: Predictor, carved: Volume, grid: Grid) -> tuple[NDArray[np.integer], Floats]:
    """Points of the grid that are spread evenly over the hull: indices [n, 3] and logits [n]."""
    where = np.argwhere(carved > 0)
    where = where[:: max(1, -(-len(where) // _POLL))]
    return where, predictor.logits(grid.origin + grid.pitch * where)


def level(predictor: Predictor, carved: Volume, grid: Grid) -> float | None:
    """The level above which logits count as inside (`best_level`); None if the network finds nothing in the hull."""
    best, expected = best_level(poll(predictor, carved, grid)[1])
    return None if expected < _LEAST else best


def fill(predictor: Predictor, carved: Volume, grid: Grid, level: float, fast: bool = True) -> Volume:
    """The field (world units near the surface, positive inside) on a hull's grid, nowhere outside the hull.

    Args:
        carved, grid: as `hull.carve` gives them.
        level: what counts as inside.
        fast: predict near the surface only. Otherwise at every point of the hull: the same surface, slowly.
    """
    within = carved > -grid.pitch
    logits = near_surface(predictor, within, grid, level) if fast else _everywhere(predictor, within, grid, level)
    return _above(level, logits, carved, grid)


def restore(
    volume: Volume,
    predictor: Predictor,
    carved: Volume,
    grid: Grid,
    level: float,
    cameras: list[Camera],
    distances: list[FloatImage],
) -> Volume:
    """Put back what a view shows and the network denies, such as thin legs and handles.

    Behind every part of a silhouette that `volume` leaves empty the level falls until something is there. Where
    nothing comes, the hull does. The hull at once would be as wide as the object is deep.

    Args:
        volume: as `fill` gives it, from the same `carved`, `grid` and `level`.
        cameras, distances: of the views; see `hull.volume`.
    """
    logits = np.full(grid.shape, np.nan, np.float32)  # what has been asked
    near = np.stack(np.nonzero(carved > -2 * grid.pitch))  # farther outside no value counts
    for lower in (*_LOWER, None):
        # The sign alone counts: below zero a field made of logits is no distance, and may be small far from the shape.
        shown = hull.missing(grid, np.where(volume > 0, volume, -grid.pitch), cameras, distances, near)
        if shown is None:
            break
        behind = np.full(grid.shape, -np.inf, np.float32)
        behind[tuple(near)] = shown
        behind = np.minimum(carved, behind)
        if lower is not None:
            within = behind > -grid.pitch
            new = within & np.isnan(logits)
            logits[new] = predictor.logits(grid.origin + grid.pitch * np.argwhere(new))
            behind = _above(level - lower, np.where(within, logits, np.float32(level - 1)), behind, grid)
        volume = np.maximum(volume, behind)
    return volume


def _above(level: float, logits: Volume, carved: Volume, grid: Grid) -> Volume:
    """The part of a field whose logits are above a level."""
    return np.minimum(carved, (logits - np.float32(level)) * np.float32(grid.pitch))


def _everywhere(predictor: Predictor, within: NDArray[np.bool_], grid: Grid, level: float) -> Volume:
    """Logits on the grid, predicted at every point `within`, below the level elsewhere."""
    logits = np.full(grid.shape, level - 1, np.float32)
    logits[within] = predictor.logits(grid.origin + grid.pitch * np.argwhere(within))
    return logits


def near_surface(predictor: Predictor, within: NDArray[np.bool_], grid: Grid, level: float) -> Volume:
    """Logits on the grid, predicted coarsely first, then twice as finely each time in cells that may hold the surface.

    Between those points they are interpolated.
    """
    step = _COARSE
    shape = tuple(-(-(n - 1) // step) + 1 for n in grid.shape)
    inside = np.zeros([(n - 1) * step + 1 for n in shape], bool)
    inside[tuple(slice(n) for n in grid.shape)] = within
    logits = np.full(shape, level - 1, np.float32)
    query = answered = _around(inside, step)
    while True:
        logits[query] = predictor.logits(grid.origin + grid.pitch * step * np.argwhere(query))
        if step == 1:
            return logits[tuple(slice(n) for n in grid.shape)]
        mixed = _mixed(logits, level)
        if step == _COARSE:  # a surface may bulge out of a wide cell
            mixed = ndimage.maximum_filter(mixed, 3)
        coarse, before, step = logits, answered, step // 2
        logits = ndimage.zoom(coarse, [(2 * n - 1) / n for n in coarse.shape], order=1, grid_mode=False)
        logits[::2, ::2, ::2] = coarse
        answered = np.zeros(logits.shape, bool)
        answered[::2, ::2, ::2] = before
        query = _around(inside, step) & _corners(np.kron(mixed, np.ones((2, 2, 2), bool))) & ~answered
        answered |= query


def _around(inside: NDArray[np.bool_], step: int) -> NDArray[np.bool_]:
    """Every `step`-th point of a grid; a point counts where any point of the cells around it is inside."""
    return (ndimage.maximum_filter(inside, 2 * step + 1) if step > 1 else inside)[::step, ::step, ::step]


def _mixed(logits: Volume, level: float) -> NDArray[np.bool_]:
    """Cells, one less than points on every axis, whose corners differ in sign, or one of which is unsure."""
    low, high = _over_pairs(np.minimum, logits) - level, _over_pairs(np.maximum, logits) - level
    return ((low <= 0) & (high > 0)) | (np.minimum(np.abs(low), np.abs(high)) < _UNSURE)


def _corners(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The points that chosen cells have for corners, one more than cells on every axis."""
    return _over_pairs(np.logical_or, np.pad(cells, 1))


def _over_pairs(ufunc: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
    """A binary function over the eight corners of every cell, axis by axis: no window holds all eight."""
    for axis in range(3):
        first, second = (slice(None),) * axis + (slice(None, -1),), (slice(None),) * axis + (slice(1, None),)
        values = ufunc(values[first], values[second])
    return values
