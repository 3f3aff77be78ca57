"""Ten photos that are free to use, and none of them picked by what becomes of it: where do they come from?

    python studies/snapshots.py --data DIR --out PHOTOS

Four are photographs: all colour pictures of the everyday world that scikit-image's package brings and says to be CC0
or in the public domain. Six are made here. Each shows a `val` object as a phone sees it: on a table or a floor, before
a wall, in soft light, by a wide lens; then noise, softness, dark corners and JPEG. Of each set of objects the first are
taken by the hash of their names, among those whose licence is CC0 or CC-BY. `photos.json` tells source and licence.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from render.formats.patch import Patch
from render.raycast import render
from render.source import Source, find
from render.surface import Surface
from render.texture import Texture
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera

RECORD = "photos.json"
FREE = ("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0")
LONG, SHORT = 1280, 960  # of a photo's sides, in pixels
LENS = 69.0  # degrees across the long side: 26 mm of a full frame, as phones have it
_FAR = 3.0  # from the object to the wall, in lengths of the object
_TILE = 512  # side of a texture

Bytes = NDArray[np.uint8]

SAMPLES = {
    "astronaut": ("astronaut.png", "NASA, Eileen Collins", "public domain"),
    "cat": ("chelsea.png", "Stefan van der Walt", "CC0-1.0"),
    "coffee": ("coffee.png", "Rachel Michetti, courtesy of Pikolo Espresso Bar", "CC0-1.0"),
    "rocket": ("rocket.jpg", "SpaceX", "public domain"),
}


@dataclass(frozen=True)
class Snapshot:
    """How one of the made photos is taken.

    Attributes:
        bench: the set that its object is of.
        place: which one of the set, in the order of the hashes.
        ground, wall: what it stands on and before, a name of `MATERIALS`.
        elevation, azimuth: of the phone, in degrees.
        fill: share of the picture's short side that the object takes.
        clutter: other objects behind it.
        upright: held so; the file then lies on its side, and EXIF says so, as phones do it.
        warmth: of the light: red over blue, less 1.
        exposure: 1 is as it should be.
        noise: standard deviation of mid grey, in 8-bit steps.
    """

    bench: str
    place: int
    ground: str
    wall: str
    elevation: float
    azimuth: float
    fill: float = 0.6
    clutter: int = 0
    upright: bool = False
    warmth: float = 0.0
    exposure: float = 1.0
    noise: float = 3.0


SNAPSHOTS = {
    "table": Snapshot("scans", 0, "wood", "plaster", 35, -20, clutter=5, upright=True),
    "floor": Snapshot("furniture", 0, "boards", "plaster", 20, 30, upright=True),
    "paper": Snapshot("furniture", 1, "paper", "paper", 25, -35, noise=2),
    "cloth": Snapshot("objects", 0, "cloth", "plaster", 50, 20, clutter=4),
    "evening": Snapshot("more", 0, "wood", "plaster", 8, 15, warmth=0.35, exposure=0.55, noise=9),
    "near": Snapshot("packages", 0, "boards", "stripes", 30, -15, fill=0.9, clutter=3),
}


def main() -> None:
    """Write the ten photos and their record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="holds the sets of objects, a folder each")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    records = samples(arguments.out)
    for number, (name, snapshot) in enumerate(SNAPSHOTS.items()):
        source, *others = objects(arguments.data / snapshot.bench)[snapshot.place :]
        behind = others[len(SNAPSHOTS) : len(SNAPSHOTS) + snapshot.clutter]
        picture = taken(snapshot, source.surface(), [each.surface() for each in behind], number)
        atomic.write(arguments.out / f"{name}.jpg", jpeg(picture, snapshot.upright))
        records[f"{name}.jpg"] = about(source)
        print(f"{name}.jpg", records[f"{name}.jpg"], flush=True)
    atomic.write(arguments.out / RECORD, json.dumps(records, indent=1, sort_keys=True) + "\n")


def samples(out: Path) -> dict[str, dict[str, str]]:
    """Copy scikit-image's photographs; who took them, and their licences as its documentation states them."""
    import skimage.data

    folder, records = Path(skimage.data.__file__).parent, {}
    for name, (file, author, licence) in SAMPLES.items():
        path = out / f"{name}{Path(file).suffix}"
        try:
            atomic.write_with(path, lambda temporary, file=file: shutil.copyfile(folder / file, temporary))  # type: ignore[misc]
        except OSError as error:
            raise ViewmaskError(f"scikit-image has no {file} any more: {error.strerror or error}") from error
        records[path.name] = {"what": "a photograph", "author": author, "licence": licence}
    return records


def objects(folder: Path) -> list[Source]:
    """The `val` objects of a set that are coloured and free, by the hash of their names."""
    sources = [
        source
        for source in find(folder, split="val")
        if source.about.get("coloured", True) and source.about.get("license") in FREE
    ]
    return sorted(sources, key=lambda source: hashlib.sha256(source.id.encode()).hexdigest())


def about(source: Source) -> dict[str, Any]:
    """What a made photo shows, whose it is, and the licence."""
    return {
        "what": source.about["captions"][0], "author": source.about["author"], "licence": source.about["license"],
        "source": source.about["source"], "id": source.id,
    }  # fmt: skip


# -- the scene ------------------------------------------------------------------------------------


def taken(snapshot: Snapshot, shown: Surface, others: list[Surface], seed: int) -> Bytes:
    """A photo of an object with others behind it, uint8 RGB, upright.

    Args:
        shown, others: normalised, the front on +X.
        seed: of the light, of where the others stand, and of the noise.
    """
    random = np.random.default_rng(seed)
    width, height = (SHORT, LONG) if snapshot.upright else (LONG, SHORT)
    shown = _standing(shown, 1.0, 0.0, 0.0, 0.0)
    middle = np.mean(shown.box, axis=0)
    away = np.radians(snapshot.azimuth + 180)
    back, side = np.array([np.cos(away), np.sin(away)]), np.array([-np.sin(away), np.cos(away)])
    parts = [shown]
    for index, other in enumerate(others):
        aside = (index - (len(others) - 1) / 2) * 0.9 + random.uniform(-0.2, 0.2)
        x, y = back * random.uniform(1.1, 2.2) + side * aside
        parts.append(_standing(other, random.uniform(0.5, 1.3), random.uniform(0, 360), x, y))
    scene = Surface.of_parts([*parts, *_room(snapshot, back, side, random)], np.eye(4), name="the scene")
    scene = scene.transformed(_moved(-middle))  # a camera looks at the origin
    focal = LONG / 2 / np.tan(np.radians(LENS / 2))
    extent = float(np.ptp(shown.vertices, axis=0).max())
    distance = focal * extent / (snapshot.fill * SHORT) + extent / 4
    pose = Camera.on_sphere(snapshot.azimuth, snapshot.elevation, distance).camera_to_world
    aim = random.uniform(-0.06, 0.06, 2) * (width, height)  # nobody aims well
    camera = Camera(width, height, focal, focal, width / 2 + aim[0], height / 2 + aim[1], pose @ _rolled(random))
    lamp = snapshot.azimuth + random.choice([-1, 1]) * random.uniform(35, 70)
    picture = render(scene, [camera], light="studio", samples=2, seed=seed, lamp=lamp)[0]
    return developed(picture[..., :3], snapshot, random)


def _standing(surface: Surface, scale: float, turn: float, x: float, y: float) -> Surface:
    """A surface scaled and turned about the vertical, on the ground at a place."""
    angle = np.radians(turn)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, :3] *= scale
    matrix[:3, 3] = x, y, -scale * float(surface.vertices[:, 2].min())
    return surface.transformed(matrix)


def _room(
    snapshot: Snapshot, back: NDArray[np.float64], side: NDArray[np.float64], random: np.random.Generator
) -> list[Surface]:
    """Ground and wall."""
    low, far, wide = -6 * back, _FAR * back, 12 * side
    ground = [[*low - wide, 0], [*low + wide, 0], [*far + wide, 0], [*far - wide, 0]]
    wall = [[*far - wide, 0], [*far + wide, 0], [*far + wide, 14], [*far - wide, 14]]
    return [
        _plane(np.array(corners), Texture.of(MATERIALS[name](random)))
        for corners, name in ((ground, snapshot.ground), (wall, snapshot.wall))
    ]


def _plane(corners: NDArray[np.float64], texture: Texture) -> Surface:
    """A rectangle whose texture repeats every two lengths of the object."""
    along, up = (float(np.linalg.norm(corners[end] - corners[0])) / 2 for end in (1, 3))
    places = np.array([[0, 0], [along, 0], [along, up], [0, up]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return Surface.of_patch(Patch(corners, faces, uv=places[faces], texture=texture))


def _moved(by: NDArray[np.float64]) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, 3] = by
    return matrix


def _rolled(random: np.random.Generator) -> NDArray[np.float64]:
    angle = np.radians(random.normal(0, 1.5))
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return matrix


# -- what things are made of ----------------------------------------------------------------------


def _clouds(random: np.random.Generator, *sizes: tuple[float, float]) -> NDArray[np.float64]:
    """Smooth noise that repeats, about 0, deviation 1; `sizes` of its blobs along both axes in texels."""
    total = np.zeros((_TILE, _TILE))
    for size in sizes:
        layer = ndimage.gaussian_filter(random.normal(size=total.shape), size, mode="wrap")
        total += layer / layer.std()
    return total / total.std()


def _shaded(colour: tuple[int, int, int], shade: NDArray[np.float64]) -> Bytes:
    return np.clip(np.array(colour) * (1 + shade)[..., None], 0, 255).astype(np.uint8)


def wood(random: np.random.Generator) -> Bytes:
    """A brown table top, grained along one axis."""
    bent = np.arange(_TILE)[:, None] / _TILE * 12 + _clouds(random, (40, 120)) * 0.8
    grain = np.sin(2 * np.pi * bent) * 0.10 + _clouds(random, (0.8, 30)) * 0.06
    return _shaded((132, 88, 54), grain)


def boards(random: np.random.Generator) -> Bytes:
    """A light floor of four boards with dark gaps."""
    board = np.arange(_TILE) * 4 // _TILE
    tone = random.normal(0, 0.08, 4)[board][:, None]
    gap = -0.45 * (np.arange(_TILE) % (_TILE // 4) < 3)[:, None]
    return _shaded((176, 140, 98), tone + gap + _clouds(random, (1, 40)) * 0.06)


def cloth(random: np.random.Generator) -> Bytes:
    """A table cloth, red and white checks."""
    stripe = (np.arange(_TILE) * 8 // _TILE % 2).astype(float)
    share = (stripe[:, None] + stripe[None]) / 2
    colour = (1 - share)[..., None] * (232, 228, 220) + share[..., None] * (176, 38, 44)
    weave = 1 + _clouds(random, (0.7, 0.7))[..., None] * 0.05
    return np.clip(colour * weave, 0, 255).astype(np.uint8)


def plaster(random: np.random.Generator) -> Bytes:
    """A wall painted cream."""
    return _shaded((206, 198, 182), _clouds(random, (1.2, 1.2), (60, 60)) * 0.025)


def stripes(random: np.random.Generator) -> Bytes:
    """Wallpaper, green and cream."""
    share = (np.arange(_TILE) * 12 // _TILE % 2)[None, :, None]
    colour = (1 - share) * (214, 208, 188) + share * (112, 140, 118)
    return np.clip(colour * (1 + _clouds(random, (1, 1))[..., None] * 0.02), 0, 255).astype(np.uint8)


def paper(random: np.random.Generator) -> Bytes:
    """White paper."""
    return _shaded((236, 235, 231), _clouds(random, (1, 1)) * 0.006)


MATERIALS: dict[str, Callable[[np.random.Generator], Bytes]] = {
    "wood": wood, "boards": boards, "cloth": cloth, "plaster": plaster, "stripes": stripes, "paper": paper,
}  # fmt: skip


# -- the phone ------------------------------------------------------------------------------------


def developed(picture: Bytes, snapshot: Snapshot, random: np.random.Generator) -> Bytes:
    """A rendering as a phone's sensor gives it: the light's tint, exposure, dark corners, softness, noise."""
    height, width = picture.shape[:2]
    light = (picture / 255.0) ** 2.2 * snapshot.exposure
    light *= np.array([1 + snapshot.warmth / 2, 1, 1 - snapshot.warmth / 2])
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light /= (1 + 0.18 * (x**2 + y**2))[..., None] ** 2
    light = ndimage.gaussian_filter(light, (0.7, 0.7, 0))
    shown = 255 * np.clip(light, 0, 1) ** (1 / 2.2)
    shown += random.normal(size=shown.shape) * snapshot.noise * np.sqrt(np.maximum(shown, 16) / 128)
    return np.clip(np.round(shown), 0, 255).astype(np.uint8)


def jpeg(picture: Bytes, upright: bool) -> bytes:
    """The bytes of a photo; one that was held upright lies on its side, and EXIF says how to turn it."""
    stream, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6 if upright else 1
    image = Image.fromarray(np.rot90(picture) if upright else picture)
    image.save(stream, "JPEG", quality=88, exif=exif)
    return stream.getvalue()


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
