"""Shards: WebDataset tars by path or URL, read as streams.

The files of a sample stand in a row, and share a name up to the first dot.
"""

from __future__ import annotations

import re
import tarfile
import urllib.request
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path, PurePath
from typing import IO

from viewmask.errors import ViewmaskError

_URL = re.compile(r"(https?|file):/{1,3}")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_SECONDS = 60.0  # until a server is given up


def samples(place: str, wanted: Callable[[str], bool] = lambda suffix: True) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Name and files of every sample of a tar, the files by what stands after the name's dot.

    Args:
        place: a path or a URL.
        wanted: of such a suffix, whether the file is read.

    Raises:
        ViewmaskError: it cannot be read, or ends too early.
    """
    try:
        with _opened(place) as stream, tarfile.open(fileobj=stream, mode="r|*") as tar:
            for name, members in groupby(tar, lambda member: _parts(member.name)[0]):
                files = dict[str, bytes]()
                for member in members:  # a stream: each is read before the next one comes
                    suffix = _parts(member.name)[1]
                    content = tar.extractfile(member) if wanted(suffix) else None
                    if content is not None:
                        files[suffix] = content.read()
                if files:
                    yield name, files
    except (OSError, tarfile.TarError, EOFError) as error:
        raise ViewmaskError(f"cannot read the shard {place}: {error}") from error


def is_url(place: str) -> bool:
    """Whether a place is a URL."""
    return _URL.match(place) is not None


def unfolded(place: str) -> list[str]:
    """A name with a range in braces as all the names that it stands for."""
    match = _BRACES.search(place)
    if not match:
        return [place]
    first, last = match[1], match[2]
    numbers = (f"{number:0{len(first)}d}" for number in range(int(first), int(last) + 1))
    return [each for number in numbers for each in unfolded(place.replace(match[0], number, 1))]


def _parts(name: str) -> tuple[str, str]:
    """The name of a file's sample, and the rest."""
    path = PurePath(name)
    first, _, suffix = path.name.partition(".")
    return (str(path.with_name(first)), suffix) if first else (name, "")


def _opened(place: str) -> IO[bytes]:
    if is_url(place):
        stream: IO[bytes] = urllib.request.urlopen(place, timeout=_SECONDS)
        return stream
    return Path(place).open("rb")
