"""Writing so that nothing half-written ever stands under its final name.

A file or folder is made under a temporary name beside its target, synced, and renamed into place.
"""

from __future__ import annotations

import os
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


@contextmanager
def folder(path: str | Path, marker: str, force: bool = False) -> Iterator[Path]:
    """Fill a temporary folder that becomes `path` when the block ends without an error.

    Args:
        path: final folder name.
        marker: a file that a folder made by us holds (`transforms.json`, `config.json`). A folder
            that has it, or that is empty, may be replaced; any other is left alone.
        force: replace whatever stands there.

    Raises:
        ViewmaskError: `path` holds something that we did not make, or the disk refuses.
    """
    path = Path(path)
    if path.exists() and not force and not replaceable(path, marker):
        raise ViewmaskError(f"{path} exists and was not made by viewmask: choose another --out, or pass --force")
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


def replaceable(path: Path, marker: str) -> bool:
    """Whether `path` is a folder that is empty or holds `marker`."""
    return path.is_dir() and ((path / marker).exists() or not any(path.iterdir()))


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
