"""Surfaces: triangles in the world with their colours, read from any mesh file and ready for ray casting.

At loading, every colour becomes linear light in float32, save for textures. glTF's factors and vertex colours are
linear already; textures, and the colours of other formats, are sRGB.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from render import meshfile
from render.beside import Beside
from render.ceiling import claim
from render.formats.patch import BLEND, Patch, Reading
from render.texture import Floats, Texture, to_linear, to_srgb
from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    import trimesh

    from viewmask.views.camera import Camera

__all__ = ["GLTF_TO_WORLD", "Floats", "Opacity", "Paint", "Surface", "interpolate", "to_linear", "to_srgb"]

# A column-permutation that is also a rotation: the file's front +Z goes to +X, its up +Y to +Z.
GLTF_TO_WORLD = np.array([[0.0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])

CREASE = np.cos(np.radians(40))  # edges sharper than this stay sharp where the file gives no normals


@dataclass(frozen=True, eq=False)
class Paint:
    """Linear colours on the faces of a surface, tinted or not by its textures.

    Attributes:
        colours: at every corner of every face, float32 [faces, 3, 3]; multiplies the texture.
        uv: texture coordinates at every corner, float32 [faces, 3, 2], origin at the lower left.
        texture: which of the surface's textures a face wears, int32 [faces]; -1 for none.
    """

    colours: Floats
    uv: Floats
    texture: NDArray[np.int32]

    @classmethod
    def black(cls, faces: int) -> Paint:
        """No light from any of so many faces."""
        blank = np.zeros((faces, 3, 3), dtype=np.float32)
        return cls(blank, blank[..., :2], np.full(faces, -1, dtype=np.int32))

    @cached_property
    def _even(self) -> bool:
        """Whether every face has one colour, which saves interpolating."""
        return bool((self.colours == self.colours[:, :1]).all())

    def at(self, textures: Sequence[Texture], face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
        """Colours of points, [n, 3], from their face and the barycentric weights of its corners 2 and 3."""
        colour = self.colours[face, 0] if self._even else interpolate(self.colours, face, u, v)
        if not textures:
            return colour
        wears = self.texture[face]
        for index, texture in enumerate(textures):
            here = np.flatnonzero(wears == index)
            if len(here):
                place = interpolate(self.uv, face[here], u[here], v[here])
                colour[here] = colour[here] * texture.colour(place)
        return colour


@dataclass(frozen=True, eq=False)
class Opacity:
    """How much of a ray each face stops: all of it, all or nothing (a cut-out), or a share (it blends).

    Attributes:
        alpha: at every corner, float32 [faces, 3]; multiplies the alpha of the base colour's texture.
        cutoff: alpha below it is a hole, alpha from it on is solid, float32 [faces]: 0 where all is solid, `BLEND`
            where alpha is the share that is stopped.
    """

    alpha: Floats
    cutoff: Floats

    @classmethod
    def full(cls, faces: int) -> Opacity:
        """So many faces, all solid."""
        return cls(np.ones((faces, 3), dtype=np.float32), np.zeros(faces, dtype=np.float32))


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles with their colours, two-sided.

    Attributes:
        vertices: world positions, float32 [vertices, 3] (float64 in the parts that a reader hands to `of_parts`).
        faces: int32 [faces, 3].
        colours: linear base colour at every corner of every face, float32 [faces, 3, 3]; multiplies the texture.
        uv: texture coordinates at every corner, float32 [faces, 3, 2], origin at the lower left.
        texture: which of `textures` a face wears, int32 [faces]; -1 for none.
        textures: what base colour and emission wear.
        file_normals: unit normals at every corner where the file has them, float32 [faces, 3, 3], zero elsewhere.
        file_to_world: float64 [4, 4].
        opacity: None where all is solid; alpha of textures counts only with it.
        emission: light of the surface's own, which is added to what it gives back; None for none.
        notes: what of the file is left out or doubtful, a sentence each.
    """

    vertices: NDArray[Any]
    faces: NDArray[np.int32]
    colours: Floats
    uv: Floats
    texture: NDArray[np.int32]
    textures: list[Texture]
    file_normals: Floats
    file_to_world: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    opacity: Opacity | None = None
    emission: Paint | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def load(
        cls,
        source: str | Path | bytes,
        transform: ArrayLike | None = None,
        up: str = "y",
        file_type: str = "glb",
        beside: Mapping[str, bytes] | Beside | None = None,
        lenient: bool = False,
    ) -> Surface:
        """Read a mesh file (GLB, glTF, OBJ, PLY, STL, OFF, 3MF or DAE) into the world.

        Args:
            source: a path, or the file's bytes (then `file_type` names the format).
            transform: file to world, [4, 4], taken as it is. Without it the file is turned upright and
                normalised: longest side of the box 1, box centre at the origin (Zero123, SyncDreamer).
            up: "y" as in glTF: +Y is up, and the front +Z goes to azimuth 0; 3MF and DAE lie as they say themselves.
                "z" for files that lie as the world does: +Z is up, the front is +X.
            beside: files that a mesh in bytes refers to (materials, textures, buffers), by name. A mesh in a file
                finds them in its folder.
            lenient: whether materials and textures that are missing or cannot be read are notes of the surface, rather
                than a failure.

        Raises:
            ViewmaskError: missing, unreadable, cut off, empty, not finite, without extent, or larger than the ceiling.
        """
        name = "the mesh" if isinstance(source, bytes) else str(source)
        if up not in ("y", "z"):
            raise ViewmaskError(f"up must be 'y' or 'z', not {up!r}")
        kind = file_type.lower() if isinstance(source, bytes) else Path(source).suffix.lower().lstrip(".")
        if kind not in meshfile.KINDS:
            raise ViewmaskError(f"{name} is no mesh that is read here ({meshfile.NAMES}): convert it to GLB first")
        reading, stem = Reading(name, lenient), "" if isinstance(source, bytes) else Path(source).stem
        patches, upright = meshfile.read(_bytes(source), kind, reading, _near(source, beside), stem)
        return cls.of_patches(patches, reading, upright, transform, up)

    @classmethod
    def of_patches(
        cls,
        patches: Sequence[Patch],
        reading: Reading,
        upright: NDArray[np.float64] | None = None,
        transform: ArrayLike | None = None,
        up: str = "y",
    ) -> Surface:
        """The surface of a file's patches; arguments and errors as for `load`.

        Args:
            upright: turns the file's up axis to +Y and its front to +Z, [4, 4], where its format rules it.
        """
        parts = [cls.of_patch(patch) for patch in patches if len(patch.faces)]
        turned = upright is not None and transform is None and up == "y"
        if turned:
            parts = [part.transformed(upright) for part in parts]
        surface = cls.of_parts(parts, transform, up, reading.name)
        to_world = surface.file_to_world @ upright if turned else surface.file_to_world
        return replace(surface, file_to_world=to_world, notes=(*surface.notes, *reading.notes))

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
        known: dict[int, Texture] = {}
        parts = [
            _part(mesh, pose, linear, known) for mesh, pose in _meshes(scene) if len(mesh.faces) and len(mesh.vertices)
        ]
        return cls.of_parts(parts, transform, up, name)

    @classmethod
    def of_patch(cls, patch: Patch) -> Surface:
        """The part of a surface that a patch is, in the file's coordinates, without vertices that it does not use."""
        vertices = np.asarray(patch.vertices, dtype=np.float64).reshape(-1, 3)
        faces = np.asarray(patch.faces, dtype=np.int32).reshape(-1, 3)
        if len(faces) and 0 <= faces.min() <= faces.max() < len(vertices):  # others are refused once all are together
            used = np.zeros(len(vertices), dtype=bool)
            used[faces] = True
            if not used.all():
                vertices, faces = vertices[used], (np.cumsum(used, dtype=np.int32) - 1)[faces]
        textures = list(dict.fromkeys(t for t in (patch.texture, patch.emission_texture) if t is not None))
        opacity, emission = None, None
        if patch.alpha is not None:
            alpha = np.broadcast_to(np.asarray(patch.alpha, dtype=np.float32), faces.shape).copy()
            opacity = Opacity(alpha, np.full(len(faces), patch.cutoff, dtype=np.float32))
        if patch.emission is not None:
            place = patch.uv if patch.emission_uv is None else patch.emission_uv
            emission = _paint(len(faces), patch.emission, place, patch.emission_texture, textures)
        base = _paint(len(faces), 1 if patch.colours is None else patch.colours, patch.uv, patch.texture, textures)
        return cls(
            vertices, faces, base.colours, base.uv, base.texture, textures,
            _corners(patch.normals, len(faces), 3), opacity=opacity, emission=emission,
        )  # fmt: skip

    @classmethod
    def of_parts(
        cls, parts: Sequence[Surface], transform: ArrayLike | None = None, up: str = "y", name: str = "the mesh"
    ) -> Surface:
        """The surface of what a reader found in a file: joined, checked and placed; arguments and errors as for `load`.

        Triangles that are invisible all over are left out. Vertices become float32 once they are in the world, so
        far coordinates cost no precision.
        """
        if not parts:
            raise ViewmaskError(f"{name} has no triangles")
        surface = replace(parts[0], file_to_world=np.eye(4)) if len(parts) == 1 else cls.joined(parts)
        if surface.faces.min() < 0 or surface.faces.max() >= len(surface.vertices):
            raise ViewmaskError(f"{name} has faces that name vertices it lacks")
        if not np.isfinite(surface.vertices).all():
            raise ViewmaskError(f"{name} has vertices that are not finite numbers")
        surface = surface.visible(name)
        if transform is not None:
            surface = surface.transformed(np.asarray(transform, dtype=np.float64))
        else:
            surface = surface.transformed(GLTF_TO_WORLD if up == "y" else np.eye(4)).normalised(name)
        with np.errstate(over="ignore"):
            vertices = surface.vertices.astype(np.float32)
        if not np.isfinite(vertices).all():
            raise ViewmaskError(f"{name} has vertices that are not finite numbers")
        return replace(surface, vertices=vertices)

    @classmethod
    def joined(cls, parts: Sequence[Surface]) -> Surface:
        """One surface of several that lie in the same world; a texture that they share is kept once."""
        offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
        kept: dict[int, Texture] = {id(texture): texture for part in parts for texture in part.textures}
        number = {name: index for index, name in enumerate(kept)}
        worn = [np.array([*(number[id(texture)] for texture in part.textures), -1], dtype=np.int32) for part in parts]
        opacity, emission = None, None
        if any(part.opacity for part in parts):
            shares = [part.opacity or Opacity.full(len(part.faces)) for part in parts]
            opacity = Opacity(
                *(np.concatenate([getattr(share, key) for share in shares]) for key in ("alpha", "cutoff"))
            )
        if any(part.emission for part in parts):
            paints = [part.emission or Paint.black(len(part.faces)) for part in parts]
            emission = Paint(
                np.concatenate([paint.colours for paint in paints]),
                np.concatenate([paint.uv for paint in paints]),
                np.concatenate([numbers[paint.texture] for paint, numbers in zip(paints, worn, strict=True)]),
            )
        return cls(
            np.concatenate([part.vertices for part in parts]),
            np.concatenate([part.faces + offset for part, offset in zip(parts, offsets, strict=True)]).astype(np.int32),
            np.concatenate([part.colours for part in parts]),
            np.concatenate([part.uv for part in parts]),
            np.concatenate([numbers[part.texture] for part, numbers in zip(parts, worn, strict=True)]),
            list(kept.values()),
            np.concatenate([part.file_normals for part in parts]),
            opacity=opacity,
            emission=emission,
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )

    def visible(self, name: str = "the mesh") -> Surface:
        """The surface without triangles that are invisible all over. `opacity` is None if what is left is solid.

        Raises:
            ViewmaskError: nothing is left.
        """
        if self.opacity is None:
            return self
        clear, solid = self._clear_and_solid(self.opacity)
        if clear.all():
            raise ViewmaskError(f"{name} is invisible: all its triangles are transparent")
        if (clear | solid).all():
            opacity = None
        else:
            opacity = Opacity(self.opacity.alpha, np.where(solid, np.float32(0), self.opacity.cutoff))
        surface = replace(self, opacity=opacity)
        return surface._part(~clear) if clear.any() else surface

    def _part(self, keep: NDArray[np.bool_]) -> Surface:
        """The faces marked in `keep` [faces], with the vertices that they use."""
        used, faces = np.unique(self.faces[keep], return_inverse=True)
        opacity, emission = self.opacity, self.emission
        return replace(
            self, vertices=self.vertices[used], faces=faces.reshape(-1, 3).astype(np.int32),
            colours=self.colours[keep], uv=self.uv[keep], texture=self.texture[keep],
            file_normals=self.file_normals[keep],
            opacity=opacity and Opacity(opacity.alpha[keep], opacity.cutoff[keep]),
            emission=emission and Paint(emission.colours[keep], emission.uv[keep], emission.texture[keep]),
        )  # fmt: skip

    def _clear_and_solid(self, opacity: Opacity) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Which faces are surely invisible all over, and which are surely solid, [faces] each."""
        cutoff, blends = opacity.cutoff, opacity.cutoff == BLEND
        low, high = opacity.alpha.min(axis=1), opacity.alpha.max(axis=1)
        clear = np.where(blends, high <= 0, high < cutoff)
        solid = np.where(blends, low >= 1, low >= cutoff)
        # The byte from which a texel is seen, and the one from which it is solid; 256 for never.
        with np.errstate(divide="ignore", invalid="ignore"):
            seen = np.where(blends, 1, np.ceil(np.float32(255) * cutoff / high))
            full = np.where(blends, 255, np.ceil(np.float32(255) * cutoff / low))
        seen, full = (np.nan_to_num(byte, nan=256, posinf=256).clip(0, 256).astype(int) for byte in (seen, full))
        for index, texture in enumerate(self.textures):
            here = (self.texture == index) & (cutoff != 0) & ~clear
            for least in np.unique(seen[here]):
                some = np.flatnonzero(here & (seen == least))
                uv = self.uv[some]
                clear[some] = ~texture.some_alpha(least, uv.min(axis=1), uv.max(axis=1))[0]
            for least in np.unique(full[here & solid]):
                some = np.flatnonzero(here & solid & (full == least))
                uv = self.uv[some]
                solid[some] = texture.some_alpha(least, uv.min(axis=1), uv.max(axis=1))[1]
        return clear, solid

    # -- placing --------------------------------------------------------------------------------

    def transformed(self, matrix: NDArray[np.float64]) -> Surface:
        """The surface moved by an affine matrix [4, 4]."""
        vertices = self.vertices.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
        inverse = np.linalg.pinv(matrix[:3, :3])
        normals = self.file_normals @ (inverse / max(np.abs(inverse).max(), 1e-300)).astype(np.float32)
        return replace(
            self,
            vertices=vertices.astype(self.vertices.dtype),
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
        opacity, emission = self.opacity, self.emission
        return replace(
            self,
            faces=self.faces[:, ::-1], colours=self.colours[:, ::-1], uv=self.uv[:, ::-1],
            file_normals=self.file_normals[:, ::-1],
            opacity=opacity and Opacity(opacity.alpha[:, ::-1], opacity.cutoff),
            emission=emission and Paint(emission.colours[:, ::-1], emission.uv[:, ::-1], emission.texture),
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
    def _base(self) -> Paint:
        return Paint(self.colours, self.uv, self.texture)

    def albedo(self, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
        """Linear base colour of points, [n, 3], from their face and the barycentric weights of its corners 2 and 3."""
        return self._base.at(self.textures, face, u, v)

    def emitted(self, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats | None:
        """Linear light of their own that points give, [n, 3], or None if nothing of the surface does."""
        return None if self.emission is None else self.emission.at(self.textures, face, u, v)

    def bare(self, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
        """Linear colour of points as seen unlit, [n, 3]: base colour and emission."""
        own = self.emitted(face, u, v)
        return self.albedo(face, u, v) if own is None else np.minimum(self.albedo(face, u, v) + own, 1)

    def stopped(self, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
        """The share of a ray that points stop, [n]."""
        if self.opacity is None:
            return np.ones(len(face), dtype=np.float32)
        alpha = interpolate(self.opacity.alpha[..., None], face, u, v)[:, 0]
        cutoff = self.opacity.cutoff[face]
        wears = np.where(cutoff == 0, -1, self.texture[face])
        for index, texture in enumerate(self.textures):
            here = np.flatnonzero(wears == index)
            if len(here):
                alpha[here] *= texture.alpha(interpolate(self.uv, face[here], u[here], v[here]))
        return np.where(cutoff == BLEND, np.clip(alpha, 0, 1), alpha >= cutoff).astype(np.float32)


def interpolate(corners: Floats, face: NDArray[np.int32], u: Floats, v: Floats) -> Floats:
    """Values [n, k] at barycentric places, between those of the corners [faces, 3, k]."""
    values = corners[face]
    return values[:, 0] * (1 - u - v)[:, None] + values[:, 1] * u[:, None] + values[:, 2] * v[:, None]


def _paint(
    faces: int, colours: ArrayLike, uv: NDArray[Any] | None, texture: Texture | None, textures: list[Texture]
) -> Paint:
    """Paint on so many faces, alike where `colours` is one; bare where there is no uv to look a texture up."""
    worn = textures.index(texture) if texture is not None and uv is not None else -1
    colours = np.broadcast_to(np.asarray(colours, dtype=np.float32), (faces, 3, 3)).copy()
    return Paint(colours, _corners(uv, faces, 2), np.full(faces, worn, dtype=np.int32))


def _corners(values: NDArray[Any] | None, faces: int, width: int) -> Floats:
    """Values at every corner, float32 [faces, 3, width]; zero where there are none or they are not finite."""
    if values is None:
        return np.zeros((faces, 3, width), dtype=np.float32)
    with np.errstate(over="ignore"):
        corners = np.asarray(values, dtype=np.float32).reshape(faces, 3, width)
    return np.where(np.isfinite(corners), corners, np.float32(0))


def _bytes(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source
    path = Path(source)
    if not path.is_file():
        raise ViewmaskError(f"no mesh file at {source}")
    try:
        claim(path.stat().st_size, str(path))
        return path.read_bytes()
    except OSError as error:
        raise ViewmaskError(f"cannot read {source}: {error.strerror or error}") from error


def _near(source: str | Path | bytes, beside: Mapping[str, bytes] | Beside | None) -> Beside:
    """Where a mesh finds the files that it names."""
    if isinstance(beside, Beside):
        return beside
    if isinstance(source, bytes) or beside is not None:
        return Beside.of_mapping(beside)
    return Beside.of_file(Path(source))


def _meshes(scene: trimesh.Scene) -> Iterator[tuple[Any, NDArray[np.float64]]]:
    import trimesh

    for node in scene.graph.nodes_geometry:
        pose, name = scene.graph[node]
        if not np.isfinite(pose).all():
            raise ViewmaskError(f"the mesh's node {node} has a transform that is not finite")
        mesh = scene.geometry[name]
        if isinstance(mesh, trimesh.Trimesh):
            yield mesh, pose


def _part(mesh: Any, pose: NDArray[np.float64], linear: bool, known: dict[int, Texture]) -> Surface:
    """One mesh of a scene. `known` has the textures so far by their picture's identity."""
    faces = np.asarray(mesh.faces, dtype=np.int32)
    colour, picture = _material(mesh)
    uv = getattr(mesh.visual, "uv", None)
    textures = []
    if picture is not None and uv is not None and len(uv) == len(mesh.vertices):
        if id(picture) not in known:
            known[id(picture)] = Texture.of(np.asarray(picture.convert("RGB")))
        textures = [known[id(picture)]]
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
    part = Surface(
        np.asarray(mesh.vertices, dtype=np.float64),
        faces,
        colours.astype(np.float32),
        np.where(np.isfinite(corner_uv), corner_uv, 0),
        np.full(len(faces), len(textures) - 1, dtype=np.int32),
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
