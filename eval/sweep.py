"""Ablations: a bench under many settings, each compared with the first setting over the same objects."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from eval.artefacts import safe
from eval.benches import open_bench
from eval.benches.bench import Bench
from eval.intervals import DEFINITION, Interval, compare
from eval.measure import Progress, run
from eval.methods.method import Options
from eval.result import Result
from eval.scoring import Scoring
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.record import json_text

PARAMETERS: dict[str, Callable[[str], Any]] = {
    "speed": str, "schedule": str, "steps": int, "temperature": float, "guidance": float, "refine": int,
    "weights": Path, "views": int, "seed": int, "method": str,
}  # fmt: skip

Setting = dict[str, Any]


@dataclass
class Sweep:
    """A bench under several settings.

    Attributes:
        settings: the values of each, `{"schedule": "cosine", "steps": 4}`.
        results: what each scored.
    """

    settings: list[Setting]
    results: list[Result]

    def differences(self) -> list[dict[str, Interval]]:
        """Per setting and metric, the paired difference from the first setting over the objects that both have."""
        return [compare(self.results[0].records, result.records, list(result.means)) for result in self.results]

    def to_json(self) -> dict[str, Any]:
        """Settings with their means and intervals, then the full results."""
        return {
            "settings": [
                {
                    "setting": {name: plain(value) for name, value in setting.items()},
                    "means": result.means,
                    "differences": {metric: asdict(interval) for metric, interval in differences.items()},
                }
                for setting, result, differences in zip(self.settings, self.results, self.differences(), strict=True)
            ],
            "definition": DEFINITION,
            "results": [result.to_json() for result in self.results],
        }

    def save(self, path: str | Path) -> Path:
        """Write `to_json` to a file, atomically."""
        return atomic.write(path, json_text(self.to_json(), indent=1) + "\n")

    def to_csv(self) -> str:
        """A line a setting and metric: mean, and the paired difference from the first setting with its interval."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = list(self.settings[0])
        writer.writerow([*names, "metric", "mean", "difference", "low", "high", "objects"])
        for setting, result, differences in zip(self.settings, self.results, self.differences(), strict=True):
            for metric, interval in differences.items():
                figures = [result.means[metric], interval.mean, interval.low, interval.high, interval.objects]
                writer.writerow([*(plain(setting[name]) for name in names), metric, *figures])
        return text.getvalue()

    def cautions(self) -> list[str]:
        """What a reader of the intervals should know."""
        cautions = []
        if len({setting.get("views") for setting in self.settings}) > 1:
            cautions.append(
                "Settings of different numbers of views are scored on different views of the same objects; the trivial "
                "rows are those of the first setting."
            )
        if len(self.results[0].records) < 10:
            cautions.append(f"{len(self.results[0].records)} objects are too few for an interval to be trusted.")
        return cautions


def parse(words: Sequence[str]) -> dict[str, list[Any]]:
    """`["schedule=cosine,linear", "steps=4,8"]` to what is swept, in order.

    Raises:
        ViewmaskError: not of this form, an unknown parameter, a value that is none, or one twice.
    """
    swept: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        if not equals or not values:
            raise ViewmaskError(f"a sweep is written steps=4,8,12 and not {word!r}")
        if name not in PARAMETERS:
            raise ViewmaskError(f"there is no parameter {name!r} to sweep: choose {', '.join(PARAMETERS)}")
        if name in swept:
            raise ViewmaskError(f"{name} is swept twice: give all its values at once, {name}=...")
        swept[name] = [_read(name, value) for value in values.split(",")]
        if len(set(swept[name])) < len(swept[name]):
            raise ViewmaskError(f"{word} names a value twice")
    return swept


def cross(swept: Mapping[str, Sequence[Any]]) -> list[Setting]:
    """Every combination, the last parameter running fastest."""
    return [dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())]


def title(setting: Setting) -> str:
    """`schedule=cosine steps=4`."""
    return " ".join(f"{name}={plain(value)}" for name, value in setting.items())


def run_sweep(
    swept: Mapping[str, Sequence[Any]],
    bench: str | Bench = "gso",
    method: str = "viewmask",
    scoring: Scoring | None = None,
    options: Options | None = None,
    *,
    out: str | Path | None = None,
    workers: int | None = None,
    lpips_weights: str | Path | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Score every combination of `swept` (see `parse`); the trivial rows once per number of views.

    Args:
        bench, method, scoring, options: as in `measure.run`, for what is not swept.
        out: a folder; each setting gets a folder in it, as `measure.run` writes it, and `sweep.json` stands beside.
        workers, lpips_weights: as in `measure.run`.
        progress: called with (objects done, of) over all settings.

    Raises:
        ViewmaskError: as `measure.run`, or nothing to sweep.
    """
    settings = cross(swept)
    if not swept or not settings:
        raise ViewmaskError("there is nothing to sweep: give steps=4,8 or the like")
    bench = open_bench(bench) if isinstance(bench, str) else bench
    results: list[Result] = []
    orbits: set[int | None] = set()  # numbers of views whose trivial rows there are
    for index, setting in enumerate(settings):
        judged = _changed(scoring or Scoring(), setting)
        judged = replace(judged, beside=()) if judged.views in orbits else judged

        def report(done: int, total: int, before: int = index) -> None:
            if progress:
                progress(before * total + done, len(settings) * total)

        result = run(
            bench,
            setting.get("method", method),
            judged,
            _changed(options or Options(), setting),
            out=Path(out) / safe(title(setting)) if out is not None else None,
            workers=workers,
            lpips_weights=lpips_weights,
            progress=report,
        )
        results.append(result)
        orbits.add(judged.views)
    sweep = Sweep(settings, results)
    if out is not None:
        sweep.save(Path(out) / "sweep.json")
    return sweep


def _changed(knobs: Any, setting: Setting) -> Any:
    """Options or scoring with the values that a setting has for them."""
    names = {field.name for field in fields(knobs)}
    return replace(knobs, **{name: value for name, value in setting.items() if name in names})


def plain(value: Any) -> Any:
    """A value as JSON and CSV hold it."""
    return str(value) if isinstance(value, Path) else value


def _read(name: str, value: str) -> Any:
    try:
        return PARAMETERS[name](value.strip())
    except ValueError as error:
        raise ViewmaskError(f"{name}={value} is not a number") from error
