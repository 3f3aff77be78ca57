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
from typing import TYPE_CHECKING, Literal

from viewmask.errors import ViewmaskError
from viewmask.views.camera import SIZE, orbit
from viewmask.views.viewset import ViewSet

if TYPE_CHECKING:
    from eval.metrics.mesh import Mesh
    from render.surface import Surface

BENCHES = ("gso", "3d-future", "objects", "scans", "furniture", "demo")
MODEL_INFO = "model_info.json"  # of 3D-FUTURE

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
        notes: what a reader should know of the data.
    """

    name: str
    title: str
    truth: str
    subjects: list[Subject]
    notes: tuple[str, ...] = ()


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
        name: one of `BENCHES`, or a folder of meshes (or with an `index.jsonl`).
        data: the bench's folder, or the folder that holds it; else `$VIEWMASK_DATA/<name>`, then `data/<name>`.
        subset: of `gso`, see `eval.benches.gso.open_gso`.
        light: how meshes are rendered: `none` (base colour), `uniform` (grey world with ambient occlusion), `studio`.
        split: of `objects`, `scans` and `furniture`.
        limit: only so many objects, spread evenly over the bench.

    Raises:
        ViewmaskError: no such bench, or its data is missing.
    """
    if limit is not None and limit < 1:
        raise ViewmaskError(f"a bench needs at least one object, not {limit}")
    if name == "gso":
        from eval.benches.gso import open_gso

        bench = open_gso(_locate(name, data), subset, light)
    elif name == "3d-future":
        bench = _future(_locate(name, data), light)
    elif name == "demo":
        bench = _demo(light)
    elif name in BENCHES:
        bench = _indexed(name, _locate(name, data), split, light)
    elif Path(name).is_dir():
        bench = _indexed(name, Path(name), None, light)
    else:
        raise ViewmaskError(f"there is no bench {name!r}: choose {', '.join(BENCHES)}, or name a folder of meshes")
    if limit is None or limit >= len(bench.subjects):
        return bench
    chosen = [bench.subjects[i * len(bench.subjects) // limit] for i in range(limit)]
    return replace(bench, title=f"{bench.title}; {limit} of {len(bench.subjects)}, evenly spread", subjects=chosen)


# -- where the data lies --------------------------------------------------------------------------------


def _locate(name: str, data: str | Path | None) -> Path:
    if data is not None:
        places = [Path(data), Path(data) / name]
    else:
        home = os.environ.get("VIEWMASK_DATA")
        places = [Path(home) / name] if home else []
        places.append(Path("data") / name)
    found: Callable[[Path], bool]
    if name == "gso":
        from eval.benches.gso import LAYOUT, is_gso

        layout, found = LAYOUT, is_gso
    elif name == "3d-future":
        layout = (
            f"{MODEL_INFO} and <model_id>/normalized_model.obj with its texture, as 3D-FUTURE-model ships them "
            "(tianchi.aliyun.com/specials/promotion/alibaba-3d-future, free for research)"
        )
        found = _holds(MODEL_INFO)
    else:
        layout = (
            "index.jsonl (a line an object: id, file, zip, split, captions) and its zips of GLB files, gathered from "
            f"the sources that docs/credits/{name}.md lists; any folder of meshes serves as well: --bench FOLDER"
        )
        found = _holds("index.jsonl")
    for place in places:
        if found(place):
            return place
    looked = " and ".join(str(place) for place in places)
    raise ViewmaskError(f"no {name} data in {looked}: put there {layout}; or name its folder with --data")


def _holds(file: str) -> Callable[[Path], bool]:
    return lambda folder: (folder / file).is_file()


# -- the benches ----------------------------------------------------------------------------------------


def _future(folder: Path, light: Light) -> Bench:
    """3D-FUTURE in its release's own layout; the category stands in for a caption."""
    try:
        listed = json.loads((folder / MODEL_INFO).read_text())
        models = {str(record["model_id"]): record for record in listed}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"cannot read {folder / MODEL_INFO} ({error!r}): fetch it again") from error

    def subject(name: str, mesh: Path) -> Subject:
        def surface() -> Surface:
            from render.surface import Surface

            return Surface.load(mesh)

        about = models[name]
        words = about.get("category") or about.get("super-category") or ""
        files = sorted(file for file in mesh.parent.iterdir() if file.is_file())  # the texture and its MTL too
        return Subject(name, digest(*files), lambda n: rendered(surface(), n, light), surface, str(words).lower())

    found = {}
    for name in sorted(models):
        files = (folder / name / file for file in ("normalized_model.obj", "raw_model.obj"))
        mesh = next((file for file in files if file.is_file()), None)
        if mesh is not None:
            found[name] = subject(name, mesh)
    if not found:
        raise ViewmaskError(
            f"{folder} lists {len(models)} models but holds none: put <model_id>/normalized_model.obj there"
        )
    absent = len(models) - len(found)
    notes = (f"{absent} of the {len(models)} models that {MODEL_INFO} lists are not there",) if absent else ()
    return Bench("3d-future", f"3D-FUTURE, {len(found)} models", rendered_words(light), list(found.values()), notes)


def _indexed(name: str, folder: Path, split: str | None, light: Light) -> Bench:
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
            source.id, digest(source.read()), lambda n: rendered(surface(), n, light), surface, str(captions[0])
        )

    title = f"{name}, the {len(sources)} objects of the split {split}" if split else f"{len(sources)} objects of {name}"
    return Bench(name, title, rendered_words(light), [subject(source) for source in sources])


def _demo(light: Light) -> Bench:
    from render.demo import demo_objects

    objects = demo_objects()

    def subject(name: str) -> Subject:
        surface = objects[name].surface()
        sha256 = digest(surface.vertices.tobytes(), surface.faces.tobytes(), surface.colours.tobytes())
        return Subject(name, sha256, lambda n: rendered(surface, n, light), lambda: surface, objects[name].caption)

    title = f"demo, {len(objects)} objects that the package makes itself"
    return Bench("demo", title, rendered_words(light), [subject(name) for name in objects])


def rendered(surface: Surface, n: int, light: Light) -> ViewSet:
    """Our own views of a surface at `n` even azimuths."""
    from render.raycast import render

    cameras = orbit(n, size=SIZE)
    return ViewSet(render(surface, cameras, light=light), cameras)


def rendered_words(light: Light) -> str:
    """What `rendered` gives, in words for the report."""
    return "our own renderings, unlit" if light == "none" else f"our own renderings, {light} light"


def digest(*parts: Path | bytes) -> str:
    """sha256 over files or bytes, in order.

    Raises:
        ViewmaskError: a file is missing or unreadable.
    """
    total = hashlib.sha256()
    for part in parts:
        try:
            total.update(part if isinstance(part, bytes) else part.read_bytes())
        except OSError as error:
            raise ViewmaskError(f"cannot read {part!s}: {error.strerror or error}") from error
    return total.hexdigest()
