"""A run: many objects are rendered into one folder, by whoever is there to work. A killed run resumes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from render.ceiling import ceiling
from render.job import engine_workers, failure, save_one
from render.settings import Limits, Settings
from render.shards import Shards
from render.source import Source, find
from render.workers import Record
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.lock import take_lock
from viewmask.files.manifest import Manifest
from viewmask.views.conventions import TRANSFORMS

MANIFEST = "manifest.jsonl"
RUN = "run.json"
MANY = 16  # objects from which on one worker a core is worth its start
Progress = Callable[[int, int], None]


def render_orbits(
    sources: str | Path | Sequence[str | Path | Source],
    out: str | Path,
    settings: Settings | None = None,
    *,
    workers: int | None = None,
    limits: Limits | None = None,
    retry: bool = False,
    shards: int | None = None,
    ray: str | None = None,
    progress: Progress | None = None,
) -> list[Record]:
    """Render an orbit of every object into `out/<id>/`, and write `out/manifest.jsonl`.

    Args:
        sources: what to render; see `render.source.find`.
        out: the folder that gets one view set an object. Objects that its manifest holds as done are skipped.
        settings: what a picture looks like; `Settings()` if None.
        workers: processes. If None: one a core, but one for ray casting of fewer than 16 objects. They keep `limits`,
            and a crash costs no more than one object. (On Windows one means this process.)
        limits: what a worker may take; `Limits()` if None.
        retry: render again what failed in an earlier run.
        shards: objects in each WebDataset tar, `out/000000.tar` ...; folders if None.
        ray: address of a Ray cluster that does the work; "auto" for the one this machine belongs to. The nodes read
            the meshes; this process writes `out`.
        progress: called with (objects done, objects in all) at the start and after each object.

    Returns:
        the manifest's records of these objects, in their order: `id`, `status` ("ok" or "failed"), `seconds`,
        `settings` (their digest) and `at` (seconds since 1970). Rendered ones have `views` and `bytes`, and `notes`
        where something of the file is left out. Failed ones have `reason` and, if a process crashed, `stderr`. A
        broken mesh fails alone.

    Raises:
        ViewmaskError: nothing to render, an absent engine, another run in `out`, or a disk that refuses.
    """
    settings, limits, out = settings or Settings(), limits or Limits(), Path(out)
    if settings.engine == "blender":
        from render import blender

        blender.require()
    if workers is not None and workers < 1:
        raise ViewmaskError(f"workers must be at least 1, not {workers}")
    if shards is not None and shards < 1:
        raise ViewmaskError(f"a shard must hold at least 1 object, not {shards}")
    sources = find(sources)
    if not sources:
        raise ViewmaskError("nothing to render")
    with Manifest(out / MANIFEST) as manifest, _locked(out, sources):
        tars = Shards(out, shards) if shards else None
        packed = [manifest.records[name] for name in tars.ids if name in manifest.records] if tars else []
        if any(record.get("settings") != settings.digest for record in packed):
            raise ViewmaskError(f"the shards in {out} hold views of other settings: choose another --out")
        waiting = [source for source in sources if not _done(manifest, source, settings, out, tars, retry)]
        done = len(sources) - len(waiting)
        atomic.write(out / RUN, json.dumps(
            {"objects": len(sources), "done_before": done, "begun": time.time(), "digest": settings.digest}
            | asdict(settings), indent=1,
        ))  # fmt: skip
        if progress:
            progress(done, len(sources))
        with closing(_records(waiting, out, settings, workers, limits, ray)) as records:
            for record in records:
                manifest.append(record | {"at": round(time.time(), 1)})
                if tars:
                    tars.add(record)
                done += 1
                if progress:
                    progress(done, len(sources))
        if tars:
            tars.close()
        return [manifest.records[source.id] for source in sources]


def cores() -> int:
    """Cores that this process may use: $OMP_NUM_THREADS, or all that the system lets it have."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdecimal() and int(threads) > 0:
        return int(threads)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _done(manifest: Manifest, source: Source, settings: Settings, out: Path, tars: Shards | None, retry: bool) -> bool:
    """Whether an object needs nothing more. One that was saved but not recorded, because of a kill, is recorded now."""
    record = manifest.records.get(source.id, {})
    same = record.get("settings") == settings.digest
    if same and record.get("status") == "failed":
        return not retry
    if tars is not None and same and source.id in tars:
        return True
    file = out / source.id / TRANSFORMS
    try:
        transforms = json.loads(file.read_text())
    except (OSError, ValueError):
        return False
    if transforms.get("settings") != settings.digest:
        return False
    if not same:
        size = sum(child.stat().st_size for child in file.parent.iterdir())
        record = {"id": source.id, "status": "ok", "views": len(transforms["frames"]), "bytes": size, "seconds": 0.0}
        record |= {"notes": transforms["notes"]} if "notes" in transforms else {}
        manifest.append(record | {"settings": settings.digest, "at": round(file.stat().st_mtime, 1)})
    if tars is not None:
        tars.add(record)
    return True


def _records(
    sources: list[Source], out: Path, settings: Settings, workers: int | None, limits: Limits, ray: str | None
) -> Generator[Record]:
    """Records as they come: from a cluster, from worker processes, or from this process."""
    if ray is not None:
        from render import ray_cluster

        yield from ray_cluster.records(sources, out, settings, ray, limits)
        return
    count = cores()
    if workers is None:
        workers = count if settings.engine == "blender" or len(sources) >= MANY else 1
    if settings.engine == "raycast" and workers == 1 and sys.platform == "win32":  # workers need a group of processes
        with ceiling(limits.mebibytes):
            for source in sources:
                yield save_one(source, out, settings)
        return
    workers = min(workers, len(sources)) or 1
    work = partial(save_one, out=out, settings=settings)
    with engine_workers(work, settings.engine, workers, max(1, count // workers), limits) as processes:
        for source, record in processes.run(sources):
            if "lost" in record:
                _remove_leftovers(out, {source.id[:40]})
                record = failure(source, settings, record["lost"], record["stderr"])
            yield record


@contextmanager
def _locked(out: Path, sources: list[Source]) -> Iterator[None]:
    """Hold `out` against a second run. What killed processes left there goes, before and after."""
    names = {source.id[:40] for source in sources} | {"run"}
    with (out / MANIFEST).open("rb") as file:
        if not take_lock(file.fileno()):
            raise ViewmaskError(f"another run is writing into {out}: wait for it, or choose another --out")
        _remove_leftovers(out, names)
        try:
            yield
        finally:
            _remove_leftovers(out, names)


def _remove_leftovers(out: Path, names: set[str]) -> None:
    """Remove `atomic`'s temporary files and folders of these names, of shards and of passes."""
    for path in out.iterdir():
        name = atomic.unfinished(path.name)
        if name is not None and (name in names or name.startswith(".") or name.isdigit()):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
