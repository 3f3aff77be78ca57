"""What another system left in a folder, read as the views or the mesh of a bench's object."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.benches.bench import digest
from eval.methods.method import Method
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Array, Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:
    from render.surface import Surface

MESHES = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off")
# How far a corner of the unit box may land from where the bench's camera puts it, as a share of the picture's
# width: 2.3 degrees of azimuth, 1.3 of elevation, 1.6 % of distance, 3 % of the field of view.
TOLERANCE = 0.02
RENDERED = "image columns: renderings of its mesh in base colour, without light"


def views_of(folder: Path) -> Method:
    """`views:DIR`: a view set an object, in DIR/ID with its transforms.json; see `matched` for the cameras.

    Raises:
        ViewmaskError: no such folder; from its `views`, an object or a view is missing.
    """
    _check(folder)

    def views(subject: str, truth: ViewSet) -> list[Picture]:
        return matched(ViewSet.load(_view_folder(folder, subject)), truth, str(folder / subject))

    def content(subject: str, _: ViewSet) -> str:
        place = _view_folder(folder, subject)
        return digest(*sorted(path for path in place.rglob("*") if path.is_file()))

    return Method(f"views:{folder.name}", views, {"folder": folder.name}, content=content)


def meshes_of(folder: Path) -> Method:
    """`meshes:DIR`: a mesh an object, DIR/ID.glb or DIR/ID/mesh.glb (or .gltf, .obj, .ply, .stl, .off).

    Files are +Y up with the given view's side on +Z, as glTF says and `viewmask reconstruct` writes, and lie as the
    bench's objects do: longest side 1, centred on the origin. Nothing is scaled, turned or moved.

    Raises:
        ViewmaskError: no such folder, or its meshes have another scale; from its `mesh`, one is missing or broken.
    """
    _check(folder)
    _check_scale(folder)

    def mesh(subject: str, _: ViewSet) -> Surface:
        from render.surface import GLTF_TO_WORLD, Surface

        return Surface.load(_mesh_file(folder, subject), transform=GLTF_TO_WORLD)

    return Method(
        f"meshes:{folder.name}",
        lambda subject, truth: rendered(mesh(subject, truth), truth),
        {"folder": folder.name},
        mesh=mesh,
        content=lambda subject, _: digest(*_mesh_files(folder, subject)),
        notes=(RENDERED,),
    )


def matched(views: ViewSet, truth: ViewSet, where: str) -> list[Picture]:
    """Of a system's views those that see what the true views see, in their order, the given one left out.

    The given view of the true set is the system's azimuth 0, or `given_azimuth` (degrees) in its transforms.json. A
    view fits if all corners of the unit box land where the bench's camera puts them: azimuth, elevation, distance,
    field of view and roll are held by one number.

    Raises:
        ViewmaskError: a true view has no counterpart (the nearest one is named), pictures are not square, or
            `given_azimuth` is no number.
    """
    try:
        turn = truth.cameras[0].azimuth - float(views.extra.get("given_azimuth", 0.0))
    except (TypeError, ValueError) as error:
        raise ViewmaskError(f"{where}: given_azimuth is {views.extra['given_azimuth']!r}, not degrees") from error
    shapes = {f"{camera.width} x {camera.height}" for camera in views.cameras if camera.width != camera.height}
    if shapes:
        raise ViewmaskError(f"{where} has pictures of {', '.join(sorted(shapes))}: the bench's are square")
    pictures = []
    for target in truth.cameras[1:]:
        misses = [_miss(camera, target, turn) for camera in views.cameras]
        best = int(np.argmin(misses))
        if misses[best] > TOLERANCE:
            raise ViewmaskError(
                f"{where} has no view from {_words(target, -turn)}; the nearest is from {_words(views.cameras[best])}"
            )
        pictures.append(views.images[best])
    return pictures


def rendered(surface: Surface, truth: ViewSet) -> list[Picture]:
    """A surface seen from every true camera but the given one, unlit, uint8 RGBA."""
    from render.raycast import render

    return render(surface, truth.cameras[1:])


def turned(camera: Camera, degrees: float) -> Camera:
    """A camera moved about the world's +Z, counter-clockwise seen from above."""
    return replace(camera, camera_to_world=about_z(degrees) @ camera.camera_to_world)


def about_z(degrees: float) -> Array:
    """The turn about +Z, [4, 4]."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(4)
    matrix[:2, :2] = [[cosine, -sine], [sine, cosine]]
    return matrix


def _miss(camera: Camera, target: Camera, turn: float) -> float:
    """The farthest that a corner of the unit box lands from its place, as a share of the picture's width."""
    corners = np.array(list(product((-0.5, 0.5), repeat=3)))
    places = []
    for each in (turned(camera, turn), target):
        pixels, depth = each.project(corners)
        if (depth <= 0).any():
            return float("inf")
        places.append(pixels / [each.width, each.height])
    return float(np.linalg.norm(places[0] - places[1], axis=-1).max())


def _words(camera: Camera, turn: float = 0.0) -> str:
    azimuth = round((camera.azimuth + turn) % 360, 1) % 360
    return (
        f"azimuth {azimuth:g}, elevation {round(camera.elevation, 1) + 0:g} at distance {camera.distance:.3g} "
        f"(field of view {camera.field_of_view:.3g})"
    )


def _view_folder(folder: Path, subject: str) -> Path:
    place = folder / subject
    if not (place / TRANSFORMS).is_file():
        raise ViewmaskError(f"no views of {subject} in {folder}: put its pictures and {TRANSFORMS} into {place}")
    return place


def _mesh_file(folder: Path, subject: str) -> Path:
    for stem in (subject, f"{subject}/mesh"):
        for suffix in MESHES:
            if (folder / f"{stem}{suffix}").is_file():
                return folder / f"{stem}{suffix}"
    raise ViewmaskError(f"no mesh of {subject} in {folder}: put it at {folder / subject}.glb (or .obj, .ply ...)")


def _mesh_files(folder: Path, subject: str) -> list[Path]:
    """A mesh with what may belong to it, an OBJ's MTL and textures: ID.* or all of ID/."""
    mesh = _mesh_file(folder, subject)
    beside = mesh.parent.glob("*" if mesh.parent != folder else f"{mesh.stem}.*")
    return sorted(path for path in beside if path.is_file())


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise ViewmaskError(f"no folder {folder}: it should hold another system's output, named by the bench's objects")


def _check_scale(folder: Path, count: int = 5) -> None:
    """Meshes of another scale are a mistake of frames, not of a system: say so before scoring them."""
    from render.surface import Surface

    files = sorted(
        path
        for pattern in ("*", "*/mesh.*")
        for path in folder.glob(pattern)
        if path.is_file() and path.suffix.lower() in MESHES
    )
    if not files:
        raise ViewmaskError(f"no meshes in {folder}: put them at {folder / 'ID'}.glb or {folder / 'ID' / 'mesh.glb'}")
    step = max(len(files) // count, 1)
    sides = []
    for path in files[::step][:count]:
        corners = Surface.load(path, transform=np.eye(4)).vertices
        sides.append(float(np.ptp(corners, axis=0).max()))
    side = float(np.median(sides))
    if not 0.75 < side < 4 / 3:
        raise ViewmaskError(
            f"the meshes in {folder} are {side:.3g} long (median of {len(sides)}), the bench's objects 1, centred on "
            "the origin: scale them first"
        )
