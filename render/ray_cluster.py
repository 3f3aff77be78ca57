"""Rendering on a Ray cluster: one task an object. Ray decides where it runs, and gives it out again if a node is lost.

The process that asks is the only one that writes into the output folder, so the nodes need no disk in common with it.
They do need viewmask, and the meshes under the same paths.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from render.job import FILES, engine_workers, failure, save_one
from render.settings import Limits, Settings
from render.source import Source
from render.workers import Record, Workers
from viewmask.errors import ViewmaskError
from viewmask.files import atomic

INSTALL = "pip install ray (the extra `ray`)"
LOST_NODES = 5  # how often Ray gives an object out again when its node is lost
AHEAD = 2  # tasks waiting, for each that runs


def records(sources: list[Source], out: Path, settings: Settings, address: str, limits: Limits) -> Iterator[Record]:
    """Every object's record, once its files stand in `out`.

    Args:
        address: of a running cluster; "auto" for the one that this machine belongs to.

    Raises:
        ViewmaskError: Ray is absent or the cluster cannot be reached, or the disk refuses.
    """
    try:
        import ray
    except ImportError:
        raise ViewmaskError(f"ray is not installed: {INSTALL}") from None
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ViewmaskError(f"cannot reach a Ray cluster at {address}: {error}") from error
    task = ray.remote(num_cpus=1, max_retries=LOST_NODES, scheduling_strategy="SPREAD")(render_on_node)
    waiting = list(reversed(sources))
    running: dict[Any, Source] = {}
    try:
        while waiting or running:
            room = (1 + AHEAD) * max(1, int(ray.cluster_resources().get("CPU", 1)))
            while waiting and len(running) < room:
                source = waiting.pop()
                running[task.remote(source, settings, limits)] = source
            for reference in ray.wait(list(running), timeout=5.0)[0]:
                source = running.pop(reference)
                try:
                    record, files = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    raise ViewmaskError(f"a node could not render {source.id}: {_cause(error)}") from error
                except ray.exceptions.RayError as error:
                    reason = f"its nodes were lost {LOST_NODES + 1} times: {_cause(error)}"
                    record, files = failure(source, settings, reason), {}
                if files:
                    with atomic.folder(out / source.id, ours=FILES) as temporary:
                        for name, content in files.items():
                            (temporary / name).write_bytes(content)
                yield record
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
        if mine:
            ray.shutdown()


def render_on_node(source: Source, settings: Settings, limits: Limits) -> tuple[Record, dict[str, bytes]]:
    """One object's record and its files by name, made by a worker that lives as long as Ray's process on the node."""
    global _workers
    if _workers is None:
        _workers = engine_workers(_save, settings.engine, 1, 1, limits)
    with tempfile.TemporaryDirectory(prefix="viewmask-node-") as name:
        ((_, record),) = _workers.run([(source, Path(name), settings)])
        if "lost" in record:
            return failure(source, settings, record["lost"], record["stderr"]), {}
        folder = Path(name) / source.id
        files = {file.name: file.read_bytes() for file in folder.iterdir()} if record["status"] == "ok" else {}
    return record, files


def _save(job: tuple[Source, Path, Settings]) -> Record:
    return save_one(*job)


def _cause(error: Exception) -> str:
    return " ".join(str(error).split("\n")[-1].split())[:200] or type(error).__name__


_workers: Workers[Any] | None = None
