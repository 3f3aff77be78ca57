"""Muon: momentum whose matrices are orthogonalised by Newton-Schulz steps (Keller Jordan, 2024).

PyTorch ships one, but it always computes in bfloat16, which a CPU without such instructions has to
emulate at great cost; this one takes the precision that the device is good at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_A, _B, _C = 3.4445, -4.7750, 2.0315  # x to A x + B x^3 + C x^5 drives singular values towards one
_LONG = 1.5  # matrices longer than this many times their other side are cheaper by way of their Gram matrix


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix, roughly: singular values end between 0.7 and 1.2."""
    x = matrix.bfloat16() if matrix.is_cuda else matrix.clone()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return (x.T if tall else x).to(matrix.dtype)


def orthogonal_long(matrix: Tensor, steps: int = 5) -> Tensor:
    """`orthogonal` of a matrix of which one side is much longer, as a convolution's kernel is.

    Every step multiplies by a polynomial of the Gram matrix, so all of them are taken on that small square, and
    what they come to meets the long side once. In single precision only: it squares the condition.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    gram = x @ x.T
    product = torch.eye(len(gram), dtype=x.dtype, device=x.device)
    for _ in range(steps):
        step = torch.addmm(gram, gram, gram, beta=_B, alpha=_C)
        step.diagonal().add_(_A)
        product = step @ product
        gram = step @ gram @ step
    x = product @ x
    return x.T if tall else x


def _nearest(matrix: Tensor) -> Tensor:
    """By whichever way is faster here."""
    short, long = sorted(matrix.shape)
    fast = long > _LONG * short and matrix.dtype == torch.float32 and not matrix.is_cuda
    return orthogonal_long(matrix) if fast else orthogonal(matrix)


def _of_shares(matrix: Any) -> Tensor:
    """Of a matrix of which each process holds some rows (FSDP2): each works out the whole, and keeps its share."""
    from torch.distributed.tensor import distribute_tensor

    whole = _nearest(matrix.full_tensor())
    return distribute_tensor(whole, matrix.device_mesh, matrix.placements, src_data_rank=None)


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for matrices, a convolution's kernel being one with a row for each entry of its first
    axis; its rate is comparable with AdamW's."""

    def __init__(
        self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # type: ignore[override]
        """One step for every matrix that has a gradient."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                momentum = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
                momentum.lerp_(matrix.grad, 1 - group["momentum"])
                update = matrix.grad.lerp(momentum, group["momentum"]).flatten(1)
                update = _of_shares(update) if hasattr(update, "full_tensor") else _nearest(update)
                # The size that an AdamW step has: root mean square 0.2 (Moonlight, arXiv 2502.16982).
                scale = 0.2 * max(update.shape) ** 0.5
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(update.view(matrix.shape), alpha=-group["lr"] * scale)
