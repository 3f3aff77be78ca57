"""Shards: named tensors in one file or in many, read a few rows at a time and written as a stream.

A safetensors file begins with the list of its tensors, so that they can be written one after the other, and none of
them is ever in memory as a whole. Pickles (`.ckpt`, `.bin`) are read by torch with `weights_only`: nothing that lies in
them is executed, and objects of foreign classes come out as empty husks.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from viewmask.errors import ViewmaskError

INDEX = ".index.json"
PICKLES = (".ckpt", ".bin", ".pt", ".pth")

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@dataclass(frozen=True)
class Entry:
    """What is known of a tensor before it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{_NAMES[self.dtype]} {'x'.join(map(str, self.shape)) or 'scalar'}"


@dataclass(frozen=True)
class Shards:
    """Tensors by name.

    Attributes:
        place: the file or folder.
        entries: what there is.
        read: rows [start, stop) along the first axis of a tensor: `read(name, start, stop)`.
        files: the files read.
    """

    place: Path
    entries: Mapping[str, Entry]
    read: Callable[[str, int, int], Tensor]
    files: tuple[Path, ...]

    def whole(self, name: str) -> Tensor:
        """A tensor in one piece; a scalar has no rows."""
        entry = self.entries[name]
        return self.read(name, 0, entry.shape[0] if entry.shape else 1).view(entry.shape)


def find(place: str | Path) -> Shards:
    """The tensors of a file, or of a folder with one model.

    Raises:
        ViewmaskError: nothing there, several models, a file that is cut, damaged or of another kind, or an index whose
            files do not hold what it says.
    """
    place = Path(place)
    if place.is_dir():
        return _of_folder(place)
    if not place.exists():
        raise ViewmaskError(f"there is no {place}")
    if place.name.endswith(INDEX):
        return _of_index(place)
    return _of_file(place)


def _of_folder(folder: Path) -> Shards:
    for suffixes in ((".safetensors",), PICKLES):
        indices = sorted(file for suffix in suffixes for file in folder.glob(f"*{suffix}{INDEX}"))
        files = sorted(file for suffix in suffixes for file in folder.glob(f"*{suffix}"))
        if len(indices) == 1:
            return _of_index(indices[0])
        if len(files) == 1:
            return _of_file(files[0])
        if files:
            names = ", ".join(file.name for file in files[:4])
            raise ViewmaskError(f"{folder} holds {len(files)} files of weights ({names} ...) and no index: name one")
    raise ViewmaskError(f"{folder} holds no weights: no .safetensors, {', '.join(PICKLES)}")


def _of_index(index: Path) -> Shards:
    try:
        names = json.loads(index.read_text())["weight_map"]
        parts = {file: _of_file(index.parent / file) for file in sorted(set(names.values()))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ViewmaskError(f"{index} is damaged: {error}") from error
    for name, file in names.items():
        if name not in parts[file].entries:
            raise ViewmaskError(f"{index} promises {name} in {file}, which lacks it: fetch the files anew")
    entries = {name: parts[file].entries[name] for name, file in names.items()}
    files = (index, *(index.parent / file for file in parts))
    return Shards(index.parent, entries, lambda name, start, stop: parts[names[name]].read(name, start, stop), files)


def _of_file(file: Path) -> Shards:
    if not file.is_file():
        raise ViewmaskError(f"{file.parent} lacks {file.name}: fetch the files anew")
    if file.suffix == ".safetensors":
        return _of_safetensors(file)
    if file.suffix in PICKLES:
        return _of_pickle(file)
    raise ViewmaskError(f"{file} is no file of weights: .safetensors or {', '.join(PICKLES)} is")


def _of_safetensors(file: Path) -> Shards:
    try:
        with safe_open(file, framework="pt") as opened:  # the library checks the list, and that the file is whole
            names = list(opened.keys())
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(length))
        entries = {name: Entry(tuple(header[name]["shape"]), _DTYPES[header[name]["dtype"]]) for name in names}
    except KeyError as error:
        raise ViewmaskError(f"{file} holds numbers of a kind that is not read: {error}") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise ViewmaskError(f"{file} is damaged or cut: {_line(error)}") from error
    starts = {name: 8 + length + header[name]["data_offsets"][0] for name in names}

    def read(name: str, start: int, stop: int) -> Tensor:
        entry = entries[name]
        row = math.prod(entry.shape[1:]) * entry.dtype.itemsize
        # Not mapped into memory: what was read would stay there until the file is closed.
        data = bytearray((stop - start) * row)
        with file.open("rb") as stream:
            stream.seek(starts[name] + start * row)
            if stream.readinto(data) != len(data):
                raise ViewmaskError(f"{file} is cut: it ends within {name}")
        flat = torch.frombuffer(data, dtype=entry.dtype) if data else torch.empty(0, dtype=entry.dtype)
        return flat.view(stop - start, *entry.shape[1:])

    return Shards(file, entries, read, (file,))


def _of_pickle(file: Path) -> Shards:
    try:
        foreign = torch.serialization.get_unsafe_globals_in_checkpoint(file)
        husks: list[Any] = [(type("Husk", (_Husk,), {}), name) for name in foreign]
        with torch.serialization.safe_globals(husks):
            record = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, ValueError, EOFError, AttributeError, KeyError, pickle.UnpicklingError) as error:
        raise ViewmaskError(f"{file} is damaged, cut or no file of torch's: {_line(error)}") from error
    state = record.get("state_dict", record) if isinstance(record, dict) else None
    if not isinstance(state, dict):
        raise ViewmaskError(f"{file} holds no tensors by name")
    tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, Tensor) and tensor.dtype in _NAMES}
    if not tensors:
        raise ViewmaskError(f"{file} holds no tensors by name")
    entries = {name: Entry(tuple(tensor.shape), tensor.dtype) for name, tensor in tensors.items()}

    def read(name: str, start: int, stop: int) -> Tensor:
        tensor = tensors[name].detach()
        return tensor[start:stop] if tensor.ndim else tensor.view(1)

    return Shards(file, entries, read, (file,))


class _Husk:
    """Stands for an object of a class that a pickle names: takes whatever it is given, and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> _Husk:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


# -- writing --------------------------------------------------------------------------------------------------


def write(
    file: Path,
    entries: Mapping[str, Entry],
    pieces: Callable[[str], Iterable[Tensor]],
    written: Callable[[int], None] = lambda count: None,
) -> None:
    """Write a safetensors file, tensor by tensor.

    Args:
        file: its name.
        entries: the tensors.
        pieces: the values of a tensor, in order and in any number of pieces.
        written: told of bytes as they are written.

    Raises:
        ViewmaskError: pieces that do not add up to their tensor.
    """
    # Wide numbers first: every tensor then begins at a multiple of its numbers' size, as the library does it.
    names = sorted(entries, key=lambda name: (-entries[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        entry = entries[name]
        header[name] = {
            "dtype": _NAMES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [offset, offset + entry.size],
        }
        offset += entry.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            count = 0
            for piece in pieces(name):
                if piece.dtype != entries[name].dtype:
                    raise ViewmaskError(f"{name} is {entries[name]}, and a piece of it {piece.dtype}")
                data = piece.contiguous().view(-1).view(torch.uint8).numpy()
                stream.write(data.data)
                count += data.nbytes
                written(data.nbytes)
            if count != entries[name].size:
                raise ViewmaskError(f"{name} should have {entries[name].size} bytes and got {count}")


def split(entries: Mapping[str, Entry], limit: int) -> list[dict[str, Entry]]:
    """Tensors in files of at most `limit` bytes each, in order; one that is larger has a file of its own."""
    files: list[dict[str, Entry]] = [{}]
    size = 0
    for name, entry in entries.items():
        if files[-1] and size + entry.size > limit:
            files.append({})
            size = 0
        files[-1][name] = entry
        size += entry.size
    return files


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:160] or type(error).__name__
