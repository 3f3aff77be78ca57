"""The GSO bench: which Google Scanned Objects, in which frame, with which true views.

The package carries the manifest (`gso.json`: identifiers, transforms, yaws, view files with their azimuths and hashes),
so that the folder laid out for this project and Google's own download give the same objects in the same frame.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.benches.bench import Bench, Subject, digest, drawn, photographed, rendered_words
from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted
from viewmask.views.camera import Camera
from viewmask.views.viewset import ViewSet, read_picture

if TYPE_CHECKING:
    from render.settings import Light
    from render.surface import Surface

MANIFEST = Path(__file__).with_name("gso.json")
SETS = ("gso30", "others", "meshes", "vivid100", "all")
MODEL = Path("meshes") / "model.obj"  # of an object as Google ships it
TEXTURE = Path("materials") / "textures"

LAYOUT = (
    "<object>/mesh.glb and <object>/views/000.png ... (GSO-30's views and meshes are in byeongjun-park/HarmonyView on "
    "GitHub, folder gso-eval), or Google's own download, <GSO name>/meshes/model.obj ... (Google Scanned Objects, "
    "CC-BY 4.0, app.gazebosim.org/GoogleResearch)"
)


@cache
def manifest() -> dict[str, Any]:
    """The bench's manifest: `cameras`, `objects` by name, `vivid100`."""
    content: dict[str, Any] = json.loads(MANIFEST.read_text())
    return content


def holds(folder: Path) -> bool:
    """Whether a folder holds objects of the bench, in either layout."""
    if not folder.is_dir():
        return False
    if any(
        (folder / name / "views").is_dir() or (folder / name / "mesh.glb").is_file() for name in manifest()["objects"]
    ):
        return True
    return any((place / MODEL).is_file() for place in folder.iterdir() if place.is_dir())


def open_gso(folder: Path, subset: str, light: Light) -> Bench:
    """Open the bench over a folder in either layout.

    Args:
        subset: `gso30` (SyncDreamer's 30: its true views where the folder has them, else renderings of the meshes),
            `others` (20 further ones), `meshes` (all 48 that have a mesh), `vivid100` (ViVid's list) or `all` (whatever
            the folder holds); the last two need Google's layout and are seen from the scan's own front.

    Raises:
        ViewmaskError: no such set, or objects of it are missing.
    """
    objects = manifest()["objects"]
    if subset not in SETS:
        raise ViewmaskError(f"gso has the sets {', '.join(SETS)}, not {subset!r}")
    if subset in ("vivid100", "all"):
        names = manifest()["vivid100"] if subset == "vivid100" else _downloaded(folder)
        subjects = [_front_on(folder, name, light) for name in names]
        title = (
            "ViVid-1-to-3's 100 Google Scanned Objects" if subset == "vivid100" else f"{len(names)} objects of {folder}"
        )
        return Bench("gso", title, rendered_words(light), _all_there(subjects, folder))
    titles = {
        "gso30": "GSO-30, the 30 objects of SyncDreamer",
        "others": "20 further Google Scanned Objects",
        "meshes": "48 meshes of Google Scanned Objects",
    }
    names = {
        "gso30": [name for name, about in objects.items() if about["gso30"]],
        "others": [name for name, about in objects.items() if not about["gso30"]],
        "meshes": [name for name, about in objects.items() if about["mesh_to_world"]],
    }[subset]
    seen = subset == "gso30" and any((folder / name / "views").is_dir() for name in names)
    if subset == "gso30" and not seen:  # two of the thirty have no known frame: only their views are
        names = [name for name in names if objects[name]["mesh_to_world"]]
        titles["gso30"] += f" ({len(names)} whose frame is known: there are no true views in {folder})"
    subjects = [_seen(folder, name) if seen else _in_frame(folder, name, light) for name in names]
    truth = "SyncDreamer's own views" if seen else rendered_words(light)
    changes = differing_files(folder)
    notes = (f"{len(changes)} files differ from those of the bench: {', '.join(changes[:3])}",) if changes else ()
    return Bench("gso", titles[subset], truth, _all_there(subjects, folder), notes)


def _all_there(subjects: list[Subject | str], folder: Path) -> list[Subject]:
    """The objects, where a name stands for one that is missing.

    Raises:
        ViewmaskError: there is none, or one is missing.
    """
    missing = [one for one in subjects if isinstance(one, str)]
    if not subjects:
        raise ViewmaskError(f"{folder} holds no object in Google's own layout, <GSO name>/{MODEL}")
    if missing:
        some = ", ".join(missing[:3]) + (" ..." if len(missing) > 3 else "")
        raise ViewmaskError(
            f"the bench lacks {counted(len(missing), 'object')} in {folder} ({some}): put there {LAYOUT}"
        )
    return [one for one in subjects if isinstance(one, Subject)]


def _downloaded(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.iterdir() if (place / MODEL).is_file())


# -- one object -------------------------------------------------------------------------------------------


def _seen(folder: Path, name: str) -> Subject | str:
    """An object with its true views."""
    about = manifest()["objects"][name]
    files = [folder / name / file for file, _ in about["views"]]
    if not all(file.is_file() for file in files):
        return name
    mesh = _mesh_file(folder, name)
    surface = _surface(mesh, about["mesh_to_world"]) if mesh and about["mesh_to_world"] else None
    return Subject(
        name,
        digest(*files, *(_files(mesh) if mesh else [])),
        lambda n: _true_views(folder / name, about["views"], n),
        surface,
        photo=(lambda: photographed(name, surface(), "uniform")) if surface else None,  # the true views' light
    )


def _in_frame(folder: Path, name: str, light: Light) -> Subject | str:
    """An object rendered in the frame of the manifest."""
    mesh = _mesh_file(folder, name)
    if mesh is None:
        return name
    surface = _surface(mesh, manifest()["objects"][name]["mesh_to_world"])
    return drawn(name, digest(*_files(mesh)), surface, light)


def _front_on(folder: Path, name: str, light: Light) -> Subject | str:
    """An object rendered from its scan's own front, which faces -Y."""
    mesh = folder / name / MODEL
    if not mesh.is_file():
        return name

    def surface() -> Surface:
        turn = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
        return _load(mesh, turn).normalised(str(mesh))

    return drawn(name, digest(*_files(mesh)), surface, light)


def _mesh_file(folder: Path, name: str) -> Path | None:
    """The mesh in this project's layout or in Google's."""
    places = (folder / name / "mesh.glb", folder / manifest()["objects"][name]["gso_id"] / MODEL)
    return next((place for place in places if place.is_file()), None)


def _files(mesh: Path) -> list[Path]:
    """All that a mesh is made of: a GLB alone, an OBJ with its MTL and textures."""
    if mesh.suffix != ".obj":
        return [mesh]
    places = (mesh.parent, mesh.parent.parent / TEXTURE)
    return sorted(file for place in places if place.is_dir() for file in place.iterdir() if file.is_file())


def _surface(mesh: Path, mesh_to_world: list[list[float]]) -> Any:
    matrix = np.array(mesh_to_world)

    def surface() -> Surface:
        scan = _load(mesh, matrix)
        # In the world's units and axes, before the turn about +Z, a scan's own box has longest side 1.
        scale = np.linalg.det(matrix[:3, :3]) ** (1 / 3)
        sides = np.ptp(scan.vertices.astype(np.float64) @ matrix[:3, :3] / scale, axis=0)
        if abs(sides.max() - 1) > 0.01:
            raise ViewmaskError(
                f"{mesh} is not the scan that the bench means: in the world it measures {sides.max():.2f}"
            )
        return scan

    return surface


def _load(mesh: Path, transform: Any) -> Surface:
    from render.surface import Surface

    if mesh.suffix != ".obj":
        return Surface.load(mesh, transform=transform)
    import trimesh

    try:
        scene = trimesh.load_scene(mesh, resolver=_resolver(mesh.parent), process=False)
    except Exception as error:  # trimesh raises whatever its parsers raise
        raise ViewmaskError(f"cannot read {mesh} ({error}): fetch it again") from error
    return Surface.of_scene(scene, transform=transform, name=str(mesh))


def _resolver(folder: Path) -> Any:
    """Files that an OBJ names: the MTL asks for the texture beside it, Google ships it two folders away."""
    from trimesh.resolvers import FilePathResolver

    class Shipped(FilePathResolver):
        def get(self, name: str) -> bytes:
            beside = folder / Path(name).name
            return (beside if beside.is_file() else folder.parent / TEXTURE / Path(name).name).read_bytes()

    return Shipped(str(folder))


def _true_views(folder: Path, views: list[tuple[str, float]], n: int) -> ViewSet:
    """The `n` views at azimuths 360 i / n."""
    intrinsics = manifest()["cameras"]
    by_azimuth = {round(float(azimuth), 3): folder / file for file, azimuth in views}
    images, cameras = [], []
    for i in range(n):
        azimuth = round(360.0 * i / n, 3)
        if azimuth not in by_azimuth:
            raise ViewmaskError(
                f"there is no true view at azimuth {azimuth:g}: ask for 1, 2, 4, 8 or 16 views, or for renderings: "
                "--set meshes"
            )
        images.append(read_picture(by_azimuth[azimuth]))
        camera = Camera.on_sphere(azimuth, float(intrinsics["elevation"]), float(intrinsics["distance"]))
        focal = float(intrinsics["focal_px"])
        cameras.append(replace(camera, fl_x=focal, fl_y=focal, cx=float(intrinsics["cx"]), cy=float(intrinsics["cy"])))
    return ViewSet(images, cameras)


def differing_files(folder: Path) -> list[str]:
    """Files of this project's layout whose content is not the one that the manifest pins."""
    different = []
    for name, about in manifest()["objects"].items():
        for file, expected in about["sha256"].items():
            path = folder / name / file
            if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
                different.append(f"{name}/{file}")
    return different
