"""Pairs of a picture and a sentence: from WebDataset shards, folders, or Parquet files that name pictures by URL."""

from __future__ import annotations

import io
import re
import urllib.request
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from viewmask.errors import ViewmaskError
from viewmask.views import shard
from viewmask.views.picture import Picture, read_picture, resize

PICTURES = ("jpg", "jpeg", "png", "webp")
URLS, SENTENCES = ("url", "image_url"), ("caption", "text")  # columns, in small letters
_WEB = re.compile(r"https?://")
_AT_ONCE = 16  # pictures that are fetched at the same time
_SECONDS = 20.0  # until a server is given up
_LARGEST = 2048  # pixels of a side


@dataclass(frozen=True)
class Pair:
    """A picture and what it shows.

    Attributes:
        name: of the pair.
        sentence: in one line.
        picture: uint8 [size, size, 4], the middle square; None where it could not be read or fetched.
    """

    name: str
    sentence: str
    picture: Picture | None


def read(places: Sequence[str | Path], size: int) -> Iterator[Pair]:
    """The pairs of some places, one after the other; those without a sentence are left out.

    Args:
        places: WebDataset tars (`a.jpg` and `a.txt` in a row) by path or URL, folders of such tars or of such files, or
            Parquet files with a column of sentences (`caption` or `text`) and one of URLs (`url`) or pictures
            (`image`). A range in braces stands for its numbers.
        size: side of the pictures.

    Raises:
        ViewmaskError: a place is missing, damaged, or holds no pairs.
    """
    for place in (each for given in places for each in shard.unfolded(str(given))):
        empty = True
        for pair in _of(place, size):
            empty = False
            yield pair
        if empty:
            raise ViewmaskError(f"no pairs in {place}: a picture a.jpg wants its sentence in a.txt")


def _of(place: str, size: int) -> Iterator[Pair]:
    path = Path(place)
    if _WEB.match(place) or path.suffix == ".tar":
        return _shard(place, size)
    if path.suffix == ".parquet":
        return _table(path, size)
    if path.is_dir():
        return _folder(path, size)
    raise ViewmaskError(f"no pairs in {place}: name a folder, a .tar or a .parquet file")


def _folder(folder: Path, size: int) -> Iterator[Pair]:
    for tar in sorted(folder.glob("[!.]*.tar")):
        yield from _shard(str(tar), size)
    for text in sorted(folder.rglob("[!.]*.txt")):
        files = [file for file in (text.with_suffix(f".{kind}") for kind in PICTURES) if file.exists()]
        if files and (sentence := _line(text.read_text(errors="replace"))):
            yield Pair(str(text.relative_to(folder).with_suffix("")), sentence, _square(files[0], size))


def _shard(place: str, size: int) -> Iterator[Pair]:
    for name, files in shard.samples(place, lambda suffix: suffix.lower() in (*PICTURES, "txt")):
        yield from _sample(name, {suffix.lower(): content for suffix, content in files.items()}, size)


def _sample(name: str, files: dict[str, bytes], size: int) -> Iterator[Pair]:
    pictures = [files[kind] for kind in PICTURES if kind in files]
    sentence = _line(files.get("txt", b"").decode(errors="replace"))
    if pictures and sentence:
        yield Pair(name, sentence, _square(io.BytesIO(pictures[0]), size))


def _table(path: Path, size: int) -> Iterator[Pair]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, buffer_size=2**20, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise ViewmaskError(f"cannot read {path}: {' '.join(str(error).split())[:160]}") from error
    names = {name.lower(): name for name in file.schema_arrow.names}
    said = next((names[name] for name in SENTENCES if name in names), None)
    shown = next((names[name] for name in (*URLS, "image") if name in names), None)
    if said is None or shown is None:
        raise ViewmaskError(
            f"{path} has the columns {', '.join(names.values())}: pairs want caption or text, and url or image"
        )

    def rows() -> Iterator[tuple[str, str, Any]]:
        number = 0
        for batch in file.iter_batches(256, columns=[said, shown]):
            for sentence, picture in zip(batch[said].to_pylist(), batch[shown].to_pylist(), strict=True):
                if (line := _line(sentence if isinstance(sentence, str) else "")) and picture:
                    yield f"{path.stem}-{number}", line, picture
                number += 1

    yield from _fetched(rows(), size)


def _fetched(rows: Iterable[tuple[str, str, Any]], size: int) -> Iterator[Pair]:
    """Pairs in the order of their rows, some pictures fetched ahead."""

    def picture(shown: Any) -> Picture | None:
        content = shown.get("bytes") if isinstance(shown, dict) else shown
        if isinstance(content, str):
            if not _WEB.match(content):
                return None
            try:
                with urllib.request.urlopen(content, timeout=_SECONDS) as stream:
                    content = stream.read()
            except (OSError, ValueError, HTTPException):
                return None
        return _square(io.BytesIO(content), size) if isinstance(content, bytes) else None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        waiting: deque[tuple[str, str, Future[Picture | None]]] = deque()
        for name, sentence, shown in rows:
            waiting.append((name, sentence, pool.submit(picture, shown)))
            if len(waiting) > 2 * _AT_ONCE:
                name, sentence, future = waiting.popleft()
                yield Pair(name, sentence, future.result())
        for name, sentence, future in waiting:
            yield Pair(name, sentence, future.result())


def _square(file: Path | IO[bytes], size: int) -> Picture | None:
    """The middle square of a picture, if it is one."""
    try:
        picture = read_picture(file, upright=True, largest=_LARGEST)
    except ViewmaskError:
        return None
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return resize(picture[top : top + side, left : left + side], size)


def _line(text: str) -> str:
    return " ".join(text.split())
