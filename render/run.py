"""Orbits of many objects: meshes in, a folder of posed views each, with a manifest that lets a killed run resume."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from render import light as lights
from render import passes
from render import source as sources_of
from render.light import LIGHTS, Light
from render.passes import PASSES, Pass
from render.shards import Shards
from render.source import Source
from render.surface import Surface
from render.workers import Crew, Limits
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.manifest import Manifest
from viewmask.views.camera import DISTANCE, ELEVATION, FIELD_OF_VIEW, SIZE, orbit
from viewmask.views.viewset import NAMES, TRANSFORMS, ViewSet

MANIFEST = "manifest.jsonl"
RUN = "run.json"
OURS = rf"{NAMES}|{re.escape(passes.FILE)}"  # files of an object's folder
MANY = 16  # objects from which on one worker a core is worth its start
SPARE = 2**23  # bytes of disk below which a failure is laid on the disk and not on the mesh
Engine = Literal["raycast", "blender"]
Report = Callable[[int, int], None]


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
    spp: int | None = None
    denoise: bool = False
    passes: tuple[Pass, ...] = field(default=())

    @property
    def digest(self) -> str:
        """A short hash: views of other settings are not what a resumed run looks for."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def render_orbits(
    sources: str | Path | Sequence[str | Path | Source],
    out: str | Path,
    views: int = 8,
    elevation: float = ELEVATION,
    distance: float = DISTANCE,
    fov: float = FIELD_OF_VIEW,
    size: int = SIZE,
    engine: Engine = "raycast",
    light: Light = "none",
    workers: int | None = None,
    seed: int = 0,
    jitter: bool = False,
    start: float | Literal["random"] = 0.0,
    samples: int = 2,
    strength: float | None = None,
    split: str | None = None,
    up: str = "y",
    progress: Report | None = None,
    spp: int | None = None,
    denoise: bool = False,
    passes: Sequence[Pass] = (),
    limits: Limits | None = None,
    retry: bool = False,
    shards: int | None = None,
    ray: str | None = None,
) -> list[dict[str, Any]]:
    """Render an orbit of every object into `out/<id>/`, and write `out/manifest.jsonl`.

    Args:
        sources: mesh files, `index.jsonl` files, folders that hold either, glob patterns, or `Source` objects.
        out: the folder that gets a view set an object; what its manifest holds as done is not done again.
        workers: processes; one a core unless given, but ray casting of fewer than 16 objects stays in this process.
            Only in processes of their own do `limits` hold and a crash costs one object alone.
        start: azimuth of view 0 in degrees, or "random" (by seed and id).
        jitter: training augmentation, a pure function of (seed, id): each axis scaled by 0.8 to 1.25, then
            normalised again, and a light of none, uniform, studio at strength 0.5 to 1 (0.4 to 0.8)
            from any side.
        split: keep only objects that an index puts into this split.
        up: see `Surface.load`.
        progress: called with (objects done, objects in all) after each.
        spp, denoise: see `render.blender.render`; for that engine alone.
        passes: "depth", "normal", "points": arrays in `passes.npz` beside the pictures, see `render.passes`.
        limits: what a worker may take.
        retry: render again what failed in an earlier run.
        shards: pack the view sets into WebDataset tars of so many objects, `out/000000.tar` ..., instead of folders.
        ray: address of a Ray cluster ("auto" for the one this machine is in) that does the work; `out` is written
            by this process, the meshes are read by the nodes.

    Returns:
        the manifest's records of these objects, in their order: `id`, `status` ("ok" or "failed"), `reason`,
        `stderr` (what a crashed Blender or worker said), `seconds`, `views`, `bytes`, `at` (seconds since 1970),
        `settings`. A broken mesh fails alone.

    Raises:
        ViewmaskError: nothing to render, an impossible setting, another run in `out`, or a disk that refuses.
    """
    settings = Settings(
        views, elevation, distance, fov, size, start, engine, light, strength, samples, seed, jitter, up,
        spp, denoise, tuple(passes),
    )  # fmt: skip
    check(settings)
    if workers is not None and workers < 1:
        raise ViewmaskError(f"workers must be at least 1, not {workers}")
    if shards is not None and shards < 1:
        raise ViewmaskError(f"a shard must hold at least 1 object, not {shards}")
    found = sources_of.find(sources, split)
    if not found:
        raise ViewmaskError("nothing to render" + (f" in split {split!r}" if split else ""))
    out, limits = Path(out), limits or Limits()
    with Manifest(out / MANIFEST) as manifest, _alone(out, found):
        packed = Shards(out, shards) if shards else None
        made = [manifest.records[name] for name in packed.ids if name in manifest.records] if packed else []
        if any(record.get("settings") != settings.digest for record in made):
            raise ViewmaskError(f"the shards in {out} were made with other settings: choose another --out")
        waiting = [source for source in found if not _done(manifest, source, settings, out, packed, retry)]
        finished = len(found) - len(waiting)
        atomic.write(out / RUN, json.dumps(
            {"objects": len(found), "done_before": finished, "begun": time.time(), "digest": settings.digest}
            | asdict(settings), indent=1,
        ))  # fmt: skip
        if progress:
            progress(finished, len(found))
        with closing(_records(waiting, out, settings, workers, limits, ray)) as records:
            for record in records:
                manifest.append(record | {"at": round(time.time(), 1)})
                if packed:
                    packed.add(record)
                finished += 1
                if progress:
                    progress(finished, len(found))
        if packed:
            packed.close()
        return [manifest.records[source.id] for source in found]


def check(settings: Settings) -> None:
    """Raise ViewmaskError where a setting is impossible or its engine is absent."""
    start = 0.0 if settings.start == "random" else float(settings.start)
    orbit(settings.views, settings.elevation, settings.distance, settings.fov, settings.size, start)
    lights.check(settings.light)
    if settings.samples < 1 or (settings.spp is not None and settings.spp < 1):
        raise ViewmaskError(f"samples must be at least 1, not {min(settings.samples, settings.spp or 1)}")
    if settings.engine not in ("raycast", "blender"):
        raise ViewmaskError(f"engine must be raycast or blender, not {settings.engine!r}")
    if settings.engine == "raycast" and (settings.spp or settings.denoise):
        raise ViewmaskError("spp and denoise are for the blender engine: use samples here")
    for name in settings.passes:
        if name not in PASSES:
            raise ViewmaskError(f"passes are {' and '.join(PASSES)}, not {name!r}")
    if settings.engine == "blender":
        from render import blender

        blender.require()


def render_one(source: Source, settings: Settings) -> ViewSet:
    """The view set of one object.

    Raises:
        ViewmaskError: the mesh cannot be read or drawn.
    """
    return _drawn(source, settings)[0]


def _drawn(source: Source, settings: Settings) -> tuple[ViewSet, Surface]:
    surface = source.surface(settings.up)
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
    place = lamp if settings.jitter else None
    if settings.engine == "blender":
        from render import blender

        images = blender.render(
            surface, cameras, light, settings.samples, light_seed, strength, place, settings.spp, settings.denoise
        )
    else:
        from render import raycast

        images = raycast.render(surface, cameras, light, settings.samples, light_seed, strength, place)
    about |= {"light": light, "strength": strength, "lamp": place, "engine": settings.engine}
    about |= {"mesh_to_world": surface.file_to_world.tolist(), "settings": settings.digest}
    return ViewSet(images, cameras, about), surface


def _chance(seed: int, name: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def work(source: Source, out: Path, settings: Settings) -> dict[str, Any]:
    """Render and save one object; the manifest's record of it, whatever happens to the mesh.

    Raises:
        ViewmaskError: the disk refuses.
    """
    begun = time.perf_counter()
    folder = out / source.id
    result: dict[str, Any] = {"id": source.id}
    try:
        view_set, surface = _drawn(source, settings)
        if not any(image[..., 3].any() for image in view_set.images):
            raise ViewmaskError("nothing is seen in any view")
    except ViewmaskError as error:
        said = "\n".join(getattr(error, "__notes__", []))
        result |= {"status": "failed", "reason": str(error)} | ({"stderr": said} if said else {})
    except (MemoryError, ArithmeticError, ValueError, IndexError, OSError, np.linalg.LinAlgError) as error:
        result |= {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
    else:
        _save(view_set, surface, folder, settings.passes)
        size = sum(file.stat().st_size for file in folder.iterdir())
        result |= {"status": "ok", "views": len(view_set), "bytes": size}
    if result["status"] == "failed":
        for place in (out, Path(tempfile.gettempdir())):
            if shutil.disk_usage(place).free < SPARE:
                raise ViewmaskError(f"the disk of {place} is full: make room, then run the same command again")
    return result | {"seconds": round(time.perf_counter() - begun, 3), "settings": settings.digest}


def _save(view_set: ViewSet, surface: Surface, folder: Path, wanted: tuple[Pass, ...]) -> None:
    if not wanted and not (folder / passes.FILE).exists():
        view_set.save(folder)
        return
    with atomic.folder(folder, ours=OURS) as temporary:
        if wanted:
            view_set.extra["passes"] = {name: passes.UNITS[name] for name in wanted}
        view_set.save(temporary)
        if wanted:
            arrays: dict[str, Any] = passes.render(surface, view_set.cameras, wanted)
            np.savez_compressed(temporary / passes.FILE, **arrays)


def _done(
    manifest: Manifest, source: Source, settings: Settings, out: Path, packed: Shards | None, retry: bool
) -> bool:
    """Whether an object needs nothing more. One that was saved but not yet recorded is recorded now."""
    record = manifest.records.get(source.id, {})
    same = record.get("settings") == settings.digest
    if same and record.get("status") == "failed":
        return not retry
    if packed is not None and same and source.id in packed:
        return True
    file = out / source.id / TRANSFORMS
    try:
        saved = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    if saved.get("settings") != settings.digest:
        return False
    if not same:
        size = sum(child.stat().st_size for child in file.parent.iterdir())
        record = {"id": source.id, "status": "ok", "views": len(saved["frames"]), "bytes": size, "seconds": 0.0}
        manifest.append(record | {"settings": settings.digest, "at": round(file.stat().st_mtime, 1)})
    if packed is not None:
        packed.add(record)
    return True


def _records(
    sources: list[Source], out: Path, settings: Settings, workers: int | None, limits: Limits, ray: str | None
) -> Generator[dict[str, Any]]:
    """Records as they come: from a cluster, from processes of their own, or from this one."""
    if ray is not None:
        from render import ray_cluster

        yield from ray_cluster.records(sources, out, settings, ray, limits)
        return
    count = cores()
    if workers is None:
        workers = count if settings.engine == "blender" or len(sources) >= MANY else 1
    if settings.engine == "raycast" and workers == 1:
        for source in sources:
            yield work(source, out, settings)
        return
    workers = min(workers, len(sources)) or 1
    job = partial(work, out=out, settings=settings)
    with crew(job, settings.engine, workers, max(1, count // workers), limits) as working:
        for source, record in working.run(sources):
            if "lost" in record:
                _sweep(out, {source.id[:40]})
            yield answered(source, record, settings)


def crew(job: Callable[[Any], dict[str, Any]], engine: Engine, workers: int, threads: int, limits: Limits) -> Crew[Any]:
    """Workers of an engine, each with so many threads; Blender is started with them."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return Crew(job, partial(_prepare, engine, threads), workers, limits, one)


def _prepare(engine: Engine, threads: int) -> None:
    if engine == "blender":
        from render import blender

        blender.start(threads)


def answered(source: Source, record: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The manifest's record, also of an object whose worker was lost."""
    if "lost" not in record:
        return record
    failed = {"id": source.id, "status": "failed", "reason": record["lost"], "settings": settings.digest}
    return failed | ({"stderr": record["stderr"]} if record["stderr"] else {})


def cores() -> int:
    """Cores that this process may use: $OMP_NUM_THREADS, or all that the system lets it have."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _alone(out: Path, sources: list[Source]) -> Iterator[None]:
    """Hold `out` against a second run in it; clear what killed processes left, before and after."""
    names = {source.id[:40] for source in sources} | {"run"}
    with (out / MANIFEST).open("rb") as file:
        if not held(file.fileno()):
            raise ViewmaskError(f"another run is writing into {out}: wait for it, or choose another --out")
        _sweep(out, names)
        try:
            yield
        finally:
            _sweep(out, names)


def held(file: int) -> bool:
    """Take the run's lock on an open manifest, if nobody else has it (on Windows there is none)."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:
        return True
    except BlockingIOError:
        return False
    return True


def _sweep(out: Path, names: set[str]) -> None:
    """Remove temporary files and folders of these names, of shards and of passes, as `atomic` calls them."""
    for path in out.iterdir():
        match = re.fullmatch(r"\.(\..*|\d{6}|.*?)-(old-)?[a-z0-9_]{8}(\.[a-z]+)?", path.name)
        if match and (match[1] in names or match[1].startswith(".") or match[1].isdigit()):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
