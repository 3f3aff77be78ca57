"""Catalogues: what published lists say of objects (captions, licences, quality), and the objects of Objaverse.

The lists are read as their makers publish them:

- Objaverse (the `objaverse` package, its cache and its annotations; each object has a licence of its own)
- Cap3D: `Cap3D_automated_Objaverse_full.csv`, no header, uid and caption (github.com/crockwell/Cap3D)
- Objaverse++: `annotated_500k.json`, scores 0 to 3 and flags that are the strings "true" and "false"
- HSSD: `semantics/objects.csv` of hssd-hab, for the folder `objects/` of hssd-models; fronts are -Z there
"""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from render.source import Source
from viewmask.errors import ViewmaskError

SCORE = 2  # of 0 to 3: what Objaverse++'s makers train on
UNWANTED = ("is_scene", "is_multi_object", "is_transparent")


def objaverse(uids: str | Path) -> list[Source]:
    """The objects of a text file of Objaverse uids, one a line; `#` begins a comment.

    A mesh that is not in the package's cache is downloaded when its turn comes; so is the index at once.

    Raises:
        ViewmaskError: the package is absent, the file or Objaverse's index cannot be read, an unknown uid.
    """
    package = _package()
    lines = [line.split("#")[0].strip().removesuffix(".glb") for line in _text(uids).splitlines()]
    wanted = list(dict.fromkeys(line for line in lines if line))
    with _quiet(), _download("Objaverse's index"):
        paths = package._load_object_paths()
    unknown = [uid for uid in wanted if uid not in paths]
    if unknown:
        raise ViewmaskError(f"{len(unknown)} uids are not in Objaverse, the first is {unknown[0]}")
    with _quiet(), _download("Objaverse's annotations"):
        annotations = package.load_annotations(wanted)
    cache = Path(package._VERSIONED_PATH)
    return [Source(uid, cache / paths[uid], about=_annotated(annotations.get(uid, {})), uid=uid) for uid in wanted]


def download(uid: str) -> None:
    """Bring one object into the cache of the `objaverse` package.

    Raises:
        ViewmaskError: no network, or the object is gone.
    """
    with _quiet(), _download(f"{uid} of Objaverse"):
        _package().load_objects([uid])


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
    """Those sources that Objaverse++'s JSON gives at least `score`, and no flag of `UNWANTED`.

    Raises:
        ViewmaskError: the file is not a list of records with UID and score.
    """
    try:
        records = json.loads(_text(file))
        if not isinstance(records, list):
            raise TypeError(type(records).__name__)
        known = {str(record["UID"]): record for record in records}
        scores = {uid: int(record["score"]) for uid, record in known.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"{file} is not a list of Objaverse++ records with UID and score ({error!r})") from error
    kept = []
    for source in sources:
        record = known.get(source.id, {})
        flagged = any(str(record.get(flag)).lower() == "true" for flag in UNWANTED)
        if scores.get(source.id, -1) >= score and not flagged:
            style = {"style": record["style"]} if "style" in record else {}
            kept.append(_with(source, score=scores[source.id], **style))
    return kept


def hssd(sources: Sequence[Source], file: str | Path) -> list[Source]:
    """Those sources that HSSD's semantics CSV lists (not their parts and colliders), named and turned to the front.

    Raises:
        ViewmaskError: the file has no columns id and name.
    """
    rows = list(csv.DictReader(io.StringIO(_text(file))))
    if rows and not {"id", "name"} <= rows[0].keys():
        raise ViewmaskError(f"{file} has no columns id and name: it should be HSSD's semantics/objects.csv")
    known = {row["id"]: row for row in rows}
    kept = []
    for source in sources:
        row = known.get(source.id)
        if row:
            about: dict[str, Any] = {"license": "CC-BY-NC-4.0", "source": "HSSD"}
            if row["name"]:
                about["captions"] = [row["name"].strip()]
            if row.get("main_category"):
                about["category"] = row["main_category"]
            kept.append(replace(_with(source, **about), turn=180.0))
    return kept


def licensed(sources: Sequence[Source], wanted: Sequence[str]) -> list[Source]:
    """Those sources whose licence is one of `wanted` ("cc0", "cc-by" ...), whatever its version; unknown ones go."""
    names = {_licence(name) for name in wanted}
    return [source for source in sources if _licence(source.about.get("license")) in names]


def _licence(name: object) -> str:
    """One spelling for a licence: "by" (Objaverse), "CC-BY-4.0" and "cc_by" are "cc-by"."""
    words = re.sub(r"[\s_]+", "-", str(name or "").strip().lower())
    words = re.sub(r"-(universal|international|unported)$", "", re.sub(r"-?v?\d+(\.\d+)+", "", words))
    return words if not re.match(r"(by|nc|sa|nd)\b", words) else f"cc-{words}"


def _annotated(record: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"source": "Objaverse"}
    if record.get("license"):
        about["license"] = record["license"]
    if isinstance(record.get("user"), dict) and record["user"].get("username"):
        about["author"] = record["user"]["username"]
    if record.get("name"):
        about["captions"] = [record["name"]]
    return about


def _with(one: Source, **about: Any) -> Source:
    return replace(one, about=one.about | about)


def _text(file: str | Path) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ViewmaskError(f"cannot read {file}: {error}") from error


def _package() -> Any:
    if importlib.util.find_spec("objaverse") is None:
        raise ViewmaskError("uids of Objaverse need its package: pip install objaverse (the extra `objaverse`)")
    import objaverse

    return objaverse


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The package reports on standard output, which is ours for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _download(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError) as error:  # urllib's errors are OSErrors, a cut file is one of the others
        raise ViewmaskError(f"cannot get {what}: {error}") from error
