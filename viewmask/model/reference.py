"""Reference: a picture as a reference view, the object cut out and framed. Training and use both go this way."""

from __future__ import annotations

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.views.background import cut_out, is_fragments, solidified, without_specks
from viewmask.views.conventions import SIZE
from viewmask.views.picture import Picture, inside, resize, shrunk

# Longest side of the object in a view of a unit cube's worth of object at distance 1.5, as a share of
# the picture: the median of the training renderings.
EXTENT = 0.74


def reference_view(picture: Picture, frame: bool = True) -> Picture:
    """A photo as a reference view, uint8 RGBA [256, 256, 4].

    Args:
        picture: uint8 RGBA [height, width, 4]; its alpha, or a plain background, tells the object.
        frame: centre the object and scale it to one size, for a photo tells no scale; otherwise the picture, a view
            already, is only made square.

    Raises:
        ViewmaskError: no alpha and no plain background, nothing in the picture, or only thin fragments.
    """
    if not inside(picture[..., 3]).any():
        raise ViewmaskError("the picture shows nothing: it is transparent all over")
    try:
        picture = without_specks(solidified(cut_out(shrunk(picture))))
    except ViewmaskError as error:
        raise ViewmaskError(f"the picture cannot be used: {error}") from error
    rows, columns = (np.flatnonzero(inside(picture[..., 3]).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ViewmaskError("the picture shows nothing: nothing in it stands out from its plain background")
    if is_fragments(picture):
        raise ViewmaskError(
            "the picture shows thin fragments, not an object: cut the object out first (any background remover that "
            "writes a PNG with transparency), or photograph it against a plain wall"
        )
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    if frame:
        side = round(max(bottom - top, right - left) / EXTENT)
        centre = (top + bottom) / 2, (left + right) / 2
    else:
        side = max(picture.shape[:2])
        centre = picture.shape[0] / 2, picture.shape[1] / 2
    return resize(square(picture, side, centre), SIZE)


def square(picture: Picture, side: int, centre: tuple[float, float]) -> Picture:
    """The square of `side` pixels around `centre` (row, column), transparent beyond the picture."""
    top, left = round(centre[0] - side / 2), round(centre[1] - side / 2)
    square = np.zeros((side, side, 4), dtype=np.uint8)
    height, width = picture.shape[:2]
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = picture[rows, columns]
    return square
