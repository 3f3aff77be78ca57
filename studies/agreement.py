"""How often are wrong cameras noticed, and right ones not suspected?

    python studies/agreement.py VIEWS [--limit 20]

VIEWS holds view sets of orbits (viewmask render --views 8), of which four views an object are taken. Which two views
are exchanged, and which one is mirrored, changes from object to object. Prints the rate of each fault over objects.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from recon.agreement import complaint
from recon.silhouette import cut_out, signed_distance
from viewmask.errors import ViewmaskError
from viewmask.views.collection import find
from viewmask.views.viewset import ViewSet

PAIRS = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (0, 3))
FAULTS = ("none", "two views exchanged", "one view mirrored", "orbit reversed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("views", type=Path)
    parser.add_argument("--limit", type=int, default=20, help="objects, evenly spread")
    arguments = parser.parse_args()
    places = find([arguments.views])
    limit = min(arguments.limit, len(places))
    places = [places[i * len(places) // limit] for i in range(limit)]
    warnings, names = dict.fromkeys(FAULTS, 0), dict.fromkeys(FAULTS, 0)
    for index, place in enumerate(places):
        orbit = ViewSet.load(place)
        four = range(0, len(orbit), len(orbit) // 4)
        true = cut_out(ViewSet([orbit.images[i] for i in four], [orbit.cameras[i] for i in four]))
        for fault, views, words in faults(true, index):
            line = complaint(views, [signed_distance(image[..., 3]) for image in views.images])
            warnings[fault] += line is not None
            names[fault] += line is not None and any(word in line for word in words)
            print(f"{Path(place).name[:30]:30} {fault:20} {line or ''}", flush=True)
    for fault in FAULTS:
        print(f"{fault:20} warned {warnings[fault]} of {len(places)}, rightly named {names[fault]}")


def faults(true: ViewSet, index: int) -> Iterator[tuple[str, ViewSet, list[str]]]:
    """Each fault: its name, the views that have it, and words of a line that names it."""
    yield FAULTS[0], true, []
    one, other = PAIRS[index % len(PAIRS)]
    cameras = list(true.cameras)
    cameras[one], cameras[other] = cameras[other], cameras[one]
    # Of four views, exchanging 1 and 3 is reversing the orbit.
    reverse = ["reverse order", "views 1 and 3"]
    exchange = reverse if (one, other) == (1, 3) else [f"views {one} and {other}"]
    yield FAULTS[1], ViewSet(true.images, cameras, true.extra), exchange
    images = list(true.images)
    images[index % 4] = np.ascontiguousarray(images[index % 4][:, ::-1])
    yield FAULTS[2], ViewSet(images, true.cameras, true.extra), [f"view {index % 4} looks mirrored"]
    yield FAULTS[3], ViewSet(true.images, [true.cameras[i] for i in (0, 3, 2, 1)], true.extra), reverse


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
