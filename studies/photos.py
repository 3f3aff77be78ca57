"""What becomes of people's photos? A sheet, a row a photo: its cut-out, views and mesh, and what the user is told.

    python studies/photos.py PHOTOS --out DIR [--weights DIR]

Each picture of the folder goes the user's way: `viewmask generate --image PHOTO --mesh --out DIR/NAME`, nothing chosen.
DIR/photos.jpg is the sheet; a table of the same goes to standard output. `studies/snapshots.py` makes ten photos.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from render.raycast import render
from render.surface import Surface
from studies.sheet import UP, stacked
from viewmask import ViewSet
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera
from viewmask.views.cutout import CUTOUT

MESH = "mesh.glb"
TILE, WORDS = 150, 270  # width of a picture, and of what was told
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".heic", ".avif", ".tif", ".tiff")
COLUMNS = ("photo", "cut-out", "0°", "90°", "180°", "270°", "mesh", "mesh, behind")
_SHADE = "#d4d8de"  # behind cut-outs: white and dark things show, too


@dataclass(frozen=True, eq=False)
class Result:
    """What the command made of a photo.

    Attributes:
        photo: the file.
        folder: holds views, cut-out and mesh, if one was made; None where the photo was refused.
        way: of the cut-out, as the record has it; empty where the photo was refused.
        told: every line that the user is told, those of progress left out.
    """

    photo: Path
    folder: Path | None
    way: str
    told: tuple[str, ...]

    @classmethod
    def of(cls, photo: Path, out: Path, weights: Path | None = None) -> Result:
        """Run the command.

        Raises:
            ViewmaskError: it failed otherwise than by refusing the photo.
        """
        folder = out / photo.stem
        command: list[str | Path] = [sys.executable, "-m", "viewmask", "generate", "--image", photo, "--mesh"]
        command += ["--out", folder, "--json"]
        command += ["--weights", weights] if weights else []
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode not in (0, 2):
            raise ViewmaskError(f"{photo.name}: {done.stderr.strip()[-500:]}")
        if not folder.is_dir():
            return cls(photo, None, "", (done.stderr.strip().splitlines()[-1],))
        extra = ViewSet.load(folder).extra
        told = json.loads(done.stdout)["samples"][0]["notes"] if done.returncode == 0 else extra.get("notes", [])
        failed = [] if done.returncode == 0 else [done.stderr.strip().splitlines()[-1]]  # views, but no mesh of them
        return cls(photo, folder, extra["making"]["cutout"], (*told, *failed))

    def row(self) -> Image.Image:
        """Photo, cut-out, views, the mesh from two sides, and beside them what was told."""
        with Image.open(self.photo) as opened:
            tiles = [ImageOps.exif_transpose(opened).convert("RGBA")]
        if self.folder is not None:
            views = ViewSet.load(self.folder)
            sides = []
            if (self.folder / MESH).is_file():
                mesh = Surface.load(self.folder / MESH, transform=UP)
                sides = render(mesh, [Camera.on_sphere(45), Camera.on_sphere(225)])
            tiles.append(Image.open(self.folder / CUTOUT).convert("RGBA"))
            tiles += [Image.fromarray(picture, "RGBA") for picture in (*views.images, *sides)]
        strip = Image.new("RGB", (TILE * len(COLUMNS) + WORDS, TILE), "white")
        for index, tile in enumerate(tiles):
            fitting = ImageOps.contain(tile, (TILE - 6, TILE - 6), Image.Resampling.LANCZOS)
            place = index * TILE + (TILE - fitting.width) // 2, (TILE - fitting.height) // 2
            if index == 1:
                strip.paste(_SHADE, (*place, place[0] + fitting.width, place[1] + fitting.height))
            strip.paste(fitting, place, fitting)
        lines = [f"{self.photo.stem}: {self.way or 'refused'}"]
        lines += [line for told in self.told for line in textwrap.wrap(told, 46, initial_indent="- ")]
        draw, font = ImageDraw.Draw(strip), ImageFont.load_default(11)
        draw.multiline_text((TILE * len(COLUMNS) + 8, 6), "\n".join(lines), fill="#333333", font=font, spacing=2)
        return strip


def pictures(folder: Path) -> list[Path]:
    """The photos of a folder, by name.

    Raises:
        ViewmaskError: there is none, or two have one name.
    """
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        raise ViewmaskError(f"no photo in {folder}: looked for {', '.join(SUFFIXES)}")
    if len({path.stem for path in found}) < len(found):
        raise ViewmaskError(f"two photos in {folder} have one name: rename one")
    return found


def sheet(results: list[Result]) -> Image.Image:
    """The rows, and the names of the columns above."""
    head = Image.new("RGB", (TILE * len(COLUMNS) + WORDS, 26), "white")
    draw = ImageDraw.Draw(head)
    for index, title in enumerate((*COLUMNS, "way of the cut-out, and what the user is told")):
        left = index * TILE
        middle = (left + TILE // 2, 14) if index < len(COLUMNS) else (left + 8, 14)
        anchor = "mm" if index < len(COLUMNS) else "lm"
        draw.text(middle, title, fill="#333333", anchor=anchor, font=ImageFont.load_default(13))
    return stacked([head, *(result.row() for result in results)])


def table(results: list[Result]) -> str:
    """A line a photo: its name, the way of the cut-out, what was told."""
    lines = ["| photo | cut-out | told |", "|---|---|---|"]
    lines += [f"| {each.photo.stem} | {each.way or 'refused'} | {'; '.join(each.told)} |" for each in results]
    return "\n".join(lines)


def main() -> None:
    """Write the sheet, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path, help="a folder of pictures")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    if arguments.out.exists() and any(arguments.out.iterdir()):
        raise ViewmaskError(f"{arguments.out} is not empty: name another folder with --out")
    results = []
    for photo in pictures(arguments.photos):
        results.append(Result.of(photo, arguments.out, arguments.weights))
        print(f"{photo.name}: {results[-1].way or 'refused'}", file=sys.stderr, flush=True)
    page = sheet(results)
    path = arguments.out / "photos.jpg"
    atomic.write_with(path, lambda temporary: page.save(temporary, "JPEG", quality=86))
    print(table(results))
    print(path, file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
