"""What do odd azimuths in training bring? Two transformers from nothing, one of which saw every second view alone.

    python studies/orbits.py TOKENS ... --data DATA [--steps 1200] [--limit 13] [--compile] [--out out/orbits]

A quarter of our I2MV batches show any azimuths of an orbit, not every second one. So "eight views from a model of
four" is no extrapolation. Here one run keeps to that rule and the other to the paper's; all else is alike. Both are
then asked for four and for eight views of `val` objects, and for the loss of hidden `val` tokens at such azimuths. The
network is young: the table tells what the rule changes, not how good either is. Runs lie in --out, and go on there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from eval.benches import open_bench
from eval.measure import run as measure
from eval.scoring import Scoring
from studies.claims import less, means, model, pool, table
from viewmask import Generator
from viewmask.learning.trainer import CHECKPOINT, EXPORT
from viewmask.train import masked
from viewmask.train.masked import Masked, Mixture
from viewmask.train.run import Run
from viewmask.train.tokens import tokens_of

RULES = {"any azimuths in a quarter": Mixture(i2mv=1.0), "every second view alone": Mixture(i2mv=1.0, odd_orbits=0.0)}


def trained(name: str, tokens: list[str], steps: int, out: Path, compiled: bool) -> Path:
    """The exported weights of a run under one rule."""
    masked.MIXTURES["i2mv"] = RULES[name]
    here = out / name.replace(" ", "-")
    if not (here / EXPORT).exists():
        resume = (here / CHECKPOINT).exists()
        masked.train("i2mv", tokens, Run(here, steps=steps, resume=resume, progress=told, compiled=compiled))
    return here / EXPORT


def told(step: int, steps: int, figures: dict[str, float]) -> None:
    """Progress, now and then."""
    if step % 50 == 0:
        print(f"step {step} of {steps}, loss {figures['loss']:.3f}", file=sys.stderr, flush=True)


def losses(generator: Generator, tokens: list[str], batches: int = 12) -> list[str]:
    """Loss of hidden `val` tokens, nats: four views every second, four at any azimuths, all eight."""
    weights = generator.weights
    unseen = tokens_of(tokens, weights.tokenizer)[1]
    assert unseen is not None, "the tokens hold no rows of the split val"
    cells = []
    for odd, views in ((0.0, 4), (1.0, 4), (0.0, 8)):
        mixture = Mixture(i2mv=1.0, dropped=0.0, captioned=0.0, odd_orbits=odd)
        task = Masked(unseen, mixture, weights.lexicon.vocabulary, torch.device("cpu"), views)
        judge = masked.validation(task, batches)
        assert judge is not None
        cells.append(f"{judge(weights.transformer)['val']:.3f}")
    return cells


def main() -> None:
    """Train both, then print the losses and the tables of made views."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokens", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["scans", "furniture", "objects"])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--limit", type=int, default=13, help="objects a set")
    parser.add_argument(
        "--compile", action="store_true", help="a step then takes half of the time; it needs a compiler"
    )
    parser.add_argument("--out", type=Path, default=Path("out/orbits"))
    arguments = parser.parse_args()
    generators = {
        name: Generator.load(trained(name, arguments.tokens, arguments.steps, arguments.out, arguments.compile))
        for name in RULES
    }
    print("\n| rule | four views, every second | four, any azimuths | all eight |\n|---|---|---|---|")
    for name, generator in generators.items():
        print(f"| {name} | {' | '.join(losses(generator, arguments.tokens))} |", flush=True)
    for title, views, every in (
        ("Three made views of four", 4, 1), ("The same three of eight", 8, 2), ("All seven of eight", 8, 1),
    ):  # fmt: skip
        records = {}
        for name, generator in generators.items():
            method = model(generator, f"{views} views, every {every}", views=views, every=every)
            results = {
                kind: measure(
                    open_bench(kind, arguments.data / kind, limit=arguments.limit),
                    method,
                    Scoring(views=views // every, meshes=False, beside=()),
                    records=arguments.out / f"{kind}, {name}, {method.name}.jsonl",
                )
                for kind in arguments.sets
            }
            records[name] = pool(results)
        first, second = records
        rows = {name: means(rows) for name, rows in records.items()}
        table(title, "rule", rows | {"difference": less(records[second], records[first])})


if __name__ == "__main__":
    main()
