"""Tables: a result with the trivial rows and what papers report beside it; a sweep with its intervals."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from eval.intervals import DEFINITION, Interval
from eval.report.literature import CAUTION, PUBLISHED
from eval.result import METRICS, Means, Result
from eval.sweep import Sweep, plain

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

# Column heading, digits, and whether more is better.
COLUMNS = {
    "psnr": ("PSNR dB", 2, True),
    "foreground_psnr": ("foreground dB", 2, True),
    "ssim": ("SSIM", 3, True),
    "silhouette_iou": ("silhouette IoU", 3, True),
    "lpips": ("LPIPS", 3, False),
    "chamfer": ("CD", 4, False),
    "fscore": ("F-score", 3, True),
    "iou": ("IoU", 3, True),
    "normals": ("normals", 3, True),
}


def table(results: Result | list[Result], published: bool = False) -> Group:
    """Results of one bench as a rich table, with their trivial rows and notes.

    Args:
        published: append the quoted rows, marked.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    results = [results] if isinstance(results, Result) else results
    protocol = results[0].protocol
    grid = Table(title=f"{protocol['objects']}: scored against {protocol['truth']}", title_justify="left")
    grid.add_column("method")
    for metric in COLUMNS:
        grid.add_column(heading(metric), justify="right")
    for name, means, style in rows(results):
        grid.add_row(name, *(cell(means, metric) for metric in METRICS), style=style)
    notes = [_sentence(results[0])]
    if published:
        grid.add_section()
        for quoted in PUBLISHED.get(protocol["bench"], []):
            grid.add_row(f"{quoted.method} (quoted)", *(cell(quoted.figures, m) for m in METRICS), style="italic dim")
        notes.append(CAUTION)
    notes += dict.fromkeys(note for result in results for note in result.notes)
    return Group(grid, *(Text(note, style="dim") for note in notes))


def sweep_table(sweep: Sweep) -> Group:
    """A sweep as a rich table: means, and below each the interval of its difference from the first setting."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    first = sweep.results[0]
    metrics = [m for m in first.means if any(result.means[m] is not None for result in sweep.results)]
    grid = Table(title=f"{first.protocol['objects']}: scored against {first.protocol['truth']}", title_justify="left")
    for name in sweep.settings[0]:
        grid.add_column(name)
    for metric in metrics:
        grid.add_column(heading(metric), justify="right")
    blank = [""] * (len(sweep.settings[0]) - 1)
    for name, means in first.beside.items():
        grid.add_row(name, *blank, *(cell(means, metric) for metric in metrics), style="dim")
    for setting, result, differences in zip(sweep.settings, sweep.results, [{}, *sweep.differences()[1:]], strict=True):
        cells = [
            Text(cell(result.means, metric)).append_text(_ends(metric, differences.get(metric))) for metric in metrics
        ]
        grid.add_row(*(str(plain(value)) for value in setting.values()), *cells)
    notes = [f"Below each mean: {DEFINITION}; bold where it leaves zero out."]
    notes += sweep.cautions()
    notes += dict.fromkeys(note for result in sweep.results for note in result.notes)
    return Group(grid, *(Text(note, style="dim") for note in notes))


def rows(results: list[Result]) -> list[tuple[str, Means, str]]:
    """Name, means and style of each measured row: trivial ones first, each once."""
    trivial = {name: means for result in reversed(results) for name, means in result.beside.items()}  # the first wins
    own = {result.method for result in results}
    return [(name, means, "dim") for name, means in trivial.items() if name not in own] + [
        (result.method, result.means, "bold") for result in results
    ]


def heading(metric: str) -> str:
    """The column heading of a metric, with an arrow to where it gets better."""
    words, _, more = COLUMNS.get(metric, (metric, 3, True))
    return f"{words} {'↑' if more else '↓'}"


def to_csv(results: Result | list[Result]) -> str:
    """A line an object and method, then a line with its mean (`object` says `mean`); trivial methods first."""
    results = [results] if isinstance(results, Result) else results
    metrics = list(results[0].means)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "object", *metrics])
    for name, means, _ in rows(results):
        for result in results:
            for record in result.records:
                figures = record if name == result.method else record["beside"].get(name)
                if figures is not None:
                    writer.writerow([name, record["id"], *(figures.get(metric) for metric in metrics)])
        writer.writerow([name, "mean", *(means.get(metric) for metric in metrics)])
    return text.getvalue()


def cell(means: Means, metric: str) -> str:
    """A figure with its digits, or a dash."""
    value = means.get(metric)
    return "–" if value is None else f"{value:.{COLUMNS[metric][1]}f}"


def digits(metric: str) -> int:
    """How many digits a figure is shown with."""
    return COLUMNS[metric][1] if metric in COLUMNS else 3


def _ends(metric: str, interval: Interval | None) -> Text:
    from rich.text import Text

    if interval is None or interval.low is None:
        return Text()
    return Text(f"\n{interval.ends(digits(metric))}", style="bold" if interval.sure else "dim")


def _sentence(result: Result) -> str:
    azimuths = "/".join(f"{azimuth:g}" for azimuth in result.protocol["scored_azimuths"])
    meshes = result.counts["chamfer"]
    return (
        f"Azimuths {azimuths} from view 0, {result.protocol['size']} x {result.protocol['size']} on "
        f"{result.protocol['background']}, {len(result.records)} objects"
        + (f", {meshes} of them with meshes" if meshes else "")
        + f". Protocol {result.protocol['name']}: {result.protocol['source']}."
    )
