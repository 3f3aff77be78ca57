"""Does the consistency figure rank true views above shuffled and perturbed ones?

    python studies/consistency.py --bench demo
    python studies/consistency.py --bench scans --data data/scans --limit 10

Prints the mean of each figure, and the share of objects whose true views score higher than the changed ones. A ball
looks the same in any order, so a share below 1 need not be a mistake.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from eval.benches import open_bench
from eval.consistency import NAMES, score
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, ViewSet

Generator = np.random.Generator


def shifted(picture: Picture, rng: Generator) -> Picture:
    """Moved by up to a twentieth of its side."""
    reach = picture.shape[0] // 20
    return np.roll(picture, rng.integers(-reach, reach + 1, 2), (0, 1))


def recoloured(picture: Picture, rng: Generator) -> Picture:
    """Red, green and blue scaled by 0.6 to 1.4 each."""
    return np.clip(picture * np.append(rng.uniform(0.6, 1.4, 3), 1), 0, 255).astype(np.uint8)


def blurred(picture: Picture, rng: Generator) -> Picture:
    """By a Gaussian of 1 to 6 pixels."""
    sigma = rng.uniform(1, 6)
    alpha = picture[..., 3:] / 255
    wide = gaussian_filter(alpha, (sigma, sigma, 0))
    colour = gaussian_filter(picture[..., :3] * alpha, (sigma, sigma, 0)) / np.maximum(wide, 1e-3)
    return np.concatenate([np.clip(colour, 0, 255), 255 * wide], axis=-1).round().astype(np.uint8)


def all_three(picture: Picture, rng: Generator) -> Picture:
    """Shifted, recoloured and blurred."""
    return blurred(recoloured(shifted(picture, rng), rng), rng)


def variants(sets: list[ViewSet], index: int) -> dict[str, ViewSet]:
    """The true views of an object, and what a careless generator might have made of them."""
    true, rng, n = sets[index], np.random.default_rng(index), len(sets[index])

    def of(pictures: list[Picture]) -> ViewSet:
        return ViewSet(pictures, true.cameras)

    def each(change: Callable[[Picture, Generator], Picture]) -> ViewSet:
        return of([change(picture, rng) for picture in true.images])

    return {
        "true views": true,
        "views of other objects": of([sets[(index + k) % len(sets)].images[k] for k in range(n)]),
        "wrong order": of([true.images[k] for k in (0, *np.roll(np.arange(1, n), 1))]),
        "the other way round": of([true.images[-k] for k in range(n)]),
        "view 0 everywhere": of([true.images[0]] * n),
        "each shifted": each(shifted),
        "each recoloured": each(recoloured),
        "each blurred": each(blurred),
        "each all three": each(all_three),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="demo")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--views", type=int, default=4)
    arguments = parser.parse_args()
    bench = open_bench(arguments.bench, arguments.data, limit=arguments.limit)
    sets = [subject.views(arguments.views) for subject in bench.subjects]
    rows: dict[str, list[list[float]]] = {}
    for index, subject in enumerate(bench.subjects):
        for name, views in variants(sets, index).items():
            rows.setdefault(name, []).append(list(score(views).values()))
        print(subject.id, file=sys.stderr)
    print(f"{bench.title}, {arguments.views} views")
    print(f"{'':24}", *(f"{name:>14} true wins" for name in NAMES))
    for name, figures in rows.items():
        wins = (np.array(rows["true views"]) > np.array(figures)).mean(axis=0)
        columns = zip(np.mean(figures, axis=0), wins, strict=True)
        print(f"{name:24}", *(f"{mean:14.3f} {win:9.2f}" for mean, win in columns))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
