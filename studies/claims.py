"""The paper's claims about sampling, put to this project's weights on the `val` splits.

The paper says that the cosine schedule is best, that 20 steps suffice, and that a model of four views makes eight.

    python studies/claims.py --data DIR [--sets scans furniture objects] [--limit 26] [--out out/claims] [--weights DIR]

The claims are about the sampler, so views are as it leaves them (`viewmask.model.symmetry` is off).

Prints the tables of docs/results/sampler.md. Every difference is paired over the objects of all sets, with its
bootstrap interval, bold where it leaves zero out. What is done is kept in --out, with a report and its plots for each
set, so that a broken-off run goes on and other weights are measured anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eval.measure import Result, run
from eval.methods.method import Method, Sampling
from eval.report.report import of_sweep, write_report
from eval.report.table import COLUMNS, cell, heading
from eval.sweep import DEFINITION, Sweep, compare, run_sweep
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, ViewSet

METRICS = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
SCHEDULES, STEPS = ("cosine", "linear", "quadratic"), (4, 8, 12, 20)

Records = list[dict[str, Any]]
Row = list[str]


def swept(name: str, data: Path, limit: int, out: Path, weights: Path | None) -> Sweep:
    """Every schedule with every number of steps on one set, and its report."""
    choices = {"schedule": SCHEDULES, "steps": STEPS}
    print(f"{name}: {len(SCHEDULES)} schedules, {len(STEPS)} numbers of steps", file=sys.stderr)
    sweep = run_sweep(
        choices, name, data=data, limit=limit, meshes=False, out=out, progress=counted,
        sampling=Sampling(symmetry=False, weights=weights),
    )  # fmt: skip
    write_report(out / "report.html", of_sweep(sweep, out), sweep)
    return sweep


def asked_for(generator: Generator, name: str, steps: int = 20, views: int = 4, every: int = 1) -> Method:
    """The model asked for so many views, of which every `every`-th is scored."""
    about = {"model": generator.fingerprint, "steps": steps, "views": views, "every": every}

    def made(_: str, truth: ViewSet) -> list[Picture]:
        return generator.from_image(truth.images[0], views=views, steps=steps, symmetry=False).images[every::every]

    return Method(name, made, about)


def pooled(results: dict[str, Result], row: str | None = None) -> Records:
    """The records of all sets, or those of a trivial row beside them."""
    return [
        (record["beside"][row] if row else record) | {"id": f"{name}/{record['id']}"}
        for name, result in results.items()
        for record in result.records
    ]


def counted(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="\n" if done == total else "", file=sys.stderr)


# -- tables -----------------------------------------------------------------------------------------------


def table(title: str, first: str, rows: dict[str, Row]) -> None:
    print(f"\n{title}\n\n| {first} | {' | '.join(heading(metric) for metric in METRICS)} |")
    print(f"|---|{'---|' * len(METRICS)}")
    for label, cells in rows.items():
        print(f"| {label} | {' | '.join(cells)} |", flush=True)


def means(records: Records) -> Row:
    known = {metric: [record[metric] for record in records if record[metric] is not None] for metric in METRICS}
    return [cell({m: sum(values) / len(values) if values else None}, m) for m, values in known.items()]


def less(records: Records, others: Records) -> Row:
    """The mean differences of records from others, with their intervals."""
    found = {name: between for name, between in compare(others, records, METRICS).items() if between.low is not None}
    cells = []
    for metric in METRICS:
        if metric not in found:  # no weights of LPIPS, or a single object
            cells.append("–")
            continue
        digits, between = COLUMNS[metric][1], found[metric]
        words = f"{between.mean:+.{digits}f} [{between.low:+.{digits}f}, {between.high:+.{digits}f}]"
        cells.append(f"**{words}**" if between.sure else words)
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["scans", "furniture", "objects"])
    parser.add_argument("--limit", type=int, default=26, help="objects a set")
    parser.add_argument("--out", type=Path, default=Path("out/claims"))
    parser.add_argument("--weights", type=Path)
    asked = parser.parse_args()
    generator = Generator.load(asked.weights)
    sweeps = {name: swept(name, asked.data / name, asked.limit, asked.out / name, asked.weights) for name in asked.sets}

    def setting(schedule: str, steps: int) -> Records:
        chosen = {"schedule": schedule, "steps": steps}
        return pooled({name: sweep.results[sweep.settings.index(chosen)] for name, sweep in sweeps.items()})

    def measured(method: Method, views: int = 4, beside: Sequence[str] = ()) -> dict[str, Result]:
        print(method.name, file=sys.stderr)
        return {
            name: run(
                name, method, views=views, data=asked.data / name, limit=asked.limit, meshes=False, progress=counted,
                beside=beside, records=asked.out / f"{name}, {method.name}.jsonl",
            )
            for name in asked.sets
        }  # fmt: skip

    plain = setting("cosine", 20)
    print(f"Weights {generator.fingerprint}; {', '.join(asked.sets)}, {len(plain)} objects in all.")
    print(f"Intervals: {DEFINITION}.")

    others = [(schedule, steps) for schedule in SCHEDULES[1:] for steps in STEPS]
    rows = {f"{a}, {n} steps": less(setting(a, n), setting("cosine", n)) for a, n in others}
    table("Cosine is best? Other schedules less cosine, at the same number of steps.", "schedule", rows)

    more = pooled(measured(asked_for(generator, "40 steps", steps=40)))
    rows = {f"{n} steps": less(setting("cosine", n), plain) for n in STEPS[:-1]} | {"40 steps": less(more, plain)}
    table("20 steps suffice? Cosine, less 20 steps.", "steps", rows)

    among = pooled(measured(asked_for(generator, "3 of 8 views", views=8, every=2)))
    rows = {"made among 4": means(plain), "made among 8": means(among), "difference": less(among, plain)}
    table("Eight views from a model of four? The same views, 90, 180 and 270, made among four and eight.", "", rows)

    eight = measured(asked_for(generator, "8 views", views=8), views=8, beside=("copy", "mirror"))
    trivial = {row: pooled(eight, row) for row in ("copy", "mirror")}
    rows = {row: means(records) for row, records in trivial.items()} | {"8 views": means(pooled(eight))}
    rows |= {f"8 views less {row}": less(pooled(eight), records) for row, records in trivial.items()}
    table("All seven made views of eight.", "", rows)

    every = {f"{schedule}, {steps} steps": means(setting(schedule, steps)) for schedule in SCHEDULES for steps in STEPS}
    table("Means of every setting.", "setting", every)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
