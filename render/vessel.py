"""Vessels made at random: bowls, cups, hats, boxes without a lid. Each is a wall around a hollow, turned on a lathe.

Silhouettes do not show a hollow; only the view into it and its shading do. Few objects of the training sets have one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from render.source import Seeded
from render.surface import Surface

AROUND, ALONG = 48, 16  # corners of the mesh around the axis, and along the wall


@dataclass(frozen=True)
class Vessel(Seeded):
    """A vessel."""

    caption: ClassVar[str] = "vessel"

    def surface(self, up: str = "y", lenient: bool = False) -> Surface:
        """A closed surface in the world, normalised; `up` and `lenient` change nothing."""
        random = np.random.default_rng(self.seed)
        mesh = trimesh.creation.revolve(_profile(random), sections=AROUND)
        mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=_colours(mesh, random))
        # Between a circle and nearly a square.
        power = 2.0 if random.random() < 0.5 else random.uniform(4, 16)
        sides = np.abs(mesh.vertices[:, :2])
        length = (sides**power).sum(1) ** (1 / power)
        mesh.vertices[:, :2] *= (np.hypot(*sides.T) / np.maximum(length, 1e-9))[:, None]
        turn = np.diag([1.0, -1, -1, 1]) if random.random() < 0.2 else np.eye(4)  # upside down: a bell, a hat
        return Surface.of_scene(trimesh.Scene(mesh), turn, name=self.id).outward().normalised(self.id)


def _profile(random: np.random.Generator) -> NDArray[np.float64]:
    """Radius and height along the wall [n, 2], from the middle underneath, over the rim, to the middle of the floor."""
    height = float(np.exp(random.uniform(np.log(0.3), np.log(3))))
    knots = np.clip(random.uniform(0.4, 1) + np.cumsum(random.normal(0, 0.15, 5)), 0.25, 1.4)
    outline = PchipInterpolator(np.linspace(0, height, 5), knots)
    thick = np.exp(random.uniform(np.log(0.01), np.log(0.1))) * max(2 * knots.max(), height)
    thick = min(thick, 0.4 * float(knots.min()), 0.4 * height)
    floor = min(thick * random.uniform(0.7, 2), 0.6 * height)
    up, down = np.linspace(0, height, ALONG), np.linspace(height, floor, ALONG)
    outer = np.stack([outline(up), up], axis=1)
    inner = np.stack([outline(down) - thick, down], axis=1)
    if random.random() < 0.3:
        outer[-1, 1] -= thick
        brim = outer[-1] + [random.uniform(0.1, 0.8), random.normal(0, 0.1)]
        outer = np.concatenate([outer, [brim, brim + np.array([0, thick])]])
    return np.concatenate([[[0, 0]], outer, inner, [[0, floor]]])


def _colours(mesh: trimesh.Trimesh, random: np.random.Generator) -> NDArray[np.uint8]:
    """sRGB of every corner [vertices, 3]: outside and inside alike or not, each plain, banded or checked."""
    x, y, z = mesh.vertices.T
    angle, height = np.arctan2(y, x), z / mesh.bounds[1, 2]
    outside = x * mesh.vertex_normals[:, 0] + y * mesh.vertex_normals[:, 1] > 0

    def painted(ground: NDArray[np.float64]) -> NDArray[np.float64]:
        rows, columns = random.integers(1, 5, 2)
        bands = np.sin(2 * np.pi * rows * height)
        pattern = [np.zeros(len(x)), bands, bands * np.sin(columns * angle)][random.integers(3)]
        return ground + np.clip(3 * pattern, 0, 1)[:, None] * (_colour(random) - ground)

    plain = _colour(random)
    other = plain if random.random() < 0.5 else _colour(random)
    return (255 * np.where(outside[:, None], painted(plain), painted(other))).astype(np.uint8)


def _colour(random: np.random.Generator) -> NDArray[np.float64]:
    """sRGB [3]: any grey, as often as not with some colour in it."""
    return np.asarray(random.random() + random.choice([0.1, 1.0]) * (random.random(3) - 0.5)).clip(0, 1)
