"""What there is to measure on: objects with their true views and, where known, their true mesh.

True views are scored against true views and renderings against renderings: a bench says which it holds.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from viewmask.camera import SIZE, Camera, orbit
from viewmask.errors import ViewmaskError
from viewmask.viewset import ViewSet, read_picture

if TYPE_CHECKING:
    from eval.mesh_metrics import Mesh
    from render.surface import Surface

BENCHES = ("gso", "objects", "scans", "furniture", "demo")
SETS = ("gso30", "others", "meshes")

Light = Literal["none", "uniform", "studio"]


@dataclass(frozen=True)
class Subject:
    """One object of a bench.

    Attributes:
        id: its name.
        sha256: of the files that it is made of.
        views: the true view set at `n` even azimuths from 0, elevation 30, 256 x 256.
        mesh: the true mesh in the world, or None where there is none.
        caption: what it is, if known.
    """

    id: str
    sha256: str
    views: Callable[[int], ViewSet]
    mesh: Callable[[], Mesh] | None
    caption: str = ""


@dataclass(frozen=True)
class Bench:
    """Objects to measure on.

    Attributes:
        name: `gso`, `scans` ...
        title: which objects these are.
        truth: whether the true views are an outside renderer's or ours, in words for the report.
        subjects: the objects.
    """

    name: str
    title: str
    truth: str
    subjects: list[Subject]


def open_bench(
    name: str = "gso",
    data: str | Path | None = None,
    subset: str = "gso30",
    light: Light = "none",
    split: str = "val",
    limit: int | None = None,
) -> Bench:
    """Open a bench.

    Args:
        name: one of `BENCHES`.
        data: the bench's folder, or the folder that holds it; else `$VIEWMASK_DATA/<name>`, then `data/<name>`.
        subset: of `gso`: `gso30` (30 objects, SyncDreamer's true views), `others` (20 further meshes, rendered),
            `meshes` (all 48 meshes, rendered).
        light: how meshes are rendered: `none` (base colour), `uniform` (grey world with ambient occlusion), `studio`.
        split: of `objects`, `scans` and `furniture`.
        limit: only so many objects, spread evenly over the bench.

    Raises:
        ViewmaskError: no such bench, or its data is missing.
    """
    if limit is not None and limit < 1:
        raise ViewmaskError(f"a bench needs at least one object, not {limit}")
    if name == "gso":
        bench = _gso(_locate(name, data), subset, light)
    elif name == "demo":
        bench = _demo(light)
    elif name in BENCHES:
        bench = _indexed(name, _locate(name, data), split, light)
    else:
        raise ViewmaskError(f"there is no bench {name!r}: choose {', '.join(BENCHES)}")
    if limit is None or limit >= len(bench.subjects):
        return bench
    chosen = [bench.subjects[i * len(bench.subjects) // limit] for i in range(limit)]
    return replace(bench, title=f"{bench.title}; {limit} of {len(bench.subjects)}, evenly spread", subjects=chosen)


# -- where the data lies --------------------------------------------------------------------------------

_LAYOUT = {
    "gso": (
        "cameras.json",
        "cameras.json with <object>/mesh.glb and <object>/views/000.png ... beside it (Google Scanned Objects, "
        "CC-BY 4.0; GSO-30's views and meshes are in byeongjun-park/HarmonyView on GitHub, folder gso-eval)",
    ),
    "index": ("index.jsonl", "index.jsonl (id, file, zip, split, captions) with its zips of GLB files beside it"),
}


def _locate(name: str, data: str | Path | None) -> Path:
    marker, layout = _LAYOUT.get(name, _LAYOUT["index"])
    if data is not None:
        places = [Path(data), Path(data) / name]
    else:
        home = os.environ.get("VIEWMASK_DATA")
        places = [Path(home) / name] if home else []
        places.append(Path("data") / name)
    for place in places:
        if (place / marker).is_file():
            return place
    looked = " and ".join(str(place) for place in places)
    raise ViewmaskError(f"no {name} data in {looked}: put there {layout}; or name its folder with --data")


# -- the benches ----------------------------------------------------------------------------------------


def _gso(folder: Path, subset: str, light: Light) -> Bench:
    try:
        record = json.loads((folder / "cameras.json").read_text())
        intrinsics, objects = record["cameras"], record["objects"]
        chosen = {
            "gso30": [name for name, about in objects.items() if about["in_gso30"]],
            "others": [name for name, about in objects.items() if not about["in_gso30"]],
            "meshes": [name for name, about in objects.items() if about["mesh"]],
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"cannot read {folder / 'cameras.json'} ({error!r}): fetch the folder again") from error
    if subset not in chosen:
        raise ViewmaskError(f"gso has the sets {', '.join(SETS)}, not {subset!r}")
    titles = {
        "gso30": "GSO-30, the 30 objects of SyncDreamer",
        "others": "20 further Google Scanned Objects",
        "meshes": "48 meshes of Google Scanned Objects",
    }

    def subject(name: str) -> Subject:
        about = objects[name]
        mesh = folder / about["mesh"] if about["mesh"] else None

        def surface() -> Surface:
            from render.surface import Surface

            assert mesh is not None
            return Surface.load(mesh, transform=np.array(about["mesh_to_world"]))

        if subset == "gso30":
            files = [folder / view["file"] for view in about["views"]]
            digest = _digest(*files, *([mesh] if mesh else []))
            return Subject(
                name, digest, lambda n: _true_views(folder, about["views"], intrinsics, n), surface if mesh else None
            )
        return Subject(name, _digest(*([mesh] if mesh else [])), lambda n: _rendered(surface(), n, light), surface)

    truth = "SyncDreamer's own views" if subset == "gso30" else _rendered_words(light)
    return Bench("gso", titles[subset], truth, [subject(name) for name in chosen[subset]])


def _indexed(name: str, folder: Path, split: str, light: Light) -> Bench:
    from render.source import Source, find

    sources = find(folder, split=split)
    if not sources:
        raise ViewmaskError(f"{folder} holds no object of the split {split!r}")

    def subject(source: Source) -> Subject:
        def surface() -> Surface:
            from render.surface import Surface

            content = source.read()
            return Surface.load(content, file_type=source.file_type)

        captions = source.about.get("captions") or [""]
        return Subject(
            source.id, _digest(source.read()), lambda n: _rendered(surface(), n, light), surface, str(captions[0])
        )

    title = f"{name}, the {len(sources)} objects of the split {split}"
    return Bench(name, title, _rendered_words(light), [subject(source) for source in sources])


def _demo(light: Light) -> Bench:
    from render.demo import demo_objects

    objects = demo_objects()

    def subject(name: str) -> Subject:
        surface = objects[name].surface()
        digest = _digest(surface.vertices.tobytes(), surface.faces.tobytes(), surface.colours.tobytes())
        return Subject(name, digest, lambda n: _rendered(surface, n, light), lambda: surface, objects[name].caption)

    title = f"demo, {len(objects)} objects that the package makes itself"
    return Bench("demo", title, _rendered_words(light), [subject(name) for name in objects])


def _true_views(folder: Path, listed: list[dict[str, Any]], intrinsics: dict[str, Any], n: int) -> ViewSet:
    """The `n` views at azimuths 360 i / n."""
    by_azimuth = {round(float(view["azimuth"]), 3): folder / view["file"] for view in listed}
    images, cameras = [], []
    for i in range(n):
        azimuth = round(360.0 * i / n, 3)
        if azimuth not in by_azimuth:
            raise ViewmaskError(f"there is no true view at azimuth {azimuth:g}: ask for 1, 2, 4, 8 or 16 views")
        images.append(read_picture(by_azimuth[azimuth]))
        camera = Camera.on_sphere(azimuth, float(intrinsics["elevation"]), float(intrinsics["distance"]))
        focal = float(intrinsics["focal_px"])
        cameras.append(replace(camera, fl_x=focal, fl_y=focal, cx=float(intrinsics["cx"]), cy=float(intrinsics["cy"])))
    return ViewSet(images, cameras)


def _rendered(surface: Surface, n: int, light: Light) -> ViewSet:
    from render.raycast import render

    cameras = orbit(n, size=SIZE)
    return ViewSet(render(surface, cameras, light=light), cameras)


def _rendered_words(light: Light) -> str:
    return "our own renderings, unlit" if light == "none" else f"our own renderings, {light} light"


def _digest(*parts: Path | bytes) -> str:
    """sha256 over files or bytes, in order.

    Raises:
        ViewmaskError: a file is missing or unreadable.
    """
    digest = hashlib.sha256()
    for part in parts:
        try:
            digest.update(part if isinstance(part, bytes) else part.read_bytes())
        except OSError as error:
            raise ViewmaskError(f"cannot read {part!s}: {error.strerror or error}") from error
    return digest.hexdigest()
