"""What a run leaves to be looked at: of every object the true views, a method's views, and both meshes.

objects/<id>/truth/         view set          objects/<id>/truth.glb
objects/<id>/<method>/      view set          objects/<id>/<method>.glb
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh
    from recon.atlas import Atlas
    from recon.mesh import TexturedMesh
    from render.surface import Surface

TRUTH = "truth"
TEXTURE = 512  # pixels: views have 256


@dataclass(frozen=True)
class Artefacts:
    """The folder of one run.

    Attributes:
        folder: the run's.
        method: whose views stand beside the true ones.
    """

    folder: Path
    method: str

    def place(self, subject: str, whose: str | None = None) -> Path:
        """The view set of an object: the method's, or `truth`; the mesh stands beside it with `.glb` behind."""
        return self.folder / "objects" / safe(subject) / safe(whose or self.method)

    def mesh(self, subject: str, whose: str | None = None) -> Path:
        """The mesh of an object, which need not exist."""
        place = self.place(subject, whose)
        return place.with_name(place.name + ".glb")

    def keep(
        self, subject: str, key: str, truth: ViewSet, views: ViewSet, true_mesh: Mesh | None, mesh: Mesh | None
    ) -> None:
        """Write what was made of one object; the method's views come last and carry the record's key.

        Raises:
            ViewmaskError: the disk refuses.
        """
        truth.save(self.place(subject, TRUTH), force=True)
        for whose, shape in ((TRUTH, true_mesh), (None, mesh)):
            path = self.mesh(subject, whose)
            if shape is not None:
                textured(shape).save(path)
            elif whose is None:
                path.unlink(missing_ok=True)
        ViewSet(views.images, views.cameras, {"method": self.method, "key": key}).save(self.place(subject), force=True)

    def holds(self, subject: str, key: str) -> bool:
        """Whether the views of this very record are there."""
        try:
            record = json.loads((self.place(subject) / "transforms.json").read_text())
        except (OSError, ValueError):
            return False
        return isinstance(record, dict) and record.get("key") == key


def safe(name: str) -> str:
    """A file name for an object or a method: `views:out/mine` becomes `views_out_mine`."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"


def textured(mesh: Mesh, faces: int = 20_000, texture: int = TEXTURE) -> TexturedMesh:
    """Any mesh as one of at most about `faces` triangles with its colours in one square texture.

    Colours are carried over from the nearest place of the original; one that is small enough is left as it is.

    Args:
        mesh: a `render.surface.Surface` (its base colour), a `recon.TexturedMesh`, or bare triangles (grey).

    Raises:
        ViewmaskError: no triangles.
    """
    import fast_simplification
    import trimesh
    from scipy.spatial import cKDTree

    from recon import atlas
    from recon.mesh import TexturedMesh
    from render.surface import to_srgb

    if isinstance(mesh, TexturedMesh) and len(mesh.faces) <= faces and mesh.texture.shape[0] <= texture:
        return mesh
    if not len(mesh.faces):
        raise ViewmaskError("a mesh without triangles cannot be shown")
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, process=True, merge_tex=True, merge_norm=True)
    if len(shape.faces) > faces:
        points, corners = fast_simplification.simplify(
            shape.vertices.astype(np.float32), shape.faces.astype(np.int32), target_count=faces
        )
        shape = trimesh.Trimesh(points, corners, process=True)
    places = atlas.unwrap(shape, texture)
    points, colours = _painted_points(mesh, count=2 * len(places.points))
    picture = np.full((texture, texture, 3), 128, np.uint8)
    nearest = cKDTree(points).query(places.points, workers=-1)[1]
    picture[places.rows, places.columns] = to_srgb(colours[nearest])
    return TexturedMesh(shape.vertices, shape.faces, places.uv, places.uv_faces, _filled(picture, places))


def surface(mesh: Mesh) -> Surface:
    """A mesh as `render` takes it: as it is, with its texture, or grey."""
    from recon.mesh import TexturedMesh
    from render.surface import Surface, to_linear

    if isinstance(mesh, Surface):
        return mesh
    faces = np.asarray(mesh.faces, np.int32)
    blank = np.zeros((len(faces), 3, 3), np.float32)
    uv, textures, level = blank[..., :2], [], 0.4
    if isinstance(mesh, TexturedMesh):
        uv, textures, level = mesh.uv[mesh.uv_faces].astype(np.float32), [to_linear(mesh.texture)], 1.0
    return Surface(
        np.asarray(mesh.vertices, np.float32), faces, np.full_like(blank, level), uv,
        np.full(len(faces), len(textures) - 1, np.int32), textures, blank,
    )  # fmt: skip


def _painted_points(mesh: Mesh, count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """`count` points uniform in area on a mesh, [count, 3], and their linear colours, [count, 3]."""
    from render.surface import interpolate

    painted = surface(mesh)
    corners = painted.vertices[painted.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).cumsum()
    rng = np.random.default_rng(0)
    face = np.minimum(np.searchsorted(area, rng.random(count) * area[-1]), len(area) - 1).astype(np.int32)
    u, v = rng.random((2, count), np.float32)
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    return interpolate(corners, face, u, v), painted.albedo(face, u, v)


def _filled(picture: NDArray[np.uint8], places: Atlas) -> NDArray[np.uint8]:
    """The texture with what lies between charts set to the nearest chart's colour, so that no seam shows."""
    from scipy import ndimage

    empty = np.ones(picture.shape[:2], bool)
    empty[places.rows, places.columns] = False
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return picture[tuple(nearest)]
