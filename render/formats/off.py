"""OFF: Geomview's object file format, with normals, colours and texture coordinates of vertices, colours of faces."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from render.formats import polygons
from render.formats.patch import Patch, Reading, counts, linear, numbers

_KEYWORD = re.compile(rb"\s*(ST)?(C)?(N)?(4)?(n)?OFF(\s*BINARY)?")


def read(data: bytes, reading: Reading) -> list[Patch]:
    """The polygons of an OFF file as triangles.

    Raises:
        ViewmaskError: cut off, damaged, or of a kind that is not read: binary, or in other than 3 dimensions.
    """
    data = re.sub(rb"#[^\r\n]*", b"", data.removeprefix(b"\xef\xbb\xbf"))
    keyword = _KEYWORD.match(data)
    if keyword is None:
        raise reading.broken("it does not begin with OFF")
    uv, coloured, normals, four, many, binary = keyword.groups()
    if four or many or binary:
        raise reading.broken("binary OFF and OFF of other than three dimensions are not read: write it as plain OFF")
    lines = [line.split() for line in data[keyword.end() :].splitlines()]
    lines = [line for line in lines if line]
    if not lines or len(lines[0]) < 2:
        raise reading.broken("it is cut off: the counts of vertices and faces are missing")
    vertices, faces = counts(lines[0][:2], reading, "counts").tolist()
    if vertices < 0 or faces < 0 or len(lines) < 1 + vertices + faces:
        raise reading.broken(
            f"it is cut off: it promises {vertices} vertices and {faces} faces, and has {len(lines) - 1} lines of them"
        )
    rows, polygon_rows = lines[1 : 1 + vertices], lines[1 + vertices : 1 + vertices + faces]
    width = min((len(row) for row in rows), default=3)
    if width < 3 + 3 * bool(normals):
        raise reading.broken("a vertex has too few coordinates")
    table = numbers([word for row in rows for word in row[:width]], reading, "vertices").reshape(-1, width)
    at = 3 + 3 * bool(normals)
    last = width - 2 * bool(uv)
    corner_colours = None
    # Many writers put colours after a plain OFF, too.
    if last - at >= 3 and (coloured or (last - at <= 4 and table[:, at:last].min(initial=0) >= 0)):
        whole = _whole([word for row in rows for word in row[at : at + 3]])
        corner_colours = linear(table[:, at : at + 3] / whole)
        if last - at == 4 and np.ptp(table[:, at + 3]) > 0:
            reading.note("the alpha of its vertices is left out")
    sizes = counts([row[0] for row in polygon_rows], reading, "faces")
    if (sizes < 0).any() or any(len(row) <= size for row, size in zip(polygon_rows, sizes.tolist(), strict=True)):
        raise reading.broken("a face has fewer corners than it says: the file is damaged or cut off")
    flat = [word for row, size in zip(polygon_rows, sizes.tolist(), strict=True) for word in row[1 : 1 + size]]
    index = counts(flat, reading, "faces")
    if len(index) and (index.min() < 0 or index.max() >= len(table)):
        raise reading.broken("its faces name vertices it lacks")
    corner, owner = polygons.triangles(table[index, :3], sizes)
    if not len(corner):
        return []
    colours = _face_colours(polygon_rows, sizes, reading)
    painted = None
    if colours is not None:
        painted = np.repeat(linear(colours)[owner][:, None], 3, axis=1)
    elif corner_colours is not None:
        painted = corner_colours[index[corner]]
    return [
        Patch(
            table[:, :3], index[corner], painted,
            normals=table[index[corner], 3:6] if normals else None,
        )
    ]  # fmt: skip


def _face_colours(rows: list[list[bytes]], sizes: NDArray[np.int64], reading: Reading) -> NDArray[np.float64] | None:
    """sRGB of each face [faces, 3] in 0 to 1, white where it has none; None if no face has one."""
    rest = [row[1 + size :] for row, size in zip(rows, sizes.tolist(), strict=True)]
    if any(len(words) in (1, 2) for words in rest):
        reading.note("colours by number (of a colour map) are left out")
    given = [number for number, words in enumerate(rest) if len(words) >= 3]
    if not given:
        return None
    words = [word for number in given for word in rest[number][:3]]
    colours = np.ones((len(rows), 3))
    colours[given] = numbers(words, reading, "colours").reshape(-1, 3) / _whole(words)
    return colours


def _whole(words: list[bytes]) -> float:
    """What is full brightness: 255 for whole numbers, of which any is above 1; else 1."""
    whole = all(re.fullmatch(rb"\+?\d+", word) for word in words) and any(int(word) > 1 for word in words)
    return 255.0 if whole else 1.0
