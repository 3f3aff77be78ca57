"""Is the cosine schedule best, do 20 steps suffice, and does a model of four views make eight?

    python studies/claims.py --data DIR [--sets scans furniture objects] [--limit 26] [--out out/claims] [--weights DIR]

The paper claims all three. Here they are put to this project's weights on the `val` splits. The claims are about the
sampler, so views stay as it leaves them.

Prints the tables of docs/results/sampler.md. Every difference is paired over the objects of all sets, with its
bootstrap interval, bold where it leaves zero out. Results stay in --out, with a report and its plots for each set: a
run that was broken off goes on there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.benches import open_bench
from eval.intervals import DEFINITION, compare
from eval.measure import run
from eval.methods.method import Method, Options
from eval.report.page import of_sweep, write_report
from eval.report.table import cell, digits, heading
from eval.result import Result
from eval.scoring import Scoring
from eval.sweep import Sweep, run_sweep
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, ViewSet

METRICS = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
SCHEDULES, STEPS = ("cosine", "linear", "quadratic"), (4, 8, 12, 20)

Records = list[dict[str, Any]]
Row = list[str]


def sweep_of(name: str, data: Path, limit: int, out: Path, weights: Path | None) -> Sweep:
    """Every schedule with every number of steps on one set, and its report."""
    print(f"{name}: {len(SCHEDULES)} schedules, {len(STEPS)} numbers of steps", file=sys.stderr)
    sweep = run_sweep(
        {"schedule": SCHEDULES, "steps": STEPS},
        open_bench(name, data, limit=limit),
        scoring=Scoring(meshes=False),
        options=Options(symmetry=False, weights=weights),
        out=out,
        progress=count,
    )
    write_report(out / "report.html", of_sweep(sweep, out), sweep)
    return sweep


def model(generator: Generator, name: str, steps: int = 20, views: int = 4, every: int = 1) -> Method:
    """The model asked for so many views, of which every `every`-th is scored."""
    about = {"model": generator.fingerprint, "steps": steps, "views": views, "every": every}

    def sampled(_: str, truth: ViewSet) -> list[Picture]:
        made = generator.from_reference(truth.images[0], views=views, steps=steps, as_view=True, speed="exact")
        return made.images[every::every]

    return Method(name, sampled, about)


def pool(results: dict[str, Result], row: str | None = None) -> Records:
    """The records of all sets, or those of a trivial row beside them."""
    return [
        (record["beside"][row] if row else record) | {"id": f"{name}/{record['id']}"}
        for name, result in results.items()
        for record in result.records
    ]


def count(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr)


# -- tables -----------------------------------------------------------------------------------------------


def table(title: str, first: str, rows: dict[str, Row]) -> None:
    print(f"\n{title}\n\n| {first} | {' | '.join(heading(metric) for metric in METRICS)} |")
    print(f"|---|{'---|' * len(METRICS)}")
    for label, cells in rows.items():
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def means(records: Records) -> Row:
    figures = {metric: [record[metric] for record in records if record[metric] is not None] for metric in METRICS}
    return [cell({m: sum(values) / len(values) if values else None}, m) for m, values in figures.items()]


def less(records: Records, others: Records) -> Row:
    """The mean differences of records from others, with their intervals."""
    differences = compare(others, records, METRICS)
    cells = []
    for metric in METRICS:
        between = differences.get(metric)
        if between is None or between.low is None:  # no weights of LPIPS, or a single object
            cells.append("–")
            continue
        words = f"{between.mean:+.{digits(metric)}f} [{between.ends(digits(metric), ', ')}]"
        cells.append(f"**{words}**" if between.sure else words)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["scans", "furniture", "objects"])
    parser.add_argument("--limit", type=int, default=26, help="objects a set")
    parser.add_argument("--out", type=Path, default=Path("out/claims"))
    parser.add_argument("--weights", type=Path)
    arguments = parser.parse_args()
    generator = Generator.load(arguments.weights)
    sweeps = {
        name: sweep_of(name, arguments.data / name, arguments.limit, arguments.out / name, arguments.weights)
        for name in arguments.sets
    }

    def setting(schedule: str, steps: int) -> Records:
        place = next(iter(sweeps.values())).settings.index({"schedule": schedule, "steps": steps})
        return pool({name: sweep.results[place] for name, sweep in sweeps.items()})

    def measured(method: Method, views: int = 4, beside: Sequence[str] = ()) -> dict[str, Result]:
        print(method.name, file=sys.stderr)
        return {
            name: run(
                open_bench(name, arguments.data / name, limit=arguments.limit),
                method,
                Scoring(views=views, meshes=False, beside=beside),
                records=arguments.out / f"{name}, {method.name}.jsonl",
                progress=count,
            )
            for name in arguments.sets
        }

    plain = setting("cosine", 20)
    print(f"Weights {generator.fingerprint}; {', '.join(arguments.sets)}, {len(plain)} objects in all.")
    print(f"Intervals: {DEFINITION}.")

    others = [(schedule, steps) for schedule in SCHEDULES[1:] for steps in STEPS]
    rows = {f"{a}, {n} steps": less(setting(a, n), setting("cosine", n)) for a, n in others}
    table("Cosine is best? Other schedules less cosine, at the same number of steps.", "schedule", rows)

    more = pool(measured(model(generator, "40 steps", steps=40)))
    rows = {f"{n} steps": less(setting("cosine", n), plain) for n in STEPS[:-1]} | {"40 steps": less(more, plain)}
    table("20 steps suffice? Cosine, less 20 steps.", "steps", rows)

    among = pool(measured(model(generator, "3 of 8 views", views=8, every=2)))
    rows = {"made among 4": means(plain), "made among 8": means(among), "difference": less(among, plain)}
    table("Eight views from a model of four? The same views, 90, 180 and 270, made among four and eight.", "", rows)

    eight = measured(model(generator, "8 views", views=8), views=8, beside=("copy", "mirror"))
    trivial = {row: pool(eight, row) for row in ("copy", "mirror")}
    rows = {row: means(records) for row, records in trivial.items()} | {"8 views": means(pool(eight))}
    rows |= {f"8 views less {row}": less(pool(eight), records) for row, records in trivial.items()}
    table("All seven made views of eight.", "", rows)

    every = {f"{schedule}, {steps} steps": means(setting(schedule, steps)) for schedule in SCHEDULES for steps in STEPS}
    table("Means of every setting.", "setting", every)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
