"""What do views and meshes of ten sentences and ten pictures look like, none of them picked?

    python studies/sheet.py --data DIR [--out docs] [--weights DIR]

Writes two sheets. Sentences and pictures are those of `val` objects, spread evenly over `objects`, `scans` and
`furniture`; pictures are given views. Each row is one object: four views, and its mesh seen from 45 degrees to the
right.

With `--photo SET/ID ...` it writes photo.jpg instead, a row for each of these `val` objects: what `viewmask generate
--image PICTURE --mesh` writes of its view. The columns are the picture, four views, and the mesh from two sides. A set
without an ID stands for two objects, in the middle and at three quarters of `docs/figures/views/SET.json`, ordered by
the silhouette IoU of their views. The README's picture is:

    python studies/sheet.py --data DIR --photo scans/ycb_038_padlock scans/gso_FISHING_GAME_pond
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from eval.benches import open_bench
from recon.reconstructor import reconstruct
from render.raycast import render
from render.surface import Surface
from viewmask import Generator, ViewSet
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera

SHARES = {"objects": 4, "scans": 3, "furniture": 3}
TILE, PHOTO = 160, 200


def row(label: str, views: ViewSet) -> Image.Image:
    """One object: its label, its views, its mesh."""
    pictures = list(views.images)
    try:
        mesh = reconstruct(views)
        surface = Surface.load(glb(mesh), transform=UP)
        pictures += render(surface, [Camera.on_sphere(45)])
    except ViewmaskError as error:
        label += f"\n\nno mesh: {error}"
    strip = Image.new("RGB", (TILE * 6, TILE), "white")
    draw = ImageDraw.Draw(strip)
    lines, line = [], ""
    for word in label.split(" "):
        if len(line) + len(word) > 24:
            lines.append(line)
            line = ""
        line += word + " "
    draw.multiline_text((6, TILE // 2 - 20), "\n".join([*lines, line]), fill="#333333")
    for index, picture in enumerate(pictures):
        tile = Image.fromarray(picture, "RGBA").resize((TILE, TILE), Image.Resampling.LANCZOS)
        strip.paste(tile, ((index + 1) * TILE, 0), tile)
    return strip


# A GLB of ours comes back into the world without being normalised again.
UP = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])


def glb(mesh: object) -> bytes:
    """The bytes of a mesh as it would be saved."""
    with tempfile.TemporaryDirectory() as folder:
        return mesh.save(Path(folder) / "mesh.glb")[0].read_bytes()  # type: ignore[attr-defined, no-any-return]


def quartiles(name: str) -> list[str]:
    """The objects of a bench in the middle and at three quarters, by the silhouette IoU of their views."""
    result = json.loads((Path(__file__).parents[1] / f"docs/figures/views/{name}.json").read_text())
    ranked = sorted(result["objects"], key=lambda record: record["silhouette_iou"])
    return [f"{name}/{ranked[len(ranked) * share // 4]['id']}" for share in (2, 3)]


def picture(data: Path, name: str) -> Image.Image:
    """View 0 of a `val` object, `SET/ID`."""
    bench, _, object_id = name.partition("/")
    subjects = {subject.id: subject for subject in open_bench(bench, data / bench).subjects}
    if object_id not in subjects:
        raise SystemExit(f"error: no val object {object_id!r} in {data / bench}: write --photo SET/ID")
    return Image.fromarray(subjects[object_id].views(4).images[0], "RGBA")


def photo(given: Image.Image, weights: Path | None) -> Image.Image:
    """A picture, and what `viewmask generate --image PICTURE --mesh` writes of it."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        given.save(Path(folder) / "picture.png")
        command: list[str | Path] = [sys.executable, "-c", "from viewmask_cli.main import run; run()", "generate"]
        command += ["--image", Path(folder) / "picture.png", "--mesh", "--out", out]
        command += ["--weights", weights] if weights else []
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
        tiles = [np.asarray(given), *ViewSet.load(out).images]
        tiles += render(Surface.load(out / "mesh.glb", transform=UP), [Camera.on_sphere(45), Camera.on_sphere(225)])
    strip = Image.new("RGB", (PHOTO * len(tiles), PHOTO), "white")
    for index, tile in enumerate(tiles):
        resized = Image.fromarray(tile, "RGBA").resize((PHOTO, PHOTO), Image.Resampling.LANCZOS)
        strip.paste(resized, (index * PHOTO, 0), resized)
    return strip


def titled(strips: list[Image.Image]) -> Image.Image:
    """Rows of `photo`, with the names of the columns below."""
    titles = ("picture", "0°", "90°", "180°", "270°", "mesh", "mesh, behind")
    sheet = stacked([*strips, Image.new("RGB", (strips[0].width, 28), "white")])
    draw = ImageDraw.Draw(sheet)
    for index, title in enumerate(titles):
        middle = (index * PHOTO + PHOTO // 2, sheet.height - 16)
        draw.text(middle, title, fill="#333333", anchor="mm", font=ImageFont.load_default(16))
    for index in (1, 5):  # what is given | what is made of it | what is made of that
        draw.line((index * PHOTO, 12, index * PHOTO, sheet.height - 12), fill="#cccccc", width=2)
    return sheet


def stacked(strips: list[Image.Image]) -> Image.Image:
    sheet = Image.new("RGB", (strips[0].width, sum(strip.height for strip in strips)), "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def save(sheet: Image.Image, path: Path) -> None:
    atomic.write_with(path, lambda temporary: sheet.save(temporary, "JPEG", quality=88))
    print(path)


def main() -> None:
    """Write sentences.jpg and pictures.jpg, or photo.jpg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--photo", metavar="SET[/ID]", nargs="+", help="these val objects, or a set's quartiles")
    arguments = parser.parse_args()
    if arguments.photo:
        names = [one for name in arguments.photo for one in ([name] if "/" in name else quartiles(name))]
        strips = [photo(picture(arguments.data, name), arguments.weights) for name in names]
        save(titled(strips), arguments.out / "photo.jpg")
        return
    generator = Generator.load(arguments.weights)
    sheets: dict[str, list[Image.Image]] = {"sentences": [], "pictures": []}
    for name, count in SHARES.items():
        for subject in open_bench(name, arguments.data / name, limit=count).subjects:
            print(subject.id, subject.caption, flush=True)
            sheets["sentences"].append(row(subject.caption, generator.from_text(subject.caption)))
            made = generator.from_reference(subject.views(4).images[0], as_view=True)
            sheets["pictures"].append(row(subject.caption, made))
    for name, rows in sheets.items():
        save(stacked(rows), arguments.out / f"{name}.jpg")


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
