"""Halton's order: places that come one after the other lie far apart (Besnier et al., arXiv 2503.17076).

Tokens decided together do not know of each other. Neighbours depend on each other most, so a step that decides places
spread over the picture errs less than one that decides a patch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ranks(shifts: Tensor, grid: int) -> Tensor:
    """When every place of some views has its turn. Views take turns, too.

    Args:
        shifts: by how much the points of every view are moved around the edges, in [0, 1), [views, 2]. Without them
            all views would open the same places, and every seed.
        grid: tokens along an edge.

    Returns:
        int64 [views * grid * grid], each of 0 to views * grid * grid - 1 once.
    """
    # Between two multiples of 1 / 2 grid each cell, shifted or not, holds an elementary interval of both bases.
    count = 2 ** math.ceil(math.log2(4 * grid)) * 3 ** math.ceil(math.log(4 * grid, 3))
    points = torch.stack([radical_inverse(count, 2), radical_inverse(count, 3)], dim=1)
    cells = (((points + shifts[:, None].double()) % 1) * grid).long().clamp(max=grid - 1)
    places = cells[..., 0] * grid + cells[..., 1]
    numbers = torch.arange(count).expand_as(places)
    first = torch.full((len(shifts), grid * grid), count).scatter_reduce(1, places, numbers, "amin")
    turns = first.argsort(dim=1).argsort(dim=1)
    return (turns * len(shifts) + torch.arange(len(shifts))[:, None]).flatten()


def radical_inverse(count: int, base: int) -> Tensor:
    """The first `count` numbers of van der Corput's sequence: digits mirrored at the point. float64 [count]."""
    left, weight = torch.arange(count), 1.0
    mirrored = torch.zeros(count, dtype=torch.float64)
    while left.any():
        weight /= base
        mirrored += weight * (left % base)
        left = left // base
    return mirrored
