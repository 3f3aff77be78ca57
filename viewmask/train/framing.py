"""Training of the framing: pictures cut out as users' are, and where their objects stand in views of the orbit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.learning.schedule import Schedule
from viewmask.learning.task import Figures
from viewmask.learning.trainer import Validation
from viewmask.model.edit import is_orbit
from viewmask.model.framing import SPREAD, Framing, FramingConfig, Place, looked_at, target
from viewmask.train import photo
from viewmask.train.run import Run
from viewmask.views import collection
from viewmask.views.camera import Camera
from viewmask.views.picture import Picture, resize

SCHEDULE = Schedule(
    steps=4_000, batch=128, rate=2e-3, warmup=100, decay=0.02, average=0.998, precision="auto",
)  # fmt: skip
Note = Callable[[str], None]

_GAIN, _TINT = 0.25, 0.1  # of light, and of each channel: how much their logarithms differ


@dataclass(frozen=True)
class Examples:
    """Reference views, uint8 [n, size, size, 4], and what is to be told of them, float32 [n, 3]."""

    pictures: NDArray[np.uint8]
    targets: NDArray[np.float32]

    @classmethod
    def of(
        cls, data: Sequence[str | Path], split: str, size: int, seed: int, note: Note = lambda line: None
    ) -> Examples:
        """Every second view and all photos of a split, with faults, framed by their edges.

        Args:
            data: orbits, and photos of the same objects (`viewmask render --photos`), told apart by their cameras.
            split: which objects.
            size: side of the pictures.
            seed: of the faults.
            note: called with what people should know, a line each.
        """
        pictures: list[Picture] = []
        targets: list[NDArray[np.float32]] = []
        refused = 0
        for index, (picture, place) in enumerate(_placed(data, split, note)):
            try:
                reference = photo.reference(picture, np.random.default_rng([seed, index]))
            except ViewmaskError:
                refused += 1
                continue
            pictures.append(resize(reference, size))
            targets.append(target(place))
        if refused:
            note(f"left out {refused} pictures of '{split}' that generate would refuse, too")
        return cls(
            np.array(pictures, np.uint8).reshape(-1, size, size, 4), np.array(targets, np.float32).reshape(-1, 3)
        )


def _placed(data: Sequence[str | Path], split: str, note: Note) -> Iterator[tuple[Picture, Place]]:
    """Pictures, and where their objects stand in the view of the orbit from the same azimuth.

    Photos may come before their orbit. So all is read twice, not kept.
    """
    places = collection.find(data)
    orbits: dict[str, list[tuple[list[Camera], dict[str, Any], list[Place | None]]]] = {}
    for views in collection.read(places, split):
        if not is_orbit(views):
            continue
        seen = [Place.of(image) for image in views.images]
        kept = range(len(orbits) % 2, len(seen), 2)  # neighbours look alike, and reading takes its time
        yield from ((views.images[index], place) for index in kept if (place := seen[index]))
        orbits.setdefault(str(views.extra["id"]), []).append((views.cameras, views.extra, seen))
    alone = 0
    for views in collection.read(places, split):
        if is_orbit(views):
            continue
        beside = [
            (image, seen[view])
            for cameras, extra, seen in orbits.get(str(views.extra["id"]), [])
            for image, view in photo.beside(views, cameras, extra) or []
        ]
        alone += not beside
        yield from ((image, place) for image, place in beside if place)
    if alone:
        note(f"left out {alone} view sets of '{split}': neither an orbit of the model's nor photos of one")


class Placing:
    """Huber's loss of the place, in units of its spread."""

    def __init__(self, examples: Examples, device: torch.device) -> None:
        self.examples = examples
        self.device = device

    def loss(self, model: Framing, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, Figures]:
        """Of random examples, half of them mirrored, in other lights."""
        rows = random.integers(len(self.examples.pictures), size=batch)
        seen = looked_at(self.examples.pictures[rows])
        wanted = torch.from_numpy(self.examples.targets[rows])
        mirrored = torch.from_numpy(random.random(batch) < 0.5)
        seen = torch.where(mirrored[:, None, None, None], seen.flip(3), seen)
        wanted = torch.where(mirrored[:, None] & torch.tensor([False, False, True]), -wanted, wanted)
        light = np.exp(_GAIN * random.normal(size=(batch, 1)) + _TINT * random.normal(size=(batch, 3)))
        colour = seen[:, :3] * torch.from_numpy(light.astype(np.float32))[..., None, None]
        seen = torch.cat([torch.minimum(colour, seen[:, 3:]), seen[:, 3:]], dim=1)
        loss = F.huber_loss(model(seen.to(self.device)).float(), wanted.to(self.device), delta=1.5)
        return loss, {}


def validation(examples: Examples, device: torch.device) -> Validation:
    """Errors on pictures that are not learnt from, root mean square: of the zoom's logarithm, and of down and right."""

    @torch.no_grad()
    def figures(model: Framing) -> Figures:
        parts = np.array_split(examples.pictures, -(-len(examples.pictures) // 512))
        told = np.concatenate([model(looked_at(part).to(device)).float().cpu().numpy() for part in parts])
        errors = SPREAD * np.sqrt(((told - examples.targets) ** 2).mean(axis=0))
        return {f"val {name}": float(error) for name, error in zip(("zoom", "down", "right"), errors, strict=True)}

    return figures


def train(data: Sequence[str | Path], run: Run) -> Path:
    """Train the network that places a picture's object, on orbits and photos of the same objects.

    Raises:
        ViewmaskError: no view sets to learn from.
    """
    config = FramingConfig()
    run.note("cutting the pictures out first: about a minute for 500 objects")
    examples = Examples.of(data, "train", config.size, run.seed, run.note)
    if not len(examples.pictures):
        raise ViewmaskError("the views hold no orbit of the split 'train': viewmask render makes them")
    unseen = Examples.of(data, "val", config.size, run.seed, run.note)
    model = Framing(config).to(run.device)
    schedule = run.begin(model, run.schedule(SCHEDULE), "framing")
    about: dict[str, Any] = {"stage": "framing", "preset": run.preset, "pictures": len(examples.pictures)}
    judge = validation(unseen, run.device) if len(unseen.pictures) > 1 else None
    return run.train(model, Placing(examples, run.device), schedule, about, validation=judge)
