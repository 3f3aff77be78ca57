"""Path tracing by Blender's Cycles through BlenderProc, with the arguments and cameras of `render.raycast`.

BlenderProc is GPL, so it runs in a child process (the folder `cycles`), and only files pass between the two. One child
serves every object that this process renders, because its start takes seconds.

Blender reads mesh files by itself (`draw`), and takes nothing from `render.surface` but the frame. So the two engines
are witnesses that know nothing of each other.
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
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from render.formats.patch import BLEND
from render.light import LAMP_WATTS, STRENGTH, Studio, lamp_position
from render.settings import Light, check_light
from render.surface import GLTF_TO_WORLD, Opacity, Paint, Surface
from render.workers import death, last_words
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import read_picture

INSTALL = "in viewmask's source tree: pip install torch==2.13.0 '.[blender]'"
RAYS = {"none": 4, "uniform": 32, "studio": 32}  # Cycles samples for each of `samples` x `samples`: light is noisy
KINDS = {
    ".glb": "gltf", ".gltf": "gltf", ".obj": "obj", ".ply": "ply", ".stl": "stl", ".fbx": "fbx", ".blend": "blend",
    ".usd": "usd", ".usda": "usd", ".usdc": "usd", ".usdz": "usd",
}  # fmt: skip
PLAIN = ("obj", "ply", "stl")  # read with their own axes; the others know which way is up, and come +Z up, front -Y
TO_BLENDER = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # glTF's axes to Blender's
APT = "apt-get install libxi6 libxkbcommon0 libsm6 libgl1 libegl1 libxrender1 libxfixes3 libxxf86vm1 libgomp1"
STUDIO_DISTANCE = 10.0  # of the studio's area lights: far enough that their light falls evenly


def available() -> bool:
    """Whether bpy and BlenderProc are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("bpy", "blenderproc", "imageio", "git", "cv2"))


def require() -> None:
    """Raise ViewmaskError with the install command where the engine is absent."""
    if not available():
        raise ViewmaskError(f"the blender engine is not installed: {INSTALL}, or use --engine raycast")


@dataclass(frozen=True)
class Drawing:
    """What Blender made of a mesh file.

    Attributes:
        images: RGBA, uint8 [height, width, 4], a camera each.
        file_to_world: float64 [4, 4]; of files that only Blender reads, from glTF's axes and metres.
        notes: what was left out or doubtful.
    """

    images: list[NDArray[np.uint8]]
    file_to_world: NDArray[np.float64]
    notes: tuple[str, ...]


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
    job = _job(cameras, light, samples, seed, strength, lamp, spp, denoise)
    opacity = surface.opacity or Opacity.full(len(surface.faces))
    emission = surface.emission or Paint.black(len(surface.faces))
    job |= {
        "textures": [{"wrap": texture.wrap, "smooth": texture.smooth} for texture in surface.textures],
        "glows": surface.emission is not None, "blend": BLEND,
    }  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        arrays: dict[str, Any] = {
            "vertices": surface.vertices, "faces": surface.faces, "colours": surface.colours, "uv": surface.uv,
            "texture": surface.texture, "normals": surface.corner_normals, "alpha": opacity.alpha,
            "cutoff": opacity.cutoff, "glow": emission.colours, "glow_uv": emission.uv, "glows": emission.texture,
        }  # fmt: skip
        arrays |= {f"texture{index}": texture.pixels for index, texture in enumerate(surface.textures)}
        np.savez(Path(name) / "surface.npz", **arrays)
        return _drawn(job, Path(name), cameras)[0]


def draw(
    mesh: Path,
    cameras: list[Camera],
    light: Light = "none",
    samples: int = 2,
    seed: int = 0,
    strength: float | None = None,
    lamp: float | None = None,
    spp: int | None = None,
    denoise: bool = False,
    up: str = "y",
    placed: ArrayLike | None = None,
    lenient: bool = False,
) -> Drawing:
    """Render a mesh file, read by Blender's own importer, from every camera; arguments as for `render`.

    It is normalised as by `Surface.load`: longest side of the box 1, box centre at the origin.

    Args:
        up: as for `Surface.load`.
        placed: turns or stretches the upright object before it is normalised, [4, 4].
        lenient: leave missing textures out, with a note.

    Raises:
        ViewmaskError: as for `render`, or Blender cannot read the file.
    """
    kind = KINDS.get(mesh.suffix.lower())
    if kind is None:
        raise ViewmaskError(f"Blender does not read {mesh.suffix} files: use --engine raycast")
    job = _job(cameras, light, samples, seed, strength, lamp, spp, denoise)
    from_file = np.eye(4) if kind in PLAIN else TO_BLENDER
    upright = (np.eye(4) if placed is None else np.asarray(placed, dtype=np.float64)) @ (
        GLTF_TO_WORLD if up == "y" else np.eye(4)
    )
    upright = upright @ np.linalg.inv(from_file)
    job |= {"mesh": str(mesh.resolve()), "kind": kind, "upright": upright.tolist(), "lenient": lenient}
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        pictures, about = _drawn(job, Path(name), cameras)
    return Drawing(pictures, np.array(about["matrix"]) @ from_file, tuple(about["notes"]))


def _job(
    cameras: list[Camera],
    light: Light,
    samples: int,
    seed: int,
    strength: float | None,
    lamp: float | None,
    spp: int | None,
    denoise: bool,
) -> dict[str, Any]:
    """What every job says, whatever it draws."""
    check_light(light)
    require()
    first = cameras[0]
    if any(not np.allclose(camera.intrinsics, first.intrinsics) or camera.width != first.width for camera in cameras):
        raise ViewmaskError("the blender engine needs cameras of one size and focal length: render them apart")
    level = STRENGTH[light] if strength is None else strength
    sky, lamps = _lights(light, level, seed, lamp)
    return {
        "light": light, "strength": level, "sky": sky, "lamps": lamps, "seed": seed,
        "samples": spp or RAYS[light] * samples**2, "denoise": denoise,
        "width": first.width, "height": first.height, "intrinsics": first.intrinsics.tolist(),
        "poses": [camera.camera_to_world.tolist() for camera in cameras],
    }  # fmt: skip


def _drawn(job: dict[str, Any], folder: Path, cameras: list[Camera]) -> tuple[list[NDArray[np.uint8]], dict[str, Any]]:
    """The pictures of a job, and what the child says of them."""
    (folder / "job.json").write_text(json.dumps(job))
    start().ask({"draw": str(folder)})
    about = json.loads((folder / "drawn.json").read_text())
    pictures = [np.zeros((camera.height, camera.width, 4), dtype=np.uint8) for camera in cameras]
    for index in about["seen"]:
        pictures[index] = read_picture(folder / f"rgb_{index:04d}.png").copy()
        pictures[index][pictures[index][..., 3] == 0] = 0
    return pictures, about


def as_glb(file: Path) -> bytes:
    """A mesh file of a format that Blender imports, as GLB.

    Raises:
        ViewmaskError: the engine is absent, or Blender cannot read the file.
    """
    require()
    with tempfile.TemporaryDirectory(prefix="viewmask-blender-") as name:
        target = Path(name) / "converted.glb"
        start().ask({"convert": str(file.resolve()), "kind": KINDS[file.suffix.lower()], "to": str(target)})
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
        script = Path(__file__).with_name("cycles")
        # Linux counts the end of the thread that started a child as its parent's death.
        parent = os.getpid() if threading.current_thread() is threading.main_thread() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), self.folder.name, str(threads), str(parent)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
            )  # fmt: skip
        self._answer()

    def ask(self, request: dict[str, str]) -> None:
        """Have a request of `cycles/__main__.py` done.

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
        if line.startswith("unreadable "):
            raise ViewmaskError(line.removeprefix("unreadable "))
        if line.startswith("failed to start: "):
            self.close()
            raise ViewmaskError(f"Blender cannot start ({line.removeprefix('failed to start: ')}): on Debian, {APT}")
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
