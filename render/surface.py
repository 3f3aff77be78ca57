"""Surfaces: triangles in the world with their colours, read from any mesh file and ready for ray casting.

At loading, every colour becomes linear light in float32. glTF's factors and vertex colours are linear already;
textures, and the colours of other formats, are sRGB.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    import trimesh

    from viewmask.views.camera import Camera

Floats = NDArray[np.float32]

# A column-permutation that is also a rotation: the file's front +Z goes to +X, its up +Y to +Z.
GLTF_TO_WORLD = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

CREASE = np.cos(np.radians(40))  # edges sharper than this stay sharp where the file gives no normals

_CODES = np.arange(256) / 255
_LINEAR_OF_BYTE = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_STEPS = np.arange(65536) / 65535
_BYTE_OF_LINEAR = np.round(
    255 * np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055)
).astype(np.uint8)


def to_linear(srgb: ArrayLike) -> Floats:
    """sRGB bytes to linear light, float32 in [0, 1] (IEC 61966-2-1)."""
    return _LINEAR_OF_BYTE[np.asarray(srgb, dtype=np.uint8)]


def to_srgb(linear: ArrayLike) -> NDArray[np.uint8]:
    """Linear light to sRGB bytes; values outside [0, 1] are clipped."""
    steps = np.clip(np.asarray(linear, dtype=np.float32), 0, 1) * np.float32(65535) + np.float32(0.5)
    return _BYTE_OF_LINEAR[steps.astype(np.uint16)]


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with their colours; opaque, two-sided.

    Attributes:
        vertices: world positions, float32 [vertices, 3].
        faces: int32 [faces, 3].
        colours: linear colour at every corner of every face, float32 [faces, 3, 3]; multiplies the texture.
        uv: texture coordinates at every corner, float32 [faces, 3, 2], origin at the lower left; wraps around.
        texture: which of `textures` a face wears, int32 [faces]; -1 for none.
        textures: linear, float32 [height, width, 3] each, first row on top.
        file_normals: unit normals at every corner where the file has them, float32 [faces, 3, 3], zero elsewhere.
        file_to_world: float64 [4, 4].
    """

    vertices: Floats
    faces: NDArray[np.int32]
    colours: Floats
    uv: Floats
    texture: NDArray[np.int32]
    textures: list[Floats]
    file_normals: Floats
    file_to_world: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))

    @classmethod
    def load(
        cls,
        source: str | Path | bytes,
        transform: ArrayLike | None = None,
        up: str = "y",
        file_type: str = "glb",
        beside: Mapping[str, bytes] | None = None,
    ) -> Surface:
        """Read a mesh file (GLB, glTF, OBJ, PLY, STL, OFF ...: what trimesh reads) into the world.

        Args:
            source: a path, or the file's bytes (then `file_type` names the format).
            transform: file to world, [4, 4], taken as it is. Without it the file is turned upright and
                normalised: longest side of the box 1, box centre at the origin (Zero123, SyncDreamer).
            up: "y" as in glTF, for every format alike: +Y is up, and the front +Z goes to azimuth 0. "z" for files
                that lie as the world does: +Z is up, the front is +X.
            beside: files that a mesh in bytes refers to (materials, textures, buffers), by name.

        Raises:
            ViewmaskError: missing, unreadable, empty, not finite, or without extent.
        """
        name = "the mesh" if isinstance(source, bytes) else str(source)
        if up not in ("y", "z"):
            raise ViewmaskError(f"up must be 'y' or 'z', not {up!r}")
        suffix = f".{file_type}" if isinstance(source, bytes) else Path(source).suffix.lower()
        linear = suffix in (".glb", ".gltf")
        return cls.of_scene(_read(source, file_type, name, beside), transform, up, linear, name)

    @classmethod
    def of_scene(
        cls,
        scene: trimesh.Scene,
        transform: ArrayLike | None = None,
        up: str = "y",
        linear: bool = False,
        name: str = "the mesh",
    ) -> Surface:
        """The surface of a trimesh scene; arguments and errors as for `load`.

        Args:
            linear: whether vertex and face colours are linear, as in glTF, rather than sRGB.
        """
        textures: list[Floats] = []
        numbers: dict[int, int] = {}
        parts = [
            _part(mesh, pose, linear, textures, numbers)
            for mesh, pose in _meshes(scene)
            if len(mesh.faces) and len(mesh.vertices)
        ]
        if not parts:
            raise ViewmaskError(f"{name} has no triangles")
        surface = cls.joined(parts)
        if not np.isfinite(surface.vertices).all():
            raise ViewmaskError(f"{name} has vertices that are not finite numbers")
        if surface.faces.min() < 0 or surface.faces.max() >= len(surface.vertices):
            raise ViewmaskError(f"{name} has faces that name vertices it lacks")
        if transform is not None:
            return surface.transformed(np.asarray(transform, dtype=np.float64))
        return surface.transformed(GLTF_TO_WORLD if up == "y" else np.eye(4)).normalised(name)

    @classmethod
    def joined(cls, parts: Sequence[Surface]) -> Surface:
        """One surface of several that lie in the same world; a texture that they share is kept once."""
        offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
        kept: dict[int, Floats] = {id(texture): texture for part in parts for texture in part.textures}
        number = {name: index for index, name in enumerate(kept)}
        worn = [np.array([*(number[id(texture)] for texture in part.textures), -1], dtype=np.int32) for part in parts]
        return cls(
            np.concatenate([part.vertices for part in parts]),
            np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]).astype(np.int32),
            np.concatenate([part.colours for part in parts]),
            np.concatenate([part.uv for part in parts]),
            np.concatenate([numbers[part.texture] for part, numbers in zip(parts, worn, strict=True)]),
            list(kept.values()),
            np.concatenate([part.file_normals for part in parts]),
        )

    # -- placing --------------------------------------------------------------------------------

    def transformed(self, matrix: NDArray[np.float64]) -> Surface:
        """The surface moved by an affine matrix [4, 4]."""
        vertices = self.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        normals = self.file_normals @ np.linalg.pinv(matrix[:3, :3]).astype(np.float32)
        return replace(
            self,
            vertices=vertices.astype(np.float32),
            file_normals=_unit(normals),
            file_to_world=matrix @ self.file_to_world,
        )

    def normalised(self, name: str = "the mesh") -> Surface:
        """Scaled and moved so that the longest side of the box is 1 and its centre the origin.

        Raises:
            ViewmaskError: no extent.
        """
        low, high = self.box
        longest = float((high - low).max())
        if not longest > 1e-12 or not np.isfinite(longest):
            raise ViewmaskError(f"{name} has no extent: all its triangles lie in one point")
        matrix = np.diag([1 / longest, 1 / longest, 1 / longest, 1])
        matrix[:3, 3] = -(low + high) / 2 / longest
        return self.transformed(matrix)

    def outward(self) -> Surface:
        """The surface, its faces turned over if it is inside out."""
        corners = self.vertices[self.faces].astype(np.float64)
        if np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) >= 0:
            return self
        return replace(
            self,
            faces=self.faces[:, ::-1], colours=self.colours[:, ::-1], uv=self.uv[:, ::-1],
            file_normals=self.file_normals[:, ::-1],
        )  # fmt: skip

    @property
    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest coordinates of what faces use, [3] each."""
        used = self.vertices[self.faces.ravel()]
        return used.min(axis=0).astype(np.float64), used.max(axis=0).astype(np.float64)

    def window(self, camera: Camera) -> tuple[int, int, int, int]:
        """The part of a camera's picture that the surface can cover: left, top, right, bottom in pixels."""
        pixels, depth = camera.project(self.vertices.astype(np.float64))
        if depth.min() <= 1e-6:  # some of it lies beside or behind the camera
            return 0, 0, camera.width, camera.height
        left, top = np.floor(pixels.min(axis=0) - 1).astype(int).tolist()
        right, bottom = np.ceil(pixels.max(axis=0) + 1).astype(int).tolist()
        return max(left, 0), max(top, 0), min(right, camera.width), min(bottom, camera.height)

    # -- looking up -----------------------------------------------------------------------------

    @cached_property
    def face_normals(self) -> Floats:
        """Unit normals of the faces, [faces, 3]; zero for a face without area."""
        corners = self.vertices[self.faces].astype(np.float64)
        return _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).astype(np.float32)

    @cached_property
    def corner_normals(self) -> Floats:
        """Shading normals at every corner, [faces, 3, 3]: the file's, or smooth across edges under 40 degrees."""
        corners = self.vertices[self.faces].astype(np.float64)
        weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        group = self._smoothing_groups().ravel()
        sums = np.stack([np.bincount(group, np.repeat(weighted[:, axis], 3)) for axis in range(3)], axis=-1)
        smooth = _unit(sums)[group].reshape(-1, 3, 3).astype(np.float32)
        in_file = (self.file_normals**2).sum(-1, keepdims=True) > 0.5
        return np.where(in_file, self.file_normals, smooth)

    def _smoothing_groups(self) -> NDArray[np.int32]:
        """Which corners share a normal, [faces, 3]: those at one place, joined by edges that are not sharp."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        # Vertices are split at texture seams: weld by position first.
        _, place = np.unique(np.round(self.vertices * 1e5).astype(np.int64), axis=0, return_inverse=True)
        start = place.reshape(-1)[self.faces]
        end = np.roll(start, -1, axis=1)
        corner = np.arange(self.faces.size).reshape(-1, 3)
        onward = start < end
        low = np.where(onward, corner, np.roll(corner, -1, axis=1)).ravel()
        high = np.where(onward, np.roll(corner, -1, axis=1), corner).ravel()
        places = start.ravel()
        order = np.lexsort((places[high], places[low]))
        before, after = order[:-1], order[1:]  # half-edges in a row that may be the two sides of one edge
        met = (places[low[before]] == places[low[after]]) & (places[high[before]] == places[high[after]])
        met &= (self.face_normals[before // 3] * self.face_normals[after // 3]).sum(-1) > CREASE
        before, after = before[met], after[met]
        pairs = np.concatenate([low[before], high[before]]), np.concatenate([low[after], high[after]])
        links = coo_array((np.ones(len(pairs[0]), dtype=bool), pairs), shape=(corner.size, corner.size))
        return connected_components(links, directed=False)[1].reshape(-1, 3)

    @cached_property
    def _even(self) -> bool:
        """Whether every face has one colour, which saves interpolating."""
        return bool((self.colours == self.colours[:, :1]).all())

    def albedo(self, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
        """Linear base colour of points, [n, 3], from their face and the barycentric weights of its corners 2 and 3."""
        colour = self.colours[face, 0] if self._even else interpolate(self.colours, face, u, v)
        if not self.textures:
            return colour
        wears = self.texture[face]
        for index, texture in enumerate(self.textures):
            here = np.flatnonzero(wears == index)
            if len(here):
                place = interpolate(self.uv, face[here], u[here], v[here])
                colour[here] = colour[here] * bilinear(texture, place)
        return colour


def interpolate(corners: Floats, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
    """Values [n, k] at barycentric places, between those of the corners [faces, 3, k]."""
    values = corners[face]
    return values[:, 0] * (1 - u - v)[:, None] + values[:, 1] * u[:, None] + values[:, 2] * v[:, None]


def bilinear(texture: Floats, uv: Floats) -> Floats:
    """Look a texture [height, width, 3] up at `uv` [n, 2] (origin lower left, wrapping), [n, 3]."""
    height, width = texture.shape[:2]
    x = (uv[:, 0] - np.floor(uv[:, 0])) * width - np.float32(0.5)
    y = (1 - (uv[:, 1] - np.floor(uv[:, 1]))) * height - np.float32(0.5)
    left, top = np.floor(x), np.floor(y)
    right_share, low_share = (x - left)[:, None], (y - top)[:, None]
    left, top = left.astype(np.int64), top.astype(np.int64)
    texels = texture.reshape(-1, 3)
    above, below = top % height * width, (top + 1) % height * width
    left, right = left % width, (left + 1) % width
    upper = texels[above + left] * (1 - right_share) + texels[above + right] * right_share
    lower = texels[below + left] * (1 - right_share) + texels[below + right] * right_share
    return upper * (1 - low_share) + lower * low_share


def _read(source: str | Path | bytes, file_type: str, name: str, beside: Mapping[str, bytes] | None) -> trimesh.Scene:
    import trimesh

    if not isinstance(source, bytes) and not Path(source).is_file():
        raise ViewmaskError(f"no mesh file at {source}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if isinstance(source, bytes):
                # It says dict, but only looks names up.
                resolver = None if beside is None else trimesh.resolvers.ZipResolver(beside)  # type: ignore[arg-type]
                return trimesh.load_scene(io.BytesIO(source), file_type=file_type, resolver=resolver, process=False)
            return trimesh.load_scene(str(source), process=False)
    except Exception as error:  # trimesh lets whatever its parsers meet through
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ViewmaskError(f"cannot read {name} as a mesh: {reason[:200]}") from error


def _meshes(scene: trimesh.Scene) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    import trimesh

    for node in scene.graph.nodes_geometry:
        pose, name = scene.graph[node]
        if not np.isfinite(pose).all():
            raise ViewmaskError(f"the mesh's node {node} has a transform that is not finite")
        mesh = scene.geometry[name]
        if isinstance(mesh, trimesh.Trimesh):
            yield mesh, pose


def _part(
    mesh: Any, pose: NDArray[np.float64], linear: bool, textures: list[Floats], numbers: dict[int, int]
) -> Surface:
    """One mesh of a scene. A new texture is added to `textures`; `numbers` has its index by the picture's identity."""
    faces = np.asarray(mesh.faces, dtype=np.int32)
    colour, picture = _material(mesh)
    uv = getattr(mesh.visual, "uv", None)
    texture = -1
    if picture is not None and uv is not None and len(uv) == len(mesh.vertices):
        if id(picture) not in numbers:
            numbers[id(picture)] = len(textures)
            textures.append(to_linear(np.asarray(picture.convert("RGB"))))
        texture = numbers[id(picture)]
        corner_uv = np.asarray(uv, dtype=np.float32)[faces]
    else:
        corner_uv = np.zeros((len(faces), 3, 2), dtype=np.float32)
    colours = np.broadcast_to(colour, (len(faces), 3, 3)).copy()
    painted = _painted(mesh, linear)
    if painted is not None:
        colours *= painted
    normals = np.zeros((len(faces), 3, 3), dtype=np.float32)
    if "vertex_normals" in mesh._cache.cache:  # trimesh's own test for "the file had them"
        normals = np.asarray(mesh.vertex_normals, dtype=np.float32)[faces]
    with np.errstate(over="ignore"):  # infinite is refused later
        vertices = np.asarray(mesh.vertices, dtype=np.float32)
    part = Surface(
        vertices,
        faces,
        colours.astype(np.float32),
        np.where(np.isfinite(corner_uv), corner_uv, 0),
        np.full(len(faces), texture, dtype=np.int32),
        textures,
        np.where(np.isfinite(normals), normals, 0),
    )
    return part if np.array_equal(pose, np.eye(4)) else part.transformed(np.asarray(pose, dtype=np.float64))


def _material(mesh: Any) -> tuple[Floats, Any]:
    """Linear base colour [3] and texture picture (or None) of a mesh."""
    white = np.ones(3, dtype=np.float32)
    material = getattr(mesh.visual, "material", None)
    if material is None:
        return white, None
    if hasattr(material, "materials"):  # a MultiMaterial: trimesh splits such files, take the first if not
        material = material.materials[0] if material.materials else material
    if hasattr(material, "baseColorFactor"):
        factor = material.baseColorFactor
        return (white if factor is None else _fraction(factor)[:3]), material.baseColorTexture
    picture = getattr(material, "image", None)
    diffuse = getattr(material, "diffuse", None)
    if diffuse is None or picture is not None:  # MTL's Kd seldom means to tint the picture (peers ignore it too)
        return white, picture
    return to_linear(np.round(_fraction(diffuse)[:3] * 255)), None


def _painted(mesh: Any, linear: bool) -> Floats | None:
    """Linear colours at the corners [faces, 3, 3] from vertex or face colours, or None."""
    visual, faces = mesh.visual, np.asarray(mesh.faces)
    attribute = getattr(visual, "vertex_attributes", {}).get("color")
    if attribute is not None and len(attribute) == len(mesh.vertices):
        colours = _fraction(attribute)[:, :3][faces]
    elif getattr(visual, "kind", None) == "vertex":
        colours = _fraction(visual.vertex_colors)[:, :3][faces]
    elif getattr(visual, "kind", None) == "face":
        colours = np.repeat(_fraction(visual.face_colors)[:, None, :3], 3, axis=1)
    else:
        return None
    if linear:
        return colours
    return to_linear(np.round(np.clip(colours, 0, 1) * 255))


def _fraction(colour: ArrayLike) -> Floats:
    """Colours as float32 in [0, 1]: integers are fractions of their type's largest, always."""
    values = np.asarray(colour)
    if np.issubdtype(values.dtype, np.integer):
        return (values / np.iinfo(values.dtype).max).astype(np.float32)
    return np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=1.0)


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-20)
