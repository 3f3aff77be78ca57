"""STL: triangles, in words or in 50 bytes each; colours as VisCAM and Materialise Magics put them there."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.formats.patch import Patch, Reading, linear, numbers

HEADER = 84
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("colour", "<u2")])


def read(data: bytes, reading: Reading) -> list[Patch]:
    """The triangles of an STL file.

    Raises:
        ViewmaskError: cut off, or damaged.
    """
    start = data[:2000].lower()
    if start.lstrip().startswith(b"solid"):  # so do many binary files begin
        count = int.from_bytes(data[80:84], "little")
        if len(data) != HEADER + count * FACET.itemsize and (b"facet" in start or b"endsolid" in start):
            return _words(data, reading)
    if len(data) < HEADER:
        raise reading.broken("it is cut off: not even an STL's header is whole")
    return _binary(data, int.from_bytes(data[80:84], "little"), reading)


def _binary(data: bytes, count: int, reading: Reading) -> list[Patch]:
    whole = HEADER + count * FACET.itemsize
    if len(data) < whole:
        there = (len(data) - HEADER) // FACET.itemsize
        raise reading.broken(f"it is cut off: its header promises {count} triangles, {there} are there")
    if not count:
        return []
    facets = np.frombuffer(data, FACET, count, HEADER)
    colours = _colours(data[:80], facets["colour"])
    return [_patch(facets["corners"], colours)]


def _colours(header: bytes, bits: NDArray[Any]) -> NDArray[np.float64] | None:
    """sRGB of each facet [facets, 3] in 0 to 1, or None for none."""
    parts = np.stack([bits & 31, bits >> 5 & 31, bits >> 10 & 31], axis=-1) / 31
    own = bits >> 15
    if b"COLOR=" in header:  # Magics: red first, and the highest bit tells that the object's colour is meant
        start = header.index(b"COLOR=") + 6
        whole = np.frombuffer(header[start : start + 3].ljust(3, b"\0"), np.uint8) / 255
        return np.where(((own == 0) & (bits != 0))[:, None], parts, whole)
    if not own.any():
        return None
    return np.where((own == 1)[:, None], parts[:, ::-1], 1.0)  # VisCAM: blue first


def _words(data: bytes, reading: Reading) -> list[Patch]:
    words = data.lower().split()
    facets, ends = words.count(b"facet"), words.count(b"endfacet")
    if facets != ends or not re.search(rb"endsolid[^\n]*\s*$", data[-400:].lower()):
        raise reading.broken("it is cut off: its last triangle or its end is missing")
    places = np.flatnonzero(np.array(words, dtype="S6") == b"vertex")
    if len(places) != 3 * facets:
        raise reading.broken("not every facet has three vertices")
    if not facets:
        return []
    if places[-1] + 3 >= len(words):
        raise reading.broken("it is cut off: its last vertex is not whole")
    values = numbers([words[place + step] for place in places.tolist() for step in (1, 2, 3)], reading, "vertices")
    return [_patch(values.reshape(-1, 3, 3), None)]


def _patch(corners: NDArray[Any], colours: NDArray[np.float64] | None) -> Patch:
    """Triangles [faces, 3, 3]. Normals are left out: edges under 40 degrees are smoothed as for any other format."""
    faces = np.arange(3 * len(corners)).reshape(-1, 3)
    painted = None if colours is None else np.repeat(linear(colours)[:, None], 3, axis=1)
    return Patch(corners.reshape(-1, 3).astype(np.float64), faces, painted)
