"""Is the depth that a picture does not show guessed right? Side views that are too wide or too narrow, counted.

python studies/widths.py --bench scans --data DATA/scans [--given photo] [--weights DIR] [--out FILE.jsonl]

A view from the side is compared with the true one: the width of its silhouette's box over its height, made over true.
An object counts as wrong where that ratio leaves 1 / 1.25 to 1.25 in any side view. Its height alone, made over true,
tells the scale. `--method mirror` and others stand beside.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.benches import open_bench
from eval.methods import open_method
from eval.methods.method import Options
from eval.scoring import given
from viewmask.files import atomic
from viewmask.views.viewset import resize

LIMIT = 1.25
SIDES = (1, 3)  # of four views: those at a right angle to the picture


def main() -> None:
    """Print a row an object, and how many are wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="scans")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--method", default="viewmask")
    parser.add_argument("--given", choices=("view", "photo", "camera"), default="photo")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, help="a JSON line an object")
    arguments = parser.parse_args()
    asked = {"given": arguments.given, "weights": arguments.weights} if arguments.method == "viewmask" else {}
    method = open_method(arguments.method, Options(**asked))
    rows: list[dict[str, Any]] = []
    for subject in open_bench(arguments.bench, arguments.data, split=arguments.split, limit=arguments.limit).subjects:
        truth = subject.views(4)
        made = method.views(subject.id, given(method, subject, truth))
        made = [resize(image, len(truth.images[0])) for image in made[-3:]]
        ratios = [proportion(made[side - 1]) / proportion(truth.images[side]) for side in SIDES]
        heights = [box(made[side - 1])[1] / box(truth.images[side])[1] for side in SIDES]
        rows.append({"id": subject.id, "proportions": ratios, "scales": heights})
        print(f"{subject.id:50} " + " ".join(f"{ratio:6.3f}" for ratio in (*ratios, *heights)), flush=True)
    wrong = sum(any(wide(ratio) for ratio in row["proportions"]) for row in rows)
    scale = sum(any(wide(ratio) for ratio in row["scales"]) for row in rows)
    print(f"{wrong} of {len(rows)} objects have a side view that is more than {LIMIT} times too wide or too narrow")
    print(f"{scale} of {len(rows)} objects have a side view that is more than {LIMIT} times too high or too low")
    if arguments.out:
        atomic.write(arguments.out, "".join(json.dumps(row) + "\n" for row in rows))


def box(picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height in pixels of the box around what a picture shows; 1 and 1 where it shows nothing."""
    shown = picture[..., 3] >= 128
    if not shown.any():
        return 1, 1
    columns, rows = (np.flatnonzero(shown.any(axis)) for axis in (0, 1))
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def proportion(picture: NDArray[np.uint8]) -> float:
    """Width over height of what a picture shows."""
    width, height = box(picture)
    return width / height


def wide(ratio: float) -> bool:
    """Whether a ratio is off by more than LIMIT, either way."""
    return not 1 / LIMIT <= ratio <= LIMIT


if __name__ == "__main__":
    main()
