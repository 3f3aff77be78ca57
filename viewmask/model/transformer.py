"""The transformer: LLaDA's shape (RMSNorm, rotary positions, SwiGLU, no biases), full attention.

It reads words and visual tokens, some of them masked, and predicts every one. A visual token is
embedded by its bits and predicted as one logit for "empty" and groups of bits, so that 2^18 codes
cost a small model no 2^18 rows; `codes="table"` keeps the plain rows, the paper-sized way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from viewmask.errors import ViewmaskError
from viewmask.model.code import EMPTY, bits
from viewmask.model.sequence import Layout, Places, places


@dataclass(frozen=True)
class TransformerConfig:
    """Architecture of a transformer.

    Attributes:
        width, layers, heads: of the residual stream; a head has width / heads channels.
        hidden: width of the SwiGLU layer.
        words: rows for text and special words.
        grid: visual tokens along a side of a view.
        bits: bits of a visual code.
        codes: "bits" (embed bits, predict groups of bits and emptiness) or "table" (2^bits rows).
        groups: groups of bits predicted apart, with codes="bits".
        positions: "axial" (sequence, azimuth, row and column turn separate channels) or "sequence".
        theta: base of the rotary frequencies.
        query_norm: normalise queries and keys (steadier at high learning rates; LLaDA has none).
    """

    width: int = 192
    layers: int = 6
    heads: int = 3
    hidden: int = 512
    words: int = 4096
    grid: int = 8
    bits: int = 18
    codes: str = "bits"
    groups: int = 2
    positions: str = "axial"
    theta: float = 100.0
    query_norm: bool = True

    def __post_init__(self) -> None:
        if self.codes not in ("bits", "table") or self.positions not in ("axial", "sequence"):
            raise ViewmaskError(f"no such transformer: codes={self.codes}, positions={self.positions}")
        if self.width % self.heads or (self.width // self.heads) % 16 or self.bits % self.groups:
            raise ViewmaskError("width must be heads x a multiple of 16, and bits a multiple of groups")


PAPER = TransformerConfig(
    width=4096, layers=32, heads=32, hidden=12288, words=126464, grid=16, codes="table", positions="sequence",
    theta=500_000.0, query_norm=False,
)  # fmt: skip


_SHAPES = 64  # of batches: layouts, with and without text, and parts of a batch


@dataclass(frozen=True)
class Prediction:
    """What the model says of some visual tokens.

    Attributes:
        empty: logit of emptiness [n]; None when codes stand in a table.
        codes: logits [n, groups, 2^(bits / groups)], of groups of bits, lowest group first.
    """

    empty: Tensor | None
    codes: Tensor


class RMSNorm(nn.RMSNorm):
    """RMSNorm in the precision of what it is given: under autocast PyTorch's own takes its slow way, with a warning."""

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class Block(nn.Module):
    """Attention and SwiGLU with pre-norm, weights named as LLaDA's: [batch, length, width]."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attn_norm = RMSNorm(width, eps=1e-5)
        self.q_proj, self.k_proj, self.v_proj, self.attn_out = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.ff_norm = RMSNorm(width, eps=1e-5)
        self.ff_proj = nn.Linear(width, config.hidden, bias=False)
        self.up_proj = nn.Linear(width, config.hidden, bias=False)
        self.ff_out = nn.Linear(config.hidden, width, bias=False)
        head = width // config.heads
        self.q_norm = RMSNorm(head, eps=1e-5) if config.query_norm else nn.Identity()
        self.k_norm = RMSNorm(head, eps=1e-5) if config.query_norm else nn.Identity()

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
        # Weights keep LLaDA's names, one matrix each; products that share their input are done as one, a tenth faster.
        y = _joined(self.attn_norm(x), self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in y.chunk(3, dim=-1))
        attended = attend(rotate(self.q_norm(q), turn), rotate(self.k_norm(k), turn), v)
        x = x + self.attn_out(attended.transpose(1, 2).flatten(2))
        gate, up = _joined(self.ff_norm(x), self.ff_proj, self.up_proj).chunk(2, dim=-1)
        return x + self.ff_out(F.silu(gate) * up)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Full attention of [batch, heads, length, head]; scaled by the root of the head's width."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or not q.requires_grad:
        return F.scaled_dot_product_attention(q, k, v)
    # In bfloat16 on a CPU the fused kernel's backward pass takes a third of a training step; plain products do not.
    with torch.autocast("cpu", enabled=False):
        return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1) @ v


def _joined(x: Tensor, *layers: nn.Linear) -> Tensor:
    """The outputs of linear layers without bias, side by side, from one product."""
    return F.linear(x, torch.cat([layer.weight for layer in layers]))


def rotate(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    """Turn channel pairs (i, i + half) of [batch, heads, length, head] by the angles' cos and sin [length, half]."""
    cos, sin = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).type_as(x)


def angles(config: TransformerConfig, where: Places) -> Tensor:
    """Rotary angles [length, head / 2].

    With axial positions an eighth of the pairs turns with the place in the sequence, an eighth with
    the azimuth (whole harmonics: a full orbit comes back to itself, and views between the trained
    ones lie between), and three eighths each with row and column.
    """
    pairs = config.width // config.heads // 2

    def frequencies(count: int) -> Tensor:
        return config.theta ** (-torch.arange(count, device=where.index.device) / count)

    if config.positions == "sequence":
        return where.index[:, None] * frequencies(pairs)
    eighth = pairs // 8
    share = (pairs - 2 * eighth) // 2
    text_index = torch.where(where.in_view, 0, where.index)
    harmonics = torch.arange(1, eighth + 1, device=where.index.device)
    return torch.cat(
        [
            text_index[:, None] * frequencies(eighth),
            torch.deg2rad(where.azimuth)[:, None] * harmonics,
            where.row[:, None] * frequencies(share),
            where.column[:, None] * frequencies(pairs - 2 * eighth - share),
        ],
        dim=1,
    )


class Transformer(nn.Module):
    """Masked words and visual tokens in, predictions for any of them out."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        self.word = nn.Embedding(config.words, config.width)
        self.mask = nn.Parameter(torch.zeros(config.width))
        if config.codes == "bits":
            self.code: nn.Module = nn.Linear(config.bits, config.width, bias=False)
            self.void = nn.Parameter(torch.zeros(config.width))
            self.empty_head = nn.Linear(config.width, 1)
            self.code_head = nn.Linear(config.width, config.groups * 2 ** (config.bits // config.groups), bias=False)
        else:
            self.code = nn.Embedding(2**config.bits, config.width)
            self.code_head = nn.Linear(config.width, 2**config.bits, bias=False)
        if config.positions == "axial":
            self.row = nn.Embedding(config.grid + 1, config.width)
            self.column = nn.Embedding(config.grid + 1, config.width)
            self.azimuth = nn.Linear(4, config.width, bias=False)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, eps=1e-5)
        self.word_head = nn.Linear(config.width, config.words, bias=False)
        self.checkpointing = False  # while training, blocks keep their input alone, and are worked out again
        self._places: dict[tuple[Layout, str], Places] = {}
        self._order: dict[tuple[Layout, str], tuple[Tensor, Tensor]] = {}
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Output projections start smaller: the residual stream keeps its size at any depth.
                depth = math.sqrt(2 * self.config.layers) if "attn_out" in name or "ff_out" in name else 1.0
                nn.init.normal_(parameter, std=0.02 / depth)
            elif name in ("mask", "void"):
                nn.init.normal_(parameter, std=0.02)

    def forward(self, layout: Layout, words: Tensor, tokens: Tensor, masked: Tensor) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Args:
            layout: the arrangement of its sequences.
            words: int64 [batch, layout.words], see `sequence.words`; masked ones are <mask>.
            tokens: int64 [batch, views, grid, grid].
            masked: bool, same shape: these tokens are hidden.

        Returns:
            normalised features of the words [batch, layout.words, width] and of the visual tokens
            [batch, views, grid, grid, width], for `predict` and `word_head`.
        """
        stream = self.stream(layout, words, tokens, masked)
        x = next(stream)
        for x in stream:  # noqa: B007, the last is wanted
            pass
        x = self.norm(x)
        said, seen = self.order(layout, words.device)
        return x[:, said], x[:, seen].unflatten(1, tokens.shape[1:])

    def stream(self, layout: Layout, words: Tensor, tokens: Tensor, masked: Tensor) -> Iterator[Tensor]:
        """The residual stream [batch, length, width] before the first block and after every one; arguments as above."""
        where = self.places(layout, words.device)
        visual = torch.where(masked[..., None], self.mask, self.embed(tokens))
        x = visual.new_empty(len(words), len(where.index), self.config.width)
        said, seen = self.order(layout, words.device)
        x[:, seen] = visual.flatten(1, 3)
        x[:, said] = self.word(words).to(x.dtype)
        if self.config.positions == "axial":
            # -1, outside the grid, is the last row of the tables.
            radians = torch.deg2rad(where.azimuth)
            circle = torch.stack([radians.cos(), radians.sin(), (2 * radians).cos(), (2 * radians).sin()], dim=1)
            outside = self.config.grid
            place = self.row(where.row % (outside + 1)) + self.column(where.column % (outside + 1))
            x = x + place + self.azimuth((circle * where.posed[:, None]).to(place.dtype))
        angle = angles(self.config, where)
        turn = (angle.cos(), angle.sin())
        yield x
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, turn, use_reentrant=False)
            else:
                x = block(x, turn)
            yield x

    def compile_blocks(self) -> None:
        """Compile the blocks, for as many shapes of batches as training has; a deep copy is not compiled."""
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, _SHAPES)
        for block in self.blocks:
            block.compile(dynamic=False)

    def embed(self, tokens: Tensor) -> Tensor:
        """Embed visual tokens [...] as [..., width]."""
        if self.config.codes == "table":
            return self.code(tokens)
        signs = bits(tokens, self.config.bits).to(self.mask.dtype)
        return torch.where((tokens == EMPTY)[..., None], self.void, self.code(signs))

    def predict(self, features: Tensor) -> Prediction:
        """Predict visual tokens from their features [n, width]; ask only for those that matter."""
        codes = self.code_head(features).float()
        if self.config.codes == "table":
            return Prediction(None, codes[:, None])
        return Prediction(self.empty_head(features).float()[:, 0], codes.unflatten(1, (self.config.groups, -1)))

    def places(self, layout: Layout, device: torch.device) -> Places:
        """The places of a layout, made once."""
        key = (layout, str(device))
        if key not in self._places:
            self._places[key] = places(layout, self.config.grid, device)
        return self._places[key]

    def order(self, layout: Layout, device: torch.device) -> tuple[Tensor, Tensor]:
        """Where the words and where the visual tokens of a layout stand, int64 each, made once.

        A mask in their place would make a GPU wait for the count of its elements.
        """
        key = (layout, str(device))
        if key not in self._order:
            visual = self.places(layout, torch.device("cpu")).visual
            self._order[key] = (~visual).nonzero()[:, 0].to(device), visual.nonzero()[:, 0].to(device)
        return self._order[key]

    def parameters_count(self) -> int:
        """Number of parameters."""
        return sum(parameter.numel() for parameter in self.parameters())
