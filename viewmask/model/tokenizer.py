"""The visual tokenizer: MAGVIT-v2 with lookup-free quantization, pictures to codes and back.

A convolutional encoder maps a picture to one vector of `bits` numbers a 16 x 16 patch; their signs
are the code (2^18 of them), and a decoder maps codes back to pixels. Layers are named as in
Open-MAGVIT2 (arXiv 2409.04410), so its checkpoints load into `OPEN_MAGVIT2`; the shipped small
tokenizer is another configuration of the same modules, with a space-to-depth stem.

Pictures are float tensors [n, channels, height, width] in [0, 1]; with four channels they are
colour premultiplied by alpha, and alpha.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.model import showo
from viewmask.model.code import EMPTY, bits, joined
from viewmask.views.viewset import Picture

# A decoder answers a little more than nothing all around an object, seen as coloured dots on white: alpha below the
# first goes, from the second on it stays.
_HAZE = 0.05, 0.15


@dataclass(frozen=True)
class TokenizerConfig:
    """Architecture of a tokenizer.

    Attributes:
        size: side of the square pictures that it was trained on, in pixels.
        channels: 3 (RGB) or 4 (premultiplied RGB and alpha).
        bits: bits of a code; the vocabulary is 2^bits.
        stem: side of the pixel blocks folded into channels before the first convolution.
        widths: channels of each level; between levels the grid is halved.
        blocks: residual blocks of each level.
        mid_blocks: residual blocks at the coarsest level, beside those of the level itself.
        empty_code: patches without any alpha share code 0 by rule, and code 0 decodes to nothing.
        decoder_stem, decoder_widths, decoder_blocks: `stem`, `widths` and `blocks` of the decoder; nothing means as the
            encoder. A decoder may be larger, and be learnt anew: codes stay as they are.
        form: "open-magvit2" (the modules below), or "show-o" (`viewmask.model.showo`; `mid_blocks` is its own).
    """

    size: int = 128
    channels: int = 4
    bits: int = 18
    stem: int = 4
    widths: tuple[int, ...] = (64, 128, 256)
    blocks: tuple[int, ...] = (1, 1, 1)
    mid_blocks: int = 1
    empty_code: bool = True
    decoder_stem: int = 0
    decoder_widths: tuple[int, ...] = ()
    decoder_blocks: tuple[int, ...] = ()
    form: str = "open-magvit2"

    @property
    def decoding(self) -> TokenizerConfig:
        """The same with the decoder's shape in place of the encoder's."""
        if not self.decoder_widths:
            return self
        stem, widths, blocks = self.decoder_stem, self.decoder_widths, self.decoder_blocks
        return replace(self, stem=stem, widths=widths, blocks=blocks, decoder_widths=())

    @property
    def patch(self) -> int:
        """Side of the square of pixels behind one token."""
        return self.stem * 2 ** (len(self.widths) - 1)

    @property
    def grid(self) -> int:
        """Tokens along a side of a picture."""
        return self.size // self.patch

    @property
    def vocabulary(self) -> int:
        """Number of codes."""
        return int(2**self.bits)


OPEN_MAGVIT2 = TokenizerConfig(
    size=256, channels=3, stem=1, widths=(128, 128, 256, 256, 512), blocks=(4, 4, 4, 4, 4), mid_blocks=4,
    empty_code=False,
)  # fmt: skip
SHOW_O = TokenizerConfig(
    size=256, channels=3, bits=13, stem=1, widths=(128, 256, 256, 512, 512), blocks=(4, 3, 4, 3, 4), mid_blocks=2,
    empty_code=False, decoder_stem=1, decoder_widths=(128, 128, 256, 256, 512), decoder_blocks=(4, 4, 3, 4, 3),
    form="show-o",
)  # fmt: skip


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-6)


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with a skip: [n, c_in, h, w] to [n, c_out, h, w]."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = _norm(c_in), _norm(c_out)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.nin_shortcut = nn.Conv2d(c_in, c_out, 1, bias=False) if c_in != c_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y)))
        return self.nin_shortcut(x) + y


class Level(nn.Module):
    """The blocks of one resolution and, where there is a next one, the way to it."""

    def __init__(self, c_in: int, c_out: int, blocks: int, resample: tuple[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.block = nn.ModuleList(ResidualBlock(c_in if b == 0 else c_out, c_out) for b in range(blocks))
        if resample is not None:
            self.add_module(*resample)

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.children():
            for layer in stage if isinstance(stage, nn.ModuleList) else (stage,):
                x = layer(x)
        return x


class DepthToSpace(nn.Module):
    """Double the grid: a convolution to four times the channels, unfolded (rows, columns, channels)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4 * channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        n, c, h, w = x.shape
        x = x.view(n, 2, 2, c // 4, h, w).permute(0, 3, 4, 1, 5, 2)
        return x.reshape(n, c // 4, 2 * h, 2 * w)


class AdaptiveGroupNorm(nn.Module):
    """Group norm whose scale and shift come from the deviation and mean of the code map."""

    def __init__(self, bits: int, channels: int) -> None:
        super().__init__()
        self.gn = nn.GroupNorm(math.gcd(32, channels), channels, eps=1e-6, affine=False)
        self.gamma = nn.Linear(bits, channels)
        self.beta = nn.Linear(bits, channels)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        flat = code.flatten(2)
        scale = self.gamma((flat.var(dim=-1) + 1e-6).sqrt())
        shift = self.beta(flat.mean(dim=-1))
        return self.gn(x) * scale[:, :, None, None] + shift[:, :, None, None]


class Encoder(nn.Module):
    """Pictures [n, channels, size, size] to one vector a patch [n, bits, grid, grid]."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = config.stem
        self.conv_in = nn.Conv2d(config.channels * config.stem**2, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            last = level + 1 == len(widths)
            resample = None if last else ("downsample", nn.Conv2d(width, width, 3, stride=2, padding=1))
            self.down.append(Level(widths[max(level - 1, 0)], width, config.blocks[level], resample))
        self.mid_block = nn.ModuleList(ResidualBlock(widths[-1], widths[-1]) for _ in range(config.mid_blocks))
        self.norm_out = _norm(widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.bits, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = F.pixel_unshuffle(2 * pictures - 1, self.stem) if self.stem > 1 else 2 * pictures - 1
        x = self.conv_in(x)
        for down in self.down:
            x = down(x)
        for block in self.mid_block:
            x = block(x)
        return self.conv_out(F.silu(self.norm_out(x)))


class Decoder(nn.Module):
    """Codes as +-1 [n, bits, grid, grid] to pictures [n, channels, size, size], not yet clamped."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        widths = config.widths
        self.stem = config.stem
        self.conv_in = nn.Conv2d(config.bits, widths[-1], 3, padding=1)
        self.mid_block = nn.ModuleList(ResidualBlock(widths[-1], widths[-1]) for _ in range(config.mid_blocks))
        self.up = nn.ModuleList()
        self.adaptive = nn.ModuleList()
        for level, width in enumerate(widths):
            c_in = widths[min(level + 1, len(widths) - 1)]
            resample = ("upsample", DepthToSpace(width)) if level > 0 else None
            self.up.append(Level(c_in, width, config.blocks[level], resample))
            self.adaptive.append(AdaptiveGroupNorm(config.bits, c_in))
        self.norm_out = _norm(widths[0])
        self.conv_out = nn.Conv2d(widths[0], config.channels * config.stem**2, 3, padding=1)

    def forward(self, code: Tensor) -> Tensor:
        x = self.conv_in(code)
        for block in self.mid_block:
            x = block(x)
        for up, adaptive in zip(reversed(self.up), reversed(self.adaptive), strict=True):
            x = up(adaptive(x, code))
        x = self.conv_out(F.silu(self.norm_out(x)))
        x = F.pixel_shuffle(x, self.stem) if self.stem > 1 else x
        return (x + 1) / 2


class Tokenizer(nn.Module):
    """Encoder, lookup-free quantizer and decoder.

    A token is the integer whose bit k (lowest first, as in Open-MAGVIT2) is the sign of channel k.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        for shape in (config, config.decoding):
            if len(shape.widths) != len(shape.blocks):
                raise ViewmaskError("a tokenizer needs as many entries in `blocks` as in `widths`")
            if shape.patch != config.patch:
                raise ViewmaskError(
                    f"codes stand for {config.patch} pixels a side, and the decoder makes {shape.patch}"
                )
        if config.size < config.patch or config.size % config.patch:
            raise ViewmaskError(f"pictures of {config.size} pixels a side are not cut into codes of {config.patch}")
        self.config = config
        if config.form == "show-o":
            if config.stem != 1 or config.decoding.stem != 1:
                raise ViewmaskError("a tokenizer of the form show-o has no stem: `stem` is 1")
            back = config.decoding
            self.encoder: nn.Module = showo.Encoder(config.channels, config.bits, config.widths, config.blocks)
            self.decoder: nn.Module = showo.Decoder(back.channels, back.bits, back.widths, back.blocks)
        elif config.form == "open-magvit2":
            self.encoder = Encoder(config)
            self.decoder = Decoder(config.decoding)
        else:
            raise ViewmaskError(f"no tokenizer has the form '{config.form}': open-magvit2 and show-o are known")

    # -- codes ----------------------------------------------------------------------------------

    def empty(self, pictures: Tensor) -> Tensor:
        """Which patches hold no alpha at all: bool [n, grid, grid]."""
        if not self.config.empty_code:
            patches = [side // self.config.patch for side in pictures.shape[-2:]]
            return torch.zeros(len(pictures), *patches, dtype=torch.bool, device=pictures.device)
        # Half an 8-bit step: a picture that was stored and read again keeps its empty patches.
        return F.max_pool2d(pictures[:, 3:], self.config.patch)[:, 0] < 0.5 / 255

    def tokens_of(self, z: Tensor, empty: Tensor) -> Tensor:
        """Quantize encoder outputs [n, bits, h, w] to tokens int64 [n, h, w]."""
        positive = z > 0
        if self.config.empty_code:
            # Code 0 is taken: a patch with something in it that lands there moves over its least sure bit.
            stray = ~positive.any(dim=1, keepdim=True)
            positive = positive | (stray & (z == z.amax(dim=1, keepdim=True)))
            positive = positive & ~empty[:, None]
        return joined(positive.long().movedim(1, -1), self.config.bits)

    def bits_of(self, tokens: Tensor) -> Tensor:
        """Tokens [...] to their bits as +-1, float [..., bits]."""
        return bits(tokens, self.config.bits).float()

    # -- pictures -------------------------------------------------------------------------------

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [n, channels, height, width] to tokens int64 [n, height / 16, width / 16]."""
        return self.tokens_of(self.encoder(pictures).float(), self.empty(pictures))

    def decode(self, tokens: Tensor, soft: Tensor | None = None) -> Tensor:
        """Tokens [n, h, w] to pictures [n, channels, 16 h, 16 w] in [0, 1].

        Args:
            tokens: int64 [n, h, w].
            soft: expected bits [n, h, w, bits] in [-1, 1] to decode in place of the tokens' own; the
                mean of the bits under a model gives the mean picture, where one code is one sample.
        """
        codes = self.bits_of(tokens) if soft is None else soft
        empty = tokens == EMPTY
        if self.config.empty_code:
            codes = torch.where(empty[..., None], -1.0, codes)
        return self.finish(self.decoder(codes.permute(0, 3, 1, 2)).float(), empty)

    def finish(self, pictures: Tensor, empty: Tensor) -> Tensor:
        """Clear empty patches and clamp; premultiplied colour never exceeds alpha."""
        if self.config.channels == 3:
            return pictures.clamp(0, 1)
        if self.config.empty_code:
            covered = (~empty[:, None]).to(pictures.dtype)
            pictures = pictures * F.interpolate(covered, scale_factor=self.config.patch, mode="nearest")
        alpha = pictures[:, 3:].clamp(0, 1)
        return torch.cat([torch.minimum(pictures[:, :3].clamp(min=0), alpha), alpha], dim=1)


def pack(images: Any, channels: int = 4) -> Tensor:
    """uint8 RGBA pictures [n, height, width, 4] to a tokenizer's input [n, channels, height, width]."""
    pixels = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255).movedim(-1, -3)
    colour, alpha = pixels[..., :3, :, :], pixels[..., 3:, :, :]
    return torch.cat([colour * alpha, alpha], dim=-3) if channels == 4 else colour * alpha + 1 - alpha


def unpack(pictures: Tensor) -> list[Picture]:
    """A tokenizer's output [n, channels, height, width] to uint8 RGBA pictures, straight alpha, without its haze."""
    if pictures.shape[1] == 3:
        pictures = torch.cat([pictures, torch.ones_like(pictures[:, :1])], dim=1)
    alpha = pictures[:, 3:]
    straight = torch.where(alpha > 1 / 510, pictures[:, :3] / alpha.clamp(min=1 / 510), torch.zeros_like(alpha))
    clear, solid = _HAZE
    pixels = torch.cat([straight.clamp(0, 1), alpha * ((alpha - clear) / (solid - clear)).clamp(0, 1)], 1).movedim(
        1, -1
    )
    return [np.ascontiguousarray(picture) for picture in (pixels * 255).round().byte().cpu().numpy()]
