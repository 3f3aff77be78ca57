"""Refining, the training of the refiner: fine tokens of views that are hidden, given coarse ones as a transformer
imagines them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import cycle, permutations
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning import checkpoint
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import Figures
from viewmask.learning.trainer import CHECKPOINT, Validation
from viewmask.model import sequence
from viewmask.model.edit import is_orbit
from viewmask.model.refiner import FINER, Refiner, imagined, refined_layout
from viewmask.model.tokenizer import Tokenizer, pack
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import SHIPPED, TRANSFORMER
from viewmask.train.masked import code_loss
from viewmask.train.run import Run
from viewmask.train.tokens import mirror, recolour
from viewmask.views import collection
from viewmask.views.picture import resize

SCHEDULE = Schedule(
    steps=6_000, batch=4, rate=1e-3, muon=2e-3, warmup=50, decay=0.05, average=0.998, precision="auto",
)  # fmt: skip
GIVEN = 0.65  # share of the batches in which a view is given; in the others a sentence would be
VIEWS = 4
_STEP = 128  # tokens
Note = Callable[[str], None]


@dataclass(frozen=True)
class Grids:
    """Tokens of four views around an object on both grids, int32 [n, 4, grid, grid], and the set of each, int64 [n]."""

    coarse: NDArray[np.int32]
    fine: NDArray[np.int32]
    sources: NDArray[np.int64]

    @classmethod
    def kept(
        cls, data: Sequence[str | Path], tokenizer: Tokenizer, split: str, folder: Path, note: Note = lambda line: None
    ) -> Grids:
        """As `of`, each of the data a set; what was encoded before is read from a folder.

        Raises:
            ViewmaskError: nothing to read, or something damaged.
        """
        parts = []
        for number, place in enumerate(data):
            record = json.dumps({
                "places": [collection.stamp(each) for each in collection.find([place])], "split": split,
                "tokenizer": checkpoint.fingerprint(tokenizer.encoder), "copies": "mirrored, recoloured",
            })  # fmt: skip
            file = folder / f"{hashlib.sha256(record.encode()).hexdigest()[:16]}.npz"
            if not file.exists():
                one = cls.of([place], tokenizer, split, note)
                content = io.BytesIO()
                np.savez(content, coarse=one.coarse, fine=one.fine)
                atomic.write(file, content.getvalue())
            try:
                with np.load(file, allow_pickle=False) as arrays:
                    parts.append((arrays["coarse"], arrays["fine"], np.full(len(arrays["fine"]), number)))
            except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
                raise ViewmaskError(f"{file} is damaged ({error}): delete it, it is made anew") from error
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    @classmethod
    def of(cls, data: Sequence[str | Path], tokenizer: Tokenizer, split: str, note: Note = lambda line: None) -> Grids:
        """Of the orbits of a split, each as it is, and mirrored in other colours; one of 8 views gives two times four.

        Args:
            data: orbits; all are one set.
            tokenizer: of both grids.
            split: which objects.
            note: called with what people should know, a line each.

        Raises:
            ViewmaskError: views of fewer pixels than fine tokens are made of, or nothing to read.
        """
        config, device = tokenizer.config, next(tokenizer.parameters()).device
        grids: list[list[NDArray[np.int32]]] = [[], []]
        pixels, left_out = FINER * config.size, 0
        channels = cycle(list(permutations(range(3)))[1:])  # all orders but their own
        for views in collection.read(collection.find(data), split):
            if not is_orbit(views) or len(views) % VIEWS:
                left_out += 1
                continue
            if (side := len(views.images[0])) < pixels:
                raise ViewmaskError(
                    f"the views of {views.extra['id']} have {side} pixels a side, the refiner learns from {pixels}: "
                    f"viewmask render --size {pixels}"
                )
            step = len(views) // VIEWS
            for each in (views, recolour(mirror(views), next(channels))):
                for grid, scale in zip(grids, (1, FINER), strict=True):
                    images = np.stack([resize(image, scale * config.size) for image in each.images])
                    with torch.inference_mode():
                        tokens = tokenizer.encode(pack(images, config.channels).to(device)).int().cpu().numpy()
                    grid += [tokens[start::step] for start in range(step)]
        if left_out:
            note(f"left out {left_out} view sets of '{split}': no orbit of {VIEWS}, {2 * VIEWS} ... views")
        coarse, fine = (
            np.array(grid, np.int32).reshape(-1, VIEWS, scale * config.grid, scale * config.grid)
            for grid, scale in zip(grids, (1, FINER), strict=True)
        )
        return cls(coarse, fine, np.zeros(len(fine), np.int64))


class Refining:
    """Cross-entropy of hidden fine tokens, in nats a token; a set counts as the root of its objects.

    A random share of the coarse tokens is hidden, too: they are then what the transformer expects them to be.
    """

    def __init__(self, transformer: Transformer, grids: Grids, device: torch.device, given: float = GIVEN) -> None:
        self.transformer = transformer.to(device).requires_grad_(False)
        self.grids = grids
        self.device = device
        self.given = given
        counts = np.bincount(grids.sources)[grids.sources]
        self.chances = np.cumsum(counts**-0.5) / (counts**-0.5).sum()

    def loss(self, model: Refiner, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """The loss of a batch of orbits of four views, in which a view is given or none is."""
        rows = np.searchsorted(self.chances, random.random(batch), side="right")
        given = random.random() < self.given
        layout = sequence.i2mv() if given else sequence.t2mv()
        # A view that is given may be any of the orbit; of a sentence's views the first is the front.
        start = random.integers(VIEWS, size=batch) if given else np.zeros(batch, np.int64)
        views = (start[:, None] + np.arange(VIEWS)) % VIEWS
        coarse, fine = (
            torch.from_numpy(grid[rows[:, None], views].astype(np.int64)).to(self.device)
            for grid in (self.grids.coarse, self.grids.fine)
        )
        # With a view given all may be hidden; with none something has to be known, for here no sentence tells it.
        unsure = np.sqrt(random.random(batch)) * (1.0 if given else 0.8)
        told = imagined(self.transformer, layout, coarse, self._hidden(coarse, unsure, layout.given, random))
        around = model.around(told)
        hidden = self._hidden(fine, random.random(batch), layout.given, random) & around
        none = ~hidden.any()  # something has to be asked for
        hidden[:, -1, 0, 0] |= none
        around[:, -1, 0, 0] |= none
        near = _taken(around.flatten(1))
        layout = refined_layout(layout)
        words = sequence.words(layout, torch.zeros(batch, 0, dtype=torch.long, device=self.device))
        features = model.among(layout, words, fine, hidden, model.beside(told), near)
        asked, truth = hidden.flatten(1).gather(1, near), fine.flatten(1).gather(1, near)
        said = model.predict(features[asked])
        return code_loss(model.config, said.empty, said.codes, truth[asked])

    def _hidden(self, tokens: Tensor, shares: NDArray[np.float64], given: int, random: np.random.Generator) -> Tensor:
        """Which tokens are hidden, a share of each sequence but of the given views."""
        hidden = torch.from_numpy(random.random(tokens.shape) < shares[:, None, None, None])
        hidden[:, :given] = False
        return hidden.to(self.device)


def _taken(around: Tensor) -> Tensor:
    """The tokens of each sequence that take part, int64 [batch, n].

    These are those around its object, and the first of the others up to a multiple of 128: compiled blocks are made
    for each number.

    Args:
        around: bool [batch, tokens].
    """
    count = min(around.shape[1], -(-int(around.sum(dim=1).max()) // _STEP) * _STEP)
    return around.byte().sort(dim=1, descending=True, stable=True).indices[:, :count]


def validation(task: Refining, batches: int = 6, batch: int = 8) -> Validation:
    """The loss on a task's orbits, always the same batches: with a view given, and with none."""

    @torch.no_grad()
    def figures(model: Refiner) -> Figures:
        losses = {}
        for name, given in (("given", 1.0), ("none", 0.0)):
            part = Refining(task.transformer, task.grids, task.device, given)
            draws = [np.random.default_rng(number) for number in range(batches)]
            losses[f"val {name}"] = float(np.mean([float(part.loss(model, 0, each, batch)[0]) for each in draws]))
        return {"val": GIVEN * losses["val given"] + (1 - GIVEN) * losses["val none"]} | losses

    return figures


def train(data: Sequence[str | Path], run: Run) -> Path:
    """Train the refiner of a transformer (`run.init`, the shipped one by default) on orbits of views.

    Raises:
        ViewmaskError: no orbit to learn from, a tokenizer that is another's, or a run that learnt with another
            transformer.
    """
    tokenizer = run.load_tokenizer().to(run.device).eval()
    reads = run.init or SHIPPED / TRANSFORMER
    transformer, _, record = checkpoint.load(reads, Transformer, TransformerConfig)
    encoder, name = checkpoint.fingerprint(tokenizer.encoder), checkpoint.fingerprint(transformer)
    if record.get("tokenizer", encoder) != encoder:
        raise ViewmaskError(f"{reads} reads the tokenizer {record['tokenizer']}, but {run.codes} is {encoder}")
    if run.resume and (other := checkpoint.about(run.out / CHECKPOINT).get("transformer")) != name:
        raise ViewmaskError(
            f"{run.out / CHECKPOINT} learnt with the transformer {other}: --init must name the same to go on"
        )
    run.note("encoding the views first: about a minute for 200 objects; they are kept for the next time")
    folder = run.out.with_name(f"{run.out.name}-tokens")
    grids, unseen = (Grids.kept(data, tokenizer, split, folder, run.note) for split in ("train", "val"))
    if not len(grids.fine):
        raise ViewmaskError(f"the views hold no orbit of {VIEWS}, 2 x {VIEWS} ... views of the split 'train'")
    refiner = Refiner.of(transformer.eval()).to(run.device)
    schedule = replace(run, init=None).begin(refiner, run.schedule(SCHEDULE), "refiner")
    if run.compiled:
        refiner.compile_blocks()
    about: dict[str, Any] = {
        "stage": "refiner", "preset": run.preset, "transformer": name, "tokenizer": encoder,
        "orbits": len(grids.fine),
    }  # fmt: skip
    judge = validation(Refining(transformer, unseen, run.device)) if len(unseen.fine) else None
    return run.train(refiner, Refining(transformer, grids, run.device), schedule, about, validation=judge)
