"""Vessels that nobody made: bowls, cups, hats, boxes without a lid, a wall around a hollow, turned on a lathe.

Silhouettes do not show a hollow; what is seen of its inside and shaded there does. Few of the given objects have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from render.source import Source
from render.surface import Floats, Surface

AROUND, ALONG = 48, 16  # corners of the mesh around the axis, and along the wall
TEXTURE = 64


@dataclass(frozen=True)
class Vessel(Source):
    """One such object; what it looks like follows from `seed`."""

    seed: int = 0

    @classmethod
    def of(cls, seed: int) -> Vessel:
        """The vessel of a seed."""
        return cls(f"vessel-{seed:06}", Path(), seed=seed)

    def surface(self, up: str = "y") -> Surface:
        """A closed surface in the world, normalised; `up` changes nothing."""
        random = np.random.default_rng(self.seed)
        profile, inner = _profile(random)
        angle = np.linspace(0, 2 * np.pi, AROUND + 1)
        # Between a circle and nearly a square.
        power = 2.0 if random.random() < 0.5 else random.uniform(4, 16)
        square = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
        radius, height = profile[:, :1], np.repeat(profile[:, 1:], AROUND, axis=1)
        around = [radius * (square * wave(angle))[None, :-1] for wave in (np.cos, np.sin)]
        vertices = np.stack([*around, height], axis=-1).reshape(-1, 3)
        row, column = np.mgrid[: len(profile) - 1, :AROUND]
        here, there = row * AROUND + column, row * AROUND + (column + 1) % AROUND
        faces = np.concatenate([_ring(here, there, there + AROUND), _ring(here, there + AROUND, here + AROUND)])
        # Rows and columns of the texture: the outside is its upper half, the inside its lower.
        along = 0.5 * np.arange(len(profile)) / max(inner - 1, 1)
        along[inner:] = 0.5 + 0.5 * np.arange(len(profile) - inner) / max(len(profile) - inner - 1, 1)
        u, v = column / AROUND, 1 - along[row]
        right, below = u + 1 / AROUND, 1 - along[row + 1]
        uv = np.concatenate([_ring(u, right, right, v, v, below), _ring(u, right, u, v, below, below)])
        surface = Surface(
            vertices.astype(np.float32),
            faces.astype(np.int32),
            np.ones((len(faces), 3, 3), np.float32),
            uv.astype(np.float32),
            np.zeros(len(faces), np.int32),
            [_texture(random)],
            np.zeros((len(faces), 3, 3), np.float32),
        )
        if random.random() < 0.2:
            surface = surface.transformed(np.diag([1.0, -1, -1, 1]))  # a bell, a hat
        return surface.outward().normalised(self.id)


def _ring(*corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Three arrays of corners as [faces, 3], or six (u and v of each) as [faces, 3, 2]."""
    if len(corners) == 3:
        return np.stack(corners, axis=-1).reshape(-1, 3)
    return np.stack([np.stack(corners[:3], -1), np.stack(corners[3:], -1)], axis=-1).reshape(-1, 3, 2)


def _profile(random: np.random.Generator) -> tuple[NDArray[np.float64], int]:
    """Radius and height along the wall [n, 2], from the middle underneath over the rim to the middle of the floor
    inside, and the number of the first that is inside."""
    height = float(np.exp(random.uniform(np.log(0.3), np.log(3))))
    knots = np.clip(random.uniform(0.4, 1) + np.cumsum(random.normal(0, 0.15, 5)), 0.25, 1.4)
    outline = PchipInterpolator(np.linspace(0, height, 5), knots)
    thick = np.exp(random.uniform(np.log(0.01), np.log(0.1))) * max(2 * knots.max(), height)
    thick = min(thick, 0.4 * float(knots.min()), 0.4 * height)
    floor = min(thick * random.uniform(0.7, 2), 0.6 * height)
    up = np.linspace(0, height, ALONG)
    outer = np.stack([outline(up), up], axis=1)
    if random.random() < 0.3:  # a brim
        width, rise = random.uniform(0.1, 0.8), random.normal(0, 0.1)
        outer[-1, 1] -= thick
        outer = np.concatenate(
            [outer, [[outer[-1, 0] + width, height - thick + rise], [outer[-1, 0] + width, height + rise]]]
        )
    down = np.linspace(height, floor, ALONG)
    inner = np.stack([outline(down) - thick, down], axis=1)
    return np.concatenate([[[0, 0]], outer, inner, [[0, floor]]]), len(outer) + 1


def _texture(random: np.random.Generator) -> Floats:
    """Outside and inside, each plain, banded, checked or blotched; linear float32 [TEXTURE, TEXTURE, 3]."""
    plain = _colour(random)
    halves = []
    for _ in range(2):
        own = plain if random.random() < 0.5 else _colour(random)
        row, column = np.mgrid[: TEXTURE // 2, :TEXTURE] / TEXTURE
        rows, columns = random.integers(1, 6, 2)
        wave = [
            np.zeros_like(row),
            np.sin(4 * np.pi * rows * row),
            np.sin(4 * np.pi * rows * row) * np.sin(2 * np.pi * columns * column),
            np.kron(random.normal(size=(8, 16)), np.ones((TEXTURE // 16, TEXTURE // 16))),
        ][random.integers(4)]
        halves.append(np.where((wave > 0.2)[..., None], _colour(random), own))
    return (np.concatenate(halves) ** 2.2).astype(np.float32)


def _colour(random: np.random.Generator) -> NDArray[np.float64]:
    """Any grey, as often as not with some colour in it."""
    return np.asarray(random.random() + random.choice([0.1, 1.0]) * (random.random(3) - 0.5)).clip(0, 1)
