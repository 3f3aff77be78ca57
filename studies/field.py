"""How well do fields tell inside from outside?

    python studies/field.py recon/weights/field runs/recon/weights --data work/v/scans work/v/furniture

They are asked at points drawn evenly in and around objects; no meshes are made. The data is views with points
(`viewmask render --passes points`). `--split train` tells whether a field has learnt its objects by heart. Prints the
mean IoU over objects, the hull's first.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recon.field import Field, FieldConfig
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.train.field import Objects, pack, score


def table(weights: list[Path], sets: dict[str, Objects], views: int, limit: int) -> list[list[str]]:
    """Rows of a name and an IoU for every set: the hull's, then one for every folder of weights."""
    models = [checkpoint.load(place, Field, FieldConfig)[0] for place in weights]
    figures = [[score(model, objects, views, limit) for objects in sets.values()] for model in models]
    rows = [["hull", *(f"{one['val_hull']:.3f}" for one in figures[0])]]
    rows += [
        [str(place), *(f"{one['val_iou']:.3f}" for one in row)] for place, row in zip(weights, figures, strict=True)
    ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="folders of fields")
    parser.add_argument("--data", nargs="+", type=Path, required=True, help="folders of view sets with points")
    parser.add_argument("--split", default="val")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--limit", type=int, default=1_000_000, help="objects of a set, evenly spread")
    parser.add_argument("--packed", type=Path, help="where packed objects are kept (default: nowhere)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place, split = arguments.packed or scratch, arguments.split
        sets = {str(folder): Objects.load(pack([folder], place, split)) for folder in arguments.data}
    grid = Table("IoU", *(f"{name} ({min(len(objects), arguments.limit)})" for name, objects in sets.items()))
    for row in table(arguments.weights, sets, arguments.views, arguments.limit):
        grid.add_row(*row)
    Console().print(grid)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
