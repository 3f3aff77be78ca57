"""What lies beside a mesh: materials, textures and buffers, found by the names that the mesh gives them.

Names in the wild were written on another machine: with `\\`, in other case, with `%20`, as an absolute path that exists
nowhere here, in Latin-1 or GBK. The file they mean nearly always lies in the mesh's folder or near it.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from urllib.parse import unquote

from render.ceiling import claim
from viewmask.errors import ViewmaskError

ENCODINGS = ("utf-8", "gb18030", "cp1252", "shift_jis", "big5", "latin-1", "cp437")  # of names that are bytes
NEAR = ("textures", "texture", "materials/textures", "images", "maps", "tex", "materials", "source")
MOST_FILES = 50_000  # of a folder, that are looked through
DEPTH = 3  # folders below the mesh's own


class Beside:
    """The files beside one mesh, by the names that it gives them.

    Args:
        names: paths of the files as seen from the mesh, with `/`, those in folders above beginning with `../`.
        read: gives the bytes of one of these names.
        place: where they lie, for messages.
        exact: gives the name under which a path exists, or None, without looking through folders.
    """

    def __init__(
        self,
        names: Callable[[], Iterator[str]],
        read: Callable[[str], bytes],
        place: str,
        exact: Callable[[str], str | None] | None = None,
    ) -> None:
        self._list, self._read, self._place, self._exact = names, read, place, exact

    @classmethod
    def of_file(cls, mesh: Path) -> Beside:
        """What lies beside a mesh file in its folder and below, and in a few folders next to it."""
        folder = mesh.parent

        def read(name: str) -> bytes:
            file = folder / name
            if not file.is_file():  # a device or a pipe would never end
                raise ViewmaskError(f"{file} is not a file")
            claim(file.stat().st_size, str(file))
            return file.read_bytes()

        def exact(name: str) -> str | None:
            try:
                return name if (folder / name).is_file() else None
            except (OSError, ValueError):  # a name too long, or with a zero in it
                return None

        return cls(lambda: _around(folder), read, f"{folder}{os.sep}", exact)

    @classmethod
    def in_zip(cls, archive: zipfile.ZipFile, member: str, place: str) -> Beside:
        """What lies beside a member of a zip, anywhere in the zip."""
        folder = posixpath.dirname(member) or "."

        def read(name: str) -> bytes:
            return unzipped(archive, posixpath.normpath(posixpath.join(folder, name)), place)

        def names() -> Iterator[str]:
            return (posixpath.relpath(name, folder) for name in archive.namelist() if not name.endswith("/"))

        return cls(names, read, place)

    @classmethod
    def of_mapping(cls, files: Mapping[str, bytes] | None) -> Beside:
        """Files that are in memory already, by name."""
        known = files or {}
        return cls(lambda: iter(known), known.__getitem__, "what was given with the mesh")

    def find(self, name: str | bytes) -> bytes:
        """The bytes of the file that a mesh means by `name`.

        Looked for in turn: the path as it stands, in any case of letters, with or without its `%20`, and its last parts
        anywhere beside the mesh. Of several files of one name that with the most of the path wins.

        Args:
            name: as the mesh has it; as bytes where its encoding is not known.

        Raises:
            ViewmaskError: no such file, or it cannot be read.
        """
        found = self.name_of(name)
        shown = spellings(name)[0] if spellings(name) else str(name)
        if found is None:
            raise ViewmaskError(f"{shown} is missing: it is not in or near {self._place}")
        try:
            return self._read(found)
        except (OSError, KeyError) as error:
            raise ViewmaskError(f"cannot read {shown}: {getattr(error, 'strerror', None) or error}") from error

    def name_of(self, name: str | bytes) -> str | None:
        """The file that a mesh means by `name`, as a path seen from the mesh, or None; see `find`."""
        wanted = spellings(name)
        if self._exact is not None:
            for spelling in wanted:
                if spelling and (exact := self._exact(spelling)) is not None:
                    return exact
        best: tuple[int, int, str] | None = None
        for spelling in wanted:
            for file in self._by_base.get(_key(posixpath.basename(spelling)), ()):
                # More of the path in common, then nearer, then the first by name.
                rank = (-_common(file, spelling), file.count("/"), file)
                best = rank if best is None else min(best, rank)
        return best and best[2]

    @cached_property
    def _by_base(self) -> dict[str, list[str]]:
        files: dict[str, list[str]] = {}
        for name in islice(self._list(), MOST_FILES):
            for key in {_key(posixpath.basename(spelling)) for spelling in [name, *_zip_spellings(name)]}:
                files.setdefault(key, []).append(name)
        return files


def unzipped(archive: zipfile.ZipFile, member: str, place: str) -> bytes:
    """A member of a zip, once its header claims no more than the ceiling.

    Raises:
        ViewmaskError: absent, damaged or too large.
    """
    try:
        info = archive.getinfo(member)
        claim(info.file_size, f"{member} in {place}")
        with archive.open(info) as file:
            data = file.read(info.file_size + 1)  # a header may lie
        if len(data) != info.file_size:
            raise zipfile.BadZipFile("its size is not what its header says")
        return data
    except (OSError, KeyError, zipfile.BadZipFile, RuntimeError, EOFError, ValueError) as error:
        reason = str(error).strip("'\"") or type(error).__name__
        raise ViewmaskError(f"cannot read {member} in {place}: {reason}") from error
    except Exception as error:
        # zlib.error and lzma.LZMAError have no common parent but Exception.
        if type(error).__name__ in ("error", "LZMAError"):
            raise ViewmaskError(f"cannot read {member} in {place}: {error}") from error
        raise


def spellings(name: str | bytes) -> list[str]:
    """What a name may mean, best guess first: paths with `/`, with `%20` as it stands and undone."""
    if isinstance(name, bytes):
        texts = []
        for encoding in ENCODINGS:
            try:
                texts.append(name.decode(encoding))
            except UnicodeDecodeError:
                continue
    else:
        texts = [name]
    paths: list[str] = []
    for text in texts:
        for version in (text, unquote(text)):
            path = version.strip().strip('"').removeprefix("file://").replace("\\", "/")
            drive, path = ntpath.splitdrive(path)
            path = posixpath.normpath(path) if path else ""
            paths += [drive + path if os.name == "nt" and drive else path]
    return list(dict.fromkeys(path for path in paths if path))


def _zip_spellings(name: str) -> list[str]:
    """What a zip's member is called where the zip's own mark for UTF-8 was not set."""
    try:
        return [] if name.isascii() else spellings(name.encode("cp437"))
    except UnicodeEncodeError:
        return []


def _key(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _common(file: str, wanted: str) -> int:
    """How many parts at the end two paths share, in any case."""
    ends = zip(reversed(file.split("/")), reversed(wanted.split("/")), strict=False)
    count = 0
    for ours, theirs in ends:
        if _key(ours) != _key(theirs):
            break
        count += 1
    return count


def _around(folder: Path) -> Iterator[str]:
    """Files in a folder and below, and in the folders next to it that hold textures, as seen from it."""
    yield from _below(folder, "")
    for name in NEAR:
        near = folder.parent / name
        if near.is_dir() and near.resolve() != folder.resolve():
            yield from _below(near, f"../{name}/")


def _below(folder: Path, prefix: str) -> Iterator[str]:
    for root, folders, files in os.walk(folder):
        inner = Path(root).relative_to(folder).as_posix()
        start = prefix if inner == "." else f"{prefix}{inner}/"
        if inner != "." and inner.count("/") >= DEPTH - 1:
            folders.clear()
        folders.sort()
        yield from (start + name for name in sorted(files))
