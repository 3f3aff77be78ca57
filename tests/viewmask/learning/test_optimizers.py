"""Optimizers: which parameters each has, and with which settings."""

import torch
from torch import nn

from viewmask.learning.muon import Muon
from viewmask.learning.optimizers import optimizers
from viewmask.learning.schedule import Schedule


class Mixed(nn.Module):
    """Matrices inside and outside of blocks, a kernel, and vectors."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, 4)])
        self.inner = nn.ModuleDict({"blocks": nn.ModuleList([nn.Linear(2, 2, bias=False)])})
        self.blocksmith = nn.Linear(4, 5, bias=False)
        self.kernel = nn.Conv1d(1, 2, 3)


def names(model, optimizer):
    by_place = {id(parameter): name for name, parameter in model.named_parameters()}
    return [sorted(by_place[id(p)] for p in group["params"]) for group in optimizer.param_groups]


BIASES = ["blocks.0.bias", "kernel.bias"]


def test_without_muon_adam_has_all():
    model = Mixed()
    (adam,) = optimizers(model, Schedule(1, rate=0.02, decay=0.3))
    assert type(adam) is torch.optim.AdamW
    matrices = ["blocks.0.weight", "blocksmith.weight", "inner.blocks.0.weight", "kernel.weight"]
    assert names(model, adam) == [matrices, BIASES]
    assert [group["weight_decay"] for group in adam.param_groups] == [0.3, 0]
    assert [(group["lr"], group["betas"]) for group in adam.param_groups] == [(0.02, (0.9, 0.98))] * 2


def test_muon_takes_kernels_and_the_matrices_of_blocks():
    model = Mixed()
    adam, muon = optimizers(model, Schedule(1, rate=0.02, muon=0.05, decay=0.3))
    assert names(model, adam) == [["blocksmith.weight"], BIASES]
    assert type(muon) is Muon
    assert names(model, muon) == [["blocks.0.weight", "inner.blocks.0.weight", "kernel.weight"]]
    assert [(group["lr"], group["weight_decay"]) for group in muon.param_groups] == [(0.05, 0.3)]
    assert len(optimizers(nn.Linear(2, 2), Schedule(1, muon=0.05))) == 1  # nothing for Muon
