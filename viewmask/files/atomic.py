"""Writing so that nothing half-written ever stands under its final name.

A file or folder is made under a temporary name beside its target, synced, and renamed into place.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viewmask.errors import ViewmaskError


def write(path: str | Path, content: bytes | str) -> Path:
    """Write one file atomically.

    Args:
        path: final name; missing parent folders are made.
        content: bytes, or text written as UTF-8.

    Returns:
        The final path.
    """
    data = content.encode() if isinstance(content, str) else content
    return write_with(path, lambda temporary: temporary.write_bytes(data))


def write_with(path: str | Path, writer: Callable[[Path], Any]) -> Path:
    """Let `writer` fill a temporary file with the same suffix, then rename it to `path`.

    Raises:
        ViewmaskError: the disk is full or the folder cannot be written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise ViewmaskError(f"cannot write {path}: {error.strerror or error}") from error
    temporary = Path(name)
    try:
        writer(temporary)
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise ViewmaskError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def attempt(path: str | Path) -> None:
    """Try whether a file or folder of this name could be written, before the work that fills it; nothing stays.

    Raises:
        ViewmaskError: something that is no folder stands in the way, the disk refuses, or the name is too long.
    """
    name, path = str(path), Path(path).absolute()
    made: list[Path] = []
    try:
        place = path if path.is_dir() else path.parent
        for parent in (*reversed(place.parents), place):
            if not parent.exists():
                parent.mkdir()
                made.append(parent)
        path.exists()  # refuses a name that is too long
        with tempfile.TemporaryDirectory(prefix=f".{path.name[:40]}-", dir=place):
            pass
    except OSError as error:
        raise ViewmaskError(f"cannot write {name}: {error.strerror or error}") from error
    finally:
        for parent in reversed(made):
            with contextlib.suppress(OSError):
                parent.rmdir()


@contextmanager
def folder(path: str | Path, ours: str, force: bool = False) -> Iterator[Path]:
    """Fill a temporary folder that becomes `path` when the block ends without an error.

    Args:
        path: final folder name.
        ours: pattern of the names that such a folder holds. A folder with nothing else in it may be
            replaced; one with any other name is somebody's, and is left alone.
        force: replace whatever stands there.

    Raises:
        ViewmaskError: `path` holds something that we did not make, or the disk refuses.
    """
    path = Path(path)
    stranger = "" if force else strange(path, ours)
    if stranger:
        raise ViewmaskError(f"{stranger} was not made by viewmask: move it away, or choose another --out")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-", dir=path.parent))
    except OSError as error:
        raise ViewmaskError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _sync(file)
        temporary.chmod(0o777 & ~_umask())
        _replace_folder(temporary, path)
    except OSError as error:
        raise ViewmaskError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unfinished(name: str) -> str | None:
    """Of which file or folder a temporary name of this module is: the start of its name; None for any other name.

    Only a process that was killed leaves one.
    """
    match = re.fullmatch(r"\.(\..*|.*?)-(old-)?[a-z0-9_]{8}(\.[a-z0-9]+)?", name)
    return match[1] if match else None


def strange(path: Path, ours: str) -> str:
    """What stands at `path` that is not ours to replace: the file itself, or the first such name in the folder."""
    if not path.is_dir():
        return str(path) if path.exists() else ""
    names = (child.name for child in sorted(path.iterdir()))
    return next((str(path / name) for name in names if not re.fullmatch(ours, name)), "")


def _replace_folder(temporary: Path, path: Path) -> None:
    if path.is_dir():
        # A folder cannot be renamed over a filled one: the old one steps aside first.
        old = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}-old-", dir=path.parent))
        path.rename(old / path.name)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
        temporary.rename(path)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
