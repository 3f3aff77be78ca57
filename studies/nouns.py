"""Does the thing that a sentence names come out, so that a classifier that never saw a made view knows it?

    python studies/nouns.py --data $DATA [--weights DIR ...] [--guidance G ...] [--temperature T ...] [--draws N ...]
        [--speed exact] [--out FILE]

Sixteen common things are asked for in five colours each ("a red chair", seed 0). To choose how to sample, ask with
other `--colours` and another `--seed` than those that are reported.

The classifier reads the features of a network trained on photographs in four views (AlexNet's convolutions, those of
LPIPS, extra `lpips`). It learns from the true views of the `train` objects that have one of these names
(`captions.thing` of their first caption). They go through the generator's tokenizer first, so that blur is no sign of
anything. One in sixteen is chance. Prints right sentences of five for every thing, and how often the classifier is
right with true views of `val` objects. FILE gets a line a set of views.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from render.job import render_one
from render.settings import Settings
from render.source import Source, find
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning.lpips import Lpips
from viewmask.model.captions import thing
from viewmask.model.sampling import DRAWS, FROM_TEXT, SPEED, Speed
from viewmask.views.viewset import Picture, composite

SETS = ("objects", "furniture", "scans")
THINGS = (
    "table", "bottle", "tree", "chair", "house", "rock", "box", "lamp", "car", "door", "fence", "bed", "cup", "sofa",
    "sword", "fish",
)  # fmt: skip
COLOURS = ("red", "green", "blue", "white", "brown")
RIDGE = 1.0


@dataclass(frozen=True)
class Classifier:
    """Ridge regression to the names, from features of four views."""

    network: Lpips
    weights: NDArray[np.float64]
    mean: NDArray[np.float64]

    @classmethod
    def learn(cls, network: Lpips, examples: list[list[Picture]], names: list[str]) -> Classifier:
        """From objects' views and the thing that each shows; rare things count as much as common ones."""
        x = np.stack([describe(network, views) for views in examples])
        y = np.array([THINGS.index(name) for name in names])
        share = 1 / np.bincount(y, minlength=len(THINGS))[y]
        mean = np.average(x, 0, share)
        centred = x - mean
        targets = np.eye(len(THINGS))[y] - 1 / len(THINGS)
        # In the space of examples, which are fewer than features.
        scaled = centred * np.sqrt(share)[:, None]
        gram = scaled @ scaled.T
        ridge = RIDGE * np.trace(gram) / len(gram)
        solved = np.linalg.solve(gram + ridge * np.eye(len(gram)), targets * np.sqrt(share)[:, None])
        return cls(network, scaled.T @ solved, mean)

    def __call__(self, views: list[Picture]) -> str:
        return THINGS[int(((describe(self.network, views) - self.mean) @ self.weights).argmax())]


@torch.inference_mode()
def describe(network: Lpips, views: list[Picture]) -> NDArray[np.float64]:
    """Features [n] of views on white: those of every layer, on a coarse grid, the mean over views."""
    pictures = torch.from_numpy(np.stack([composite(view) for view in views])).permute(0, 3, 1, 2)
    parts = []
    for layer in network.features(pictures):
        unit = layer / layer.square().sum(1, keepdim=True).add(1e-10).sqrt()
        parts.append(torch.nn.functional.adaptive_avg_pool2d(unit, 4).mean(0).flatten())
    return torch.cat([part / part.norm() for part in parts]).double().numpy()


def named(data: Path, split: str) -> list[tuple[Source, str]]:
    """Objects of a split whose first caption is about one of the things."""
    objects = []
    for name in SETS:
        for source in find(data / name, split):
            captions = source.about.get("captions") or [""]
            if thing(captions[0]) in THINGS:
                objects.append((source, thing(captions[0])))
    return objects


def true_views(generator: Generator, objects: list[tuple[Source, str]]) -> list[list[Picture]]:
    """Four views of every object, as the tokenizer gives them back: from tokens as fine as a sentence's."""
    settings = Settings(views=4, size=generator.weights.tokenizer.config.size)
    sets = []
    for number, (source, _) in enumerate(objects, start=1):
        sets.append(generator.round_trip(render_one(source, settings).images, fine=FROM_TEXT.refine > 0))
        print(f"\r{number} of {len(objects)} objects", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", default=[None])
    parser.add_argument("--guidance", type=float, nargs="+", default=[None])
    parser.add_argument("--temperature", type=float, nargs="+", default=[None])
    parser.add_argument("--draws", type=int, nargs="+", default=[DRAWS], help="to choose from")
    parser.add_argument("--colours", nargs="+", default=COLOURS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--speed", choices=get_args(Speed), default=SPEED)
    parser.add_argument("--out", type=Path, help="JSON Lines: a record a set of views")
    arguments = parser.parse_args()
    network, first = Lpips.load(), Generator.load(arguments.weights[0])
    train, val = named(arguments.data, "train"), named(arguments.data, "val")
    classifier = Classifier.learn(network, true_views(first, train), [name for _, name in train])
    answers = [classifier(views) for views in true_views(first, val)]
    rows, records = [], []

    def add(title: str, subjects: list[str], asked: list[str], shown: list[str]) -> None:
        rows.append(row(title, asked, [a == b for a, b in zip(asked, shown, strict=True)]))
        for subject, a, b in zip(subjects, asked, shown, strict=True):
            records.append({"row": title, "subject": subject, "asked": a, "shown": b})

    add("true views of `val`", [source.id for source, _ in val], [name for _, name in val], answers)
    sentences = [
        (thing, f"{'an' if colour[0] in 'aeiou' else 'a'} {colour} {thing}")
        for thing in THINGS
        for colour in arguments.colours
    ]
    for weights in arguments.weights:
        generator = Generator.load(weights)
        for values in product(arguments.guidance, arguments.temperature, arguments.draws):
            options = dict(zip(("guidance", "temperature", "draws"), values, strict=True))
            sets = (
                generator.from_text(sentence, seed=arguments.seed, speed=arguments.speed, **options).images
                for _, sentence in sentences
            )
            answers = [classifier(views) for views in sets]
            words = [f"{name} {value:g}" for name, value in options.items() if value is not None]
            title = ", ".join([generator.fingerprint, *words])
            add(title, [sentence for _, sentence in sentences], [thing for thing, _ in sentences], answers)
            print(rows[-1], file=sys.stderr)
    if arguments.out:
        atomic.write(arguments.out, "".join(json.dumps(record) + "\n" for record in records))
    print(f"| | {' | '.join(THINGS)} | all |\n|{'---|' * (len(THINGS) + 2)}", *rows, sep="\n")


def row(title: str, things: list[str], right: list[bool]) -> str:
    """A line of the table: how many of how many for every thing, and the share of all."""
    answers = {thing: [r for t, r in zip(things, right, strict=True) if t == thing] for thing in THINGS}
    cells = [f"{sum(each)}/{len(each)}" for each in answers.values()]
    return f"| {title} | {' | '.join(cells)} | {np.mean(right):.2f} |"


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
