"""Our renderings of GSO-30's meshes against its true views: silhouette IoU, and colour under each light.

python studies/silhouettes.py ../shared/data/gso [--views 16] [--samples 1] [--engine raycast] [--lights uniform]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from render import blender, raycast
from render.settings import LIGHTS
from render.surface import Surface
from viewmask.views.camera import Camera
from viewmask.views.viewset import read_picture


def main() -> None:
    """Print a row an object and the means."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--views", type=int, default=16, help="how many of the 16, evenly spaced")
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--engine", choices=["raycast", "blender"], default="raycast")
    parser.add_argument("--lights", nargs="+", choices=LIGHTS, default=LIGHTS)
    options = parser.parse_args()
    render = raycast.render if options.engine == "raycast" else blender.render
    record = json.loads((options.data / "cameras.json").read_text())
    rows = []
    print(f"{'object':16} {'texture':9} {'IoU':>6} {'worst':>6}  foreground PSNR (dB) " + " ".join(options.lights))
    for name, about in record["objects"].items():
        if not about["in_gso30"] or not about["mesh"]:
            continue
        surface = Surface.load(options.data / about["mesh"], transform=about["mesh_to_world"])
        views = about["views"][:: 16 // options.views]
        cameras = [Camera.on_sphere(view["azimuth"], view["elevation"]) for view in views]
        true = [read_picture(options.data / view["file"]) for view in views]
        figures = []
        for light in options.lights:
            # SyncDreamer turned some objects before rendering; the lamp has to turn with them, by `yaw`.
            lamp = about["yaw"] + 13.86 if light == "uniform" else None
            pictures = render(surface, cameras, light, options.samples, lamp=lamp)
            figures.append(np.mean([foreground_psnr(a, b) for a, b in zip(pictures, true, strict=True)]))
        ious = [silhouette_iou(a, b) for a, b in zip(pictures, true, strict=True)]
        rows.append((about["texture"], np.mean(ious), min(ious), *figures))
        values = " ".join(f"{value:7.2f}" for value in figures)
        print(f"{name:16} {about['texture']:9} {rows[-1][1]:6.4f} {rows[-1][2]:6.4f}  {values}", flush=True)
    for kind in ("original", "baked"):
        table = np.array([row[1:] for row in rows if row[0] == kind])
        values = " ".join(f"{value:7.2f}" for value in table[:, 2:].mean(axis=0))
        print(f"{'mean':16} {kind:9} {table[:, 0].mean():6.4f} {table[:, 1].min():6.4f}  {values}")


def silhouette_iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of the pixels that two RGBA pictures cover by half or more."""
    inside_a, inside_b = a[..., 3] >= 128, b[..., 3] >= 128
    return float((inside_a & inside_b).sum() / max((inside_a | inside_b).sum(), 1))


def foreground_psnr(a: np.ndarray, b: np.ndarray) -> float:
    """PSNR in dB over the pixels that both pictures cover fully (uint8 RGBA)."""
    both = (a[..., 3] == 255) & (b[..., 3] == 255)
    error = (a[both][:, :3].astype(float) - b[both][:, :3]) / 255
    return float(-10 * np.log10(max((error**2).mean(), 1e-10)))


if __name__ == "__main__":
    main()
