"""Which of several samples shows what its sentence says: a contrastive model, by which samples are ranked.

Sentences and views become vectors that point the same way where they belong together (CLIP: Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision", ICML 2021); of several samples of one sentence the one
that points most its way is kept, as by DALL-E (Ramesh et al., "Zero-Shot Text-to-Image Generation", ICML 2021). The
model is small and learnt in minutes, for it does not look at views by itself: it reads what the transformer, which
knows what objects look like, makes of them inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model import sequence
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import PAD, Vocabulary

DEPTHS = (1 / 3, 5 / 9, 7 / 9)  # of the transformer, where it is read


@dataclass(frozen=True)
class TowersConfig:
    """Architecture of the two towers.

    Attributes:
        features: numbers that `describe` gives of a set of views.
        words: rows for text and special words.
        hidden: width of the views' tower.
        dimension: of the vectors.
        dropout: share of the views' features that is hidden while learning.
    """

    features: int
    words: int
    hidden: int = 512
    dimension: int = 128
    dropout: float = 0.3


class Towers(nn.Module):
    """Features of views, and sentences, to unit vectors [batch, dimension]."""

    def __init__(self, config: TowersConfig) -> None:
        super().__init__()
        self.config = config
        size = config.dimension
        self.scale = nn.BatchNorm1d(config.features, affine=False)
        self.seen = nn.Sequential(
            nn.Dropout(config.dropout),
            nn.Linear(config.features, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, size),
        )
        self.word = nn.Embedding(config.words, size)
        self.weight = nn.Embedding(config.words, 1)
        self.said = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.sharpness = nn.Parameter(torch.tensor(2.5))  # logarithm of the inverse temperature; learnt
        nn.init.normal_(self.word.weight, std=0.1)
        nn.init.zeros_(self.weight.weight)

    def views(self, features: Tensor) -> Tensor:
        """Of what `describe` gives [batch, features]."""
        return F.normalize(self.seen(self.scale(features)), dim=-1)

    def sentences(self, captions: Tensor) -> Tensor:
        """Of word ids int64 [batch, length]: a weighted mean of their words, whose order does not matter."""
        weights = self.weight(captions)[..., 0].masked_fill(captions == PAD, -1e4).softmax(dim=1)
        mean = (weights[:, None] @ self.word(captions))[:, 0]
        return F.normalize(mean + self.said(mean), dim=-1)


def features(config: TransformerConfig) -> int:
    """How many numbers `describe` gives with such a transformer."""
    return (len(DEPTHS) + 4) * config.width + config.grid**2


@torch.no_grad()
def describe(transformer: Transformer, tokens: Tensor) -> Tensor:
    """What a transformer makes of views inside, without a sentence: float32 [batch, features].

    Means over the tokens that are not empty, at three depths; means over the quarters of the views, at the middle
    depth; and the share of views in which each place of the grid is not empty.

    Args:
        transformer: in evaluation mode.
        tokens: of views evenly around objects, the front first, int64 [batch, views, grid, grid].
    """
    layout = sequence.t2mv(sequence.azimuths(tokens.shape[1]))
    nothing = torch.full((len(tokens), layout.text), PAD, device=tokens.device)
    nowhere = torch.zeros_like(tokens, dtype=torch.bool)
    stream = transformer.stream(layout, sequence.words(layout, nothing), tokens, nowhere)
    layers = [round(depth * transformer.config.layers) for depth in DEPTHS]
    visual = transformer.places(layout, tokens.device).visual
    there = (tokens != 0).float()
    inside = {
        layer: x[:, visual].unflatten(1, tokens.shape[1:]).float()
        for layer, x in enumerate(islice(stream, layers[-1] + 1))
        if layer in layers
    }
    count = there.sum(dim=(1, 2, 3)).clamp(min=1)
    means = [torch.einsum("bvijw,bvij->bw", inside[layer], there) / count[:, None] for layer in layers]
    quarters = F.adaptive_avg_pool2d(inside[layers[1]].mean(1).permute(0, 3, 1, 2), 2).flatten(1)
    return torch.cat([*means, quarters, there.mean(1).flatten(1)], dim=1)


@dataclass(frozen=True)
class Reranker:
    """The towers, the transformer that they read with, and the vocabulary of both."""

    transformer: Transformer
    towers: Towers
    vocabulary: Vocabulary

    @classmethod
    def load(cls, towers: str | Path, transformer: Transformer, vocabulary: Vocabulary) -> Reranker:
        """Read the towers' folder, for a transformer and a vocabulary that are there already.

        Raises:
            ViewmaskError: missing or damaged weights, or towers that learnt with another transformer.
        """
        model, _, about = checkpoint.load(towers, Towers, TowersConfig)
        if (name := checkpoint.fingerprint(transformer)) != about.get("transformer"):
            raise ViewmaskError(
                f"{towers} reads with the transformer {about.get('transformer')}, not with {name}: "
                "viewmask train reranker --init makes one for it"
            )
        return cls(transformer, model.to(transformer.mask.device), vocabulary)

    @torch.inference_mode()
    def __call__(self, caption: str, tokens: Tensor) -> list[float]:
        """How well samples fit a sentence, -1 to 1 each.

        Args:
            caption: the sentence.
            tokens: of the samples, int64 [samples, views, grid, grid].

        Raises:
            ViewmaskError: an empty or too long sentence.
        """
        sentence = self.towers.sentences(torch.tensor([self.vocabulary.encode(caption)], device=tokens.device))
        views = self.towers.views(describe(self.transformer, tokens))
        return [float(value) for value in views @ sentence[0]]
