"""3MF: core specification 1.3 with the colours and textures of its materials extension."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside, unzipped
from render.formats.patch import Patch, Reading, counts, linear, numbers
from render.formats.texture import texture_of
from render.texture import Texture, Wrap

MODEL = "3D/3dmodel.model"
DEEPEST = 16  # components within components
WRAPS: dict[str, Wrap] = {"wrap": "repeat", "mirror": "mirror", "clamp": "clamp", "none": "clamp"}


@dataclass
class _Group:
    """Colours, or places on a texture, that triangles name by number: sRGB [n, 3] or coordinates [n, 2]."""

    values: NDArray[np.float64]
    texture: Texture | None = None


@dataclass
class _Object:
    """An object: its triangles, what paints them, and the objects that it is composed of."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    groups: list[str]  # of each face, "" for none
    points: NDArray[np.int64]  # numbers in the group, of each corner, [faces, 3]; -1 for none
    components: list[tuple[str, NDArray[np.float64]]] = field(default_factory=list)
    drawn: bool = True


@dataclass
class _Model:
    """What one part of the package holds, by id."""

    objects: dict[str, _Object] = field(default_factory=dict)
    groups: dict[str, _Group] = field(default_factory=dict)
    items: list[tuple[str, NDArray[np.float64]]] = field(default_factory=list)


def read(data: bytes, reading: Reading) -> list[Patch]:
    """The build of a 3MF package as triangles.

    Raises:
        ViewmaskError: damaged, or a texture is missing.
    """
    try:
        package = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as error:
        raise reading.broken("it is no 3MF package, or it is cut off") from error
    names = {name.lower().lstrip("/"): name for name in package.namelist()}
    start = names.get(MODEL.lower()) or next((name for name in names.values() if name.endswith(".model")), None)
    if start is None:
        raise reading.broken("the package holds no model")
    models: dict[str, _Model] = {}

    def model(path: str) -> _Model:
        key = names.get(path.lower().lstrip("/"), path)
        if key not in models:
            models[key] = _model(unzipped(package, key, reading.name), package, reading)
        return models[key]

    patches: list[Patch] = []
    for key, matrix in model(start).items:
        path, name = _path(key, start)
        patches += _patches(model, path, name, matrix, reading, 0)
    return patches


def _path(key: str, here: str) -> tuple[str, str]:
    path, _, name = key.rpartition("#")
    return path or here, name


def _patches(
    model: object, path: str, name: str, matrix: NDArray[np.float64], reading: Reading, depth: int
) -> Iterator[Patch]:
    own: _Model = model(path)  # type: ignore[operator]
    if name not in own.objects or depth > DEEPEST:
        reading.lacks(f"its object {name} is missing" if depth <= DEEPEST else "its objects hold each other")
        return
    thing = own.objects[name]
    if not thing.drawn:
        reading.note("its support structures are left out")
        return
    for key, inner in thing.components:
        inner_path, inner_name = _path(key, path)
        yield from _patches(model, inner_path, inner_name, matrix @ inner, reading, depth + 1)
    if not len(thing.faces):
        return
    vertices = thing.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    groups = np.array(thing.groups)
    colours = np.ones((len(thing.faces), 3, 3), dtype=np.float32)
    plain = np.ones(len(thing.faces), dtype=bool)
    for group in sorted(set(thing.groups) - {""}):
        here = np.flatnonzero((groups == group) & (thing.points >= 0).all(axis=1))
        worn = own.groups.get(group)
        if worn is None or not len(worn.values):
            reading.note("materials other than colours and textures are left out")
            continue
        if (thing.points[here] >= len(worn.values)).any():
            reading.note("some triangles name colours that it lacks: they get the last one")
        points = np.minimum(thing.points[here], len(worn.values) - 1)
        if worn.values.shape[1] == 3:
            colours[here] = linear(worn.values)[points]
        elif worn.texture is not None and len(here):
            yield Patch(vertices, thing.faces[here], uv=worn.values[points], texture=worn.texture)
            plain[here] = False
    if plain.any():
        yield Patch(vertices, thing.faces[plain], colours[plain])


def _model(data: bytes, package: zipfile.ZipFile, reading: Reading) -> _Model:
    model = _Model()
    pictures: dict[str, tuple[str, tuple[Wrap, Wrap]]] = {}
    textures: dict[str, Texture | None] = {}
    try:
        for _, node in ElementTree.iterparse(io.BytesIO(data), events=("end",)):
            kind = _kind(node)
            if kind == "object":
                model.objects[node.get("id", "")] = _object(node, reading)
            elif kind == "texture2d":
                wrap = (WRAPS[node.get("tilestyleu", "wrap")], WRAPS[node.get("tilestylev", "wrap")])
                pictures[node.get("id", "")] = (node.get("path", ""), wrap)
            elif kind in ("basematerials", "colorgroup"):
                key = "displaycolor" if kind == "basematerials" else "color"
                codes = [child.get(key, "#FFFFFF") for child in node]
                model.groups[node.get("id", "")] = _Group(np.array([_rgb(code) for code in codes]).reshape(-1, 3))
                if any(len(code) == 9 and code[7:].lower() != "ff" for code in codes):
                    reading.note("the alpha of its colours is left out")
            elif kind == "texture2dgroup":
                words = [child.get(key, "0") for child in node for key in ("u", "v")]
                values = numbers(words, reading, "texture coordinates").reshape(-1, 2)
                name = node.get("texid", "")
                if name not in textures and name in pictures:
                    path, wrap = pictures[name]
                    here = Beside.in_zip(package, MODEL, reading.name)
                    textures[name] = texture_of(posixpath.relpath(path.lstrip("/"), "3D"), here, reading, wrap)
                model.groups[node.get("id", "")] = _Group(values, textures.get(name))
            elif kind == "item":
                model.items.append((_reference(node), _matrix(node, reading)))
            if kind in ("object", "resources"):
                node.clear()
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise reading.broken(f"its model is damaged or cut off ({error})") from error
    return model


def _object(node: ElementTree.Element, reading: Reading) -> _Object:
    vertices, faces, groups, points = [], [], [], []
    components = []
    group, point = node.get("pid", ""), node.get("pindex", "-1")
    for child in node.iter():
        kind = _kind(child)
        if kind == "vertex":
            vertices += [child.get("x", ""), child.get("y", ""), child.get("z", "")]
        elif kind == "triangle":
            faces += [child.get("v1", ""), child.get("v2", ""), child.get("v3", "")]
            groups.append(child.get("pid", group))
            first = child.get("p1", point)
            points += [first, child.get("p2", first), child.get("p3", first)]
        elif kind == "component":
            components.append((_reference(child), _matrix(child, reading)))
    index = counts(faces, reading, "triangles").reshape(-1, 3)
    places = numbers(vertices, reading, "vertices").reshape(-1, 3)
    if len(index) and (index.min() < 0 or index.max() >= len(places)):
        raise reading.broken("its triangles name vertices it lacks")
    return _Object(
        places, index, groups, counts(points, reading, "colours").reshape(-1, 3), components,
        node.get("type", "model") != "support",
    )  # fmt: skip


def _reference(node: ElementTree.Element) -> str:
    """The object that an item or component names: `#id`, or `path#id` in another part of the package."""
    path = next((value for key, value in node.attrib.items() if key.endswith("path")), "")
    return f"{path}#{node.get('objectid', '')}"


def _matrix(node: ElementTree.Element, reading: Reading) -> NDArray[np.float64]:
    matrix = np.eye(4)
    if node.get("transform"):
        values = numbers(node.get("transform", "").split(), reading, "transforms")
        if len(values) != 12:
            raise reading.broken("a transform does not have twelve numbers")
        matrix[:3] = values.reshape(4, 3).T
    return matrix


def _rgb(code: str) -> list[float]:
    return [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def _kind(node: ElementTree.Element) -> str:
    return str(node.tag).rpartition("}")[2]
