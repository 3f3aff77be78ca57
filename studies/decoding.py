"""What do faster ways of decoding cost? Pictures and sentences of `val`, each setting less the exact one, in pairs.

    python studies/decoding.py --data $DATA [--sets scans furniture] [--count 26] [--draws 2] [--pictures NAME ...]
        [--sentences NAME ...] [--meshes NAME ...] [--out out/decoding.jsonl]

A name is a key of PICTURES or SENTENCES below; `exact` is always among them. Every object is made by all settings
before the next one: a run may be stopped at any time, and goes on where it was. Sentences are first captions of `val`
objects in turn with common things in colours that RESULTS does not ask for. Meshes are those of the views of a picture,
against the true ones, as `viewmask eval` measures them; none are made unless they are named.

Prints the tables of docs/results/sampler.md. Of a sentence all draws count: their fit by the reranker, and for
captions their likeness to the object described; how far the views agree is of the draw ranked first.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from eval.benches import open_bench
from eval.benches.bench import Subject
from eval.intervals import DEFINITION, compare
from eval.metrics import appearance
from eval.protocols import VIEWMASK
from recon.agreement import agreement
from recon.reconstructor import reconstruct
from studies.colours import nearest
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.learning.lpips import Lpips
from viewmask.views.viewset import composite

Settings = dict[str, dict[str, Any]]
PICTURES: Settings = {
    "exact": {},
    "quadratic, 12 steps": {"steps": 12, "schedule": "quadratic"},
    "quadratic, 8 steps": {"steps": 8, "schedule": "quadratic"},
    "quadratic, 6 steps": {"steps": 6, "schedule": "quadratic"},
    "20 steps, refreshed every 4": {"refresh": 4},
    "quadratic, 8 steps, refreshed every 3": {"steps": 8, "schedule": "quadratic", "refresh": 3},
    "halton": {"order": "halton"},
    "halton, 8 steps": {"order": "halton", "steps": 8},
    "remask 0.1": {"remask": 0.1},
    "remask 0.1, loop of 5": {"remask": 0.1, "loop": 5},
}
SENTENCES: Settings = {
    "exact": {},
    "guided to 0.5": {"interval": (0.0, 0.5)},
    "quadratic, 10 steps": {"steps": 10, "schedule": "quadratic"},
    "quadratic, 10 steps, guided to 0.5": {"steps": 10, "schedule": "quadratic", "interval": (0.0, 0.5)},
    "cosine, 10 steps, guided to 0.7": {"steps": 10, "interval": (0.0, 0.7)},
    "cosine, 8 steps, guided to 0.75": {"steps": 8, "interval": (0.0, 0.75)},
    "20 steps, refreshed every 4": {"refresh": 4},
    "halton": {"order": "halton"},
    "remask 0.1": {"remask": 0.1},
    "remask 0.1, loop of 5": {"remask": 0.1, "loop": 5},
}
METRICS = {
    "picture": {"psnr": 2, "foreground_psnr": 2, "ssim": 3, "silhouette_iou": 3, "lpips": 3},
    "sentence": {"fit": 3, "colour": 2, "agreement": 3, "silhouette_iou": 3, "psnr": 2},
    "mesh": {"iou": 3, "chamfer": 4, "fscore": 3, "normals": 3},
}
COLOURS = ("yellow", "purple", "black", "orange", "grey")
THINGS = ("chair", "table", "bottle", "sofa", "lamp", "car", "box", "house", "bed", "cup")

Record = dict[str, Any]


def picture(generator: Generator, subject: Subject, settings: dict[str, Any], lpips: Lpips | None) -> Record:
    """Figures of the views made of an object's true view 0."""
    truth = subject.views(4).images
    start = time.process_time()
    views = generator.from_image(truth[0], as_view=True, **{"speed": "exact"} | settings).images
    return {"seconds": time.process_time() - start, **VIEWMASK.images(truth[1:], views[1:], lpips)}


def sentence(generator: Generator, words: str, subject: Subject | None, settings: dict[str, Any], draws: int) -> Record:
    """Figures of the draws of a sentence, which was written for an object or for none."""
    start = time.process_time()
    samples = generator.samples(words, draws, **{"speed": "exact"} | settings)
    record: Record = {"seconds": time.process_time() - start, "agreement": agreement(samples[0])}
    record["fit"] = float(np.mean([each.extra["fit"] for each in samples]))
    if subject is None:
        record["colour"] = float(np.mean([nearest(each.images) == words.split()[1] for each in samples]))
        return record
    pairs = [pair for each in samples for pair in zip(subject.views(4).images, each.images, strict=True)]
    record["silhouette_iou"] = float(np.mean([appearance.silhouette_iou(*pair) for pair in pairs]))
    record["psnr"] = float(np.mean([appearance.psnr(composite(a), composite(b)) for a, b in pairs]))
    return record


def mesh(generator: Generator, subject: Subject, settings: dict[str, Any]) -> Record:
    """Figures of the mesh of the views made of an object's true view 0; where none comes of them, why."""
    assert subject.mesh is not None
    assert VIEWMASK.meshes is not None
    start = time.process_time()
    views = generator.from_image(subject.views(1).images[0], as_view=True, **{"speed": "exact"} | settings)
    try:
        made = reconstruct(views, texture=16)  # only the shape is measured
    except ViewmaskError as error:
        return {"seconds": time.process_time() - start, "error": str(error)}
    return {"seconds": time.process_time() - start, **VIEWMASK.meshes(subject.mesh(), made, 0)}


def table(kind: str, settings: Settings, records: list[Record]) -> None:
    """Means, and differences from the exact setting with their intervals; bold where they leave zero out."""
    figures = METRICS[kind]
    rows = {name: [one for one in records if one["kind"] == kind and one["setting"] == name] for name in settings}
    exact = rows["exact"]
    print(f"\n| {kind}, {len(exact)} objects | times as fast | {' | '.join(figures)} |\n|{'---|' * (len(figures) + 2)}")
    for name, row in rows.items():
        if not row:
            continue
        own = {one["id"]: one["seconds"] for one in exact}
        faster = np.median([own[one["id"]] / one["seconds"] for one in row if one["id"] in own])
        cells = [name, f"{faster:.2f}"]
        for figure, digits in figures.items():
            values = [one[figure] for one in row if one.get(figure) is not None]
            between = compare(exact, row, [figure]).get(figure)
            if name == "exact" or between is None or between.low is None:
                cells.append(f"{np.mean(values):.{digits}f}" if values else "–")
                continue
            words = f"{between.mean:+.{digits}f} [{between.ends(digits, ', ')}]"
            cells.append(f"**{words}**" if between.sure else words)
        print(f"| {' | '.join(cells)} |")
    for one in (one for row in rows.values() for one in row if "error" in one):
        print(f"\n{one['id']}, {one['setting']}: no mesh: {one['error']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["scans", "furniture"])
    parser.add_argument("--count", type=int, default=26, help="objects a set, and as many sentences of each kind")
    parser.add_argument("--draws", type=int, default=2, help="of a sentence")
    parser.add_argument("--pictures", nargs="*", choices=list(PICTURES), default=list(PICTURES))
    parser.add_argument("--sentences", nargs="*", choices=list(SENTENCES), default=list(SENTENCES))
    parser.add_argument("--meshes", nargs="*", choices=list(PICTURES), default=[])
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=Path("out/decoding.jsonl"))
    arguments = parser.parse_args()
    generator = Generator.load(arguments.weights)
    benches = [open_bench(name, arguments.data / name, limit=arguments.count).subjects for name in arguments.sets]
    subjects = [one for each in zip_longest(*benches) for one in each if one is not None]
    # In turns of ten things, each beginning with the next colour: all pairs come before one comes again.
    turns = [(THINGS[i % len(THINGS)], COLOURS[(i + i // len(THINGS)) % len(COLOURS)]) for i in range(len(subjects))]
    common = [f"a {colour} {thing}" for thing, colour in turns]
    try:
        lpips = Lpips.load()
    except ViewmaskError as error:
        print(error, file=sys.stderr)
        lpips = None
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    records: list[Record] = (
        [json.loads(line) for line in arguments.out.read_text().splitlines()] if arguments.out.exists() else []
    )
    own = {"weights": generator.fingerprint, "draws": arguments.draws}
    records = [one for one in records if own.items() <= one.items()]
    done = {(one["kind"], one["setting"], one["id"]) for one in records}
    kinds = (
        ("picture", PICTURES, arguments.pictures),
        ("sentence", SENTENCES, arguments.sentences),
        ("mesh", PICTURES, arguments.meshes),
    )
    with arguments.out.open("a") as file:
        for number, subject in enumerate(subjects):
            asked = [(subject.id, subject.caption, subject), (common[number], common[number], None)]
            for kind, settings, names in kinds:
                for key, words, known in asked if kind == "sentence" else asked[:1]:
                    for name in dict.fromkeys(["exact", *names]) if names else ():
                        if (kind, name, key) in done:
                            continue
                        if kind == "picture":
                            figures = picture(generator, subject, settings[name], lpips)
                        elif kind == "mesh":
                            figures = mesh(generator, subject, settings[name])
                        else:
                            figures = sentence(generator, words, known, settings[name], arguments.draws)
                        records.append({"kind": kind, "setting": name, "id": key} | own | figures)
                        file.write(json.dumps(records[-1]) + "\n")
                        file.flush()
            print(f"{number + 1} of {len(subjects)}", file=sys.stderr, flush=True)
    print(f"Weights {generator.fingerprint}, {', '.join(arguments.sets)}. Intervals: {DEFINITION}.")
    for kind, settings, names in kinds:
        if names:
            table(kind, {name: settings[name] for name in dict.fromkeys(["exact", *names])}, records)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
