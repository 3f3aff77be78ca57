"""How much of the true volume do the silhouettes of 4, 8 and 16 views give back?

    python studies/hull.py --data DIR [--json FILE] [--resolution 128]

The true meshes are rendered (elevation 30, azimuth 0 first), and the hull is carved from the silhouettes. Both are
compared as occupancy on a 96^3 grid over the unit cube.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eval.metrics.occupancy import occupancy
from recon import hull, silhouette
from render.raycast import render
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

VIEWS = (4, 8, 16)
GRID = hull.Grid.around(np.full(3, -0.5), np.full(3, 0.5), 96)
AXES = [GRID.origin[axis] + GRID.pitch * np.arange(GRID.shape[axis]) for axis in range(3)]


def hull_occupancy(cut: ViewSet, resolution: int) -> tuple[NDArray[np.bool_], float]:
    """The hull of true silhouettes at the grid's points, and the seconds that `carve` takes."""
    start = time.perf_counter()
    distances = [silhouette.signed_distance(image[..., 3]) for image in cut.images]
    hull.carve(cut.cameras, distances, resolution)
    seconds = time.perf_counter() - start
    return hull.volume(GRID, cut.cameras, distances) > 0, seconds


def measure(data: Path, resolution: int = 128) -> list[dict[str, object]]:
    """One row an object: name, whether it is of GSO-30, IoU and seconds for each number of views."""
    try:
        objects = json.loads((data / "cameras.json").read_text())["objects"]
    except (OSError, ValueError, KeyError) as error:
        raise ViewmaskError(f"no benchmark data in {data}: cameras.json is missing or unreadable") from error
    rows = []
    for name, record in objects.items():
        if record["mesh"] is None:
            continue
        surface = Surface.load(data / record["mesh"], transform=np.array(record["mesh_to_world"]))
        true = occupancy(surface, *AXES)
        row: dict[str, object] = {"object": name, "gso30": record["in_gso30"]}
        cameras = orbit(max(VIEWS))
        images = render(surface, cameras)
        for views in VIEWS:
            step = max(VIEWS) // views
            carved, seconds = hull_occupancy(silhouette.cut_out(ViewSet(images[::step], cameras[::step])), resolution)
            row[f"iou_{views}"] = round(float((true & carved).sum() / (true | carved).sum()), 4)
            row[f"seconds_{views}"] = round(seconds, 3)
        rows.append(row)
        print(f"{name[:40]:40}", *(f"{row[f'iou_{views}']:.3f}" for views in VIEWS), file=sys.stderr)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/gso"), help="folder with cameras.json")
    parser.add_argument("--resolution", type=int, default=128, help="grid points along the longest side")
    parser.add_argument("--json", type=Path, help="write all rows to this file")
    arguments = parser.parse_args()
    rows = measure(arguments.data, arguments.resolution)
    print(f"{'set':22}", *(f"{views:>3} views" for views in VIEWS), f"{'carve 4, s':>11}")
    for title, part in (("all", rows), ("GSO-30 with a mesh", [row for row in rows if row["gso30"]])):
        means = [float(np.mean([row[f"iou_{views}"] for row in part])) for views in VIEWS]  # type: ignore[misc]
        seconds = float(np.mean([row["seconds_4"] for row in part]))  # type: ignore[misc]
        print(f"{f'{title} ({len(part)})':22}", *(f"{mean:9.3f}" for mean in means), f"{seconds:11.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")
    if arguments.json:
        atomic.write(arguments.json, json.dumps(rows, indent=1))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
