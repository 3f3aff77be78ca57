"""Measuring a method on a bench: every object scored by itself, then the mean over objects."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.artefacts import Artefacts
from eval.benches import open_bench
from eval.benches.bench import Bench, Subject
from eval.methods import open_method
from eval.methods.method import Method, Options
from eval.protocols import Protocol
from eval.result import METRICS, Record, Result, means_of
from eval.scoring import Scorer, Scoring
from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted
from viewmask.files.manifest import Manifest
from viewmask.views.conventions import DISTANCE, ELEVATION, FIELD_OF_VIEW

if TYPE_CHECKING:
    from viewmask.learning.lpips import Lpips

# What figures are computed with: views, meshes made of them, renderings of true meshes, metrics.
PACKAGES = (
    "viewmask-1-to-3", "numpy", "scikit-image", "scipy", "torch", "torchmetrics", "trimesh", "libigl", "embreex",
    "fast-simplification", "manifold3d", "pillow",
)  # fmt: skip
# What a result says it was asked for, in this order; `repeat` asks for the same.
ASKED = (
    "bench", "method", "subset", "protocol", "views", "light", "split", "limit", "meshes", "beside", "seed", "sampling",
)  # fmt: skip

Progress = Callable[[int, int], None]


def run(
    bench: str | Bench = "gso",
    method: str | Method = "viewmask",
    scoring: Scoring | None = None,
    options: Options | None = None,
    *,
    out: str | Path | None = None,
    records: str | Path | None = None,
    workers: int | None = None,
    lpips_weights: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Score a method: view 0 is given, the other views of the orbit are scored.

    Each figure is a mean over views, then over objects.

    Args:
        bench: a bench, or the name of one that needs no more words (see `open_bench`).
        method: a method, or the name of one (see `open_method`), which is then opened with `options`.
        out: a folder for `results.json`, `records.jsonl` (unless `records` says otherwise) and every object's views
            and meshes (`eval.artefacts`), which a report shows.
        records: a JSON Lines file to append to as objects are done; what it holds already is not done again.
        workers: objects scored at a time, in threads (numpy, scipy and torch let go of the interpreter), each on one
            core so that figures do not depend on how many there are. One a core unless given, one in all with a GPU.
        lpips_weights: see `viewmask.learning.lpips.Lpips.load`.
        progress: called with (objects done, of).

    Raises:
        ViewmaskError: unknown names, missing data or weights, fewer than two views, or captions that a bench lacks.
    """
    scoring = scoring or Scoring()
    if scoring.count < 2:
        raise ViewmaskError(f"a bench scores the views beside the given one: ask for at least 2, not {scoring.count}")
    name = method if isinstance(method, str) else None
    bench = open_bench(bench) if isinstance(bench, str) else bench
    method = open_method(method, options, scoring.seed) if isinstance(method, str) else method
    bench = _seen_anew(bench) if method.given == "camera" else bench
    if method.captions and not all(subject.caption for subject in bench.subjects):
        raise ViewmaskError(
            f"{bench.title} have no captions: leave --captions away, or take scans, furniture or objects"
        )
    beside = [open_method(other) for other in scoring.beside if other != method.name]
    lpips, missing = _lpips(scoring.ruler.lpips, lpips_weights)
    artefacts = Artefacts(Path(out), method.name) if out is not None else None
    scorer = Scorer(method, beside, scoring, lpips, artefacts, _facts(bench, method, beside, scoring, lpips))

    if out is not None and records is None:
        records = Path(out) / "records.jsonl"
    done: list[Record] = []
    with ExitStack() as stack:
        manifest = stack.enter_context(Manifest(Path(records))) if records is not None else None

        def record_of(subject: Subject) -> tuple[Record, bool]:
            return scorer.record(subject, manifest.records.get(subject.id, {}) if manifest else {})

        cores = stack.enter_context(_one_core_each())
        for record, new in _in_threads(record_of, bench.subjects, workers or cores):
            if new and manifest:
                manifest.append(record)
            done.append(record)
            if progress:
                progress(len(done), len(bench.subjects))
    order = {subject.id: index for index, subject in enumerate(bench.subjects)}
    done.sort(key=lambda record: order[record["id"]])

    means, counts = means_of(done)
    protocol = _protocol(bench, method, scoring, lpips, first=any(record["given"] for record in done))
    if bench.asked is not None and name is not None:
        asked = bench.asked | asdict(scoring) | {"method": name, "views": scoring.count, "beside": list(scoring.beside)}
        asked["sampling"] = (options or Options()).to_json()
        protocol["asked"] = {key: asked[key] for key in ASKED}
    result = Result(
        method=method.name,
        means=means,
        counts=counts,
        beside={other.name: means_of([record["beside"][other.name] for record in done])[0] for other in beside},
        records=done,
        protocol=protocol,
        notes=[*bench.notes, *method.notes, *missing, *_remarks(done, method, scoring.ruler)],
    )
    if out is not None:
        result.save(Path(out) / "results.json")
    return result


def repeat(
    path: str | Path,
    data: str | Path | None = None,
    workers: int | None = None,
    lpips_weights: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[Result, list[str]]:
    """Measure again what a saved result measured, and say what differs.

    Args:
        path: the JSON of `Result.save`: its protocol pins the objects, their hashes, the cameras, the definitions, the
            method's weights and the seed.
        data: the bench's folder, as in `open_bench`.
        workers, lpips_weights: as in `run`.

    Returns:
        the new result, and a line for each thing that differs: pinned facts first, then figures.

    Raises:
        ViewmaskError: the file is no result, or one of a bench or method that has no name.
    """
    try:
        saved = json.loads(Path(path).read_text())
        protocol, asked = saved["protocol"], saved["protocol"]["asked"]
        options = Options.from_json(asked["sampling"])
        scoring = Scoring(**{field.name: asked[field.name] for field in fields(Scoring) if field.name in asked})
        words = {word: asked[word] for word in ("subset", "light", "split", "limit") if word in asked}
        name, method = asked["bench"], asked["method"]
        asked["sampling"] = options.to_json()  # what older versions could not be asked for is no difference
        then = _figures(saved)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ViewmaskError(
            f"{path} is not a result of `viewmask eval --json` that can be repeated ({error!r})"
        ) from error
    bench = open_bench(name, data, **words)
    result = run(bench, method, scoring, options, workers=workers, lpips_weights=lpips_weights, progress=progress)
    now = json.loads(json.dumps(result.to_json()))
    lines = [
        f"{key}: {json.dumps(protocol.get(key))} then, {json.dumps(value)} now"
        for key, value in now["protocol"].items()
        if value != protocol.get(key) and key != "object_hashes"
    ]
    hashes = protocol.get("object_hashes", {})
    lines += [
        f"{name} is another object" for name, new in result.protocol["object_hashes"].items() if hashes.get(name) != new
    ]
    again = _figures(now)
    lines += [
        f"{name}: {then.get(name)} then, {again.get(name)} now"
        for name in dict.fromkeys((*again, *then))
        if then.get(name) != again.get(name)
    ]
    return result, lines


def _figures(result: dict[str, Any]) -> dict[str, float]:
    """Every figure that a result's JSON holds, by a name that says what it is: means, counts, objects, trivial rows."""
    rows = {"": result, "objects with ": result.get("counts", {})}
    rows |= {f"{name} ": row for name, row in result.get("beside", {}).items()}
    for record in result.get("objects", []):
        rows[f"{record['id']} "] = record
        rows |= {f"{record['id']} {name} ": row for name, row in record.get("beside", {}).items()}
    return {f"{row}{name}": rows[row][name] for row in rows for name in METRICS if rows[row].get(name) is not None}


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


def _in_threads(
    work: Callable[[Subject], tuple[Record, bool]], subjects: Sequence[Subject], workers: int
) -> Iterator[tuple[Record, bool]]:
    """The results of `work`, as they are done."""
    if workers <= 1:
        yield from map(work, subjects)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting = [pool.submit(work, subject) for subject in subjects]
        try:
            for future in as_completed(waiting):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _remarks(records: list[Record], method: Method, ruler: Protocol) -> Iterator[str]:
    """What a reader should know of how it went."""
    failures = [record["id"] for record in records if "mesh_error" in record]
    if failures:
        yield f"no mesh from the views of {counted(len(failures), 'object')}: {', '.join(failures)}"
    # Sheets hold nothing: such an object is no part of the mean.
    empty = [record["id"] for record in records if record.get("chamfer") is not None and record.get("iou") is None]
    if empty:
        yield f"IoU undefined where the true mesh has no inside, {counted(len(empty), 'object')}: {', '.join(empty)}"
    if ruler.given and not any(record["given"] for record in records):
        yield f"the given view is not scored: {method.name} hands it back as it is"


@cache
def _lpips(net: str, weights: str | Path | None) -> tuple[Lpips | None, list[str]]:
    from viewmask.learning.lpips import Lpips

    try:
        return Lpips.load(net, weights), []
    except ViewmaskError as error:
        if weights is not None:
            raise  # asked for by name
        return None, [f"no LPIPS: {error}"]


def _seen_anew(bench: Bench) -> Bench:
    """The bench without objects that no other camera can see, for want of a mesh.

    Raises:
        ViewmaskError: none is left.
    """
    subjects = [subject for subject in bench.subjects if subject.photo is not None]
    if not subjects:
        raise ViewmaskError(f"{bench.title} have no meshes that another camera could see: --given camera needs them")
    left = len(bench.subjects) - len(subjects)
    note = (f"left out: {counted(left, 'object')} without a mesh that another camera could see",) if left else ()
    return replace(bench, subjects=subjects, notes=(*bench.notes, *note))


def _facts(bench: Bench, method: Method, beside: list[Method], scoring: Scoring, lpips: Lpips | None) -> dict[str, Any]:
    """All that the figures of an object hang on beside the object."""
    return {
        "bench": bench.name, "truth": bench.truth, "views": scoring.count, "method": method.name, "about": method.about,
        "meshes": scoring.meshes, "seed": scoring.seed, "lpips": lpips.fingerprint if lpips else None,
        "protocol": scoring.protocol, "reconstructor": _reconstructor() if scoring.meshes else None,
        "definitions": scoring.ruler.definition, "versions": _versions(),
        # Rows that depend on nothing else, the trivial ones, join a record when they are first asked for.
        "beside": {other.name: other.about for other in beside if other.about},
    }  # fmt: skip


def _protocol(bench: Bench, method: Method, scoring: Scoring, lpips: Lpips | None, first: bool) -> dict[str, Any]:
    """How it was measured; `first` says whether the given view is scored too."""
    ruler = scoring.ruler
    azimuths = [round(360 * i / scoring.count, 3) for i in range(scoring.count)]
    return {
        "name": ruler.name,
        "source": ruler.source,
        "bench": bench.name,
        "objects": bench.title,
        "truth": bench.truth,
        "given_azimuth": 0,
        "scored_azimuths": azimuths if first else azimuths[1:],
        "elevation": ELEVATION,
        "distance": DISTANCE,
        "field_of_view": FIELD_OF_VIEW,
        "size": ruler.size,
        "background": "white",
        "means": "over the views of an object, then over objects",
        "definitions": ruler.definition,
        "lpips_weights": lpips.fingerprint if lpips else None,
        "method": {"name": method.name} | method.about,
        "seed": scoring.seed,
        "object_hashes": {subject.id: subject.sha256 for subject in bench.subjects},
        "versions": _versions(),
    }


def _reconstructor() -> str:
    """What makes meshes of views: `recon`'s default method, and its weights."""
    from recon import field_grid
    from recon.field import Field, FieldConfig
    from viewmask.learning import checkpoint

    return f"field {checkpoint.fingerprint(checkpoint.load(field_grid.SHIPPED, Field, FieldConfig)[0])}"


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions
