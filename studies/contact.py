"""What do rendered views look like? A contact sheet, a tile an object, of what `viewmask render` wrote.

python studies/contact.py VIEWS --out docs/rendered.jpg [--view 1] [--tile 72] [--columns 20]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views import collection
from viewmask.views.viewset import resize


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("views", help="a folder of view sets, or its shards")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--view", type=int, default=1, help="which of an object's views")
    parser.add_argument("--tile", type=int, default=72)
    parser.add_argument("--columns", type=int, default=20)
    arguments = parser.parse_args()
    tiles = [
        resize(views.images[arguments.view], arguments.tile)
        for views in collection.read(collection.find([arguments.views]))
    ]
    rows = -(-len(tiles) // arguments.columns)
    sheet = Image.new(
        "RGB", (arguments.columns * arguments.tile, rows * arguments.tile), "#c8ccd2"
    )  # white things show, too
    for index, tile in enumerate(tiles):
        picture = Image.fromarray(tile, "RGBA")
        row, column = divmod(index, arguments.columns)
        sheet.paste(picture, (column * arguments.tile, row * arguments.tile), picture)
    atomic.write_with(arguments.out, lambda temporary: sheet.save(temporary, "JPEG", quality=88))
    print(f"{arguments.out}: {len(tiles)} objects")


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
