"""Sources: what there is to render. Mesh files, or the objects that an `index.jsonl` lists and describes."""

from __future__ import annotations

import glob
import json
import posixpath
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from render.surface import Surface
from viewmask.errors import ViewmaskError

INDEX = "index.jsonl"
BLENDER_SUFFIXES = (".fbx", ".blend", ".usd", ".usda", ".usdc", ".usdz")  # what only Blender reads
ALONE = (".glb", ".ply", ".stl", ".blend", ".usdz")  # files that hold all that they need
SUFFIXES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off", ".3mf", ".dae", *BLENDER_SUFFIXES)
DESCRIPTIONS = ("captions", "category", "source", "license", "author", "split", "base", "style")


@dataclass(frozen=True)
class Source:
    """One object to render.

    Attributes:
        id: its name, safe as a folder's.
        path: the mesh file, or the zip that holds it.
        member: the file inside the zip, or "".
        about: captions, source, license, split, base ..., what the index has of these.
        turn: degrees about the vertical that bring its front to azimuth 0; for collections with a front of their own.
    """

    id: str
    path: Path
    member: str = ""
    about: dict[str, Any] = field(default_factory=dict, compare=False)
    turn: float = 0.0
    made: ClassVar[bool] = False  # whether there is no file of it: a surface made in memory

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

    def surface(self, up: str = "y") -> Surface:
        """The object in the world, normalised; `up` as for `Surface.load`.

        Raises:
            ViewmaskError: it cannot be read, or only Blender could and is absent.
        """
        mesh, file_type = self.read(), self.file_type
        beside = None if isinstance(mesh, Path) else _Beside(self.path, self.member)
        if f".{file_type}" in BLENDER_SUFFIXES:
            from render.blender import as_glb

            with self.on_disk() as file:
                mesh, file_type = as_glb(file), "glb"
        surface = Surface.load(mesh, up=up, file_type=file_type, beside=beside)
        return surface.transformed(self.turned).normalised() if self.turn else surface

    @property
    def turned(self) -> NDArray[np.float64]:
        """The rotation of `turn`, float64 [4, 4]."""
        angle = np.radians(self.turn)
        rotation = np.eye(4)
        rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return rotation

    @contextmanager
    def on_disk(self) -> Iterator[Path]:
        """The mesh as a file with what lies beside it; out of a zip, for as long as the context lasts.

        Raises:
            ViewmaskError: the zip or its member is missing or damaged.
        """
        mesh = self.read()
        if isinstance(mesh, Path):
            if not mesh.is_file():
                raise ViewmaskError(f"no mesh file at {mesh}")
            yield mesh
            return
        archive = _archive(self.path)
        with tempfile.TemporaryDirectory(prefix="viewmask-zip-") as scratch:
            if f".{self.file_type}" not in ALONE:
                archive.extractall(scratch, [name for name in archive.namelist() if not _is_mesh(name)])
            yield Path(archive.extract(self.member, scratch))


def find(paths: str | Path | Sequence[str | Path | Source], split: str | None = None) -> list[Source]:
    """The objects that `paths` name: mesh files, zips, `index.jsonl` files, folders of these, or glob patterns.

    Args:
        paths: a `Source` among them stands for itself.
        split: keep only objects that an index puts into this split.

    Raises:
        ViewmaskError: a path is missing, a folder holds no mesh, an index is damaged, two objects share a name.
    """
    files: list[Path] = []
    sources: list[Source] = []
    for path in _expand([paths] if isinstance(paths, str | Path) else paths):
        if isinstance(path, Source):
            sources.append(path)
            continue
        if path.is_dir() and (path / INDEX).is_file():
            path = path / INDEX
        if path.suffix == ".jsonl":
            sources += _indexed(path)
        elif path.is_dir():
            meshes = sorted(file for file in path.rglob("*") if _is_mesh(file.name))
            if not meshes:
                raise ViewmaskError(f"no mesh in the folder {path}: looked for {', '.join(SUFFIXES)}")
            files += meshes
        elif path.suffix.lower() == ".zip" and path.is_file():
            sources += _zipped(path)
        elif path.is_file():
            files.append(path)
        else:
            raise ViewmaskError(f"no mesh file at {path}")
    shared = Counter(file.stem for file in files)
    for file in files:
        name = file.stem if shared[file.stem] == 1 else f"{file.parent.name}_{file.stem}"
        sources.append(Source(_safe(name), file, about={"source": file.name}))
    twice = [name for name, count in Counter(source.id for source in sources).items() if count > 1]
    if twice:
        raise ViewmaskError(f"two objects are called {twice[0]}: rename one, or render them into separate folders")
    return [source for source in sources if split is None or source.about.get("split") == split]


def _zipped(path: Path) -> list[Source]:
    try:
        members = sorted(name for name in _archive(path).namelist() if _is_mesh(name))
    except (OSError, zipfile.BadZipFile) as error:
        raise ViewmaskError(f"cannot read {path}: {error}") from error
    if not members:
        raise ViewmaskError(f"no mesh in {path}: looked for {', '.join(SUFFIXES)}")
    names = [_safe(posixpath.splitext(member)[0]) for member in members]
    return [Source(n, path, member, {"source": path.name}) for n, member in zip(names, members, strict=True)]


def _is_mesh(name: str) -> bool:
    return posixpath.splitext(name)[1].lower() in SUFFIXES and not posixpath.basename(name).startswith("._")


def _expand(paths: Sequence[str | Path | Source]) -> Iterator[Path | Source]:
    """The paths, with what it matches in place of each glob pattern."""
    for path in paths:
        if isinstance(path, Source) or Path(path).exists() or not glob.has_magic(str(path)):
            yield path if isinstance(path, Source) else Path(path)
            continue
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ViewmaskError(f"nothing matches {path}")
        yield from map(Path, matches)


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
        about = {key: record[key] for key in DESCRIPTIONS if key in record}
        if archive:
            sources.append(Source(_safe(name), path.parent / archive, file, about))
        else:
            sources.append(Source(_safe(name), path.parent / file, about=about))
    return sources


class _Beside(Mapping[str, bytes]):
    """The files of a zip by their names as seen from one of them: an OBJ's materials and textures, a glTF's buffers."""

    def __init__(self, path: Path, member: str) -> None:
        self._path, self._folder = path, posixpath.dirname(member)

    def __getitem__(self, name: str) -> bytes:
        return _archive(self._path).read(posixpath.normpath(posixpath.join(self._folder, name.replace("\\", "/"))))

    def __iter__(self) -> Iterator[str]:
        return (posixpath.relpath(name, self._folder or ".") for name in _archive(self._path).namelist())

    def __len__(self) -> int:
        return len(_archive(self._path).namelist())


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "object"


@lru_cache(maxsize=16)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
