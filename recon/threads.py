"""Threads: independent pieces of work on as many cores as this process may use.

numpy, scipy's filters and Embree leave Python's lock while they compute, so threads suffice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def cores() -> int:
    """Cores that the process may use; `OMP_NUM_THREADS` is a ceiling, as it is for torch."""
    try:
        free = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        free = os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(free, int(limit))) if limit.isdigit() else free


def each(work: Callable[..., Result], *inputs: Iterable[Any]) -> Iterator[Result]:
    """`work` of every input, in their order; one after the other where there is one core. The first error is raised.

    No more are worked on, or waiting to be taken, than there are cores: results may be large.
    """
    pieces = list(zip(*inputs, strict=True))
    workers = min(cores(), len(pieces))
    if workers < 2:
        for piece in pieces:
            yield work(*piece)
        return
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(pieces), workers):
            yield from pool.map(lambda piece: work(*piece), pieces[start : start + workers])
