"""What a code is: an integer whose bits are the signs of a patch's numbers, the lowest bit first (Open-MAGVIT2)."""

from __future__ import annotations

import torch
from torch import Tensor

EMPTY = 0  # the code of a patch that shows nothing


def bits(codes: Tensor, width: int) -> Tensor:
    """The `width` bits of codes [...] as +-1, int64 [..., width]."""
    return ((codes[..., None] >> torch.arange(width, device=codes.device)) & 1) * 2 - 1


def groups(codes: Tensor, width: int, count: int) -> Tensor:
    """The bits of codes [...] in `count` groups, each a number below 2^(width / count): int64 [..., count]."""
    each = width // count
    return (codes[..., None] >> each * torch.arange(count, device=codes.device)) & (2**each - 1)


def joined(parts: Tensor, width: int) -> Tensor:
    """Codes [...] from their groups of bits [..., count]: undoes `groups`."""
    each = width // parts.shape[-1]
    return (parts << each * torch.arange(parts.shape[-1], device=parts.device)).sum(dim=-1)
