"""OBJ and MTL: Wavefront's polygons and materials, as programs of thirty years have written them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside, spellings
from render.formats import polygons
from render.formats.patch import Patch, Reading, counts, linear, numbers, shares
from render.formats.texture import pixels_of, with_alpha
from render.texture import Floats, Texture

# Options of a texture statement, and how many words at most follow each.
OPTIONS = {
    b"-blendu": 1, b"-blendv": 1, b"-boost": 1, b"-mm": 2, b"-o": 3, b"-s": 3, b"-t": 3, b"-texres": 1, b"-clamp": 1,
    b"-bm": 1, b"-imfchan": 1, b"-type": 1, b"-cc": 1, b"-colorspace": 1,
}  # fmt: skip
NAMELESS = {b"", b"none", b"(null)", b"null", b"default"}  # what programs write where a face has no material
_NUMBER = re.compile(rb"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$")


@dataclass(frozen=True)
class Map:
    """A texture statement: the file's name in the bytes of the MTL, and its options `-s`, `-o` and `-clamp`."""

    name: bytes
    scale: tuple[float, float] = (1.0, 1.0)
    offset: tuple[float, float] = (0.0, 0.0)
    clamp: bool = False


@dataclass(frozen=True)
class Material:
    """What an MTL says of a material, as far as base colour, transparency and emission go."""

    kd: tuple[float, ...] | None = None
    ke: tuple[float, ...] | None = None
    opacity: float | None = None  # d
    sheer: float | None = None  # Tr, of which some programs mean the contrary
    map_kd: Map | None = None
    map_d: Map | None = None
    map_ke: Map | None = None

    @property
    def alpha(self) -> float:
        """Share of a ray that it stops; `d` counts before `Tr`."""
        alpha = self.opacity if self.opacity is not None else 1 - (self.sheer or 0.0)
        return float(np.clip(alpha, 0, 1))


@dataclass(frozen=True, eq=False)
class Coat:
    """A material with its pictures read."""

    colour: Floats
    texture: Texture | None
    scale: NDArray[np.float64]
    offset: NDArray[np.float64]
    alpha: float | None
    emission: Floats | None
    emission_texture: Texture | None
    painted: bool  # whether vertex colours stand in for its colour


def read(data: bytes, reading: Reading, beside: Beside, stem: str = "") -> list[Patch]:
    """The polygons of an OBJ file as triangles, a patch for each material.

    Args:
        stem: of the file's name: where its libraries are missing, an MTL of this name is tried.

    Raises:
        ViewmaskError: cut off, damaged, or a material or texture is missing.
    """
    lines = _Lines.of(_plain(data), reading)
    if not lines.faces:
        return []
    vertices, colours = _vertices(lines.vertices, reading)
    places = _table(lines.places, 2, reading, "texture coordinates")
    normals = _table(lines.normals, 3, reading, "normals")
    sizes, index = _corners(lines, (len(vertices), len(places), len(normals)), reading)
    corner, owner = polygons.triangles(vertices[index[:, 0]], sizes)
    if not len(corner):
        return []
    material = np.array(lines.materials)[owner]
    used = [lines.names[number] for number in np.unique(material).tolist()]
    coats = _coats(lines.libraries, used, reading, beside, stem)
    patches = []
    for number, name in zip(np.unique(material).tolist(), used, strict=True):
        triangles = index[corner[material == number]]  # [faces, 3, 3]: numbers of vertex, place and normal
        patches.append(_patch(triangles, vertices, colours, places, normals, coats[name], reading))
    return _some_seen(patches, reading)


@dataclass
class _Lines:
    """An OBJ's statements, sorted by kind; `materials` has the number in `names` of each face's material."""

    vertices: list[bytes]
    places: list[bytes]
    normals: list[bytes]
    faces: list[bytes]
    materials: list[int]
    before: list[tuple[int, int, int]]  # statements of each kind before each face
    libraries: list[bytes]
    names: list[bytes]

    @classmethod
    def of(cls, data: bytes, reading: Reading) -> _Lines:
        lines = cls([], [], [], [], [], [], [], [b""])
        number = 0
        relative = re.search(rb"(?m)^[ \t]*fo?[ \t][^\n]*-", data) is not None
        odd: set[bytes] = set()
        for line in data.split(b"\n"):
            start = line[:2]
            if start == b"v ":
                lines.vertices.append(line[2:])
            elif start == b"f ":
                lines.faces.append(line[2:])
                lines.materials.append(number)
                if relative:
                    lines.before.append((len(lines.vertices), len(lines.places), len(lines.normals)))
            elif start == b"vt":
                lines.places.append(line[2:])
            elif start == b"vn":
                lines.normals.append(line[2:])
            else:
                word, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
                rest = rest.strip()
                if word == b"usemtl":
                    if rest not in lines.names:
                        lines.names.append(rest)
                    number = lines.names.index(rest)
                elif word == b"mtllib":
                    lines.libraries.append(rest)
                elif word in (b"v", b"f", b"fo", b"vt", b"vn"):  # indented, or with a tab
                    kinds = {b"v": lines.vertices, b"vt": lines.places, b"vn": lines.normals}
                    kinds.get(word, lines.faces).append(rest)
                    if word.startswith(b"f"):
                        lines.materials.append(number)
                        if relative:
                            lines.before.append((len(lines.vertices), len(lines.places), len(lines.normals)))
                elif word in (b"curv", b"surf", b"cstype"):
                    odd.add(word)
        if odd:
            reading.note("its free-form curves and surfaces are left out")
        return lines


def _plain(data: bytes) -> bytes:
    """The text with Unix line ends, without a byte order mark, comments and continued lines."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return re.sub(rb"(?m)^[ \t]*#[^\n]*", b"", data).replace(b"\\\n", b" ")


def _table(lines: list[bytes], width: int, reading: Reading, what: str) -> NDArray[np.float64]:
    """The first `width` numbers of each line, [lines, width]."""
    words = b" ".join(lines).split()
    if lines and len(words) % len(lines) == 0 and len(words) >= width * len(lines):
        across = len(words) // len(lines)
        if all(len(line.split()) == across for line in lines):
            return numbers(words, reading, what).reshape(len(lines), across)[:, :width]
    rows = [line.split(b"#")[0].split()[:width] for line in lines]
    if any(len(row) < width for row in rows):
        if width == 2 and all(row for row in rows):  # one texture coordinate alone is allowed
            rows = [row if len(row) == 2 else [*row, b"0"] for row in rows]
        else:
            raise reading.broken(f"{what} are not whole: the file is damaged or cut off")
    return numbers([word for row in rows for word in row], reading, what).reshape(-1, width)


def _vertices(lines: list[bytes], reading: Reading) -> tuple[NDArray[np.float64], Floats | None]:
    """Places [vertices, 3], and linear colours [vertices, 3] where every vertex has one."""
    table = _table(lines, 3, reading, "vertices")
    widths = {len(line.split(b"#")[0].split()) for line in lines}
    if not widths or not widths <= {6, 7, 8}:
        return table, None
    colours = np.array([line.split()[3:6] for line in lines], dtype=object)
    values = numbers(colours.ravel().tolist(), reading, "vertex colours").reshape(-1, 3)
    return table, linear(shares(values))


def _corners(
    lines: _Lines, have: tuple[int, int, int], reading: Reading
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Corners of each face, and the numbers of every corner's vertex, place and normal [corners, 3], -1 for none."""
    rows = [line.split(b"#")[0].split() if b"#" in line else line.split() for line in lines.faces]
    sizes = np.array([len(row) for row in rows], dtype=np.int64)
    words = [word for row in rows for word in row]
    index = np.zeros((len(words), 3), dtype=np.int64)
    text = b" ".join(words)
    slashes, pairs = text.count(b"/"), text.count(b"//")
    columns: list[int] = []  # of vertex, place and normal, those that every corner has
    if slashes == 0:
        columns = [0]
    elif pairs == len(words) and slashes == 2 * pairs:
        columns = [0, 2]
    elif pairs == 0 and all(word.count(b"/") == 1 for word in words):
        columns = [0, 1]
    elif pairs == 0 and all(word.count(b"/") == 2 for word in words):
        columns = [0, 1, 2]
    plain = text.replace(b"/", b" ").split()
    if columns and len(plain) == len(columns) * len(words):
        index[:, columns] = counts(plain, reading, "faces").reshape(-1, len(columns))
    else:
        parts = [word.split(b"/")[:3] for word in words]
        for column in range(3):
            column_words = [part[column] if len(part) > column and part[column] else b"0" for part in parts]
            index[:, column] = counts(column_words, reading, "faces")
    if (index < 0).any():
        before = np.repeat(np.array(lines.before, dtype=np.int64), sizes, axis=0)
        index = np.where(index < 0, before + index + 1, index)
        if (index[:, 0] < 1).any():
            raise reading.broken("its faces name vertices it lacks")
    if len(index) and (index[:, 0].max() > have[0] or index[:, 0].min() < 1):
        raise reading.broken("its faces name vertices it lacks: it is damaged or cut off")
    for column, what in ((1, "texture coordinates"), (2, "normals")):
        lost = (index[:, column] > have[column]) | (index[:, column] < 0)
        if lost.any():
            if have[column]:
                reading.lacks(f"its faces name {what} it lacks")
            else:
                reading.note(f"its faces name {what}, and it has none at all")
            index[lost, column] = 0
    return sizes, index - 1


def _patch(
    triangles: NDArray[np.int64], vertices: NDArray[np.float64], colours: Floats | None, places: NDArray[np.float64],
    normals: NDArray[np.float64], coat: Coat, reading: Reading,
) -> Patch:  # fmt: skip
    uv, turned = None, None
    corner_places, corner_normals = triangles[..., 1], triangles[..., 2]
    worn = coat.texture is not None or coat.emission_texture is not None
    if worn and (corner_places >= 0).any():
        uv = places[np.maximum(corner_places, 0)] * coat.scale + coat.offset
        if (corner_places < 0).any():
            reading.note("some faces with a texture have no texture coordinates")
    elif worn:
        reading.note("a texture is left out: its faces have no texture coordinates")
    if (corner_normals >= 0).any():
        turned = np.where((corner_normals >= 0)[..., None], normals[np.maximum(corner_normals, 0)], 0.0)
    painted = coat.colour
    if colours is not None and coat.painted:
        painted = colours[triangles[..., 0]]
    return Patch(
        vertices, triangles[..., 0], painted, uv, coat.texture if uv is not None else None, turned, coat.alpha,
        emission=coat.emission, emission_texture=coat.emission_texture if uv is not None else None,
    )  # fmt: skip


def _some_seen(patches: list[Patch], reading: Reading) -> list[Patch]:
    """The patches; if every one is invisible by a plain `d` or `Tr`, that cannot be meant, and all are solid."""
    if all(patch.alpha is not None and patch.alpha <= 0 for patch in patches):
        reading.note("its materials make it invisible (d 0 or Tr 1): drawn as solid")
        return [replace(patch, alpha=None) for patch in patches]
    return patches


# -- materials --------------------------------------------------------------------------------------


def _coats(libraries: list[bytes], used: list[bytes], reading: Reading, beside: Beside, stem: str) -> dict[bytes, Coat]:
    """The materials of these names, with their pictures."""
    named = [name for name in used if name.lower() not in NAMELESS]
    materials: dict[bytes, Material] = {}
    if named:
        for name in _library_files(libraries, reading, beside, stem):
            materials |= _materials(_found(beside, name), reading)
    alike = {_folded(key): one for key, one in materials.items()}
    coats = {}
    for name in used:
        material = materials.get(name) or alike.get(_folded(name))
        if material is None and name in named:
            if libraries or materials:
                reading.lacks(f"the material {_shown(name)} is in none of its libraries")
            material = Material()
        coats[name] = _coat(material or Material(), reading, beside)
    return coats


def _library_files(libraries: list[bytes], reading: Reading, beside: Beside, stem: str) -> list[bytes | str]:
    """The MTL files that `mtllib` lines name: one with spaces in its name, or several."""
    files: list[bytes | str] = []
    missing: list[bytes] = []
    for line in libraries:
        if beside.name_of(line) is not None:
            files.append(line)
            continue
        there = [word for word in line.split() if beside.name_of(word) is not None]
        files += there
        missing += [word for word in line.split() if word not in there] if there else [line]
    if files and not missing:
        return files
    if not files and stem and beside.name_of(f"{stem}.mtl") is not None:
        reading.note(f"its materials are taken from {stem}.mtl, which lies beside it")
        return [f"{stem}.mtl"]
    if missing:
        reading.lacks(f"the material library {_shown(missing[0])} is missing: it is not beside the mesh")
    else:
        reading.note("it uses materials and names no library of them (mtllib): drawn white")
    return files


def _found(beside: Beside, name: bytes | str) -> bytes:
    return _plain(beside.find(name))


def _materials(data: bytes, reading: Reading) -> dict[bytes, Material]:
    """The materials of an MTL file by their names."""
    materials: dict[bytes, Material] = {}
    name: bytes | None = None
    for line in data.split(b"\n"):
        word, _, rest = line.strip().replace(b"\t", b" ").partition(b" ")
        word, rest = word.lower(), rest.strip()
        if word == b"newmtl":
            name = rest
            materials.setdefault(name, Material())
            continue
        if name is None or not rest:
            continue
        own = materials[name]
        if word in (b"kd", b"ke"):
            colour = _three(rest)
            if colour is None:
                reading.note(f"a colour of the material {_shown(name)} is left out: {_shown(line.strip())}")
            else:
                own = replace(own, kd=colour) if word == b"kd" else replace(own, ke=colour)
        elif word in (b"d", b"tr"):
            words = [part for part in rest.split() if part != b"-halo"]
            if words and _NUMBER.match(words[0]):
                value = float(words[0])
                own = replace(own, opacity=value) if word == b"d" else replace(own, sheer=value)
        elif word in (b"map_kd", b"map_d", b"map_opacity", b"map_ke", b"map_emissive"):
            one = _map(rest)
            key = "map_kd" if word == b"map_kd" else "map_ke" if word in (b"map_ke", b"map_emissive") else "map_d"
            if one.name:
                own = replace(own, **{key: one})  # type: ignore[arg-type]
        materials[name] = own
    return materials


def _three(rest: bytes) -> tuple[float, ...] | None:
    """The colour of a statement: three numbers, or one for all; None for spectral and other colours."""
    words = rest.split()
    if not words or not all(_NUMBER.match(word) for word in words[:3]):
        return None
    values = [float(word) for word in words[:3]]
    return tuple(values) if len(values) == 3 else (values[0],) * 3


def _map(rest: bytes) -> Map:
    """A texture statement: its options, then the file's name, which may hold spaces."""
    one = Map(b"")
    words = list(re.finditer(rb"\S+", rest))
    at = 0
    while at < len(words) and words[at][0].lower() in OPTIONS:
        option = words[at][0].lower()
        values = [word[0] for word in words[at + 1 : at + 1 + OPTIONS[option]]]
        if OPTIONS[option] > 1:
            values = _leading(values)
        at += 1 + len(values)
        pair = [float(value) for value in values[:2]] if option in (b"-s", b"-o") else []
        if option == b"-s" and pair:
            one = replace(one, scale=(pair[0], pair[1] if len(pair) > 1 else 1.0))
        elif option == b"-o" and pair:
            one = replace(one, offset=(pair[0], pair[1] if len(pair) > 1 else 0.0))
        elif option == b"-clamp":
            one = replace(one, clamp=values == [b"on"])
    return replace(one, name=rest[words[at].start() :].strip().strip(b'"') if at < len(words) else b"")


def _leading(words: list[bytes]) -> list[bytes]:
    """The words up to the first that is no number."""
    for count, word in enumerate(words):
        if not _NUMBER.match(word):
            return words[:count]
    return words


def _coat(material: Material, reading: Reading, beside: Beside) -> Coat:
    texture, emission_texture = None, None
    one = material.map_kd or material.map_d or material.map_ke or Map(b"")
    wrap: Any = ("clamp", "clamp") if one.clamp else ("repeat", "repeat")
    colour = None if material.map_kd is None else pixels_of(material.map_kd.name, beside, reading)
    alpha = material.alpha if material.alpha < 1 else None
    if material.map_d is not None:
        mask = pixels_of(material.map_d.name, beside, reading)
        if mask is not None:
            # Beside a map, `d 0` is what programs write for "the map says it".
            alpha = alpha or 1.0
            texture = Texture.of(with_alpha(colour, mask), wrap)
    if texture is None and colour is not None:
        texture = Texture.of(colour, wrap)
        if alpha is not None:  # the picture's own alpha was not asked for
            texture = Texture.of(colour[..., :3], wrap)
    # MTL's Kd seldom means to tint the picture (peers ignore it, too).
    base = np.ones(3, np.float32) if colour is not None or material.kd is None else linear(material.kd)
    emission = None
    if material.map_ke is not None:
        pixels = pixels_of(material.map_ke.name, beside, reading)
        if pixels is not None:
            emission_texture, emission = Texture.of(pixels[..., :3], wrap), np.ones(3, np.float32)
    if emission is None and material.ke is not None and max(material.ke) > 0:
        emission = linear(material.ke)
    for other in (material.map_kd, material.map_d, material.map_ke):
        if other is not None and (other.scale, other.offset, other.clamp) != (one.scale, one.offset, one.clamp):
            reading.note("the options of a material's maps differ: those of its first map hold for all")
    return Coat(
        base, texture, np.array(one.scale), np.array(one.offset), alpha, emission, emission_texture, colour is None
    )


def _folded(name: bytes) -> str:
    return (spellings(name) or [""])[0].casefold()


def _shown(name: bytes) -> str:
    return (spellings(name) or [""])[0][:80]
