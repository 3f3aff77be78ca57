"""Does a sentence bring what it was written for: a thing of which the model has seen one or two, or one never seen?

    python studies/recall.py --data $DATA [--split val] [--weights DIR ...] [--count 100] [--draws N ...]

The sentences are first captions, evenly spread (seed 0): of `train` objects whose thing (`captions.thing`) has two
objects at most, or of `val` objects. Generated views are compared with the true views of all of these objects, which
went through the generator's tokenizer, by the features of `studies/nouns.py` (extra `lpips`). How often is the object
that the sentence was written for the nearest, or among the five nearest? Beside stands the IoU of the silhouettes with
its own, and with those of the next object in the list.

On `train` the figure says what is remembered, on `val` what a new sentence is worth. There the first row generates
nothing: it shows the `train` object whose caption is most alike, and so how much likeness can be hoped for.
"""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from eval.metrics.appearance import silhouette_iou
from render.source import Source, find
from studies.nouns import SETS, describe, true_views
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.learning.lpips import Lpips
from viewmask.model.captions import thing
from viewmask.model.sampling import DRAWS
from viewmask.views.viewset import Picture

RARE = 2  # objects of a thing, at most


def described(data: Path, split: str, count: int) -> list[tuple[Source, str]]:
    """Objects of a split and their first captions, evenly spread; of `train` those of rare things alone."""
    objects = [
        (source, (source.about.get("captions") or [""])[0]) for name in SETS for source in find(data / name, split)
    ]
    if split == "train":
        things = Counter(thing(caption) for _, caption in objects)
        objects = [one for one in objects if things[thing(one[1])] <= RARE]
    count = min(count, len(objects))
    return [objects[i * len(objects) // count] for i in range(count)]


def likeness(captions: list[str], pool: list[str]) -> NDArray[np.float64]:
    """How alike each caption is to each of a pool [n, m]: the cosine of their words, weighed by rarity there (tf-idf);
    words that the pool lacks do not count."""
    theirs, mine = ([set(re.findall(r"\w+", each.lower())) for each in some] for some in (pool, captions))
    often = Counter(word for each in theirs for word in each)
    place = {word: number for number, word in enumerate(often)}
    rarity = np.array([math.log(len(pool) / count) for count in often.values()])

    def vectors(of: list[set[str]]) -> NDArray[np.float64]:
        counts = np.zeros((len(of), len(place)))
        for row, each in zip(counts, of, strict=True):
            row[[place[word] for word in each if word in place]] = 1
        weights: NDArray[np.float64] = counts * rarity
        return weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-9)

    return vectors(mine) @ vectors(theirs).T


def most_alike(data: Path, captions: list[str]) -> list[tuple[Source, str]]:
    """The `train` object whose caption, one of several, is most alike, for each caption."""
    pool = [
        (source, caption)
        for name in SETS
        for source in find(data / name, "train")
        for caption in source.about.get("captions") or []
    ]
    return [pool[place] for place in likeness(captions, [caption for _, caption in pool]).argmax(1)]


def overlap(mine: list[Picture], theirs: list[Picture]) -> float:
    """Mean silhouette IoU of views."""
    return float(np.mean([silhouette_iou(b, a) for a, b in zip(mine, theirs, strict=True)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "val"), default="train")
    parser.add_argument("--weights", type=Path, nargs="+", default=[None])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--draws", type=int, nargs="+", default=[DRAWS], help="to choose from")
    arguments = parser.parse_args()
    network, first = Lpips.load(), Generator.load(arguments.weights[0])
    objects = described(arguments.data, arguments.split, arguments.count)
    true = true_views(first, objects)
    features = np.stack([describe(network, views) for views in true])
    mean = features.mean(0)
    print("| views | nearest | among five | IoU with its own | with another |\n|---|---|---|---|---|")

    def row(title: str, sets: list[list[Picture]]) -> None:
        ranks = []
        for number, views in enumerate(sets):
            mine = describe(network, views) - mean
            near = (features - mean) @ mine / np.linalg.norm(features - mean, axis=1)
            ranks.append(int((near > near[number]).sum()))
        own = np.mean([overlap(*pair) for pair in zip(sets, true, strict=True)])
        other = np.mean([overlap(*pair) for pair in zip(sets, true[1:] + true[:1], strict=True)])
        shares = [np.mean(np.array(ranks) < most) for most in (1, 5)]
        cells = [title, *(f"{value:.2f}" for value in shares), f"{own:.3f}", f"{other:.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)

    if arguments.split == "val":
        row(
            "`train`, most alike caption",
            true_views(first, most_alike(arguments.data, [caption for _, caption in objects])),
        )
    for weights, draws in product(arguments.weights, arguments.draws):
        generator = Generator.load(weights)
        sets = [generator.from_text(caption, draws=draws, speed="exact").images for _, caption in objects]
        row(f"{generator.fingerprint}, the best of {draws}", sets)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
