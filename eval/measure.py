"""Measuring a method on a bench: every object scored by itself, then the mean over objects."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.benches.bench import Bench, Light, Subject, open_bench
from eval.methods.method import TRIVIAL, Method, Sampling, open_method
from eval.metrics import image as image_metrics
from eval.metrics import mesh as mesh_metrics
from eval.protocols import Protocol, open_protocol
from eval.report.artefacts import TEXTURE, Artefacts
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.camera import DISTANCE, ELEVATION, FIELD_OF_VIEW
from viewmask.views.viewset import Picture, ViewSet, resize

if TYPE_CHECKING:
    from viewmask.learning.lpips import Lpips

METRICS = (*image_metrics.NAMES, *mesh_metrics.NAMES)
# What figures are computed with: views, meshes made of them, renderings of true meshes, metrics.
PACKAGES = (
    "viewmask-1-to-3", "numpy", "scikit-image", "scipy", "torch", "torchmetrics", "trimesh", "libigl", "embreex",
    "fast-simplification", "manifold3d", "pillow",
)  # fmt: skip

Means = dict[str, float | None]
Record = tuple[dict[str, Any], bool]


@dataclass
class Result:
    """What a method scored on a bench.

    Attributes:
        method: its name.
        means: of `METRICS` (`psnr` ... `lpips`, `chamfer` ... `normals`), over the objects that have the figure, None
            where none has.
        counts: how many objects have each figure.
        beside: the means of the trivial methods on the same objects (no meshes).
        records: a record an object: `id`, `sha256`, the figures, `beside`, `seconds` (of making the views), and
            `mesh_error` where no mesh could be made.
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
    protocol: str = "viewmask",
    views: int | None = None,
    light: Light = "none",
    split: str = "val",
    limit: int | None = None,
    meshes: bool = True,
    beside: Sequence[str] = TRIVIAL,
    sampling: Sampling | None = None,
    seed: int = 0,
    records: str | Path | None = None,
    out: str | Path | None = None,
    workers: int | None = None,
    lpips_weights: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Score a method: view 0 is given, the other views of the orbit are scored, each figure a mean over views,
    then over objects.

    Args:
        bench: a bench, or a name with `data`, `subset`, `light`, `split` and `limit` as in `open_bench`.
        method: a method, or one of `METHODS`, with `sampling` for the model.
        protocol: the ruler, one of `eval.protocols.PROTOCOLS`.
        views: of the orbit, the given one included; 4 scores azimuths 90, 180, 270. The protocol's own unless given.
        meshes: also reconstruct a mesh from the given view and the method's, where the true mesh is known.
        beside: methods scored on the same views for comparison.
        seed: of the sampler and of the points of the Chamfer distance.
        records: a JSON Lines file to append to as objects are done; what it holds already is not done again.
        out: a folder for `results.json`, `records.jsonl` (unless `records` says otherwise) and every object's views
            and meshes (`eval.report.artefacts`), which a report shows.
        lpips_weights: see `viewmask.learning.lpips.Lpips.load`.
        workers: objects scored at a time, in threads (numpy, scipy and torch let go of the interpreter), each on one
            core so that figures do not depend on how many there are. One a core unless given, one in all with a GPU.
        progress: called with (objects done, of).

    Raises:
        ViewmaskError: unknown names, missing data or weights, fewer than two views.
    """
    ruler = open_protocol(protocol)
    views = ruler.views if views is None else views
    if views < 2:
        raise ViewmaskError(f"a bench scores the views beside the given one: ask for at least 2, not {views}")
    # What `repeat` asks for again; a bench or a method that a program made itself cannot be asked for by name.
    named = isinstance(bench, str) and isinstance(method, str)
    asked = {
        "bench": bench, "method": method, "subset": subset, "protocol": protocol, "views": views, "light": light,
        "split": split, "limit": limit, "meshes": meshes, "beside": list(beside), "seed": seed,
        "sampling": {key: value if value is None else str(value) if key == "weights" else value
                     for key, value in asdict(sampling or Sampling()).items()},
    }  # fmt: skip
    if isinstance(bench, str):
        bench = open_bench(bench, data, subset, light, split, limit)
    if isinstance(method, str):
        method = open_method(method, sampling, seed)
    others = [open_method(name) for name in beside if name != method.name]
    lpips, missing = _lpips(ruler.lpips, lpips_weights)
    notes = [*bench.notes, *method.notes, *missing]
    settings = {
        "bench": bench.name, "truth": bench.truth, "views": views, "method": method.name, "about": method.about,
        "meshes": meshes, "seed": seed, "lpips": lpips.fingerprint if lpips else None, "protocol": ruler.name,
        "reconstructor": _reconstructor() if meshes else None,
        "definitions": ruler.definition, "versions": _versions(),
        # Rows that depend on nothing else, the trivial ones, join a record when they are first asked for.
        "beside": {other.name: other.about for other in others if other.about},
    }  # fmt: skip

    artefacts = Artefacts(Path(out), method.name) if out is not None else None
    if out is not None and records is None:
        records = Path(out) / "records.jsonl"

    done = []
    with ExitStack() as stack:
        manifest = None
        if records is not None:
            from viewmask.files.manifest import Manifest

            manifest = stack.enter_context(Manifest(Path(records)))

        def record_of(subject: Subject) -> Record:
            """The record of an object, and whether it was made anew."""
            truth = subject.views(views) if method.content else None
            content = method.content(subject.id, truth) if method.content and truth else ""
            pinned = [settings, subject.sha256, content]
            key = hashlib.sha256(json.dumps(pinned, sort_keys=True).encode()).hexdigest()
            record = manifest.records.get(subject.id, {}) if manifest else {}
            new = record.get("key") != key or (artefacts is not None and not artefacts.holds(subject.id, key))
            if new:
                truth = truth or subject.views(views)
                keep = partial(artefacts.keep, subject.id, key) if artefacts else None
                figures = _score(subject, truth, method, ruler, meshes, seed, lpips, keep)
                record = {"id": subject.id, "key": key} | figures | {"beside": {}}
            absent = [other for other in others if other.name not in record["beside"]]
            if absent:
                truth = truth or subject.views(views)
                rows = {o.name: ruler.images(truth.images[1:], _views(o, subject, truth), lpips) for o in absent}
                record = record | {"beside": record["beside"] | rows}
            return record, new or bool(absent)

        cores = stack.enter_context(_one_core_each())
        for record, new in _in_threads(record_of, bench.subjects, workers or cores):
            if new and manifest:
                manifest.append(record)
            done.append(record)
            if progress:
                progress(len(done), len(bench.subjects))
    order = {subject.id: index for index, subject in enumerate(bench.subjects)}
    done.sort(key=lambda record: order[record["id"]])

    failed = [record["id"] for record in done if "mesh_error" in record]
    if failed:
        notes.append(f"no mesh from the views of {len(failed)} objects: {', '.join(failed)}")
    if ruler.given and not any(record["given"] for record in done):
        notes.append(f"the given view is not scored: {method.name} hands it back as it is")
    means, counts = _means(done)
    pinned = _protocol(bench, method, ruler, lpips, views, seed, given=any(record["given"] for record in done))
    result = Result(
        method=method.name,
        means=means,
        counts=counts,
        beside={other.name: _means([record["beside"][other.name] for record in done])[0] for other in others},
        records=done,
        protocol=pinned | ({"asked": asked} if named else {}),
        notes=notes,
    )
    if out is not None:
        result.save(Path(out) / "results.json")
    return result


def repeat(
    path: str | Path,
    data: str | Path | None = None,
    workers: int | None = None,
    lpips_weights: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Result, list[str]]:
    """Measure again what a saved result measured, and say what came out otherwise.

    Args:
        path: the JSON of `Result.save`: its protocol pins the objects, their hashes, the cameras, the definitions, the
            method's weights and the seed.
        data, workers, lpips_weights: as in `run`.

    Returns:
        the new result, and a line for each thing that differs: pinned facts first, then figures.

    Raises:
        ViewmaskError: the file is no result, or one of a bench or method that has no name.
    """
    try:
        saved = json.loads(Path(path).read_text())
        protocol, asked = saved["protocol"], dict(saved["protocol"]["asked"])
        sampling = Sampling(**asked.pop("sampling"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(
            f"{path} is not a result of `viewmask eval --json` that can be repeated ({error!r})"
        ) from error
    if sampling.weights is not None:
        sampling = replace(sampling, weights=Path(sampling.weights))
    result = run(**asked, sampling=sampling, data=data, workers=workers, lpips_weights=lpips_weights, progress=progress)
    now = json.loads(json.dumps(result.to_json()))
    different = [
        f"{key}: {json.dumps(protocol.get(key))} then, {json.dumps(value)} now"
        for key, value in now["protocol"].items()
        if value != protocol.get(key) and key != "object_hashes"
    ]
    hashes = protocol.get("object_hashes", {})
    different += [
        f"{name} is another object" for name, new in result.protocol["object_hashes"].items() if hashes.get(name) != new
    ]
    for name in METRICS:
        then, again = saved.get(name), result.means[name]
        if then != again:
            different.append(f"{name}: {then} then, {again} now")
    return result, different


@contextmanager
def _one_core_each() -> Iterator[int]:
    """Torch on one thread, for sums come out otherwise on several; gives how many objects to score at a time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield 1 if torch.cuda.is_available() else threads
    finally:
        torch.set_num_threads(threads)


def _in_threads(work: Callable[[Subject], Record], items: Sequence[Subject], workers: int) -> Iterator[Record]:
    """The results of `work`, as they are done."""
    if workers <= 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(work, item) for item in items]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _score(
    subject: Subject,
    truth: ViewSet,
    method: Method,
    ruler: Protocol,
    meshes: bool,
    seed: int,
    lpips: Lpips | None,
    keep: Callable[..., None] | None,
) -> dict[str, Any]:
    """The figures of one object; `keep` is given its views and meshes."""
    start = time.monotonic()
    record: dict[str, Any] = {"sha256": subject.sha256, "given": False, "seconds": None} | dict.fromkeys(METRICS)
    completed = ViewSet(truth.images[:1], truth.cameras[:1])  # the given view, and what the method adds to it
    if method.has_views:
        made = _views(method, subject, truth)
        record["seconds"] = round(time.monotonic() - start, 3)
        added = made if len(made) < len(truth) else made[1:]
        record["given"] = given = ruler.given and len(made) == len(truth)
        record |= ruler.images(truth.images if given else truth.images[1:], made if given else added, lpips)
        completed = ViewSet([truth.images[0], *added], truth.cameras)
    mesh = true_mesh = None
    if meshes and ruler.meshes is not None and subject.mesh is not None and (method.has_views or method.mesh):
        from recon.reconstructor import reconstruct

        true_mesh = subject.mesh()
        try:
            # Only the shape is measured: a texture that nobody looks at may be tiny.
            texture = TEXTURE if keep else 16
            mesh = method.mesh(subject.id, truth) if method.mesh else reconstruct(completed, texture=texture)
            record |= ruler.meshes(true_mesh, mesh, seed)
        except ViewmaskError as error:
            record["mesh_error"] = str(error)
    if keep:
        keep(truth, completed, true_mesh, mesh)
    return record


def _views(method: Method, subject: Subject, truth: ViewSet) -> list[Picture]:
    return [resize(image, truth.images[0].shape[0]) for image in method.views(subject.id, truth)]


def _means(records: list[dict[str, Any]]) -> tuple[Means, dict[str, int]]:
    figures = {name: [record[name] for record in records if record.get(name) is not None] for name in METRICS}
    means = {name: sum(values) / len(values) if values else None for name, values in figures.items()}
    return means, {name: len(values) for name, values in figures.items()}


@cache
def _lpips(net: str, weights: str | Path | None) -> tuple[Lpips | None, list[str]]:
    from viewmask.learning.lpips import Lpips

    try:
        return Lpips.load(net, weights), []
    except ViewmaskError as error:
        if weights is not None:
            raise  # asked for by name
        return None, [f"no LPIPS: {error}"]


def _protocol(
    bench: Bench, method: Method, ruler: Protocol, lpips: Lpips | None, views: int, seed: int, given: bool
) -> dict[str, Any]:
    azimuths = [round(360 * i / views, 3) for i in range(views)]
    return {
        "name": ruler.name,
        "source": ruler.source,
        "bench": bench.name,
        "objects": bench.title,
        "truth": bench.truth,
        "given_azimuth": 0,
        "scored_azimuths": azimuths if given else azimuths[1:],
        "elevation": ELEVATION,
        "distance": DISTANCE,
        "field_of_view": FIELD_OF_VIEW,
        "size": ruler.size,
        "background": "white",
        "means": "over the views of an object, then over objects",
        "definitions": ruler.definition,
        "lpips_weights": lpips.fingerprint if lpips else None,
        "method": {"name": method.name} | method.about,
        "seed": seed,
        "object_hashes": {subject.id: subject.sha256 for subject in bench.subjects},
        "versions": _versions(),
    }


def _reconstructor() -> str:
    """What makes meshes of views: `recon`'s default method, and its weights."""
    from recon import field_grid
    from recon.field import Field, FieldConfig
    from viewmask.learning import checkpoint

    return f"field {checkpoint.fingerprint(checkpoint.load(field_grid.WEIGHTS, Field, FieldConfig)[0])}"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
