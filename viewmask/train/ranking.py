"""Ranking, the training of the reranker: of a batch of objects, which sentence belongs to which views?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import Figures
from viewmask.learning.trainer import CHECKPOINT, Validation
from viewmask.model.reranker import Towers, TowersConfig, describe, features
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import MASK, PAD, Vocabulary
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.run import Run
from viewmask.train.tokens import Tokens, by_thing, fronts, tokens_of

SCHEDULE = Schedule(steps=600, batch=256, rate=1e-3, warmup=50, decay=0.1, average=0.98)
HIDDEN = 0.15  # share of a sentence's words that is hidden while learning
_AT_ONCE = 16  # objects that the transformer reads together


class Ranking:
    """Cross-entropy of the right views among all of a batch, given a sentence, and of the right sentence, given views.

    What the transformer makes of an object's views is worked out when it is first drawn, and kept.

    Raises:
        ViewmaskError: fewer than two captioned objects seen from the front.
    """

    def __init__(
        self, transformer: Transformer, tokens: Tokens, vocabulary: Vocabulary, device: torch.device, views: int = 4
    ) -> None:
        self.transformer = transformer.to(device)
        self.tokens = tokens
        self.vocabulary = vocabulary
        self.device = device
        self.offsets = np.arange(views) * (tokens.tokens.shape[1] // views)
        self.rows = fronts(tokens)
        if len(self.rows) < 2:
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

    def loss(self, model: Towers, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """Both cross-entropies, halved; and the share of sentences that have their own views nearest."""
        half = self.rows[np.searchsorted(self.chances, random.random(batch // 2), side="right")]
        # Every object a second time, as another of its variants: only its colours, or nothing, tell them apart.
        others = [self.variants[self.tokens.ids[row]] for row in half]
        rows = np.concatenate([half, [variants[random.integers(len(variants))] for variants in others]])
        captions = [self.captions[row] for row in rows]
        sentences = [each[random.integers(len(each))] for each in captions]
        # What is true of other views, too, is no wrong answer.
        alike = torch.tensor([[sentence in each for each in captions] for sentence in sentences], device=self.device)
        alike.fill_diagonal_(False)
        words = torch.tensor(sentences, device=self.device)
        hidden = torch.from_numpy(random.random(words.shape) < HIDDEN).to(self.device) & (words != PAD)
        vectors = model.sentences(words.masked_fill(hidden, MASK))
        logits = vectors @ model.views(self.described(rows)).T * model.sharpness.exp()
        logits = logits.masked_fill(alike, -torch.inf)
        right = torch.arange(len(rows), device=self.device)
        loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
        return loss, {"accuracy": float((logits.argmax(dim=1) == right).float().mean())}

    def described(self, rows: np.ndarray) -> Tensor:
        """What the transformer makes of the views of rows, [rows, features]."""
        new = [row for row in dict.fromkeys(rows.tolist()) if row not in self._described]
        for start in range(0, len(new), _AT_ONCE):
            part = np.array(new[start : start + _AT_ONCE])
            tokens = torch.from_numpy(self.tokens.tokens[part[:, None], self.offsets].astype(np.int64))
            self._described |= dict(zip(part.tolist(), describe(self.transformer, tokens.to(self.device)), strict=True))
        return torch.stack([self._described[row] for row in rows.tolist()])


def validation(task: Ranking) -> Validation:
    """How often the first sentence of an object finds it among all of a task's rows, and among the five likeliest."""
    first = torch.tensor([task.captions[row][0] for row in task.rows.tolist()], device=task.device)

    @torch.no_grad()
    def figures(model: Towers) -> Figures:
        near = model.sentences(first) @ model.views(task.described(task.rows)).T
        rank = (near > near.diagonal()[:, None]).sum(dim=1)
        return {"val": float((rank < 1).float().mean()), "val five": float((rank < 5).float().mean())}

    return figures


def train(data: Sequence[str | Path], run: Run) -> Path:
    """Train the towers that rank draws of a transformer (`run.init`, the shipped one by default), on token files.

    Raises:
        ViewmaskError: tokens or a transformer of another tokenizer, too few captions, or a run that learnt with
            another transformer.
    """
    tokenizer = run.load_tokenizer()
    rows, unseen, about = tokens_of(data, tokenizer)
    reads = run.init or SHIPPED / TRANSFORMER
    transformer, config, record = checkpoint.load(reads, Transformer, TransformerConfig)
    if record.get("tokenizer", about["tokenizer"]) != about["tokenizer"]:
        raise ViewmaskError(
            f"{reads} reads the tokenizer {record['tokenizer']}, but {run.codes} is {about['tokenizer']}"
        )
    vocabulary = lexicon_of(reads, record).vocabulary
    task = Ranking(transformer, rows, vocabulary, run.device)
    towers = Towers(TowersConfig(features(config), len(vocabulary))).to(run.device)
    name = checkpoint.fingerprint(transformer)
    if run.resume and (other := checkpoint.about(run.out / CHECKPOINT).get("transformer")) != name:
        raise ViewmaskError(
            f"{run.out / CHECKPOINT} learnt with the transformer {other}: --init must name the same to go on"
        )
    schedule = replace(run, init=None).begin(towers, run.schedule(SCHEDULE), "reranker")
    judge = (
        validation(Ranking(transformer, unseen, vocabulary, run.device)) if unseen and len(fronts(unseen)) > 1 else None
    )
    about = {"stage": "reranker", "preset": run.preset, "transformer": name} | about
    return run.train(towers, task, schedule, about, validation=judge)
