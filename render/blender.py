"""Path tracing by Blender's Cycles through BlenderProc, with the arguments and cameras of `render.raycast`.

BlenderProc is GPL, so it runs in a child process (`blender_script.py`), and only files pass between the two. One child
serves every object that this process renders, because its start takes seconds.
"""

from __future__ import annotations

import atexit
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from render.light import LAMP_WATTS, STRENGTH, Studio, lamp_position
from render.settings import Light, check_light
from render.surface import Surface, to_linear
from render.workers import death, last_words
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import read_picture

INSTALL = "in viewmask's source tree: pip install torch==2.13.0 '.[blender]'"
RAYS = {"none": 4, "uniform": 32, "studio": 32}  # Cycles samples for each of `samples` x `samples`: light is noisy
STUDIO_DISTANCE = 10.0  # of the studio's area lights: far enough that their light falls evenly


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
    spp: int | None = None,
    denoise: bool = False,
) -> list[NDArray[np.uint8]]:
    """Render a surface from every camera; arguments and result as for `render.raycast.render`.

    Args:
        spp: Cycles samples a pixel, in place of `samples` (whose default of 2 x 2 means 16 unlit, 128 lit).
        denoise: clean the noise with Intel's Open Image Denoise.

    Raises:
        ViewmaskError: the engine is absent or fails (its last words are the error's note), an unknown light, or
            cameras of several kinds.
    """
    check_light(light)
    require()
    first = cameras[0]
    if any(not np.allclose(camera.intrinsics, first.intrinsics) or camera.width != first.width for camera in cameras):
        raise ViewmaskError("the blender engine needs cameras of one size and focal length: render them apart")
    level = STRENGTH[light] if strength is None else strength
    sky, lamps = _lights(light, level, seed, lamp)
    windows = [surface.window(camera) for camera in cameras]
    seen = [index for index, (left, top, right, bottom) in enumerate(windows) if left < right and top < bottom]
    pictures = [np.zeros((camera.height, camera.width, 4), dtype=np.uint8) for camera in cameras]
    if not seen:
        return pictures
    job = {
        "light": light, "strength": level, "sky": sky, "lamps": lamps, "seed": seed,
        "samples": spp or RAYS[light] * samples**2, "denoise": denoise, "textures": len(surface.textures),
        "width": first.width, "height": first.height, "intrinsics": first.intrinsics.tolist(),
        "poses": [cameras[index].camera_to_world.tolist() for index in seen],
        "windows": [windows[index] for index in seen],
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        folder = Path(name)
        (folder / "job.json").write_text(json.dumps(job))
        arrays: dict[str, Any] = {
            "vertices": surface.vertices, "faces": surface.faces, "colours": surface.colours, "uv": surface.uv,
            "texture": surface.texture, "normals": surface.corner_normals,
        }  # fmt: skip
        arrays |= {
            f"texture{index}": to_linear(texture.pixels[..., :3]) for index, texture in enumerate(surface.textures)
        }
        np.savez(folder / "surface.npz", **arrays)
        start().ask({"draw": name})
        for frame, index in enumerate(seen):
            pictures[index] = read_picture(folder / f"rgb_{frame:04d}.png").copy()
    for picture in pictures:
        picture[picture[..., 3] == 0] = 0
    return pictures


def as_glb(file: Path) -> bytes:
    """A mesh file of a format that Blender imports, as GLB.

    Raises:
        ViewmaskError: the engine is absent, or Blender cannot read the file.
    """
    require()
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        target = Path(name) / "converted.glb"
        start().ask({"convert": str(file.resolve()), "to": str(target)})
        return target.read_bytes()


def start(threads: int | None = None) -> Blender:
    """The child that serves this process, started at the first call.

    Args:
        threads: of Cycles; 0 for one a core, None for $OMP_NUM_THREADS. The first call's count holds.
    """
    global _running
    if _running is None:
        if threads is None:
            variable = os.environ.get("OMP_NUM_THREADS", "")
            threads = int(variable) if variable.isdecimal() else 0
        _running = Blender(threads)
        atexit.register(_running.close)
    return _running


def _lights(light: Light, level: float, seed: int, azimuth: float | None) -> tuple[float, list[dict[str, Any]]]:
    """The sky's radiance and Blender's lamps for a light."""
    if light == "none":
        return 0.0, []
    if light == "uniform":
        watts = LAMP_WATTS * level / STRENGTH["uniform"]
        place = lamp_position(azimuth).tolist()
        return level, [{"kind": "POINT", "energy": watts, "shadow": True, "radius": 0.1, "position": place}]
    studio = Studio.of_seed(seed, azimuth)

    def area(towards: NDArray[np.float32], share: float, shadow: bool) -> dict[str, Any]:
        # A distant area light of power P lends a white surface that faces it the radiance P / (pi distance)^2.
        watts = (np.pi * STUDIO_DISTANCE) ** 2 * level * share
        place = (STUDIO_DISTANCE * towards).tolist()
        radius = STUDIO_DISTANCE * studio.softness
        return {"kind": "AREA", "energy": watts, "shadow": shadow, "radius": radius, "position": place}

    key, fill = area(studio.key, studio.key_level, True), area(studio.fill, studio.fill_level, False)
    return level * studio.ambient_level, [key, fill, area(studio.side, studio.side_level, False)]


class Blender:
    """The child process, its two pipes, and the log that Blender's other output goes to."""

    def __init__(self, threads: int = 0) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="viewmask-blender-")
        self.log = Path(self.folder.name) / "log"
        script = Path(__file__).with_name("blender_script.py")
        # Linux counts the end of the thread that started a child as its parent's death.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), self.folder.name, str(threads), str(parent)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._answer()

    def ask(self, request: dict[str, str]) -> None:
        """Have a request of `blender_script.py` done.

        Raises:
            ViewmaskError: it could not be done, or the child died; the next call starts another.
        """
        os.truncate(self.log, 0)
        stream: IO[str] | None = self.process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps(request) + "\n")
            stream.flush()
        except BrokenPipeError:
            pass  # the missing answer shows it
        self._answer()

    def _answer(self) -> None:
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line in ("ready", "ok"):
            return
        log = self.log.read_text(errors="replace")
        if line:
            error = ViewmaskError(f"Blender could not do it: {line.removeprefix('failed ')}")
        else:
            code = self.close()
            error = ViewmaskError(f"Blender died ({death(code)})")
        error.add_note(last_words(log))
        raise error

    def close(self) -> int:
        """End the child, and its exit code."""
        global _running
        if _running is self:
            _running = None
        try:
            code = self.process.wait(0.2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.folder.cleanup()
        return code


_running: Blender | None = None
