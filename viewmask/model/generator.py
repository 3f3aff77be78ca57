"""The public way in: load the weights once, then make views from sentences and pictures.

from viewmask import Generator
generator = Generator.load()
views = generator.from_text("a red chair")
views.save("chair")
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model import captions as wording
from viewmask.model import sequence, vocabulary
from viewmask.model.reranker import Reranker
from viewmask.model.sampler import Sampling, Unmasked, unmask
from viewmask.model.symmetry import reused
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig, pack, unpack
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.views import camera
from viewmask.views.viewset import Picture, ViewSet, resize

WEIGHTS = Path(__file__).parents[1] / "weights"
TOKENIZER, TRANSFORMER, RERANKER = "tokenizer", "transformer", "reranker"
MOST_VIEWS = 16
DRAWS = 4  # of a sentence, of which the one that fits best is kept
_STRIDE = 1_000_003  # between the seeds of two draws: far from those of other samples

# Chosen on the `val` splits of the training sets and on sentences, looked at and counted (docs/notebook.md), never on a
# benchmark.
FROM_IMAGE = Sampling(temperature=0.0, noise=0.5, guidance=0.0)
FROM_TEXT = Sampling(temperature=0.4, noise=0.5, guidance=4.0, occupancy=0.8)

Progress = Callable[[int, int], None]


@dataclass
class Generator:
    """A tokenizer and a transformer that belong together, and what ranks draws of a sentence, if there is one."""

    tokenizer: Tokenizer
    transformer: Transformer
    about: dict[str, Any]
    reranker: Reranker | None = None

    @classmethod
    def load(cls, weights: str | Path | None = None, device: str | None = None) -> Generator:
        """Load a folder with `tokenizer/`, `transformer/` and, if it ranks draws, `reranker/`; the shipped weights by
        default.

        What a run exported (`runs/t2mv/weights`) is a transformer alone: the shipped tokenizer belongs to it, and the
        shipped reranker, which reads with the shipped transformer.

        Raises:
            ViewmaskError: missing or damaged weights, or parts that do not belong together.
        """
        folder = Path(weights) if weights else WEIGHTS
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        exported = (folder / checkpoint.CONFIG).exists()
        codes, network = (WEIGHTS / TOKENIZER, folder) if exported else (folder / TOKENIZER, folder / TRANSFORMER)
        tokenizer, _, _ = checkpoint.load(codes, Tokenizer, TokenizerConfig)
        transformer, _, about = checkpoint.load(network, Transformer, TransformerConfig)
        name = checkpoint.fingerprint(tokenizer.encoder)
        if about.get("tokenizer", name) != name:
            raise ViewmaskError(
                f"{network} reads the tokenizer {about['tokenizer']}, but {codes} is {name}: "
                "give a folder with a tokenizer/ and a transformer/ that belong together"
            )
        if (words := transformer.config.words) != vocabulary.size():
            raise ViewmaskError(
                f"{network} knows {words} words, and the vocabulary has {vocabulary.size()}: "
                "viewmask train t2mv --init gives it the others, if it has fewer"
            )
        transformer = transformer.to(place)
        reader, home = transformer, WEIGHTS if exported else folder
        if exported and (home / RERANKER).exists():
            reader = checkpoint.load(home / TRANSFORMER, Transformer, TransformerConfig)[0].to(place)
        reranker = Reranker.load(home / RERANKER, reader) if (home / RERANKER).exists() else None
        return cls(tokenizer.to(place), transformer, about, reranker)

    def from_image(
        self,
        picture: Picture,
        views: int = 4,
        steps: int | None = None,
        schedule: str | None = None,
        temperature: float | None = None,
        guidance: float | None = None,
        seed: int = 0,
        caption: str = "",
        symmetry: bool = True,
        progress: Progress | None = None,
    ) -> ViewSet:
        """Views all around the object of a reference view (I2MV).

        Args:
            picture: the reference view, uint8 RGBA, square, the object cut out (`picture.cut_out`).
            views: how many, the reference included; evenly spaced, counter-clockwise.
            steps, schedule, temperature, guidance: see `sampler.Sampling`; None means the default.
            seed: the same seed gives the same views.
            caption: what it shows, if known; helps a little.
            symmetry: show the reference again, with all its detail, where a view looks like it or its mirror image
                (`viewmask.model.symmetry`); False leaves views as the tokenizer decodes them, as in the paper.
            progress: called with steps done and steps.

        Returns:
            `views` pictures of 256 x 256 at azimuths 360 i / views and elevation 30; view 0 is the reference.
        """
        if picture.ndim != 3 or picture.shape[2] != 4 or picture.shape[0] != picture.shape[1]:
            raise ViewmaskError(f"a reference view must be square RGBA, not {'x'.join(map(str, picture.shape))}")
        sampling = _options(FROM_IMAGE, steps, schedule, temperature, guidance)
        reference = self.encode([picture])
        layout = sequence.i2mv(_orbit(views), with_text=bool(caption))
        if views == 1:
            return self._views(layout, [resize(picture, camera.SIZE)], caption)
        made = self._unmask(layout, caption, reference, sampling, seed, progress)
        first, others = resize(picture, camera.SIZE), self._decode(made)[0][1:]
        if symmetry:
            others = reused(others, first, self.round_trip)
        return self._views(layout, [first, *others], caption)

    def from_text(
        self,
        caption: str,
        views: int = 4,
        steps: int | None = None,
        schedule: str | None = None,
        temperature: float | None = None,
        guidance: float | None = None,
        seed: int = 0,
        progress: Progress | None = None,
        draws: int = DRAWS,
    ) -> ViewSet:
        """Views all around the object of a sentence (T2MV); azimuth 0 is its front. Arguments as in `from_image`.

        Words that training hardly had are not read, the name of the thing aside (`read`).

        Args:
            draws: how many to choose from, see `samples`; 1 takes what comes, as in the paper, and so do weights that
                have no reranker.
        """
        draws = draws if self.reranker else min(draws, 1)
        return self.samples(caption, draws, views, steps, schedule, temperature, guidance, seed, progress)[0]

    def samples(
        self,
        caption: str,
        count: int = DRAWS,
        views: int = 4,
        steps: int | None = None,
        schedule: str | None = None,
        temperature: float | None = None,
        guidance: float | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list[ViewSet]:
        """Several draws of a sentence, drawn together, those first that fit it best by the reranker.

        Args:
            count: how many; the first drawn is the same for any number.

        Returns:
            view sets as of `from_text`, `extra["fit"]` telling how well each fits (`fit`); in the order in which they
            were drawn and without it, if the weights have no reranker.
        """
        if count < 1:
            raise ViewmaskError(f"at least one draw is needed, not {count}")
        sampling = _options(FROM_TEXT, steps, schedule, temperature, guidance)
        layout = sequence.t2mv(_orbit(views))
        made = self._unmask(layout, caption, None, sampling, seed, progress, count)
        sets = [self._views(layout, pictures, caption) for pictures in self._decode(made)]
        if self.reranker is None:
            return sets
        for each, fit in zip(sets, self.reranker(self.read(caption), made.tokens), strict=True):
            each.extra["fit"] = round(fit, 4)
        return sorted(sets, key=lambda each: -float(each.extra["fit"]))  # stable: of equals the first drawn

    def fit(self, caption: str, views: ViewSet) -> float:
        """How well views fit a sentence, -1 to 1, by the reranker: ranks samples of one sentence. The views go evenly
        around, the front first, as `from_text` makes them.

        Raises:
            ViewmaskError: more than 16 views, a sentence that is empty or too long, or weights without a reranker.
        """
        _orbit(len(views))
        if self.reranker is None:
            raise ViewmaskError("these weights have no reranker: viewmask train reranker makes one")
        return self.reranker(self.read(caption), self.encode(views.images)[None])[0]

    @property
    def words(self) -> list[str]:
        """Words that the vocabulary has in pieces alone, but these weights have learnt (`wording.repeated`)."""
        return list(self.about.get("words", ()))

    def read(self, caption: str) -> str:
        """A sentence as these weights read it: without the words that training hardly had (`wording.familiar`)."""
        return wording.familiar(caption, self.words)

    def caption(self, picture: Picture, steps: int = 8) -> str:
        """A short description of a reference view (MMU), unmasked greedily in `steps` steps."""
        layout = sequence.mmu()
        tokens = self.encode([picture])[None]
        words = torch.full((1, vocabulary.LENGTH), vocabulary.MASK, device=tokens.device)
        known = torch.zeros_like(tokens, dtype=torch.bool)
        with torch.inference_mode():
            for step in range(steps):
                arranged = sequence.words(layout, words)
                features = self.transformer(layout, arranged, tokens, known)[0][:, sequence.text_slice(layout)]
                logits = self.transformer.word_head(features).float()
                logits[..., vocabulary.MASK] = -torch.inf
                sure, best = logits.softmax(dim=-1).max(dim=-1)
                hidden = words == vocabulary.MASK
                keep = -(-int(hidden.sum()) // (steps - step))
                chosen = torch.where(hidden, sure, -1.0).topk(keep, dim=1).indices
                words = words.scatter(1, chosen, best.gather(1, chosen))
        return vocabulary.decode(words[0].tolist())

    def encode(self, pictures: list[Picture]) -> Tensor:
        """Pictures to tokens, int64 [n, grid, grid]."""
        config = self.tokenizer.config
        images = np.stack([resize(picture, config.size) for picture in pictures])
        with torch.inference_mode():
            return self.tokenizer.encode(pack(images, config.channels).to(self.device))

    def round_trip(self, pictures: list[Picture]) -> list[Picture]:
        """Pictures through the tokenizer and back, 256 x 256: the ceiling of what can be generated."""
        with torch.inference_mode():
            return _enlarge(unpack(self.tokenizer.decode(self.encode(pictures))))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.transformer.mask.device

    @property
    def fingerprint(self) -> str:
        """Names the weights: those of the tokenizer and of the transformer."""
        return f"{checkpoint.fingerprint(self.tokenizer)}-{checkpoint.fingerprint(self.transformer)}"

    def _unmask(
        self,
        layout: sequence.Layout,
        caption: str,
        given: Tensor | None,
        sampling: Sampling,
        seed: int,
        progress: Progress | None,
        draws: int = 1,
    ) -> Unmasked:
        grid = self.transformer.config.grid
        tokens = torch.zeros(draws, layout.views, grid, grid, dtype=torch.long, device=self.device)
        masked = torch.ones_like(tokens, dtype=torch.bool)
        if given is not None:
            tokens[:, : len(given)] = given
            masked[:, : len(given)] = False
        field = vocabulary.encode(self.read(caption), layout.text) if layout.text else []
        captions = torch.tensor([field] * draws, dtype=torch.long, device=self.device)
        return unmask(self.transformer, layout, captions, tokens, masked, sampling, seed, progress, _STRIDE)

    def _decode(self, made: Unmasked) -> list[list[Picture]]:
        """The pictures of every sequence."""
        with torch.inference_mode():
            pictures = unpack(self.tokenizer.decode(made.tokens.flatten(0, 1), made.soft.flatten(0, 1)))
        views = made.tokens.shape[1]
        return [_enlarge(pictures[start : start + views]) for start in range(0, len(pictures), views)]

    def _views(self, layout: sequence.Layout, pictures: list[Picture], caption: str) -> ViewSet:
        extra = {"caption": caption, "source": "viewmask", "weights": self.fingerprint}
        return ViewSet(pictures, camera.orbit(layout.views), extra)


def _options(
    default: Sampling, steps: int | None, schedule: str | None, temperature: float | None, guidance: float | None
) -> Sampling:
    return Sampling(
        default.steps if steps is None else steps,
        default.schedule if schedule is None else schedule,
        default.temperature if temperature is None else temperature,
        default.noise,
        default.guidance if guidance is None else guidance,
        default.occupancy,
    )


def _orbit(views: int) -> tuple[float, ...]:
    if views > MOST_VIEWS:
        raise ViewmaskError(f"at most {MOST_VIEWS} views can be made at once, not {views}")
    return sequence.orbit(views)


def _enlarge(pictures: list[Picture]) -> list[Picture]:
    return [resize(picture, camera.SIZE) for picture in pictures]
