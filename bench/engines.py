"""How fast the engines are: rays a second and objects an hour, side by side in one run.

    python bench/engines.py [--meshes DIR-OR-INDEX] [--objects 8] [--views 8] [--size 128]

Without --meshes the demo objects are rendered. The row `trimesh` is what a program without render/ would write: the
same rays through `mesh.ray` (Embree too, where installed).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from render import blender, demo, raycast
from render.settings import LIGHTS
from render.source import find
from render.surface import Surface
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


def main() -> None:
    """Print a row an engine, with its ratio to raycast unlit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshes", type=Path)
    parser.add_argument("--objects", type=int, default=8)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=2)
    options = parser.parse_args()
    cameras = orbit(options.views, size=options.size)
    with tempfile.TemporaryDirectory() as scratch:
        sources = find(options.meshes or demo.write(scratch))
        sources = sources[:: max(1, len(sources) // options.objects)][: options.objects]
        start = time.perf_counter()
        surfaces = [source.surface() for source in sources]
        loading = (time.perf_counter() - start) / len(surfaces)

        def timed(draw: Callable[[Surface], Any]) -> float:
            draw(surfaces[0])  # warm
            start = time.perf_counter()
            for surface in surfaces:
                draw(surface)
            return (time.perf_counter() - start) / len(surfaces)

        first = ViewSet(raycast.render(surfaces[0], cameras), cameras)
        saving = timed(lambda s: first.save(Path(scratch) / "saved", force=True))
        engines: dict[str, Callable[[Surface], Any]] = {
            f"raycast {light}": partial(raycast.render, cameras=cameras, light=light, samples=options.samples)
            for light in LIGHTS
        }
        engines["trimesh none"] = lambda s: [_by_trimesh(s, camera, options.samples) for camera in cameras]
        if blender.available():
            engines["blender none"] = lambda s: blender.render(s, cameras, "none", options.samples)
            engines["blender uniform"] = lambda s: blender.render(s, cameras, "uniform", options.samples)
        shape = f"{options.views} views of {options.size} x {options.size}"
        print(f"{len(surfaces)} objects x {shape}, {options.samples**2} rays a pixel")
        print(f"loading {loading * 1e3:.0f} ms and saving {saving * 1e3:.0f} ms an object")
        print(f"{'engine':16} {'ms/object':>10} {'Mrays/s':>8} {'objects/h':>10} {'time by raycast none':>21}")
        rays = options.views * (options.size * options.samples) ** 2
        least = None
        for name, draw in engines.items():
            seconds = timed(draw)
            least = least or seconds
            hourly = 3600 / (seconds + loading + saving)
            row = f"{name:16} {seconds * 1e3:10.0f} {rays / seconds / 1e6:8.2f} {hourly:10.0f} {seconds / least:21.1f}"
            print(row, flush=True)


def _by_trimesh(surface: Surface, camera: Camera, samples: int) -> np.ndarray:
    mesh = trimesh.Trimesh(surface.vertices, surface.faces, process=False)
    origins, directions = (part.reshape(-1, 3) for part in camera.rays(samples))
    places, ray, face = mesh.ray.intersects_location(origins, directions, multiple_hits=False)
    weights = trimesh.triangles.points_to_barycentric(mesh.triangles[face], places).astype(np.float32)
    colour = np.zeros((len(origins), 4))
    colour[ray, :3] = surface.albedo(face.astype(np.int32), weights[:, 1], weights[:, 2])
    colour[ray, 3] = 1
    return colour.reshape(camera.height, samples, camera.width, samples, 4).mean(axis=(1, 3))


if __name__ == "__main__":
    main()
