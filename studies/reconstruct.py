"""How good are meshes from 4, 8 and 16 views, by every method of `recon`?

    python studies/reconstruct.py --bench gso30 --data DIR --out out/gso30.jsonl [--method hull ...] [--views 4 8 16]
    python studies/reconstruct.py --bench scans --data DIR --limit 10 --generated --out FILE

Benches: gso30 (true views), meshes (all 48, rendered), scans, furniture and objects (split val, rendered). What FILE
holds already is not measured again; without --method it is only printed.

Objects stand in their true frame. IoU is of the volumes on a 96^3 grid over the unit cube. Distances and normals are
those of `eval.metrics.geometry`. PSNR is over white, of the textured mesh seen from the cameras of the 16-view orbit
that the mesh was not made from. Seconds (wall clock) and memory are of `recon.reconstruct` alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.benches import open_bench
from eval.benches.bench import Bench, Subject
from eval.metrics import appearance, geometry
from eval.metrics.occupancy import Mesh, occupancy
from recon.mesh import TexturedMesh
from recon.reconstructor import reconstruct
from render.raycast import render
from render.surface import GLTF_TO_WORLD, Surface
from viewmask.errors import ViewmaskError
from viewmask.files.manifest import Manifest
from viewmask.views.viewset import ViewSet, composite

ORBIT = 16
AXIS = -0.5 + (np.arange(96) + 0.5) / 96
COLUMNS = ("iou", "chamfer", "fscore", "normals", "psnr", "seconds", "gib")
SLACK = 0.02  # how far below the hull's IoU a method may fall on one object without being named

Record = dict[str, Any]


def subjects(name: str, data: Path, limit: int | None) -> Bench:
    """The objects that have a true mesh."""
    subset = name if name in ("gso30", "meshes") else "gso30"
    bench = open_bench("gso" if name in ("gso30", "meshes") else name, data, subset)
    solid = [subject for subject in bench.subjects if subject.mesh is not None]
    if limit is not None and limit < len(solid):
        solid = [solid[i * len(solid) // limit] for i in range(limit)]
    return Bench(bench.name, bench.title, bench.truth, solid, bench.notes)


def measure(subject: Subject, method: str, views: list[int], generated: bool, done: set[str]) -> Iterable[Record]:
    """The records of one object and method, one for each number of views, but for those done."""
    numbers = [number for number in views if key(subject.id, method, number, generated) not in done]
    if not numbers:
        return
    orbit, true = subject.views(ORBIT), subject.mesh() if subject.mesh else None
    assert true is not None
    filled = occupancy(true, AXIS, AXIS, AXIS)
    for number in numbers:
        few = range(0, ORBIT, ORBIT // number)
        inputs = ViewSet([orbit.images[i] for i in few], [orbit.cameras[i] for i in few])
        rest = [i for i in range(ORBIT) if i not in few]
        record: Record = {"id": key(subject.id, method, number, generated), "object": subject.id}
        record |= {"method": method, "views": number, "generated": generated}
        if generated:
            inputs = generated_views(inputs)
        try:
            mesh, record["seconds"], record["gib"] = timed(inputs, method)
            record |= scores(true, filled, mesh, [orbit.images[i] for i in rest], [orbit.cameras[i] for i in rest])
            about = mesh.summary()
            record |= {"closed": about["watertight"], "pieces": about["components"]}
        except ViewmaskError as error:
            record["error"] = str(error)
        yield record


def key(name: str, method: str, views: int, generated: bool) -> str:
    return f"{name} {method} {views}{' generated' if generated else ''}"


def generated_views(truth: ViewSet) -> ViewSet:
    """View 0 as it is, the others made from it by the shipped weights (seed 0, speed exact)."""
    from eval.methods import open_method
    from eval.methods.method import Options

    global _GENERATOR
    _GENERATOR = _GENERATOR or open_method("viewmask", Options(speed="exact"))
    return ViewSet([truth.images[0], *_GENERATOR.views("", truth)], truth.cameras)


_GENERATOR: Any = None


def timed(views: ViewSet, method: str) -> tuple[TexturedMesh, float, float | None]:
    """A mesh, the seconds it took, and the process's peak memory meanwhile in GiB (Linux only)."""
    kind, _, refine = method.partition("+refine")
    # `field+refine5`: with --refine 5; `field:DIR`: with --weights DIR; `nerfacto@50`: with --steps 50.
    kind, _, weights = kind.partition(":")
    kind, _, steps = kind.partition("@")
    options: dict[str, Any] = {"refine": float(refine or 5)} if "+refine" in method else {}
    if weights:
        options["weights"] = weights
    if steps:
        options["steps"] = int(steps)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    start = time.perf_counter()
    mesh = reconstruct(views, kind, **options)
    seconds = time.perf_counter() - start
    try:
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return mesh, round(seconds, 2), round(int(peak.split()[1]) / 2**20, 3)
    except (OSError, StopIteration):
        return mesh, round(seconds, 2), None


def scores(
    true: Mesh, filled: NDArray[np.bool_], mesh: TexturedMesh, pictures: list[NDArray[np.uint8]], cameras: list[Any]
) -> dict[str, float]:
    """IoU, distances, normals, and PSNR in the views that the mesh was not made from (none if there are none)."""
    shape = mesh.geometry()
    inside = occupancy(shape, AXIS, AXIS, AXIS)
    figures = {"iou": float((inside & filled).sum() / max((inside | filled).sum(), 1))}
    figures |= geometry.surface_score(true, shape)
    if pictures:
        with tempfile.TemporaryDirectory() as folder:
            surface = Surface.load(mesh.save(Path(folder) / "mesh.glb")[0], transform=GLTF_TO_WORLD)
        renderings = render(surface, cameras)
        figures["psnr"] = float(
            np.mean([appearance.psnr(composite(a), composite(b)) for a, b in zip(pictures, renderings, strict=True)])
        )
    return {name: round(value, 5) for name, value in figures.items()}


def table(records: list[Record], title: str) -> str:
    """Means over objects, a row for each method and number of views."""
    lines = [f"{title}", "", "| method | views | objects | IoU | Chamfer | F-score | normals | PSNR | s | peak GiB |"]
    lines.append("|---" * 10 + "|")
    rows: dict[tuple[str, int, bool], list[Record]] = {}
    for record in records:
        rows.setdefault((record["method"], record["views"], record["generated"]), []).append(record)
    for (method, views, generated), row in sorted(rows.items(), key=lambda one: (one[0][2], one[0][1], one[0][0])):
        cells = [method, f"{views}{' generated' if generated else ''}", str(sum("iou" in one for one in row))]
        for column in COLUMNS:
            values = [one[column] for one in row if one.get(column) is not None]
            mean = max(values, default=None) if column == "gib" else float(np.mean(values)) if values else None
            digits = {"chamfer": 4, "psnr": 2, "seconds": 1, "gib": 2}.get(column, 3)
            cells.append("–" if mean is None else f"{mean:.{digits}f}")
        lines.append("| " + " | ".join(cells) + " |")
    failures = [f"{one['id']}: {one['error']}" for one in records if "error" in one]
    return "\n".join([*lines, *whole(rows), *(["", *failures] if failures else []), *worst(records)])


def whole(rows: dict[tuple[str, int, bool], list[Record]]) -> list[str]:
    """How many meshes of each row are closed, and how many are one piece; records of earlier versions do not tell."""
    lines = []
    for (method, views, generated), row in sorted(rows.items()):
        told = [one for one in row if "pieces" in one]
        if told:
            closed, one_piece = sum(one["closed"] for one in told), sum(one["pieces"] == 1 for one in told)
            name = f"{method}, {views}{' generated' if generated else ''} views"
            lines.append(f"{name}: of {len(told)} meshes {closed} are closed, {one_piece} in one piece")
    return ["", *lines] if lines else []


def worst(records: list[Record]) -> list[str]:
    """Where a method's IoU falls below the hull's of the same views by more than SLACK, and the objects' names."""
    hull = {(one["object"], one["views"], one["generated"]): one["iou"]
            for one in records if one["method"] == "hull" and "iou" in one}  # fmt: skip
    losses = []
    for one in records:
        other = hull.get((one["object"], one["views"], one["generated"]))
        if other is not None and "iou" in one and one["iou"] < other - SLACK:
            losses.append((one["iou"] - other, f"{one['id']}: IoU {one['iou']:.3f}, hull {other:.3f}"))
    return ["", f"below the hull by more than {SLACK}: {len(losses)}", *(line for _, line in sorted(losses))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="gso30", choices=["gso30", "meshes", "scans", "furniture", "objects"])
    parser.add_argument("--data", type=Path, help="the bench's folder, or the one that holds it")
    parser.add_argument("--out", type=Path, required=True, help="JSON Lines: a record a run")
    parser.add_argument(
        "--method", nargs="*", default=[], help="hull field field:WEIGHTS field+refine5 nerfacto@50 ..."
    )
    parser.add_argument("--views", nargs="*", type=int, default=[4, 8, 16], choices=[2, 4, 8, 16])
    parser.add_argument("--generated", action="store_true", help="the shipped generator's views of view 0, exact")
    parser.add_argument("--limit", type=int, help="only so many objects, evenly spread")
    arguments = parser.parse_args()
    with closing(Manifest(arguments.out)) as manifest:
        start = time.monotonic()
        bench = subjects(arguments.bench, arguments.data, arguments.limit) if arguments.method else None
        objects = bench.subjects if bench else []
        for count, subject in enumerate(objects, 1):
            for method in arguments.method:
                for record in measure(subject, method, arguments.views, arguments.generated, set(manifest.records)):
                    manifest.append(record)
                    print(f"{record['id'][:60]:60} {record.get('iou', 0):.3f}", file=sys.stderr, flush=True)
            left = (time.monotonic() - start) / count * (len(objects) - count)
            print(f"{count} of {len(objects)} objects, {left / 60:.0f} min left", file=sys.stderr)
        title = f"{bench.title} ({bench.truth})" if bench else str(arguments.out)
        print(table(list(manifest.records.values()), title))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
