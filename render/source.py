"""What there is to render: mesh files, or the objects that an `index.jsonl` lists, with what is known of each."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from viewmask.errors import ViewmaskError

INDEX = "index.jsonl"
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off", ".3mf", ".dae")
KEPT = ("captions", "category", "source", "license", "author", "split", "base", "style")


@dataclass(frozen=True)
class Source:
    """One object to render.

    Attributes:
        id: its name, safe as a folder's.
        path: the mesh file, or the zip that holds it.
        member: the file inside the zip, or "".
        about: captions, source, license, split, base ... as far as known.
    """

    id: str
    path: Path
    member: str = ""
    about: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def file_type(self) -> str:
        """The format by its suffix, without a dot."""
        return Path(self.member or self.path).suffix.lower().lstrip(".")

    def read(self) -> bytes | Path:
        """The mesh's bytes when it lies in a zip, else its path.

        Raises:
            ViewmaskError: the zip or its member is missing or damaged.
        """
        if not self.member:
            return self.path
        try:
            return _archive(self.path).read(self.member)
        except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, EOFError) as error:
            raise ViewmaskError(f"cannot read {self.member} in {self.path}: {error}") from error


def find(paths: str | Path | Sequence[str | Path], split: str | None = None) -> list[Source]:
    """The objects that `paths` name: mesh files, `index.jsonl` files, or folders that hold either.

    Args:
        split: keep only objects that an index puts into this split.

    Raises:
        ViewmaskError: a path is missing, a folder holds no mesh, an index is damaged, two objects share a name.
    """
    files: list[Path] = []
    found: list[Source] = []
    for path in [paths] if isinstance(paths, str | Path) else paths:
        path = Path(path)
        if path.is_dir() and (path / INDEX).is_file():
            path = path / INDEX
        if path.suffix == ".jsonl":
            found += _indexed(path)
        elif path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
            if not inside:
                raise ViewmaskError(f"no mesh in the folder {path}: looked for {', '.join(SUFFIXES)}")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise ViewmaskError(f"no mesh file at {path}")
    shared = Counter(file.stem for file in files)
    for file in files:
        name = file.stem if shared[file.stem] == 1 else f"{file.parent.name}_{file.stem}"
        found.append(Source(_safe(name), file, about={"source": file.name}))
    twice = [name for name, count in Counter(source.id for source in found).items() if count > 1]
    if twice:
        raise ViewmaskError(f"two objects are called {twice[0]}: rename one, or render them into separate folders")
    return [source for source in found if split is None or source.about.get("split") == split]


def _indexed(path: Path) -> list[Source]:
    sources = []
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ViewmaskError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name, file, archive = str(record["id"]), str(record["file"]), record.get("zip")
        except (ValueError, KeyError, TypeError) as error:
            raise ViewmaskError(f"{path}, line {number}: not a record with id and file ({error!r})") from error
        about = {key: record[key] for key in KEPT if key in record}
        if archive:
            sources.append(Source(_safe(name), path.parent / archive, file, about))
        else:
            sources.append(Source(_safe(name), path.parent / file, about=about))
    return sources


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "object"


@lru_cache(maxsize=16)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
