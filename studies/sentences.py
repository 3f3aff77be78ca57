"""With which schedule, and how many steps, do the views of a sentence show one object? No truth is needed.

    python studies/sentences.py --data DIR [--count 8] [--out out/sentences] [--weights DIR]

The sentences are first captions of `val` objects, evenly spread over each set. The views of every setting lie in a
folder of --out, so that the command line can compare them with another model's, too:

    viewmask eval --consistency out/sentences/cosine-20 out/sentences/linear-20

Prints the table of docs/results/consistency.md: means, and the paired difference from the first row with its bootstrap
interval. The row `strangers` says what the figures are worth: each of its views is of another sentence.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from eval.benches import open_bench
from eval.consistency import COLUMNS, DEFINITION, measure, to_json
from viewmask import Generator, ViewSet
from viewmask.errors import ViewmaskError
from viewmask.views.conventions import TRANSFORMS

SETS = ("objects", "scans", "furniture")
SETTINGS = (("cosine", 20), ("linear", 20), ("quadratic", 20), ("cosine", 4), ("cosine", 8))


def generated(generator: Generator, sentences: list[str], schedule: str, steps: int, out: Path) -> list[ViewSet]:
    """The views of each sentence, written to OUT/NUMBER; what these weights made of it before is not made again."""
    sets = []
    for number, sentence in enumerate(sentences):
        place = out / f"{number:03d}"
        views = ViewSet.load(place) if (place / TRANSFORMS).is_file() else None
        source = (views.extra.get("weights"), views.extra.get("caption")) if views else None
        if views is None or source != (generator.fingerprint, sentence):
            views = generator.from_text(sentence, steps=steps, schedule=schedule, draws=1, speed="exact")
            views.save(place, force=True)
        sets.append(views)
        print(f"{schedule}, {steps} steps: {sentence}", file=sys.stderr)
    return sets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=8, help="sentences a set")
    parser.add_argument("--out", type=Path, default=Path("out/sentences"))
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    sentences = [
        subject.caption
        for name in SETS
        for subject in open_bench(name, arguments.data / name, limit=arguments.count).subjects
    ]  # fmt: skip
    generator = Generator.load(arguments.weights)
    folders = []
    for schedule, steps in SETTINGS:
        folders.append(arguments.out / f"{schedule}-{steps}")
        sets = generated(generator, sentences, schedule, steps, folders[-1])
        if len(folders) == 1:
            first = sets
    folders.append(arguments.out / "strangers")
    for number, views in enumerate(first):
        pictures = [first[(number + k) % len(first)].images[k] for k in range(len(views))]
        ViewSet(pictures, views.cameras).save(folders[-1] / f"{number:03d}", force=True)

    print(f"Weights {generator.fingerprint}, {len(sentences)} sentences, seed 0. {DEFINITION}.\n")
    print(f"| setting | {' | '.join(words for words, _ in COLUMNS.values())} |\n|---|{'---|' * len(COLUMNS)}")
    groups = measure(folders)
    for group in groups:
        group.records = group.records[: len(sentences)]  # a run with more sentences may have left its own
    for folder in to_json(groups)["folders"]:
        cells = []
        for figure, (_, digits) in COLUMNS.items():
            cells.append(f"{folder[figure]:.{digits}f}")
            between = folder["differences"][figure]
            if between["low"] is not None and Path(folder["folder"]) != folders[0]:
                cells[-1] += f" [{between['low']:+.{digits}f}, {between['high']:+.{digits}f}]"
        print(f"| {Path(folder['folder']).name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
