"""Masked prediction, the training of all three stages: hide tokens at a random ratio, predict what was hidden."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import WHOLE, Figures, Part
from viewmask.learning.trainer import Validation
from viewmask.model import sequence
from viewmask.model.code import EMPTY, groups
from viewmask.model.growth import grown
from viewmask.model.lexicon import Lexicon
from viewmask.model.sequence import Layout
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import FILE as VOCABULARY
from viewmask.model.vocabulary import MASK, PAD, Vocabulary
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.budget import RECIPES, parameters
from viewmask.train.epochs import Epochs
from viewmask.train.run import Run
from viewmask.train.tokens import Tokens, by_thing, captioned, fronts, tokens_of

LAYOUTS = ("t2i", "mmu", "i2mv", "photo", "t2mv")  # photo is I2MV from a photo
_NAMED = ("t2i", "mmu", "t2mv")  # layouts that need captioned objects seen from the front


@dataclass(frozen=True)
class Mixture:
    """Which layouts a stage trains, as shares of its batches, and how conditions are dropped.

    Attributes:
        t2i, mmu, i2mv, t2mv: shares.
        photo: share of batches that are I2MV, but whose given view is a photo, placed as the view from its azimuth is.
        dropped: share of sequences without their condition (guidance needs it).
        whole_views: share of sequences in which whole views are hidden and others known, not
            scattered tokens: several references, from which a rotation is easier to learn.
        odd_orbits: share of I2MV batches whose views are any of the orbit, not every second one.
        captioned: share of I2MV and photo batches with text.
        cosine: with no picture given, the ratio of hidden tokens is the cosine of an even draw (MaskGIT, Chang et al.,
            CVPR 2022) and not an even draw itself, as in the paper: more are hidden, and the sentence must tell more.
    """

    t2i: float = 0.0
    mmu: float = 0.0
    i2mv: float = 0.0
    photo: float = 0.0
    t2mv: float = 0.0
    dropped: float = 0.1
    whole_views: float = 0.2
    odd_orbits: float = 0.25
    captioned: float = 0.25
    cosine: bool = False


TRANSFORMERS = {
    "nano": TransformerConfig(layers=9),
    "small": TransformerConfig(width=512, layers=10, heads=8, hidden=1408, grid=16),
} | {preset: recipe.network for preset, recipe in RECIPES.items()}

# The last stage keeps what those before it learnt, so half of its batches are I2MV; words are learnt fastest from
# single pictures, of which a batch holds four times as many.
MIXTURES = {
    "align": Mixture(t2i=0.6, mmu=0.4),
    "i2mv": Mixture(i2mv=0.4, photo=0.6),
    "t2mv": Mixture(t2i=0.2, mmu=0.02, i2mv=0.25, photo=0.25, t2mv=0.28, cosine=True),
}

# The paper's own rules: tokens are hidden one by one, every second view of an orbit is shown, there are no photos. A
# fifth of the last stage is I2MV, so that it is not forgotten; of that the paper says nothing.
_STRICT = Mixture(whole_views=0.0, odd_orbits=0.0)
PAPER_MIXTURES = {
    "paper-stage1": replace(_STRICT, t2i=0.5, mmu=0.5),
    "paper-stage2": replace(_STRICT, i2mv=1.0),
    "paper-stage3": replace(_STRICT, t2mv=0.8, i2mv=0.2),
}

_NANO = Schedule(steps=3_000, batch=24, rate=2e-3, muon=4e-3, warmup=50, decay=0.05, average=0.998, precision="auto")
_SMALL = Schedule(
    steps=8_000, batch=256, rate=1e-3, muon=2e-3, warmup=200, decay=0.05, average=0.9995, precision="bfloat16"
)
SCHEDULES = {
    ("nano", "align"): replace(_NANO, steps=500),
    ("nano", "i2mv"): _NANO,
    ("nano", "t2mv"): replace(_NANO, batch=16, rate=1.5e-3, muon=3e-3),
    ("small", "align"): replace(_SMALL, steps=2_000),
    ("small", "i2mv"): _SMALL,
    ("small", "t2mv"): replace(_SMALL, rate=7e-4, muon=1.4e-3),
}
# Rates are what models of 8 B are tuned with elsewhere: the paper gives none. AdamW alone: Muon needs whole matrices.
# A batch of pairs counts four times as many (`Masked.layout_loss`).
for _preset, _rate in (("paper-stage1", 1e-4), ("paper-stage2", 5e-5), ("paper-stage3", 5e-5)):
    _recipe = RECIPES[_preset]
    SCHEDULES[_preset, _recipe.stage] = Schedule(
        steps=_recipe.steps, batch=_recipe.batch // (4 if _recipe.stage == "align" else 1), rate=_rate, warmup=200,
        average=0.999, precision="bfloat16",
    )  # fmt: skip


class Masked:
    """Masked prediction over the four layouts (a `learning.task.Divisible` task of a transformer).

    The loss is the cross-entropy of hidden target tokens (uniform mask ratio; paper, section 3),
    averaged over them; a visual token costs its emptiness and, where it is not empty, its code. Rows come by their
    chances or, with `epochs`, each once before any comes again.
    """

    def __init__(
        self,
        tokens: Tokens,
        mixture: Mixture,
        vocabulary: Vocabulary,
        device: torch.device,
        views: int = 4,
        epochs: Epochs | None = None,
    ) -> None:
        self.tokens = tokens
        self.epochs = epochs
        self.mixture = mixture
        self.vocabulary = vocabulary
        self.device = device
        self.views = views
        said = np.flatnonzero(captioned(tokens))
        taken = np.unique(tokens.photo_rows)
        self.rows = {
            "any": np.arange(len(tokens.ids)), "captioned": said, "front": fronts(tokens), "taken": taken,
            "taken, captioned": np.intersect1d(taken, said),
        }  # fmt: skip
        weigh = {"front": lambda rows: by_thing(tokens, rows)}
        weigh = {name: weigh.get(name, self._by_source) for name in self.rows}
        self.weights = {name: weigh[name](rows) for name, rows in self.rows.items() if len(rows)}

    def _by_source(self, rows: np.ndarray) -> np.ndarray:
        """Chance of each row, summed up: a source counts as the root of its objects, so that small ones are heard."""
        objects = self.tokens.numbers[rows]
        sources = self.tokens.sources[rows]
        weights = np.zeros(len(rows))
        for source in np.unique(sources):
            here = sources == source
            weights[here] = np.sqrt(len(np.unique(objects[here]))) / here.sum()
        return np.asarray(weights.cumsum() / weights.sum())

    def loss(self, model: Transformer, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """The loss of a batch of one layout, drawn by its share."""
        return self.part_loss(model, step, random, batch, WHOLE)

    def part_loss(
        self, model: Transformer, step: int, random: np.random.Generator, batch: int, part: Part
    ) -> tuple[Tensor, Figures]:
        """What a part of such a batch adds to its loss and figures."""
        if self.epochs:
            self.epochs.begin(step)
        shares = self.shares()
        name = str(random.choice(list(shares), p=list(shares.values())))
        return self.layout_loss(model, name, random, batch, part)

    @property
    def position(self) -> dict[str, int]:
        """Where in the data the task is; empty where rows come by chance."""
        return self.epochs.position if self.epochs else {}

    @position.setter
    def position(self, record: dict[str, int]) -> None:
        if bool(self.epochs) != bool(record):
            raise ViewmaskError(f"this run {'drew each row once' if record else 'drew rows by chance'}: go on likewise")
        if self.epochs:
            self.epochs.position = record

    def absent(self) -> list[str]:
        """Layouts of the mixture that there are no tokens for: captioned objects seen from the front, or photos."""
        needs = dict.fromkeys(_NAMED, "front") | {"photo": "taken"}
        return [name for name, rows in needs.items() if getattr(self.mixture, name) and not len(self.rows[rows])]

    def shares(self) -> dict[str, float]:
        """The share of each layout that there are tokens for, 1 in all."""
        shares = {name: getattr(self.mixture, name) for name in LAYOUTS}
        present = {name: share for name, share in shares.items() if name not in self.absent()}
        return {name: share / sum(present.values()) for name, share in present.items() if share}

    def layout_loss(
        self, model: Transformer, name: str, random: np.random.Generator, batch: int, part: Part = WHOLE
    ) -> tuple[Tensor, Figures]:
        """What a part of a batch of one layout adds to its loss, and its figures."""
        if name in ("t2i", "mmu"):
            batch *= self.views  # a sequence of one view is about so much shorter, and as cheap
        rows = part.rows(batch)
        layout, captions, tokens = self.draw(name, random, batch, part)
        dropped = torch.from_numpy(random.random(batch) < self.mixture.dropped)[rows].to(self.device)
        if layout.text_last:
            chances = random.random((batch, layout.text)), random.random((batch, 1))
            hidden = chances[0] < chances[1]
            hidden[:, 0] |= ~hidden.any(axis=1)
            loss, figures = self._text_loss(model, layout, captions, tokens, torch.from_numpy(hidden[rows]))
        else:
            captions = torch.where(dropped[:, None], PAD, captions)
            hidden = self.mask(layout, tokens.shape[-1], random, batch)
            targets = torch.from_numpy(hidden[rows]).to(self.device)
            masked = targets.clone()
            masked[:, : layout.given] |= dropped[:, None, None, None]
            loss, figures = self._visual_loss(model, layout, captions, tokens, masked, targets)
        figures |= {f"{name}": float(loss.detach())}
        if part == WHOLE:
            return loss, figures
        # Losses are means over what is hidden, of which one part may have more than another.
        share = float(hidden[rows].sum() / hidden.sum())
        return share * loss, {each: share * figure for each, figure in figures.items()}

    def draw(
        self, name: str, random: np.random.Generator, batch: int, part: Part = WHOLE
    ) -> tuple[Layout, Tensor, Tensor]:
        """A part of a batch of one layout: the layout, captions [rows, text], tokens [rows, views, grid, grid]."""
        length = self.tokens.tokens.shape[1]
        step = length // self.views
        offsets = np.arange(self.views) * step
        if name in ("i2mv", "photo"):
            if step > 1 and random.random() < self.mixture.odd_orbits:
                offsets = np.concatenate([[0], np.sort(random.permutation(np.arange(1, length))[: self.views - 1])])
            rows = "any" if name == "i2mv" else "taken"
            captioned = "captioned" if name == "i2mv" else "taken, captioned"
            with_text = captioned in self.weights and random.random() < self.mixture.captioned
            azimuths = tuple(360.0 * offset / length for offset in offsets.tolist())
            layout = sequence.i2mv(azimuths, with_text)
            rows = captioned if with_text else rows
        elif name == "t2mv":
            layout, rows = sequence.t2mv(tuple(360.0 * offset / length for offset in offsets.tolist())), "front"
        else:
            layout, rows, offsets = (sequence.t2i() if name == "t2i" else sequence.mmu()), "front", offsets[:1]
        if self.epochs:
            objects = self.epochs.take(rows, self.rows[rows], batch)
        else:
            objects = self.rows[rows][np.searchsorted(self.weights[rows], random.random(batch), side="right")]
        start, given = np.zeros(batch, dtype=np.int64), None
        if name == "i2mv":
            start = random.integers(length, size=batch)
        elif name == "photo":
            first, last = (np.searchsorted(self.tokens.photo_rows, objects, side) for side in ("left", "right"))
            photos = random.integers(first, last)
            start, given = self.tokens.photo_views[photos], self.tokens.photos[photos][part.rows(batch)]
        captions = self._captions(layout, objects, random, part)
        views, objects = ((each[part.rows(batch)]) for each in ((start[:, None] + offsets) % length, objects))
        tokens = self.tokens.tokens[objects[:, None], views].astype(np.int64)
        if given is not None:
            tokens[:, 0] = given
        return layout, captions, torch.from_numpy(tokens).to(self.device)

    def _captions(self, layout: Layout, rows: np.ndarray, random: np.random.Generator, part: Part) -> Tensor:
        if layout.text == 0:
            return torch.zeros(len(rows[part.rows(len(rows))]), 0, dtype=torch.long, device=self.device)
        said = [captions[random.integers(len(captions))] for captions in (self.tokens.captions[row] for row in rows)]
        words = [self.vocabulary.encode(each, layout.text, cut=True) for each in said[part.rows(len(rows))]]
        return torch.tensor(words, device=self.device)

    def mask(self, layout: Layout, grid: int, random: np.random.Generator, batch: int) -> np.ndarray:
        """Which target tokens are hidden, bool [batch, views, grid, grid]; at least one a sequence."""
        targets = layout.views - layout.given
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
        reference = np.zeros((batch, layout.given, grid, grid), dtype=bool)
        return np.concatenate([reference, flat.reshape(hidden.shape)], axis=1)

    def _visual_loss(
        self, model: Transformer, layout: Layout, captions: Tensor, tokens: Tensor, masked: Tensor, targets: Tensor
    ) -> tuple[Tensor, Figures]:
        features = model(layout, sequence.words(layout, captions), tokens, masked)[1]
        prediction = model.predict(features[targets])
        return code_loss(model.config, prediction.empty, prediction.codes, tokens[targets])

    def _text_loss(
        self, model: Transformer, layout: Layout, captions: Tensor, tokens: Tensor, hidden: Tensor
    ) -> tuple[Tensor, Figures]:
        hidden = hidden.to(self.device)
        words = sequence.words(layout, torch.where(hidden, MASK, captions))
        nowhere = torch.zeros_like(tokens, dtype=torch.bool)
        features = model(layout, words, tokens, nowhere)[0][:, sequence.text_slice(layout)]
        loss = F.cross_entropy(model.word_head(features[hidden]).float(), captions[hidden])
        return loss, {}


def validation(task: Masked, batches: int = 4, batch: int = 16) -> Validation | None:
    """The loss of models on a task's rows, always on the same batches, with every condition.

    Returns:
        What gives "val" of a model, the loss in nats, layouts weighed as in the mixture, and the loss of each layout;
        None where the rows hold nothing that the mixture trains on.
    """
    task = Masked(task.tokens, replace(task.mixture, dropped=0.0), task.vocabulary, task.device, task.views)
    shares = task.shares()

    @torch.no_grad()
    def figures(model: Transformer) -> Figures:
        losses = {}
        for name in shares:
            draws = [np.random.default_rng(number) for number in range(batches)]
            losses[name] = float(np.mean([float(task.layout_loss(model, name, random, batch)[0]) for random in draws]))
        total = sum(share * losses[name] for name, share in shares.items())
        return {"val": total} | {f"val {name}": loss for name, loss in losses.items()}

    return figures if shares else None


def code_loss(config: TransformerConfig, empty: Tensor | None, codes: Tensor, truth: Tensor) -> tuple[Tensor, Figures]:
    """Cross-entropy in nats a token of predictions [n] against tokens int64 [n]."""
    if empty is None:
        loss = F.cross_entropy(codes[:, 0], truth)
        return loss, {}
    void = truth == EMPTY
    occupancy = F.binary_cross_entropy_with_logits(empty, void.float())
    parts = groups(truth[~void], config.bits, config.groups)
    code = F.cross_entropy(codes[~void].flatten(0, 1), parts.flatten(), reduction="sum") / len(truth)
    return occupancy + code, {"occupancy": float(occupancy.detach()), "code": float(code.detach())}


def train(stage: str, data: Sequence[str | Path], run: Run) -> Path:
    """Train a transformer in one of the paper's three stages, on token files.

    Raises:
        ViewmaskError: tokens of another tokenizer, or none that the stage can learn from.
    """
    tokenizer = run.load_tokenizer()
    rows, unseen, about = tokens_of(data, tokenizer, run.out.with_name(f"{run.out.name}-tokens"), run.note)
    lexicon = _lexicon(run.start).taught(_objects(rows))
    vocabulary, mixture = lexicon.vocabulary, PAPER_MIXTURES.get(run.preset, MIXTURES[stage])
    if not len(rows.photos):
        if mixture.photo:
            run.note("the tokens hold no photos, so none are learnt: viewmask tokenize --photos DIR adds them")
        mixture = replace(mixture, photo=0.0)
    epochs = Epochs(run.seed) if run.each_once or run.preset in RECIPES else None
    task = Masked(rows, mixture, vocabulary, run.device, epochs=epochs)
    if absent := [name for name in task.absent() if name in _NAMED]:
        raise ViewmaskError(
            f"the tokens hold no captioned objects seen from the front, which {absent[0]} trains on: an index.jsonl "
            "beside the meshes tells `captions`; the stage i2mv needs none"
        )
    if rows.tokens.shape[1] < task.views and stage != "align":
        raise ViewmaskError(f"the tokens hold {rows.tokens.shape[1]} view an object: pairs are for the stage align")
    grid, bits = tokenizer.config.grid, tokenizer.config.bits
    schedule = run.schedule(SCHEDULES[run.preset, stage])
    run.check_lora()
    if run.lora:
        model, schedule = run.adapted(Transformer, TransformerConfig, schedule, stage, about["tokenizer"])
        if (model.config.grid, model.config.bits) != (grid, bits):
            raise ViewmaskError(
                f"{run.start} knows {model.config.grid}^2 tokens of {model.config.bits} bits a view, "
                f"the tokenizer {run.codes} gives {grid}^2 of {bits}"
            )
    else:
        # Released weights have more rows than their vocabulary has words.
        known = checkpoint.configuration(run.start, Transformer, TransformerConfig).words if run.start else 0
        words = max(len(vocabulary), known)
        config = replace(TRANSFORMERS[run.preset], words=words, grid=grid, bits=bits)
        _check_memory(run.preset, config)
        model = Transformer(config).to(run.device)
        schedule = run.begin(
            model, schedule, stage, lambda smaller: grown(smaller, config, vocabulary), about["tokenizer"]
        )
    model.checkpointing = run.checkpointing
    if run.compiled:
        model.compile_blocks()
    about = {"stage": stage, "preset": run.preset, "mixture": asdict(mixture), "words": sorted(lexicon.words)} | about
    about |= {"lora": run.lora} if run.lora else {}
    judge = validation(Masked(unseen, mixture, vocabulary, run.device)) if unseen else None
    return run.train(model, task, schedule, about, validation=judge, files=lexicon.files())


def _check_memory(preset: str, config: TransformerConfig) -> None:
    """Refuse a network of the paper's that this machine could not even build.

    Raises:
        ViewmaskError: weights and their average are larger than the memory.
    """
    if preset in RECIPES and hasattr(os, "sysconf"):
        needed, there = 8 * parameters(config), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > there:
            raise ViewmaskError(
                f"{preset} has {parameters(config) / 1e9:.1f} billion parameters: a process needs "
                f"{needed / 1e9:.0f} GB of memory before GPUs share them, and there are {there / 1e9:.0f} GB. "
                "--plan says more, --lora needs less"
            )


def _objects(tokens: Tokens) -> Iterator[set[str]]:
    """The captions of each object, of which there may be variants."""
    ids = tokens.numbers
    order = np.argsort(ids, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(ids[order])), len(order) - 1) + 1
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        yield {caption for row in order[start:end] for caption in tokens.captions[row]}


def _lexicon(start: Path | None) -> Lexicon:
    """What the weights that a run starts from were taught; the shipped vocabulary where there are none, or old ones."""
    if start is not None and (start / VOCABULARY).exists():
        return lexicon_of(start, checkpoint.about(start))
    return Lexicon(lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary)
