"""Progress on standard error: a bar with rate and time left on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Report = Callable[..., None]

LOG_SECONDS = 30.0
"""Between two lines of progress when standard error is not a terminal."""


@contextmanager
def progress(label: str, unit: str = "steps") -> Iterator[Report]:
    """A bar that lives as long as the block.

    Yields:
        `report(done, total, **figures)`; figures (`loss=0.31`) are shown behind the bar.
    """
    bar = _bar(label, unit) if sys.stderr.isatty() else _log(label, unit)
    with bar as report:
        yield report


@contextmanager
def working(label: str) -> Iterator[None]:
    """For work of a few seconds in one piece: a clock that runs on a terminal, one line in a log file."""
    if not sys.stderr.isatty():
        note(label)
        yield
        return
    from rich import progress as rich
    from rich.console import Console

    columns = [rich.SpinnerColumn(), rich.TextColumn(label), rich.TimeElapsedColumn()]
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        bar.add_task(label, total=None)
        yield


@contextmanager
def steps(label: str) -> Iterator[Callable[[str, float], None]]:
    """For work of several seconds in named steps: a bar with time left on a terminal, one line in a log file.

    Yields:
        `report(step, share)`: a step begins, and `share` of all the work lies behind it.
    """
    if not sys.stderr.isatty():
        note(label)
        yield lambda step, share: None
        return
    from rich import progress as rich
    from rich.console import Console

    start = time.monotonic()
    columns = [
        rich.TextColumn(f"{label}:"),
        rich.BarColumn(bar_width=30),
        rich.TextColumn("{task.description}  {task.fields[left]}"),
    ]
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0, left="")

        def report(step: str, share: float) -> None:
            passed = time.monotonic() - start
            left = f"{duration(passed * (1 - share) / share)} left" if share > 0 else ""
            bar.update(task, completed=share, description=step, left=left)

        yield report


def note(message: str) -> None:
    """One line on standard error that says what is going on."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def _bar(label: str, unit: str) -> Iterator[Report]:
    from rich import progress as rich
    from rich.console import Console

    columns = [
        rich.TextColumn("{task.description}"),
        rich.BarColumn(bar_width=30),
        rich.MofNCompleteColumn(),
        rich.TextColumn("{task.fields[rate]}"),
        rich.TimeRemainingColumn(compact=True),
        rich.TextColumn("left  {task.fields[figures]}"),
    ]
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None, rate="", figures="")
        clock = _Clock()

        def report(done: int, total: int, **figures: float) -> None:
            rate = f"{_number(clock.rate(done))} {unit}/s"
            bar.update(task, completed=done, total=total or None, rate=rate, figures=_words(figures))

        yield report


@contextmanager
def _log(label: str, unit: str) -> Iterator[Report]:
    clock = _Clock()
    last = clock.start

    def report(done: int, total: int, **figures: float) -> None:
        nonlocal last
        now = time.monotonic()
        rate = clock.rate(done)
        if now - last < LOG_SECONDS or rate <= 0:
            return
        last = now
        left = f"{duration((total - done) / rate)} left" if total else ""
        note(f"{label} {done}/{total} {unit}, {_number(rate)}/s, {left} {_words(figures)}".rstrip(" ,"))

    yield report


class _Clock:
    """The rate since the first report: a resumed run does not count what an earlier one did."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.first: int | None = None

    def rate(self, done: int) -> float:
        if self.first is None:
            # The first report comes after the first piece of work, unless it says zero.
            self.first = max(done - 1, 0)
        return (done - self.first) / max(time.monotonic() - self.start, 1e-6)


def duration(seconds: float) -> str:
    """Seconds in words: `8 s`, `4 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def _words(figures: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
