"""Where results go: names, what may be overwritten, and what was written last.

A small state file (`$XDG_STATE_HOME/viewmask/last.json`) remembers the files that viewmask wrote, and each terminal's
newest views, so that `viewmask reconstruct` finds these and never overwrites anything else than those.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
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
_SINCE = re.compile(r"mesh\.\w+|page\.html|turntable\.\w+")
_KEPT = 200
"""How many written files are remembered."""
_TERMINALS = 50
"""Of how many terminals the newest views are remembered."""


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


def spare(path: Path, inputs: Iterable[Path]) -> None:
    """Refuse to replace a folder that holds what is yet to be read.

    Raises:
        ViewmaskError: an input lies in it.
    """
    for each in inputs:
        if path.is_dir() and each.resolve().is_relative_to(path.resolve()):
            raise ViewmaskError(f"--force would remove {each}, which is to be read: choose another --out")


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


def made_since(path: Path, again: Collection[str] = ()) -> list[str]:
    """Files in a result's folder that were made of its views: meshes, pages, turntables; without names in `again`."""
    return sorted(file.name for file in path.rglob("*") if _SINCE.fullmatch(file.name) and file.name not in again)


def vacant(path: Path, making: Making, lost: Callable[[Path], list[str]] = made_since) -> Path:
    """The first of `path`, `path-2`, `path-3` ... that is free, or holds what was made the same way.

    `lost` names the files that would be lost if a folder was replaced; there must be none.
    """
    number, place = 1, path
    while True:
        there = held(place) if not place.exists() or place.is_dir() else "a file"
        if there is None or (
            isinstance(there, Making) and there.asks_as(making) and not (_strange(place) or lost(place))
        ):
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
    with contextlib.suppress(ViewmaskError, OSError), _alone():
        state = _state()
        fingerprints = state["files"]
        fingerprints |= {str(file.resolve()): _fingerprint(file) for file in files if file.is_file()}
        state["files"] = dict(list(fingerprints.items())[-_KEPT:])
        if views is not None:
            state["views"].pop(_terminal(), None)  # the newest stands last
            state["views"][_terminal()] = str(views.resolve())
            state["views"] = dict(list(state["views"].items())[-_TERMINALS:])
        atomic.write(_state_path(), json.dumps(state, indent=1))


def last_views() -> tuple[Path, str]:
    """The views that were written last from this terminal, and how they were made in brackets.

    Raises:
        ViewmaskError: there are none (any more).
    """
    known = _state()["views"]
    name = known.get(_terminal())
    if not name:
        elsewhere = f" (another terminal's are in {list(known.values())[-1]})" if known else ""
        raise ViewmaskError(
            f"no views were written yet in this terminal{elsewhere}: name a folder, or run "
            '`viewmask generate --text "a red chair"`'
        )
    path = Path(name)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    if not (path / TRANSFORMS).exists():
        raise ViewmaskError(f"the views written last, {path}, are gone: name a folder of posed views")
    how = held(path)
    return path, f" ({how})" if isinstance(how, Making) else ""


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Two commands that end at once both leave their trace."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    lock = _state_path().with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _terminal() -> str:
    """Names the terminal, or the script without one: the session, and when its leader began.

    Session numbers come again after a while; together with the start they do not.
    """
    if not hasattr(os, "getsid"):
        return os.environ.get("WT_SESSION", "")
    session = os.getsid(0)
    with contextlib.suppress(OSError, IndexError):
        return f"{session}-{Path(f'/proc/{session}/stat').read_text().rpartition(')')[2].split()[19]}"
    return str(session)


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
    return {name: state[name] if isinstance(state.get(name), dict) else {} for name in ("files", "views")}


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _state_path() -> Path:
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "viewmask" / "last.json"
