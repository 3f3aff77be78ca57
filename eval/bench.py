"""Measuring a method on a bench: every object scored by itself, then the mean over objects."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval import image_metrics, mesh_metrics
from eval.benches import Bench, Light, Subject, open_bench
from eval.methods import TRIVIAL, Method, Sampling, open_method
from viewmask import atomic
from viewmask.errors import ViewmaskError
from viewmask.viewset import ViewSet, resize

if TYPE_CHECKING:
    from viewmask.lpips import Lpips

METRICS = (*image_metrics.NAMES, *mesh_metrics.NAMES)
PACKAGES = ("viewmask-1-to-3", "numpy", "scikit-image", "scipy", "torch", "trimesh", "pillow")

Means = dict[str, float | None]


@dataclass
class Result:
    """What a method scored on a bench.

    Attributes:
        method: its name.
        means: `psnr`, `foreground_psnr`, `ssim`, `silhouette_iou`, `lpips`, `chamfer`, `iou`: means over the objects
            that have the figure, None where none has.
        counts: how many objects have each figure.
        beside: the means of the trivial methods on the same objects (no meshes).
        records: a record an object: `id`, `sha256`, the figures, `beside`, `seconds`, and `mesh_error` where no mesh
            could be made.
        protocol: how it was measured: bench, objects, views, definitions, method, versions, in words and numbers.
        notes: what a reader should know, such as how to get a missing column.
    """

    method: str
    means: Means
    counts: dict[str, int]
    beside: dict[str, Means]
    records: list[dict[str, Any]]
    protocol: dict[str, Any]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The means under their names, then everything else."""
        rest = {key: value for key, value in asdict(self).items() if key not in ("means", "records")}
        return self.means | rest | {"objects": self.records}

    def save(self, path: str | Path) -> Path:
        """Write `to_json` to a file, atomically."""
        return atomic.write(path, json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n")


def run(
    bench: str | Bench = "gso",
    method: str | Method = "viewmask",
    *,
    data: str | Path | None = None,
    subset: str = "gso30",
    views: int = 4,
    light: Light = "none",
    split: str = "val",
    limit: int | None = None,
    meshes: bool = True,
    beside: Sequence[str] = TRIVIAL,
    sampling: Sampling | None = None,
    seed: int = 0,
    records: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Score a method: view 0 is given, the other views of the orbit are scored, each figure a mean over views,
    then over objects.

    Args:
        bench: a bench, or a name with `data`, `subset`, `light`, `split` and `limit` as in `open_bench`.
        method: a method, or one of `METHODS`, with `sampling` for the model.
        views: of the orbit, the given one included; 4 scores azimuths 90, 180, 270.
        meshes: also reconstruct a mesh from the given view and the method's, where the true mesh is known.
        beside: methods scored on the same views for comparison.
        seed: of the sampler and of the points of the Chamfer distance.
        records: a JSON Lines file to append to as objects are done; what it holds already is not done again.
        progress: called with (objects done, of).

    Raises:
        ViewmaskError: unknown names, missing data or weights, fewer than two views.
    """
    if views < 2:
        raise ViewmaskError(f"a bench scores the views beside the given one: ask for at least 2, not {views}")
    if isinstance(bench, str):
        bench = open_bench(bench, data, subset, light, split, limit)
    if isinstance(method, str):
        method = open_method(method, sampling, seed)
    others = [open_method(name) for name in beside if name != method.name]
    lpips, notes = _lpips()
    settings = {
        "bench": bench.name, "truth": bench.truth, "views": views, "method": method.name, "about": method.about,
        "beside": [other.name for other in others], "meshes": meshes, "seed": seed, "lpips": lpips is not None,
        "definitions": _definitions(), "versions": _versions(),
    }  # fmt: skip

    done = []
    with ExitStack() as stack:
        manifest = None
        if records is not None:
            from render.manifest import Manifest

            manifest = stack.enter_context(Manifest(Path(records)))
        for index, subject in enumerate(bench.subjects):
            key = hashlib.sha256(json.dumps([settings, subject.sha256], sort_keys=True).encode()).hexdigest()
            record = manifest.records.get(subject.id) if manifest else None
            if not record or record.get("key") != key:
                record = {"id": subject.id, "key": key} | _score(subject, method, others, views, meshes, seed, lpips)
                if manifest:
                    manifest.append(record)
            done.append(record)
            if progress:
                progress(index + 1, len(bench.subjects))

    failed = [record["id"] for record in done if "mesh_error" in record]
    if failed:
        notes.append(f"no mesh from the views of {len(failed)} objects: {', '.join(failed)}")
    means, counts = _means(done)
    return Result(
        method=method.name,
        means=means,
        counts=counts,
        beside={other.name: _means([record["beside"][other.name] for record in done])[0] for other in others},
        records=done,
        protocol=_protocol(bench, method, views, seed),
        notes=notes,
    )


def _score(
    subject: Subject,
    method: Method,
    others: list[Method],
    views: int,
    meshes: bool,
    seed: int,
    lpips: Lpips | None,
) -> dict[str, Any]:
    """The record of one object."""
    start = time.monotonic()
    truth = subject.views(views)
    scored = truth.images[1:]
    made = [resize(image, scored[0].shape[0]) for image in method.views(subject.id, truth)]
    seconds = time.monotonic() - start
    record: dict[str, Any] = {"sha256": subject.sha256}
    record |= image_metrics.score(scored, made, lpips)
    record |= dict.fromkeys(mesh_metrics.NAMES)
    if meshes and subject.mesh is not None:
        from recon import reconstruct

        try:
            # Only the shape is measured: the texture may be tiny.
            mesh = reconstruct(ViewSet([truth.images[0], *made], truth.cameras), texture=16)
            record |= mesh_metrics.score(subject.mesh(), mesh, seed)
        except ViewmaskError as error:
            record["mesh_error"] = str(error)
    record["beside"] = {
        other.name: image_metrics.score(scored, other.views(subject.id, truth), lpips) for other in others
    }
    return record | {"seconds": round(seconds, 3)}


def _means(records: list[dict[str, Any]]) -> tuple[Means, dict[str, int]]:
    figures = {name: [record[name] for record in records if record.get(name) is not None] for name in METRICS}
    means = {name: sum(values) / len(values) if values else None for name, values in figures.items()}
    return means, {name: len(values) for name, values in figures.items()}


def _lpips() -> tuple[Lpips | None, list[str]]:
    from viewmask.lpips import Lpips

    try:
        return Lpips.load("alex"), []
    except ViewmaskError as error:
        return None, [f"no LPIPS: {error}"]


def _protocol(bench: Bench, method: Method, views: int, seed: int) -> dict[str, Any]:
    azimuths = [round(360 * i / views, 3) for i in range(views)]
    return {
        "name": "viewmask",
        "bench": bench.name,
        "objects": bench.title,
        "truth": bench.truth,
        "given_azimuth": 0,
        "scored_azimuths": azimuths[1:],
        "elevation": 30,
        "size": 256,
        "background": "white",
        "means": "over the views of an object, then over objects",
        "definitions": _definitions(),
        "method": {"name": method.name} | method.about,
        "seed": seed,
        "object_hashes": {subject.id: subject.sha256 for subject in bench.subjects},
        "versions": _versions(),
    }


def _definitions() -> dict[str, str]:
    return {"images": image_metrics.DEFINITION, "meshes": mesh_metrics.DEFINITION}


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
