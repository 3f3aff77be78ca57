"""Refinement: a signed field fitted to its views by gradient descent, for a few seconds.

A hull is the largest shape behind its silhouettes; the real one is nearly always smaller and rounder. So the field
moves to be as smooth as a thin plate, while every ray at a silhouette's edge still just touches it. How opaque a pixel
is: the deepest point along its ray, through a sigmoid.

Four views are too far apart for colours to lead the descent, or to judge it: what one sees of a place, the others
mostly do not. The learnt field (`recon.field`) judges instead: the fit is kept only if it expects a greater IoU.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon import field_grid, hull
from recon.field import expected_iou
from recon.hull import Grid, Volume
from recon.silhouette import FloatImage
from viewmask.views.viewset import ViewSet

Progress = Callable[[float], None]

STEPS = 120  # enough to settle; fewer where the time runs out first

# Chosen on 15 objects of the sets' `val` splits. Lengths are in steps of the fitted grid.
_RESOLUTION = 48  # of the fitted grid: what is finer stays as it was
_LEVELS = 4  # grids of a half, a quarter ... that are fitted along, so that steps reach far
_RATE = 0.5
_BENDING, _LENGTH = 0.03, 0.1  # weights: thin plate; a gradient of one, as a distance has
_RAYS, _SAMPLES = 1024, 64
_NEAR = 3.0  # how far from the surface the field must be smooth


@dataclass(frozen=True, eq=False)
class Refinement:
    """What came of a fit.

    Attributes:
        volume: the fitted field where `kept`, else the one before.
        before, after: expected IoU [0, 1] before and after the fit.
        kept: whether the fit was better.
    """

    volume: Volume
    before: float
    after: float
    kept: bool

    def words(self) -> str:
        """One line for a user."""
        what = f"expected IoU {self.after:.3f} after the fit, {self.before:.3f} before"
        return f"refined: {what}" if self.kept else f"refining did not help, the mesh is left as it was: {what}"


def refine(
    volume: Volume,
    grid: Grid,
    views: ViewSet,
    distances: list[FloatImage],
    seconds: float,
    weights: str | Path | None = None,
    progress: Progress = lambda share: None,
) -> Refinement:
    """Fit a field to its views; the fit is kept only if the learnt field expects a greater IoU of it.

    The learnt field's own answer is hardly ever replaced: its level was chosen for the greatest expected IoU.

    Args:
        volume, grid: signed distances in world units, positive inside.
        views, distances: cut out, with their `silhouette.signed_distance`.
        seconds: at most. The fit is the same on every machine where this suffices for all steps.
        weights: of the learnt field, the shipped ones by default.
        progress: called with the share that is done.
    """
    predictor = field_grid.Predictor(views, distances, weights)
    where, logits = field_grid.poll(predictor, hull.volume(grid, views.cameras, distances), grid)
    fitted = fit(volume, grid, views, distances, seconds, progress)
    before, after = (expected_iou(logits, each[tuple(where.T)] > 0) for each in (volume, fitted))
    kept = after > before
    return Refinement(fitted if kept else volume, before, after, kept)


def fit(
    volume: Volume,
    grid: Grid,
    views: ViewSet,
    distances: list[FloatImage],
    seconds: float,
    progress: Progress = lambda share: None,
) -> Volume:
    """The field after at most `STEPS` steps of Adam or `seconds`, on the same grid."""
    end = grid.origin + grid.pitch * (np.array(grid.shape) - 1)
    coarse = Grid.around(grid.origin, end, min(_RESOLUTION, max(grid.shape)))
    first = torch.from_numpy(np.clip(hull.resampled(volume, grid, coarse) / coarse.pitch, -8, 8))
    random = torch.Generator().manual_seed(0)
    rays = _edge_rays(coarse, views, distances)
    if not len(rays.start):
        return volume
    shape, last = tuple(coarse.shape), torch.tensor(coarse.shape) - 1.0
    sizes = [[max(2, -(-n // 2**level)) for n in shape] for level in range(_LEVELS)]
    grids = [torch.zeros(1, 1, *size, requires_grad=True) for size in sizes]
    descent = torch.optim.Adam(grids, lr=_RATE, betas=(0.9, 0.95))

    def change() -> Tensor:
        finer = [F.interpolate(each, shape, mode="trilinear", align_corners=True) for each in grids]
        return torch.stack(finer).sum(0)[0, 0]

    begun = time.monotonic()
    for step in range(STEPS):
        share = max(step / STEPS, (time.monotonic() - begun) / seconds)
        if share >= 1:
            break
        progress(share)
        descent.param_groups[0]["lr"] = _RATE * (0.525 + 0.475 * float(np.cos(np.pi * share)))
        field = first + change()
        rows = torch.randint(len(rays.start), (_RAYS,), generator=random)
        along = (torch.arange(_SAMPLES) + torch.rand(_RAYS, 1, generator=random)) / _SAMPLES
        near, far = rays.near[rows, None], rays.far[rows, None]
        points = rays.start[rows, None] + (near + (far - near) * along)[..., None] * rays.towards[rows, None]
        place = (2 * points / last - 1).flip(-1)[None, None]
        seen = F.grid_sample(field[None, None], place, align_corners=True, padding_mode="border")
        deepest = seen[0, 0, 0].amax(1)
        silhouettes = F.binary_cross_entropy_with_logits(deepest, rays.opaque[rows])
        loss = silhouettes + _smoothness(field)
        descent.zero_grad()
        loss.backward()
        descent.step()
    with torch.no_grad():
        moved = (coarse.pitch * change()).numpy()
    fitted = np.asarray(volume + hull.resampled(moved, coarse, grid), np.float32)
    # What is thinner than a plate bends may be gone: give back what a silhouette shows.
    lost = hull.missing(grid, fitted, views.cameras, distances)
    return fitted if lost is None else np.maximum(fitted, np.minimum(lost, volume))


def _smoothness(field: Tensor) -> Tensor:
    """Bending of a thin plate, and gradients of another length than one, near the surface."""
    middle = field[1:-1, 1:-1, 1:-1]
    pairs = [
        (field[2:, 1:-1, 1:-1], field[:-2, 1:-1, 1:-1]),
        (field[1:-1, 2:, 1:-1], field[1:-1, :-2, 1:-1]),
        (field[1:-1, 1:-1, 2:], field[1:-1, 1:-1, :-2]),
    ]
    near = (middle.detach().abs() < _NEAR).float()
    bending = (sum((a + b for a, b in pairs), start=-6 * middle) ** 2 * near).sum()
    steepness = (sum(((a - b) ** 2 for a, b in pairs), start=0 * middle) / 4 + 1e-9).sqrt()
    length = ((steepness - 1) ** 2 * near).sum()
    return (_BENDING * bending + _LENGTH * length) / near.sum().clamp(min=1)


@dataclass(frozen=True, eq=False)
class _Rays:
    """Rays in steps of a grid: start and direction [n, 3], where they enter and leave it, how opaque they are [n]."""

    start: Tensor
    towards: Tensor
    near: Tensor
    far: Tensor
    opaque: Tensor


def _edge_rays(grid: Grid, views: ViewSet, distances: list[FloatImage]) -> _Rays:
    """The rays of pixels near the silhouettes' edges. All others are right already, and stay so."""
    parts = []
    for camera, distance in zip(views.cameras, distances, strict=True):
        middle = grid.origin + grid.pitch * (np.array(grid.shape) - 1) / 2
        step = grid.pitch * max(camera.fl_x, camera.fl_y) / max(float(camera.project(middle)[1]), 1e-6)  # in pixels
        rows, columns = np.nonzero(np.abs(distance) < 4 * step + 1)
        origins, directions = (part[rows, columns] for part in camera.rays())
        opaque = 1 / (1 + np.exp(-np.clip(distance[rows, columns] / step, -6, 6)))
        parts.append((((origins - grid.origin) / grid.pitch), directions, opaque))
    start, towards, opaque = (
        torch.from_numpy(np.concatenate([part[i] for part in parts]).astype(np.float32)) for i in range(3)
    )
    one, other = -start / towards, (torch.tensor(grid.shape) - 1.0 - start) / towards
    near, far = torch.minimum(one, other).amax(1), torch.maximum(one, other).amin(1)
    rays = _Rays(start, towards, near, far, opaque)
    met = far > near.clamp(min=0) + 0.5
    return replace(rays, **{name: getattr(rays, name)[met] for name in ("start", "towards", "near", "far", "opaque")})
