"""Optimizers: AdamW for everything, or Muon for the hidden matrices and AdamW for the rest."""

from __future__ import annotations

import torch
from torch import nn

from viewmask.learning.muon import Muon
from viewmask.learning.schedule import Schedule


def optimizers(model: nn.Module, schedule: Schedule) -> list[torch.optim.Optimizer]:
    """One or two optimizers that share a model's parameters."""
    named = list(model.named_parameters())
    # Muon takes convolutions and the matrices inside the blocks, not embeddings or heads.
    hidden = {name for name, p in named if schedule.muon and (p.ndim > 2 or (p.ndim == 2 and ".blocks." in f".{name}"))}
    rest = [p for name, p in named if name not in hidden]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": schedule.decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    both: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))]
    if hidden:
        matrices = [p for name, p in named if name in hidden]
        both.append(Muon(matrices, lr=schedule.muon, weight_decay=schedule.decay))
    return both
