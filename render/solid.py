"""Solids made at random, in paint or a pattern: boxes, stars, vases, hills, wires. Parts of procedural objects.

Nobody has to model or license them, and their captions are true because the same draw makes both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import CubicSpline, PchipInterpolator
from trimesh import creation

from render.demo import BLACK, BLUE, BROWN, GREEN, GREY, ORANGE, RED, WHITE, YELLOW
from render.formats.patch import Patch
from render.source import Seeded
from render.surface import Surface
from render.texture import Texture

Random = np.random.Generator
Pattern = NDArray[np.float64]  # share of the second colour, [TEXELS, TEXELS], in [0, 1]

PALETTE = {
    "red": RED, "orange": ORANGE, "yellow": YELLOW, "green": GREEN, "blue": BLUE, "purple": (120, 60, 160),
    "pink": (240, 150, 180), "brown": BROWN, "black": BLACK, "white": WHITE, "grey": GREY,
}  # fmt: skip
TEXELS = 64
_SPREAD = 25  # how far a colour is from its name's, 8-bit steps


@dataclass(frozen=True)
class Solid(Seeded):
    """A solid; its caption follows from its seed, too."""

    @cached_property
    def _kinds(self) -> tuple[str, str, str, str]:
        """Names of its shape, its pattern and its two colours."""
        random = np.random.default_rng([self.seed, 0])
        first, second = random.permutation(list(PALETTE))[:2].tolist()
        return str(random.choice(list(SHAPES))), str(random.choice(list(PATTERNS))), first, second

    @property
    def caption(self) -> str:
        """What it is, without an article."""
        shape, pattern, first, second = self._kinds
        return f"{first} {shape}" if pattern == "plain" else f"{first} and {second} {pattern} {shape}"

    def surface(self, up: str = "y", lenient: bool = False) -> Surface:
        """A closed surface in the world, normalised; `up` and `lenient` change nothing."""
        shape, pattern, *colours = self._kinds
        random = np.random.default_rng([self.seed, 1])
        mesh = SHAPES[shape](random)
        share = PATTERNS[pattern](random)[..., None]
        ground, other = (np.array(PALETTE[name]) + random.normal(0, _SPREAD / 2, 3) for name in colours)
        picture = np.clip(ground + share * (other - ground) + random.normal(0, 2, (TEXELS, TEXELS, 3)), 0, 255)
        worn = Patch(mesh.vertices, mesh.faces, uv=_wrapped(mesh, random), texture=Texture.of(picture.astype(np.uint8)))
        return Surface.of_patch(worn).outward().normalised(self.id)


def _wrapped(mesh: trimesh.Trimesh, random: Random) -> NDArray[np.float32]:
    """Texture coordinates [faces, 3, 2]: each face gets the picture from the side that it faces most."""
    side = np.abs(mesh.face_normals).argmax(1)
    across = np.array([[1, 2], [0, 2], [0, 1]])[side]  # upright on the walls
    corners = mesh.vertices[mesh.faces] / mesh.extents.max()
    uv = np.take_along_axis(corners, np.broadcast_to(across[:, None], (len(side), 3, 2)), axis=2)
    return (uv * random.uniform(0.7, 2) + random.random(2)).astype(np.float32)


# -- shapes: closed meshes, +Z up, of any size -----------------------------------------------------------------


def _box(random: Random) -> trimesh.Trimesh:
    return creation.box(random.uniform(0.3, 1, 3))


def _cylinder(random: Random) -> trimesh.Trimesh:
    return creation.cylinder(random.uniform(0.1, 0.6), random.uniform(0.1, 1.2), sections=32)


def _cone(random: Random) -> trimesh.Trimesh:
    return creation.cone(random.uniform(0.2, 0.6), random.uniform(0.4, 1.2), sections=32)


def _ball(random: Random) -> trimesh.Trimesh:
    return creation.icosphere(3)


def _ring(random: Random) -> trimesh.Trimesh:
    return creation.torus(1, random.uniform(0.1, 0.45), major_sections=40, minor_sections=20)


def _pyramid(random: Random) -> trimesh.Trimesh:
    return creation.cone(random.uniform(0.4, 0.7), random.uniform(0.4, 1), sections=int(random.integers(3, 6)))


def _extruded(outline: NDArray[np.float64], height: float) -> trimesh.Trimesh:
    """An outline [n, 2] around the origin, which sees all of it, as a solid."""
    count = len(outline)
    around = np.arange(count)
    fan = np.stack([np.full(count, count), around, (around + 1) % count], axis=1)
    return creation.extrude_triangulation(np.concatenate([outline, [[0.0, 0.0]]]), fan, height)


def _circle(count: int) -> NDArray[np.float64]:
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _prism(random: Random) -> trimesh.Trimesh:
    return _extruded(_circle(int(random.integers(3, 9))), random.uniform(0.3, 2.5))


def _star(random: Random) -> trimesh.Trimesh:
    points = int(random.integers(4, 9))
    outline = _circle(2 * points)
    outline[1::2] *= random.uniform(0.35, 0.7)
    return _standing(_extruded(outline, random.uniform(0.2, 0.7)), random)


def _gear(random: Random) -> trimesh.Trimesh:
    teeth = int(random.integers(6, 15))
    outline = _circle(4 * teeth)
    outline[(np.arange(4 * teeth) % 4) < 2] *= random.uniform(0.7, 0.88)
    bored = creation.cylinder(random.uniform(0.1, 0.4), 4, sections=24)
    return _standing(trimesh.boolean.difference([_extruded(outline, random.uniform(0.15, 0.5)), bored]), random)


def _blob(random: Random) -> trimesh.Trimesh:
    """An outline that swings in and out, as a solid."""
    outline = _circle(64)
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    waves = sum(random.normal(0, 0.3 / wave) * np.cos(wave * angle + random.uniform(0, 7)) for wave in range(1, 6))
    return _standing(_extruded(outline * np.exp(waves)[:, None], random.uniform(0.2, 1)), random)


def _standing(mesh: trimesh.Trimesh, random: Random) -> trimesh.Trimesh:
    """Something flat, as often as not on its edge."""
    if random.random() < 0.5:
        mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, (0, 1, 0)))
    return mesh


def _vase(random: Random) -> trimesh.Trimesh:
    height = random.uniform(0.8, 3)
    radius = np.clip(random.uniform(0.3, 1) + np.cumsum(random.normal(0, 0.3, 6)), 0.08, 1.3)
    along = np.linspace(0, height, 24)
    wall = np.stack([PchipInterpolator(np.linspace(0, height, 6), radius)(along), along], axis=1)
    return creation.revolve(np.concatenate([[[0, 0]], wall, [[0, height]]]), sections=32)


def _hill(random: Random, cells: int = 24) -> trimesh.Trimesh:
    """A square piece of land."""
    land = ndimage.gaussian_filter(random.normal(size=(cells, cells)), random.uniform(1.5, 4))
    land = 0.1 + random.uniform(0.2, 0.8) * (land - land.min()) / np.ptp(land)
    axis = np.linspace(-0.5, 0.5, cells)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    flat = np.stack([x.ravel(), y.ravel()], axis=1)
    number = np.arange(cells * cells).reshape(cells, cells)
    a, b, c, d = (part.ravel() for part in (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]))
    faces = np.concatenate([np.stack(each, axis=1) for each in ((a, b, c), (a, c, d))])
    mesh = creation.extrude_triangulation(flat, faces, 1)
    top = mesh.vertices[:, 2] > 0.5
    nearest = np.rint((mesh.vertices[:, :2] + 0.5) * (cells - 1)).astype(int)
    mesh.vertices[top, 2] = land[nearest[top, 0], nearest[top, 1]]
    return mesh


def _wire(random: Random, rings: int = 60, around: int = 10) -> trimesh.Trimesh:
    """A round wire along a curve, its ends closed."""
    knots = np.cumsum(random.normal(0, 0.6, (int(random.integers(4, 8)), 3)), axis=0)
    curve = CubicSpline(np.arange(len(knots)), knots)
    at = np.linspace(0, len(knots) - 1, rings)
    middle, forward = curve(at), curve(at, 1)
    forward /= np.linalg.norm(forward, axis=1, keepdims=True)
    side = np.empty_like(forward)
    side[0] = np.cross(forward[0], np.eye(3)[np.abs(forward[0]).argmin()])
    for index in range(1, rings):  # carried along, so that the wire does not twist
        side[index] = side[index - 1] - forward[index] * (side[index - 1] @ forward[index])
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    up = np.cross(forward, side)
    circle = random.uniform(0.04, 0.16) * np.ptp(knots, axis=0).max() * _circle(around)
    walls = middle[:, None] + circle[:, :1] * side[:, None] + circle[:, 1:] * up[:, None]
    number = np.arange(rings * around).reshape(rings, around)
    a, b = number[:-1], number[1:]
    c, d = np.roll(b, -1, axis=1), np.roll(a, -1, axis=1)
    tube = np.concatenate([np.stack(each, -1).reshape(-1, 3) for each in ((a, d, c), (a, c, b))])
    ends, first = (number[0], number[-1]), rings * around
    fans = [
        np.stack([np.full(around, first + place), *pair], axis=1)
        for place, end in enumerate(ends)
        for pair in [(np.roll(end, -1), end) if place == 0 else (end, np.roll(end, -1))]
    ]
    return trimesh.Trimesh(
        np.concatenate([walls.reshape(-1, 3), middle[[0, -1]]]), np.concatenate([tube, *fans]), process=False
    )


def _holed(random: Random) -> trimesh.Trimesh:
    """A box with a hole through it."""
    size = random.uniform(0.4, 1, 3)
    tool = creation.cylinder(random.uniform(0.2, 0.4) * float(np.sort(size)[1]), 4, sections=24)
    turn = trimesh.transformations.rotation_matrix(np.pi / 2, np.eye(3)[int(random.integers(3))])
    return trimesh.boolean.difference([creation.box(size), tool.apply_transform(turn)])


def _steps(random: Random) -> trimesh.Trimesh:
    count = int(random.integers(2, 6))
    depth, width = 1 / count, random.uniform(0.3, 1)
    boxes = []
    for step in range(count):
        size = (1 - step * depth, width, (step + 1) * depth * random.uniform(0.99, 1))
        boxes.append(creation.box(size).apply_translation(((1 - size[0]) / 2, 0, size[2] / 2)))
    return trimesh.boolean.union(boxes)


SHAPES: dict[str, Callable[[Random], trimesh.Trimesh]] = {
    "box": _box, "cylinder": _cylinder, "cone": _cone, "ball": _ball, "ring": _ring, "pyramid": _pyramid,
    "prism": _prism, "star": _star, "gear": _gear, "shape": _blob, "vase": _vase, "hill": _hill, "wire": _wire,
    "box with a hole": _holed, "staircase": _steps,
}  # fmt: skip


# -- patterns: they go on beyond their borders ------------------------------------------------------------------


def _places() -> tuple[Pattern, Pattern]:
    across, down = np.meshgrid(*[np.arange(TEXELS) / TEXELS] * 2)
    return across, down


def _plain(random: Random) -> Pattern:
    return np.zeros((TEXELS, TEXELS))


def _striped(random: Random) -> Pattern:
    across, down = _places()
    waves = random.integers(0, 5, 2)
    waves[random.integers(2)] += 1
    return (np.sin(2 * np.pi * (waves[0] * across + waves[1] * down)) > random.uniform(-0.5, 0.5)).astype(float)


def _checked(random: Random) -> Pattern:
    across, down = _places()
    count = 2 * random.integers(1, 5)
    return (np.floor(across * count) + np.floor(down * count)) % 2


def _dotted(random: Random) -> Pattern:
    across, down = _places()
    count, radius = random.integers(2, 6), random.uniform(0.15, 0.4)
    return (np.hypot((across * count) % 1 - 0.5, (down * count) % 1 - 0.5) < radius).astype(float)


def _mottled(random: Random) -> Pattern:
    noise = ndimage.gaussian_filter(random.normal(size=(TEXELS, TEXELS)), random.uniform(1, 6), mode="wrap")
    return np.clip(0.5 + 0.35 * noise / noise.std(), 0, 1)


def _bricks(random: Random) -> Pattern:
    across, down = _places()
    rows, columns, joint = 2 * random.integers(2, 5), random.integers(2, 5), random.uniform(0.06, 0.15)
    row = np.floor(down * rows)
    along = (across * columns + row % 2 / 2) % 1
    return ((along < joint) | ((down * rows) % 1 < 2 * joint)).astype(float)


def _patched(random: Random) -> Pattern:
    """Cells around random points, each of its own shade."""
    across, down = _places()
    points, shade = random.random((int(random.integers(5, 20)), 2)), random.random(20)
    gap = [np.abs(np.stack([across - x, down - y])) for x, y in points]
    return shade[np.argmin([np.hypot(*np.minimum(each, 1 - each)) for each in gap], axis=0)]


PATTERNS: dict[str, Callable[[Random], Pattern]] = {
    "plain": _plain, "striped": _striped, "checked": _checked, "dotted": _dotted, "mottled": _mottled,
    "bricked": _bricks, "patched": _patched,
}  # fmt: skip
