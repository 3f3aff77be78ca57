"""Textures: pictures that surfaces wear. They stay sRGB bytes in memory and become linear light where they are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Wrap = Literal["repeat", "clamp", "mirror"]
_Value = Callable[[NDArray[np.uint8]], Floats]  # of texels [n, 4]

_CODES = np.arange(256) / 255
_LINEAR_OF_BYTE = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_FRACTION_OF_BYTE = _CODES.astype(np.float32)
_STEPS = np.arange(65536) / 65535
_BYTE_OF_LINEAR = np.round(
    255 * np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def to_linear(srgb: ArrayLike) -> Floats:
    """sRGB bytes to linear light, float32 in [0, 1] (IEC 61966-2-1)."""
    return _LINEAR_OF_BYTE[np.asarray(srgb, dtype=np.uint8)]


def to_srgb(linear: ArrayLike) -> NDArray[np.uint8]:
    """Linear light to sRGB bytes; values outside [0, 1] are clipped."""
    steps = np.clip(np.asarray(linear, dtype=np.float32), 0, 1) * np.float32(65535) + np.float32(0.5)
    return _BYTE_OF_LINEAR[steps.astype(np.uint16)]


@dataclass(frozen=True, eq=False)
class Texture:
    """A picture, and how it goes on beyond its borders.

    Attributes:
        pixels: sRGB and straight alpha, uint8 [height, width, 4], first row on top. Textures may share them.
        wrap: how it goes on along u and along v: "repeat", "clamp" (the border's colour) or "mirror".
        smooth: whether colours between texels are interpolated; else the nearest texel's is taken.
    """

    pixels: NDArray[np.uint8]
    wrap: tuple[Wrap, Wrap] = ("repeat", "repeat")
    smooth: bool = True

    @classmethod
    def of(cls, picture: ArrayLike, wrap: tuple[Wrap, Wrap] = ("repeat", "repeat"), smooth: bool = True) -> Texture:
        """The texture of an sRGB picture, uint8 [height, width, 3 or 4]."""
        pixels = np.asarray(picture, dtype=np.uint8)
        if pixels.shape[2] == 3:
            pixels = np.concatenate([pixels, np.full_like(pixels[..., :1], 255)], axis=2)
        return cls(np.ascontiguousarray(pixels), wrap, smooth)

    def colour(self, uv: Floats) -> Floats:
        """Linear colours [n, 3] at `uv` [n, 2] (origin lower left)."""
        return self._between(uv, lambda texels: _LINEAR_OF_BYTE[texels[:, :3]])

    def alpha(self, uv: Floats) -> Floats:
        """Alpha [n] in 0 to 1 at `uv` [n, 2] (origin lower left)."""
        return self._between(uv, lambda texels: _FRACTION_OF_BYTE[texels[:, 3:]])[:, 0]

    def some_alpha(self, least: int, low: Floats, high: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whether any, and whether all texels have an alpha byte of at least `least`, in each of n boxes; [n] each.

        Args:
            low, high: corners of the boxes in texture coordinates, [n, 2]. A box that is not within one repetition
                of the picture counts as reaching over all of it.
        """
        enough = self.pixels[..., 3] >= least
        if enough.all() or not enough.any():
            same = np.full(len(low), bool(enough.flat[0]))
            return same, same
        height, width = enough.shape
        sums = np.zeros((height + 1, width + 1), dtype=np.int32)
        np.cumsum(np.cumsum(enough, axis=0, dtype=np.int32), axis=1, out=sums[1:, 1:])
        left, right = _covered(low[:, 0], high[:, 0], width, self.wrap[0])
        bottom, top = _covered(low[:, 1], high[:, 1], height, self.wrap[1])
        top, bottom = height - top, height - bottom
        count = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        return count > 0, count == (bottom - top) * (right - left)

    def _between(self, uv: Floats, value: _Value) -> Floats:
        """The values of texels, interpolated at `uv`."""
        height, width = self.pixels.shape[:2]
        x, y = _wrapped(uv[:, 0], self.wrap[0]) * width, (1 - _wrapped(uv[:, 1], self.wrap[1])) * height
        whole = self.pixels.reshape(-1, 4).view(np.uint32)[:, 0]  # a texel is fetched at once

        def at(row: NDArray[np.int64], column: NDArray[np.int64]) -> Floats:
            return value(whole[row + column].view(np.uint8).reshape(-1, 4))

        if not self.smooth:
            return at(np.minimum(y.astype(np.int64), height - 1) * width, np.minimum(x.astype(np.int64), width - 1))
        left, right, right_share = _neighbours(x, width, self.wrap[0])
        above, below, low_share = _neighbours(y, height, self.wrap[1])
        above, below = above * width, below * width
        left_share, high_share = 1 - right_share, 1 - low_share
        upper = at(above, left) * left_share + at(above, right) * right_share
        lower = at(below, left) * left_share + at(below, right) * right_share
        return (upper * high_share + lower * low_share).astype(np.float32, copy=False)


def _wrapped(place: Floats, wrap: Wrap) -> Floats:
    """Places along an axis, the whole picture being 1, brought into the picture."""
    if wrap == "repeat":
        return place - np.floor(place)
    if wrap == "clamp":
        return np.clip(place, 0, 1)
    folded: Floats = 1 - np.abs(place - 2 * np.floor(place / 2) - 1)
    return folded


def _neighbours(x: Floats, size: int, wrap: Wrap) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
    """The two texels around places along an axis, and the second one's share [n, 1]."""
    x = x - np.float32(0.5)
    first = np.floor(x)
    share: Floats = (x - first)[:, None]
    left = first.astype(np.int64)
    if wrap == "repeat":
        return left % size, (left + 1) % size, share
    return np.clip(left, 0, size - 1), np.clip(left + 1, 0, size - 1), share


def _covered(low: Floats, high: Floats, size: int, wrap: Wrap) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First texel, and the one after the last, that look-ups between `low` and `high` along an axis can meet."""
    start = np.floor(low) if wrap == "repeat" else np.zeros_like(low)
    if wrap == "clamp":
        low, high = np.clip(low, 0, 1), np.clip(high, 0, 1)
    inside = (low >= start) & (high <= start + 1)
    first = np.clip(np.floor((low - start) * size - 0.5), 0, size - 1)
    last = np.clip(np.floor((high - start) * size + 0.5), 0, size - 1)
    return np.where(inside, first, 0).astype(np.int64), np.where(inside, last + 1, size).astype(np.int64)
