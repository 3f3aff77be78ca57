"""PLY: vertices, faces and strips, in words or in bytes, with colours, normals and texture coordinates of either."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside
from render.formats import polygons
from render.formats.patch import Patch, Reading, linear, numbers, shares
from render.formats.texture import texture_of
from render.texture import Texture

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8", "int64": "i8", "uint64": "u8",
}  # fmt: skip
COLOURS = (
    ("red", "green", "blue"), ("diffuse_red", "diffuse_green", "diffuse_blue"), ("r", "g", "b"),
    ("base_red", "base_green", "base_blue"),
)  # fmt: skip
PLACES = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"), ("texture_s", "texture_t"))
MOST_HEADER = 2**20


@dataclass(frozen=True)
class Property:
    """A column of an element: one number a row, or a list (then `count` is the type of its length)."""

    name: str
    type: str
    count: str | None = None


@dataclass(frozen=True)
class Ragged:
    """A column of lists: their values one after another, and their lengths."""

    values: NDArray[Any]
    sizes: NDArray[np.int64]


Columns = dict[str, NDArray[Any] | Ragged]


def read(data: bytes, reading: Reading, beside: Beside) -> list[Patch]:
    """The faces of a PLY file as triangles.

    Raises:
        ViewmaskError: cut off, damaged, or a texture is missing.
    """
    form, elements, pictures, start = _header(data, reading)
    rest = data[start:]
    table = _words(rest, elements, reading) if form == "ascii" else _bytes(rest, elements, form, reading)
    vertex, face = table.get("vertex", {}), table.get("face", {})
    vertices = _together(vertex, ("x", "y", "z"))
    if vertices is None:
        raise reading.broken("its vertices have no x, y and z")
    vertices = vertices.astype(np.float64)
    index = next((face[name] for name in ("vertex_indices", "vertex_index") if name in face), None)
    strips = next((lists for lists in table.get("tristrips", {}).values() if isinstance(lists, Ragged)), None)
    if isinstance(index, Ragged) and len(index.sizes):
        flat, sizes = index.values.astype(np.int64), index.sizes
    elif strips is not None:
        flat, face = _unrolled(strips), {}
        sizes = np.full(len(flat) // 3, 3)
    else:
        if any(name.startswith("f_dc_") for name in vertex):
            raise reading.broken("it holds Gaussian splats and no triangles")
        return []
    if len(flat) and (flat.min() < 0 or flat.max() >= len(vertices)):
        raise reading.broken("its faces name vertices it lacks")
    corner, owner = polygons.triangles(vertices[flat], sizes)
    faces = flat[corner]
    painted = _painted(face, lambda colours: np.repeat(colours[owner][:, None], 3, axis=1), reading)
    if painted is None:
        painted = _painted(vertex, lambda colours: colours[faces], reading)
    normals = _together(vertex, ("nx", "ny", "nz"))
    if normals is not None:
        normals = normals[faces]
    uv, number = _places(vertex, face, faces, corner, owner, sizes)
    if not pictures or uv is None:
        if pictures:
            reading.note(f"its texture {pictures[0].decode('latin-1')} is left out: it has no texture coordinates")
        return [Patch(vertices, faces, painted, normals=normals)]
    patches = []
    for which, picture in enumerate(pictures):
        here = np.flatnonzero(number == which)
        if len(here):
            texture: Texture | None = texture_of(picture, beside, reading)
            patches.append(
                Patch(
                    vertices, faces[here], None if painted is None else painted[here], uv[here], texture,
                    None if normals is None else normals[here],
                )
            )  # fmt: skip
    if sum(len(patch.faces) for patch in patches) < len(faces):
        bare = np.flatnonzero((number < 0) | (number >= len(pictures)))
        patches.append(Patch(vertices, faces[bare], None if painted is None else painted[bare]))
    return patches


def _header(data: bytes, reading: Reading) -> tuple[str, list[tuple[str, int, list[Property]]], list[bytes], int]:
    """Format, elements (name, rows, columns), texture files, and where the data begin."""
    end = re.search(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\n|\r)", data[:MOST_HEADER])
    if not data.startswith(b"ply") or end is None:
        raise reading.broken("it is no PLY, or it is cut off within the header")
    form, elements, pictures = "", [], []
    for line in re.split(rb"\r\n|\n|\r", data[: end.start()])[1:]:
        words = line.decode("latin-1").split()
        try:
            if words[:1] == ["format"]:
                form = {"ascii": "ascii", "binary_little_endian": "<", "binary_big_endian": ">"}[words[1]]
            elif words[:1] == ["element"]:
                elements.append((words[1], int(words[2]), list[Property]()))
            elif words[:2] == ["property", "list"]:
                elements[-1][2].append(Property(words[4], TYPES[words[3]], TYPES[words[2]]))
            elif words[:1] == ["property"]:
                elements[-1][2].append(Property(words[2], TYPES[words[1]]))
            elif words[:1] in (["comment"], ["obj_info"]) and words[1:2] and words[1].lower() == "texturefile":
                pictures.append(line.split(None, 2)[2].strip())
        except (KeyError, IndexError, ValueError) as error:
            raise reading.broken(f"a line of its header is not understood: {' '.join(words)[:60]}") from error
    if not form or any(rows < 0 for _, rows, _ in elements):
        raise reading.broken("its header has no format, or a count below 0")
    return form, elements, pictures, end.end()


def _cut(reading: Reading, name: str, rows: int) -> Exception:
    return reading.broken(f"it is cut off: its header promises {rows} rows of {name}, and the data end before")


def _bytes(
    data: bytes, elements: list[tuple[str, int, list[Property]]], order: str, reading: Reading
) -> dict[str, Columns]:
    table: dict[str, Columns] = {}
    at = 0
    for name, rows, properties in elements:
        least = sum(np.dtype(one.count or one.type).itemsize for one in properties)
        if rows * least > len(data) - at:
            raise _cut(reading, name, rows)
        if not rows:
            table[name] = {}
            continue
        lists = [one for one in properties if one.count]
        sizes = _first_sizes(data, at, properties, order) if lists else {}
        dtype = _row(properties, sizes, order) if sizes is not None else None
        if dtype is not None and rows * dtype.itemsize <= len(data) - at:
            block = np.frombuffer(data, dtype, rows, at)
            if not lists or (sizes and all(np.all(block[f"#{one.name}"] == sizes[one.name]) for one in lists)):
                table[name] = {
                    one.name: Ragged(block[one.name].reshape(-1), block[f"#{one.name}"].astype(np.int64))
                    if one.count
                    else block[one.name]
                    for one in properties
                }
                at += rows * dtype.itemsize
                continue
        table[name], at = _row_by_row(data, at, name, rows, properties, order, reading)
    return table


def _first_sizes(data: bytes, at: int, properties: list[Property], order: str) -> dict[str, int] | None:
    """Lengths of the lists in the first row; None if that is cut off."""
    sizes = {}
    for one in properties:
        if one.count:
            kind = np.dtype(order + one.count)
            if at + kind.itemsize > len(data):
                return None
            sizes[one.name] = max(0, int(np.frombuffer(data, kind, 1, at)[0]))
            at += kind.itemsize + sizes[one.name] * np.dtype(one.type).itemsize
        else:
            at += np.dtype(one.type).itemsize
    return sizes


def _row(properties: list[Property], sizes: dict[str, int], order: str) -> np.dtype[Any] | None:
    fields: list[Any] = []
    for one in properties:
        if one.count:
            if sizes[one.name] > 2**24:
                return None
            fields.append((f"#{one.name}", order + one.count))
            fields.append((one.name, order + one.type, (sizes[one.name],)))
        else:
            fields.append((one.name, order + one.type))
    try:
        return np.dtype(fields)
    except ValueError:  # two columns of one name
        return None


def _row_by_row(
    data: bytes, at: int, name: str, rows: int, properties: list[Property], order: str, reading: Reading
) -> tuple[Columns, int]:
    parts: dict[str, list[bytes]] = {one.name: [] for one in properties}
    sizes: dict[str, list[int]] = {one.name: [] for one in properties if one.count}
    plan = [
        (parts[one.name], sizes.get(one.name), np.dtype(one.type).itemsize, np.dtype(one.count or "u1").itemsize,
         (one.count or "u").startswith("i")) for one in properties
    ]  # fmt: skip
    little: Any = "little" if order == "<" else "big"
    end = len(data)
    for _ in range(rows):
        for chunks, lengths, width, head, signed in plan:
            if lengths is not None:
                count = int.from_bytes(data[at : at + head], little, signed=signed)
                lengths.append(count)
                at += head
                if count < 0:
                    raise reading.broken(f"a list of {name} has a length below 0")
                width *= count
            chunks.append(data[at : at + width])
            at += width
        if at > end:
            raise _cut(reading, name, rows)
    columns: Columns = {}
    for one in properties:
        values = np.frombuffer(b"".join(parts[one.name]), order + one.type)
        columns[one.name] = Ragged(values, np.array(sizes[one.name], dtype=np.int64)) if one.count else values
    return columns, at


def _words(data: bytes, elements: list[tuple[str, int, list[Property]]], reading: Reading) -> dict[str, Columns]:
    lines = [line for line in data.splitlines() if line.strip()]
    if len(lines) < sum(rows for _, rows, _ in elements):
        return _table(data.split(), elements, reading)  # rows that share lines
    words: list[bytes] = []
    at = 0
    for name, rows, properties in elements:
        for line in lines[at : at + rows]:
            row = line.split()
            used = _used(row, properties)
            if used < len(row):
                reading.note(f"rows of {name} hold more than the header says: the rest is left out")
            words += row[:used]
        at += rows
    return _table(words, elements, reading)


def _used(row: list[bytes], properties: list[Property]) -> int:
    """How many words of a row its columns take; all where that cannot be told."""
    at = 0
    for one in properties:
        if one.count is None:
            at += 1
        elif at < len(row) and row[at].isdigit():
            at += 1 + int(row[at])
        else:
            return len(row)
    return at


def _table(words: list[bytes], elements: list[tuple[str, int, list[Property]]], reading: Reading) -> dict[str, Columns]:
    table: dict[str, Columns] = {}
    at = 0
    for name, rows, properties in elements:
        if rows * len(properties) > len(words) - at:
            raise _cut(reading, name, rows)
        if not any(one.count for one in properties):
            end = at + rows * len(properties)
            block = numbers(words[at:end], reading, f"rows of {name}").reshape(rows, len(properties))
            table[name] = {one.name: _typed(block[:, place], one) for place, one in enumerate(properties)}
            at = end
            continue
        parts: dict[str, list[bytes]] = {one.name: [] for one in properties}
        sizes: dict[str, list[int]] = {one.name: [] for one in properties if one.count}
        try:
            for _ in range(rows):
                for one in properties:
                    count = 1
                    if one.count:
                        count = int(words[at])
                        sizes[one.name].append(count)
                        at += 1
                    if count < 0:
                        raise reading.broken(f"a list of {name} has a length below 0")
                    parts[one.name] += words[at : at + count]
                    at += count
                if at > len(words):
                    raise IndexError
        except IndexError as error:
            raise _cut(reading, name, rows) from error
        except ValueError as error:
            raise reading.broken(f"a list of {name} has a length that is no number") from error
        columns: Columns = {}
        for one in properties:
            values = numbers(parts[one.name], reading, f"rows of {name}")
            own = np.array(sizes[one.name], dtype=np.int64) if one.count else None
            columns[one.name] = _typed(values, one) if own is None else Ragged(values, own)
        table[name] = columns
    return table


def _typed(values: NDArray[np.float64], one: Property) -> NDArray[Any]:
    """Numbers in words, as the short whole ones that the header declares; their type says what is full brightness."""
    if one.type not in ("u1", "u2"):
        return values
    return np.clip(np.nan_to_num(values), 0, np.iinfo(one.type).max).astype(one.type)


def _unrolled(strips: Ragged) -> NDArray[np.int64]:
    """The corners of the triangles of strips, which -1 ends, one after another."""
    triangles: list[tuple[int, int, int]] = []
    strip: list[int] = []
    starts = set((np.cumsum(strips.sizes) - strips.sizes).tolist())
    for place, index in enumerate(strips.values.astype(np.int64).tolist()):
        if place in starts:
            strip = []
        if index < 0:
            strip = []
            continue
        strip.append(index)
        if len(strip) >= 3:
            first, second, third = strip[-3:]
            triangles.append((first, second, third) if len(strip) % 2 else (second, first, third))
    return np.array(triangles, dtype=np.int64).reshape(-1)


def _together(columns: Columns, names: tuple[str, ...]) -> NDArray[Any] | None:
    """Columns of numbers side by side, [rows, columns]; None if one is absent."""
    parts = [part for name in names if isinstance(part := columns.get(name), np.ndarray)]
    return np.stack(parts, axis=1) if len(parts) == len(names) else None


def _painted(columns: Columns, spread: Any, reading: Reading) -> NDArray[np.float32] | None:
    """Linear colours from columns of numbers, spread over corners by `spread`; None for none."""
    for names in COLOURS:
        values = _together(columns, names)
        if values is not None:
            for name in ("alpha", "a", "diffuse_alpha"):
                alpha = columns.get(name)
                if isinstance(alpha, np.ndarray) and len(alpha) and np.ptp(alpha) > 0:
                    reading.note("the alpha of its vertices or faces is left out")
            kind = values.dtype
            whole = float(np.iinfo(kind).max) if kind.kind == "u" and kind.itemsize <= 2 else None
            return spread(linear(shares(values, whole)))
    return None


def _places(
    vertex: Columns, face: Columns, faces: NDArray[np.int64], corner: NDArray[np.int64], owner: NDArray[np.int64],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.float64] | None, NDArray[np.int64]]:  # fmt: skip
    """Texture coordinates at the corners [faces, 3, 2], or None, and the number of each triangle's texture."""
    number = np.zeros(len(faces), dtype=np.int64)
    own = face.get("texnumber")
    if isinstance(own, np.ndarray):
        number = own.astype(np.int64)[owner]
    lists = face.get("texcoord")
    if isinstance(lists, Ragged):
        if (lists.sizes == 2 * sizes).all():
            return lists.values.astype(np.float64).reshape(-1, 2)[corner], number
        whole = lists.sizes == 2 * sizes  # faces without coordinates have none of this texture
        flat = np.zeros((int(sizes.sum()), 2))
        flat[np.repeat(whole, sizes)] = lists.values[np.repeat(whole, lists.sizes)].reshape(-1, 2)
        return flat[corner], np.where(whole[owner], number, -1)
    for first, second in PLACES:
        places = _together(vertex, (first, second))
        if places is not None:
            return places.astype(np.float64)[faces], number
    return None, number
