"""Demo objects: a handful of coloured ones that the package builds, so that a fresh machine has something to render.

Built with the front on +X and +Z up, in any unit; every part is a closed solid of one colour.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from trimesh import creation
from trimesh.transformations import rotation_matrix

from render.source import INDEX
from render.surface import GLTF_TO_WORLD, Surface, to_linear
from viewmask.errors import ViewmaskError
from viewmask.files import atomic

Vector = tuple[float, float, float]

WHITE, BLACK, GREY, SILVER = (240, 240, 235), (35, 35, 40), (120, 122, 128), (185, 190, 196)
RED, ORANGE, YELLOW, GREEN = (200, 45, 40), (235, 130, 40), (245, 205, 80), (60, 145, 70)
BLUE, SKY, BROWN, CREAM = (50, 95, 190), (120, 190, 230), (125, 80, 50), (245, 225, 190)
AXES = {"x": (0.0, 1.0, 0.0), "y": (1.0, 0.0, 0.0)}


@dataclass(frozen=True, eq=False)
class DemoObject:
    """One object.

    Attributes:
        name: one word.
        caption: a noun phrase with its colours.
        scene: glTF axes (+Y up, front +Z), a mesh with a material a part.
    """

    name: str
    caption: str
    scene: trimesh.Scene

    def surface(self) -> Surface:
        """The object ready for ray casting, normalised."""
        return Surface.of_scene(self.scene, name=self.name)


def demo_objects() -> dict[str, DemoObject]:
    """The objects by name: chair, mug, house, car, tree, robot, lamp, rocket. The same every time."""
    return {name: DemoObject(name, caption, _scene(build())) for name, (caption, build) in _RECIPES.items()}


def write(folder: str | Path, names: list[str] | None = None) -> Path:
    """Write the objects as GLB files with an `index.jsonl` that `render.source.find` reads; returns the index's path.

    Raises:
        ViewmaskError: a name that no demo object has, or a disk that refuses.
    """
    objects = demo_objects()
    unknown = [name for name in names or [] if name not in objects]
    if unknown:
        raise ViewmaskError(f"no demo object is called {unknown[0]!r}: choose among {', '.join(objects)}")
    folder, lines = Path(folder), []
    for name in names or objects:
        atomic.write(folder / f"{name}.glb", objects[name].scene.export(file_type="glb"))
        record = {"id": name, "file": f"{name}.glb", "captions": [objects[name].caption]}
        lines.append(json.dumps(record | {"source": "viewmask demo", "license": "Apache-2.0", "base": f"demo-{name}"}))
    return atomic.write(folder / INDEX, "\n".join(lines) + "\n")


# -- parts ----------------------------------------------------------------------------------------


class _Part:
    """A solid of one colour that can be moved and turned in a chain."""

    def __init__(self, mesh: trimesh.Trimesh, colour: tuple[int, int, int]) -> None:
        self.mesh, self.colour = mesh, colour

    def at(self, x: float = 0, y: float = 0, z: float = 0) -> _Part:
        self.mesh.apply_translation((x, y, z))
        return self

    def turned(self, degrees: float, axis: Vector) -> _Part:
        self.mesh.apply_transform(rotation_matrix(np.radians(degrees), axis))
        return self

    def along(self, axis: str) -> _Part:
        return self.turned(90, AXES[axis])

    def scaled(self, x: float, y: float, z: float) -> _Part:
        self.mesh.apply_transform(np.diag([x, y, z, 1.0]))
        return self


def _box(x: float, y: float, z: float, colour: tuple[int, int, int]) -> _Part:
    return _Part(creation.box((x, y, z)), colour)


def _rod(radius: float, height: float, colour: tuple[int, int, int]) -> _Part:
    return _Part(creation.cylinder(radius, height, sections=32), colour)


def _ball(radius: float, colour: tuple[int, int, int]) -> _Part:
    return _Part(creation.icosphere(3, radius), colour)


def _turned(profile: list[tuple[float, float]], colour: tuple[int, int, int], sections: int = 40) -> _Part:
    """A solid of revolution about Z; the profile gives (radius, height), from the axis back to it or closed."""
    return _Part(creation.revolve(np.array(profile), sections=sections), colour)


def _prism(outline: list[tuple[float, float]], width: float, colour: tuple[int, int, int]) -> _Part:
    """A convex outline in x and z, `width` deep along y."""
    points = [(x, y, z) for y in (-width / 2, width / 2) for x, z in outline]
    return _Part(trimesh.Trimesh(points).convex_hull, colour)


def _scene(parts: list[_Part]) -> trimesh.Scene:
    scene = trimesh.Scene()
    for index, part in enumerate(parts):
        mesh = part.mesh.copy()
        mesh.apply_transform(np.linalg.inv(GLTF_TO_WORLD))
        factor = [*to_linear(part.colour).tolist(), 1.0]
        material = trimesh.visual.material.PBRMaterial(baseColorFactor=factor, metallicFactor=0.0, roughnessFactor=0.9)
        mesh.visual = trimesh.visual.TextureVisuals(material=material)
        scene.add_geometry(mesh, geom_name=f"part{index:02d}", node_name=f"part{index:02d}")
    return scene


# -- objects --------------------------------------------------------------------------------------


def _chair() -> list[_Part]:
    legs = [_box(0.06, 0.06, 0.45, BROWN).at(x, y, 0.225) for x in (-0.2, 0.2) for y in (-0.2, 0.2)]
    posts = [_box(0.06, 0.06, 0.5, BROWN).at(-0.2, y, 0.75) for y in (-0.2, 0.2)]
    rails = [_box(0.04, 0.4, 0.1, RED).at(-0.2, 0, z) for z in (0.68, 0.82, 0.96)]
    return [*legs, *posts, *rails, _box(0.48, 0.48, 0.06, RED).at(0, 0, 0.47)]


def _mug() -> list[_Part]:
    outside = [(0, 0), (0.36, 0), (0.4, 0.05), (0.4, 0.9), (0.37, 0.9), (0.37, 0.05), (0, 0.05)]
    inside = [(0, 0.04), (0.38, 0.04), (0.38, 0.92), (0.35, 0.92), (0.35, 0.07), (0, 0.07)]
    handle = _Part(creation.torus(0.2, 0.05, 32, 16), BLUE).along("x").scaled(1, 1, 1.25).at(0, 0.61, 0.47)
    band = _turned([(0.39, 0.62), (0.412, 0.62), (0.412, 0.74), (0.39, 0.74), (0.39, 0.62)], WHITE)
    return [_turned(outside, BLUE), _turned(inside, WHITE), handle, band]


def _house() -> list[_Part]:
    windows = [_box(0.04, 0.2, 0.2, SKY).at(0.36, y, 0.32) for y in (-0.34, 0.34)]
    sides = [_box(0.18, 0.04, 0.2, SKY).at(x, y, 0.32) for x in (-0.18, 0.18) for y in (-0.55, 0.55)]
    return [
        _box(0.72, 1.1, 0.55, YELLOW).at(0, 0, 0.275),
        _prism([(-0.46, 0.53), (0.46, 0.53), (0, 0.92)], 1.25, RED),
        _box(0.05, 0.22, 0.38, BROWN).at(0.36, 0, 0.19),
        _ball(0.025, YELLOW).at(0.39, 0.06, 0.2),
        _box(0.14, 0.14, 0.4, GREY).at(-0.2, 0.3, 0.82),
        *windows,
        *sides,
    ]


def _car() -> list[_Part]:
    cabin = [(-0.62, 0.42), (0.36, 0.42), (0.12, 0.72), (-0.45, 0.72)]
    glass = [(-0.585, 0.45), (0.345, 0.45), (0.125, 0.69), (-0.44, 0.69)]
    screen = [(0.18, 0.44), (0.355, 0.44), (0.14, 0.70), (0.0, 0.70)]
    rear = [(-0.61, 0.45), (-0.4, 0.45), (-0.35, 0.69), (-0.46, 0.69)]
    places = [(x, y) for x in (-0.55, 0.55) for y in (-0.37, 0.37)]
    wheels = [_rod(0.18, 0.14, BLACK).along("y").at(x, y, 0.18) for x, y in places]
    hubs = [_rod(0.09, 0.16, SILVER).along("y").at(x, y, 0.18) for x, y in places]
    lamps = [_box(0.05, 0.14, 0.08, YELLOW).at(0.93, y, 0.36) for y in (-0.26, 0.26)]
    tails = [_box(0.05, 0.14, 0.08, ORANGE).at(-0.93, y, 0.36) for y in (-0.26, 0.26)]
    return [
        _prism([(-0.94, 0.14), (0.94, 0.14), (0.94, 0.38), (0.86, 0.44), (-0.9, 0.46), (-0.94, 0.4)], 0.8, RED),
        _prism(cabin, 0.68, RED),
        _prism(glass, 0.7, SKY),
        _prism(screen, 0.6, SKY).at(0.015, 0, 0.005),
        _prism(rear, 0.58, SKY).at(-0.012, 0, 0.005),
        *wheels,
        *hubs,
        *lamps,
        *tails,
    ]


def _tree() -> list[_Part]:
    crowns = [
        _Part(creation.cone(radius, height, sections=24), colour).at(0, 0, z)
        for radius, height, z, colour in (
            (0.42, 0.5, 0.28, (40, 110, 60)),
            (0.34, 0.46, 0.55, GREEN),
            (0.25, 0.42, 0.82, (90, 170, 85)),
        )
    ]
    return [_turned([(0, 0), (0.1, 0), (0.07, 0.35), (0, 0.35)], BROWN), *crowns]


def _robot() -> list[_Part]:
    sides = (-1, 1)
    return [
        _box(0.3, 0.46, 0.46, SILVER).at(0, 0, 0.55),
        _box(0.04, 0.28, 0.2, BLUE).at(0.15, 0, 0.58),
        *[_ball(0.03, colour).at(0.17, y, 0.6) for y, colour in ((-0.08, RED), (0, YELLOW), (0.08, GREEN))],
        _rod(0.07, 0.1, GREY).at(0, 0, 0.82),
        _box(0.28, 0.34, 0.28, SILVER).at(0, 0, 0.98),
        *[_rod(0.05, 0.06, YELLOW).along("x").at(0.14, 0.085 * side, 1.02) for side in sides],
        _box(0.03, 0.18, 0.04, BLACK).at(0.14, 0, 0.9),
        _rod(0.012, 0.14, GREY).at(0, 0, 1.18),
        _ball(0.035, RED).at(0, 0, 1.26),
        *[_rod(0.055, 0.4, GREY).at(0, 0.3 * side, 0.56) for side in sides],
        *[_ball(0.075, BLUE).at(0, 0.3 * side, 0.75) for side in sides],
        *[_ball(0.075, BLUE).at(0, 0.3 * side, 0.34) for side in sides],
        *[_rod(0.07, 0.26, GREY).at(0, 0.12 * side, 0.22) for side in sides],
        *[_box(0.26, 0.16, 0.1, BLUE).at(0.04, 0.12 * side, 0.05) for side in sides],
    ]


def _lamp() -> list[_Part]:
    shade = [(0.34, 0.62), (0.36, 0.62), (0.2, 1.0), (0.18, 1.0), (0.34, 0.62)]
    foot = [(0, 0), (0.24, 0), (0.24, 0.04), (0.06, 0.1), (0.09, 0.22), (0.11, 0.32), (0.04, 0.46), (0, 0.46)]
    return [
        _turned(foot, GREEN),
        _rod(0.02, 0.36, SILVER).at(0, 0, 0.6),
        _ball(0.08, YELLOW).at(0, 0, 0.8),
        _turned(shade, CREAM),
        _turned([(0.335, 0.60), (0.365, 0.60), (0.365, 0.64), (0.335, 0.64), (0.335, 0.60)], ORANGE),
    ]


def _rocket() -> list[_Part]:
    body = [(0, 0.16), (0.13, 0.16), (0.19, 0.4), (0.2, 0.6), (0.17, 0.8), (0.125, 0.95), (0, 0.95)]
    nose = [(0, 0.949), (0.126, 0.949), (0.07, 1.1), (0, 1.2)]
    fin = [(0.1, 0.2), (0.16, 0.46), (0.36, 0.14), (0.36, 0.0)]
    fins = [_prism(fin, 0.035, RED).turned(angle, (0, 0, 1)) for angle in (60, 180, 300)]
    return [
        _turned(body, WHITE),
        _turned(nose, RED),
        _turned([(0, 0.08), (0.11, 0.08), (0.08, 0.17), (0, 0.17)], GREY),
        _rod(0.085, 0.05, SILVER).along("x").at(0.175, 0, 0.66),
        _rod(0.06, 0.06, SKY).along("x").at(0.18, 0, 0.66),
        *fins,
    ]


_RECIPES: dict[str, tuple[str, Callable[[], list[_Part]]]] = {
    "chair": ("a red wooden chair with brown legs", _chair),
    "mug": ("a blue mug with a white band", _mug),
    "house": ("a yellow house with a red roof", _house),
    "car": ("a red car", _car),
    "tree": ("a green pine tree with a brown trunk", _tree),
    "robot": ("a silver and blue toy robot", _robot),
    "lamp": ("a table lamp with a cream shade and a green foot", _lamp),
    "rocket": ("a white and red toy rocket", _rocket),
}
