"""Arrays on disk: written row by row, read as they are asked for.

What is mapped into memory the system reads as it is used, and lets go of when memory is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError


def mapped(file: Path) -> NDArray[Any]:
    """The array of a `.npy` file of ours, mapped into memory.

    Raises:
        ViewmaskError: damaged or truncated.
    """
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise ViewmaskError(f"{file} is damaged ({error}): delete {file.parent}, it is made anew") from error
    return array


class ArrayFile:
    """A `.npy` file that grows by rows; how many there will be need not be known.

    Args:
        file: its name; replaced.
        row: a row, for the shape and the kind of numbers.
    """

    def __init__(self, file: Path, row: NDArray[Any]) -> None:
        self._stream = file.open("wb")
        self._shape, self._kind, self._rows = row.shape, row.dtype, 0
        self._head()

    def add(self, row: NDArray[Any]) -> None:
        """Write a row of that shape and kind."""
        assert row.shape == self._shape
        assert row.dtype == self._kind
        self._stream.write(np.ascontiguousarray(row).tobytes())
        self._rows += 1

    def close(self) -> None:
        """All rows are written."""
        self._stream.seek(0)
        self._head()
        self._stream.close()

    def _head(self) -> None:
        # NumPy leaves room in its headers for the first axis to grow, so that the last one is as long as the first.
        shape, kind = (self._rows, *self._shape), np.lib.format.dtype_to_descr(self._kind)
        header = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._stream, header)


class Joined:
    """Arrays one after the other, as one whose rows are asked for by number."""

    def __init__(self, parts: Sequence[NDArray[Any]]) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, row: int) -> NDArray[Any]:
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        found: NDArray[Any] = self._parts[part][row - self._starts[part]]
        return found
