"""Sources: what there is to render. Mesh files, or the objects that an `index.jsonl` lists and describes."""

from __future__ import annotations

import glob
import json
import posixpath
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import lru_cache
from hashlib import sha256
from os.path import abspath
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside, unzipped
from render.ceiling import claim
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
            ViewmaskError: the zip or its member is missing, damaged or larger than the ceiling.
        """
        if not self.member:
            return self.path
        try:
            archive = _archive(self.path)
        except (OSError, zipfile.BadZipFile) as error:
            raise ViewmaskError(f"cannot read {self.member} in {self.path}: {error}") from error
        return unzipped(archive, self.member, str(self.path))

    def surface(self, up: str = "y", lenient: bool = False) -> Surface:
        """The object in the world, normalised; `up` and `lenient` as for `Surface.load`.

        Raises:
            ViewmaskError: it cannot be read, or only Blender could and is absent.
        """
        mesh, file_type = self.read(), self.file_type
        beside = None if isinstance(mesh, Path) else Beside.in_zip(_archive(self.path), self.member, str(self.path))
        if f".{file_type}" in BLENDER_SUFFIXES:
            from render.blender import as_glb

            with self.on_disk() as file:
                mesh, file_type = as_glb(file), "glb"
        surface = Surface.load(mesh, up=up, file_type=file_type, beside=beside, lenient=lenient)
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
        beside = [] if f".{self.file_type}" in ALONE else [name for name in archive.namelist() if not _is_mesh(name)]
        claim(sum(archive.getinfo(name).file_size for name in beside), f"what lies beside {self.member}")
        with tempfile.TemporaryDirectory(prefix="viewmask-zip-") as scratch:
            try:
                archive.extractall(scratch, beside)
                file = Path(archive.extract(self.member, scratch))
            except (OSError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as error:
                raise ViewmaskError(f"cannot unpack {self.member} of {self.path}: {error}") from error
            yield file


@dataclass(frozen=True)
class Seeded(Source):
    """An object that is made at random, in memory. Its looks follow from `seed`."""

    seed: int = 0
    made: ClassVar[bool] = True

    @classmethod
    def of(cls, seed: int) -> Self:
        """The object of a seed."""
        return cls(f"{cls.__name__.lower()}-{seed:06}", Path(), seed=seed)


def find(paths: str | Path | Sequence[str | Path | Source], split: str | None = None) -> list[Source]:
    """The objects that `paths` name: mesh files, zips, `index.jsonl` files, folders of these, or glob patterns.

    A file is called by its name. Where several have one name, as many of their folders are added as tell them apart,
    then the suffix: `ShoeA/meshes/model.obj` and `CupB/meshes/model.obj` are `ShoeA_meshes_model` and
    `CupB_meshes_model`. A file that is named twice is one object.

    Args:
        paths: a `Source` among them stands for itself.
        split: keep only objects that an index puts into this split.

    Raises:
        ViewmaskError: a path is missing or is no mesh, a folder holds no mesh, an index is damaged or names an object
            twice.
    """
    files: list[Source] = []
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
            meshes = sorted(file for file in path.rglob("*") if _is_mesh(file.as_posix()) and file.is_file())
            exports = {file.with_suffix("") for file in meshes if file.suffix.lower() != ".blend"}
            # A .blend beside an export of its name is what the export was made from.
            meshes = [file for file in meshes if file.suffix.lower() != ".blend" or file.with_suffix("") not in exports]
            if not meshes:
                raise ViewmaskError(f"no mesh in the folder {path}: looked for {', '.join(SUFFIXES)}")
            files += [Source("", file) for file in meshes]
        elif path.suffix.lower() == ".zip" and path.is_file():
            files += _zipped(path)
        elif path.is_file():
            if not _is_mesh(path.name):
                raise ViewmaskError(
                    f"{path} is no mesh that is read here: give {', '.join(SUFFIXES)}, a folder or zip of these, or an "
                    f"index.jsonl; convert others to GLB first"
                )
            files.append(Source("", path))
        else:
            raise ViewmaskError(f"no mesh file at {path}: {_alike(path)}")
    once = list({(abspath(file.path), file.member): file for file in files}.values())
    sources += [
        replace(file, id=name, about={"source": file.path.name}) for file, name in zip(once, _names(once), strict=True)
    ]
    twice = [name for name, count in Counter(source.id for source in sources).items() if count > 1]
    if twice:
        raise ViewmaskError(f"two objects are called {twice[0]}: rename one, or render them into separate folders")
    return [source for source in sources if split is None or source.about.get("split") == split]


def _names(files: Sequence[Source]) -> list[str]:
    """A name for each file, safe as a folder's, and no two alike in any case of letters."""
    paths = [PurePosixPath(Path(abspath(file.path), file.member).as_posix()) for file in files]
    within = [PurePosixPath(file.member).parts[:-1] for file in files]
    depth, suffix, digest = [len(folders) for folders in within], [False] * len(files), [False] * len(files)
    while True:
        names = []
        for index, path in enumerate(paths):
            folders = [part for part in path.parts[:-1] if part != path.anchor]
            parts = [*folders[max(0, len(folders) - depth[index]) :], path.stem]
            name = "_".join(parts) + (f"_{path.suffix[1:].lower()}" if suffix[index] else "")
            name += f"_{sha256(str(path).encode()).hexdigest()[:8]}" if digest[index] else ""
            names.append(_safe(name))
        groups: dict[str, list[int]] = {}
        for index, name in enumerate(names):
            groups.setdefault(name.casefold(), []).append(index)
        alike = [group for group in groups.values() if len(group) > 1]
        if not alike:
            return names
        for group in alike:
            folders_alike = len({paths[index].parent for index in group}) == 1
            for index in group:
                if folders_alike and not suffix[index]:
                    suffix[index] = True
                elif not folders_alike and depth[index] < len(paths[index].parts):
                    depth[index] += 1
                else:
                    digest[index] = True


def _alike(path: Path) -> str:
    """What a path that is not there may have meant."""
    there = path.parent.iterdir() if path.parent.is_dir() else iter(())
    near = get_close_matches(path.name, [file.name for file in there if file.is_dir() or _is_mesh(file.name)], 1)
    if near:
        return f"did you mean {path.parent / near[0]}?"
    return "look for a slip in the name" if path.parent.is_dir() else f"there is no folder {path.parent}"


def _zipped(path: Path) -> list[Source]:
    try:
        members = sorted(name for name in _archive(path).namelist() if _is_mesh(name))
    except (OSError, zipfile.BadZipFile) as error:
        raise ViewmaskError(f"cannot read {path}: {error}") from error
    if not members:
        raise ViewmaskError(f"no mesh in {path}: looked for {', '.join(SUFFIXES)}")
    return [Source("", path, member) for member in members]


def _is_mesh(name: str) -> bool:
    """Whether a path is a mesh's; not so what macOS adds to archives."""
    base = posixpath.basename(name)
    return (
        posixpath.splitext(base)[1].lower() in SUFFIXES
        and not base.startswith("._")
        and "__MACOSX" not in name.split("/")
    )


def _expand(paths: Sequence[str | Path | Source]) -> Iterator[Path | Source]:
    """The paths, with what it matches in place of each glob pattern."""
    for path in paths:
        if isinstance(path, Source) or Path(path).exists() or not glob.has_magic(str(path)):
            yield path if isinstance(path, Source) else Path(path)
            continue
        matches = sorted(glob.glob(str(path), recursive=True))
        if not matches:
            raise ViewmaskError(f"nothing matches the pattern {path}: look for a slip in it")
        yield from map(Path, matches)


def _indexed(path: Path) -> list[Source]:
    sources = []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ViewmaskError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
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


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "object"


@lru_cache(maxsize=16)
def _archive(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)
