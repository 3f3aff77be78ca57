"""How long meshes take: every step of `reconstruct`, and the same step by other libraries, side by side in one run.

    python bench/reconstruct.py [--views FOLDER ...] [--pairs 3] [--before DIR]

Without --views the demo objects are rendered. Figures are medians of processor seconds, which other jobs change little,
and of wall seconds; ratios are of calls in turn. `--before` names another source tree of this project, an older one:
its `reconstruct` is timed in turn with this one's. Peers that are not there (open3d) are named and left out.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `bench` is not installed

import numpy as np
import trimesh
from skimage import measure

from bench import open3d_peer
from recon import atlas, hull, meshing, silhouette
from recon.reconstructor import reconstruct
from render import demo, raycast
from render.source import find
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

Call = Callable[[], Any]

# What a child does: reconstruct the folders that it is told of, and say what each took.
_CHILD = """
import sys, time
from recon.reconstructor import reconstruct
from viewmask.views.viewset import ViewSet
for line in sys.stdin:
    views = ViewSet.load(line.strip())
    wall, processor = time.perf_counter(), time.process_time()
    reconstruct(views)
    print(time.perf_counter() - wall, time.process_time() - processor, flush=True)
"""


@dataclass(frozen=True)
class Seconds:
    """What a piece of work took."""

    wall: float
    processor: float


def timed(work: Call) -> Seconds:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return Seconds(time.perf_counter() - wall, time.process_time() - processor)


def median(runs: list[Seconds]) -> Seconds:
    return Seconds(float(np.median([run.wall for run in runs])), float(np.median([run.processor for run in runs])))


def by_step(views: ViewSet, pairs: int, method: str = "field") -> dict[str, Seconds]:
    """Each step of a reconstruction, by the name that its progress has, and `in all`."""
    runs: dict[str, list[Seconds]] = {}
    for run in range(pairs + 1):
        marks: list[tuple[str, float, float]] = []

        def mark(step: str, share: float = 0.0, marks: list[tuple[str, float, float]] = marks) -> None:
            marks.append((step, time.perf_counter(), time.process_time()))

        reconstruct(views, method, progress=mark)
        mark("end")
        if not run:  # what is loaded once is not what is measured
            continue
        for (step, *begun), (_, *ended) in pairwise(marks):
            runs.setdefault(step, []).append(Seconds(ended[0] - begun[0], ended[1] - begun[1]))
        runs.setdefault("in all", []).append(Seconds(marks[-1][1] - marks[0][1], marks[-1][2] - marks[0][2]))
    return {step: median(each) for step, each in runs.items()}


def peers(views: ViewSet) -> dict[str, dict[str, Call]]:
    """Per step ours, then other libraries' call for the same, on the same input."""
    cut = silhouette.cut_out(views)
    distances = [silhouette.signed_distance(image[..., 3]) for image in cut.images]
    volume, grid = hull.carve(cut.cameras, distances)
    padded = np.pad(np.clip(volume, -2 * grid.pitch, 2 * grid.pitch), 1, constant_values=-2 * grid.pitch)
    vertices, triangles, _, _ = measure.marching_cubes(padded, 0.0, gradient_direction="ascent")
    fine = trimesh.Trimesh(vertices * grid.pitch, triangles, process=False)
    few = meshing.simplify(fine, 20_000)
    calls: dict[str, dict[str, Call]] = {
        "surface of the grid": {
            "ours (scikit-image)": lambda: measure.marching_cubes(padded, 0.0, gradient_direction="ascent"),
            "trimesh": lambda: trimesh.voxel.ops.matrix_to_marching_cubes(padded > 0),
        },
        "smoothing, 10 rounds": {
            "ours": lambda: meshing.taubin(fine.vertices, fine.faces, 10),
            "trimesh": lambda: trimesh.smoothing.filter_taubin(fine.copy(), iterations=20),
        },
        f"{len(fine.faces):,} triangles to 20,000": {
            "ours, closed": lambda: meshing.simplify(fine, 20_000),
            "trimesh (fast-simplification)": lambda: fine.simplify_quadric_decimation(face_count=20_000),
        },
        "unwrapping 20,000 triangles": {
            "ours, with texels": lambda: atlas.unwrap(few, 1024),
            "trimesh (xatlas)": lambda: few.copy().unwrap(),
        },
    }
    o3d = open3d_peer.loaded()
    if o3d is not None:
        many, some = (
            o3d.geometry.TriangleMesh(o3d.utility.Vector3dVector(mesh.vertices), o3d.utility.Vector3iVector(mesh.faces))
            for mesh in (fine, few)
        )
        smooth, simple, unwrapped = list(calls)[1:]
        calls[smooth]["open3d"] = lambda: many.filter_smooth_taubin(10)
        calls[simple]["open3d"] = lambda: many.simplify_quadric_decimation(20_000)
        calls[unwrapped]["open3d"] = lambda: o3d.t.geometry.TriangleMesh.from_legacy(some).compute_uvatlas(1024)
    return calls


def compare(calls: dict[str, dict[str, Call]], pairs: int) -> None:
    """A row a step and library: medians, and the median ratio to ours of calls in turn."""
    print("\n| step | library | processor, s | times ours, processor | times ours, wall |\n|---|---|---|---|---|")
    for step, libraries in calls.items():
        runs: dict[str, list[Seconds]] = {name: [] for name in libraries}
        for _ in range(pairs):
            for name, call in libraries.items():
                with suppress(Exception):  # a peer that gives up has no figure
                    runs[name].append(timed(call))
        ours = next(iter(runs.values()))
        for name, each in runs.items():
            if len(each) < pairs:
                print(f"| {step} | {name} | fails | – | – |")
                continue
            ratios = [
                (one.processor / base.processor, one.wall / base.wall) for one, base in zip(each, ours, strict=True)
            ]
            processor, wall = np.median(ratios, 0)
            print(f"| {step} | {name} | {median(each).processor:.2f} | {processor:.2f} | {wall:.2f} |", flush=True)


@contextmanager
def child(tree: Path) -> Iterator[Callable[[Path], Seconds]]:
    """A process with another source tree of this project, that reconstructs a folder of views when it is asked to."""
    process = subprocess.Popen(
        [sys.executable, "-c", _CHILD], env=os.environ | {"PYTHONPATH": str(tree)}, cwd=tree, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    asked, answered = process.stdin, process.stdout

    def ask(folder: Path) -> Seconds:
        asked.write(f"{folder.resolve()}\n")
        asked.flush()
        return Seconds(*map(float, answered.readline().split()))

    try:
        yield ask
    finally:
        asked.close()
        process.wait()


def against(before: Path, folders: list[Path], pairs: int) -> None:
    """A row a folder: this tree and another in turn."""
    print("\n| views | before, s | now, s | times as fast, processor | wall |\n|---|---|---|---|---|")
    with child(before) as old, child(Path(__file__).parents[1]) as new:
        for folder in folders:
            old(folder), new(folder)
            runs = [(old(folder), new(folder)) for _ in range(pairs)]
            then, now = median([one for one, _ in runs]), median([one for _, one in runs])
            ratios = [(a.processor / b.processor, a.wall / b.wall) for a, b in runs]
            processor, wall = np.median(ratios, 0)
            print(
                f"| {folder.name} | {then.processor:.2f} | {now.processor:.2f} | {processor:.2f} | {wall:.2f} |",
                flush=True,
            )


def shown(scratch: Path) -> list[Path]:
    """Views of the demo objects."""
    cameras = orbit(4)
    return [
        ViewSet(raycast.render(source.surface(), cameras), cameras).save(scratch / source.id)
        for source in find(demo.write(scratch / "meshes"))[:2]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--views", nargs="*", type=Path, default=[], help="folders of posed views")
    parser.add_argument("--pairs", type=int, default=3, help="calls in turn")
    parser.add_argument("--before", type=Path, help="another source tree of this project")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folders = options.views or shown(Path(scratch))
            steps = {folder.name: by_step(ViewSet.load(folder), options.pairs) for folder in folders}
            print(f"\n| step | {' | '.join(steps)} |\n|---|{'---|' * len(steps)}")
            for step in next(iter(steps.values())):
                cells = [f"{each[step].processor:.2f} ({each[step].wall:.2f})" for each in steps.values()]
                print(f"| {step} | {' | '.join(cells)} |")
            compare(peers(ViewSet.load(folders[0])), options.pairs)
            if options.before:
                against(options.before, folders, options.pairs)
        except ViewmaskError as error:
            raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
