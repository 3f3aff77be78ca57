"""How to sample: the knobs of the sampler, their defaults, and the schedules. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from viewmask.errors import ViewmaskError

MaskSchedule = Literal["cosine", "linear", "quadratic"]
Order = Literal["confidence", "halton"]
Speed = Literal["exact", "balanced"]

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
        interval: from and to which share of the steps it guides (Kynkäänniemi et al., arXiv 2404.07724). Other steps
            cost half.
        refresh: every so many steps all is computed anew. Between them the keys and values of words and of tokens
            that are settled stand as they were (after dLLM-Cache, arXiv 2506.06295). 1 keeps nothing.
        order: which tokens a step settles: those it is surest of, or the next ones of Halton's sequence
            (`viewmask.model.halton`), for which `noise` does nothing.
        remask: the share of the settled tokens that each step masks again, to be drawn anew; rather those that were
            less sure (ReMDM's cap and confidence, arXiv 2503.00307). As many more tokens are settled instead.
        loop: so many more steps before the last one that leave the number of unknown tokens as it is, and only
            mask again and settle (ReMDM's loop).
        refine: steps in which the refiner, if the weights have one, fills in finer tokens. 0 leaves it out: the paper
            has none.

    Raises:
        ViewmaskError: a value that makes no sense.
    """

    steps: int = 20
    schedule: MaskSchedule = "cosine"
    temperature: float = 0.7
    noise: float = 0.5
    guidance: float = 0.0
    occupancy: float = 0.0
    interval: tuple[float, float] = (0.0, 1.0)
    refresh: int = 1
    order: Order = "confidence"
    remask: float = 0.0
    loop: int = 0
    refine: int = 2

    def __post_init__(self) -> None:
        if self.schedule not in MASK_SCHEDULES:
            raise ViewmaskError(f"no schedule '{self.schedule}': choose one of {', '.join(MASK_SCHEDULES)}")
        if self.steps < 1:
            raise ViewmaskError(f"at least one step is needed, not {self.steps}")
        for name in ("temperature", "noise", "guidance", "occupancy"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ViewmaskError(f"{name} must not be negative, not {value:g}")
        if not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise ViewmaskError(f"the interval of guidance must lie within 0 to 1, not {self.interval}")
        if self.refresh < 1:
            raise ViewmaskError(f"keys and values are refreshed every 1 or more steps, not every {self.refresh}")
        if self.order not in get_args(Order):
            raise ViewmaskError(f"no order '{self.order}': choose {' or '.join(get_args(Order))}")
        if not 0 <= self.remask < 1:
            raise ViewmaskError(f"the share of tokens masked again is at least 0 and below 1, not {self.remask:g}")
        if self.loop < 0 or (self.loop and (self.steps < 2 or not self.remask)):
            raise ViewmaskError(f"no {self.loop} steps of a loop: it needs two others, and a share that it masks again")
        if self.refine < 0:
            raise ViewmaskError(f"the refiner takes 0 steps, which leave it out, or more, not {self.refine}")

    @property
    def passes(self) -> int:
        """How many steps there are in all."""
        return self.steps + self.loop

    def guidance_at(self, step: int) -> float:
        """Guidance of a step (0 first)."""
        first, last = self.interval
        return self.guidance if first <= step / self.passes < last else 0.0

    def changed(self, **settings: Any) -> Sampling:
        """The same with other settings; None leaves one as it is."""
        return replace(self, **{name: value for name, value in settings.items() if value is not None})


# Chosen on the `val` splits of the training sets and on sentences, looked at and counted (docs/notebook.md). Never on a
# benchmark.
FROM_IMAGE = Sampling(temperature=0.0, noise=0.5, guidance=0.0)
FROM_TEXT = Sampling(temperature=0.4, noise=0.5, guidance=4.0, occupancy=0.8)
REFINING = Sampling(temperature=0.0, noise=0.0)  # of finer tokens; `Sampling.refine` tells the steps
DRAWS = 4  # of a sentence, of which one is kept
SPEED: Speed = "balanced"  # the default

# What `balanced` changes. Nothing that it loses shows (docs/results/sampler.md).
_BALANCED: dict[Sampling, dict[str, Any]] = {
    FROM_IMAGE: {"steps": 8, "schedule": "quadratic"},
    FROM_TEXT: {"steps": 10, "interval": (0.0, 0.7)},
}


def at_speed(exact: Sampling, speed: Speed | int | float | str | None = None, **settings: Any) -> Sampling:
    """The settings of a speed, with others in place of those named.

    Args:
        exact: FROM_IMAGE or FROM_TEXT, the paper's rule: 20 steps by cosine, guidance at each.
        speed: "exact", or "balanced": fewer passes; what that costs, docs/results/sampler.md says. None is SPEED, the
            default.
        settings: fields of `Sampling`; None leaves one as the speed has it.

    Raises:
        ViewmaskError: no such speed, or a value that makes no sense.
    """
    speed = speed or SPEED
    if speed not in get_args(Speed):
        raise ViewmaskError(f"no speed '{speed}': choose {' or '.join(get_args(Speed))}")
    return exact.changed(**(_BALANCED[exact] if speed == "balanced" else {})).changed(**settings)
