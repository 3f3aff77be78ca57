"""Turntable: a surface turned once around before white, shaded as the page shades it: far quicker than the studio."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from render import passes, raycast
from render.surface import Surface, to_linear, to_srgb
from viewmask.views.camera import Camera, orbit
from viewmask.views.picture import Picture

FRAMES = 60  # of one turn: three seconds at 20 a second
ELEVATION = 20.0
# The page's lights (`recon/page.html`), in linear light: from below, from above, and the key's direction and strength.
_GROUND, _SKY, _KEY, _STRENGTH = 0.34, 0.62, np.array([-0.45, 0.65, 0.75]), 0.58
_BATCH = 6  # frames rendered at a time: the scene is built once for them


def frames(surface: Surface, count: int = FRAMES, size: int = 320) -> Iterator[NDArray[np.uint8]]:
    """The frames of one turn, uint8 RGB [size, size, 3]; the light stands still beside the camera.

    Args:
        surface: normalised.
    """
    cameras = orbit(count, elevation=ELEVATION, size=size)
    for start in range(0, count, _BATCH):
        some = cameras[start : start + _BATCH]
        normals = passes.render(surface, some, ("normal",))["normal"]
        for picture, camera, normal in zip(raycast.render(surface, some), some, normals, strict=True):
            yield shaded(picture, normal.astype(np.float32), camera)


def shaded(picture: Picture, normals: NDArray[np.float32], camera: Camera) -> NDArray[np.uint8]:
    """A picture of base colours under the page's lights, before white.

    Args:
        picture: uint8 RGBA [height, width, 4].
        normals: in the world, [height, width, 3].
    """
    key = camera.camera_to_world[:3, :3] @ (_KEY / np.linalg.norm(_KEY))
    sky = 0.5 + 0.5 * normals[..., 2]
    light = _GROUND + (_SKY - _GROUND) * sky + _STRENGTH * np.maximum(normals @ key, 0)
    alpha = picture[..., 3:].astype(np.float32) / 255
    colour = to_srgb(to_linear(picture[..., :3]) * light[..., None])
    return np.round(colour * alpha + 255 * (1 - alpha)).astype(np.uint8)
