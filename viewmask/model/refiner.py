"""The refiner: a second masked transformer that fills finer tokens of all views, given the coarse ones.

As in Muse (Chang et al., ICML 2023, arXiv 2301.00704) the large transformer decides what the views show in few tokens,
8 x 8 a view, and a small one fills 16 x 16 of a picture twice as large: all views in one sequence, by random masks. The
tokenizer is the same for both, for a convolution does not mind the size of its pictures. Where a view is given, its
fine tokens are known from the start, so the others can take over its texture.

The refiner is a transformer whose every token is told the coarse token around it, and begins as the large one's first
blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, vocabulary
from viewmask.model.code import EMPTY, bits
from viewmask.model.sampler import Unmasked, unmask
from viewmask.model.sampling import Sampling
from viewmask.model.sequence import Layout
from viewmask.model.transformer import (
    Kept,
    Prediction,
    Transformer,
    TransformerConfig,
    Turn,
    angles,
    at,
    turn_at,
)

LAYERS, FINER = 6, 2  # fine tokens along the side of a coarse one


@dataclass(frozen=True)
class RefinerConfig(TransformerConfig):
    """Architecture of a refiner.

    Attributes:
        coarse: coarse tokens along a side of a view; `grid` is a multiple of it.
    """

    coarse: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coarse < 1 or self.grid % self.coarse or self.codes != "bits" or self.positions != "axial":
            raise ViewmaskError(f"no such refiner: {self.coarse} to {self.grid} tokens a side, codes={self.codes}")

    @property
    def finer(self) -> int:
        """Fine tokens along the side of a coarse one."""
        return self.grid // self.coarse


class Refiner(Transformer):
    """Coarse tokens, and fine ones some of which are masked, to predictions of the fine ones."""

    config: RefinerConfig

    def __init__(self, config: RefinerConfig) -> None:
        super().__init__(config)
        width = config.width
        self.parent = nn.Linear(config.bits, width, bias=False)
        self.parent_void = nn.Parameter(torch.zeros(width))
        self.child = nn.Embedding(config.finer**2, width)
        for weight in (self.parent.weight, self.child.weight):
            nn.init.normal_(weight, std=0.02)

    @classmethod
    def of(cls, model: Transformer) -> Refiner:
        """A refiner that begins as a transformer's first blocks, to be trained.

        Raises:
            ViewmaskError: a transformer of another form.
        """
        size = asdict(model.config)
        size |= {"grid": FINER * model.config.grid, "words": len(vocabulary.SPECIALS), "coarse": model.config.grid}
        refiner = cls(RefinerConfig(**size | {"layers": min(LAYERS, model.config.layers)}))
        own, taken = refiner.state_dict(), model.state_dict()
        same = {name: taken[name] for name in own if name in taken and taken[name].shape == own[name].shape}
        words = {name: taken[name][: len(vocabulary.SPECIALS)] for name in ("word.weight", "word_head.weight")}
        tables = {name: _finer_table(taken[name], FINER) for name in ("row.weight", "column.weight")}
        about = {"parent.weight": taken["code.weight"] / 2, "parent_void": taken["void"] / 2}
        refiner.load_state_dict(same | words | tables | about, strict=False)
        return refiner

    @torch.inference_mode(False)
    def turn(self, layout: Layout, device: torch.device) -> Turn:
        """Rotary cos and sin of a layout [length, half]: rows and columns are measured in coarse tokens."""
        key = (layout, str(device))
        if key not in self._turns:
            where = self.places(layout, device)
            row, column = (torch.where(n < 0, n, n / self.config.finer) for n in (where.row, where.column))
            angle = angles(self.config, replace(where, row=row, column=column))
            self._turns[key] = angle.cos(), angle.sin()
        return self._turns[key]

    def around(self, coarse: Unmasked) -> Tensor:
        """Which fine tokens are near the object: their coarse one shows something, or touches one that does.

        Bool [batch, views, grid, grid]; all others are empty.
        """
        near = nn.functional.max_pool2d((coarse.tokens != EMPTY).float(), 3, stride=1, padding=1) > 0
        return near.repeat_interleave(self.config.finer, 2).repeat_interleave(self.config.finer, 3)

    def among(
        self,
        layout: Layout,
        words: Tensor,
        tokens: Tensor,
        masked: Tensor,
        beside: Tensor,
        near: Tensor,
        places: Tensor | None = None,
    ) -> Tensor:
        """Features of visual tokens, as of `features`, in sequences in which only some of them take part.

        Half of a view is far from its object, and empty: left out, it costs nothing.

        Args:
            layout, words, tokens, masked, beside: of whole sequences, as in `forward`.
            near: the visual tokens that take part, int64 [batch, n], counted through all views.
            places: those of them that are asked for, int64 [batch, count]; all if None.

        Returns:
            normalised, [batch, n or count, width].
        """
        said, seen = self.order(layout, words.device)
        rows = torch.cat([said.expand(len(near), -1), seen[near]], dim=1)
        wanted = seen[near if places is None else places]
        where = torch.zeros(len(near), len(said) + len(seen), dtype=torch.long, device=rows.device)
        where.scatter_(1, rows, torch.arange(rows.shape[1], device=rows.device).expand_as(rows))
        x = at(self._start(layout, words, tokens, masked, beside), rows)
        turn, asked = turn_at(self.turn(layout, words.device), rows), where.gather(1, wanted)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, turn, asked if number == len(self.blocks) else None)
        return self.norm(x)

    def beside(self, coarse: Unmasked) -> Tensor:
        """What each fine token is told of the coarse one around it: [batch, views, grid, grid, width].

        Args:
            coarse: tokens of grid `config.coarse`; those that are not sure speak by their expected bits.
        """
        finer = self.config.finer
        told = torch.where(
            (coarse.tokens == EMPTY)[..., None], self.parent_void, self.parent(coarse.soft.to(self.mask.dtype))
        )
        child = self.child.weight.view(finer, finer, -1).repeat(self.config.coarse, self.config.coarse, 1)
        return told.repeat_interleave(finer, dim=2).repeat_interleave(finer, dim=3) + child


@dataclass(frozen=True)
class Given:
    """A refiner that was given coarse tokens (a `sampler.Filler`).

    Attributes:
        refiner: in evaluation mode.
        beside: `Refiner.beside` of the coarse tokens, of one sequence.
        near: the visual tokens that take part, int64 [1, count].
    """

    refiner: Refiner
    beside: Tensor
    near: Tensor

    @property
    def config(self) -> TransformerConfig:
        """The refiner's."""
        return self.refiner.config

    @property
    def blocks(self) -> nn.ModuleList:
        """The refiner's."""
        return self.refiner.blocks

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
        """As of a transformer; `places` are among those that take part. Keeps no memory."""
        return self.refiner.among(layout, words, tokens, masked, self.beside, self.near, places)

    def predict(self, features: Tensor) -> Prediction:
        """As of a transformer."""
        return self.refiner.predict(features)


def refined_layout(layout: Layout) -> Layout:
    """How the fine tokens of a layout's views line up: without text, for the coarse tokens say all that it told."""
    return replace(layout, text=0, task=vocabulary.I2MV if layout.given else vocabulary.T2MV)


@torch.inference_mode()
def refine(
    model: Refiner,
    layout: Layout,
    coarse: Unmasked,
    tokens: Tensor,
    masked: Tensor,
    sampling: Sampling,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Unmasked:
    """Fill in the fine tokens of one sequence.

    Args:
        model: in evaluation mode.
        layout: of the coarse tokens.
        coarse: what the sampler made of them, [1, views, coarse grid, coarse grid].
        tokens, masked: fine tokens and which of them are to be filled in, int64 and bool [1, views, grid, grid].
        sampling: steps, schedule, temperature.
        seed: of what is drawn.
        progress: called with steps done and steps.
    """
    captions = torch.zeros(1, 0, dtype=torch.long, device=tokens.device)
    around = model.around(coarse)
    tokens, masked = torch.where(masked & ~around, EMPTY, tokens), masked & around
    filler = Given(model, model.beside(coarse), around.flatten().nonzero().T)
    return unmask(filler, refined_layout(layout), captions, tokens, masked, sampling, seed, progress)


@torch.no_grad()
def imagined(model: Transformer, layout: Layout, tokens: Tensor, hidden: Tensor) -> Unmasked:
    """Coarse tokens as a transformer expects them where they are hidden, and true ones elsewhere: to train a refiner.

    Args:
        tokens, hidden: int64 and bool [batch, views, grid, grid].
    """
    captions = torch.full((len(tokens), layout.text), vocabulary.PAD, device=tokens.device)
    said = model.predict(model(layout, sequence.words(layout, captions), tokens, hidden)[1].flatten(0, 3))
    if said.empty is None:
        raise ViewmaskError("a refiner is for transformers that predict codes by their bits")
    width = model.config.bits
    table = bits(torch.arange(said.codes.shape[-1], device=tokens.device), width // model.config.groups).float()
    mean = (said.codes.softmax(dim=-1) @ table).flatten(1).view(*tokens.shape, width)
    guessed = torch.where((said.empty > 0).view_as(tokens), EMPTY, 1)  # any code but the empty one
    return Unmasked(
        torch.where(hidden, guessed, tokens), torch.where(hidden[..., None], mean, bits(tokens, width).float())
    )


def _finer_table(rows: Tensor, finer: int) -> Tensor:
    """Embeddings of places on a finer grid, between those of a coarse one; the last is that of no place."""
    place, outside = rows[:-1], rows[-1:]
    fine = nn.functional.interpolate(place.T[None], scale_factor=finer, mode="linear")[0].T
    return torch.cat([fine, outside])
