"""Background: what of a picture is the object, by its alpha channel or by a plain background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture

SOLID = 250  # alpha at and above this shows no background

# Distances are in 8-bit steps of RGB. Below the floor no noise is expected to matter; above the
# ceiling a border pixel shows something, whatever the noise of the rest.
_FLOOR, _CEILING = 14.0, 42.0
_PLAIN_SHARE = 0.8
_DARKEST_SHADOW = 0.72
_SHADOW_SLOPE = 5.0
_SMALLEST_PART = 0.02


def key_background(picture: Picture) -> NDArray[np.uint8] | None:
    """Alpha of the object before a plain background, by flooding from the picture's border.

    The background is a smooth (quadratic) colour fitted to the border, so gentle gradients pass;
    soft shadows on it are let go too. Parts of the object in the background's colour stay as long
    as the border does not reach them. Edges are soft: the share of the object's colour in a pixel.

    Args:
        picture: uint8 [height, width, 3 or 4]; an alpha channel is ignored.

    Returns:
        uint8 [height, width] (all zero: nothing but background), or None if the border is not plain.
    """
    from scipy import ndimage

    colour = np.asarray(picture)[..., :3].astype(np.float32)
    height, width = colour.shape[:2]
    if min(height, width) < 8:
        return None
    background, tolerance = _plain_background(colour)
    if background is None:
        return None
    away = np.linalg.norm(colour - background, axis=-1)

    # A shadow is the background's colour, darker, and without an edge.
    brightness = (colour * background).sum(-1) / np.maximum((background**2).sum(-1), 1)
    tinted = np.linalg.norm(colour - brightness[..., None] * background, axis=-1)
    soft = ndimage.gaussian_filter(colour.mean(-1), 1.0)
    slope = np.hypot(ndimage.sobel(soft, 0), ndimage.sobel(soft, 1)) / 8
    shadow = (tinted < tolerance) & (brightness > _DARKEST_SHADOW) & (brightness < 1.05) & (slope < _SHADOW_SLOPE)

    flooded = _touching_border((away < tolerance) | shadow)
    # Rings of compression around the object are neither: close them from the outside.
    solid = ndimage.binary_opening(~flooded, iterations=1) if min(height, width) >= 64 else ~flooded
    labels, count = ndimage.label(solid, np.ones((3, 3)))
    if not count:
        return np.zeros((height, width), np.uint8)
    sizes = np.bincount(labels.ravel())[1:]
    large = np.concatenate([[False], sizes >= max(_SMALLEST_PART * sizes.max(), 16)])
    if not large.any():
        return np.zeros((height, width), np.uint8)
    # The opening rounded corners off: give back what is connected to a large part.
    kept = ndimage.binary_dilation(large[labels], np.ones((3, 3)), iterations=2) & ~flooded
    return _soft_edge(colour, background, kept)


def cut_out(picture: Picture, transparent: float = 0.005) -> Picture:
    """A picture with the alpha of its object: its own, or that of a plain background.

    Args:
        picture: uint8 RGBA [height, width, 4].
        transparent: a picture of which no larger share is transparent is no cut-out, whatever its few pixels say.

    Raises:
        ViewmaskError: it is no cut-out, and its background is not plain.
    """
    if (picture[..., 3] < SOLID).mean() > transparent:
        return picture
    alpha = key_background(picture)
    if alpha is None:
        raise ViewmaskError(
            "it has no transparency and no plain background: cut the object out first (any background remover that "
            "writes a PNG with transparency), or photograph it against a plain wall"
        )
    return np.concatenate([picture[..., :3], alpha[..., None]], axis=-1)


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


def _plain_background(colour: NDArray[np.float32]) -> tuple[NDArray[np.float32] | None, float]:
    """The border's colour as a quadratic over the picture, and the distance that noise reaches."""
    height, width = colour.shape[:2]
    ring = max(2, round(0.015 * min(height, width)))
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = 2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1
    border = np.ones((height, width), bool)
    border[ring:-ring, ring:-ring] = False
    samples = colour[border]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    inside = np.linalg.norm(samples - np.median(samples, axis=0), axis=-1) < 2 * _CEILING
    for _ in range(4):
        if inside.mean() < _PLAIN_SHARE:
            return None, 0.0
        weights, *_ = np.linalg.lstsq(terms[border][inside], samples[inside], rcond=None)
        misses = np.linalg.norm(samples - terms[border] @ weights, axis=-1)
        noise = float(np.percentile(misses[inside], 90))
        tolerance = float(np.clip(2.5 * noise, _FLOOR, _CEILING))
        inside = misses < tolerance
    if inside.mean() < _PLAIN_SHARE:
        return None, 0.0
    # Away from the border a quadratic may run off: stay within the colours that the border has.
    low, high = np.percentile(samples[inside], [1, 99], axis=0)
    return np.clip(terms @ weights, low, high).astype(np.float32), tolerance


def _touching_border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, np.unique(edge[edge > 0]))


def _soft_edge(
    colour: NDArray[np.float32], background: NDArray[np.float32], kept: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Alpha in a narrow band along the edge: where the colour lies between both sides."""
    from scipy import ndimage

    # Compression smears colour over two pixels; small pictures have none to spare.
    depth = 2 if min(kept.shape) >= 96 else 1
    core = ndimage.binary_erosion(kept, iterations=depth + 1, border_value=1)
    if not core.any():
        return np.where(kept, 255, 0).astype(np.uint8)
    band = ndimage.binary_dilation(kept) & ~ndimage.binary_erosion(kept, iterations=depth, border_value=1)
    away, nearest = ndimage.distance_transform_edt(~core, return_indices=True)
    contrast = colour[tuple(nearest)] - background
    share = ((colour - background) * contrast).sum(-1) / np.maximum((contrast**2).sum(-1), 1)
    # Without contrast, or far from any core, the share is noise: the hard edge is the better guess.
    clear = ((contrast**2).sum(-1) > (2 * _FLOOR) ** 2) & (away <= 2 * depth + 2)
    alpha = np.where(band & clear, np.clip(share, 0, 1), kept)
    return np.round(255 * alpha).astype(np.uint8)
