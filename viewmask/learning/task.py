"""Task: what a model is trained to do. It does not own the model, so that any that fits can be passed in."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from torch import Tensor

Figures = dict[str, float]


class Task(Protocol):
    """The loss of one batch; a pure function of the model, the step and the random numbers."""

    def loss(self, model: Any, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """The loss of a model on a batch, and figures to print.

        Args:
            model: what is trained, perhaps in a wrapper that computes the same (several processes).
            step: number of the step, from 0.
            random: draws the batch and all that is random in it.
            batch: sequences, pictures or objects.
        """
        ...
