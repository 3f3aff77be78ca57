"""Pictures: any file that people have as 8-bit RGBA, and how a picture changes its size."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from viewmask.errors import ViewmaskError

Picture = NDArray[np.uint8]
"""uint8 RGBA [height, width, 4], straight alpha."""

AnyPicture = str | Path | IO[bytes] | Image.Image | NDArray[np.generic]
"""What people have: a file, a Pillow picture, or a uint8 array, grey, RGB or RGBA."""

LARGEST = 1024
"""Longest side of a photo before anything is done to it: views have 256 pixels, and cutting out takes time."""

_HALF = 128  # alpha at and above this is inside
_UNSEEN = 16  # a picture whose alpha stays below this shows nothing
_LABELS = 32  # a mask of no more levels than this holds labels, not shades
_DARK = 16  # a mask that is darker everywhere holds numbers, not shades
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_DEEP = ("I", "I;16", "I;16B", "I;16L", "F")
# Whatever Pillow's readers raise for a file that is broken or hostile.
_BROKEN = (
    OSError, ValueError, SyntaxError, EOFError, struct.error, IndexError, KeyError, TypeError, OverflowError,
    RuntimeError, Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip


class MissingPictureError(ViewmaskError):
    """There is no file where a picture should be."""


def read_picture(path: str | Path | IO[bytes], upright: bool = False, largest: int | None = None) -> Picture:
    """Read any picture that Pillow knows as uint8 RGBA [height, width, 4], sRGB.

    16-bit greys are scaled, palettes, CMYK and colour profiles are converted, of an animation the first picture is
    taken. What the file says beside its pixels (EXIF, profiles) ends here.

    Args:
        upright: turn the picture as its EXIF orientation says. Photos want that; posed views do not, because COLMAP
            counts pixels as they are stored.
        largest: shrink a longer side to so many pixels, before anything else that takes memory.

    Raises:
        MissingPictureError: no such file.
        ViewmaskError: unreadable, truncated, larger than Pillow's limit, or no picture.
    """
    name, called = (path, f"the picture {path}") if isinstance(path, str | Path) else ("the picture",) * 2
    try:
        with _bounded(), _opened(path) as image:
            return _rgba(image, upright, largest)
    except FileNotFoundError as error:
        raise MissingPictureError(f"no picture at {name}") from error
    except IsADirectoryError as error:
        raise ViewmaskError(f"{name} is a folder: name one picture in it") from error
    except UnidentifiedImageError as error:
        if _is_heif(path):
            raise ViewmaskError(f"{name} is a HEIC photo: pip install pillow-heif lets it be read") from error
        raise ViewmaskError(f"{name} is no picture that can be read here: give a PNG, JPEG, WebP or TIFF") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ViewmaskError(f"cannot read {called}: it has too many pixels: shrink it first") from error
    except _BROKEN as error:
        raise ViewmaskError(f"cannot read {called}: {error}") from error


def picture_of(source: AnyPicture, largest: int = LARGEST) -> Picture:
    """What people have as a picture, uint8 RGBA [height, width, 4], upright and at most `largest` pixels long.

    Raises:
        ViewmaskError: as `read_picture`, or an array that is no picture.
    """
    if isinstance(source, Image.Image):
        try:
            return _rgba(source, True, largest)
        except _BROKEN as error:
            raise ViewmaskError(f"cannot read the picture: {error}") from error
    if not isinstance(source, np.ndarray):
        return read_picture(source, upright=True, largest=largest)
    grey = source.ndim == 2
    if source.dtype != np.uint8 or not (grey or (source.ndim == 3 and source.shape[2] in (1, 3, 4))) or not source.size:
        raise ViewmaskError(
            f"a picture is a uint8 array [height, width, 1, 3 or 4], not {source.dtype} {list(source.shape)}"
        )
    array = source[..., 0] if not grey and source.shape[2] == 1 else source
    return shrunk(np.asarray(Image.fromarray(np.ascontiguousarray(array)).convert("RGBA")), largest)


def read_mask(path: str | Path | IO[bytes]) -> NDArray[np.uint8]:
    """Read a mask, uint8 [height, width]: 0 is left out, 255 is kept.

    Black is left out (nerfstudio's rule). What is kept may be white, 1, any label or any colour of a palette; shades
    between make a soft edge. Where the file has transparency, that is the mask.

    Raises:
        ViewmaskError: as `read_picture`.
    """
    name, called = (path, f"the mask {path}") if isinstance(path, str | Path) else ("the mask",) * 2
    try:
        with _bounded(), Image.open(path) as image:
            if image.mode in _DEEP:
                return mask_of(np.nan_to_num(np.asarray(image, np.float32)))
            palette, rgba = image.mode == "P", np.asarray(image.convert("RGBA"))
    except FileNotFoundError as error:
        raise MissingPictureError(f"no mask at {name}") from error
    except UnidentifiedImageError as error:
        raise ViewmaskError(f"cannot read {called}: it is no picture that can be read here") from error
    except _BROKEN as error:
        raise ViewmaskError(f"cannot read {called}: {error}") from error
    if (rgba[..., 3] < _HALF).any() and (rgba[..., 3] >= _HALF).any():
        return np.ascontiguousarray(rgba[..., 3])
    values = rgba[..., :3].max(axis=-1)
    coloured = palette and (rgba[..., :3].min(axis=-1) != values).any()
    return np.where(values > 0, 255, 0).astype(np.uint8) if coloured else mask_of(values)


def mask_of(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey values of a mask as 0 to 255: few levels are labels, all kept but 0; many are shades.

    Args:
        values: [height, width], or RGB(A) [height, width, 3 or 4], of which the brightest colour counts.
    """
    grey = np.asarray(values)
    if grey.ndim == 3:
        grey = grey[..., :3].max(axis=-1)
    peak = grey.max(initial=0)
    if peak <= 0:
        return np.zeros(grey.shape, np.uint8)
    whole = peak > 1 or np.array_equal(grey, np.round(grey))
    levels = np.unique(grey[:: max(1, grey.shape[0] // 256)])
    few = len(levels) <= 2 or (len(levels) <= _LABELS and peak not in (255, 65535))
    if whole and (peak < _DARK or few):
        return np.where(grey > 0, 255, 0).astype(np.uint8)
    full = 1 if peak <= 1 else 255 if peak <= 255 else 65535
    return np.clip(np.round(grey.astype(np.float32) * (255 / full)), 0, 255).astype(np.uint8)


def inside(alpha: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where a picture shows its object: at least half as opaque as it ever is. Glass is seen, too.

    Args:
        alpha: uint8 [height, width].
    """
    peak = int(alpha.max(initial=0))
    if peak < _UNSEEN:
        return np.zeros(alpha.shape, bool)
    return np.asarray(alpha >= min(_HALF, (peak + 1) // 2))


def shrunk(picture: Picture, largest: int = LARGEST) -> Picture:
    """The picture with its longest side at most so long; the very same if it is."""
    height, width = picture.shape[:2]
    if max(height, width) <= largest:
        return picture
    return np.asarray(_smaller(Image.fromarray(picture, "RGBA"), largest))


def resize(image: Picture, size: int) -> Picture:
    """Resize RGBA to `size` x `size`, weighting colour by alpha so that no fringe appears."""
    if image.shape[:2] == (size, size):
        return image
    weighted = premultiplied(image)
    resample = Image.Resampling.BOX if image.shape[0] % size == 0 else Image.Resampling.BICUBIC
    planes = [
        np.asarray(Image.fromarray(weighted[..., channel], "F").resize((size, size), resample)) for channel in range(4)
    ]
    result = np.clip(np.stack(planes, axis=-1), 0, 1)
    alpha = result[..., 3:]
    result[..., :3] = np.where(alpha > 1 / 510, result[..., :3] / np.maximum(alpha, 1 / 510), 0)
    return np.round(np.clip(result, 0, 1) * 255).astype(np.uint8)


def premultiplied(image: Picture) -> NDArray[np.float32]:
    """RGBA with its colour weighted by alpha, float32 [height, width, 4] in [0, 1]."""
    pixels = image.astype(np.float32) / 255
    pixels[..., :3] *= pixels[..., 3:]
    return np.asarray(pixels, np.float32)


def composite(image: Picture, background: float = 1.0) -> NDArray[np.float32]:
    """RGBA over a grey background, float32 RGB [height, width, 3] in [0, 1]."""
    pixels = image.astype(np.float32) / 255
    return np.asarray(pixels[..., :3] * pixels[..., 3:] + background * (1 - pixels[..., 3:]), np.float32)


@contextmanager
def _bounded() -> Iterator[None]:
    """Pillow only warns up to twice its limit of pixels; what is decoded then takes half a gigabyte and more."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _opened(path: str | Path | IO[bytes]) -> Image.Image:
    """The picture; one in HEIF (phones' HEIC) where the package pillow-heif is there."""
    try:
        return Image.open(path)
    except UnidentifiedImageError:
        if not _is_heif(path) or find_spec("pillow_heif") is None:
            raise
        import pillow_heif

        pillow_heif.register_heif_opener()
        return Image.open(path)


def _is_heif(path: str | Path | IO[bytes]) -> bool:
    """By its first bytes: a box `ftyp` that names a brand of HEIF."""
    if isinstance(path, str | Path):
        with open(path, "rb") as file:
            return _is_heif(file)
    path.seek(0)
    head = path.read(12)
    path.seek(0)
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF


# -- from files -----------------------------------------------------------------------------------------------------


def _rgba(image: Image.Image, upright: bool, largest: int | None) -> Picture:
    profile, turned = image.info.get("icc_profile"), image.getexif().get(0x0112, 1)
    if largest:
        image.draft(None, (largest, largest))  # JPEG decodes to a half, a quarter or an eighth at no cost
    if image.mode in _DEEP:
        image = _eight_bits(image)
    elif image.mode == "1" and "transparency" not in image.info:
        image = image.convert("L")
    elif image.mode in ("P", "PA", "1") or "transparency" in image.info:
        image = image.convert("RGBA")
    if largest:
        image = _smaller(image, largest)
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA", "RGBa", "La") else None
    if image.mode in ("RGBa", "La"):
        image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
    colour = image.convert(image.mode.removesuffix("A")) if image.mode in ("RGBA", "LA") else image
    colour = _srgb(colour, profile)
    if alpha is not None:
        colour.putalpha(alpha)
    if upright and turned != 1:
        colour.getexif()[0x0112] = turned
        colour = ImageOps.exif_transpose(colour)
    return np.asarray(colour.convert("RGBA"))


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of 16 or 32 bits, or in floats, as 8 bits."""
    values = np.asarray(image)
    clear = image.info.get("transparency")
    if image.mode == "F":
        values = np.nan_to_num(values)
    peak = values.max(initial=0)
    if image.mode.startswith("I;16"):
        full = 65535
    else:  # 32 bits say nothing of their range: it is the least usual one that holds them
        full = 1 if image.mode == "F" and peak <= 1 else 255 if peak <= 255 else 65535
    eight = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), 256):  # in strips: a large picture is not held as floats
        part = values[row : row + 256].astype(np.float32) * (255 / full)
        eight[row : row + 256] = np.clip(np.round(part), 0, 255)
    result = Image.fromarray(eight, "L")
    if isinstance(clear, int):
        result.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8), "L"))
    return result


def _smaller(image: Image.Image, largest: int) -> Image.Image:
    width, height = image.size
    if max(width, height) <= largest:
        return image
    share = largest / max(width, height)
    size = (max(1, round(width * share)), max(1, round(height * share)))
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=2.0)  # weighs colour by alpha


def _srgb(colour: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture as RGB in sRGB. A profile that is broken, or of other colours, is passed over, as viewers do."""
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(own):
                converted = ImageCms.profileToProfile(colour, own, ImageCms.createProfile("sRGB"), outputMode="RGB")
                if converted is not None:
                    return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError, ImportError):
            pass
    return colour.convert("RGB")
