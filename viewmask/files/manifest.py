"""A manifest: JSON Lines, one record an object, appended and synced, so that a killed run resumes."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

from viewmask.errors import ViewmaskError
from viewmask.files.record import json_text


class Manifest:
    """The records of a run, in memory and on disk.

    Attributes:
        records: the last record of every object, by id.
    """

    def __init__(self, path: Path) -> None:
        """Open (or begin) the manifest at `path`; a last line cut short by a kill is dropped.

        Raises:
            ViewmaskError: the file cannot be read or written, is something else, or a line before its last is damaged.
                It stays as it is.
        """
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._file.seek(0)
            whole = bad = 0
            for number, line in enumerate(self._file, start=1):
                if bad:  # more follows, so no kill cut it short
                    raise ViewmaskError(f"line {bad} of {path} is damaged: mend it, or take it out")
                try:
                    record = json.loads(line) if line.strip() else None
                    name = record["id"] if record is not None else ""
                except (ValueError, KeyError, TypeError) as error:
                    if number == 1 and (line.endswith(b"\n") or not line.startswith(b"{")):
                        raise ViewmaskError(
                            f"{path} holds something else than records: name a file of its own"
                        ) from error
                    bad = number
                    continue
                if not line.endswith(b"\n"):
                    break
                if record is not None:
                    self.records[name] = record
                whole += len(line)
            self._file.truncate(whole)
        except OSError as error:
            raise ViewmaskError(f"cannot write {path}: {error.strerror or error}") from error

    def append(self, record: dict[str, Any]) -> None:
        """Add a record (it needs an `id`) and sync it to disk."""
        line = json_text(record).encode() + b"\n"
        self.records[record["id"]] = record
        try:
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise ViewmaskError(f"cannot write {self.path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # a full disk: `append` has told
            self._file.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
