"""Where results go: names, what may be overwritten, and what was written last.

A small state file (`$XDG_STATE_HOME/viewmask/last.json`) remembers the newest views and the files that viewmask
wrote, so that `viewmask reconstruct` finds the one and never overwrites anything else than the others.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.record import json_text
from viewmask.views.conventions import MADE_BY, TRANSFORMS
from viewmask.views.making import KEY, Making

_VIEW = re.compile(r"\d{3,4}\.png")
_OURS = re.compile(
    r"\d{3,4}\.png|transforms\.json|sheet\.png|cutout\.png|mesh\.(glb|obj|mtl|ply|stl|3mf|png|npz)|page\.html|"
    r"turntable\.(gif|webp|mp4)"
)
_KEPT = 200
"""How many written files are remembered."""


def slug(sentence: str) -> str:
    """A folder name for a sentence: `A red chair!` gives `a-red-chair`."""
    words = re.findall(r"\w+", sentence.lower())
    return "-".join(words)[:60].strip("-") or "views"


def check_folder(path: Path, force: bool) -> None:
    """Refuse a folder that holds anything we do not write, or that cannot be written.

    Raises:
        ViewmaskError: `path` is a file, or holds something that is not ours, or the disk refuses.
    """
    atomic.attempt(path)
    if not path.exists():
        return
    if force:
        around = path.resolve()
        for precious in (Path.cwd(), Path.home()):
            if precious.is_relative_to(around):
                raise ViewmaskError(f"--force would remove {precious}: name a folder of its own with --out")
        return
    if not path.is_dir():
        raise ViewmaskError(f"{path} is a file: choose another --out, or pass --force to replace it")
    strange = _strange(path)
    if strange:
        raise ViewmaskError(f"{path} holds {strange}, not made by viewmask: choose another --out, or pass --force")


def held(path: Path) -> Making | str | None:
    """How the result that stands in a folder was made, in words if it does not tell; None if there is none."""
    if not path.is_dir():
        return None
    files = [path / TRANSFORMS, *sorted(path.glob(f"*/{TRANSFORMS}"))]
    record = next((_json(file) for file in files if file.exists()), None)
    if record is None:
        return "some files" if any(path.iterdir()) else None
    try:
        return Making.of(record.get(KEY))
    except ViewmaskError:
        return "of an earlier version"


def vacant(path: Path, making: Making) -> Path:
    """The first of `path`, `path-2`, `path-3` ... that is free, or holds what was made the same way."""
    number, place = 1, path
    while True:
        there = held(place) if not place.exists() or place.is_dir() else "a file"
        if there is None or (isinstance(there, Making) and there.asks_as(making) and not _strange(place)):
            return place
        number += 1
        place = path.with_name(f"{path.name}-{number}")


def clear(path: Path) -> None:
    """Remove what `check_folder` has allowed to be replaced."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def check_file(path: Path, force: bool) -> None:
    """Refuse a file that we did not write, or that somebody changed since, or that cannot be written.

    Raises:
        ViewmaskError: `path` is a folder or not ours, or the disk refuses.
    """
    atomic.attempt(path)
    if path.is_dir():
        raise ViewmaskError(f"{path} is a folder: --out names a file here")
    if force or not path.exists():
        return
    if _state()["files"].get(str(path.resolve())) != _fingerprint(path):
        raise ViewmaskError(f"{path} exists and was not made by viewmask: choose another --out, or pass --force")


def say(as_json: bool, record: dict[str, Any], files: Iterable[Path], facts: str = "") -> None:
    """Print the result on standard output: JSON, or one line that names what was written, and facts about it."""
    if as_json:
        print(json_text(record, indent=1))
        return
    names = [
        f"{file.parent}{os.sep}" if file.name == TRANSFORMS else str(file)
        for file in files
        if not _VIEW.fullmatch(file.name)
    ]
    print("wrote", " ".join(names) + (f" ({facts})" if facts else ""))


def remember(files: Iterable[Path] = (), views: Path | None = None) -> None:
    """Note what was written. A home that cannot be written is no reason to fail."""
    state = _state()
    fingerprints = state["files"]
    fingerprints |= {str(file.resolve()): _fingerprint(file) for file in files if file.is_file()}
    state["files"] = dict(list(fingerprints.items())[-_KEPT:])
    if views is not None:
        state["views"] = str(views.resolve())
    try:
        atomic.write(_state_path(), json.dumps(state, indent=1))
    except ViewmaskError:
        return


def last_views() -> Path:
    """The views written last.

    Raises:
        ViewmaskError: there are none (any more).
    """
    name = _state()["views"]
    if not name:
        raise ViewmaskError('no views were written yet: name a folder, or run `viewmask generate --text "a red chair"`')
    path = Path(name)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    if not (path / TRANSFORMS).exists():
        raise ViewmaskError(f"the views written last, {path}, are gone: name a folder of posed views")
    return path


def _strange(path: Path) -> str:
    """The first name in a folder that we would not write, or an empty string."""
    for entry in sorted(path.iterdir()):
        ours = entry.name.isdigit() and not _strange(entry) if entry.is_dir() else _OURS.fullmatch(entry.name)
        if not ours or (entry.name == TRANSFORMS and _json(entry).get("made_by") != MADE_BY):
            return entry.name
    return ""


def _fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _state() -> dict[str, Any]:
    state = _json(_state_path())
    files, views = state.get("files"), state.get("views")
    return {"files": files if isinstance(files, dict) else {}, "views": views if isinstance(views, str) else ""}


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _state_path() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "viewmask" / "last.json"
