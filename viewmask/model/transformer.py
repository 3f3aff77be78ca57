"""The transformer: LLaDA's shape (RMSNorm, rotary positions, SwiGLU, no biases), full attention.

It reads words and visual tokens, some of them masked, and predicts every one. A visual token is
embedded by its bits and predicted as one logit for "empty" and groups of bits, so that 2^18 codes
cost a small model no 2^18 rows; `codes="table"` keeps the plain rows, the paper-sized way.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

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

    def repeated(self, times: int) -> Prediction:
        """The same for so many sequences."""
        if times == 1:
            return self
        return Prediction(None if self.empty is None else self.empty.repeat(times), self.codes.repeat(times, 1, 1))


Turn = tuple[Tensor, Tensor]  # cos and sin of rotary angles, [length, half] or [batch, 1, length, half]


@dataclass
class Kept:
    """Keys and values of a block's whole sequences, [batch, heads, length, head]: of the last pass that computed each
    position; None before the first pass.
    """

    keys: Tensor | None = None
    values: Tensor | None = None

    def update(self, keys: Tensor, values: Tensor, rows: Tensor | None) -> tuple[Tensor, Tensor]:
        """Take up those of some positions, int64 [batch, count], or of all; gives those of all."""
        if rows is None or self.keys is None or self.values is None:
            self.keys, self.values = keys, values
        else:
            where = rows[:, None, :, None].expand_as(keys)
            self.keys.scatter_(2, where, keys)
            self.values.scatter_(2, where, values)
        return self.keys, self.values


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

    def forward(
        self, x: Tensor, turn: Turn, asked: Tensor | None = None, kept: Kept | None = None, rows: Tensor | None = None
    ) -> Tensor:
        """The stream behind this block.

        Args:
            x: the stream before it, [batch, length, width].
            turn: rotary cos and sin of its positions.
            asked: which elements of `x` are wanted, int64 [batch, count]; all if None.
            kept: takes up the keys and values, and adds those of the positions that `x` lacks.
            rows: which positions of the sequence `x` holds, int64 [batch, length]; all if None.
        """
        # Weights keep LLaDA's names, one matrix each; products that share their input are done as one, a tenth faster.
        y = self.attn_norm(x)
        if asked is None:
            q, k, v = self._heads(_joined(y, self.q_proj, self.k_proj, self.v_proj), 3)
            q = rotate(self.q_norm(q), turn)
        else:
            (q,) = self._heads(self.q_proj(at(y, asked)), 1)
            q = rotate(self.q_norm(q), turn_at(turn, asked))
            k, v = self._heads(_joined(y, self.k_proj, self.v_proj), 2)
            x = at(x, asked)
        k = rotate(self.k_norm(k), turn)
        if kept is not None:
            k, v = kept.update(k, v, rows)
        x = x + self.attn_out(attend(q, k, v).transpose(1, 2).flatten(2))
        gate, up = _joined(self.ff_norm(x), self.ff_proj, self.up_proj).chunk(2, dim=-1)
        return x + self.ff_out(F.silu(gate) * up)

    def _heads(self, y: Tensor, parts: int) -> list[Tensor]:
        """Each of the parts [batch, length, parts x width] by heads, [batch, heads, length, head]."""
        return [part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in y.chunk(parts, dim=-1)]

    def join(self) -> None:
        """Lay the weights that share their input side by side in memory, where `_joined` finds them."""
        for layers in ((self.q_proj, self.k_proj, self.v_proj), (self.ff_proj, self.up_proj)):
            weights = [layer.weight for layer in layers]
            whole = torch.cat([weight.data for weight in weights])
            for weight, part in zip(weights, whole.split([len(weight) for weight in weights]), strict=True):
                weight.data = part


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Full attention of [batch, heads, length, head]; scaled by the root of the head's width."""
    if q.device.type != "cpu" or q.dtype != torch.bfloat16 or not q.requires_grad:
        return F.scaled_dot_product_attention(q, k, v)
    # In bfloat16 on a CPU the fused kernel's backward pass takes a third of a training step; plain products do not.
    with torch.autocast("cpu", enabled=False):
        return (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1) @ v


def at(x: Tensor, places: Tensor) -> Tensor:
    """Some elements of sequences: x [batch, length, width], places int64 [batch, count], [batch, count, width]."""
    return x.gather(1, places[..., None].expand(-1, -1, x.shape[-1]))


def _joined(x: Tensor, *layers: nn.Linear) -> Tensor:
    """The outputs of linear layers without bias, side by side, from one product.

    Weights that lie side by side already (`Transformer.join`) are taken as they lie. Gradients need the copy.
    """
    weights = [layer.weight for layer in layers]
    first = weights[0]
    if not torch.is_grad_enabled() and _side_by_side(weights):
        return F.linear(x, first.as_strided((sum(map(len, weights)), first.shape[1]), first.stride()))
    return F.linear(x, torch.cat(weights))


def _side_by_side(weights: list[Tensor]) -> bool:
    """Whether matrices are parts of one, in order. Moved or loaded anew they are not: nothing has to remember it."""
    return all(
        one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
        and one.is_contiguous()
        and other.storage_offset() == one.storage_offset() + one.numel()
        for one, other in pairwise(weights)
    )


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn channel pairs (i, i + half) of [batch, heads, length, head] by the angles' cos and sin.

    Both are [length, half], or [batch, 1, length, half] where sequences hold other positions.
    """
    cos, sin = turn
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).type_as(x)


def turn_at(turn: Turn, places: Tensor) -> Turn:
    """Rotary cos and sin of some of their positions, int64 [batch, count]: [batch, 1, count, half]."""
    if turn[0].ndim == 2:
        return turn[0][places][:, None], turn[1][places][:, None]
    return at(turn[0][:, 0], places)[:, None], at(turn[1][:, 0], places)[:, None]


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
        self._turns: dict[tuple[Layout, str], Turn] = {}
        self._initialise()

    def _initialise(self) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                # Output projections start smaller: the residual stream keeps its size at any depth.
                depth = math.sqrt(2 * self.config.layers) if "attn_out" in name or "ff_out" in name else 1.0
                nn.init.normal_(parameter, std=0.02 / depth)
            elif name in ("mask", "void"):
                nn.init.normal_(parameter, std=0.02)

    def forward(
        self, layout: Layout, words: Tensor, tokens: Tensor, masked: Tensor, beside: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read a batch.

        Args:
            layout: the arrangement of its sequences.
            words: int64 [batch, layout.words], see `sequence.words`; masked ones are <mask>.
            tokens: int64 [batch, views, grid, grid].
            masked: bool, same shape: these tokens are hidden.
            beside: what each visual token is told besides, [batch, views, grid, grid, width].

        Returns:
            normalised features of the words [batch, layout.words, width] and of the visual tokens
            [batch, views, grid, grid, width], for `predict` and `word_head`.
        """
        stream = self.stream(layout, words, tokens, masked, beside)
        x = next(stream)
        for x in stream:  # noqa: B007, the last is wanted
            pass
        x = self.norm(x)
        said, seen = self.order(layout, words.device)
        return x[:, said], x[:, seen].unflatten(1, tokens.shape[1:])

    def stream(
        self, layout: Layout, words: Tensor, tokens: Tensor, masked: Tensor, beside: Tensor | None = None
    ) -> Iterator[Tensor]:
        """The residual stream [batch, length, width] before the first block and after every one; arguments as above."""
        x, turn = self._start(layout, words, tokens, masked, beside), self.turn(layout, words.device)
        yield x
        for block in self.blocks:
            if self.checkpointing and self.training:
                x = checkpoint(block, x, turn, use_reentrant=False)
            else:
                x = block(x, turn)
            yield x

    def features(
        self,
        layout: Layout,
        words: Tensor,
        tokens: Tensor,
        masked: Tensor,
        places: Tensor,
        memory: list[Kept] | None = None,
        also: Tensor | None = None,
    ) -> Tensor:
        """Normalised features of some visual tokens alone, [batch, count, width], for `predict`.

        The last block works for no others; else equal to `forward`.

        Args:
            layout, words, tokens, masked: as in `forward`.
            places: the visual tokens asked for, int64 [batch, count], counted through all views.
            memory: a `Kept` a block; takes up what this pass computes.
            also: nothing but `places` and these visual tokens is computed, int64 [batch, count]; for all other
                positions the memory's keys and values stand. Needs a memory that one full pass has filled.
        """
        x, turn = self._start(layout, words, tokens, masked), self.turn(layout, words.device)
        seen = self.order(layout, words.device)[1]
        asked, rows = seen[places], None
        if also is not None:
            rows = torch.cat([asked, seen[also]], dim=1)
            x, turn = at(x, rows), turn_at(turn, rows)
            asked = torch.arange(places.shape[1], device=places.device).expand_as(places)
        for number, block in enumerate(self.blocks):
            last = number + 1 == len(self.blocks)
            x = block(x, turn, asked if last else None, memory[number] if memory else None, rows)
        return self.norm(x)

    def _start(
        self, layout: Layout, words: Tensor, tokens: Tensor, masked: Tensor, beside: Tensor | None = None
    ) -> Tensor:
        """The stream before the first block."""
        where = self.places(layout, words.device)
        visual = torch.where(masked[..., None], self.mask, self.embed(tokens))
        if beside is not None:
            visual = visual + beside
        x = visual.new_empty(len(words), len(where.index), self.config.width)
        said, seen = self.order(layout, words.device)
        x[:, seen] = visual.flatten(1, 3)
        x[:, said] = self.word(words).to(x.dtype)
        if self.config.positions == "axial":
            # -1, outside the grid, is the last row of the tables.
            radians = torch.deg2rad(where.azimuth)
            circle = torch.stack([radians.cos(), radians.sin(), (2 * radians).cos(), (2 * radians).sin()], dim=1)
            outside = self.config.grid
            places = self.row(where.row % (outside + 1)), self.column(where.column % (outside + 1))
            place = places[0].to(x.dtype) + places[1].to(x.dtype)
            x = x + place + self.azimuth((circle * where.in_view[:, None]).to(x.dtype))
        return x

    def join(self) -> Transformer:
        """Lay weights for inference: products that share their input need no copy then. Names and numbers stay.

        For a model that is where it will run; moving it undoes this, and nothing else changes.
        """
        for block in self.blocks:
            assert isinstance(block, Block)
            block.join()
        return self

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

    # What is made once serves training, too, whoever asks first.
    @torch.inference_mode(False)
    def places(self, layout: Layout, device: torch.device) -> Places:
        """The places of a layout, made once."""
        key = (layout, str(device))
        if key not in self._places:
            self._places[key] = places(layout, self.config.grid, device)
        return self._places[key]

    @torch.inference_mode(False)
    def turn(self, layout: Layout, device: torch.device) -> Turn:
        """Rotary cos and sin of a layout [length, half], made once."""
        key = (layout, str(device))
        if key not in self._turns:
            angle = angles(self.config, self.places(layout, device))
            self._turns[key] = angle.cos(), angle.sin()
        return self._turns[key]

    @torch.inference_mode(False)
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
