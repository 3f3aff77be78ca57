"""One job: an object is rendered, and saved as a folder of posed views."""

from __future__ import annotations

import hashlib
import importlib
import re
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render import passes, photo
from render.ceiling import set_ceiling
from render.settings import LIGHTS, Engine, Light, Limits, Pass, Settings
from render.source import Source
from render.surface import Surface
from render.workers import Record, Workers
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import Camera
from viewmask.views.viewset import NAMES, Picture, ViewSet

FILES = rf"{NAMES}|{re.escape(passes.FILE)}"  # pattern of the files in an object's folder
OTHER_LIGHT = 0.3  # share of photos in a light that is not the orbit's
SAME_BOX = 0.005  # relative difference of two readers' placing, above which they have not seen the same box
Lights = tuple[Light, int, float | None, float | None]  # kind, seed, strength, azimuth of the lamp
DISK_MARGIN = 2**23  # bytes: with less disk than this left, a failure is the disk's fault and not the mesh's


@dataclass(frozen=True)
class Variation:
    """What varies from object to object: a pure function of seed and id, so that a resumed run repeats it.

    Attributes:
        start: azimuth of view 0 in degrees, where it shall be random.
        stretch: factors of the three axes for jitter, 0.8 to 1.25, float64 [3].
        light, strength, lamp: of jitter. The strength is 0.5 to 1; in uniform light 0.4 to 0.8, around
            SyncDreamer's 0.5. The lamp stands at any azimuth.
        light_seed: of the studio's lights and of Blender's noise.
    """

    start: float
    stretch: NDArray[np.float64]
    light: Light
    strength: float
    lamp: float
    light_seed: int

    @classmethod
    def of(cls, seed: int, name: str) -> Variation:
        """The variation of the object `name`."""
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        random = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        start, stretch = float(random.uniform(0, 360)), np.exp(random.uniform(np.log(0.8), np.log(1.25), 3))
        light, level, lamp = LIGHTS[random.integers(len(LIGHTS))], float(random.uniform(0.5, 1)), random.uniform(0, 360)
        strength = level * (0.8 if light == "uniform" else 1.0)
        return cls(start, stretch, light, strength, float(lamp), int(random.integers(2**31)))


def render_one(source: Source, settings: Settings) -> ViewSet:
    """The view set of one object.

    Raises:
        ViewmaskError: the mesh cannot be read or rendered.
    """
    return _render(source, settings)[0]


def save_one(source: Source, out: Path, settings: Settings) -> Record:
    """Render one object into `out/<id>/`; its record for the manifest, whatever happens to the mesh.

    Raises:
        ViewmaskError: the disk refuses.
    """
    start = time.perf_counter()
    try:
        view_set, surface = _render(source, settings)
        if not any(image[..., 3].any() for image in view_set.images):
            raise ViewmaskError("nothing is seen in any view")
    except ViewmaskError as error:
        record = failure(source, settings, str(error), "\n".join(getattr(error, "__notes__", [])))
    except MemoryError:
        record = failure(source, settings, "it takes more memory than there is")
    except (ArithmeticError, ValueError, IndexError, OSError, np.linalg.LinAlgError) as error:
        record = failure(source, settings, f"{type(error).__name__}: {error}")
    else:
        folder = out / source.id
        _save(view_set, surface, folder, settings.passes)
        size = sum(file.stat().st_size for file in folder.iterdir())
        record = {"id": source.id, "status": "ok", "views": len(view_set), "bytes": size}
        record |= {"notes": view_set.extra["notes"]} if "notes" in view_set.extra else {}
    if record["status"] == "failed":
        for place in (out, Path(tempfile.gettempdir())):
            if shutil.disk_usage(place).free < DISK_MARGIN:
                raise ViewmaskError(f"the disk of {place} is full: make room, then run the same command again")
    return record | {"seconds": round(time.perf_counter() - start, 3), "settings": settings.digest}


def failure(source: Source, settings: Settings, reason: str, stderr: str = "") -> Record:
    """The manifest's record of an object that failed; `stderr` is what a crashed process wrote last."""
    record = {"id": source.id, "status": "failed", "reason": reason}
    return record | ({"stderr": stderr} if stderr else {}) | {"settings": settings.digest}


def engine_workers(
    work: Callable[[Any], Record], engine: Engine, count: int, threads: int, limits: Limits
) -> Workers[Any]:
    """So many worker processes of an engine; Blender starts with them, and has `threads` in each."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return Workers(work, partial(_prepare, engine, threads, limits.mebibytes), count, limits, single)


def _prepare(engine: Engine, threads: int, mebibytes: int) -> None:
    """Load what every object needs, before the clock of the first one starts."""
    set_ceiling(mebibytes)
    if engine == "blender":
        from render import blender

        blender.start(threads)
    else:
        importlib.import_module("render.raycast")


def _render(source: Source, settings: Settings) -> tuple[ViewSet, Surface | None]:
    """The view set, and the surface where it was needed."""
    variation = Variation.of(settings.seed, source.id)
    about: dict[str, Any] = {"id": source.id} | source.about
    light, strength, lamp = settings.light, settings.strength, None
    if settings.jitter:
        light, strength, lamp = variation.light, variation.strength, variation.lamp
        about["stretch"] = [round(float(factor), 4) for factor in variation.stretch]
    start = variation.start if settings.start == "random" else float(settings.start)
    lights: Lights = light, variation.light_seed, strength, lamp
    surface = _surface(source, settings, variation) if settings.engine == "raycast" or settings.photos else None
    shots = [(settings.cameras(start), lights)]
    if settings.photos:
        assert surface is not None
        shots = _photos(surface, settings, variation, source.id, start, lights)
    images: list[Picture] = []
    for cameras, lit in shots:
        if settings.engine == "blender":
            pictures, to_world, surface, notes = _by_blender(source, settings, variation, cameras, lit)
        else:
            from render import raycast

            assert surface is not None
            shade, seed, level, azimuth = lit
            pictures = raycast.render(surface, cameras, shade, settings.samples, seed, level, azimuth)
            to_world, notes = surface.file_to_world, list(surface.notes)
        images += pictures
    about |= {"light": light, "strength": strength, "lamp": lamp, "engine": settings.engine}
    about |= {"mesh_to_world": to_world.tolist(), "settings": settings.digest}
    if notes:
        about["notes"] = notes
    return ViewSet(images, [camera for cameras, _ in shots for camera in cameras], about), surface


def _photos(
    surface: Surface, settings: Settings, variation: Variation, name: str, start: float, lights: Lights
) -> list[tuple[list[Camera], Lights]]:
    """Cameras of photos with the light of each: most that of the orbit, with jitter some another."""
    random = np.random.default_rng([variation.light_seed, settings.photos])
    cameras = photo.cameras(surface.vertices, settings.photos, settings.views, start, settings.size, random)
    shots = []
    for number, camera in enumerate(cameras):
        other = Variation.of(settings.seed, f"{name}/photo {number}")
        lit = lights
        if settings.jitter and random.random() < OTHER_LIGHT:
            lit = other.light, other.light_seed, other.strength, other.lamp
        shots.append(([camera], lit))
    return shots


def _surface(source: Source, settings: Settings, variation: Variation) -> Surface:
    """The object as ray casting reads it."""
    surface = source.surface(settings.up, settings.lenient)
    if settings.jitter:
        surface = surface.transformed(np.diag([*variation.stretch, 1.0])).normalised()
    return surface


def _by_blender(
    source: Source,
    settings: Settings,
    variation: Variation,
    cameras: list[Camera],
    lights: Lights,
) -> tuple[list[NDArray[np.uint8]], NDArray[np.float64], Surface | None, list[str]]:
    """Pictures, the mesh's place in the world, the surface that passes come from, and notes.

    Blender reads the file itself. The surface comes from the other reader, for passes and for what has no file that
    Blender reads; if the two do not see the same box, a note says so.
    """
    from render import blender

    light, seed, strength, lamp = lights
    about: dict[str, Any] = {
        "light": light, "samples": settings.samples, "seed": seed, "strength": strength, "lamp": lamp,
        "spp": settings.spp, "denoise": settings.denoise,
    }  # fmt: skip
    if source.made or f".{source.file_type}" not in blender.KINDS:
        surface = _surface(source, settings, variation)
        notes = [] if source.made else [f"Blender does not read .{source.file_type}: read as ray casting reads it"]
        images = blender.render(surface, cameras, **about)
        return images, surface.file_to_world, surface, [*notes, *surface.notes]
    placed = np.diag([*variation.stretch, 1.0]) if settings.jitter else np.eye(4)
    with source.on_disk() as mesh:
        drawing = blender.draw(
            mesh, cameras, **about, up=settings.up, placed=placed @ source.turned, lenient=settings.lenient
        )
    notes = list(drawing.notes)
    if not settings.passes:
        return drawing.images, drawing.file_to_world, None, notes
    surface = _surface(source, settings, variation)
    apart = float(np.abs(surface.file_to_world - drawing.file_to_world).max() / np.abs(surface.file_to_world).max())
    if apart > SAME_BOX:
        notes.append("passes do not fit the pictures: Blender and ray casting read boxes of different size")
    return drawing.images, drawing.file_to_world, surface, notes


def _save(view_set: ViewSet, surface: Surface | None, folder: Path, names: tuple[Pass, ...]) -> None:
    if not names and not (folder / passes.FILE).exists():
        view_set.save(folder)
        return
    with atomic.folder(folder, ours=FILES) as temporary:
        arrays: dict[str, Any] = {}
        if names:
            assert surface is not None  # with passes, it was needed
            arrays = passes.render(surface, view_set.cameras, names)
            view_set.extra["passes"] = {name: passes.UNITS[name] for name in names}
            if "inside" in arrays and not arrays["inside"].any():
                view_set.extra["notes"] = [*view_set.extra.get("notes", []), passes.HOLLOW]
        view_set.save(temporary)
        if names:
            np.savez_compressed(temporary / passes.FILE, **arrays)
