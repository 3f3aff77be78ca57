"""Threads: how numbers are worked out beside other programs. Set before torch is loaded; what the user set stays."""

from __future__ import annotations

import math
import os
from collections.abc import MutableMapping
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of time in so many of the clock, or "max"


def make_way(environment: MutableMapping[str, str] = os.environ, quota: Path = _QUOTA) -> None:
    """Threads wait asleep, and there are no more of them than cores that this process may use.

    Threads that spin while they wait make a busy machine many times slower (docs/results/speed.md). A container's share
    of the machine is not known to OpenMP, which would start a thread for every core.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # GNU's, in torch for Linux
    environment.setdefault("KMP_BLOCKTIME", "0")  # LLVM's and Intel's, in torch for macOS and Windows
    share = _share(quota)
    if share is not None and share < (os.cpu_count() or 1):
        environment.setdefault("OMP_NUM_THREADS", str(share))


def _share(quota: Path) -> int | None:
    """Cores that a container may use; None where nothing is said."""
    try:
        granted, period = quota.read_text().split()
        return max(1, math.ceil(int(granted) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None
