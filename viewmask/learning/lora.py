"""LoRA: a model is tuned by small additions to its matrices, which stay as they are (Hu et al., arXiv 2106.09685).

The matrix W of each linear layer counts as W + up @ down. It is one of torch's parametrisations, so whatever reads a
layer's weight sees the sum; a wrapper around layers would be passed over by blocks that join their weights.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_FROZEN, _ADDED = ".parametrizations.weight.original", ".parametrizations.weight.0."


class Addition(nn.Module):
    """What is added to a matrix: up @ down, nothing at first."""

    def __init__(self, matrix: Tensor, rank: int) -> None:
        super().__init__()
        rows, columns = matrix.shape
        rank = min(rank, rows, columns)
        self.down = nn.Parameter(torch.randn(rank, columns, device=matrix.device) / columns**0.5)
        self.up = nn.Parameter(torch.zeros(rows, rank, device=matrix.device))

    def forward(self, matrix: Tensor) -> Tensor:
        """The matrix as it counts."""
        return matrix + self.up @ self.down


def adapt(model: nn.Module, rank: int) -> None:
    """Freeze a model, and let additions of a rank to the matrices of its linear layers learn in its place.

    Matrices and tables keep the precision that they have, half perhaps: they are most of the memory.
    """
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.ndim < 2:
            parameter.data = parameter.data.float()
    for layer in [module for module in model.modules() if isinstance(module, nn.Linear)]:
        # unsafe: the sum may be of higher precision than the matrix
        parametrize.register_parametrization(layer, "weight", Addition(layer.weight, rank), unsafe=True)


def plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of an adapted model without its additions, named as before; any other state as it is."""
    return {name.replace(_FROZEN, ".weight"): tensor for name, tensor in state.items() if _ADDED not in name}


def additions(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `plain` leaves out."""
    return {name: tensor for name, tensor in state.items() if _ADDED in name}


def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state of an adapted model with its additions added, named as before; any other state as it is."""
    whole = plain(state)
    for name in state:
        if name.endswith(f"{_ADDED}up"):
            layer = name.removesuffix(f"{_ADDED}up")
            matrix, up, down = whole[f"{layer}.weight"], state[name], state[f"{layer}{_ADDED}down"]
            whole[f"{layer}.weight"] = (matrix.float() + up @ down).to(matrix.dtype)
    return whole
