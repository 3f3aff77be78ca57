"""Jobs: the inputs of a batch, one after the other or in several processes at once, with a share of the cores each."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from viewmask.errors import ViewmaskError
from viewmask_cli.progress import note


@dataclass(frozen=True)
class Made:
    """What came of one input.

    Attributes:
        name: of its folder or file in the batch.
        files: all that was written.
        notes: what people should know, a line each.
        about: further columns of its row.
    """

    name: str
    files: Sequence[Path]
    notes: Sequence[str] = ()
    about: Mapping[str, Any] = field(default_factory=dict)


class Maker(Protocol):
    """Makes the inputs of a batch. For several processes it must be picklable."""

    def prepare(self) -> object:
        """Load what all inputs need; called once in every process."""

    def __call__(self, index: int, name: str) -> Made:
        """Make input `index` under a name of its own; a `ViewmaskError` is that input's alone."""


@dataclass(frozen=True)
class Job:
    """Input `index` of a batch.

    Attributes:
        label: as the user named it.
        name: of what is made of it.
    """

    index: int
    label: str
    name: str


@dataclass(frozen=True)
class Attempt:
    """What was made, or why not."""

    made: Made | None
    error: str
    seconds: float


def attempts(make: Maker, jobs: Sequence[Job], total: int, processes: int = 1) -> Iterator[tuple[Job, Attempt]]:
    """Try every job, and say on standard error how far that is.

    Args:
        total: inputs of the batch, those that are done included.
        processes: at work at once, where there are jobs for two. Then results come in any order, and a crash costs one
            input.

    Raises:
        ViewmaskError: on Windows, more than one process.
    """
    if processes == 1 or len(jobs) < 2:
        for job in jobs:
            note(f"[{job.index + 1}/{total}] {job.label}")
            yield job, _attempt(job, make)["attempt"]
        return
    if sys.platform == "win32":
        raise ViewmaskError("--jobs needs processes that end together, which Windows lacks: leave it out")
    from render.run import cores
    from render.settings import Limits
    from render.workers import Workers

    processes = min(processes, len(jobs))
    threads = max(1, cores() // processes)
    note(f"{processes} processes, threads of each: {threads}")
    endless = Limits(seconds=float("inf"), jobs=sys.maxsize, mebibytes=sys.maxsize)
    share = {"OMP_NUM_THREADS": str(threads)}
    with Workers(partial(_attempt, make=make), make.prepare, processes, endless, share) as workers:
        for job, record in workers.run(jobs):
            note(f"[{job.index + 1}/{total}] {job.label}")
            attempt = record.get("attempt")
            if attempt is None:
                last = record["stderr"].splitlines()[-1:]
                attempt = Attempt(None, ": ".join([record["lost"], *last]), 0.0)
            elif attempt.made is not None:
                for line in attempt.made.notes:  # the process itself speaks into a file
                    note(line)
            yield job, attempt


def _attempt(job: Job, make: Maker) -> dict[str, Attempt]:
    start, made, error = time.monotonic(), None, ""
    try:
        made = make(job.index, job.name)
    except ViewmaskError as failed:
        error = str(failed)
    return {"attempt": Attempt(made, error, time.monotonic() - start)}
