"""How often does `eval.methods.fitting` find a mesh's heading and scale again, from the given view alone?

The given view is a lit picture of the object (GSO-30: its true view 0). The mesh is unlit, turned by a random multiple
of 90 degrees (a system's own pose: upright, its box along the axes) and scaled by 0.3 to 3. With --hull the mesh is our
reconstruction from four views: it tells what a rough mesh does to the search.

    python studies/fitting.py scans --data DATA/scans
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eval.benches import open_bench
from eval.methods.fitting import fitted
from eval.methods.outputs import about_z
from recon.reconstructor import reconstruct
from render.surface import GLTF_TO_WORLD, Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import Picture


def cases(bench: str, data: Path, limit: int, hull: bool) -> Iterator[tuple[str, Surface, Picture, Camera]]:
    for subject in open_bench(bench, data, light="uniform", limit=limit).subjects:
        if subject.mesh is None:
            continue
        truth = subject.views(4)
        surface = subject.mesh()
        if hull:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "hull.glb"
                reconstruct(truth).save(path)
                surface = Surface.load(path, transform=GLTF_TO_WORLD)
        assert isinstance(surface, Surface)
        yield subject.id, surface, truth.images[0], truth.cameras[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", choices=["gso", "objects", "scans", "furniture"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=30)
    parser.add_argument("--hull", action="store_true")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    turns, scales = [], []
    for name, surface, reference, camera in cases(arguments.bench, arguments.data, arguments.limit, arguments.hull):
        # GSO's objects are turned in their world: undo that, so that the box lies along the axes again.
        pose = surface.file_to_world[:3, :3] if arguments.bench == "gso" and not arguments.hull else np.eye(3)
        own = -np.degrees(np.arctan2(pose[1, 0], pose[0, 0]))
        scale = rng.uniform(0.3, 3)
        moved = surface.transformed(about_z(own + 90 * rng.integers(4)) @ np.diag([scale, scale, scale, 1.0]))
        again = fitted(moved, reference, camera, turn=True)
        before, after = (each.vertices[:, :2] - each.vertices[:, :2].mean(axis=0) for each in (surface, again))
        along = (before * after).sum()
        across = (before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]).sum()
        turns.append(abs(np.degrees(np.arctan2(across, along))))
        scales.append(np.sqrt((after**2).sum() / (before**2).sum()))
        if turns[-1] > 5:
            print(f"{name}: off by {turns[-1]:.0f} degrees")
    right = sum(turn <= 5 for turn in turns)
    print(
        f"{arguments.bench}: heading within 5 degrees for {right} of {len(turns)}; scale, 5th to 95th percentile:",
        end=" ",
    )
    print(" to ".join(f"{value:.3f}" for value in np.percentile(scales, [5, 95])))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
