"""How to sample: the knobs of the sampler, their defaults, and the schedules. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from viewmask.errors import ViewmaskError

MaskSchedule = Literal["cosine", "linear", "quadratic"]

MASK_SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: math.cos(math.pi / 2 * progress),
    "linear": lambda progress: 1 - progress,
    "quadratic": lambda progress: 1 - progress**2,
}
"""The share of tokens that is still unknown, by the share of steps done."""


@dataclass(frozen=True)
class Sampling:
    """How to unmask.

    Attributes:
        steps: number of predictions.
        schedule: share of the tokens that stay unknown, a key of MASK_SCHEDULES.
        temperature: of the codes drawn; 0 takes the most likely.
        occupancy: temperature of "empty or not"; 0 takes the likelier.
        noise: Gumbel noise on the confidence at the start; it falls to 0 with the steps.
        guidance: w in (1 + w) conditional - w unconditional; 0 asks for one pass a step.

    Raises:
        ViewmaskError: a value that makes no sense.
    """

    steps: int = 20
    schedule: MaskSchedule = "cosine"
    temperature: float = 0.7
    noise: float = 0.5
    guidance: float = 0.0
    occupancy: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in MASK_SCHEDULES:
            raise ViewmaskError(f"no schedule '{self.schedule}': choose one of {', '.join(MASK_SCHEDULES)}")
        if self.steps < 1:
            raise ViewmaskError(f"at least one step is needed, not {self.steps}")
        for name in ("temperature", "noise", "guidance", "occupancy"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ViewmaskError(f"{name} must not be negative, not {value:g}")

    def changed(self, **settings: int | float | str | None) -> Sampling:
        """The same with other settings; None leaves one as it is."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})  # type: ignore[arg-type]


# Chosen on the `val` splits of the training sets and on sentences, looked at and counted (docs/notebook.md). Never on a
# benchmark.
FROM_IMAGE = Sampling(temperature=0.0, noise=0.5, guidance=0.0)
FROM_TEXT = Sampling(temperature=0.4, noise=0.5, guidance=4.0, occupancy=0.8)
DRAWS = 4  # of a sentence, of which one is kept
