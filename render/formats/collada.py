"""COLLADA (DAE), by way of pycollada: geometry in its scene, diffuse colours and textures, transparency, emission."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside
from render.formats import polygons
from render.formats.patch import X_UP, Y_UP, Z_UP, Patch, Reading, linear
from render.formats.texture import pixels_of, with_alpha
from render.texture import Floats, Texture

_COMMA = re.compile(rb"(?<=\d),(?=\d{6}(?!\d))")
UP = {"X_UP": X_UP, "Y_UP": Y_UP, "Z_UP": Z_UP}


@dataclass(frozen=True, eq=False)
class _Coat:
    """A material with its picture read; `channel` is the set of texture coordinates that it asks for."""

    colour: Floats
    texture: Texture | None = None
    channel: str = ""
    alpha: float | None = None
    emission: Floats | None = None


def read(data: bytes, reading: Reading, beside: Beside) -> tuple[list[Patch], NDArray[np.float64]]:
    """The scene of a DAE file as triangles, and the turn [4, 4] that brings its up axis to +Y.

    Raises:
        ViewmaskError: damaged, empty, or a texture is missing.
    """
    import collada

    data = _COMMA.sub(b".", data)  # 3ds Max wrote decimal commas where the system's language has them
    try:
        file = collada.Collada(io.BytesIO(data), ignore=[collada.common.DaeError])
    except Exception as error:  # lxml's and its own
        reason = " ".join(str(error).split())[:120]
        raise reading.broken(f"it is no COLLADA, or it is damaged or cut off ({reason})") from error
    for fault in file.errors:
        what = " ".join(str(getattr(fault, "msg", fault)).split())[:100]
        unseen = re.search("camera|light", what, re.IGNORECASE) is not None
        if unseen or isinstance(fault, collada.common.DaeUnsupportedError):
            reading.note(f"a part is left out, as it is not read: {what}")
        else:
            reading.lacks(f"a part is damaged: {what}")
    upright = UP.get(str(file.assetInfo.upaxis), Y_UP)
    if file.scene is None:
        return [], upright
    coats: dict[int, _Coat] = {}

    def coat(material: Any) -> _Coat:
        if id(material) not in coats:
            coats[id(material)] = _coat(material.effect, reading, beside)
        return coats[id(material)]

    return [patch for node in file.scene.nodes for patch in _patches(node, np.eye(4), coat, reading)], upright


def _patches(node: Any, matrix: NDArray[np.float64], coat: Any, reading: Reading) -> Iterator[Patch]:
    import collada

    if isinstance(node, collada.scene.GeometryNode | collada.scene.ControllerNode):
        geometry = getattr(node, "geometry", None)
        if geometry is None:
            reading.note("a skin is drawn in its bind pose")
            geometry = node.controller.geometry
            matrix = matrix @ np.asarray(getattr(node.controller, "bind_shape_matrix", np.eye(4)), dtype=np.float64)
        materials = {one.symbol: one for one in node.materials}
        for primitive in geometry.primitives:
            yield from _primitive(primitive, matrix, materials.get(primitive.material), coat, reading)
    elif hasattr(node, "children"):
        inner = matrix @ np.asarray(getattr(node, "matrix", np.eye(4)), dtype=np.float64)
        for child in node.children or ():
            yield from _patches(child, inner, coat, reading)


def _primitive(primitive: Any, matrix: NDArray[np.float64], bound: Any, coat: Any, reading: Reading) -> Iterator[Patch]:
    import collada

    if isinstance(primitive, collada.lineset.LineSet) or primitive.vertex is None or not len(primitive):
        return
    vertices = np.asarray(primitive.vertex, dtype=np.float64)
    index = np.asarray(primitive.vertex_index).reshape(-1)
    if isinstance(primitive, collada.triangleset.TriangleSet):
        sizes = np.full(len(index) // 3, 3)
    else:
        sizes = np.asarray(primitive.polyends) - np.asarray(primitive.polystarts)
    if len(index) and (index.min() < 0 or index.max() >= len(vertices)):
        raise reading.broken("its faces name vertices it lacks")
    corner, _ = polygons.triangles(vertices[index], sizes)
    if not len(corner):
        return
    material = coat(bound.target) if bound is not None else _Coat(np.ones(3, np.float32))
    if bound is None and primitive.material:
        reading.lacks(f"the material {primitive.material} is missing")
    colours = material.colour
    painted = _source(primitive, "COLOR", 0)
    if painted is not None and material.texture is None:
        colours = linear(painted[corner][..., :3])
    uv = None
    if material.texture is not None:
        uv = _source(primitive, "TEXCOORD", _set(primitive, bound, material.channel))
        if uv is None:
            reading.note("a texture is left out: its faces have no texture coordinates")
    normals = _source(primitive, "NORMAL", 0)
    placed = vertices @ matrix[:3, :3].T + matrix[:3, 3]
    turned = None
    if normals is not None:
        turned = normals[corner] @ np.linalg.pinv(matrix[:3, :3])
        length = np.linalg.norm(turned, axis=-1, keepdims=True)
        turned = np.divide(turned, length, out=np.zeros_like(turned), where=length > 1e-20)
    yield Patch(
        placed, index[corner], colours, None if uv is None else uv[corner][..., :2],
        material.texture if uv is not None else None, turned, material.alpha,
        emission=material.emission,
    )  # fmt: skip


def _source(primitive: Any, semantic: str, number: int) -> NDArray[np.float64] | None:
    """What every corner has of a kind, [corners, values]; None if the file has none."""
    sources = primitive.sources.get(semantic) or []
    if not sources:
        return None
    offset, *_, source = sources[min(number, len(sources) - 1)]
    index = np.asarray(primitive.index)
    index = index.reshape(-1, index.shape[-1])[:, offset]
    values = np.asarray(source.data, dtype=np.float64)
    return values[np.clip(index, 0, len(values) - 1)] if len(values) else None


def _set(primitive: Any, bound: Any, channel: str) -> int:
    """Which of its sets of texture coordinates a material means by the name `channel`."""
    asked = {name: number for name, _, number in getattr(bound, "inputs", ())}
    numbers = [entry[3] for entry in primitive.sources.get("TEXCOORD") or []]
    wanted = str(asked.get(channel, ""))
    return numbers.index(wanted) if wanted in map(str, numbers) else 0


def _coat(effect: Any, reading: Reading, beside: Beside) -> _Coat:
    import collada

    colour, picture, channel = np.ones(3, np.float32), None, ""
    if isinstance(effect.diffuse, collada.material.Map):
        channel = effect.diffuse.texcoord or ""
        picture = pixels_of(effect.diffuse.sampler.surface.image.path, beside, reading)
    elif effect.diffuse is not None:
        colour = linear(np.asarray(effect.diffuse, dtype=np.float64)[:3])
    alpha, mask = _alpha(effect, reading, beside)
    if mask is not None:
        picture, alpha = with_alpha(picture, mask), alpha or 1.0
    texture = None
    if picture is not None:
        texture = Texture.of(picture if mask is not None else picture[..., :3])
    emission = None
    if isinstance(effect.emission, collada.material.Map):
        reading.note("a texture of emission is left out")
    elif effect.emission is not None and max(effect.emission[:3]) > 0:
        emission = linear(np.asarray(effect.emission, dtype=np.float64)[:3])
    return _Coat(colour, texture, channel, alpha, emission)


def _alpha(effect: Any, reading: Reading, beside: Beside) -> tuple[float | None, NDArray[np.uint8] | None]:
    """The share of a ray that a material stops (None for all), and the picture that says where."""
    import collada

    share = effect.transparency
    share = float(share) if isinstance(share, int | float) else 1.0
    sheer = effect.transparent
    mode = str(getattr(effect, "opaque_mode", None) or "A_ONE")
    if isinstance(sheer, collada.material.Map):
        if mode != "A_ONE":
            reading.note(f"transparency of the kind {mode} by a picture is left out")
            return None, None
        return None, pixels_of(sheer.sampler.surface.image.path, beside, reading)
    if sheer is None:
        # Without a colour its number is ambiguous in the wild: 0 and 1 both mean opaque there.
        return (share if 0 < share < 1 else None), None
    values = np.asarray(sheer, dtype=np.float64)
    stopped = values[3] * share if mode == "A_ONE" else 1 - float(values[:3].mean()) * share
    if stopped <= 0:
        reading.note("a material says that it is invisible, which many programs write for opaque: drawn as solid")
        return None, None
    return (stopped if stopped < 1 else None), None
