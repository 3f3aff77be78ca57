"""MAGVIT-v2 as Show-o and MMaDA have it (showlab/magvitv2): 2^13 codes of 16 x 16 pixels.

Unlike Open-MAGVIT2's form it has biases, one attention at the coarsest level, nearest-neighbour upsampling, and no
norms that depend on the code. Layers are named as in its released weights. One thing differs: there the first channel
is the highest bit of a code, here the lowest (`viewmask.model.peers` turns them round).
"""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip: [n, c_in, h, w] to [n, c_out, h, w]."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(c_in), _norm(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1)
        if c_in != c_out:
            self.nin_shortcut = nn.Conv2d(c_in, c_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.silu(self.norm2(self.conv1(F.silu(self.norm1(x))))))
        return y + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    """Every patch attends to all, with one head: [n, channels, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = _norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        q, k, v = (layer(y).flatten(2).transpose(1, 2) for layer in (self.q, self.k, self.v))
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return x + self.proj_out(attended.reshape(x.shape))


class Middle(nn.Module):
    """The coarsest level: [n, channels, h, w]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = ResidualBlock(channels, channels)
        self.attn_1 = Attention(channels)
        self.block_2 = ResidualBlock(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Downsample(nn.Module):
    """Halve the grid; zeros are added on the right and below alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Double the grid: every patch four times, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """The blocks of one resolution and, where there is a next one, the way to it."""

    def __init__(self, c_in: int, c_out: int, blocks: int, resample: tuple[str, nn.Module] | None) -> None:
        super().__init__()
        widths = [c_in, *[c_out] * blocks]
        self.block = nn.ModuleList(ResidualBlock(first, second) for first, second in pairwise(widths))
        if resample is not None:
            self.add_module(*resample)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        for name, layer in self.named_children():
            x = x if name == "block" else layer(x)
        return x


class Encoder(nn.Module):
    """Pictures [n, channels, size, size] in [0, 1] to one vector a patch [n, bits, grid, grid]."""

    def __init__(self, channels: int, bits: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        c_in = widths[0]
        for level, width in enumerate(widths):
            resample = ("downsample", Downsample(width)) if level + 1 < len(widths) else None
            self.down.append(Level(c_in, width, blocks[level], resample))
            c_in = width
        self.mid = Middle(c_in)
        self.norm_out = _norm(c_in)
        self.conv_out = nn.Conv2d(c_in, bits, 3, padding=1)
        self.quant_conv = nn.Conv2d(bits, bits, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.conv_in(2 * pictures - 1)
        for level in self.down:
            x = level(x)
        return self.quant_conv(self.conv_out(F.silu(self.norm_out(self.mid(x)))))


class Decoder(nn.Module):
    """Codes as +-1 [n, bits, grid, grid] to pictures [n, channels, size, size], not yet clamped."""

    def __init__(self, channels: int, bits: int, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.post_quant_conv = nn.Conv2d(bits, bits, 1)
        self.conv_in = nn.Conv2d(bits, widths[-1], 3, padding=1)
        self.mid = Middle(widths[-1])
        self.up = nn.ModuleList()
        for level, width in enumerate(widths):
            c_in = widths[min(level + 1, len(widths) - 1)]
            self.up.append(Level(c_in, width, blocks[level], ("upsample", Upsample(width)) if level else None))
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        x = self.mid(self.conv_in(self.post_quant_conv(code)))
        for level in reversed(self.up):
            x = level(x)
        return (self.conv_out(F.silu(self.norm_out(x))) + 1) / 2
