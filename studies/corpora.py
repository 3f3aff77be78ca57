"""Are other people's meshes drawn as they are meant? Contact sheets of a folder of meshes, and counts.

    python studies/corpora.py DIR --out OUT [--lenient] [--workers 2]

Every mesh below DIR is rendered into OUT; a second call goes on where the first ended. Sheets OUT/sheet-000.png ...
show a tile for each: what was drawn, beside it the sample's own picture where there is one (of the same name, or in a
folder `screenshot`), and its notes or the reason why it was refused. Look at them: what counts is what is wrong and has
no note. The counts are printed as a table.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parents[1]))  # `studies` is not installed

from render.run import render_orbits
from render.settings import Settings
from render.source import SUFFIXES, Source, find
from viewmask.errors import ViewmaskError
from viewmask.files import atomic

TILE, LINES, COLUMNS, ROWS = 160, 4, 8, 6
LABEL = 11 * LINES + 4
GROUND, GOOD, NOTED, BAD = "#c8ccd2", "#ffffff", "#fff0b8", "#f6cfc9"
PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp")


def main() -> None:
    """Render, draw the sheets, and print the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lenient", action="store_true")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    sources = find(options.folder)
    settings = Settings(
        views=1, size=TILE, start=30.0, elevation=20.0, distance=2.2, light="uniform", lenient=options.lenient
    )
    records = render_orbits(sources, options.out, settings, workers=options.workers, progress=_say)
    print(file=sys.stderr)
    tiles = [_tile(source, record, options) for source, record in zip(sources, records, strict=True)]
    for number in range(0, len(tiles), COLUMNS * ROWS):
        path = options.out / f"sheet-{number // (COLUMNS * ROWS):03}.png"
        atomic.write_with(path, _sheet(tiles[number : number + COLUMNS * ROWS]).save)
    print(table(sources, records))


def table(sources: list[Source], records: list[dict[str, Any]]) -> str:
    """Counts by format and outcome, in Markdown, and the reasons of what was refused."""
    counts: dict[str, Counter[str]] = {}
    for source, record in zip(sources, records, strict=True):
        counts.setdefault(source.file_type, Counter())[outcome(record)] += 1
    lines = ["| format | files | drawn | drawn with notes | refused |", "|---|---|---|---|---|"]
    total: Counter[str] = sum(counts.values(), Counter())
    rows = [(suffix.lstrip("."), counts.get(suffix.lstrip("."), Counter())) for suffix in SUFFIXES]
    for name, count in [*rows, ("all", total)]:
        if count:
            lines.append(f"| {name} | {count.total()} | {count['drawn']} | {count['noted']} | {count['refused']} |")
    lines += ["", *(f"refused  {record['id']}: {record['reason']}" for record in records if "reason" in record)]
    lines += [f"noted    {record['id']}: {'; '.join(record['notes'])}" for record in records if record.get("notes")]
    return "\n".join(lines)


def outcome(record: dict[str, Any]) -> str:
    """What became of a file: "drawn", "noted" (drawn with notes) or "refused"."""
    if record["status"] != "ok":
        return "refused"
    return "noted" if record.get("notes") else "drawn"


def screenshot(source: Source) -> Path | None:
    """The sample's own picture: beside it under its name, or in a folder `screenshot` there or one above."""
    beside = [source.path.with_suffix(suffix) for suffix in PICTURES]
    folders = [folder / "screenshot" for folder in (source.path.parent, source.path.parent.parent)]
    shots = [file for folder in folders if folder.is_dir() for file in sorted(folder.iterdir())]
    files = [*beside, *(file for file in shots if file.suffix.lower() in PICTURES)]
    return next((file for file in files if file.is_file()), None)


def _tile(source: Source, record: dict[str, Any], options: argparse.Namespace) -> Image.Image:
    kind = outcome(record)
    tile = Image.new("RGB", (TILE, TILE + LABEL), {"drawn": GOOD, "noted": NOTED, "refused": BAD}[kind])
    tile.paste(GROUND, (0, 0, TILE, TILE))
    text = "; ".join(record.get("notes", [])) or record.get("reason", "")
    if kind != "refused":
        picture = Image.open(options.out / source.id / "000.png").convert("RGBA")
        tile.paste(picture, (0, 0), picture)
    shot = screenshot(source)
    if shot is not None:
        try:
            small = Image.open(shot).convert("RGBA")
            small.thumbnail((TILE // 3, TILE // 3))
            tile.paste(small, (TILE - small.width, TILE - small.height), small)
        except (OSError, ValueError):
            text = f"{shot.name} is no picture; {text}"
    name = f"{source.id[-22:]}.{source.file_type}"
    lines = [name, *textwrap.wrap(text.replace(str(source.path), "..."), 28)][:LINES]
    ImageDraw.Draw(tile).multiline_text((2, TILE + 1), "\n".join(lines), fill="black", font_size=9, spacing=1)
    return tile


def _sheet(tiles: list[Image.Image]) -> Image.Image:
    rows = -(-len(tiles) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (TILE + 4), rows * (TILE + LABEL + 4)), "black")
    for index, tile in enumerate(tiles):
        row, column = divmod(index, COLUMNS)
        sheet.paste(tile, (column * (TILE + 4), row * (TILE + LABEL + 4)))
    return sheet


def _say(done: int, total: int) -> None:
    print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
