"""A batch: many inputs, one command. A row each in results.jsonl; what is done is skipped, a bad input is a row.

The rows are the same bytes whenever the same command ran on the same inputs, in the order of these; how long each took
stands apart, in seconds.jsonl.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.lock import take_lock
from viewmask.files.manifest import Manifest
from viewmask.files.record import json_text
from viewmask.files.slug import slug
from viewmask_cli import output
from viewmask_cli.jobs import Job, Made, Maker, attempts
from viewmask_cli.progress import note

BATCH, RESULTS, SECONDS = "batch.json", "results.jsonl", "seconds.jsonl"
_PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")

Row = dict[str, Any]


class Batch:
    """The rows of one batch and the folder that they lie in."""

    def __init__(self, folder: Path, command: str, settings: Mapping[str, Any], force: bool = False) -> None:
        """Begin a batch, or go on with the one that `folder` holds.

        Args:
            settings: all that the results depend on beside the inputs. A batch has one set of them.
            force: begin anew, whatever the folder holds.

        Raises:
            ViewmaskError: the folder holds something else, or a batch with other settings, or the disk refuses.
        """
        atomic.attempt(folder)
        self.folder = folder
        about = {"command": command, "settings": dict(settings)}
        if force and folder.exists():
            output.check_folder(folder, force=True)
            output.clear(folder)
        if folder.is_dir() and any(folder.iterdir()):
            self._check(about)
        elif folder.exists() and not folder.is_dir():
            raise ViewmaskError(f"{folder} is a file: a batch needs a folder, choose another --out")
        atomic.write(folder / BATCH, json_text(about, indent=1) + "\n")
        self._lock = (folder / SECONDS).open("ab")  # the one file that is never replaced
        if not take_lock(self._lock.fileno()):
            raise ViewmaskError(f"another batch is writing into {folder}: wait for it, or choose another --out")
        self.done = self._kept()
        # Failed inputs are tried again: their rows go.
        self._write(self.done.values())

    def _check(self, about: Mapping[str, Any]) -> None:
        try:
            before = json.loads((self.folder / BATCH).read_text())
            was, now = before["settings"], json.loads(json_text(about["settings"]))
            if not isinstance(was, dict):
                raise ValueError
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ViewmaskError(
                f"{self.folder} holds something else than a batch: choose another --out, or pass --force"
            ) from error
        if before.get("command") != about["command"]:
            other = before.get("command")
            raise ViewmaskError(f"{self.folder} holds a batch of viewmask {other}: choose another --out")
        changed = [
            f"{name} {_told(was.get(name))}, not {_told(now[name])}" for name in now if now[name] != was.get(name)
        ]
        changed += [f"{name} {was[name]!r}" for name in was if name not in now]
        if changed:
            raise ViewmaskError(
                f"{self.folder} holds a batch with other settings ({'; '.join(changed)}): choose another --out, or "
                "pass --force to begin anew"
            )

    def _kept(self) -> dict[str, Row]:
        if not (self.folder / RESULTS).exists():
            return {}
        with Manifest(self.folder / RESULTS) as manifest:
            rows = manifest.records.values()
        return {
            row["id"]: row
            for row in rows
            if "error" not in row and all((self.folder / file).exists() for file in row.get("files", [""]))
        }

    def run(self, inputs: Sequence[Path | str], make: Maker, processes: int = 1) -> list[Row]:
        """Make every input that is not done yet.

        Args:
            inputs: sentences, or paths of files and folders.
            make: makes one. What it raises as `ViewmaskError` becomes the row's `error`.
            processes: that work at once (`viewmask_cli.jobs`). The files are those of one with as many threads.

        Returns:
            A row an input, in their order.
        """
        with self._lock:
            rows = self._run(inputs, make, processes)
            self._write([*rows.values(), *(row for label, row in self.done.items() if label not in rows)])
        return list(rows.values())

    def _run(self, inputs: Sequence[Path | str], make: Maker, processes: int) -> dict[str, Row]:
        names = self._names(inputs)
        rows: dict[str, Row] = {}
        waiting: list[Job] = []
        with Manifest(self.folder / RESULTS) as results, Manifest(self.folder / SECONDS) as seconds:
            for index, each in enumerate(inputs):
                label = str(each)
                if label in rows:
                    note(f"{label} stands in the list twice: it is made once")
                    continue
                rows[label] = row = self._begun(each)
                if "error" in row:
                    note(f"not made: {row['error']}")
                    results.append(row)
                elif row is not self.done.get(label):
                    waiting.append(Job(index, label, names[label]))
            self._sweep(waiting)
            try:
                for job, attempt in attempts(make, waiting, len(inputs), processes):
                    row = rows[job.label]
                    if attempt.made is None:
                        note(f"not made: {attempt.error}")
                        row["error"] = attempt.error
                    else:
                        row |= self._row(attempt.made)
                        seconds.append({"id": job.label, "seconds": round(attempt.seconds, 2)})
                    results.append(row)
            finally:
                self._sweep(waiting)
        return rows

    def _write(self, rows: Iterable[Row]) -> None:
        atomic.write(self.folder / RESULTS, "".join(json_text(row) + "\n" for row in rows))

    def _begun(self, each: Path | str) -> Row:
        """The row of an input that is done; else what its row begins with, or the `error` of one that is not there."""
        row: Row = {"id": str(each)}
        done = self.done.get(str(each))
        try:
            if isinstance(each, Path):
                row["digest"] = content(each)
        except ViewmaskError as error:
            return row | {"error": str(error)}
        return done if done is not None and done.get("digest") == row.get("digest") else row

    def _sweep(self, jobs: Iterable[Job]) -> None:
        """Remove what killed processes left half-written of these."""
        names = [job.name for job in jobs]
        ours = {name[:40] for name in names}
        inside = (file for name in names for file in (self.folder / name).rglob(".*"))
        for path in (*self.folder.glob(".*"), *inside):
            name = atomic.unfinished(path.name)
            if name is None or (path.parent == self.folder and name not in ours):
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _row(self, made: Made) -> Row:
        inside = [os.path.relpath(file, self.folder) for file in made.files]
        return {"name": made.name, "files": inside, "notes": list(made.notes), **made.about}

    def _names(self, inputs: Iterable[Path | str]) -> dict[str, str]:
        """A name an input, each once; inputs that are done keep theirs."""
        names = {label: str(row.get("name", "")) for label, row in self.done.items()}
        taken = {name for name in names.values() if name}
        for each in inputs:
            if names.get(str(each)):
                continue
            base = slug((each.stem if each.is_file() else each.name) if isinstance(each, Path) else each)
            name, number = base, 2
            while name in taken:
                name, number = f"{base}-{number}", number + 1
            names[str(each)] = name
            taken.add(name)
        return names


def finish(batch: Batch, rows: Sequence[Row], as_json: bool, record: Mapping[str, Any]) -> None:
    """Say what came of a batch.

    Raises:
        ViewmaskError: no input could be made: exit code 2.
        typer.Exit: some could not: exit code 1.
    """
    failed = [row for row in rows if "error" in row]
    count = f"{len(rows) - len(failed)} of {len(rows)} made"
    facts = f"{count}; {BATCH}, {RESULTS} and {SECONDS} tell the rest"
    whole = dict(record) | {"out": str(batch.folder), "failed": len(failed), "results": list(rows)}
    if failed and len(failed) == len(rows):
        if as_json:
            output.say(True, whole, [])
        raise ViewmaskError(f"none of the inputs could be made ({batch.folder / RESULTS}): {failed[0]['error']}")
    output.say(as_json, whole, [batch.folder], facts)
    if failed:
        say = f"{batch.folder / RESULTS} says why, and the same command tries again"
        note(f"{len(failed)} of {len(rows)} could not be made: {say}")
        raise typer.Exit(1)


def sentences(path: Path) -> list[str]:
    """The sentences of a text file, one a line; empty lines and lines that begin with # are passed over.

    Raises:
        ViewmaskError: no such file, no text, or no sentence in it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ViewmaskError(f"cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ViewmaskError(f"{path} is no text in UTF-8: write a sentence a line") from error
    lines = [" ".join(line.split()) for line in text.splitlines()]
    if not (found := [line for line in lines if line and not line.startswith("#")]):
        raise ViewmaskError(f"{path} holds no sentence: write one a line")
    return found


def pictures(paths: Iterable[Path]) -> list[Path]:
    """Files as they are, and for a folder the pictures in it, by name.

    Raises:
        ViewmaskError: a folder without pictures.
    """
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for file in path.iterdir() if file.suffix.lower() in _PICTURES and file.is_file())
        if not inside:
            raise ViewmaskError(f"{path} holds no pictures ({', '.join(_PICTURES)})")
        found += inside
    return found


def content(path: Path) -> str:
    """Names a file, or all files of a folder, by their bytes.

    Raises:
        ViewmaskError: it cannot be read.
    """
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    total = hashlib.sha256()
    try:
        for file in files:
            total.update(file.name.encode() if path.is_dir() else b"")
            total.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise ViewmaskError(f"cannot read {file}: {error.strerror or error}") from error
    return total.hexdigest()[:16]


def _told(value: Any) -> str:
    """A setting in words; None is left to the speed or the weights."""
    return "as usual" if value is None else repr(value)
