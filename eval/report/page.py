"""One HTML file that shows a run: table, protocol, every object's views and meshes, plots of a sweep. Works offline.

Pictures are small WebP data URIs; a mesh is a few thousand triangles, compressed, and comes to life in the viewer of
`recon/page.html` when its picture is clicked: one at a time, because a browser keeps only some sixteen.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eval import intervals
from eval.artefacts import TRUTH, Artefacts, safe
from eval.intervals import Interval
from eval.proxy import proxy
from eval.report import plot
from eval.report.literature import CAUTION, PUBLISHED
from eval.report.table import COLUMNS, cell, digits, heading, rows
from eval.result import Result
from eval.sweep import Sweep, title
from recon.page import page_data, picture_uri, template
from viewmask.files import atomic
from viewmask.views.camera import Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import Picture, ViewSet, composite, resize

_TEMPLATE = Path(__file__).with_name("page.html")
SIZE = 160  # pixels of a view
FACES, TEXTURE = 4000, 256  # of a mesh
ERROR = 0.5  # the mean difference of a pixel's channels that is shown darkest


@dataclass(frozen=True)
class Shown:
    """A result with its pictures.

    Attributes:
        label: names it beside others.
        result: its figures.
        artefacts: where its views and meshes are, if anywhere.
    """

    label: str
    result: Result
    artefacts: Artefacts | None = None


def of_result(result: Result, folder: str | Path) -> list[Shown]:
    """What `measure.run(..., out=folder)` left."""
    return [Shown(result.method, result, Artefacts(Path(folder), result.method))]


def of_sweep(sweep: Sweep, folder: str | Path) -> list[Shown]:
    """What `run_sweep(..., out=folder)` left."""
    return [
        Shown(title(setting), result, Artefacts(Path(folder) / safe(title(setting)), result.method))
        for setting, result in zip(sweep.settings, sweep.results, strict=True)
    ]


def write_report(
    path: str | Path,
    shown: Sequence[Shown],
    sweep: Sweep | None = None,
    published: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the report.

    Args:
        shown: results of one bench; the first one's meshes are in the file too.
        sweep: adds its plots, and intervals to the table.
        published: adds the rows that papers report, marked as quoted.
        progress: called with (objects done, of).

    Raises:
        ViewmaskError: views are missing or unreadable, or the disk refuses.
    """
    first = shown[0].result
    sections = []
    for index, record in enumerate(first.records):
        sections.append(_section(record["id"], shown))
        if progress:
            progress(index + 1, len(first.records))
    name = f"{first.protocol['bench']}: {first.method}" if sweep is None else f"{first.protocol['bench']}: sweep"
    metrics = [metric for metric in first.means if any(record.get(metric) is not None for record in first.records)]
    parts = {
        "title": escape(name),
        "about": escape(f"{first.protocol['objects']}, scored against {first.protocol['truth']}"),
        "table": _table(shown, sweep, published),
        "plots": plot.panels(sweep) if sweep is not None else "",
        "protocol": _protocol({_words(key): value for key, value in first.protocol.items()}),
        "measured": "" if sweep is None else f"of {escape(shown[0].label)}; the others differ in what is swept",
        "metrics": "".join(f'<option value="{escape(m)}">{escape(heading(m))}</option>' for m in metrics),
        "objects": "".join(sections),
        # "</script>" must not end the script that holds it.
        "viewer": json.dumps(template()).replace("</", "<\\/"),
    }
    page = _TEMPLATE.read_text(encoding="utf-8")
    return atomic.write(path, re.sub(r"\{\{(\w+)\}\}", lambda word: parts[word[1]], page))


# -- the table --------------------------------------------------------------------------------------------


def _table(shown: Sequence[Shown], sweep: Sweep | None, published: bool) -> str:
    results = [one.result for one in shown]
    columns = [metric for metric in COLUMNS if any(result.means.get(metric) is not None for result in results)]
    lines = [
        _row(name, [cell(means, m) for m in columns], "trivial") for name, means, kind in rows(results) if kind == "dim"
    ]
    differences = [{}, *sweep.differences()[1:]] if sweep is not None else [{} for _ in shown]
    for one, difference in zip(shown, differences, strict=True):
        cells = [cell(one.result.means, m) + _between(m, difference.get(m)) for m in columns]
        lines.append(_row(one.label, cells, "own"))
    notes = list(dict.fromkeys(note for result in results for note in result.notes))
    if sweep is not None:
        notes = [f"Below each mean: {intervals.DEFINITION}; bold where it leaves zero out.", *sweep.cautions(), *notes]
    if published:
        lines += [
            _row(f"{quoted.method} (quoted)", [cell(quoted.figures, m) for m in columns], "quoted")
            for quoted in PUBLISHED.get(results[0].protocol["bench"], [])
        ]
        notes.append(CAUTION)
    head = "".join(f"<th>{escape(heading(metric))}</th>" for metric in columns)
    below = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>{below}"


def _row(label: str, cells: list[str], kind: str) -> str:
    return f'<tr class="{kind}"><th>{escape(label)}</th>{"".join(f"<td>{words}</td>" for words in cells)}</tr>'


def _between(metric: str, interval: Interval | None) -> str:
    if interval is None or interval.low is None:
        return ""
    return f'<small class="{"sure" if interval.sure else ""}">{interval.ends(digits(metric))}</small>'


def _words(key: str) -> str:
    return "protocol" if key == "name" else key.replace("_", " ")


def _protocol(value: Any) -> str:
    """A protocol in words: nested definition lists, the long ones folded away."""
    if isinstance(value, dict):
        entries = []
        for key, inner in value.items():
            words = _protocol(inner)
            if isinstance(inner, dict) and len(inner) > 4:
                words = f"<details><summary>{len(inner)} entries</summary>{words}</details>"
            entries.append(f"<dt>{escape(str(key))}</dt><dd>{words}</dd>")
        return f"<dl>{''.join(entries)}</dl>"
    if isinstance(value, (list, tuple)):
        return escape(", ".join(str(item) for item in value))
    return escape(f"{value:g}" if isinstance(value, float) else str(value))


# -- one object -------------------------------------------------------------------------------------------


def _section(subject: str, shown: Sequence[Shown]) -> str:
    records = [next((r for r in one.result.records if r["id"] == subject), {}) for one in shown]
    data = "".join(f' data-{m}="{records[0][m]:.6g}"' for m in COLUMNS if records[0].get(m) is not None)
    truth = _views(shown[0].artefacts, subject, TRUTH)
    parts = []
    if truth is not None and shown[0].artefacts is not None:
        mesh = shown[0].artefacts.mesh(subject, TRUTH)
        parts.append(_strip("truth", "", truth, truth.images, mesh, f"{subject}, truth"))
    for index, one in enumerate(shown):
        views = _views(one.artefacts, subject, None)
        if views is None or one.artefacts is None:
            continue
        own = one.artefacts.mesh(subject) if index == 0 else None
        name = f"{subject}, {one.label}"
        parts.append(_strip(one.label, _figures(records[index]), views, views.images, own, name))
        if len(shown) == 1 and truth is not None:
            errors = [error_map(a, b) for a, b in zip(truth.images, views.images, strict=True)]
            parts.append(_strip("error", f"mean difference of the channels, 0 to {ERROR:g}", views, errors))
    return f"<article{data}><h3>{escape(subject)}</h3>{''.join(parts)}</article>"


def _figures(record: dict[str, Any]) -> str:
    words = [f"{COLUMNS[metric][0]} {cell(record, metric)}" for metric in COLUMNS if record.get(metric) is not None]
    if "mesh_error" in record:
        words.append(f"no mesh: {record['mesh_error']}")
    return "   ".join(words)


def _views(artefacts: Artefacts | None, subject: str, whose: str | None) -> ViewSet | None:
    if artefacts is None or not (artefacts.place(subject, whose) / TRANSFORMS).is_file():
        return None
    return ViewSet.load(artefacts.place(subject, whose))


def _strip(
    label: str, words: str, views: ViewSet, pictures: Sequence[Picture], mesh: Path | None = None, name: str = ""
) -> str:
    """One row of pictures with their azimuths, and the mesh's picture at its end."""
    cells = []
    for picture, camera in zip(pictures, views.cameras, strict=True):
        small = Image.fromarray(resize(picture, SIZE))
        ground = Image.new("RGB", small.size, "white")
        ground.paste(small, (0, 0), small)
        uri = picture_uri(ground, "WEBP", quality=80)
        angles = f'data-azimuth="{camera.azimuth:.4g}" data-elevation="{camera.elevation:.4g}"'
        cells.append(
            f'<figure><img loading="lazy" decoding="async" alt="" {angles} src="{uri}">'
            f"<figcaption>{camera.azimuth % 360:.0f}°</figcaption></figure>"
        )
    if mesh is not None and mesh.is_file():
        cells.append(_mesh(mesh, name))
    return (
        f'<div class="strip"><h4>{escape(label)} <span>{escape(words)}</span></h4>'
        f'<div class="views">{"".join(cells)}</div></div>'
    )


def _mesh(path: Path, name: str) -> str:
    """The picture of a mesh, and the mesh itself, light and asleep."""
    from render.raycast import render
    from render.surface import GLTF_TO_WORLD, Surface

    full = Surface.load(path, transform=GLTF_TO_WORLD)
    light = proxy(full, FACES, TEXTURE)
    facts = [f"shown with {len(light.faces):,} of {len(full.faces):,} triangles"]
    data = json.dumps(page_data(light, ViewSet([], [])) | {"facts": facts}, separators=(",", ":"))
    packed = base64.b64encode(zlib.compress(data.encode(), 9)).decode()
    [picture] = render(full, [Camera.on_sphere(35, 22, 1.7, size=SIZE)], light="studio", samples=2)
    uri = picture_uri(Image.fromarray(picture), "WEBP", quality=80)
    return (
        f'<figure><button class="mesh" title="Turn this mesh" data-name="{escape(name)}">'
        f'<img loading="lazy" decoding="async" alt="The mesh" src="{uri}"></button><figcaption>mesh</figcaption>'
        f'<script type="text/plain">{packed}</script></figure>'
    )


def error_map(truth: Picture, view: Picture) -> Picture:
    """Where a view differs from the truth: mean over channels, on white, pale yellow to dark red; RGBA."""
    error = np.abs(composite(resize(view, truth.shape[0])) - composite(truth)).mean(axis=-1)
    level = np.clip(error / ERROR, 0, 1)
    colour = np.stack([np.interp(level, _STOPS, channel) for channel in np.transpose(_RAMP)], axis=-1)
    alpha = np.full((*level.shape, 1), 255.0)
    return np.concatenate([colour, alpha], axis=-1).round().astype(np.uint8)


_STOPS = [0.0, 0.15, 0.4, 0.7, 1.0]
_RAMP: NDArray[Any] = np.array([[255, 255, 255], [255, 226, 140], [246, 138, 60], [189, 32, 54], [70, 5, 40]])
