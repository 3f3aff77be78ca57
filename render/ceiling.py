"""The ceiling of memory for one object, held against what files claim before anything is unpacked.

A few bytes can claim gigabytes: a zip's member, a picture's size, an accessor without data, a count in a header. What
claims are above the ceiling is refused at once. Worker processes are watched as well; see `render.workers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from viewmask.errors import ViewmaskError

MEBIBYTES = 2048
_ceiling: ContextVar[int] = ContextVar("ceiling", default=MEBIBYTES)


def claim(size: int, what: str) -> None:
    """Let pass what an object claims of memory, in bytes, or raise.

    Args:
        what: who claims it, such as "the picture a.png".

    Raises:
        ViewmaskError: more than the ceiling.
    """
    if size > _ceiling.get() * 2**20:
        raise ViewmaskError(
            f"{what} claims {size / 2**20:,.0f} MiB of memory, and an object may take {_ceiling.get()}: a damaged or "
            f"hostile file, or else raise the limit with --memory"
        )


def set_ceiling(mebibytes: int) -> None:
    """Another ceiling, for the rest of a worker process's life."""
    _ceiling.set(mebibytes)


@contextmanager
def ceiling(mebibytes: int) -> Iterator[None]:
    """Another ceiling within a `with` block."""
    token = _ceiling.set(mebibytes)
    try:
        yield
    finally:
        _ceiling.reset(token)
