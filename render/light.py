"""Lights that a surface can stand in: what shines from where. How it is computed is each engine's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# What the sky gives, in linear light; unlit, what a white surface itself gives. SyncDreamer's world is grey 0.5.
STRENGTH: dict[str, float] = {"none": 1.0, "uniform": 0.5, "studio": 1.0}

# SyncDreamer's script (blender_script.py) leaves the lamp of Blender's start scene standing: 1000 W, here.
LAMP = np.array([4.0762, 1.0055, 5.9039])
LAMP_WATTS = 1000.0
# A point lamp of power P lends a white surface that faces it the radiance P / (4 pi^2 distance^2); by the sky's 0.5:
LAMP_LEVEL = LAMP_WATTS / (4 * np.pi**2) / STRENGTH["uniform"]

# Blender's view transform "Filmic", which the same script leaves on: the display value of grey at the scene's
# linear 2^-11, 2^-8.5, 2^-7.5 ... 2^1.5, read off Blender 4.2. Colour channels do not mix below 1.
FILMIC_STOPS = np.array([-11.0, -8.5, -7.5, -6.5, -5.5, -4.5, -3.5, -2.5, -1.5, -0.5, 0.5, 1.5])
FILMIC = np.array([0.0, 0.039, 0.067, 0.108, 0.169, 0.255, 0.366, 0.497, 0.631, 0.754, 0.853, 0.92])


@dataclass(frozen=True)
class Studio:
    """Three area lights and a little ambient light; levels are what a white surface gives back.

    Attributes:
        key: unit vector towards the key light, which alone casts a (soft) shadow, float32 [3].
        fill: towards the fill, on the far side of the key.
        side: towards the third light, between the two.
        softness: radius of every light over its distance.
    """

    key: NDArray[np.float32]
    key_level: float
    fill: NDArray[np.float32]
    fill_level: float
    side: NDArray[np.float32]
    side_level: float
    ambient_level: float
    softness: float = 0.25

    @classmethod
    def of_seed(cls, seed: int, azimuth: float | None = None) -> Studio:
        """The lights of a seed: the key within 80 degrees of azimuth 0, unless `azimuth` places it."""
        random = np.random.default_rng(seed)
        turn, elevation = random.uniform(-80, 80), random.uniform(25, 65)
        if azimuth is not None:
            turn = azimuth
        share = random.uniform(0.45, 0.7)
        fill = _direction(turn + 180 - random.uniform(-50, 50), 20)
        side = _direction(turn + random.choice([-1, 1]) * random.uniform(70, 110), random.uniform(30, 60))
        rest = 1 - share
        return cls(_direction(turn, elevation), 1.15 * share, fill, 0.25 * rest, side, 0.3 * rest, 0.6 * rest)


def lamp_position(azimuth: float | None) -> NDArray[np.float32]:
    """Where the lamp of "uniform" stands, [3]; turned to `azimuth` degrees unless that is None."""
    if azimuth is None:
        return LAMP.astype(np.float32)
    along, angle = np.hypot(LAMP[0], LAMP[1]), np.radians(azimuth)
    return np.array([along * np.cos(angle), along * np.sin(angle), LAMP[2]], dtype=np.float32)


def filmic(linear: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Linear light to bytes as Blender's "Filmic" shows it."""
    return np.round(255 * np.interp(np.log2(np.maximum(linear, 2.0**-11)), FILMIC_STOPS, FILMIC)).astype(np.uint8)


def _direction(azimuth: float, elevation: float) -> NDArray[np.float32]:
    az, el = np.radians(azimuth), np.radians(elevation)
    return np.array([np.cos(el) * np.cos(az), np.cos(el) * np.sin(az), np.sin(el)], dtype=np.float32)
