"""The training task of the reranker: of a batch of objects, which sentence belongs to which views?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.model import vocabulary
from viewmask.model.reranker import Towers, TowersConfig, describe
from viewmask.model.transformer import Transformer
from viewmask.train.masked import by_thing
from viewmask.train.tokens import Tokens

HIDDEN = 0.15  # share of a sentence's words that is hidden while learning
_AT_ONCE = 16  # objects that the transformer reads together


class Contrast:
    """Cross-entropy of the right views among all of a batch, given a sentence, and of the right sentence, given views.

    A task that is given a `model` judges it, and makes none of its own. What the transformer makes of an object's views
    is worked out when it is first drawn, and kept.
    """

    companion = None

    def __init__(
        self,
        config: TowersConfig,
        transformer: Transformer,
        tokens: Tokens,
        device: torch.device,
        views: int = 4,
        model: Towers | None = None,
    ) -> None:
        self.config = config
        self.transformer = transformer.to(device)
        self.tokens = tokens
        self.device = device
        self.model = model or Towers(config).to(device)
        self.offsets = np.arange(views) * (tokens.tokens.shape[1] // views)
        front = np.abs(tokens.azimuths[:, 0]) < 1e-3
        self.rows = np.flatnonzero(front & np.array([bool(captions) for captions in tokens.captions]))
        if model is None and len(self.rows) < 2:
            raise ViewmaskError(
                "the tokens hold no captioned objects seen from the front, which the reranker learns from"
            )
        self.chances = by_thing(tokens, self.rows)
        self.captions = {
            row: [tuple(vocabulary.encode(caption, cut=True)) for caption in tokens.captions[row]]
            for row in self.rows.tolist()
        }
        self.variants: dict[str, list[int]] = {}
        for row in self.rows.tolist():
            self.variants.setdefault(tokens.ids[row], []).append(row)
        self._described: dict[int, Tensor] = {}

    def loss(self, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, dict[str, float]]:
        half = self.rows[np.searchsorted(self.chances, random.random(batch // 2), side="right")]
        # Every object a second time, as another of its variants: only its colours, or nothing, tell them apart.
        others = [self.variants[self.tokens.ids[row]] for row in half]
        chosen = np.concatenate([half, [rows[random.integers(len(rows))] for rows in others]])
        captions = [self.captions[row] for row in chosen]
        said = [known[random.integers(len(known))] for known in captions]
        # What is true of other views, too, is no wrong answer.
        alike = torch.tensor([[one in known for known in captions] for one in said], device=self.device)
        alike.fill_diagonal_(False)
        words = torch.tensor(said, device=self.device)
        hide = torch.from_numpy(random.random(words.shape) < HIDDEN).to(self.device) & (words != vocabulary.PAD)
        sentences = self.model.sentences(words.masked_fill(hide, vocabulary.MASK))
        logits = sentences @ self.model.views(self.described(chosen)).T * self.model.sharpness.exp()
        logits = logits.masked_fill(alike, -torch.inf)
        right = torch.arange(len(chosen), device=self.device)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        return loss, {"found": float((logits.argmax(dim=1) == right).float().mean())}

    def described(self, rows: np.ndarray) -> Tensor:
        """What the transformer makes of the views of rows, [rows, features]."""
        new = [row for row in dict.fromkeys(rows.tolist()) if row not in self._described]
        for start in range(0, len(new), _AT_ONCE):
            part = np.array(new[start : start + _AT_ONCE])
            tokens = torch.from_numpy(self.tokens.tokens[part[:, None], self.offsets].astype(np.int64))
            self._described |= dict(zip(part.tolist(), describe(self.transformer, tokens.to(self.device)), strict=True))
        return torch.stack([self._described[row] for row in rows.tolist()])


def held_out(task: Contrast, rows: Tokens) -> Callable[[], dict[str, float]] | None:
    """A judge of a task's model by objects that it does not learn from: how often the first sentence of an object finds
    it among all of them, and among the five likeliest. None where `rows` hold fewer than two."""
    judge = Contrast(task.config, task.transformer, rows, task.device, len(task.offsets), task.model)
    if len(judge.rows) < 2:
        return None

    @torch.no_grad()
    def score() -> dict[str, float]:
        task.model.eval()
        said = [judge.captions[row][0] for row in judge.rows.tolist()]
        sentences = task.model.sentences(torch.tensor(said, device=task.device))
        near = sentences @ task.model.views(judge.described(judge.rows)).T
        rank = (near > near.diagonal()[:, None]).sum(dim=1)
        return {"val": float((rank < 1).float().mean()), "val five": float((rank < 5).float().mean())}

    return score
