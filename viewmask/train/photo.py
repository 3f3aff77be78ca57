"""Photos for training: a rendered picture with the faults that people's cut-out pictures have, framed as theirs are."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from viewmask.model.reference import reference_view
from viewmask.views.camera import Camera
from viewmask.views.viewset import Picture, ViewSet

# How often each fault happens, and how large it may be (pixels and 8-bit steps).
_EXPOSED, _EXPOSURE, _TINT = 0.5, 0.12, 0.04
_EDGED, _EDGE = 0.4, 2
_SOFT, _SOFTNESS = 0.4, 1.2
_BITTEN, _BITE = 0.1, 0.06
_PRESSED, _QUALITY = 0.3, (40, 95)


def reference(picture: Picture, random: np.random.Generator) -> Picture:
    """A reference view of a rendered photo: faults are put on it, then it goes the way of users' pictures.

    Args:
        picture: uint8 RGBA, with the object's true alpha.
        random: where the faults come from.

    Raises:
        ViewmaskError: nothing is seen.
    """
    return reference_view(faulty(picture, random))


def beside(photos: ViewSet, orbit: Sequence[Camera], extra: Mapping[str, Any]) -> list[tuple[Picture, int]] | None:
    """Photos of an object, each with the view of its orbit that looks from the same azimuth.

    Args:
        photos: their view set.
        orbit, extra: cameras of the orbit's view set, and what it knows.

    Returns:
        None if they show it in another form or from other sides.
    """
    step, start = 360.0 / len(orbit), orbit[0].azimuth
    turns = [(camera.azimuth - start) / step for camera in photos.cameras]
    same = np.allclose(photos.extra.get("mesh_to_world", 0), extra.get("mesh_to_world", 0), atol=1e-6)
    if not same or any(abs(turn - round(turn)) > 0.02 for turn in turns):
        return None
    return [(image, round(turn) % len(orbit)) for image, turn in zip(photos.images, turns, strict=True)]


def faulty(picture: Picture, random: np.random.Generator) -> Picture:
    """A picture as cameras and background removers leave it: exposure, tint, compression; edges off, soft or bitten."""
    from scipy import ndimage

    colour, alpha = picture[..., :3], picture[..., 3]
    # What a mask too large takes in is the background that stood behind: any grey.
    backdrop = np.full_like(colour, random.integers(256))
    share = alpha[..., None].astype(np.float32) / 255
    colour = (colour * share + backdrop * (1 - share)).astype(np.float32)
    if random.random() < _EXPOSED:
        colour *= np.exp(random.normal(0, _EXPOSURE) + random.normal(0, _TINT, 3)).astype(np.float32)
    colour = np.clip(np.round(colour), 0, 255).astype(np.uint8)
    if random.random() < _PRESSED:
        stream = io.BytesIO()
        Image.fromarray(colour, "RGB").save(stream, "JPEG", quality=int(random.integers(*_QUALITY)))
        colour = np.asarray(Image.open(stream).convert("RGB"))
    if random.random() < _EDGED:
        size = int(random.integers(1, _EDGE + 1)) * 2 + 1
        move = ndimage.grey_dilation if random.random() < 0.5 else ndimage.grey_erosion
        moved = move(alpha, size=(size, size))
        alpha = moved if (moved > 127).sum() > 0.5 * (alpha > 127).sum() else alpha  # thin things must not vanish
    if random.random() < _BITTEN:
        alpha = _bitten(alpha, random)
    if random.random() < _SOFT:
        alpha = ndimage.gaussian_filter(alpha, random.uniform(0.3, _SOFTNESS))
    return np.dstack([colour, alpha]) if (alpha > 127).any() else picture


def _bitten(alpha: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Without a small disc, somewhere at the object's edge."""
    inside = alpha > 127
    rows, columns = np.nonzero(inside & ~np.roll(inside, 1, axis=int(random.integers(2))))
    if not len(rows):
        return alpha
    place = random.integers(len(rows))
    y, x = np.ogrid[: alpha.shape[0], : alpha.shape[1]]
    radius = _BITE * max(alpha.shape) * random.uniform(0.3, 1)
    return np.where((y - rows[place]) ** 2 + (x - columns[place]) ** 2 < radius**2, 0, alpha).astype(np.uint8)
