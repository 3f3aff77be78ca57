"""The tables of README.md and docs/, printed from the results files in docs/figures.

    python studies/tables.py            # prints every table
    python studies/tables.py --write    # puts them into the pages, between `<!-- table: NAME -->` and `<!-- end -->`

Results files are what the commands beside the tables wrote: `viewmask eval --json`, `studies/reconstruct.py --out`,
`studies/colours.py --out` and `studies/nouns.py --out`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from eval.report.table import COLUMNS
from viewmask.files import atomic

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "docs/figures"
PAGES = ("README.md", "docs/RESULTS.md", "docs/results/views.md", "docs/results/meshes.md")
IMAGES = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")
MESHES = {"iou": 3, "chamfer": 4, "fscore": 3, "normals": 3, "psnr": 2}
SLACK = 0.02  # how far below the hull's IoU an object may fall without being named
SETS = ("scans", "furniture", "objects")

Means = dict[str, float]
Record = dict[str, Any]
Rows = list[list[str]]


# -- results files ----------------------------------------------------------------------------------------


def views(name: str) -> dict[str, Means]:
    """Means of the views of one bench, by row: the trivial ones and the method measured."""
    result = json.loads((FIGURES / "views" / f"{name}.json").read_text())
    return result["beside"] | {result["method"]: {metric: result[metric] for metric in IMAGES}}


def records(name: str) -> list[Record]:
    """The lines of a JSON Lines file."""
    return [json.loads(line) for line in (FIGURES / f"{name}.jsonl").read_text().splitlines()]


def meshes(name: str, method: str, number: int = 4) -> list[Record]:
    """An object's mesh a record, of one method from so many views."""
    rows = [one for one in records(f"meshes/{name}") if one["method"] == method and one["views"] == number]
    assert rows, (name, method, number)
    return rows


def mean(rows: list[Record], metric: str) -> float | None:
    values = [row[metric] for row in rows if row.get(metric) is not None]
    return float(np.mean(values)) if values else None


def below(name: str, method: str, number: int = 4) -> list[tuple[str, float, float]]:
    """Objects whose IoU falls more than SLACK below the hull's, with both: the worst first."""
    hull = {row["object"]: row["iou"] for row in meshes(name, "hull", number)}
    lost = [(row["object"], row["iou"], hull[row["object"]]) for row in meshes(name, method, number)]
    return sorted((one for one in lost if one[1] < one[2] - SLACK), key=lambda one: one[1] - one[2])


def right(rows: list[Record]) -> int:
    """Sentences whose colour, or thing, is shown."""
    return sum(row["asked"] == row["shown"] for row in rows)


def things() -> tuple[list[Record], list[Record]]:
    """What the classifier says of true views of `val`, and of the views of sentences."""
    rows = records("sentences/nouns")
    true = [row for row in rows if row["row"].startswith("true views")]
    return true, [row for row in rows if row not in true]


# -- tables -----------------------------------------------------------------------------------------------


def grid(heading: str, rows: Rows) -> str:
    """A Markdown table."""
    lines = [f"| {heading} |", "|---" * len(heading.split(" | ")) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def image_cells(means: Means) -> list[str]:
    return [number(means[metric], COLUMNS[metric][1]) for metric in IMAGES]


def mesh_cells(name: str, method: str, views: int = 4) -> list[str]:
    rows = meshes(name, method, views)
    return [number(mean(rows, metric), digits) for metric, digits in MESHES.items()]


def status() -> str:
    """README: four rows."""
    ours, mirror = views("gso30")["viewmask"], views("gso30")["mirror"]
    photo = views("gso30-photo")["viewmask"]
    colours, (_, nouns) = records("sentences/colours"), things()
    field, hull = meshes("gso30", "field"), meshes("gso30", "hull", 16)
    fast = meshes("all48", "field")
    rows = [
        [
            "picture -> views",
            f"silhouette IoU {photo['silhouette_iou']:.3f} of a photo, {ours['silhouette_iou']:.3f} of a given view "
            f"(mirrored picture: {mirror['silhouette_iou']:.3f})",
            "GSO-30, true views",
        ],
        [
            "sentence -> views",
            f"colour right in {right(colours)} of {len(colours)}, thing in {right(nouns)} of {len(nouns)}",
            "common things, judged by colour distance and a classifier",
        ],
        [
            "views -> mesh",
            f"volume IoU {mean(field, 'iou'):.3f} from 4 views (hull from 16: {mean(hull, 'iou'):.3f})",
            "GSO-30, 28 objects, true views",
        ],
        [
            "speed",
            f"a mesh in {mean(fast, 'seconds'):.1f} s, {max(row['gib'] for row in fast):.2f} GiB",
            "48 objects, one CPU core",
        ],
    ]
    return grid("what | you get | measured on", rows)


def bars() -> str:
    """RESULTS: what was asked, what is reached."""
    ours = views("gso30")["viewmask"]
    val = {name: views(name) for name in SETS}
    iou = {name: mean(meshes(name, "field"), "iou") or 0 for name in ("gso30", "all48")}
    share = {name: (mean(meshes(name, "field"), "chamfer") or 0) / (mean(meshes(name, "hull"), "chamfer") or 1)
             for name in iou}  # fmt: skip
    lost = {name: [object_id for object_id, *_ in below(name, "field")] for name in iou}
    names = [object_id for objects in lost.values() for object_id in objects]
    fast = meshes("all48", "field")
    seconds, memory = mean(fast, "seconds") or 0, max(row["gib"] for row in fast)

    def listed(values: list[float], digits: int) -> str:
        return ", ".join(f"{value:.{digits}f}" for value in values)

    def row(bar: str, asked: list[float], values: list[float], digits: int, more: bool = True) -> list[str]:
        reached = [value >= limit if more else value <= limit for limit, value in zip(asked, values, strict=True)]
        verdict = "reached" if all(reached) else "**missed**" if not any(reached) else "**missed in part**"
        return [bar, listed(asked, digits), listed(values, digits), verdict]

    def above(metric: str, names: tuple[str, ...], digits: int) -> list[str]:
        words = {"silhouette_iou": "silhouette IoU", "foreground_psnr": "foreground PSNR, dB"}
        asked = [val[name]["mirror"][metric] for name in names]
        values = [val[name]["viewmask"][metric] for name in names]
        return row(f"`val`, above mirror: {words[metric]} ({', '.join(names)})", asked, values, digits)

    rows = [
        row("GSO-30 views: PSNR, dB", [17.0], [ours["psnr"]], 2),
        row("GSO-30 views: foreground PSNR, dB", [11.4], [ours["foreground_psnr"]], 2),
        row("GSO-30 views: silhouette IoU", [0.72], [ours["silhouette_iou"]], 3),
        above("silhouette_iou", SETS, 3),
        above("foreground_psnr", SETS[:2], 2),
        row("meshes from 4 true views: volume IoU (GSO-30, all 48)", [0.69, 0.74], [*iou.values()], 4),
        row("their Chamfer distance / the hull's (GSO-30, all 48)", [0.5, 0.5], [*share.values()], 3, more=False),
        [
            "objects more than 0.02 IoU below the hull (GSO-30, all 48)",
            "none, or named",
            ", ".join(str(len(objects)) for objects in lost.values()),
            f"named: {', '.join(names)}" if names else "reached",
        ],
        row("seconds of a mesh (asked: on two cores; measured on one)", [10], [seconds], 1, more=False),
        row("memory of a mesh, GiB", [3], [memory], 2, more=False),
    ]
    return grid("bar | asked | reached | verdict", rows)


def pictures() -> str:
    """RESULTS: views from a picture."""
    rows = [[name, *image_cells(means)] for name, means in views("gso30").items() if name != "viewmask"]
    rows.append(["**viewmask**, as a photo", *image_cells(views("gso30-photo")["viewmask"])])
    rows.append(["viewmask, from an unknown camera", *image_cells(views("gso30-camera")["viewmask"])])
    rows.append(["viewmask, given view", *image_cells(views("gso30")["viewmask"])])
    rows.append(["tokenizer (ceiling)", *image_cells(views("gso30-tokenizer")["tokenizer"])])
    return grid("row | PSNR dB | foreground dB | SSIM | silhouette IoU | LPIPS", rows)


def pictures_of_val() -> str:
    """results/views: the same of three further sets."""
    rows = [
        [name, row if row != "viewmask" else "**viewmask**", *image_cells(means)]
        for name in SETS
        for row, means in views(name).items()
    ]
    return grid("set | row | PSNR dB | foreground dB | SSIM | silhouette IoU | LPIPS", rows)


def sentences() -> str:
    """RESULTS: views from a sentence."""
    colours, (true, nouns) = records("sentences/colours"), things()

    def row(title: str, rows: list[Record], chance: str) -> list[str]:
        return [title, f"{right(rows)} of {len(rows)}", f"{right(rows) / len(rows):.2f}", chance]

    rows = [
        row("**colour** that the sentence names", colours, "0.10"),
        row("**thing** that the sentence names, 16 common ones", nouns, "0.06"),
        row("thing shown by true views of `val` objects", true, "0.06"),
    ]
    return grid("what is recognised | right | share | chance", rows)


def colours() -> str:
    """results/views: right sentences of each colour."""
    rows = records("sentences/colours")
    names = list(dict.fromkeys(row["asked"] for row in rows))
    counts = [str(right([row for row in rows if row["asked"] == name])) for name in names]
    agreed = mean(rows, "agreement")
    return grid(
        " | ".join([*names, "all", "views agree"]), [[*counts, f"{right(rows)} of {len(rows)}", number(agreed, 3)]]
    )


def nouns() -> str:
    """results/views: right sentences of each thing."""
    true, made = things()
    names = list(dict.fromkeys(row["asked"] for row in made))
    rows: Rows = []
    for name in names:
        parts = [[row for row in group if row["asked"] == name] for group in (made, true)]
        rows.append([name, *(f"{right(part)} of {len(part)}" for part in parts)])
    rows.append(["all", *(f"{right(part)} of {len(part)}" for part in (made, true))])
    return grid("thing | sentences | true views of `val`", rows)


def mesh() -> str:
    """RESULTS: meshes from four true views of GSO-30."""
    rows = [
        [title, str(count), *mesh_cells("gso30", method, count)]
        for title, method, count in (("hull", "hull", 4), ("hull", "hull", 16), ("**field** (default)", "field", 4))
    ]
    return grid("row | views | IoU | Chamfer | F-score | normals | PSNR dB", rows)


def by_views(name: str) -> str:
    """results/meshes: one bench from 4, 8 and 16 views."""
    rows = []
    for count in (4, 8, 16):
        for method in ("hull", "field"):
            lost = str(len(below(name, method, count))) if method == "field" else "–"
            rows.append([method, str(count), *mesh_cells(name, method, count), lost])
    return grid("row | views | IoU | Chamfer | F-score | normals | PSNR dB | below", rows)


def by_set(names: dict[str, str]) -> str:
    """results/meshes: several benches from four views."""
    rows = []
    for name, title in names.items():
        for method in ("hull", "field"):
            lost = str(len(below(name, method))) if method == "field" else "–"
            count = str(len(meshes(name, method)))
            rows.append([title, count, method, *mesh_cells(name, method), lost])
    return grid("set | objects | row | IoU | Chamfer | F-score | normals | PSNR dB | below", rows)


def six() -> str:
    """results/meshes: refining and nerfacto on six objects."""
    titles = {
        "hull": "hull", "hull+refine8": "hull, `--refine 8`", "field": "field",
        "field+refine8": "field, `--refine 8`", "nerfacto@500": "nerfacto, 500 steps",
    }  # fmt: skip
    rows = [
        [title, *mesh_cells("refine", method), number(mean(meshes("refine", method), "seconds"), 1)]
        for method, title in titles.items()
    ]
    return grid("row | IoU | Chamfer | F-score | normals | PSNR dB | s", rows)


def lost() -> str:
    """results/meshes: the objects behind the column `below`."""
    names = ("gso30", "all48", *SETS, "generated-gso30", "generated-scans", "generated-furniture")
    rows = [
        [name, str(count), object_id, number(iou, 3), number(hull, 3)]
        for name in names
        for count in sorted({row["views"] for row in records(f"meshes/{name}")})
        for object_id, iou, hull in below(name, "field", count)
    ]
    return grid("set | views | object | field | hull", rows)


TABLES: dict[str, Callable[[], str]] = {
    "status": status,
    "bars": bars,
    "pictures": pictures,
    "sentences": sentences,
    "meshes": mesh,
    "pictures of val": pictures_of_val,
    "colours": colours,
    "things": nouns,
    "GSO-30": lambda: by_views("gso30"),
    "all 48": lambda: by_views("all48"),
    "val": lambda: by_set({name: f"`val` {name}" for name in SETS}),
    "generated": lambda: by_set(
        {"generated-scans": "`val` scans", "generated-furniture": "`val` furniture", "generated-gso30": "GSO-30"}
    ),
    "six": six,
    "below the hull": lost,
}
MARKED = re.compile(r"(<!-- table: ([^\n]*?) -->\n).*?(<!-- end -->)", re.S)


def pages() -> dict[str, str]:
    """The text of every page with its tables as they are printed now."""
    return {
        page: MARKED.sub(lambda match: match[1] + TABLES[match[2]]() + "\n" + match[3], (ROOT / page).read_text())
        for page in PAGES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    if parser.parse_args().write:
        for page, text in pages().items():
            if text != (ROOT / page).read_text():
                print(atomic.write(ROOT / page, text).relative_to(ROOT))
        return
    for name, table in TABLES.items():
        print(f"{name}\n\n{table()}\n")


if __name__ == "__main__":
    main()
