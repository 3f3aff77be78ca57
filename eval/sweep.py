"""Ablations: a bench under many settings, each compared with the first setting over the same objects."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from eval.benches.bench import Bench
from eval.measure import Result, run
from eval.methods.method import TRIVIAL, Sampling
from eval.report.artefacts import safe
from eval.report.table import COLUMNS, cell, heading
from viewmask.errors import ViewmaskError
from viewmask.files import atomic

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

PARAMETERS: dict[str, Callable[[str], Any]] = {
    "schedule": str, "steps": int, "temperature": float, "guidance": float, "weights": Path,
    "views": int, "seed": int, "method": str,
}  # fmt: skip
RESAMPLES = 10_000
LEVEL = 0.95
DEFINITION = (
    f"the {LEVEL:.0%} percentile interval of the mean difference from the first setting, objects resampled "
    f"{RESAMPLES:,} times in pairs (Efron 1979), seed 0"
)

Setting = dict[str, Any]


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval.

    Attributes:
        mean: over the objects.
        low, high: the interval; None with fewer than two objects.
        objects: how many there are.
    """

    mean: float
    low: float | None
    high: float | None
    objects: int

    @property
    def sure(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass
class Sweep:
    """A bench under several settings.

    Attributes:
        settings: what was chosen for each, `{"schedule": "cosine", "steps": 4}`.
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
                    "setting": {name: _plain(value) for name, value in setting.items()},
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
        return atomic.write(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")

    def to_csv(self) -> str:
        """A line a setting and metric: mean, and the paired difference from the first setting with its interval."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        names = list(self.settings[0])
        writer.writerow([*names, "metric", "mean", "difference", "low", "high", "objects"])
        for setting, result, differences in zip(self.settings, self.results, self.differences(), strict=True):
            for metric, interval in differences.items():
                figures = [result.means[metric], interval.mean, interval.low, interval.high, interval.objects]
                writer.writerow([*(_plain(setting[name]) for name in names), metric, *figures])
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

    def table(self) -> Group:
        """A rich table: means, and below each the interval of its difference from the first setting."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        metrics = [m for m in self.results[0].means if any(result.means[m] is not None for result in self.results)]
        protocol = self.results[0].protocol
        grid = Table(title=f"{protocol['objects']}: scored against {protocol['truth']}", title_justify="left")
        for name in self.settings[0]:
            grid.add_column(name)
        for metric in metrics:
            grid.add_column(heading(metric), justify="right")
        blank = [""] * (len(self.settings[0]) - 1)
        for name, means in self.results[0].beside.items():
            grid.add_row(name, *blank, *(cell(means, metric) for metric in metrics), style="dim")
        for setting, result, differences in zip(
            self.settings, self.results, [{}, *self.differences()[1:]], strict=True
        ):
            cells = [
                Text(cell(result.means, metric)).append_text(_interval(metric, differences.get(metric)))
                for metric in metrics
            ]
            grid.add_row(*(str(_plain(value)) for value in setting.values()), *cells)
        notes = [f"Below each mean: {DEFINITION}; bold where it leaves zero out."]
        notes += self.cautions()
        notes += dict.fromkeys(note for result in self.results for note in result.notes)
        return Group(grid, *(Text(note, style="dim") for note in notes))


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
    return " ".join(f"{name}={_plain(value)}" for name, value in setting.items())


def run_sweep(
    swept: Mapping[str, Sequence[Any]],
    bench: str | Bench = "gso",
    method: str = "viewmask",
    *,
    views: int | None = None,
    seed: int = 0,
    sampling: Sampling | None = None,
    out: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Sweep:
    """Score every combination of `swept` (see `parse`); the trivial rows once per number of views.

    Args:
        bench, method, views, seed, sampling: as in `bench.run`, for what is not swept.
        out: a folder; each setting gets a folder in it, as `bench.run` writes it, and `sweep.json` stands beside them.
        progress: called with (objects done, of) over all settings.
        options: whatever else `bench.run` takes.

    Raises:
        ViewmaskError: as `bench.run`, or nothing to sweep.
    """
    settings = cross(swept)
    if not swept or not settings:
        raise ViewmaskError("there is nothing to sweep: give steps=4,8 or the like")
    known = {field.name for field in fields(Sampling)}
    results: list[Result] = []
    shown: set[int | None] = set()
    for index, setting in enumerate(settings):
        chosen = {name: value for name, value in setting.items() if name in known}
        count = setting.get("views", views)

        def report(done: int, total: int, before: int = index) -> None:
            if progress:
                progress(before * total + done, len(settings) * total)

        results.append(
            run(
                bench,
                setting.get("method", method),
                views=count,
                seed=setting.get("seed", seed),
                sampling=replace(sampling or Sampling(), **chosen),
                beside=() if count in shown else TRIVIAL,
                out=Path(out) / safe(title(setting)) if out is not None else None,
                progress=report,
                **options,
            )
        )
        shown.add(count)
    swept_over = Sweep(settings, results)
    if out is not None:
        swept_over.save(Path(out) / "sweep.json")
    return swept_over


def compare(
    first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]], metrics: Sequence[str]
) -> dict[str, Interval]:
    """Per metric, the paired difference second minus first over the objects (`id`) that both have a figure of."""
    known = {record["id"]: record for record in first}
    found = {}
    for metric in metrics:
        pairs = [
            record[metric] - known[record["id"]][metric]
            for record in second
            if record.get(metric) is not None and known.get(record["id"], {}).get(metric) is not None
        ]
        if pairs:
            found[metric] = bootstrap(pairs)
    return found


def bootstrap(values: ArrayLike, seed: int = 0, resamples: int = RESAMPLES, level: float = LEVEL) -> Interval:
    """The mean of values [n] with its percentile bootstrap interval (Efron 1979).

    For paired differences give the differences: resampling objects keeps the pairs.
    """
    array = np.asarray(values, dtype=np.float64)
    mean = float(array.mean())
    if len(array) < 2:
        return Interval(mean, None, None, len(array))
    drawn = np.random.default_rng(seed).integers(0, len(array), (resamples, len(array)))
    low, high = np.quantile(array[drawn].mean(axis=1), [(1 - level) / 2, (1 + level) / 2])
    return Interval(mean, float(low), float(high), len(array))


def _read(name: str, value: str) -> Any:
    try:
        return PARAMETERS[name](value.strip())
    except ValueError as error:
        raise ViewmaskError(f"{name}={value} is not a number") from error


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _interval(metric: str, interval: Interval | None) -> Text:
    from rich.text import Text

    if interval is None or interval.low is None or interval.high is None:
        return Text()
    digits = COLUMNS[metric][1] if metric in COLUMNS else 3
    words = f"\n{interval.low:+.{digits}f}…{interval.high:+.{digits}f}"
    return Text(words, style="bold" if interval.sure else "dim")
