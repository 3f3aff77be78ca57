"""Does the sample that fits its sentence best, or the first whose views agree, look more like the object described?

    python studies/fit.py --data DIR [--count 10] [--samples 4] [--weights DIR]

The sentences are first captions of `val` objects, evenly spread over each set. Several samples of each are compared
with the object's true views. Prints the table of docs/results/sampler.md: silhouette IoU and PSNR, with the bootstrap
interval of the difference from the mean sample, and how far the views agree (`recon.agreement`). Its rows are the
sample that the reranker ranks first, the one that `viewmask generate` keeps (the first in this order whose views
agree), the mean sample, the one ranked last, and the truly best.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from eval.benches import open_bench
from eval.intervals import bootstrap
from eval.metrics import appearance
from recon.agreement import agreement
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.generator import first_agreeing
from viewmask.views.viewset import composite

SETS = ("objects", "scans", "furniture")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10, help="sentences a set")
    parser.add_argument("--samples", type=int, default=4, help="of a sentence")
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    generator = Generator.load(arguments.weights)
    scores, places = [], []  # of the samples kept
    for subject in [
        s for name in SETS for s in open_bench(name, arguments.data / name, limit=arguments.count).subjects
    ]:
        true = subject.views(4).images
        samples = generator.samples(subject.caption, arguments.samples, speed="exact")
        scores.append([(*score(views.images, true), agreement(views)) for views in samples])
        places.append(first_agreeing(samples).rank)
        print(f"{len(places)}: {subject.caption}", file=sys.stderr)
    figures = np.array(scores)  # those that fit best first
    every = np.arange(len(figures))
    mean = figures.mean(1)
    rows = {
        "ranked first": figures[:, 0],
        "first whose views agree": figures[every, places],
        "the mean sample": mean,
        "ranked last": figures[:, -1],
        "truly best": figures.max(1),
    }
    print(f"Weights {generator.fingerprint}, {len(figures)} sentences, {arguments.samples} samples each.\n")
    print("| sample | silhouette IoU | PSNR | views agree |\n|---|---|---|---|")
    for name, row in rows.items():
        cells = []
        for column, digits in ((0, 3), (1, 2), (2, 3)):
            cells.append(f"{row[:, column].mean():.{digits}f}")
            if row is not mean:
                between = bootstrap(row[:, column] - mean[:, column])
                cells[-1] += f" [{between.ends(digits, ', ')}]"
        print(f"| {name} | {' | '.join(cells)} |")


def score(views: list[np.ndarray], true: list[np.ndarray]) -> tuple[float, float]:
    """Silhouette IoU and PSNR over white, means over the views."""
    pairs = list(zip(views, true, strict=True))
    return (
        float(np.mean([appearance.silhouette_iou(b, a) for a, b in pairs])),
        float(np.mean([appearance.psnr(composite(a), composite(b)) for a, b in pairs])),
    )


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
