"""Pictures that meshes wear: any file that Pillow reads as sRGB bytes with straight alpha."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from render.ceiling import claim
from viewmask.errors import ViewmaskError


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """The pixels of a picture file, uint8 [height, width, 4], first row on top.

    16 bits and floats in 0 to 1 are scaled to 8. Exif's turn is left alone, as every reader of meshes does.

    Raises:
        ViewmaskError: no picture, cut off, damaged, or of a size above the ceiling.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = _open(data)
        claim(image.width * image.height * 8, f"the picture {name} ({image.width} x {image.height})")
        image.load()
        return _bytes(image)
    except ViewmaskError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, TypeError, KeyError, IndexError, ArithmeticError) as error:
        reason = " ".join(str(error).split())
        # Pillow's line names a buffer in memory, which tells nobody anything.
        if isinstance(error, Image.UnidentifiedImageError) or not reason:
            reason = "not a picture that Pillow knows"
        raise ViewmaskError(f"cannot read the picture {name}: {reason[:120]}") from error


def _open(data: bytes) -> Image.Image:
    """Open without Pillow's own limit on size: the ceiling is ours."""
    limit = Image.MAX_IMAGE_PIXELS
    try:
        Image.MAX_IMAGE_PIXELS = None
        return Image.open(io.BytesIO(data))
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _bytes(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image).astype(np.float64)
        if image.mode != "F":
            values = values / (65535 if values.max(initial=0) > 255 or image.mode != "I" else 255)
        grey = np.round(255 * np.clip(np.nan_to_num(values), 0, 1)).astype(np.uint8)
        return np.dstack([grey, grey, grey, np.full_like(grey, 255)])
    with suppress(ValueError):
        return np.array(image.convert("RGBA"))
    return np.array(image.convert("RGB").convert("RGBA"))
