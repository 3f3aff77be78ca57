"""Surfaces that have no file: a mesh of arrays, built as it is."""

from __future__ import annotations

import bpy
import materials
import numpy as np
from files import Part

EXTENSION = {"repeat": "REPEAT", "clamp": "EXTEND", "mirror": "MIRROR"}


def place(arrays: dict, job: dict) -> Part:
    """The same triangles and corners, linear colours, a material for each way that faces look."""
    faces = arrays["faces"]
    mesh = bpy.data.meshes.new("surface")
    mesh.vertices.add(len(arrays["vertices"]))
    mesh.vertices.foreach_set("co", arrays["vertices"].astype(np.float32).ravel())
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.ravel())
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, 3, dtype=np.int32))
    kinds, kind = np.unique(
        np.stack([arrays["texture"], arrays["glows"], arrays["cutoff"]]), axis=1, return_inverse=True
    )
    mesh.polygons.foreach_set("material_index", kind.reshape(-1).astype(np.int32))
    for name in ("uv", "glow_uv"):
        mesh.uv_layers.new(name=name).data.foreach_set("uv", arrays[name].ravel())
    colours = {
        "colour": arrays["colours"],
        "glow": arrays["glow"],
        "alpha": np.repeat(arrays["alpha"][..., None], 3, -1),
    }
    for name, values in colours.items():
        rgba = np.concatenate([values, np.ones_like(values[..., :1])], axis=-1)
        mesh.color_attributes.new(name, "FLOAT_COLOR", "CORNER").data.foreach_set("color", rgba.ravel())
    mesh.update(calc_edges=True)
    if job["light"] != "none":
        mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), dtype=bool))
        mesh.normals_split_custom_set(arrays["normals"].reshape(-1, 3).tolist())
    images = [_image(arrays[f"texture{index}"]) for index in range(len(job["textures"]))]
    for texture, glows, cutoff in kinds.T:
        mesh.materials.append(_material(images, int(texture), int(glows), float(cutoff), job))
    bpy.context.collection.objects.link(bpy.data.objects.new("surface", mesh))
    return Part(mesh, np.eye(4), arrays["vertices"].astype(np.float64))


def _image(pixels: np.ndarray) -> bpy.types.Image:
    image = bpy.data.images.new("texture", pixels.shape[1], pixels.shape[0], alpha=True)
    image.alpha_mode = "CHANNEL_PACKED"
    image.pixels.foreach_set(np.ascontiguousarray(pixels[::-1], dtype=np.float32).ravel() / 255)
    image.update()
    return materials.decoded(image)


def _material(images: list[bpy.types.Image], texture: int, glows: int, cutoff: float, job: dict) -> bpy.types.Material:
    """Corner colour times texture, the same for what glows, and alpha as `cutoff` says."""
    result = bpy.data.materials.new("surface")
    result.use_nodes = True
    tree = result.node_tree
    tree.nodes.clear()

    def painted(attribute: str, uv: str, index: int) -> tuple[materials.Value, materials.Value]:
        """Colour, and the texture's alpha."""
        node = tree.nodes.new("ShaderNodeVertexColor")
        node.layer_name = attribute
        if index < 0:
            return node.outputs["Color"], 1.0
        picture = tree.nodes.new("ShaderNodeTexImage")
        about = job["textures"][index]
        picture.image, picture.interpolation = images[index], "Linear" if about["smooth"] else "Closest"
        place = tree.nodes.new("ShaderNodeUVMap")
        place.uv_map = uv
        u, v = about["wrap"]
        picture.extension = EXTENSION[u] if u == v else "EXTEND"
        tree.links.new(place.outputs[0] if u == v else _wrapped(tree, place.outputs[0], (u, v)), picture.inputs[0])
        return materials.times(tree, node.outputs["Color"], picture.outputs["Color"]), picture.outputs["Alpha"]

    colour, alpha = painted("colour", "uv", texture)
    glow = painted("glow", "glow_uv", glows)[0] if job["glows"] else materials.BLACK
    if cutoff == 0:
        materials.finish(result, materials.Look(colour, glow), job)
        return result
    corner = tree.nodes.new("ShaderNodeVertexColor")
    corner.layer_name = "alpha"
    share = materials.times(tree, corner.outputs["Color"], alpha)
    node = tree.nodes.new("ShaderNodeMath")
    node.operation, node.use_clamp = ("MULTIPLY", True) if cutoff == job["blend"] else ("LESS_THAN", False)
    node.inputs[1].default_value = 1.0 if cutoff == job["blend"] else cutoff
    tree.links.new(share, node.inputs[0])
    stops = node.outputs[0]
    if cutoff != job["blend"]:
        stops = materials.one_minus(tree, stops)
    look = materials.Look(
        materials.times(tree, colour, stops), materials.times(tree, glow, stops), materials.one_minus(tree, stops)
    )
    materials.finish(result, look, job)
    return result


def _wrapped(tree: bpy.types.NodeTree, socket: bpy.types.NodeSocket, wraps: tuple[str, str]) -> bpy.types.NodeSocket:
    """Texture coordinates that go on one way along u and another along v."""
    parts, whole = tree.nodes.new("ShaderNodeSeparateXYZ"), tree.nodes.new("ShaderNodeCombineXYZ")
    tree.links.new(socket, parts.inputs[0])
    for axis, wrap in enumerate(wraps):
        place = parts.outputs[axis]
        if wrap != "clamp":
            node = tree.nodes.new("ShaderNodeMath")
            node.operation = "WRAP" if wrap == "repeat" else "PINGPONG"
            node.inputs[1].default_value = 1.0
            if wrap == "repeat":
                node.inputs[2].default_value = 0.0
            tree.links.new(place, node.inputs[0])
            place = node.outputs[0]
        tree.links.new(place, whole.inputs[axis])
    return whole.outputs[0]
