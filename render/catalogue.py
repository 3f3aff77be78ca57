"""Catalogues: what published lists say of objects (captions, licences, quality).

The lists are read as their makers publish them:

- Cap3D: `Cap3D_automated_Objaverse_full.csv`, no header, uid and caption (github.com/crockwell/Cap3D)
- Objaverse++: `annotated_500k.json`, scores 0 to 3 and flags that are the strings "true" and "false"
- HSSD: `semantics/objects.csv` of hssd-hab, for the folder `objects/` of hssd-models; fronts are -Z there
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from render.source import Source
from viewmask.errors import ViewmaskError

SCORE = 2  # of 0 to 3: what Objaverse++'s makers train on
UNWANTED = ("is_scene", "is_multi_object", "is_transparent")


def captioned(sources: Sequence[Source], file: str | Path) -> list[Source]:
    """The sources with captions from a CSV file of ids and captions without header (Cap3D); others stay as they are.

    Raises:
        ViewmaskError: the file cannot be read, or a line has no two columns.
    """
    captions: dict[str, list[str]] = {}
    for number, row in enumerate(csv.reader(io.StringIO(_text(file))), start=1):
        if row and len(row) < 2:
            raise ViewmaskError(f"{file}, line {number}: not an id and a caption")
        if row:
            captions.setdefault(row[0], []).append(row[1].strip())
    return [_with(source, captions=captions[source.id]) if source.id in captions else source for source in sources]


def rated(sources: Sequence[Source], file: str | Path, score: int = SCORE) -> list[Source]:
    """The sources that Objaverse++'s JSON gives at least `score`, and no flag of `UNWANTED`.

    Raises:
        ViewmaskError: the file is not a list of records with UID and score.
    """
    try:
        records = json.loads(_text(file))
        if not isinstance(records, list):
            raise TypeError(type(records).__name__)
        ratings = {str(record["UID"]): record for record in records}
        scores = {uid: int(rating["score"]) for uid, rating in ratings.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"{file} is not a list of Objaverse++ records with UID and score ({error!r})") from error
    kept = []
    for source in sources:
        rating = ratings.get(source.id, {})
        flagged = any(str(rating.get(flag)).lower() == "true" for flag in UNWANTED)
        if scores.get(source.id, -1) >= score and not flagged:
            style = {"style": rating["style"]} if "style" in rating else {}
            kept.append(_with(source, score=scores[source.id], **style))
    return kept


def hssd(sources: Sequence[Source], file: str | Path) -> list[Source]:
    """The sources that HSSD's semantics CSV lists (not parts and colliders), with names, and turned to the front.

    Raises:
        ViewmaskError: the file has no columns id and name.
    """
    table = list(csv.DictReader(io.StringIO(_text(file))))
    if table and not {"id", "name"} <= table[0].keys():
        raise ViewmaskError(f"{file} has no columns id and name: it should be HSSD's semantics/objects.csv")
    rows = {row["id"]: row for row in table}
    kept = []
    for source in sources:
        row = rows.get(source.id)
        if row:
            about: dict[str, Any] = {"license": "CC-BY-NC-4.0", "source": "HSSD"}
            if row["name"]:
                about["captions"] = [row["name"].strip()]
            if row.get("main_category"):
                about["category"] = row["main_category"]
            kept.append(replace(_with(source, **about), turn=180.0))
    return kept


def licensed(sources: Sequence[Source], licences: Sequence[str]) -> list[Source]:
    """The sources under one of these licences ("cc0", "cc-by" ...), of any version; those without a licence go."""
    names = {_licence(name) for name in licences}
    return [source for source in sources if _licence(source.about.get("license")) in names]


def _licence(name: object) -> str:
    """One spelling for a licence: "by" (Objaverse), "CC-BY-4.0" and "cc_by" are "cc-by"."""
    words = re.sub(r"[\s_]+", "-", str(name or "").strip().lower())
    words = re.sub(r"-(universal|international|unported)$", "", re.sub(r"-?v?\d+(\.\d+)+", "", words))
    return words if not re.match(r"(by|nc|sa|nd)\b", words) else f"cc-{words}"


def _with(one: Source, **about: Any) -> Source:
    return replace(one, about=one.about | about)


def _text(file: str | Path) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ViewmaskError(f"cannot read {file}: {error}") from error
