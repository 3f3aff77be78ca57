"""Rows of token files, by path or URL: read part by part, kept in memory or, where they are many, on disk.

What lies on disk is mapped into memory: the system reads what a batch asks for, lets go of it when memory is short, and
all processes of a machine share it. So a batch may hold any rows, and a shuffle needs no buffer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.shard import unfolded

META = b"viewmask"
PLACED = "placed"
HTTP = "pip install 'viewmask-1-to-3[urls]'"
AT_ONCE = 1024  # rows


class Texts(Sequence[Any]):
    """A column of texts, or of lists of them, in Arrow's form; they become Python's as they are asked for."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return Texts(self._column[index]) if isinstance(index, slice) else self._column[int(index)].as_py()

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), AT_ONCE):
            yield from self._column.slice(start, AT_ONCE).to_pylist()


def find(paths: Sequence[str | Path]) -> list[str]:
    """Token files: paths or URLs, a folder stands for its Parquet files, a range in braces for its numbers.

    Raises:
        ViewmaskError: a folder without any.
    """
    files: list[str] = []
    for place in (each for path in paths for each in unfolded(str(path))):
        if "://" not in place and Path(place).is_dir():
            inside = sorted(str(file) for file in Path(place).glob("[!.]*.parquet"))
            if not inside:
                raise ViewmaskError(f"no tokens in {place}: make some with viewmask tokenize DIR --out FILE.parquet")
            files += inside
        else:
            files.append(place)
    return files


class TokenFile:
    """One token file.

    Attributes:
        tokenizer: name of the encoder that made it.
        grid: tokens along a side of a view.
        placed: whether its photos are placed as views are; earlier versions framed them by their edges.
        columns: that it has.

    Raises:
        ViewmaskError: missing, damaged, or no token file.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        try:
            source = _remote(place) if "://" in place else place
            # Read as a stream, not a group of rows at once: groups may be as large as the file.
            self._file = pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
            about = json.loads(self._file.schema_arrow.metadata[META])
            self.tokenizer, self.grid = str(about["tokenizer"]), int(about["grid"])
            self.placed = about.get("photos") == PLACED
            self.columns = self._file.schema_arrow.names
            if absent := {"id", "split", "captions", "azimuths", "tokens"} - set(self.columns):
                raise KeyError(f"it has no column {', '.join(sorted(absent))}")
        except FileNotFoundError as error:
            raise ViewmaskError(f"no tokens at {place}: make them with viewmask tokenize DIR --out {place}") from error
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise self.damaged(error) from error

    def stamp(self) -> list[Any]:
        """What changes when the file does."""
        if "://" in self.place:
            return [self.place, self._file.metadata.num_rows]
        status = Path(self.place).stat()
        return [str(Path(self.place).absolute()), status.st_size, status.st_mtime_ns]

    def parts(self, columns: Sequence[str], split: str | None) -> Iterator[pa.Table]:
        """Its rows of a split, some at a time.

        Raises:
            ViewmaskError: damaged.
        """
        wanted = [name for name in {*columns, "split"} if name in self.columns]
        try:
            for batch in self._file.iter_batches(AT_ONCE, columns=wanted):
                table = pa.Table.from_batches([batch])
                yield table if split is None else table.filter(pc.equal(table["split"], split))
        except (OSError, pa.ArrowException, KeyError) as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception | str) -> ViewmaskError:
        """What to raise where it cannot be read."""
        return ViewmaskError(f"{self.place} is not a token file of viewmask: {' '.join(str(error).split())[:200]}")


def _remote(url: str) -> Any:
    """A file at a URL, opened; of whatever kind fsspec has a file system for."""
    try:
        import fsspec

        system, path = fsspec.core.url_to_fs(url)
        return system.open(path, "rb")
    except ImportError as error:  # fsspec names the package that it wants
        hint = f"; {HTTP}" if url.startswith("http") else ""
        raise ViewmaskError(f"cannot read {url}: {' '.join(str(error).split())}{hint}") from error
    except Exception as error:  # each file system has errors of its own
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        raise ViewmaskError(f"cannot read {url}: {reason if reason not in ('', url) else 'not found'}") from error


def room(shape: tuple[int, ...], kind: Any, file: Path | None) -> NDArray[Any]:
    """An array to be filled, in memory or in a file."""
    if file is None:
        return np.zeros(shape, kind)
    return np.lib.format.open_memmap(file, "w+", kind, shape)


def mapped(column: str, folder: Path) -> Texts:
    """A column of the texts that `TextFile` wrote."""
    return Texts(pa.ipc.open_file(pa.memory_map(str(folder / TextFile.NAME))).read_all()[column])


class TextFile:
    """Columns of texts, written part by part."""

    NAME = "texts.arrow"

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self._schema = schema
        self._writer = pa.ipc.new_file(str(folder / self.NAME), schema)

    def add(self, table: pa.Table) -> None:
        """Write some rows."""
        self._writer.write_table(table.select(self._schema.names).cast(self._schema))

    def close(self) -> None:
        """All rows are written."""
        self._writer.close()
