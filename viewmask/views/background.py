"""Background: what of a picture is the object, by its alpha channel or by a plain background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.picture import Picture, inside

Mask = NDArray[np.bool_]

# An object fills less of its picture. Where more is opaque, transparency tells of something else: a stray pixel, a rim
# of a pixel, round corners.
_FILLED = 0.9
_FRAMED = 0.6  # of a picture is a photo in a frame; what is smaller may be a box, seen from its front
_TRANSPARENT = 0.005  # and a share of this and below is nobody's doing

# Distances are in 8-bit steps of RGB. Below the floor no noise is expected to matter; above the
# ceiling a border pixel shows something, whatever the noise of the rest.
_FLOOR, _CEILING = 14.0, 42.0
_PLAIN_SHARE = 0.8
_ONE_COLOUR = 4  # largest difference of a channel; a camera's corners alone differ by more
_DARKEST_SHADOW = 0.72
_SHADOW_SLOPE = 5.0
_SMALLEST_PART = 0.02
_SPECK = 0.002
_FAINT = 4.0  # a soft part that joins two others differs at least so much from the background

# A cut-out is doubtful ...
_BORDER = 0.5  # where it touches more of the picture's border than this,
_HOLLOW = 0.25  # or fills less of what lies between its edges,
_GLASS = 0.05  # or is half transparent in more than this share of it, edges left out;
_THIN, _CORE = 0.025, 0.002  # or has next to nothing thicker than this share of its longest side:
_THIN_PARTS, _MANY = 0.05, 5  # fragments are many and thin.


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
    labels, sizes = _parts(solid)
    large = sizes >= max(_SMALLEST_PART * sizes.max(initial=0), 16)
    large[0] = False
    if not large.any():
        return np.zeros((height, width), np.uint8)
    # The opening rounded corners off: give back what is connected to a large part.
    kept = ndimage.binary_dilation(large[labels], np.ones((3, 3)), iterations=2) & ~flooded
    if large.sum() > 1:
        kept |= _bridges(colour - background, brightness, np.where(large[labels], labels, 0), flooded)
    return _soft_edge(colour, background, kept)


def is_cut_out(picture: Picture) -> bool:
    """Whether a picture's alpha tells its object, the one rule of all rooms.

    It does where it leaves out a tenth of the picture or more. A stray transparent pixel, a rim around a photo, round
    corners, bars above and below, or one alpha all over tell nothing.

    Args:
        picture: uint8 RGBA [height, width, 4].
    """
    solid = inside(picture[..., 3])
    share = float(solid.mean())
    if share > _FILLED:
        return False
    if share < 0.4:
        return True
    rows, columns = np.asarray(solid.any(1)), np.asarray(solid.any(0))
    if share < 0.99 * rows.mean() * columns.mean():
        return True
    # A rectangle: a photo with bars (it reaches two opposite borders alone), or in a frame of one width?
    margins = np.array([rows.argmax(), rows[::-1].argmax(), columns.argmax(), columns[::-1].argmax()])
    frame = share > _FRAMED and np.ptp(margins) <= 0.02 * max(solid.shape)
    return not (rows.all() != columns.all() or frame)


def is_flat(picture: Picture) -> bool:
    """Whether a picture's border is of one colour, as in drawings, renderings and edited photos, and in few others.

    Args:
        picture: uint8 [height, width, 3 or 4]; an alpha channel is ignored.
    """
    colour = np.asarray(picture)[..., :3].astype(np.int16)
    border = np.concatenate([colour[0], colour[-1], colour[:, 0], colour[:, -1]])
    away = np.abs(border - np.median(border, axis=0)).max(axis=-1)
    return bool((away <= _ONE_COLOUR).mean() >= _PLAIN_SHARE)


def cut_out(picture: Picture) -> Picture:
    """A picture with the alpha of its object: its own (see `is_cut_out`), or that of a plain background.

    A picture of nothing but background comes back transparent all over.

    Args:
        picture: uint8 RGBA [height, width, 4].

    Raises:
        ViewmaskError: it is no cut-out, and its background is not plain.
    """
    if is_cut_out(picture):
        return picture
    solid = inside(picture[..., 3])
    box = _box(solid)
    keyed = key_background(picture[box])
    framed = bool((~solid).mean() > _TRANSPARENT)
    if framed and (keyed is None or not keyed.any()):
        return picture  # it fills its picture
    if keyed is None:
        raise ViewmaskError(
            "it has no transparency and no plain background: cut the object out first (any background remover that "
            "writes a PNG with transparency), or photograph it against a plain wall"
        )
    alpha = np.zeros(solid.shape, np.uint8)
    alpha[box] = np.where(solid[box], keyed, 0)
    return np.concatenate([picture[..., :3], alpha[..., None]], axis=-1)


def cut_notes(picture: Picture, cut: Picture | None = None) -> list[str]:
    """What people should know of a cut-out, a line each: what of it looks as if it went wrong.

    Args:
        picture: as it was given.
        cut: what `cut_out` made of it, if that is known.

    Raises:
        ViewmaskError: as `cut_out`.
    """
    cut = cut_out(picture) if cut is None else cut
    keyed, alpha = cut is not picture, cut[..., 3]
    solid = inside(alpha)
    if not solid.any():
        return []
    notes = []
    if _border_share(solid) > _BORDER:
        notes.append(
            "what is kept touches most of the picture's border: is the mask the wrong way round, or is the object "
            "cut off?"
        )
    if keyed and _main(_parts(solid)[1]).sum() > 1:
        notes.append(
            "the background was cut away, and what is left falls into pieces: if they are one object, cut it out with "
            "another tool"
        )
    if keyed and solid.sum() < _HOLLOW * _between(solid).sum():
        notes.append("the background was cut away, and what is left is hollow: cut the object out with another tool")
    if _is_glass(cut):
        notes.append("the object is half transparent: it is taken for solid")
    return notes


def is_fragments(cut: Picture) -> bool:
    """Whether a cut-out is no object, but thin fragments: scribbles, writing, what a failed cut leaves.

    Args:
        cut: uint8 RGBA [height, width, 4], as `cut_out` gives it.
    """
    from scipy import ndimage

    solid = inside(cut[..., 3])
    if not solid.any():
        return False
    _, sizes = _parts(solid)
    main = _main(sizes)
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    length = max(np.ptp(rows), np.ptp(columns)) + 1
    many = main.sum() > _MANY
    depth = ndimage.distance_transform_edt(np.pad(solid, 1)) * 2 / length
    core = float((depth > (_THIN_PARTS if many else _THIN)).sum() / solid.sum())
    return core < _CORE or bool(many and sizes[1:].max() < 0.1 * sizes[1:].sum())


def without_specks(cut: Picture) -> Picture:
    """A cut-out less its specks: parts that are tiny beside the largest. The very same picture if it has none.

    Args:
        cut: uint8 RGBA [height, width, 4], as `cut_out` gives it.
    """
    solid = inside(cut[..., 3])
    labels, sizes = _parts(solid)
    main = _main(sizes, _SPECK)
    if main.sum() == (sizes > 0).sum():
        return cut
    kept, large = main[labels], _parts(cut[..., 3] > 0)[0]
    soft = np.isin(large, np.unique(large[kept]))  # edges and shadows go with the part that they belong to
    return np.concatenate([cut[..., :3], np.where(soft & ~(solid & ~kept), cut[..., 3], 0)[..., None]], axis=-1)


def solidified(cut: Picture) -> Picture:
    """A cut-out whose object is opaque inside: glass counts as solid. The very same picture if it is no glass."""
    alpha = cut[..., 3]
    if not _is_glass(cut):
        return cut
    seen = _seen(cut)
    level = max(float(np.percentile(alpha[_inner(seen)], 5)) if _inner(seen).any() else float(alpha.max()), 1.0)
    solid = np.where(seen, np.clip(np.round(alpha * (255 / level)), 0, 255), alpha).astype(np.uint8)
    return np.concatenate([cut[..., :3], solid[..., None]], axis=-1)


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


def _box(solid: Mask) -> tuple[slice, slice]:
    """The rows and columns that are opaque for the most part, less a pixel where something else lies around them."""
    result = []
    for axis in (1, 0):
        share = solid.mean(axis=axis)
        lines = np.flatnonzero(share > 0.5 * share.max(initial=0))
        start, stop = (int(lines[0]), int(lines[-1]) + 1) if len(lines) else (0, len(share))
        result.append(slice(start + (start > 0), max(stop - (stop < len(share)), start + 1)))
    return result[0], result[1]


def _parts(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """A mask's connected parts: their numbers from 1 on [height, width], and their sizes (0 for what is no part)."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    sizes = np.bincount(labels.ravel(), minlength=1)
    sizes[0] = 0
    return labels, sizes


def _main(sizes: NDArray[np.int64], share: float = _SMALLEST_PART) -> Mask:
    """Which parts are at least such a share of the largest."""
    main = sizes >= max(share * sizes.max(initial=0), 1)
    main[0] = False
    return np.asarray(main)


def _bridges(
    away: NDArray[np.float32], brightness: NDArray[np.float32], parts: NDArray[np.int32], flooded: Mask
) -> Mask:
    """Soft parts, brighter than the background, that join two others; a shadow, which is darker, joins nothing.

    Args:
        away: colours less the background, [height, width, 3].
        brightness: as a share of the background's.
        parts: the numbers of the parts that are kept, 0 elsewhere.
        flooded: what would be let go.
    """
    from scipy import ndimage

    smooth = np.linalg.norm(ndimage.gaussian_filter(away, (1.5, 1.5, 0)), axis=-1)
    kept = parts > 0
    between = _between(kept)
    soft = (smooth > _FAINT) & (ndimage.gaussian_filter(brightness, 1.5) > 1) & flooded & between
    labels, count = ndimage.label(soft & ~_touching_border(soft))
    near = ndimage.grey_dilation(parts, size=(7, 7))
    bridges = np.zeros(count + 1, bool)
    for number, place in enumerate(ndimage.find_objects(labels), 1):
        met = near[place][labels[place] == number]
        bridges[number] = len(np.unique(met[met > 0])) > 1
    bridge = bridges[labels]
    if not bridge.any():
        return bridge
    gaps = ndimage.binary_closing(bridge | kept, iterations=3) & ndimage.binary_dilation(bridge, iterations=3)
    return np.asarray(bridge | (gaps & flooded & between))


def _between(mask: Mask) -> Mask:
    """What has some of a mask above and below it, or left and right of it."""
    across = []
    for axis in (0, 1):
        before = np.logical_or.accumulate(mask, axis)
        behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
        across.append(before & behind)
    return np.asarray(across[0] | across[1])


def _border_share(solid: Mask) -> float:
    return float(np.concatenate([solid[0], solid[-1], solid[:, 0], solid[:, -1]]).mean())


def _seen(cut: Picture) -> Mask:
    """Where there is anything but shadow: a shadow is black, and mostly transparent."""
    alpha = cut[..., 3]
    return np.asarray((alpha >= 16) & ((alpha >= 128) | (cut[..., :3].max(axis=-1) > 40)))


def _inner(seen: Mask) -> Mask:
    from scipy import ndimage

    return np.asarray(ndimage.binary_erosion(seen, np.ones((3, 3)), iterations=2))


def _is_glass(cut: Picture) -> bool:
    alpha = cut[..., 3]
    half = (alpha >= 16) & (alpha < 200)
    least = _GLASS * (alpha >= 16).sum()
    return bool(half.sum() > least and _inner(half & _seen(cut)).sum() > least)  # mostly not, and quickly told


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
