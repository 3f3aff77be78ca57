"""Colour transfer: the broad colours of one picture, with the outline and edges of another.

A refiner that hardly saw purple sofas turns them brown, though the coarse tokens said purple. What is broad in the
difference of both pictures is the colour that was lost; what is narrow is the edges that were won. Restorers of
photos, who have the same trouble, part them by wavelets (StableSR, Wang et al., arXiv 2305.07015); here a Gaussian
does it, of what both pictures show.
"""

from __future__ import annotations

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture

# Standard deviation in pixels of what counts as broad, a quarter of a coarse token's side. From 4 to 32 sentences show
# their colours equally often; less brings back the coarse picture's grain, more leaves out its windows and wheels.
BROAD = 8.0
_SHARE = 0.05  # where both pictures show less than this around a pixel, its colour stays more and more as it is


def with_colours_of(picture: Picture, other: Picture) -> Picture:
    """A picture with the broad colours of another; its alpha stays.

    Args:
        picture, other: uint8 RGBA, straight alpha, equally large.

    Raises:
        ViewmaskError: pictures of different sizes.
    """
    from scipy import ndimage

    if picture.shape != other.shape:
        raise ViewmaskError(f"pictures of one size are needed, not {picture.shape[:2]} and {other.shape[:2]}")
    fine, broad = (each.astype(np.float32) / 255 for each in (picture, other))
    both = np.minimum(fine[..., 3:], broad[..., 3:])
    blurred = ndimage.gaussian_filter(
        np.concatenate([(broad[..., :3] - fine[..., :3]) * both, both], axis=-1), (BROAD, BROAD, 0)
    )
    change = blurred[..., :3] / np.maximum(blurred[..., 3:], _SHARE)
    colours = np.clip(fine[..., :3] + change, 0, 1)
    return np.concatenate([np.round(colours * 255).astype(np.uint8), picture[..., 3:]], axis=-1)
