"""Mesh files, read by Blender's own importers, and placed in the world as solid parts.

A file may hold hierarchies, armatures, modifiers and instances. What Blender would draw of them is baked: a mesh a
part, without parents. So any affine matrix places it exactly, and its box is known to the vertex.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import bpy
import materials
import numpy as np
from mathutils import Matrix

CREASE = np.radians(40)  # edges sharper than this stay sharp where the file gives no normals
FINEST = 1 / 1024  # of the object's longest side: coarser coordinates than this show
STAGE = "viewmask-obj-"  # begins the names of folders that an OBJ's material files are gathered in
FAR = (
    "its coordinates lie so far from the origin that Blender's single precision destroys its shape: "
    "move it to the origin, or use --engine raycast"
)
SOLID = ("MESH", "CURVE", "SURFACE", "FONT", "META")


class UnreadableError(Exception):
    """The file cannot be drawn; the message is for the user."""


@dataclass
class Part:
    """A baked mesh.

    Attributes:
        mesh: its own, with finished materials.
        matrix: to Blender's world, float64 [4, 4].
        points: the vertices that visible faces use, float64 [n, 3].
    """

    mesh: bpy.types.Mesh
    matrix: np.ndarray
    points: np.ndarray


def read(file: Path, kind: str, lenient: bool = False) -> list[str]:
    """Import a mesh file into the scene, by the importer of its format; notes.

    Raises:
        UnreadableError: with the importer's reason, or material files are missing (unless lenient).
    """
    notes = []
    try:
        if kind == "obj":
            notes = _obj(file, lenient)
        else:
            _IMPORTERS[kind](str(file))
    except RuntimeError as error:  # an operator's report, or a traceback as text
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        last = [line for line in lines if not line.startswith(("Location:", "File "))][-1:]
        reason = last[0].removeprefix("Error: ") if last else str(error)
        if "extern_draco" in reason:
            reason = "it is compressed by Draco, and the bpy wheel comes without Draco's library; use --engine raycast"
        raise UnreadableError(f"Blender cannot read it as {kind}: {reason}") from error
    bpy.context.view_layer.update()
    return notes


def parts(job: dict, file: Path) -> tuple[list[Part], list[str]]:
    """What the scene holds, baked, with materials as `job` wants them; and notes.

    Raises:
        UnreadableError: nothing to draw, numbers that are none, or textures that are missing (unless `job["lenient"]`).
    """
    kind, notes = job["kind"], list[str]()
    found: list[tuple[bpy.types.Mesh, np.ndarray]] = []
    baked: dict[int, bpy.types.Mesh] = {}
    for item in bpy.data.objects:
        item.hide_viewport = item.hide_render
        for modifier in item.modifiers:
            modifier.show_viewport = modifier.show_render
            if modifier.type == "SUBSURF":
                modifier.levels = modifier.render_levels
    for collection in bpy.data.collections:
        collection.hide_viewport = collection.hide_render
    graph = bpy.context.evaluated_depsgraph_get()
    graph.update()
    for instance in graph.object_instances:
        item = instance.object
        if item.type not in SOLID or not instance.show_self:
            continue
        matrix = np.array(instance.matrix_world, dtype=np.float64)
        key = item.data.as_pointer()
        if key not in baked:
            baked[key] = bpy.data.meshes.new_from_object(item, preserve_all_data_layers=True, depsgraph=graph)
        if len(baked[key].polygons):
            found.append((baked[key], matrix))
    for item in list(bpy.data.objects):
        if item is not bpy.context.scene.camera:
            bpy.data.objects.remove(item)
    if not found:
        raise UnreadableError("it has no faces")
    meshes = {mesh.name: mesh for mesh, _ in found}
    dressed: dict[str, bool] = {}
    for mesh in meshes.values():
        if kind in ("gltf", "obj", "ply", "stl") and job["light"] != "none":
            _smooth(mesh)
        _dress(mesh, job, dressed, notes)
    if kind == "stl" and _painted(file):
        notes.append("Blender does not read an STL's colours: the object is white")
    notes += _textures([bpy.data.materials[name] for name in dressed], file, job)
    seen = {name: _points(mesh, dressed) for name, mesh in meshes.items()}
    if not any(len(points) for points in seen.values()):
        seen = {name: _points(mesh, {}) for name, mesh in meshes.items()}
    for points in seen.values():
        if not np.isfinite(points).all():
            raise UnreadableError("it has vertices that are not finite numbers")
    return [Part(mesh, matrix, seen[mesh.name]) for mesh, matrix in found], notes


def place(found: list[Part], upright: np.ndarray) -> np.ndarray:
    """Put parts into the world: upright, longest side of the box 1, its centre at the origin.

    Returns:
        Blender's world to the world, float64 [4, 4].

    Raises:
        UnreadableError: no extent, or so far from the origin that single precision has destroyed the shape.
    """
    clouds = [moved(part.points, upright @ part.matrix) for part in found if len(part.points)]
    low, high = np.min([cloud.min(0) for cloud in clouds], 0), np.max([cloud.max(0) for cloud in clouds], 0)
    longest = float((high - low).max())
    if np.spacing(np.float32(max(np.abs(part.points).max() for part in found if len(part.points)))) > longest * FINEST:
        raise UnreadableError(FAR)
    if not longest > 1e-12 or not np.isfinite(longest):
        raise UnreadableError("it has no extent: all its faces lie in one point")
    shift = np.eye(4)
    shift[:3, 3] = -(low + high) / 2
    total = np.diag([1 / longest, 1 / longest, 1 / longest, 1]) @ shift @ upright
    root = bpy.data.objects.new("root", None)
    bpy.context.collection.objects.link(root)
    done: dict[str, np.ndarray] = {}
    for part in found:
        mesh = part.mesh
        if mesh.name not in done:
            done[mesh.name] = _centred(mesh, part, total)
        item = bpy.data.objects.new("part", mesh)
        bpy.context.collection.objects.link(item)
        item.parent = root
        back = np.eye(4)
        back[:3, 3] = done[mesh.name]
        # A parent's inverse may shear; an object's own location, rotation and scale may not.
        item.matrix_parent_inverse = Matrix((total @ part.matrix @ back).tolist())
    return total


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Points [n, 3] by an affine matrix [4, 4]."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _centred(mesh: bpy.types.Mesh, part: Part, total: np.ndarray) -> np.ndarray:
    """Move a mesh that lies far from its own origin to it; the way back, [3]."""
    place = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", place)
    vertices = place.reshape(-1, 3).astype(np.float64)
    centre = (vertices.min(0) + vertices.max(0)) / 2
    scale = np.linalg.norm((total @ part.matrix)[:3, :3], 2)
    step = np.spacing(np.float32(np.abs(vertices).max())) * scale
    if step > FINEST and np.abs(centre).max() > 0:
        raise UnreadableError(FAR)
    if np.abs(centre).max() * scale < 16:
        return np.zeros(3)
    mesh.vertices.foreach_set("co", (vertices - centre).astype(np.float32).ravel())
    mesh.update()
    return centre


def _painted(file: Path) -> bool:
    """Whether a binary STL has colours, as VisCAM or Magics write them."""
    data = np.fromfile(file, dtype=np.uint8)
    if len(data) < 84 or len(data) < 84 + 50 * (count := int(data[80:84].view("<u4")[0])):
        return False
    faces = data[84 : 84 + 50 * count].reshape(count, 50)
    return b"COLOR=" in data[:80].tobytes() or bool((faces[:, 49] & 0x80).any())


def _points(mesh: bpy.types.Mesh, invisible: dict[str, bool]) -> np.ndarray:
    """The places that visible faces use."""
    vertices = np.empty(3 * len(mesh.vertices), dtype=np.float32)
    mesh.vertices.foreach_get("co", vertices)
    corner = np.empty(len(mesh.loops), dtype=np.int32)
    mesh.loops.foreach_get("vertex_index", corner)
    hidden = np.array([invisible.get(material.name, False) for material in mesh.materials], dtype=bool)
    if hidden.any():
        slot, count = np.empty(len(mesh.polygons), dtype=np.int32), np.empty(len(mesh.polygons), dtype=np.int32)
        mesh.polygons.foreach_get("material_index", slot)
        mesh.polygons.foreach_get("loop_total", count)
        corner = corner[np.repeat(~hidden[np.minimum(slot, len(hidden) - 1)], count)]
    return vertices.reshape(-1, 3)[np.unique(corner)].astype(np.float64)


def _smooth(mesh: bpy.types.Mesh) -> None:
    """Shading normals as in ray casting: the file's, else smooth across edges under CREASE."""
    if not mesh.has_custom_normals:
        mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), dtype=bool))
        mesh.set_sharp_from_angle(angle=CREASE)


def _dress(mesh: bpy.types.Mesh, job: dict, dressed: dict[str, bool], notes: list[str]) -> None:
    """Finish a mesh's materials; `dressed` learns which are invisible."""
    if not len(mesh.materials):
        mesh.materials.append(None)
    if job["kind"] == "ply" and not len(mesh.color_attributes):
        _gather_colours(mesh)
    for index, material in enumerate(mesh.materials):
        if material is None:
            colours = mesh.color_attributes
            attribute = colours[max(colours.active_color_index, 0)].name if len(colours) else None
            name = f"plain {attribute}"
            material = mesh.materials[index] = bpy.data.materials.get(name) or materials.plain(name, attribute, job)
        elif material.name not in dressed:
            notes += materials.dress(material, job, srgb=job["kind"] == "obj")
        dressed[material.name] = materials.invisible(material)


def _gather_colours(mesh: bpy.types.Mesh) -> None:
    """Make a PLY's properties `diffuse_red` and so on the colours that they are."""
    names = [f"diffuse_{channel}" for channel in ("red", "green", "blue")]
    if not all(name in mesh.attributes for name in names):
        return
    colours = np.ones((len(mesh.vertices), 4), dtype=np.float32)
    for channel, name in enumerate(names):
        values = np.empty(len(mesh.vertices), dtype=np.float32)
        mesh.attributes[name].data.foreach_get("value", values)
        colours[:, channel] = values / 255
    mesh.color_attributes.new("diffuse", "BYTE_COLOR", "POINT").data.foreach_set("color_srgb", colours.ravel())


def _textures(used: list[bpy.types.Material], file: Path, job: dict) -> list[str]:
    """See that every texture is there, finding it beside the file where its path does not hold; notes.

    Raises:
        UnreadableError: one is missing or damaged, unless lenient; then it is left out.
    """
    notes: list[str] = []
    for material in used:
        for node in list(materials.textures(material)):
            _find(node.image, file)
            reason = _damage(node.image)
            if reason is None:
                if job["kind"] == "obj":
                    _mask(material, node)
                node.image.alpha_mode = "CHANNEL_PACKED"  # colours as they are, also where alpha is 0
                if node.outputs["Color"].links and node.interpolation != "Closest":
                    node.image = materials.decoded(node.image)
                continue
            if not job["lenient"]:
                raise UnreadableError(reason)
            notes.append(reason)
            for output in node.outputs:
                for link in list(output.links):
                    value = link.to_socket
                    material.node_tree.links.remove(link)
                    if value.type == "RGBA":
                        value.default_value = (1, 1, 1, 1)
                    elif value.type == "VECTOR":
                        value.default_value = (1, 1, 1)
                    else:
                        value.default_value = 1.0
    return list(dict.fromkeys(notes))


def _mask(material: bpy.types.Material, node: bpy.types.ShaderNodeTexImage) -> None:
    """Let a picture without alpha that `map_d` names mask by brightness, as MTL says; Blender looks at alpha only."""
    if not node.outputs["Alpha"].links or node.outputs["Color"].links or node.image.depth % 32 == 0:
        return
    node.image = node.image.copy()
    node.image.colorspace_settings.is_data = True
    for link in list(node.outputs["Alpha"].links):
        material.node_tree.links.new(node.outputs["Color"], link.to_socket)


def _find(image: bpy.types.Image | None, file: Path) -> None:
    """Put a picture from beside the mesh in the place of one whose path does not hold."""
    if image is None or image.source != "FILE" or image.packed_file is not None:
        return
    if Path(bpy.path.abspath(image.filepath)).is_file():
        return
    found = beside(file, image.filepath)
    if found is not None:
        other = bpy.data.images.load(str(found), check_existing=True)
        other.colorspace_settings.name = image.colorspace_settings.name
        image.user_remap(other)


def _damage(image: bpy.types.Image | None) -> str | None:
    """What is wrong with a texture."""
    if image is None:
        return "a texture names no picture that Blender reads"
    if image.source == "GENERATED" or min(image.size):
        return None
    if image.packed_file is None and not Path(bpy.path.abspath(image.filepath)).is_file():
        return f"texture {re.sub(f'.*/{STAGE}[^/]*/', '', image.filepath)} is missing"
    return f"texture {image.name} cannot be read as a picture"


def beside(file: Path, name: str) -> Path | None:
    """A file that a mesh names, found in the mesh's folder whatever the spelling of its path."""
    for written in (name, unquote(name)):
        words = [word for word in re.split(r"[\\/]+", written.removeprefix("//")) if word not in ("", ".")]
        for start in range(len(words)):
            if (found := _walk(file.parent, words[start:])) is not None:
                return found
    return None


def _walk(folder: Path, words: list[str]) -> Path | None:
    for word in words:
        if word == "..":
            folder = folder.parent
            continue
        if not folder.is_dir():
            return None
        if not (folder / word).exists():
            same = [child for child in os.listdir(folder) if child.lower() == word.lower()]
            if len(same) != 1:
                return None
            word = same[0]
        folder = folder / word
    return folder if folder.is_file() else None


# -- importers ----------------------------------------------------------------------------------


def _gltf(file: str) -> None:
    from io_scene_gltf2.blender.imp.gltf2_blender_gltf import BlenderGlTF

    create = BlenderGlTF._create
    kept: list[Any] = []

    def still(gltf: Any) -> None:
        """The pose of the node tree, not of an animation's first frame."""
        gltf.data.animations = []
        kept.append(gltf)
        create(gltf)

    BlenderGlTF._create = still
    try:
        bpy.ops.import_scene.gltf(filepath=file, import_pack_images=False)
    finally:
        BlenderGlTF._create = create
    if kept:
        _leave_one_scene(kept[0])


def _leave_one_scene(gltf: Any) -> None:
    """Remove what stands in other scenes than the file's own: Blender imports the nodes of all of them."""
    scenes = gltf.data.scenes or []
    if not scenes:
        return
    waiting, inside = list(scenes[gltf.data.scene or 0].nodes or []), set()
    while waiting:
        number = waiting.pop()
        if number not in inside:
            inside.add(number)
            waiting += gltf.data.nodes[number].children or []
    for number in range(len(gltf.data.nodes or [])):
        node = gltf.vnodes.get(number)
        item = getattr(node, "blender_object", None)
        if number not in inside and item is not None and item.type != "ARMATURE":
            bpy.data.objects.remove(item)


def _obj(mesh: Path, lenient: bool) -> list[str]:
    """Read an OBJ; its material files are put under the names that it calls them by. Notes."""
    notes = []
    with tempfile.TemporaryDirectory(prefix=STAGE) as name:
        stage, glowing = Path(name), dict[str, bool]()
        (stage / mesh.name).symlink_to(mesh)
        for line in _libraries(mesh):
            alias = stage / line
            if not os.path.normpath(alias).startswith(name + os.sep) or alias.exists():
                continue
            found = [beside(mesh, line)]
            if None in found:  # or several names in one line
                found = [beside(mesh, word) for word in line.split()]
            for word, path in zip(line.split() if len(found) > 1 else [line], found, strict=True):
                if path is None and not lenient:
                    raise UnreadableError(f"material file {word} is missing")
                notes += [f"material file {word} is missing"] if path is None else []
            alias.parent.mkdir(parents=True, exist_ok=True)
            alias.write_bytes(b"\n".join(path.read_bytes() for path in found if path))
            glowing |= _glowing(alias)
        bpy.ops.wm.obj_import(filepath=str(stage / mesh.name), forward_axis="Y", up_axis="Z")
    for material in bpy.data.materials:
        inputs = material.node_tree.nodes["Principled BSDF"].inputs
        if material.name not in glowing:  # no library describes it: white, where the importer takes grey
            inputs["Base Color"].default_value = (1, 1, 1, 1)
        elif glowing[material.name]:  # the importer sets the colour of Ke, and leaves its strength at 0
            inputs["Emission Strength"].default_value = 1.0
    return notes


def _libraries(mesh: Path) -> list[str]:
    """The material files that an OBJ names."""
    names = []
    with mesh.open("rb") as lines:
        for line in lines:
            if line.startswith(b"mtllib"):
                names.append(os.fsdecode(line[6:].strip()))
    return names


def _glowing(library: Path) -> dict[str, bool]:
    """The materials of an MTL file, and whether they emit light."""
    found, name = {}, ""
    for line in library.read_bytes().splitlines():
        words = line.split()
        if words[:1] == [b"newmtl"]:
            name = line.split(maxsplit=1)[1].strip().decode(errors="replace") if len(words) > 1 else ""
            found[name] = False
        elif words[:1] == [b"Ke"] and any(word.strip(b"0.+-") for word in words[1:4]):
            found[name] = True
    return found


def _ply(file: str) -> None:
    bpy.ops.wm.ply_import(filepath=file, forward_axis="Y", up_axis="Z")


def _stl(file: str) -> None:
    bpy.ops.wm.stl_import(filepath=file, forward_axis="Y", up_axis="Z")


def _fbx(file: str) -> None:
    bpy.ops.import_scene.fbx(filepath=file, use_anim=False)


def _usd(file: str) -> None:
    bpy.ops.wm.usd_import(filepath=file, import_cameras=False, import_lights=False, import_textures_mode="IMPORT_NONE")


def _blend(file: str) -> None:
    """Bring the objects of a .blend's first scene over into ours, with what they depend on."""
    try:
        with bpy.data.libraries.load(file) as (there, here):
            here.scenes = there.scenes[:1]
    except (OSError, RuntimeError) as error:
        raise UnreadableError(f"Blender cannot read it as blend: {error}") from error
    if not here.scenes or here.scenes[0] is None:
        raise UnreadableError("it has no scene")
    scene = here.scenes[0]
    for child in list(scene.collection.children):
        bpy.context.scene.collection.children.link(child)
    for item in list(scene.collection.objects):
        bpy.context.scene.collection.objects.link(item)
    shown = {layer.collection.name: not layer.exclude for layer in _layers(scene.view_layers[0].layer_collection)}
    for layer in _layers(bpy.context.view_layer.layer_collection):
        layer.exclude = not shown.get(layer.collection.name, True)
    bpy.data.scenes.remove(scene)


def _layers(layer: bpy.types.LayerCollection) -> list[bpy.types.LayerCollection]:
    return [one for child in layer.children for one in (child, *_layers(child))]


_IMPORTERS = {"gltf": _gltf, "ply": _ply, "stl": _stl, "fbx": _fbx, "usd": _usd, "blend": _blend}
