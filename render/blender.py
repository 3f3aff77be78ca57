"""Rendering by Blender's Cycles through BlenderProc, as `render.raycast` but path-traced: same arguments, same cameras.

BlenderProc is GPL, so it runs in a child process (`blender_script.py`) and only files pass. One child serves every
object that this process renders.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from render import light as lights
from render.light import LAMP_WATTS, STRENGTH, Light, Studio, lamp_position
from render.surface import Surface
from viewmask.camera import Camera
from viewmask.errors import ViewmaskError
from viewmask.viewset import read_picture

INSTALL = "in viewmask's source tree: pip install torch==2.13.0 '.[blender]'"
RAYS = {"none": 4, "uniform": 32, "studio": 32}  # Cycles samples for each of `samples` x `samples`: light is noisy


def available() -> bool:
    """Whether bpy and BlenderProc are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("bpy", "blenderproc", "imageio", "git", "cv2"))


def require() -> None:
    """Raise ViewmaskError with the install command where the engine is absent."""
    if not available():
        raise ViewmaskError(f"the blender engine is not installed: {INSTALL}, or use --engine raycast")


def render(
    surface: Surface,
    cameras: list[Camera],
    light: Light = "none",
    samples: int = 2,
    seed: int = 0,
    strength: float | None = None,
    lamp: float | None = None,
) -> list[NDArray[np.uint8]]:
    """Render a surface from every camera; arguments and result as for `render.raycast.render`.

    Raises:
        ViewmaskError: the engine is absent or fails, an unknown light, or cameras of several kinds.
    """
    lights.check(light)
    require()
    first = cameras[0]
    if any(not np.allclose(camera.intrinsics, first.intrinsics) or camera.width != first.width for camera in cameras):
        raise ViewmaskError("the blender engine needs cameras of one size and focal length: render them apart")
    level = STRENGTH[light] if strength is None else strength
    sky, lamps = _lights(light, level, seed, lamp)
    job = {
        "light": light, "strength": level, "sky": sky, "lamps": lamps, "seed": seed,
        "samples": RAYS[light] * samples**2, "textures": len(surface.textures),
        "width": first.width, "height": first.height, "intrinsics": first.intrinsics.tolist(),
        "poses": [camera.camera_to_world.tolist() for camera in cameras],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job))
        arrays: dict[str, Any] = {
            "vertices": surface.vertices, "faces": surface.faces, "colours": surface.colours, "uv": surface.uv,
            "texture": surface.texture, "normals": surface.corner_normals,
        }  # fmt: skip
        arrays |= {f"texture{index}": texture for index, texture in enumerate(surface.textures)}
        np.savez(folder / "surface.npz", **arrays)
        _worker().draw(folder)
        pictures = [read_picture(folder / f"rgb_{index:04d}.png").copy() for index in range(len(cameras))]
    for picture in pictures:
        picture[picture[..., 3] == 0] = 0
    return pictures


def _lights(light: Light, level: float, seed: int, azimuth: float | None) -> tuple[float, list[dict[str, Any]]]:
    """The sky's radiance and Blender's lamps for a light."""
    if light == "none":
        return 0.0, []
    if light == "uniform":
        watts = LAMP_WATTS * level / STRENGTH["uniform"]
        place = lamp_position(azimuth).tolist()
        return level, [{"kind": "POINT", "energy": watts, "shadow": True, "radius": 0.1, "position": place}]
    studio = Studio.of_seed(seed, azimuth)
    angle = 2 * float(np.arctan(studio.softness))
    key = {"energy": np.pi * level * studio.key_level, "shadow": True, "towards": studio.key.tolist(), "angle": angle}
    fill = {"energy": np.pi * level * studio.fill_level, "shadow": False, "towards": studio.fill.tolist(), "angle": 0.0}
    return level * studio.ambient_level, [{"kind": "SUN"} | key, {"kind": "SUN"} | fill]


class _Worker:
    """The child process and its two pipes; what Blender says besides goes to a log."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="viewmask-blender-")
        self.log = Path(self.folder.name) / "log"
        script = Path(__file__).with_name("blender_script.py")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), self.folder.name],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self.answer()

    def draw(self, job: Path) -> None:
        stream: IO[str] | None = self.process.stdin
        assert stream is not None
        try:
            stream.write(f"{job}\n")
            stream.flush()
        except BrokenPipeError:
            pass  # the missing answer tells
        self.answer()

    def answer(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line in ("ready", "ok"):
            return
        if not line:
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            self.close()
            raise ViewmaskError(f"Blender ended without an answer: {' '.join(last) or 'no message'}")
        raise ViewmaskError(f"Blender could not render the object: {line.removeprefix('failed ')}")

    def close(self) -> None:
        global _running
        _running = None
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


_running: _Worker | None = None


def _worker() -> _Worker:
    global _running
    if _running is None:
        _running = _Worker()
        atexit.register(_running.close)
    return _running
