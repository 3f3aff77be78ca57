"""Which way a mesh faces: turned about the vertical until it looks like the given view.

Systems that answer in an object's own pose (TRELLIS) do not say where the given view stood. Nothing but the given
view is looked at, which every method has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eval.outputs import about_z, turned
from viewmask.camera import Camera
from viewmask.viewset import Picture, resize

if TYPE_CHECKING:
    from render.surface import Surface

SIZE = 64
STEP = 5  # degrees of the first search; the second goes by 1


def facing(surface: Surface, given: Picture, camera: Camera) -> tuple[Surface, float]:
    """The surface turned about +Z so that `camera` sees what `given` shows, and by how many whole degrees.

    The measure is the mean squared difference of premultiplied colour and alpha at 64 x 64 pixels.

    Args:
        surface: upright and normalised, in the world.
        given: the given view, uint8 RGBA.
        camera: where it was taken from.
    """
    wanted = _premultiplied(resize(given, SIZE))
    small = camera.resized(SIZE, SIZE)
    coarse = _best(surface, wanted, small, range(0, 360, STEP))
    degrees = _best(surface, wanted, small, range(coarse - STEP + 1, coarse + STEP)) % 360
    return surface.transformed(about_z(degrees)), float(degrees)


def _best(surface: Surface, wanted: NDArray[np.float32], camera: Camera, candidates: range) -> int:
    from render.raycast import render

    # Turning the object one way is turning the camera the other way: one scene serves all candidates.
    pictures = render(surface, [turned(camera, -degrees) for degrees in candidates], samples=1)
    misses = [float(((_premultiplied(picture) - wanted) ** 2).mean()) for picture in pictures]
    return candidates[int(np.argmin(misses))]


def _premultiplied(picture: Picture) -> NDArray[np.float32]:
    pixels = picture.astype(np.float32) / 255
    pixels[..., :3] *= pixels[..., 3:]
    return pixels
