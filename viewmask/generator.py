"""The public way in: load the weights once, then make views from sentences and pictures.

from viewmask import Generator
generator = Generator.load()
views = generator.from_text("a red chair")
views.save("chair")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.agreement import AGREED, agreement
from viewmask.errors import ViewmaskError
from viewmask.model import edit, sequence, vocabulary
from viewmask.model.colour_transfer import with_colours_of
from viewmask.model.reference import reference_view
from viewmask.model.refiner import refine
from viewmask.model.sampler import Unmasked, Watch, unmask
from viewmask.model.sampling import DRAWS, FROM_IMAGE, FROM_TEXT, REFINING, Sampling, at_speed
from viewmask.model.symmetry import reused
from viewmask.model.tokenizer import pack, unpack
from viewmask.model.weights import Weights
from viewmask.views import camera
from viewmask.views.conventions import SIZE
from viewmask.views.cutout import cut
from viewmask.views.making import KEY, Making, digest
from viewmask.views.picture import AnyPicture, picture_of
from viewmask.views.viewset import Picture, ViewSet, resize

MOST_VIEWS = 16
_UNKNOWN = np.array((128, 128, 128, 64), np.uint8)  # how a token looks that is not known yet
_STRIDE = 1_000_003  # between the seeds of two draws: far from those of other samples

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Draw:
    """One draw of a sentence.

    Attributes:
        views: its views.
        agreement: the share of their silhouettes that one shape can show, 0 to 1 (`recon.agreement`).
        rank: its place among the draws that it was chosen from, 0 for the one that fits best.
    """

    views: ViewSet
    agreement: float
    rank: int


@dataclass
class Generator:
    """Makes views, all of an object's at once.

    The settings of its methods, `**sampling`, are the fields of `viewmask.model.sampling.Sampling`: `steps`,
    `schedule`, `temperature`, `guidance` ..., and `speed`, which sets those that are left out: "balanced", the default,
    or "exact", the paper's rule (`viewmask.model.sampling.at_speed`). None is as left out.
    """

    weights: Weights

    @classmethod
    def load(
        cls, weights: str | Path | None = None, device: str | None = None, precision: str | None = None
    ) -> Generator:
        """Load a folder of weights, or what a run exported; see `Weights.load`.

        Raises:
            ViewmaskError: missing or damaged weights, parts that do not belong together, or no such device.
        """
        return cls(Weights.load(weights, device, precision))

    def from_image(
        self,
        picture: AnyPicture,
        views: int = 4,
        *,
        cutout: str = "auto",
        as_view: bool = False,
        seed: int = 0,
        caption: str = "",
        symmetry: bool = False,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> ViewSet:
        """Views all around the object of any picture, cut out as the command line does it.

        Args:
            picture: a file's path, a Pillow picture, or a uint8 array: grey, RGB or RGBA.
            cutout: what tells the object, as in `viewmask.views.cutout.cut`.
            views, as_view, seed, caption, symmetry, progress, watch: as in `from_reference`.

        Raises:
            ViewmaskError: no picture, none whose object can be told, or a setting that makes no sense.
        """
        shown = cut(picture_of(picture), cutout)
        reference = reference_view(shown.picture, frame=not as_view)
        made = self.from_reference(
            reference, views, as_view=as_view, seed=seed, caption=caption, symmetry=symmetry, progress=progress,
            watch=watch, **sampling,
        )  # fmt: skip
        made.extra[KEY] = replace(Making.of(made.extra[KEY]), cutout=shown.way).record()
        made.notes = (f"the object was cut out by {shown.how}", *shown.notes)
        return made

    def from_reference(
        self,
        picture: Picture,
        views: int = 4,
        *,
        as_view: bool = False,
        seed: int = 0,
        caption: str = "",
        symmetry: bool = False,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> ViewSet:
        """Views all around the object of a reference view (I2MV).

        Args:
            picture: the reference view, uint8 RGBA, square, the object cut out (`viewmask.model.reference`).
            views: how many; evenly spaced, counter-clockwise.
            as_view: the picture is a view of the orbit itself: elevation 30, the project's lens and scale. It becomes
                view 0 as it stands, and the others are made, as in the paper. Else it is a photo, whose camera nobody
                knows: it becomes view 0 at the size and place that `Weights.framing` guesses.
            seed: the same seed gives the same views.
            caption: what it shows, if known; helps a little.
            symmetry: with `as_view`, show the reference again, with all its detail, where a view looks like it or its
                mirror image (`viewmask.model.symmetry`).
            progress: called with steps done and steps.
            watch: called after each step with what is known of the views (`glimpse` makes pictures of it).

        Returns:
            `views` pictures of 256 x 256 at azimuths 360 i / views and elevation 30.

        Raises:
            ViewmaskError: a picture of another form, or a setting that makes no sense.
        """
        if picture.ndim != 3 or picture.shape[2] != 4 or picture.shape[0] != picture.shape[1]:
            raise ViewmaskError(f"a reference view must be square RGBA, not {'x'.join(map(str, picture.shape))}")
        if symmetry and not as_view:
            raise ViewmaskError("symmetry repeats a given view: it needs as_view (--as-view)")
        settings = self._settings(FROM_IMAGE, sampling)
        making = Making(
            text=caption, picture=digest(picture), views=views, seed=seed, as_view=as_view, symmetry=symmetry,
            sampling=asdict(settings), weights=self.fingerprint, runs_on=str(self.weights.runs_on),
            threads=self.threads,
        )  # fmt: skip
        around, with_text = _azimuths(views), bool(caption)
        if not as_view and self.weights.framing is not None:
            picture = self.weights.framing.view(picture)
        first = resize(picture, SIZE)
        if views == 1:
            return self._views([first], caption, replace(making, repeats=(0,)))
        layout = sequence.i2mv(around, with_text)
        coarse = self._unmask(layout, caption, self.encode([picture]), settings, seed, progress, watch)
        others = self._finish(layout, coarse, settings, seed, progress, self._fine([picture]))[1:]
        repeats = [0]
        if symmetry:
            own, others = others, reused(others, first, partial(self.round_trip, fine=settings.refine > 0))
            repeats += [index for index, pair in enumerate(zip(own, others, strict=True), 1) if pair[0] is not pair[1]]
        return self._views([first, *others], caption, replace(making, repeats=tuple(repeats)))

    def from_text(
        self,
        caption: str,
        views: int = 4,
        *,
        draws: int = DRAWS,
        seed: int = 0,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> ViewSet:
        """Views all around the object of a sentence (T2MV); azimuth 0 is its front. Arguments as in `draw`."""
        return self.draw(caption, views, draws=draws, seed=seed, progress=progress, watch=watch, **sampling).views

    def draw(
        self,
        caption: str,
        views: int = 4,
        *,
        draws: int = DRAWS,
        seed: int = 0,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> Draw:
        """The draw of a sentence that is kept: of those whose views agree, the one that fits the sentence best.

        Words that training hardly had are not read (`read`).

        Args:
            draws: how many to choose from; 1 takes what comes, as in the paper.
            views, seed, progress, watch: as in `from_image`.

        Raises:
            ViewmaskError: an empty sentence, or a setting that makes no sense.
        """
        kept = first_agreeing(self._ranked(caption, draws, views, seed, progress, watch, sampling))
        kept.views.extra[KEY] = Making(
            text=caption, views=views, seed=seed, draws=draws, sampling=asdict(self._settings(FROM_TEXT, sampling)),
            weights=self.fingerprint, runs_on=str(self.weights.runs_on), threads=self.threads,
        ).record()  # fmt: skip
        return kept

    def samples(
        self,
        caption: str,
        count: int = DRAWS,
        views: int = 4,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> list[ViewSet]:
        """Several draws of a sentence, drawn together, those first that fit it best by the reranker.

        Args:
            count: how many; the first drawn is the same for any number.

        Returns:
            View sets, `extra["fit"]` telling how well each fits (`fit`). Weights without a reranker leave them in the
            order in which they were drawn.
        """
        return list(self._ranked(caption, count, views, seed, progress, watch, sampling))

    def _ranked(
        self,
        caption: str,
        count: int,
        views: int,
        seed: int,
        progress: Progress | None,
        watch: Watch | None,
        sampling: dict[str, Any],
    ) -> Iterator[ViewSet]:
        """`samples`, each decoded when it is asked for: the ranking needs no pictures."""
        if count < 1:
            raise ViewmaskError(f"at least one draw is needed, not {count}")
        # One view is what text to a picture was trained as: alignment's own task word.
        layout = sequence.t2i() if views == 1 else sequence.t2mv(_azimuths(views))
        settings = self._settings(FROM_TEXT, sampling)
        unmasked = self._unmask(layout, caption, None, settings, seed, progress, watch, count)
        fits: list[float] = []
        if self.weights.reranker is not None:
            fits = [round(fit, 4) for fit in self.weights.reranker(self.read(caption), unmasked.tokens)]
        order = sorted(range(count), key=lambda draw: -fits[draw]) if fits else range(count)
        for draw in order:  # stable: of equals the first drawn
            coarse = Unmasked(unmasked.tokens[draw : draw + 1], unmasked.soft[draw : draw + 1])
            sample = self._views(self._finish(layout, coarse, settings, seed + draw * _STRIDE, progress), caption)
            if fits:
                sample.extra["fit"] = fits[draw]
            yield sample

    def edit(
        self,
        views: ViewSet,
        regions: Sequence[NDArray[np.bool_]],
        caption: str = "",
        *,
        seed: int = 0,
        progress: Progress | None = None,
        watch: Watch | None = None,
        **sampling: int | float | str | None,
    ) -> ViewSet:
        """Views with some regions made anew, and nothing else changed: they are masked and unmasked as in T2MV.

        Args:
            views: as `from_image` and `from_text` make them: an orbit of square views, evenly spaced.
            regions: bool [height, width], one a view, where it is to be made anew (`recon.region`). Views are made in
                patches, so every patch that a region touches is; pixels of all others stay as they are.
            caption: what the object shall be. Without one the views alone tell.
            seed, progress, watch: as in `from_image`.
            sampling: as in its other methods, but at speed "exact" where none is named.

        Raises:
            ViewmaskError: views that are no such orbit, regions of another size or without a pixel, or a setting that
                makes no sense.
        """
        around = _azimuths(len(views))
        edit.check_orbit(views)
        if [region.shape for region in regions] != [image.shape[:2] for image in views.images]:
            raise ViewmaskError("a region is needed for each view, as large as its picture")
        tokens = self.encode(views.images)
        masked = torch.stack([edit.patches(region, tokens.shape[-1]) for region in regions]).to(tokens.device)
        if not masked.any():
            raise ViewmaskError("no region holds a pixel: nothing is to be made anew")
        speed = sampling.pop("speed", None) or "exact"  # nobody has compared edits
        settings = self._settings(FROM_TEXT if caption else FROM_IMAGE, sampling | {"speed": speed})
        layout = sequence.t2mv(around)
        coarse = self._fill(layout, caption, tokens[None], masked[None], settings, seed, progress, watch)
        made = self._finish(layout, coarse, settings, seed, progress, self._fine(views.images), masked)
        images = [
            edit.joined(old, resize(new, old.shape[0]), where.cpu().numpy())
            for old, new, where in zip(views.images, made, masked, strict=True)
        ]
        of_old = ("fit", "captions", "notes", KEY)  # they tell how the views were made that are edited
        extra = {name: value for name, value in views.extra.items() if name not in of_old}
        extra |= ({"caption": caption} if caption else {}) | {"weights": self.fingerprint}
        return ViewSet(images, views.cameras, extra)

    def fit(self, caption: str, views: ViewSet) -> float:
        """How well views fit a sentence, -1 to 1, by the reranker.

        Args:
            views: evenly around the object, the front first, as `from_text` makes them.

        Raises:
            ViewmaskError: more than 16 views, an empty sentence, or weights without a reranker.
        """
        _azimuths(len(views))
        if self.weights.reranker is None:
            raise ViewmaskError("these weights have no reranker: viewmask train reranker makes one")
        return self.weights.reranker(self.read(caption), self.encode(views.images)[None])[0]

    def read(self, caption: str) -> str:
        """A sentence as these weights read it.

        Words that training hardly had are left out (`Lexicon.familiar`), and the end that is too much for the text
        field (`Vocabulary.fitting`).
        """
        return self.weights.lexicon.vocabulary.fitting(self.weights.lexicon.familiar(caption))

    def caption(self, picture: Picture) -> str:
        """What a reference view shows (MMU), unmasked word by word, the likeliest each: in order, so that the text's
        length is not decided before its words."""
        layout, transformer = sequence.mmu(), self.weights.transformer
        tokens = self.encode([picture])[None]
        words = torch.full((1, vocabulary.LENGTH), vocabulary.MASK, device=tokens.device)
        nowhere = torch.zeros_like(tokens, dtype=torch.bool)
        with torch.inference_mode():
            for place in range(vocabulary.LENGTH):
                features = transformer(layout, sequence.words(layout, words), tokens, nowhere)[0]
                logits = transformer.word_head(features[:, sequence.text_slice(layout)][:, place]).float()
                logits[:, vocabulary.MASK] = -torch.inf
                words[:, place] = logits.argmax(dim=-1)
                if words[0, place] == vocabulary.PAD:
                    words[:, place:] = vocabulary.PAD
                    break
        return self.weights.lexicon.vocabulary.decode(words[0].tolist())

    def encode(self, pictures: list[Picture], finer: int = 1) -> Tensor:
        """Pictures to tokens, int64 [n, finer * grid, finer * grid]."""
        config = self.weights.tokenizer.config
        images = np.stack([resize(picture, finer * config.size) for picture in pictures])
        with torch.inference_mode():
            return self.weights.tokenizer.encode(pack(images, config.channels).to(self.weights.device))

    def round_trip(self, pictures: list[Picture], fine: bool = True) -> list[Picture]:
        """Pictures through the tokens and back, 256 x 256: the ceiling of what can be generated.

        Args:
            fine: through the refiner's tokens, where the weights have a refiner.
        """
        finer = self._fine(pictures) if fine else None
        with torch.inference_mode():
            return _enlarge(unpack(self.weights.tokenizer.decode(self.encode(pictures) if finer is None else finer)))

    def glimpse(self, known: Unmasked, unknown: Tensor) -> list[list[Picture]]:
        """Pictures of every sequence while it is unmasked: unknown tokens are plain, faint grey squares.

        Args:
            known, unknown: as a `Watch` is told them.
        """
        hidden = unknown.flatten(0, 1).cpu().numpy()
        token = np.arange(SIZE) * hidden.shape[-1] // SIZE  # of every pixel
        pictures = iter(hidden[:, token[:, None], token])
        return [
            [np.where(next(pictures)[..., None], _UNKNOWN, picture) for picture in views]
            for views in self._decode(known)
        ]

    @property
    def fingerprint(self) -> str:
        """Names the weights (`Weights.fingerprint`)."""
        return self.weights.fingerprint

    @property
    def threads(self) -> int:
        """Threads that it uses on the CPU; 0 on a GPU."""
        return torch.get_num_threads() if self.weights.runs_on.place.type == "cpu" else 0

    def _unmask(
        self,
        layout: sequence.Layout,
        caption: str,
        reference: Tensor | None,
        sampling: Sampling,
        seed: int,
        progress: Progress | None,
        watch: Watch | None,
        draws: int = 1,
    ) -> Unmasked:
        weights = self.weights
        grid = weights.transformer.config.grid
        tokens = torch.zeros(draws, layout.views, grid, grid, dtype=torch.long, device=weights.device)
        masked = torch.ones_like(tokens, dtype=torch.bool)
        if reference is not None:
            tokens[:, : len(reference)] = reference
            masked[:, : len(reference)] = False
        return self._fill(layout, caption, tokens, masked, sampling, seed, progress, watch)

    def _fill(
        self,
        layout: sequence.Layout,
        caption: str,
        tokens: Tensor,
        masked: Tensor,
        sampling: Sampling,
        seed: int,
        progress: Progress | None,
        watch: Watch | None = None,
    ) -> Unmasked:
        """Fill in the masked tokens of some draws, int64 and bool [draws, views, grid, grid]."""
        weights, field = self.weights, list[int]()
        if layout.text:
            field = [vocabulary.PAD] * layout.text
        if layout.text and caption:
            field = weights.lexicon.vocabulary.encode(self.read(caption), layout.text)
        captions = torch.tensor([field] * len(tokens), dtype=torch.long, device=weights.device)
        report = _shifted(progress, 0, sampling.refine)
        return unmask(weights.transformer, layout, captions, tokens, masked, sampling, seed, report, _STRIDE, watch)

    def _settings(self, exact: Sampling, sampling: dict[str, Any]) -> Sampling:
        """The settings that are asked for (`at_speed`), without steps of a refiner that is not there."""
        settings = at_speed(exact, **sampling)
        return settings if self.weights.refiner is not None else replace(settings, refine=0)

    def _fine(self, pictures: list[Picture]) -> Tensor | None:
        """Pictures to the refiner's tokens, int64 [n, grid, grid]; None where there is no refiner."""
        return None if self.weights.refiner is None else self.encode(pictures, self.weights.refiner.config.finer)

    def _finish(
        self,
        layout: sequence.Layout,
        coarse: Unmasked,
        sampling: Sampling,
        seed: int,
        progress: Progress | None,
        known: Tensor | None = None,
        changed: Tensor | None = None,
    ) -> list[Picture]:
        """The pictures of one sequence whose coarse tokens are made: refined, if the weights can, and decoded.

        Where no picture is given, the coarse tokens alone know which colours were asked for.

        Args:
            known: fine tokens of the first views, int64 [n, grid, grid].
            changed: coarse tokens that were made anew where all views are known, bool [views, grid, grid].
        """
        refiner = self.weights.refiner
        if refiner is None or not sampling.refine:
            return self._decode(coarse)[0]
        grid = refiner.config.grid
        tokens = torch.zeros(1, layout.views, grid, grid, dtype=torch.long, device=self.weights.device)
        masked = torch.ones_like(tokens, dtype=torch.bool)
        if known is not None:
            tokens[0, : len(known)], masked[0, : len(known)] = known, False
        if changed is not None:
            masked[0] = changed.repeat_interleave(refiner.config.finer, 1).repeat_interleave(refiner.config.finer, 2)
        report = _shifted(progress, sampling.passes, 0)
        settings = REFINING.changed(steps=sampling.refine)
        pictures = self._decode(refine(refiner, layout, coarse, tokens, masked, settings, seed, report))[0]
        if layout.given:
            return pictures
        return [with_colours_of(*pair) for pair in zip(pictures, self._decode(coarse)[0], strict=True)]

    def _decode(self, unmasked: Unmasked) -> list[list[Picture]]:
        """The pictures of every sequence."""
        with torch.inference_mode():
            soft = unmasked.soft.flatten(0, 1)
            pictures = unpack(self.weights.tokenizer.decode(unmasked.tokens.flatten(0, 1), soft))
        views = unmasked.tokens.shape[1]
        return [_enlarge(pictures[start : start + views]) for start in range(0, len(pictures), views)]

    def _views(self, pictures: list[Picture], caption: str, making: Making | None = None) -> ViewSet:
        extra: dict[str, Any] = {"caption": caption, "source": "viewmask", "weights": self.fingerprint}
        if making is not None:
            extra[KEY] = making.record()
        return ViewSet(pictures, camera.orbit(len(pictures)), extra)


def first_agreeing(samples: Iterable[ViewSet]) -> Draw:
    """The first of at least one sample whose views agree; if none do, the one whose views agree best."""
    best: Draw | None = None
    for rank, views in enumerate(samples):
        draw = Draw(views, agreement(views), rank)
        if draw.agreement >= AGREED:
            return draw
        if best is None or draw.agreement > best.agreement:
            best = draw
    assert best is not None, "at least one sample"
    return best


def _azimuths(views: int) -> tuple[float, ...]:
    if views > MOST_VIEWS:
        raise ViewmaskError(f"at most {MOST_VIEWS} views can be made at once, not {views}")
    return sequence.azimuths(views)


def _shifted(progress: Progress | None, before: int, after: int) -> Progress | None:
    """Tells the steps of one of several parts, with so many steps before and after it, as those of the whole."""
    if progress is None or not before + after:
        return progress
    return lambda done, of: progress(before + done, before + of + after)


def _enlarge(pictures: list[Picture]) -> list[Picture]:
    return [resize(picture, SIZE) for picture in pictures]
