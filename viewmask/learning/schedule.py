"""Schedule: how long and how fast to train."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from viewmask.learning.precision import Precision


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps of the whole run.
        batch: sequences or pictures a step.
        rate: peak learning rate of AdamW.
        muon: peak learning rate of Muon for the hidden matrices; 0 trains all with AdamW.
        warmup: steps until the peak.
        decay: weight decay.
        average: decay of the moving average of the weights, which is what is exported.
        clip: largest norm of the gradient.
        precision: "float32", "bfloat16" for autocast, or "auto": what the machine is faster in.
        seed: of everything.
    """

    steps: int
    batch: int = 32
    rate: float = 1e-3
    muon: float = 0.0
    warmup: int = 100
    decay: float = 0.01
    average: float = 0.999
    clip: float = 1.0
    precision: Precision = "float32"
    seed: int = 0


# Share of the rates with which a run goes on from weights of its own stage: full ones lose at first what a falling rate
# had gained.
GENTLY = 0.3


def gently(schedule: Schedule) -> Schedule:
    """The schedule for going on from weights that were trained to the end."""
    return replace(schedule, rate=GENTLY * schedule.rate, muon=GENTLY * schedule.muon)


def rate(progress: float, step: int, warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to a hundredth."""
    return min(1.0, (step + 1) / max(warmup, 1)) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
