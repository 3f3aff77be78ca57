"""Which of ten captions do these four views show? Asked of people who do not know where the views come from.

    python studies/study.py --data $DATA --out DIR [--weights DIR ...] [--count 60]
    python studies/study.py --out DIR --answers FILE ...

The first form takes the first captions of `val` objects, evenly spread. For each there are views from every source:

- the object's true views, through the generator's tokenizer;
- those of the `train` object whose caption is most alike (`studies/recall.py`);
- those generated from the sentence, the best of the usual draws, by each of the weights.

It writes booklets DIR/booklet-N/sheet-M.png, one for each source, and DIR/key.json, which answerers must not see. A
booklet asks every caption once and shows every source equally often (a Latin square), so that nobody sees the views of
a caption twice. Beside an item's views stand its caption and nine others of `val`: the ones most alike that name other
things. They share its style and, where they can, its colour, so that the shape must tell.

An answer is a line `ITEM LETTER`, as in `2.07 c`. The second form counts the right ones for each source, with 95 %
bootstrap intervals over items, and by how many objects of `train` are called so (`things.json` of the shipped weights).
One in ten is chance. The row without views answers the caption most like the others: that can be seen without looking.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from eval.intervals import bootstrap
from studies.nouns import true_views
from studies.recall import described, likeness, most_alike
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.model.captions import thing
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.views.viewset import Picture

CHOICES = "abcdefghij"
TILE = 128
HEIGHT = 16 * len(CHOICES) + 24  # of an item
A_SHEET = 6  # items
SHOWN = ((0, 0), (1, 9), (10, math.inf))  # objects of a thing in `train`


def booklets(captions: list[str], sources: list[str], pool: list[str], seed: int = 0) -> list[list[dict[str, Any]]]:
    """For each booklet its items: `number` of the caption, `source` of the views, the `choices` and the `right` one.

    Args:
        captions: what is asked for.
        sources: names of what views come from.
        pool: captions to take the others from.

    Raises:
        ViewmaskError: too few captions of other things to choose from.
    """
    random = np.random.default_rng(seed)
    pool = list(dict.fromkeys(pool))
    alike = likeness(captions, pool) + 1e-6 * random.random((len(captions), len(pool)))  # of equals any
    items = []
    for number, caption in enumerate(captions):
        order = [pool[place] for place in (-alike[number]).argsort()]
        others = [each for each in order if thing(each) != thing(caption)][: len(CHOICES) - 1]
        if len(others) < len(CHOICES) - 1:
            raise ViewmaskError(f"only {len(others)} captions of other things than '{caption}' to choose from")
        choices = [caption, *others]
        choices = [choices[place] for place in random.permutation(len(choices))]
        items.append({"number": number, "choices": choices, "right": CHOICES[choices.index(caption)]})
    result = []
    for first in range(len(sources)):
        booklet = [item | {"source": sources[(item["number"] + first) % len(sources)]} for item in items]  # type: ignore[operator]
        result.append([booklet[place] for place in random.permutation(len(booklet))])
    return result


def label(booklet: int, item: int) -> str:
    """What an item is called; both count from 1."""
    return f"{booklet}.{item:02d}"


def sheet(items: list[tuple[str, list[Picture], list[str]]]) -> Image.Image:
    """Labels, views and choices, one under the other."""
    font = ImageFont.load_default(14)
    page = Image.new("RGB", (4 * TILE + 480, HEIGHT * len(items)), "white")
    draw = ImageDraw.Draw(page)
    for row, (name, views, choices) in enumerate(items):
        top = row * HEIGHT
        draw.text((6, top + 4), name, fill="black", font=font)
        for column, view in enumerate(views):
            tile = Image.fromarray(view, "RGBA").resize((TILE, TILE), Image.Resampling.LANCZOS)
            page.paste(tile, (column * TILE, top + 28), tile)
        lines = [f"{letter}  {choice}" for letter, choice in zip(CHOICES, choices, strict=True)]
        for line, words in enumerate(lines):
            draw.text((4 * TILE + 16, top + 8 + 16 * line), words, fill="black", font=font)
        draw.line([(0, top + HEIGHT - 1), (page.width, top + HEIGHT - 1)], fill="#bbbbbb")
    return page


def marks(key: list[list[dict[str, Any]]], answers: str) -> list[tuple[dict[str, Any], bool]]:
    """The items that have an answer, in the order of the answers, and whether it is right.

    Raises:
        ViewmaskError: a line that is no answer to an item of the key.
    """
    items = {label(b, i): item for b, booklet in enumerate(key, 1) for i, item in enumerate(booklet, 1)}
    results = []
    for line in filter(None, map(str.strip, answers.splitlines())):
        answer = re.fullmatch(rf"(\d+\.\d+)\s+([{CHOICES}])", line.lower())
        if answer is None or answer[1] not in items:
            raise ViewmaskError(f"'{line}' is no answer to an item of this study: write for example '1.01 c'")
        item = items[answer[1]]
        results.append((item, answer[2] == item["right"]))
    return results


def guess(choices: list[str]) -> str:
    """What somebody would answer who sees no views: the caption that is most like the others."""
    alike = likeness(choices, choices)
    return CHOICES[int((alike.sum(1) - alike.diagonal()).argmax())]


def table(results: list[tuple[dict[str, Any], bool]]) -> str:
    """The share of right answers for each source, over all and by how many objects of `train` show such a thing."""
    counts = ["no object", *(f"{low} to {high}" if high < math.inf else f"{low} or more" for low, high in SHOWN[1:])]
    lines = [f"| views | answers | right | 95 % interval | {' | '.join(counts)} |", "|---|---|---|---|---|---|---|"]
    alone = [(item | {"source": "none, a guess by the captions"}, guess(item["choices"]) == item["right"])
             for item in {item["number"]: item for item, _ in results}.values()]  # fmt: skip
    for source in dict.fromkeys(item["source"] for item, _ in results + alone):
        mine = [(item["shown"], well) for item, well in results + alone if item["source"] == source]
        share = bootstrap(np.array([well for _, well in mine], np.float64))
        parts = [[well for shown, well in mine if low <= shown <= high] for low, high in SHOWN]
        cells = [f"{np.mean(part):.2f} of {len(part)}" if part else "–" for part in parts]
        lines.append(
            f"| {source} | {len(mine)} | {share.mean:.2f} | {share.low:.2f} to {share.high:.2f} | {' | '.join(cells)} |"
        )
    return "\n".join(lines)


def write(data: Path, out: Path, weights: list[Path | None], count: int) -> None:
    """The booklets and the key."""
    first = Generator.load(weights[0])
    objects = described(data, "val", count)
    captions = [caption for _, caption in objects]
    shown = {
        "true views": true_views(first, objects),
        "`train`, most alike caption": true_views(first, most_alike(data, captions)),
    }
    for each in weights:
        generator = Generator.load(each)
        shown[generator.fingerprint] = [generator.from_text(caption, speed="exact").images for caption in captions]
    pool = [caption for _, caption in described(data, "val", 10**6)]
    key = booklets(captions, [*shown], pool)
    things = lexicon_of(SHIPPED / TRANSFORMER, {}).things
    for item in chain(*key):
        item["shown"] = things.get(thing(captions[item["number"]]), 0)
    for booklet, items in enumerate(key, 1):
        rows = [
            (label(booklet, place), shown[item["source"]][item["number"]], item["choices"])
            for place, item in enumerate(items, 1)
        ]
        for page, start in enumerate(range(0, len(rows), A_SHEET), 1):
            path = out / f"booklet-{booklet}" / f"sheet-{page:02d}.png"
            picture = sheet(rows[start : start + A_SHEET])
            atomic.write_with(path, lambda temporary, picture=picture: picture.save(temporary, "PNG"))  # type: ignore[misc]
    atomic.write(out / "key.json", json.dumps(key, indent=1))
    print(f"{out}: {len(key)} booklets of {count} items, and key.json, which answerers must not see")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", type=Path, nargs="+", default=[None])
    parser.add_argument("--count", type=int, default=60, help="captions")
    parser.add_argument("--answers", type=Path, nargs="+")
    arguments = parser.parse_args()
    if arguments.answers is None:
        if arguments.data is None:
            parser.error("--data is where the objects are, or --answers what was answered")
        write(arguments.data, arguments.out, arguments.weights, arguments.count)
        return
    try:
        key = json.loads((arguments.out / "key.json").read_text())
        answers = "\n".join(path.read_text() for path in arguments.answers)
    except (OSError, ValueError) as error:
        raise ViewmaskError(f"no study, or no answers to it, can be read: {error}") from error
    print(table(marks(key, answers)))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
