"""What will the field be given? Views that the shipped generator makes of training objects.

    viewmask render ... --views 8 --passes points --out views
    python studies/synthetic.py views --out synthetic [--split train] [--views 4]
    viewmask train recon --data views --data synthetic

View 0 of every view set with points stays. The other views are made from it, as `viewmask generate` makes them. The
points stay those of the true object. What --out holds already is not made again.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera, orbit
from viewmask.views.collection import find
from viewmask.views.viewset import ViewSet

PASSES = "passes.npz"
POINTS = ("points", "inside", "colours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", help="view sets, or folders of them")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--split", help="only view sets of this split")
    parser.add_argument("--views", type=int, default=4, help="of an object, evenly around it")
    parser.add_argument("--steps", type=int, help="of the sampler, in place of its default")
    parser.add_argument("--limit", type=int, help="only so many objects, evenly spread")
    arguments = parser.parse_args()
    places = [Path(place) for place in find(arguments.folders) if (Path(place) / PASSES).exists()]
    if arguments.limit:
        places = [places[i] for i in np.unique(np.linspace(0, len(places) - 1, arguments.limit).astype(int))]
    missing = [place for place in places if not (arguments.out / place.name / PASSES).exists()]
    generator, start, count = Generator.load(), time.monotonic(), 0
    for place, views in selection(missing, arguments.split, arguments.views):
        write(generator, place, views, arguments.out, arguments.steps)
        count += 1
        each = (time.monotonic() - start) / count
        print(f"{count} of at most {len(missing)} objects, {each:.1f} s each", file=sys.stderr, flush=True)
    print(f"{arguments.out}: {count} objects made, {len(places) - len(missing)} were there")


def selection(places: list[Path], split: str | None, count: int) -> Iterator[tuple[Path, ViewSet]]:
    """The view sets of a split, `count` views of each; one off the generator's orbit is left out, and named."""
    for place in places:
        views = ViewSet.load(place)
        if split is not None and views.extra.get("split", split) != split:
            continue
        few = range(0, len(views), max(len(views) // count, 1))
        cameras = [views.cameras[i] for i in few]
        if not along_an_orbit(cameras, count):
            print(f"left out {place.name}: no {count} of its views lie on the generator's orbit", file=sys.stderr)
            continue
        yield place, ViewSet([views.images[i] for i in few], cameras, views.extra)


def along_an_orbit(cameras: list[Camera], count: int) -> bool:
    """Whether they stand where the generator's views do, but for the first azimuth."""
    start = cameras[0].azimuth
    expected = orbit(count, size=cameras[0].width, start=start)
    return len(cameras) == count and all(
        np.allclose(a.camera_to_world, b.camera_to_world, atol=1e-3) and abs(a.field_of_view - b.field_of_view) < 0.1
        for a, b in zip(cameras, expected, strict=True)
    )


def write(generator: Generator, place: Path, views: ViewSet, out: Path, steps: int | None) -> None:
    """Make an object's views; its folder is whole when its points stand in it, for they come last."""
    synthetic = generator.from_reference(views.images[0], len(views), steps=steps, as_view=True).resized(
        views.cameras[0].width
    )
    formats = {name: text for name, text in views.extra.get("passes", {}).items() if name == "points"}
    about = {"weights": synthetic.extra["weights"], "passes": formats}
    folder = ViewSet([views.images[0], *synthetic.images[1:]], views.cameras, views.extra | about).save(
        out / place.name
    )
    packed = io.BytesIO()
    with np.load(place / PASSES) as arrays:
        np.savez_compressed(packed, **{name: arrays[name] for name in POINTS})
    atomic.write(folder / PASSES, packed.getvalue())


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
