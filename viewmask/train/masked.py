"""The training task of all three stages: hide tokens at a random ratio, predict what was hidden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.model import captions as wording
from viewmask.model import sequence, vocabulary
from viewmask.model.sequence import Layout
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.train.tokens import Tokens

_NAMED = ("t2i", "mmu", "t2mv")  # layouts that need captioned objects seen from the front


@dataclass(frozen=True)
class Mixture:
    """Which layouts a stage trains, as shares of its batches, and how conditions are dropped.

    Attributes:
        t2i, mmu, i2mv, t2mv: shares.
        dropped: share of sequences without their condition (guidance needs it).
        whole_views: share of sequences in which whole views are hidden and others known, not
            scattered tokens: several references, from which a rotation is easier to learn.
        odd_orbits: share of I2MV batches whose views are any of the orbit, not every second one.
        captioned: share of I2MV batches with text.
        cosine: with no picture given, the ratio of hidden tokens is the cosine of an even draw (MaskGIT, Chang et al.,
            CVPR 2022) and not an even draw itself, as in the paper: more are hidden, and the sentence must tell more.
    """

    t2i: float = 0.0
    mmu: float = 0.0
    i2mv: float = 0.0
    t2mv: float = 0.0
    dropped: float = 0.1
    whole_views: float = 0.2
    odd_orbits: float = 0.25
    captioned: float = 0.25
    cosine: bool = False


class Denoising:
    """Masked prediction over the four layouts.

    A task that is given a `model` judges it, and makes none of its own.

    The loss is the cross-entropy of hidden target tokens (uniform mask ratio; paper, section 3),
    averaged over them; a visual token costs its emptiness and, where it is not empty, its code.
    """

    companion = None

    def __init__(
        self,
        config: TransformerConfig,
        tokens: Tokens,
        mixture: Mixture,
        device: torch.device,
        targets: int = 4,
        model: Transformer | None = None,
    ) -> None:
        self.config = config
        self.tokens = tokens
        self.mixture = mixture
        self.device = device
        self.views = targets
        self.model = model or Transformer(config).to(device)
        front = np.abs(tokens.azimuths[:, 0]) < 1e-3
        captioned = np.array([bool(captions) for captions in tokens.captions])
        self.rows = {"any": np.arange(len(tokens.ids)), "captioned": np.flatnonzero(captioned)}
        self.rows["front"] = np.flatnonzero(captioned & front)
        for name in _NAMED:
            if model is None and getattr(mixture, name) and not len(self.rows["front"]):
                raise ViewmaskError(f"the tokens hold no captioned objects seen from the front, which {name} trains on")
        weigh = {"any": self._by_source, "captioned": self._by_source, "front": lambda rows: by_thing(tokens, rows)}
        self.weights = {name: weigh[name](rows) for name, rows in self.rows.items() if len(rows)}

    def _by_source(self, rows: np.ndarray) -> np.ndarray:
        """Chance of each row, summed up: a source counts as the root of its objects, so that small ones are heard."""
        objects = np.array(self.tokens.ids)[rows]
        sources = self.tokens.sources[rows]
        weights = np.zeros(len(rows))
        for source in np.unique(sources):
            here = sources == source
            weights[here] = np.sqrt(len(np.unique(objects[here]))) / here.sum()
        return np.asarray(weights.cumsum() / weights.sum())

    def loss(self, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, dict[str, float]]:
        shares = self.shares()
        return self.layout_loss(str(random.choice(list(shares), p=list(shares.values()))), random, batch)

    def shares(self) -> dict[str, float]:
        """The share of each layout that there are tokens for, 1 in all."""
        shares = {name: getattr(self.mixture, name) for name in ("t2i", "mmu", "i2mv", "t2mv")}
        there = {name: share for name, share in shares.items() if name not in _NAMED or len(self.rows["front"])}
        return {name: share / sum(there.values()) for name, share in there.items() if share}

    def layout_loss(self, name: str, random: np.random.Generator, batch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of a batch of one layout, and its figures."""
        if name in ("t2i", "mmu"):
            batch *= self.views  # a sequence of one view is about so much shorter, and as cheap
        layout, captions, tokens = self.draw(name, random, batch)
        dropped = torch.from_numpy(random.random(batch) < self.mixture.dropped).to(self.device)
        if layout.text_last:
            loss, figures = self._text_loss(layout, captions, tokens, random)
        else:
            captions = torch.where(dropped[:, None], vocabulary.PAD, captions)
            masked = torch.from_numpy(self.mask(layout, random, batch)).to(self.device)
            targets = masked.clone()
            masked[:, : layout.given] |= dropped[:, None, None, None]
            loss, figures = self._visual_loss(layout, captions, tokens, masked, targets)
        return loss, figures | {f"{name}": float(loss.detach())}

    def draw(self, name: str, random: np.random.Generator, batch: int) -> tuple[Layout, Tensor, Tensor]:
        """A batch of one layout: the layout, captions [batch, text], tokens [batch, views, grid, grid]."""
        length = self.tokens.tokens.shape[1]
        step = length // self.views
        offsets = np.arange(self.views) * step
        if name == "i2mv":
            if step > 1 and random.random() < self.mixture.odd_orbits:
                offsets = np.concatenate([[0], np.sort(random.permutation(np.arange(1, length))[: self.views - 1])])
            with_text = "captioned" in self.weights and random.random() < self.mixture.captioned
            azimuths = tuple(360.0 * offset / length for offset in offsets.tolist())
            layout, rows = sequence.i2mv(azimuths, with_text), "captioned" if with_text else "any"
        elif name == "t2mv":
            layout, rows = sequence.t2mv(tuple(360.0 * offset / length for offset in offsets.tolist())), "front"
        else:
            layout, rows, offsets = (sequence.t2i() if name == "t2i" else sequence.mmu()), "front", offsets[:1]
        chosen = self.rows[rows][np.searchsorted(self.weights[rows], random.random(batch), side="right")]
        start = random.integers(length, size=(batch, 1)) if name == "i2mv" else np.zeros((batch, 1), dtype=np.int64)
        views = (start + offsets[None]) % length
        tokens = torch.from_numpy(self.tokens.tokens[chosen[:, None], views].astype(np.int64))
        return layout, self._captions(layout, chosen, random), tokens.to(self.device)

    def _captions(self, layout: Layout, rows: np.ndarray, random: np.random.Generator) -> Tensor:
        if layout.text == 0:
            return torch.zeros(len(rows), 0, dtype=torch.long, device=self.device)
        chosen = []
        for row in rows:
            captions = self.tokens.captions[row]
            chosen.append(vocabulary.encode(captions[random.integers(len(captions))], layout.text, cut=True))
        return torch.tensor(chosen, device=self.device)

    def mask(self, layout: Layout, random: np.random.Generator, batch: int) -> np.ndarray:
        """Which target tokens are hidden, bool [batch, views, grid, grid]; at least one a sequence."""
        grid, targets = self.config.grid, layout.views - layout.given
        ratio = random.random(batch)
        if self.mixture.cosine and not layout.given:
            ratio = np.cos(np.pi / 2 * ratio)
        hidden = random.random((batch, targets, grid, grid)) < ratio[:, None, None, None]
        if targets > 1:
            whole = random.random(batch) < self.mixture.whole_views
            views = random.random((batch, targets)) < 0.5
            views[np.arange(batch), random.integers(targets, size=batch)] = True
            hidden[whole] = views[whole][:, :, None, None]
        flat = hidden.reshape(batch, -1)
        flat[np.arange(batch), random.integers(flat.shape[1], size=batch)] = True
        known = np.zeros((batch, layout.given, grid, grid), dtype=bool)
        return np.concatenate([known, flat.reshape(hidden.shape)], axis=1)

    def _visual_loss(
        self, layout: Layout, captions: Tensor, tokens: Tensor, masked: Tensor, targets: Tensor
    ) -> tuple[Tensor, dict[str, float]]:
        features = self.model(layout, sequence.words(layout, captions), tokens, masked)[1]
        prediction = self.model.predict(features[targets])
        return code_loss(self.config, prediction.empty, prediction.codes, tokens[targets])

    def _text_loss(
        self, layout: Layout, captions: Tensor, tokens: Tensor, random: np.random.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        hidden = torch.from_numpy(random.random(captions.shape) < random.random((len(captions), 1))).to(self.device)
        hidden[:, 0] |= ~hidden.any(dim=1)
        words = sequence.words(layout, torch.where(hidden, vocabulary.MASK, captions))
        known = torch.zeros_like(tokens, dtype=torch.bool)
        features = self.model(layout, words, tokens, known)[0][:, sequence.text_slice(layout)]
        loss = F.cross_entropy(self.model.word_head(features[hidden]).float(), captions[hidden])
        return loss, {}


def by_thing(tokens: Tokens, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Chance of each captioned row where sentences are learnt, summed up: a thing counts as the root of its objects, so
    that what is there once or twice is not drowned by eighty tables."""
    ids = [tokens.ids[row] for row in rows]
    named = {one: wording.thing(tokens.captions[row][0]) for one, row in zip(ids, rows, strict=True)}
    variants, objects = Counter(ids), Counter(named.values())
    weights = np.array([objects[named[one]] ** -0.5 / variants[one] for one in ids])
    return np.asarray(weights.cumsum() / weights.sum())


def held_out(task: Denoising, rows: Tokens, batches: int = 4, batch: int = 16) -> Callable[[], dict[str, float]] | None:
    """A judge of a task's model by objects that it does not learn from, always by the same batches.

    Returns:
        What gives "val", the loss in nats, layouts weighed as in training, and the loss of each layout; None
        where `rows` hold nothing that the task trains on.
    """
    whole = replace(task.mixture, dropped=0.0)
    judge = Denoising(task.config, rows, whole, task.device, task.views, task.model)
    shares = judge.shares()

    def score() -> dict[str, float]:
        task.model.eval()
        losses = {}
        for name in shares:
            draws = [np.random.default_rng(number) for number in range(batches)]
            with torch.no_grad():
                losses[name] = float(np.mean([float(judge.layout_loss(name, random, batch)[0]) for random in draws]))
        total = sum(share * losses[name] for name, share in shares.items())
        return {"val": total} | {f"val {name}": loss for name, loss in losses.items()}

    return score if shares else None


def code_loss(
    config: TransformerConfig, empty: Tensor | None, codes: Tensor, truth: Tensor
) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy in nats a token of predictions [n] against tokens int64 [n]."""
    if empty is None:
        loss = F.cross_entropy(codes[:, 0], truth)
        return loss, {}
    void = truth == 0
    occupancy = F.binary_cross_entropy_with_logits(empty, void.float())
    each = config.bits // config.groups
    shifts = each * torch.arange(config.groups, device=truth.device)
    parts = (truth[~void, None] >> shifts) & (2**each - 1)
    code = F.cross_entropy(codes[~void].flatten(0, 1), parts.flatten(), reduction="sum") / len(truth)
    return occupancy + code, {"occupancy": float(occupancy.detach()), "code": float(code.detach())}
