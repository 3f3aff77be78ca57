"""Bringing a mesh of unknown scale and heading into the bench's frame, by nothing but the given view.

Some systems answer in a frame of their own: upright, centred, but of another scale (Zero123++, InstantMesh) or in the
object's own pose (TRELLIS). The given view, which every method has, tells both without a look at the truth.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.methods.outputs import about_z, turned
from viewmask.views.camera import Camera
from viewmask.views.viewset import Picture, premultiplied, resize

if TYPE_CHECKING:
    from render.surface import Surface

SIZE = 64
STEP = 5  # degrees of the first search; the second goes by 1
SCALES = np.geomspace(0.7, 1.4, 18)  # 4 % apart; the second search goes by 1 %


def fitted(surface: Surface, reference: Picture, camera: Camera, turn: bool) -> Surface:
    """A mesh scaled, and with `turn` turned about +Z, so that `camera` sees what `reference` shows.

    The search ends at whole degrees and percents; the centre stays where the box has it. Its measure is the mean
    squared difference at 64 x 64 pixels: of alpha alone for the scale, of premultiplied colour too for the turn.

    Args:
        surface: upright in the world; its box is first scaled to a longest side of 1 and centred on the origin.
        reference: the given view, uint8 RGBA.
        camera: where it was taken from.
    """
    surface = surface.normalised()
    small = camera.resized(SIZE, SIZE)
    target = premultiplied(resize(reference, SIZE))
    degrees, scale = 0, 1.0
    if turn:
        degrees = _best(surface, target, small, ((d, 1.0) for d in range(0, 360, STEP)), colour=True)[0]
    for scales in (SCALES, np.arange(-4, 5) / 100 + 1):
        scale = _best(surface, target, small, ((degrees, scale * s) for s in scales), colour=False)[1]
        if turn:
            nearby = range(degrees - STEP + 1, degrees + STEP)
            degrees = _best(surface, target, small, ((d, scale) for d in nearby), colour=True)[0]
    return surface.transformed(about_z(degrees) @ np.diag([scale, scale, scale, 1.0]))


def _best(
    surface: Surface, target: NDArray[np.float32], camera: Camera, poses: Iterable[tuple[int, float]], colour: bool
) -> tuple[int, float]:
    """Of (degrees, scale) the pair under which the surface looks most like the target."""
    from render.raycast import render

    candidates = list(poses)
    # Turning and scaling the object is turning the camera back and stepping nearer: one scene serves them all.
    cameras = [_nearer(turned(camera, -degrees), scale) for degrees, scale in candidates]
    channels = slice(None) if colour else slice(3, 4)
    misses = [
        float(((premultiplied(picture) - target)[..., channels] ** 2).mean())
        for picture in render(surface, cameras, samples=1)
    ]
    return candidates[int(np.argmin(misses))]


def _nearer(camera: Camera, scale: float) -> Camera:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] /= scale
    return replace(camera, camera_to_world=pose)
