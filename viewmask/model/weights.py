"""Weights: where the shipped ones lie, and which parts belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.learning.device import Device, chosen
from viewmask.model.framing import Framing
from viewmask.model.lexicon import Lexicon
from viewmask.model.refiner import Refiner, RefinerConfig
from viewmask.model.reranker import Reranker
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import FILE as VOCABULARY

SHIPPED = Path(__file__).parents[1] / "weights"
TOKENIZER, TRANSFORMER, RERANKER, FRAMING, REFINER = "tokenizer", "transformer", "reranker", "framing", "refiner"


@dataclass(frozen=True)
class Weights:
    """Networks that belong together.

    Attributes:
        tokenizer: pictures to codes and back.
        transformer: fills in masked codes.
        lexicon: what words and things the transformer was taught.
        about: how the transformer was trained.
        reranker: ranks draws of a sentence, if there is one.
        framing: tells how large the object of a cut-out picture is in a view, and where, if there is one.
        refiner: fills in finer tokens, if there is one.
        name: of the numbers as they are stored, where the networks hold others (bfloat16); see `fingerprint`.
    """

    tokenizer: Tokenizer
    transformer: Transformer
    lexicon: Lexicon
    about: dict[str, Any]
    reranker: Reranker | None = None
    framing: Framing | None = None
    refiner: Refiner | None = None
    name: str = ""

    @classmethod
    def load(cls, path: str | Path | None = None, device: str | None = None, precision: str | None = None) -> Weights:
        """Load a folder with `tokenizer/`, `transformer/` and, perhaps, `reranker/`, `framing/` and `refiner/`.

        None loads the shipped one. What a run exported (`runs/t2mv/weights`) is a transformer alone. The shipped
        tokenizer belongs to it, the shipped reranker, which reads with the shipped transformer, the shipped framing,
        and the shipped refiner.

        Args:
            path: the folder.
            device, precision: of the transformer, by name (`viewmask.learning.device`).

        Raises:
            ViewmaskError: missing or damaged weights, parts that do not belong together, or no such device.
        """
        folder = Path(path) if path else SHIPPED
        where = chosen(device or "auto", precision or "auto")
        stored = torch.float32 if where.dtype == torch.float32 else None  # numbers change once all names are checked
        exported = (folder / checkpoint.CONFIG).exists()
        home = SHIPPED if exported else folder
        network = folder if exported else folder / TRANSFORMER
        tokenizer, _, _ = checkpoint.load(home / TOKENIZER, Tokenizer, TokenizerConfig)
        transformer, _, about = checkpoint.load(network, Transformer, TransformerConfig, stored)
        name = checkpoint.fingerprint(tokenizer.encoder)
        if about.get("tokenizer", name) != name:
            raise ViewmaskError(
                f"{network} reads the tokenizer {about['tokenizer']}, but {home / TOKENIZER} is {name}: "
                "give a folder with a tokenizer/ and a transformer/ that belong together"
            )
        for part, each in (("codes of {} bits", "bits"), ("views of {0} x {0} tokens", "grid")):
            made, read = getattr(tokenizer.config, each), getattr(transformer.config, each)
            if made != read:
                raise ViewmaskError(f"{network} reads {part.format(read)}, but {home / TOKENIZER} makes {made}")
        lexicon = lexicon_of(network, about)
        if (words := transformer.config.words) != len(lexicon.vocabulary):
            raise ViewmaskError(
                f"{network} knows {words} words, and the vocabulary has {len(lexicon.vocabulary)}: "
                "viewmask train t2mv --init gives it the others, if it has fewer"
            )
        reranker, reader = None, transformer
        if (home / RERANKER).exists():
            lexicons = lexicon_of(home / TRANSFORMER, {}) if exported else lexicon
            if exported:
                reader = checkpoint.load(home / TRANSFORMER, Transformer, TransformerConfig, stored)[0]
            reranker = Reranker.load(home / RERANKER, reader, lexicons.vocabulary)
            reranker.towers.to(where.place)
        framing = Framing.load(home / FRAMING) if (home / FRAMING).exists() else None
        refiner = _refiner(home / REFINER, tokenizer, stored) if (home / REFINER).exists() else None
        weights = cls(tokenizer, transformer, lexicon, about, reranker, framing, refiner)
        full = where.dtype == torch.float32
        weights = weights if full else replace(weights, name=weights.fingerprint)
        tokenizer.to(where.place)
        transformer.to(where.place, where.dtype)
        reader.to(where.place, where.dtype)
        transformer.join()
        if refiner is not None:
            refiner.to(where.place, where.dtype).join()
        return weights

    @property
    def runs_on(self) -> Device:
        """The device, and the transformer's precision."""
        return Device(self.device, self.transformer.mask.dtype)

    @property
    def photos(self) -> bool:
        """Whether the transformer was taught photos: pictures by any camera, placed as views."""
        return self._share("photo") > 0

    @property
    def captions(self) -> bool:
        """Whether the transformer was taught to caption: at least a tenth of its last stage's batches."""
        return self._share("mmu") >= 0.1

    def _share(self, layout: str) -> float:
        """Of a layout in the transformer's last stage; 0 where the record does not tell."""
        mixture = self.about.get("mixture", {})
        share = mixture.get(layout, 0.0) if isinstance(mixture, dict) else 0.0
        return float(share) if isinstance(share, int | float) else 0.0

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.transformer.mask.device

    @cached_property
    def fingerprint(self) -> str:
        """Names the tokenizer, the transformer and the refiner; worked out once, for it reads all of them."""
        if self.name:
            return self.name
        parts = [self.tokenizer, self.transformer, *([] if self.refiner is None else [self.refiner])]
        return "-".join(checkpoint.fingerprint(part) for part in parts)


def _refiner(folder: Path, tokenizer: Tokenizer, stored: torch.dtype | None) -> Refiner:
    """The refiner of a folder.

    Raises:
        ViewmaskError: damaged, or for tokens of another tokenizer.
    """
    refiner, config, about = checkpoint.load(folder, Refiner, RefinerConfig, stored)
    name = checkpoint.fingerprint(tokenizer.encoder)
    if about.get("tokenizer", name) != name or (config.coarse, config.bits) != (
        tokenizer.config.grid,
        tokenizer.config.bits,
    ):
        raise ViewmaskError(f"{folder} refines tokens of another tokenizer than the one beside it, {name}")
    return refiner


def lexicon_of(folder: Path, about: dict[str, Any]) -> Lexicon:
    """The lexicon that lies with a transformer. Old weights have none: they were taught the shipped vocabulary.

    Args:
        folder: the transformer's.
        about: the record of its checkpoint.

    Raises:
        ViewmaskError: a file or the record is damaged.
    """
    words = about.get("words", [])
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        raise ViewmaskError(f"{folder} is damaged: its words are no list of words")
    if (folder / VOCABULARY).exists():
        return Lexicon.load(folder, words)
    return Lexicon(Lexicon.load(SHIPPED / TRANSFORMER).vocabulary, {}, frozenset(words))
