"""What do views and meshes of ten sentences and ten pictures look like, none of them picked?

    python studies/sheet.py --data DIR [--out docs] [--weights DIR]

Writes two sheets. Sentences and pictures are those of `val` objects, spread evenly over `objects`, `scans` and
`furniture`. Each row is one object: four views, and its mesh seen from 45 degrees to the right.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from eval.benches import open_bench
from recon.reconstructor import reconstruct
from render.raycast import render
from render.surface import Surface
from viewmask import Generator, ViewSet
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera

SHARES = {"objects": 4, "scans": 3, "furniture": 3}
TILE = 160


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
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return mesh.save(Path(folder) / "mesh.glb")[0].read_bytes()  # type: ignore[attr-defined, no-any-return]


def main() -> None:
    """Write sentences.jpg and pictures.jpg."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    generator = Generator.load(arguments.weights)
    sheets: dict[str, list[Image.Image]] = {"sentences": [], "pictures": []}
    for name, count in SHARES.items():
        for subject in open_bench(name, arguments.data / name, limit=count).subjects:
            print(subject.id, subject.caption, flush=True)
            sheets["sentences"].append(row(subject.caption, generator.from_text(subject.caption)))
            sheets["pictures"].append(row(subject.caption, generator.from_image(subject.views(4).images[0])))
    for name, rows in sheets.items():
        sheet = Image.new("RGB", (rows[0].width, TILE * len(rows)), "white")
        for index, strip in enumerate(rows):
            sheet.paste(strip, (0, index * TILE))
        path = arguments.out / f"{name}.jpg"
        atomic.write_with(path, lambda temporary, sheet=sheet: sheet.save(temporary, "JPEG", quality=88))  # type: ignore[misc]
        print(path)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
