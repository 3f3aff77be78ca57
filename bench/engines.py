"""How fast the engines are: rays a second and objects an hour, side by side in one run.

    python bench/engines.py [--meshes DIR-OR-INDEX] [--objects 8] [--views 8] [--size 128]

Without --meshes the demo objects are rendered. The row `embree alone` is the limit: the rays of `raycast none`, made
before the clock starts, sent to Embree by embreex and no pixel painted. `open3d alone` are the same rays by its
RaycastingScene. The row `trimesh` is what a program without render/ would write: the same rays through `mesh.ray`
(Embree too, where installed).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `bench` is not installed

import numpy as np
import trimesh
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from bench import open3d_peer
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
        rays = {id(surface): _rays(surface, cameras, options.samples) for surface in surfaces}
        engines["embree alone"] = lambda s: [rays[id(s)].embree.run(*part, output=1) for part in rays[id(s)].parts]
        if (o3d := open3d_peer.loaded()) is not None:
            scenes = {id(surface): _open3d(o3d, surface) for surface in surfaces}
            engines["open3d alone"] = lambda s: [
                scenes[id(s)].cast_rays(np.concatenate(part, axis=1)) for part in rays[id(s)].parts
            ]
        engines["trimesh none"] = lambda s: [_by_trimesh(s, camera, options.samples) for camera in cameras]
        if blender.available():
            engines["blender none"] = lambda s: blender.render(s, cameras, "none", options.samples)
            engines["blender uniform"] = lambda s: blender.render(s, cameras, "uniform", options.samples)
        shape = f"{options.views} views of {options.size} x {options.size}"
        print(f"{len(surfaces)} objects x {shape}, {options.samples**2} rays a pixel")
        print(f"loading {loading * 1e3:.0f} ms and saving {saving * 1e3:.0f} ms an object")
        print("| engine | ms an object | million rays a second | objects an hour | time by raycast none |")
        print("|---|---|---|---|---|")
        count = options.views * (options.size * options.samples) ** 2
        least = None
        for name, draw in engines.items():
            seconds = timed(draw)
            least = least or seconds
            hourly = f"{3600 / (seconds + loading + saving):,.0f}" if "alone" not in name else "–"
            rate, ratio = count / seconds / 1e6, seconds / least
            print(f"| {name} | {seconds * 1e3:,.0f} | {rate:.2f} | {hourly} | {ratio:.2f} |", flush=True)


@dataclass(frozen=True)
class _Rays:
    """A surface ready in Embree, and origins and directions of every camera."""

    embree: EmbreeScene
    parts: list[tuple[np.ndarray, np.ndarray]]


def _rays(surface: Surface, cameras: list[Camera], samples: int) -> _Rays:
    embree = EmbreeScene()
    TriangleMesh(embree, surface.vertices, surface.faces)
    parts = [camera.rays(samples) for camera in cameras]
    return _Rays(
        embree,
        [(np.float32(start.reshape(-1, 3)), np.float32(towards.reshape(-1, 3))) for start, towards in parts],
    )


def _open3d(o3d: Any, surface: Surface) -> Any:
    scene = o3d.t.geometry.RaycastingScene()
    scene.add_triangles(np.float32(surface.vertices), np.uint32(surface.faces))
    return scene


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
