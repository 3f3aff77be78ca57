"""The object cut out of a system's picture before white, so that nothing of the picture is lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewmask.views.background import key_background
from viewmask.views.viewset import Picture


def from_white(rgb: NDArray[np.uint8]) -> Picture:
    """RGBA of a picture without alpha: composited on white it is the same picture again (to one 8-bit step).

    Alpha is the object's as `key_background` finds it, but never less than the pixel's darkness needs: noise and
    shadows before the object keep a little alpha, so that they count in every colour metric as they would without
    cutting. A picture with no plain background stays opaque.

    Args:
        rgb: uint8 [height, width, 3].
    """
    keyed = key_background(rgb)
    if keyed is None:
        return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], axis=-1)
    needed = 255 - rgb.min(axis=-1)
    alpha = np.maximum(keyed, needed)[..., None]
    share = np.maximum(alpha, 1).astype(np.float32) / 255
    colour = (rgb - (1 - share) * 255) / share
    colour = np.where(alpha > 0, np.clip(np.round(colour), 0, 255), 0).astype(np.uint8)
    return np.concatenate([colour, alpha], axis=-1)
