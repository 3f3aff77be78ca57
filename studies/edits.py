"""What do edits look like? A sheet of views before and after `viewmask edit`, two rows an edit.

    python studies/edits.py --edit BEFORE AFTER [VIEW:]x,y,w,h [--edit ...] --out docs/edits.jpg

The box is drawn where it was given: in view 0, or in the view named before it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw

from studies.sheet import stacked
from viewmask import ViewSet
from viewmask.errors import ViewmaskError
from viewmask.files import atomic

TILE = 128


def strip(views: ViewSet, label: str, box: tuple[int, float, float, float, float] | None = None) -> Image.Image:
    """A row: the label and the views; `box` is the number of a view, and x, y, width and height in it."""
    picture = Image.new("RGB", (TILE * (len(views) + 1), TILE), "white")
    draw = ImageDraw.Draw(picture)
    draw.multiline_text((6, TILE // 2 - 24), label.replace(": ", ":\n").replace(" with ", "\nwith "), fill="#333333")
    for index, view in enumerate(views.images):
        tile = Image.fromarray(view, "RGBA").resize((TILE, TILE), Image.Resampling.LANCZOS)
        picture.paste(tile, (TILE * (index + 1), 0), tile)
        if box is not None and box[0] == index:
            x, y, width, height = (each * TILE / view.shape[1] for each in box[1:])
            left = TILE * (index + 1) + x
            draw.rectangle((left, y, left + width - 1, y + height - 1), outline="#1f6feb", width=2)
    return picture


def box_of(region: str) -> tuple[int, float, float, float, float]:
    """The view and the box of `[VIEW:]x,y,w,h`.

    Raises:
        ViewmaskError: no such text.
    """
    view, _, numbers = region.rpartition(":")
    try:
        x, y, width, height = map(float, numbers.split(","))
        return int(view or 0), x, y, width, height
    except ValueError as error:
        raise ViewmaskError(f"{region!r} is no region: write [VIEW:]x,y,w,h") from error


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--edit", nargs=3, action="append", required=True, metavar=("BEFORE", "AFTER", "REGION"), dest="edits"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rows = []
    for before, after, region in arguments.edits:
        old, new = ViewSet.load(before), ViewSet.load(after)
        rows += [strip(old, f"before: {old.caption}", box_of(region)), strip(new, f"after: {new.caption}")]
    atomic.write_with(arguments.out, lambda temporary: stacked(rows).save(temporary, "JPEG", quality=88))
    print(f"{arguments.out}: {len(arguments.edits)} edits")


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
