"""Are the small inputs that went wrong once right by now? A table of every case: expected, got, right or not.

    python studies/cases.py DIR

DIR holds `meshes/` (with `expected.json`), `views/` and `pictures/`; what is absent is skipped. The exit code is 1 if
any case is wrong. Meshes are rendered by `render.run.render_orbits`, with `--views 1 --elevation 0 --light none`.
`expected.json` says for each file which colours stand where: `[[x, y], [r, g, b]]`, as shares of the width and height
of a square of side 1 in the picture, `null` for transparent, `["error"]` for a file that must be refused.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from render.run import render_orbits
from render.settings import Settings
from render.source import SUFFIXES, Source
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

FRONT = Settings(views=1, elevation=0.0, light="none")
TOLERANCE = 12  # of 255
NEAR = 4  # pixels


@dataclass(frozen=True)
class Row:
    """One case: its name, what is right, what came, and whether that is right."""

    name: str
    expected: str
    got: str
    right: bool


@dataclass(frozen=True)
class Rendered:
    """What became of a mesh file: its picture, uint8 [height, width, 4], or the reason why there is none."""

    picture: np.ndarray | None
    reason: str
    notes: tuple[str, ...] = ()


def meshes(folder: Path) -> Iterator[Row]:
    """Every case of `meshes/`."""
    expected = json.loads((folder.parent / "meshes" / "expected.json").read_text())
    files = [folder.parent / name for name in expected]
    files += [file for file in sorted(folder.rglob("*")) if file.suffix in SUFFIXES and file not in files]
    rendered = {file.relative_to(folder).as_posix(): result for file, result in _rendered(files).items()}
    for name, case in expected.items():
        name = Path(name).relative_to("meshes").as_posix()
        yield _by_samples(name, case["samples"], case["note"], rendered[name])
    for name in ("absolute-windows", "backslash", "options", "other-case"):
        yield _as_the_other(f"obj-textures/{name}/m.obj", "obj-textures/ok/m.obj", rendered)
    yield _as_the_other("far-coordinates/far1e8.obj", "far-coordinates/origin.obj", rendered)
    for name in ("obj-textures/missing/m.obj", "truncated-ply/cut.ply", "required-extensions/draco_part.glb"):
        yield _by_samples(name, [["error"]], "", rendered[name])
    for name in ("deps/chair.3mf", "far-coordinates/node_far_1e+07.glb", "alpha/invisible_floor.glb"):
        yield _seen(name, rendered[name])
    yield _two_names(folder / "same-names")


def views(folder: Path) -> Iterator[Row]:
    """Every case of `views/`."""
    yield from ()


def pictures(folder: Path) -> Iterator[Row]:
    """Every case of `pictures/`."""
    yield from ()


TABLES: dict[str, Callable[[Path], Iterator[Row]]] = {"meshes": meshes, "views": views, "pictures": pictures}


def _rendered(files: list[Path]) -> dict[Path, Rendered]:
    """The front of each file, all in one run."""
    sources = [Source(f"{number:03}_{file.stem}", file) for number, file in enumerate(files)]
    with tempfile.TemporaryDirectory() as out:
        records = render_orbits(sources, out, FRONT, workers=1)
        return {
            file: Rendered(_picture(Path(out) / record["id"]), record.get("reason", ""), (*record.get("notes", ()),))
            for file, record in zip(files, records, strict=True)
        }


def _picture(folder: Path) -> np.ndarray | None:
    file = folder / "000.png"
    return np.asarray(Image.open(file).convert("RGBA")) if file.is_file() else None


def _by_samples(name: str, samples: list[Any], note: str, result: Rendered) -> Row:
    if samples == [["error"]]:
        wanted = f"refused{f' ({note})' if note else ''}"
        return Row(name, wanted, result.reason or _colours(result), bool(result.reason))
    wanted = " ".join(_hex(colour) for _, colour in samples)
    if result.picture is None:
        # A clear error that the file needs what we do not have is right where the note says so.
        return Row(name, wanted, result.reason, "or a clear error" in note)
    found = [_at(result.picture, x, y, colour) for (x, y), colour in samples]
    right = all(_alike(colour, seen) for (_, colour), seen in zip(samples, found, strict=True))
    return Row(name, wanted, " ".join(map(_hex, found)), right)


def _as_the_other(name: str, other: str, rendered: dict[str, Rendered]) -> Row:
    ours, theirs = rendered[name].picture, rendered[other].picture
    if ours is None or theirs is None:
        return Row(name, f"as {other}", rendered[name].reason or rendered[other].reason, False)
    worst = int(np.abs(ours.astype(int) - theirs).max())
    return Row(name, f"as {other}", f"differs by {worst}", worst <= TOLERANCE)


def _seen(name: str, result: Rendered) -> Row:
    """Right when something with a colour is seen, not black."""
    if result.picture is None:
        return Row(name, "an object with colours", result.reason, False)
    seen = result.picture[result.picture[..., 3] > 128][:, :3]
    return Row(name, "an object with colours", _colours(result), len(seen) > 0 and seen.max() > 40)


def _two_names(folder: Path) -> Row:
    from render.source import find

    try:
        names = [source.id for source in find(folder)]
    except ViewmaskError as error:
        return Row(folder.name, "two distinct names", str(error), False)
    return Row(folder.name, "two distinct names", " ".join(names), len(set(names)) == 2)


def _colours(result: Rendered) -> str:
    if result.picture is None:
        return result.reason
    seen = result.picture[result.picture[..., 3] > 128][:, :3]
    return f"{len(seen)} pixels, mean {_hex(tuple(seen.mean(0).astype(int)))}" if len(seen) else "nothing is seen"


def _at(picture: np.ndarray, x: float, y: float, wanted: list[int] | None) -> tuple[int, ...] | None:
    """The colour at a share of the unit square's width and height; None where it is transparent.

    Some samples lie a few pixels beside an edge: what is wanted counts if it stands within `NEAR` pixels.
    """
    camera = Camera.on_sphere(0, FRONT.elevation, FRONT.distance, FRONT.fov, size=FRONT.size)
    pixels, _ = camera.project(np.array([[0.0, x - 0.5, 0.5 - y]]))
    column, row = np.clip(pixels[0].astype(int), NEAR, FRONT.size - 1 - NEAR)
    around = [(0, 0), *((i, j) for i in range(-NEAR, NEAR + 1) for j in range(-NEAR, NEAR + 1))]
    seen = []
    for down, right in around:
        red, green, blue, alpha = picture[row + down, column + right].tolist()
        seen.append((red, green, blue) if alpha > 127 else None)
    return next((colour for colour in seen if _alike(wanted, colour)), seen[0])


def _alike(wanted: list[int] | None, seen: tuple[int, ...] | None) -> bool:
    if wanted is None or seen is None:
        return wanted is None and seen is None
    return max(abs(a - b) for a, b in zip(wanted, seen, strict=True)) <= TOLERANCE


def _hex(colour: Any) -> str:
    return "------" if colour is None else "".join(f"{int(value):02x}" for value in colour)


def main() -> int:
    """Print the tables; 1 if a case is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=TABLES, help="one of the tables")
    options = parser.parse_args()
    wrong = 0
    for name, table in TABLES.items():
        if options.only not in (None, name):
            continue
        if not (options.folder / name).is_dir():
            print(f"{name}: skipped, there is no folder {options.folder / name}")
            continue
        rows = list(table(options.folder / name))
        print(f"{name}: {sum(row.right for row in rows)} of {len(rows)} right")
        for row in rows:
            print(f"  {'ok   ' if row.right else 'WRONG'} {row.name:48} {row.expected[:44]:44} {row.got[:110]}")
        wrong += sum(not row.right for row in rows)
    return int(wrong > 0)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
