"""Orbits of many objects: meshes in, a folder of posed views each, with a manifest that lets a killed run resume."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from render import light as lights
from render import source as sources_of
from render.light import LIGHTS, Light
from render.manifest import Manifest
from render.source import Source
from render.surface import Surface
from viewmask.camera import DISTANCE, ELEVATION, FIELD_OF_VIEW, SIZE, orbit
from viewmask.errors import ViewmaskError
from viewmask.viewset import TRANSFORMS, ViewSet

MANIFEST = "manifest.jsonl"
Engine = Literal["raycast", "blender"]


@dataclass(frozen=True)
class Settings:
    """How every object of a run is rendered; see `render_orbits`."""

    views: int = 8
    elevation: float = ELEVATION
    distance: float = DISTANCE
    fov: float = FIELD_OF_VIEW
    size: int = SIZE
    start: float | Literal["random"] = 0.0
    engine: Engine = "raycast"
    light: Light = "none"
    strength: float | None = None
    samples: int = 2
    seed: int = 0
    jitter: bool = False
    up: str = "y"

    @property
    def digest(self) -> str:
        """A short hash: views of other settings are not what a resumed run looks for."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def render_orbits(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    views: int = 8,
    elevation: float = ELEVATION,
    distance: float = DISTANCE,
    fov: float = FIELD_OF_VIEW,
    size: int = SIZE,
    engine: Engine = "raycast",
    light: Light = "none",
    workers: int = 1,
    seed: int = 0,
    jitter: bool = False,
    start: float | Literal["random"] = 0.0,
    samples: int = 2,
    strength: float | None = None,
    split: str | None = None,
    up: str = "y",
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Render an orbit of every object into `out/<id>/`, and write `out/manifest.jsonl`.

    Args:
        sources: mesh files, `index.jsonl` files, or folders that hold either.
        out: the folder that gets a view set an object; what its manifest holds as done is not done again.
        start: azimuth of view 0 in degrees, or "random" (by seed and id).
        jitter: training augmentation, a pure function of (seed, id): each axis scaled by 0.8 to 1.25, then
            normalised again, and a light of none, uniform, studio at strength 0.5 to 1 (0.4 to 0.8)
            from any side.
        split: keep only objects that an index puts into this split.
        up: see `Surface.load`.
        progress: called with (objects done, objects in all) after each.

    Returns:
        the manifest's records of these objects, in their order: `id`, `status` ("ok" or "failed"), `reason`,
        `seconds`, `views`, `settings`. A broken mesh fails alone.

    Raises:
        ViewmaskError: nothing to render, an impossible setting, or a disk that refuses.
    """
    settings = Settings(
        views, elevation, distance, fov, size, start, engine, light, strength, samples, seed, jitter, up
    )  # fmt: skip
    check(settings)
    if workers < 1:
        raise ViewmaskError(f"workers must be at least 1, not {workers}")
    found = sources_of.find(sources, split)
    if not found:
        raise ViewmaskError("nothing to render" + (f" in split {split!r}" if split else ""))
    out = Path(out)
    with Manifest(out / MANIFEST) as manifest:
        waiting = [source for source in found if not _done(manifest, source, settings, out)]
        finished = len(found) - len(waiting)
        if progress:
            progress(finished, len(found))
        for record in _rendered(waiting, out, settings, workers):
            manifest.append(record)
            finished += 1
            if progress:
                progress(finished, len(found))
        return [manifest.records[source.id] for source in found]


def check(settings: Settings) -> None:
    """Raise ViewmaskError where a setting is impossible or its engine is absent."""
    start = 0.0 if settings.start == "random" else float(settings.start)
    orbit(settings.views, settings.elevation, settings.distance, settings.fov, settings.size, start)
    lights.check(settings.light)
    if settings.samples < 1:
        raise ViewmaskError(f"samples must be at least 1, not {settings.samples}")
    if settings.engine not in ("raycast", "blender"):
        raise ViewmaskError(f"engine must be raycast or blender, not {settings.engine!r}")
    if settings.engine == "blender":
        from render import blender

        blender.require()


def render_one(source: Source, settings: Settings) -> ViewSet:
    """The view set of one object.

    Raises:
        ViewmaskError: the mesh cannot be read or drawn.
    """
    surface = Surface.load(source.read(), up=settings.up, file_type=source.file_type)
    chance = _chance(settings.seed, source.id)
    turn, stretch = float(chance.uniform(0, 360)), np.exp(chance.uniform(np.log(0.8), np.log(1.25), 3))
    drawn, level, lamp = chance.integers(len(LIGHTS)), float(chance.uniform(0.5, 1)), float(chance.uniform(0, 360))
    light_seed = int(chance.integers(2**31))
    light, strength = settings.light, settings.strength
    about: dict[str, Any] = {"id": source.id} | source.about
    if settings.jitter:
        surface = surface.transformed(np.diag([*stretch, 1.0])).normalised()
        light = LIGHTS[drawn]
        strength = level * (0.8 if light == "uniform" else 1.0)  # around SyncDreamer's 0.5
        about["stretch"] = [round(float(factor), 4) for factor in stretch]
    start = turn if settings.start == "random" else float(settings.start)
    cameras = orbit(settings.views, settings.elevation, settings.distance, settings.fov, settings.size, start)
    if settings.engine == "blender":
        from render.blender import render
    else:
        from render.raycast import render
    place = lamp if settings.jitter else None
    images = render(surface, cameras, light, settings.samples, light_seed, strength, place)
    about |= {"light": light, "strength": strength, "lamp": place, "engine": settings.engine}
    about["mesh_to_world"] = surface.file_to_world.tolist()
    return ViewSet(images, cameras, about)


def _chance(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def _done(manifest: Manifest, source: Source, settings: Settings, out: Path) -> bool:
    record = manifest.records.get(source.id, {})
    same = record.get("status") == "ok" and record.get("settings") == settings.digest
    return same and (out / source.id / TRANSFORMS).exists()


def _work(source: Source, out: Path, settings: Settings) -> dict[str, Any]:
    """Render and save one object; the manifest's record of it, whatever happens to the mesh."""
    begun = time.perf_counter()
    try:
        view_set = render_one(source, settings)
        hidden = sum(not image[..., 3].any() for image in view_set.images)
        if hidden == len(view_set):
            raise ViewmaskError("nothing is seen in any view")
        result = {"status": "ok", "views": len(view_set)}
    except ViewmaskError as error:
        result = {"status": "failed", "reason": str(error)}
    except (MemoryError, ArithmeticError, ValueError, IndexError, np.linalg.LinAlgError) as error:
        result = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    if result["status"] == "ok":
        view_set.save(out / source.id)
    return {"id": source.id} | result | {"seconds": round(time.perf_counter() - begun, 3), "settings": settings.digest}


def _rendered(sources: list[Source], out: Path, settings: Settings, workers: int) -> Iterator[dict[str, Any]]:
    """Records as they come, from this process or from `workers` others."""
    if workers == 1 or len(sources) < 2:
        for source in sources:
            yield _work(source, out, settings)
        return
    queue = list(reversed(sources))
    while queue:
        running: dict[Future[dict[str, Any]], Source] = {}
        with _pool(min(workers, len(queue))) as pool:
            try:
                while queue or running:
                    while queue and len(running) < 2 * workers:
                        source = queue.pop()
                        running[pool.submit(_work, source, out, settings)] = source
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        record = future.result()
                        del running[future]
                        yield record
            except BrokenProcessPool:
                pass  # a library crashed or memory ran out: the suspects go one by one, each alone
        for source in running.values():
            with _pool(1) as pool:
                try:
                    yield pool.submit(_work, source, out, settings).result()
                except BrokenProcessPool:
                    reason = "the process that rendered it died (out of memory, or a crash in a library)"
                    yield {"id": source.id, "status": "failed", "reason": reason, "settings": settings.digest}


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Single-threaded worker processes; on an error or Ctrl-C what has not begun is dropped."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ |= dict.fromkeys(names, "1")
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_quiet)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _quiet() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
