"""glTF: the patches of a scene as glTF 2.0 means them, with the extensions that change what is seen."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from render.beside import Beside
from render.ceiling import claim
from render.formats.gltf_document import DRACO, INSTALL, MESHOPT, Document, fractions
from render.formats.patch import BLEND, Patch, Reading
from render.texture import Floats, Texture, Wrap
from viewmask.errors import ViewmaskError

INSTANCES, SPECULAR, UNLIT = "EXT_mesh_gpu_instancing", "KHR_materials_pbrSpecularGlossiness", "KHR_materials_unlit"
TRANSFORM, STRENGTH, VISIBILITY = "KHR_texture_transform", "KHR_materials_emissive_strength", "KHR_node_visibility"
PICTURES = ("EXT_texture_webp", "EXT_texture_avif", "MSFT_texture_dds", "KHR_texture_basisu")
READ = {
    *MESHOPT,
    *PICTURES,
    DRACO,
    INSTANCES,
    SPECULAR,
    UNLIT,
    TRANSFORM,
    STRENGTH,
    VISIBILITY,
    "KHR_mesh_quantization",
}
# What does not change a base colour or a shape: gloss, lights, animation, variants, other levels of detail, data.
IDLE = {
    "ADOBE_materials_clearcoat_specular", "ADOBE_materials_clearcoat_tint", "AGI_articulations", "AGI_stk_metadata",
    "CESIUM_RTC", "CESIUM_primitive_outline", "EXT_instance_features", "EXT_lights_ies", "EXT_lights_image_based",
    "EXT_mesh_features", "EXT_mesh_manifold", "EXT_structural_metadata", "FB_geometry_metadata",
    "KHR_animation_pointer",
    "KHR_audio_emitter", "KHR_implicit_shapes", "KHR_interactivity", "KHR_lights_punctual", "KHR_materials_anisotropy",
    "KHR_materials_clearcoat", "KHR_materials_dispersion", "KHR_materials_ior", "KHR_materials_iridescence",
    "KHR_materials_sheen", "KHR_materials_specular", "KHR_materials_variants", "KHR_materials_volume",
    "KHR_node_hoverability", "KHR_node_selectability", "KHR_physics_rigid_bodies", "KHR_xmp", "KHR_xmp_json_ld",
    "MSFT_lod", "MSFT_packing_normalRoughnessMetallic", "MSFT_packing_occlusionRoughnessMetallic", "OMI_collider",
    "OMI_physics_body", "OMI_physics_shape", "VRM", "VRMC_node_constraint", "VRMC_springBone", "VRMC_vrm",
}  # fmt: skip
LEFT_OUT = {
    "KHR_materials_transmission": "glass (KHR_materials_transmission) is drawn solid",
    "KHR_materials_diffuse_transmission": "light that shines through (KHR_materials_diffuse_transmission) is left out",
    "KHR_materials_volume_scatter": "light that shines through (KHR_materials_volume_scatter) is left out",
}
WRAPS: dict[int, Wrap] = {33071: "clamp", 33648: "mirror", 10497: "repeat"}
NEAREST = 9728
FACE = 256  # bytes that a triangle takes, about
TEXELS = 2**28  # of all pictures together; above this they are shrunk


def read(data: bytes, reading: Reading, beside: Beside) -> list[Patch]:
    """The patches of a .glb or .gltf: its scene, at rest, +Y up.

    What it means but is not drawn becomes a note: other scenes, lines and points, unknown extensions.

    Raises:
        ViewmaskError: it cannot be read right: cut off, damaged, of another version, a picture or buffer absent, an
            extension required that is not read.
    """
    try:
        return list(_Scene(Document(data, reading, beside)).patches())
    except KeyError as error:
        raise reading.broken(f"it lacks {error}") from error
    except (TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise reading.broken(f"it is damaged ({type(error).__name__}: {error})") from error


class _Shape(NamedTuple):
    """A primitive in its mesh's coordinates, and for skins the joints that each vertex follows, [vertices, k]."""

    patch: Patch
    joints: NDArray[np.int64] | None
    weights: NDArray[np.float64] | None


class _Scene:
    """The scene of a document."""

    def __init__(self, document: Document) -> None:
        self.document, self.reading = document, document.reading
        self._look_at_extensions()
        self._nodes = document.items("nodes")
        self._parent = self._parents()
        self._poses: dict[int, NDArray[np.float64]] = {}
        self._textures: dict[int, Texture | None] = {}
        self._pictures: dict[int, NDArray[np.uint8]] = {}
        self._shrink = self._shrinking()
        self._shapes: dict[tuple[Any, ...], _Shape | None] = {}
        self._triangles = 0

    def _look_at_extensions(self) -> None:
        used, required = ({*self.document.json.get(key, [])} for key in ("extensionsUsed", "extensionsRequired"))
        known = READ | IDLE | LEFT_OUT.keys()
        if unknown := sorted(required - known):
            raise self.reading.broken(f"it needs {', '.join(unknown)}, which is not read")
        for name in sorted(used & LEFT_OUT.keys()):
            self.reading.note(LEFT_OUT[name])
        for name in sorted(used - known):
            self.reading.note(f"the extension {name} is left out")

    def patches(self) -> Iterator[Patch]:
        """Every primitive of every node's mesh, in the scene's coordinates."""
        for index in self._shown():
            node = self._nodes[index]
            if node.get("mesh") is None:
                continue
            mesh = self.document.item("meshes", node["mesh"])
            weights = tuple(node.get("weights") or mesh.get("weights") or ())
            instances = node.get("extensions", {}).get(INSTANCES)
            for number, primitive in enumerate(mesh["primitives"]):
                key = (node["mesh"], number, weights)
                if key not in self._shapes:
                    self._shapes[key] = self._shape(primitive, weights)
                shape = self._shapes[key]
                if shape is None:
                    continue
                poses = self._pose(index)[None] if instances is None else self._instances(index, instances)
                self._triangles += len(shape.patch.faces) * len(poses)
                claim(self._triangles * FACE, f"{self.reading.name} with {self._triangles:,} triangles")
                if node.get("skin") is not None and shape.joints is not None:
                    yield self._skinned(shape, self.document.item("skins", node["skin"]))
                else:
                    yield _placed(shape.patch, poses)

    # -- nodes ----------------------------------------------------------------------------------

    def _parents(self) -> dict[int, int]:
        parents: dict[int, int] = {}
        for index, node in enumerate(self._nodes):
            for child in node.get("children", []):
                self.document.item("nodes", child)
                if child in parents:
                    raise self.reading.broken(f"its node {child} has two parents")
                parents[child] = index
        return parents

    def _shown(self) -> Iterator[int]:
        """The scene's nodes, parents first."""
        scenes = self.document.items("scenes")
        if scenes:
            number = self.document.json.get("scene", 0)
            roots = self.document.item("scenes", number).get("nodes", [])
            if len(scenes) > 1:
                self.reading.note(f"of {len(scenes)} scenes only number {number} is drawn")
        else:
            roots = [index for index in range(len(self._nodes)) if index not in self._parent]
        seen: set[int] = set()
        waiting = list(reversed(roots))
        while waiting:
            index = waiting.pop()
            node = self.document.item("nodes", index)
            if index in seen:
                continue
            seen.add(index)
            if not node.get("extensions", {}).get(VISIBILITY, {}).get("visible", True):
                continue
            yield index
            waiting += reversed(node.get("children", []))

    def _pose(self, index: int) -> NDArray[np.float64]:
        """Node to scene, [4, 4]."""
        chain = [index]
        while chain[-1] not in self._poses and chain[-1] in self._parent:
            chain.append(self._parent[chain[-1]])
            if len(chain) > len(self._nodes):
                raise self.reading.broken("its nodes are their own ancestors")
        pose = self._poses.get(chain[-1])
        for node in reversed(chain):
            if node in self._poses:
                continue
            local = self._local(node)
            pose = local if pose is None else pose @ local
            self._poses[node] = pose
        return self._poses[index]

    def _local(self, index: int) -> NDArray[np.float64]:
        node = self._nodes[index]
        if "matrix" in node:
            pose = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
        else:
            pose = _composed(
                np.array([node.get("translation", (0, 0, 0))], dtype=np.float64),
                np.array([node.get("rotation", (0, 0, 0, 1))], dtype=np.float64),
                np.array([node.get("scale", (1, 1, 1))], dtype=np.float64),
            )[0]
        if not np.isfinite(pose).all():
            raise self.reading.broken(f"the mesh's node {index} has a transform that is not finite")
        return pose

    def _instances(self, index: int, about: dict[str, Any]) -> NDArray[np.float64]:
        """Where the copies of a node's mesh stand, [n, 4, 4]."""
        given = {name: self.document.accessor(number) for name, number in about["attributes"].items()}
        counts = {len(values) for values in given.values()}
        if len(counts) != 1:
            raise self.reading.broken(f"the instances of its node {index} have attributes of several lengths")
        (count,) = counts
        claim(count * 128, f"{count:,} instances of a mesh")
        poses = _composed(
            given.get("TRANSLATION", np.zeros((count, 3))).astype(np.float64),
            fractions(given.get("ROTATION", np.tile([0.0, 0, 0, 1], (count, 1)))).astype(np.float64),
            given.get("SCALE", np.ones((count, 3))).astype(np.float64),
        )
        return self._pose(index) @ poses

    def _skinned(self, shape: _Shape, skin: dict[str, Any]) -> Patch:
        """A shape at rest: each vertex where its joints take it. The node's own pose does not count."""
        assert shape.joints is not None
        assert shape.weights is not None
        for node in skin["joints"]:
            self.document.item("nodes", node)
        matrices = np.stack([self._pose(node) for node in skin["joints"]])
        if skin.get("inverseBindMatrices") is not None:
            inverse = self.document.accessor(skin["inverseBindMatrices"]).astype(np.float64)
            if len(inverse) < len(matrices):
                raise self.reading.broken("a skin has fewer inverse bind matrices than joints")
            matrices = matrices @ inverse[: len(matrices)].reshape(-1, 4, 4).transpose(0, 2, 1)
        if shape.joints.max(initial=0) >= len(matrices):
            raise self.reading.broken("a mesh follows joints that its skin lacks")
        patch = shape.patch
        total = shape.weights.sum(axis=1)
        blend = np.zeros((len(patch.vertices), 3, 4))
        for column in range(shape.joints.shape[1]):
            blend += shape.weights[:, column, None, None] * matrices[shape.joints[:, column], :3]
        idle = ~(total > 1e-6)
        blend[idle], total[idle] = matrices[0, :3], 1  # weightless vertices follow the first joint, as in viewers
        blend /= total[:, None, None]
        vertices = np.einsum("nij,nj->ni", blend[..., :3], patch.vertices) + blend[..., 3]
        normals = patch.normals
        if normals is not None:
            normals = _unit(np.einsum("fki,fkij->fkj", normals, _upright(blend[..., :3])[patch.faces]))
        mirrored = (np.linalg.det(blend[..., :3])[patch.faces] < 0).all(axis=1)
        return _turned(replace(patch, vertices=vertices, normals=normals), mirrored)

    # -- meshes ---------------------------------------------------------------------------------

    def _shape(self, primitive: dict[str, Any], weights: tuple[float, ...]) -> _Shape | None:
        """A primitive as triangles, its morph targets applied; None for points and lines."""
        mode = primitive.get("mode", 4)
        if mode not in (4, 5, 6):
            self.reading.note("points and lines are left out")
            return None
        attributes, triangles = self._attributes(primitive)
        for target, weight in zip(primitive.get("targets", []), weights, strict=False):
            if weight:
                for name in target.keys() & attributes.keys():
                    moved = self.document.accessor(target[name]).astype(np.float64)
                    attributes[name] = fractions(attributes[name]) + weight * moved
        vertices = attributes["POSITION"].astype(np.float64)
        if vertices.shape[1] != 3 or any(len(values) != len(vertices) for values in attributes.values()):
            raise self.reading.broken("a mesh has attributes of several lengths, or positions that are not in space")
        if triangles is None:
            if primitive.get("indices") is None:
                corners = np.arange(len(vertices))
            else:
                corners = self.document.accessor(primitive["indices"], floats=False)[:, 0].astype(np.int64)
            if mode == 4 and len(corners) % 3:
                self.reading.note("corners that make no whole triangle are left out")
            triangles = _triangles(corners, mode)
        if not len(triangles):
            return None
        if triangles.max() >= len(vertices):
            raise self.reading.broken("it has faces that name vertices it lacks")
        faces = triangles
        if triangles.size < len(vertices):  # primitives may share long lists of vertices
            used, faces = np.unique(triangles, return_inverse=True)
            vertices, faces = vertices[used], faces.reshape(-1, 3)
            attributes = {name: values[used] for name, values in attributes.items()}
        return _Shape(self._dressed(primitive, vertices, faces, attributes), *self._following(attributes))

    def _attributes(self, primitive: dict[str, Any]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64] | None]:
        """Attributes by name, [vertices, components], and the triangles if they come with them (Draco)."""
        numbers = primitive["attributes"]
        packed = primitive.get("extensions", {}).get(DRACO)
        unpacked = None if packed is None else self.document.draco(packed)
        if packed is not None and unpacked is None:
            accessors = [self.document.item("accessors", number) for number in numbers.values()]
            if any(about.get("bufferView") is None and not about.get("sparse") for about in accessors):
                raise ViewmaskError(f"{self.reading.name} needs Draco (KHR_draco_mesh_compression): {INSTALL}")
        if unpacked is None:
            return {name: self.document.accessor(number) for name, number in numbers.items() if _counts(name)}, None
        attributes, triangles = unpacked
        for name, number in numbers.items():
            if name not in attributes:
                if _counts(name):
                    attributes[name] = self.document.accessor(number)
            else:
                about = self.document.item("accessors", number)
                values = attributes[name].astype(self.document.component(about), copy=False)
                attributes[name] = fractions(values) if about.get("normalized") else values
        return attributes, triangles

    def _following(
        self, attributes: dict[str, NDArray[Any]]
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.float64] | None]:
        """The joints that vertices follow, and how much, [vertices, 4, 8 ...] each."""
        sets = range(sum(name.startswith("JOINTS_") for name in attributes))
        pairs = [(attributes.get(f"JOINTS_{n}"), attributes.get(f"WEIGHTS_{n}")) for n in sets]
        complete = [(joints, weights) for joints, weights in pairs if joints is not None and weights is not None]
        if not complete:
            return None, None
        joints = np.concatenate([joints for joints, _ in complete], axis=1).astype(np.int64)
        weights = np.concatenate([fractions(weights) for _, weights in complete], axis=1).astype(np.float64)
        if joints.shape != weights.shape:
            raise self.reading.broken("a mesh has joints and weights of several lengths")
        return joints, weights

    # -- materials ------------------------------------------------------------------------------

    def _dressed(
        self,
        primitive: dict[str, Any],
        vertices: NDArray[np.float64],
        faces: NDArray[np.int64],
        attributes: dict[str, NDArray[Any]],
    ) -> Patch:
        """The patch of a primitive: its material on its triangles."""
        material = {}
        if primitive.get("material") is not None:
            material = self.document.item("materials", primitive["material"])
        extensions = material.get("extensions", {})
        factor, info = self._base(material)
        texture, uv = self._worn(info, attributes, faces)
        colours, alpha = np.asarray(factor[:3], dtype=np.float32), np.asarray(factor[3], dtype=np.float32)
        if "COLOR_0" in attributes:
            painted = np.maximum(np.nan_to_num(fractions(attributes["COLOR_0"]).astype(np.float32)), 0)[faces]
            colours = colours * painted[..., :3]
            if painted.shape[-1] == 4:
                alpha = alpha * painted[..., 3]
        cutoff = {"MASK": float(material.get("alphaCutoff", 0.5)), "BLEND": BLEND}.get(str(material.get("alphaMode")))
        shine = np.asarray(material.get("emissiveFactor", (0, 0, 0)), dtype=np.float32)
        shine = shine * np.float32(extensions.get(STRENGTH, {}).get("emissiveStrength", 1))
        glow, glow_uv = None, None
        if UNLIT in extensions:
            shine, glow, glow_uv, colours = colours, texture, uv, np.zeros(3, dtype=np.float32)
        elif shine.any():
            glow, glow_uv = self._worn(material.get("emissiveTexture"), attributes, faces)
        normals = attributes.get("NORMAL")
        return Patch(
            vertices, faces, colours, uv, texture,
            None if normals is None else _unit(normals.astype(np.float32))[faces],
            None if cutoff is None else alpha, BLEND if cutoff is None else cutoff,
            shine if shine.any() else None, glow, glow_uv,
        )  # fmt: skip

    def _base(self, material: dict[str, Any]) -> tuple[list[float], dict[str, Any] | None]:
        """Base colour and opacity [4], and its texture."""
        old = material.get("extensions", {}).get(SPECULAR)
        if old is not None:
            factor, info = old.get("diffuseFactor"), old.get("diffuseTexture")
        else:
            modern = material.get("pbrMetallicRoughness", {})
            factor, info = modern.get("baseColorFactor"), modern.get("baseColorTexture")
        factor = [1.0, 1.0, 1.0, 1.0] if factor is None else [float(share) for share in factor]
        if len(factor) != 4:
            raise self.reading.broken(f"a base colour has {len(factor)} numbers, not 4")
        return factor, info

    def _worn(
        self, info: dict[str, Any] | None, attributes: dict[str, NDArray[Any]], faces: NDArray[np.int64]
    ) -> tuple[Texture | None, Floats | None]:
        """A texture and where corners look it up, [faces, 3, 2], origin at the lower left."""
        if info is None:
            return None, None
        transform = info.get("extensions", {}).get(TRANSFORM, {})
        places = attributes.get(f"TEXCOORD_{transform.get('texCoord', info.get('texCoord', 0))}")
        if places is None or places.shape[1] != 2:
            self.reading.note("a texture is left out where a mesh lacks its texture coordinates")
            return None, None
        uv = places.astype(np.float64)
        if transform:
            scale, angle = transform.get("scale", (1, 1)), float(transform.get("rotation", 0))
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])  # as v points down
            uv = uv * np.asarray(scale, dtype=np.float64) @ turn.T + np.asarray(transform.get("offset", (0, 0)))
        uv[:, 1] = 1 - uv[:, 1]
        return self._texture(info["index"]), uv.astype(np.float32)[faces]

    def _texture(self, index: Any) -> Texture | None:
        """A texture; None for one that cannot be read, if the reading is lenient."""
        about = self.document.item("textures", index)
        if index not in self._textures:
            try:
                self._textures[index] = self._read_texture(index, about)
            except ViewmaskError as error:
                self.reading.lacks(str(error))
                self._textures[index] = None
        return self._textures[index]

    def _read_texture(self, index: int, about: dict[str, Any]) -> Texture:
        image = _image(about)
        if image is None:
            raise ViewmaskError(f"texture {index} names no picture that is read")
        if image not in self._pictures:
            self._pictures[image] = _shrunk(self.document.picture(image), self._shrink)
        sampler = {}
        if about.get("sampler") is not None:
            sampler = self.document.item("samplers", about["sampler"])
        wrap = (WRAPS.get(sampler.get("wrapS", 10497), "repeat"), WRAPS.get(sampler.get("wrapT", 10497), "repeat"))
        return Texture(self._pictures[image], wrap, sampler.get("magFilter") != NEAREST)

    def _shrinking(self) -> int:
        """By what all pictures' sides are divided, so that together they stay below `TEXELS`."""
        images = set()
        for material in self.document.items("materials"):
            for info in (self._base(material)[1], material.get("emissiveTexture")):
                if info is not None:
                    images.add(_image(self.document.item("textures", info["index"])))
        texels = 0
        for image in images - {None}:
            try:
                with Image.open(io.BytesIO(self.document.image(image)[0])) as picture:
                    texels += picture.width * picture.height
            except (ViewmaskError, OSError, UnidentifiedImageError, ValueError, SyntaxError):
                continue  # said where it is read
        shrink = 1
        while texels / shrink**2 > TEXELS:
            shrink *= 2
        if shrink > 1:
            self.reading.note(f"its pictures are shrunk by {shrink}: together they have {texels / 1e6:,.0f} megapixels")
        return shrink


def _counts(name: str) -> bool:
    """Whether an attribute changes what is seen."""
    return name in ("POSITION", "NORMAL", "COLOR_0") or name.startswith(("TEXCOORD_", "JOINTS_", "WEIGHTS_"))


def _image(texture: dict[str, Any]) -> Any:
    """The number of a texture's picture: the plain one where there are several, since everything reads that."""
    if texture.get("source") is not None:
        return texture["source"]
    extensions = texture.get("extensions", {})
    return next((extensions[name].get("source") for name in PICTURES if name in extensions), None)


def _shrunk(pixels: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    if by == 1 or min(pixels.shape[:2]) < by:
        return pixels
    return np.asarray(Image.fromarray(pixels).reduce(by))


def _triangles(corners: NDArray[np.int64], mode: int) -> NDArray[np.int64]:
    """The triangles [faces, 3] of a list (4), a strip (5) or a fan (6) of corners."""
    if mode == 4:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return np.zeros((0, 3), dtype=np.int64)
    if mode == 6:
        return np.stack([corners[1:-1], corners[2:], np.full(len(corners) - 2, corners[0])], axis=1)
    strip = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    strip[1::2] = strip[1::2, [0, 2, 1]]  # every other one is turned
    return strip


def _composed(
    translation: NDArray[np.float64], rotation: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Matrices [n, 4, 4] of translations [n, 3], quaternions (x, y, z, w) [n, 4] and scales [n, 3]."""
    length = np.linalg.norm(rotation, axis=1, keepdims=True)
    x, y, z, w = np.divide(rotation, length, out=np.tile([0.0, 0, 0, 1], (len(rotation), 1)), where=length > 1e-12).T
    poses = np.zeros((len(rotation), 4, 4))
    poses[:, :3, :3] = np.stack(
        [
            1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
        ], axis=1,
    ).reshape(-1, 3, 3) * scale[:, None]  # fmt: skip
    poses[:, :3, 3], poses[:, 3, 3] = translation, 1
    return poses


def _placed(patch: Patch, poses: NDArray[np.float64]) -> Patch:
    """A patch moved by a matrix, or copied and moved by several [n, 4, 4]; those that mirror turn triangles over."""
    if len(poses) == 1 and np.array_equal(poses[0], np.eye(4)):
        return patch
    linear = poses[:, :3, :3]
    vertices = patch.vertices @ linear.transpose(0, 2, 1) + poses[:, None, :3, 3]
    faces = patch.faces + len(patch.vertices) * np.arange(len(poses))[:, None, None]
    normals = patch.normals
    if normals is not None:
        normals = _unit(normals @ _upright(linear)[:, None].astype(np.float32)).reshape(-1, 3, 3)

    def copied(values: Any) -> Any:
        """What stands at corners, [faces, 3, ...], of every copy."""
        return np.concatenate([values] * len(poses)) if len(poses) > 1 and np.ndim(values) >= 2 else values

    moved = replace(
        patch, vertices=vertices.reshape(-1, 3), faces=faces.reshape(-1, 3), normals=normals,
        colours=copied(patch.colours), uv=copied(patch.uv), alpha=copied(patch.alpha), emission=copied(patch.emission),
        emission_uv=copied(patch.emission_uv),
    )  # fmt: skip
    return _turned(moved, np.repeat(np.linalg.det(linear) < 0, len(patch.faces)))


def _turned(patch: Patch, which: NDArray[np.bool_]) -> Patch:
    """A patch with some triangles [faces] turned over, and everything at their corners with them."""
    if not which.any():
        return patch

    def over(values: Any) -> Any:
        if np.ndim(values) < 2:  # one for all, or none
            return values
        turned = values.copy()
        turned[which] = values[which, ::-1]
        return turned

    return replace(
        patch, faces=over(patch.faces), colours=over(patch.colours), uv=over(patch.uv), normals=over(patch.normals),
        alpha=over(patch.alpha), emission=over(patch.emission), emission_uv=over(patch.emission_uv),
    )  # fmt: skip


def _upright(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Matrices [n, 3, 3] that rows of normals are multiplied by, where points are moved by `linear` [n, 3, 3].

    Cofactors: they are there even where a shape is pressed flat.
    """
    a, b, c = linear.transpose(2, 0, 1)
    rows = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    rows /= np.maximum(np.abs(rows).max(axis=(1, 2), keepdims=True), 1e-300)
    mirrors = np.linalg.det(linear) < 0
    rows[mirrors] *= -1
    return rows


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-20)
