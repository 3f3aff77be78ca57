"""Textures of files that name pictures beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.beside import Beside, spellings
from render.formats.patch import Reading
from render.picture import decode
from render.texture import Texture, Wrap
from viewmask.errors import ViewmaskError


def pixels_of(name: str | bytes, beside: Beside, reading: Reading) -> NDArray[np.uint8] | None:
    """The picture that a mesh calls `name`, uint8 [height, width, 4]; None where it may be left out with a note.

    Raises:
        ViewmaskError: missing or unreadable, and the reading is not lenient.
    """
    try:
        data = beside.find(name)
        return decode(data, (spellings(name) or [str(name)])[0])
    except ViewmaskError as error:
        reading.lacks(f"the texture {error}" if "is missing" in str(error) else str(error))
        return None


def texture_of(
    name: str | bytes, beside: Beside, reading: Reading, wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
) -> Texture | None:
    """The texture that a mesh calls `name`; None and errors as for `pixels_of`."""
    pixels = pixels_of(name, beside, reading)
    return None if pixels is None else Texture.of(pixels, wrap)


def with_alpha(colour: NDArray[np.uint8] | None, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture [height, width, 4] (white if None) with the alpha that a mask says: its own, or its brightness."""
    share = mask[..., 3] if mask[..., 3].min() < 255 else mask[..., :3].max(axis=2)
    if colour is None:
        colour = np.full((*share.shape, 4), 255, dtype=np.uint8)
    if share.shape != colour.shape[:2]:  # both as large as the larger one
        height, width = np.maximum(share.shape, colour.shape[:2]).tolist()
        size = (width, height)
        share = np.asarray(Image.fromarray(share).resize(size, Image.Resampling.BILINEAR))
        colour = np.asarray(Image.fromarray(colour[..., :3]).resize(size, Image.Resampling.BILINEAR))
    return np.dstack([colour[..., :3], share])
