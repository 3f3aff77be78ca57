"""Precision: whether matrices are multiplied in bfloat16 (autocast), faster on some CPUs and most GPUs."""

from __future__ import annotations

import time
from functools import cache
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16", "auto"]

_SIDE, _RUNS, _GAIN = 768, 5, 1.5


@cache
def fastest(device: str) -> Literal["float32", "bfloat16"]:
    """The precision that this machine trains faster in, measured once: a CPU without bfloat16 emulates it, slowly.

    Args:
        device: type of the device: "cpu", "cuda" ...
    """
    if device != "cpu":
        return "bfloat16"
    single = _seconds(torch.float32)
    return "bfloat16" if single > _GAIN * _seconds(torch.bfloat16) else "float32"


def _seconds(kind: torch.dtype) -> float:
    """Of one product, the best of a few: a busy machine delays some."""
    matrix = torch.ones(_SIDE, _SIDE, dtype=kind)
    best = float("inf")
    for _ in range(_RUNS):
        start = time.perf_counter()
        matrix @ matrix
        best = min(best, time.perf_counter() - start)
    return best
