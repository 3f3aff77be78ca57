"""Interruption: Ctrl-C and SIGTERM wait for the end of a step, so that nothing is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def patience(again: bool = True) -> Iterator[Callable[[], bool]]:
    """While it lasts, a signal waits for whoever asks whether one came; a second signal does not wait.

    Args:
        again: False lets a second signal wait, too: a cluster's scheduler and its launcher each send one.

    Yields:
        What tells whether a signal came.
    """
    stop = False

    def wait(number: int, frame: object) -> None:
        nonlocal stop
        if stop and again:
            raise KeyboardInterrupt
        stop = True

    main = threading.current_thread() is threading.main_thread()  # no other thread may handle signals
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if main}
    # What was ignored, as Ctrl-C is in the background, stays ignored; what is not Python's own is None.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, wait)
    try:
        yield lambda: stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
