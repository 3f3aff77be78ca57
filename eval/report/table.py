"""The table of a result: its row, the trivial rows beside it, and what papers report, marked as quoted."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eval.measure import METRICS, Means, Result

if TYPE_CHECKING:
    from rich.console import Group

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


@dataclass(frozen=True)
class Quoted:
    """A row that somebody else reports.

    Attributes:
        method: whose row.
        figures: as printed there.
        source: where it stands.
    """

    method: str
    figures: Means
    source: str


_PAPER = "ViewMask-1-to-3, arXiv 2512.14099, as summarised by readers"


def _quoted(method: str, psnr: float, ssim: float, chamfer: float | None = None, iou: float | None = None) -> Quoted:
    return Quoted(method, {"psnr": psnr, "ssim": ssim, "chamfer": chamfer, "iou": iou}, _PAPER)


PUBLISHED = {
    "gso": [
        _quoted("Zero-1-to-3", 18.82, 0.8294, 0.0163, 0.5665),
        _quoted("Zero-1-to-3 XL", 19.68, 0.8381),
        _quoted("ViVid-1-to-3", 19.80, 0.8566, 0.0163, 0.5841),
        Quoted("SyncDreamer", {"psnr": 20.1}, "SyncDreamer, arXiv 2309.03453, GSO-30, 16 views with the given one"),
        _quoted("ViewMask-1-to-3", 20.61, 0.8561, 0.0149, 0.5847),
    ],
    "3d-future": [
        _quoted("Zero-1-to-3", 17.05, 0.8163, 0.0113, 0.5005),
        _quoted("Zero-1-to-3 XL", 18.47, 0.8337),
        _quoted("ViVid-1-to-3", 18.32, 0.8437, 0.0105, 0.5246),
        _quoted("ViewMask-1-to-3", 19.99, 0.8650, 0.0106, 0.5315),
    ],
}
CAUTION = (
    "Quoted rows are not comparable to the digit: their objects, views and protocols differ from ours and from each "
    "other's, and are not published in full."
)


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


def _sentence(result: Result) -> str:
    azimuths = "/".join(f"{azimuth:g}" for azimuth in result.protocol["scored_azimuths"])
    meshes = result.counts["iou"]
    return (
        f"Azimuths {azimuths} from view 0, {result.protocol['size']} x {result.protocol['size']} on "
        f"{result.protocol['background']}, {len(result.records)} objects"
        + (f", {meshes} of them with meshes" if meshes else "")
        + f". Protocol {result.protocol['name']}: {result.protocol['source']}."
    )
