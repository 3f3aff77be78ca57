"""Task: what a model is trained to do. It does not own the model, so that any that fits can be passed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

Figures = dict[str, float]


class Task(Protocol):
    """The loss of one batch; a pure function of the model, the step and the random numbers."""

    def loss(self, model: Any, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """The loss of a model on a batch, and figures to print.

        Args:
            model: what is trained.
            step: number of the step, from 0.
            random: draws the batch and all that is random in it.
            batch: sequences, pictures or objects.
        """
        ...


@dataclass(frozen=True)
class Part:
    """A share of a batch, number `number` of `of`."""

    number: int = 0
    of: int = 1

    def rows(self, batch: int) -> slice:
        """Its rows of a batch; parts differ by one row at most."""
        return slice(batch * self.number // self.of, batch * (self.number + 1) // self.of)


WHOLE = Part()


@runtime_checkable
class Divisible(Task, Protocol):
    """A task whose batch can be split over processes, or over steps of accumulation."""

    def part_loss(
        self, model: Any, step: int, random: np.random.Generator, batch: int, part: Part
    ) -> tuple[Tensor, Figures]:
        """What a part of the batch adds to the loss of the whole batch, and to its figures.

        Every part draws the whole batch from the same random numbers, and keeps its rows: the parts then add up to what
        `loss` gives, however many there are.
        """
        ...
