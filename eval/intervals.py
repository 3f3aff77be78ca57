"""How sure a mean is: the paired bootstrap interval of a difference over objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 10_000
LEVEL = 0.95
DEFINITION = (
    f"the {LEVEL:.0%} percentile interval of the mean difference from the first setting, objects resampled "
    f"{RESAMPLES:,} times in pairs (Efron 1979), seed 0"
)


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: over the objects.
        low, high: the interval; None with fewer than two objects.
        objects: how many there are.
    """

    mean: float
    low: float | None
    high: float | None
    objects: int

    @property
    def sure(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def ends(self, digits: int, between: str = "…") -> str:
        """`-0.12…+0.34`, or nothing where there is no interval."""
        return "" if self.low is None else f"{self.low:+.{digits}f}{between}{self.high:+.{digits}f}"


def bootstrap(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of values [n] with its percentile bootstrap interval (Efron 1979).

    For paired differences give the differences: resampling objects keeps the pairs.
    """
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, None, None, len(array))
    draws = np.random.default_rng(seed).integers(0, len(array), (resamples, len(array)))
    low, high = np.quantile(array[draws].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), len(array))


def compare(
    first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], metrics: Sequence[str]
) -> dict[str, Interval]:
    """Per metric, the paired difference second minus first over the objects (`id`) that both have a figure of."""
    counterparts = {record["id"]: record for record in first}
    intervals = {}
    for metric in metrics:
        pairs = [(counterparts.get(record["id"], {}).get(metric), record.get(metric)) for record in second]
        differences = [b - a for a, b in pairs if a is not None and b is not None]
        if differences:
            intervals[metric] = bootstrap(differences)
    return intervals
