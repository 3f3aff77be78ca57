"""A contact sheet of rendered views: a tile an object, from a folder that `viewmask render` wrote, or its shards.

python studies/contact.py VIEWS --out docs/rendered.jpg [--view 1] [--tile 72] [--columns 20]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from viewmask.files import atomic
from viewmask.views import collection
from viewmask.views.viewset import resize


def main() -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("views")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--view", type=int, default=1, help="which of an object's views")
    parser.add_argument("--tile", type=int, default=72)
    parser.add_argument("--columns", type=int, default=20)
    options = parser.parse_args()
    tiles = [
        resize(views.images[options.view], options.tile) for views in collection.read(collection.find([options.views]))
    ]
    rows = -(-len(tiles) // options.columns)
    sheet = Image.new("RGB", (options.columns * options.tile, rows * options.tile), "#c8ccd2")  # white things show, too
    for index, tile in enumerate(tiles):
        picture = Image.fromarray(tile, "RGBA")
        row, column = divmod(index, options.columns)
        sheet.paste(picture, (column * options.tile, row * options.tile), picture)
    atomic.write_with(options.out, lambda temporary: sheet.save(temporary, "JPEG", quality=88))
    print(f"{options.out}: {len(tiles)} objects")


if __name__ == "__main__":
    main()
