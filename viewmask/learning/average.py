"""Average: the exponential moving average of a model, which is what a run exports."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """An exponential moving average of a model's parameters, bias-free from the first step.

    Frozen parameters are the model's own.

    Attributes:
        model: a copy of the model that holds the average, in evaluation mode. Its buffers are the model's.
        decay: how much of the average stays at each step, once there were enough steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        frozen = {id(parameter): parameter for parameter in model.parameters() if not parameter.requires_grad}
        self.model = copy.deepcopy(model, frozen).eval().requires_grad_(False)  # what does not learn has no second copy
        self.decay = decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Move towards a model after step `step` (0 first)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = [
            both for both in zip(self.model.parameters(), model.parameters(), strict=True) if both[1].requires_grad
        ]
        average, latest = ([parameter.detach() for parameter in each] for each in zip(*pairs, strict=True))
        torch._foreach_lerp_(average, latest, 1 - decay)
        for mine, theirs in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(theirs)
