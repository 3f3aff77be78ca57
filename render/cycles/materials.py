"""Materials as both engines mean them: bare colour or matt, with what they let through and what they glow.

An imported material is a graph of shaders. `Look` follows it from the output backwards and keeps three things: the
colour of the body, the light of its own, and the share that goes through. All three are premultiplied, so that mixing
shaders is mixing looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np

Value = Any  # an output socket, or a constant: a float, or a tuple of three

BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SMALL = 2**18  # texels of pictures that are decoded before they are interpolated
TINTED = ("BSDF_", "SUBSURFACE", "EEVEE_SPECULAR")  # begin the types of other shaders that have a colour


@dataclass(frozen=True)
class Look:
    """What one shader shows.

    Attributes:
        body: colour that light falls on.
        glow: light of its own.
        through: share of the light from behind that passes.
    """

    body: Value = BLACK
    glow: Value = BLACK
    through: Value = BLACK


class UnknownError(Exception):
    """A shader without a look."""


def dress(material: bpy.types.Material, job: dict, srgb: bool = False) -> list[str]:
    """Rebuild a material after its look; what could not be understood.

    Args:
        job: `light` "none" makes the body shine with `strength`, any other makes it matt.
        srgb: whether constant colours are sRGB (MTL), not linear.
    """
    notes = []
    if not material.use_nodes or material.node_tree is None:
        body = tuple(material.diffuse_color[:3])
        material.use_nodes = True
        look = Look(body)
        tree = material.node_tree
    else:
        tree = material.node_tree
        try:
            look = _look(tree, _surface(tree), srgb)
        except UnknownError as error:
            notes.append(f"material {material.name}: no colour could be found in {error}: drawn in its viewport colour")
            look = Look(tuple(material.diffuse_color[:3]))
    finish(material, look, job)
    return notes


def plain(name: str, attribute: str | None, job: dict) -> bpy.types.Material:
    """A material of white, or of a mesh's colour attribute."""
    result = bpy.data.materials.new(name)
    result.use_nodes = True
    result.node_tree.nodes.clear()
    body: Value = WHITE
    if attribute is not None:
        node = result.node_tree.nodes.new("ShaderNodeVertexColor")
        node.layer_name = attribute
        body = node.outputs["Color"]
    finish(result, Look(body), job)
    return result


def finish(material: bpy.types.Material, look: Look, job: dict) -> None:
    """Make a look the material's surface: glowing by itself when unlit, else matt."""
    tree = material.node_tree
    for node in [node for node in tree.nodes if node.type == "OUTPUT_MATERIAL"]:
        tree.nodes.remove(node)
    unlit = job["light"] == "none"
    shader = tree.nodes.new("ShaderNodeEmission" if unlit else "ShaderNodeBsdfDiffuse")
    _set(tree, shader.inputs["Color"], look.body)
    if unlit:
        shader.inputs["Strength"].default_value = job["strength"]
    total = shader.outputs[0]
    for kind, value in (("ShaderNodeEmission", look.glow), ("ShaderNodeBsdfTransparent", look.through)):
        if value != BLACK:
            shader = tree.nodes.new(kind)
            _set(tree, shader.inputs["Color"], value)
            both = tree.nodes.new("ShaderNodeAddShader")
            tree.links.new(total, both.inputs[0])
            tree.links.new(shader.outputs[0], both.inputs[1])
            total = both.outputs[0]
    tree.links.new(total, tree.nodes.new("ShaderNodeOutputMaterial").inputs["Surface"])
    material.cycles.emission_sampling = "NONE"  # it lights nothing else
    material.displacement_method = "BUMP"


def invisible(material: bpy.types.Material) -> bool:
    """Whether a finished material is see-through all over, whatever its textures."""
    through = [node for node in material.node_tree.nodes if node.type == "BSDF_TRANSPARENT"]
    used = [node for node in through if node.outputs[0].is_linked and not node.inputs["Color"].is_linked]
    return any(min(node.inputs["Color"].default_value[:3]) >= 1 for node in used)


def textures(material: bpy.types.Material) -> Iterator[bpy.types.ShaderNodeTexImage]:
    """The image nodes that the finished surface looks up."""
    output = next(node for node in material.node_tree.nodes if node.type == "OUTPUT_MATERIAL")
    waiting, seen = [output], set()
    while waiting:
        node = waiting.pop()
        if node.name in seen:
            continue
        seen.add(node.name)
        if node.type == "TEX_IMAGE":
            yield node
        waiting += [link.from_node for socket in node.inputs for link in socket.links]


def decoded(image: bpy.types.Image) -> bpy.types.Image:
    """A small sRGB picture in linear light, any other as it is.

    Cycles interpolates bytes before it decodes them, where glTF and ray casting decode first. That shows where texels
    are large in the picture; large pictures would take four times the memory.
    """
    width, height = image.size
    if width * height > SMALL or image.colorspace_settings.name != "sRGB":
        return image
    name = f"{image.name} decoded"
    if name in bpy.data.images:
        return bpy.data.images[name]
    pixels = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    colours = pixels.reshape(-1, 4)[:, :3]
    if not image.is_float:  # pictures of 16 bits come as linear light
        colours[:] = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    result = bpy.data.images.new(name, width, height, alpha=True, float_buffer=True)
    result.colorspace_settings.name = "Linear Rec.709"
    result.alpha_mode = "CHANNEL_PACKED"
    result.pixels.foreach_set(pixels)
    result.update()
    return result


def _surface(tree: bpy.types.NodeTree) -> bpy.types.NodeSocket | None:
    """The output socket that the surface comes from."""
    output = tree.get_output_node("CYCLES") or tree.get_output_node("ALL")
    if output is None or not output.inputs["Surface"].links:
        return None
    return output.inputs["Surface"].links[0].from_socket


def _look(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket | None, srgb: bool) -> Look:
    if socket is None:
        return Look()
    node = socket.node

    def source(index: int | str) -> bpy.types.NodeSocket | None:
        links = node.inputs[index].links
        return links[0].from_socket if links else None

    def value(name: str) -> Value:
        return _value(node.inputs[name], srgb and name in ("Base Color", "Emission Color"))

    if node.type == "REROUTE":
        return _look(tree, source(0), srgb)
    if node.type == "BSDF_PRINCIPLED":
        alpha, strength = value("Alpha"), value("Emission Strength")
        glow = BLACK if strength == 0 else times(tree, value("Emission Color"), strength)
        through = one_minus(tree, alpha)
        return Look(times(tree, value("Base Color"), alpha), times(tree, glow, alpha), through)
    if node.type == "EMISSION":
        return Look(glow=times(tree, value("Color"), value("Strength")))
    if node.type == "BSDF_TRANSPARENT":
        return Look(through=value("Color"))
    if node.type in ("MIX_SHADER", "ADD_SHADER"):
        first, second = (
            _look(tree, source(index), srgb) for index in ((1, 2) if node.type == "MIX_SHADER" else (0, 1))
        )
        pairs = [(first.body, second.body), (first.glow, second.glow), (first.through, second.through)]
        if node.type == "ADD_SHADER":
            return Look(*(_plus(tree, a, b) for a, b in pairs))
        share = _value(node.inputs[0])
        rest = one_minus(tree, share)[0] if isinstance(share, float) else one_minus(tree, share)
        return Look(*(_plus(tree, times(tree, a, rest), times(tree, b, share)) for a, b in pairs))
    if node.type.startswith(TINTED) and "Color" in node.inputs:
        return Look(value("Color"))
    if node.type.startswith(TINTED) and "Base Color" in node.inputs:
        return Look(value("Base Color"))
    raise UnknownError(f"a shader of type {node.type}")


def _value(socket: bpy.types.NodeSocket, srgb: bool = False) -> Value:
    """What a socket takes: the output linked to it, or its constant."""
    if socket.links:
        return socket.links[0].from_socket
    if socket.type == "RGBA":
        colour = tuple(float(channel) for channel in socket.default_value[:3])
        return tuple(map(_linear, colour)) if srgb else colour
    return float(socket.default_value)


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4


def _three(value: Value) -> Value:
    return (value,) * 3 if isinstance(value, float) else value


def _set(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, value: Value) -> None:
    if isinstance(value, bpy.types.NodeSocket):
        tree.links.new(value, socket)
    else:
        values = _three(value)
        socket.default_value = values if socket.type == "VECTOR" else (*values, 1.0)


def _combined(tree: bpy.types.NodeTree, operation: str, a: Value, b: Value) -> Value:
    node = tree.nodes.new("ShaderNodeVectorMath")
    node.operation = operation
    _set(tree, node.inputs[0], a)
    _set(tree, node.inputs[1], b)
    return node.outputs["Vector"]


def _constant(value: Value) -> bool:
    return isinstance(value, float | tuple)


def times(tree: bpy.types.NodeTree, a: Value, b: Value) -> Value:
    """The product of two values."""
    a, b = _three(a), _three(b)
    if _constant(a) and _constant(b):
        return tuple(x * y for x, y in zip(a, b, strict=True))
    for one, other in ((a, b), (b, a)):
        if one == BLACK:
            return BLACK
        if one == WHITE:
            return other
    return _combined(tree, "MULTIPLY", a, b)


def _plus(tree: bpy.types.NodeTree, a: Value, b: Value) -> Value:
    a, b = _three(a), _three(b)
    if _constant(a) and _constant(b):
        return tuple(x + y for x, y in zip(a, b, strict=True))
    if a == BLACK:
        return b
    return a if b == BLACK else _combined(tree, "ADD", a, b)


def one_minus(tree: bpy.types.NodeTree, a: Value) -> Value:
    """What a value leaves of 1."""
    a = _three(a)
    if _constant(a):
        return tuple(1 - x for x in a)
    return _combined(tree, "SUBTRACT", WHITE, a)
