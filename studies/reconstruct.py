"""Reconstruction measured: IoU, distances, normals, colours, time and memory of every method, from 4, 8 and 16 views.

Objects stand in their true frame. IoU is of the volumes on a 96^3 grid over the unit cube; distances and normals are
those of `eval.metrics.mesh`; PSNR is over white, of the textured mesh rendered into the views of the 16-view orbit that
were not given. Seconds (wall clock) and memory are of `recon.reconstruct` alone.

    python studies/reconstruct.py --bench gso30 --data DIR --out out/gso30.jsonl [--method hull ...] [--views 4 8 16]
    python studies/reconstruct.py --bench scans --data DIR --limit 10 --generated --out FILE

Benches: gso30 (true views), meshes (all 48, rendered), scans, furniture and objects (split val, rendered). What FILE
holds already is not measured again; without --method it is only printed.
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

sys.path.insert(0, str(Path(__file__).parents[1]))

from eval.benches.bench import Bench, Subject, open_bench
from eval.metrics import image
from eval.metrics import mesh as mesh_metrics
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
    chosen = [subject for subject in bench.subjects if subject.mesh is not None]
    if limit is not None and limit < len(chosen):
        chosen = [chosen[i * len(chosen) // limit] for i in range(limit)]
    return Bench(bench.name, bench.title, bench.truth, chosen, bench.notes)


def measure(subject: Subject, method: str, views: list[int], generated: bool, known: set[str]) -> Iterable[Record]:
    """The records of one object and method, one for each number of views, but for those known."""
    wanted = [number for number in views if key(subject.id, method, number, generated) not in known]
    if not wanted:
        return
    orbit, true = subject.views(ORBIT), subject.mesh() if subject.mesh else None
    assert true is not None
    filled = occupancy(true, AXIS, AXIS, AXIS)
    for number in wanted:
        chosen = range(0, ORBIT, ORBIT // number)
        given = ViewSet([orbit.images[i] for i in chosen], [orbit.cameras[i] for i in chosen])
        rest = [i for i in range(ORBIT) if i not in chosen]
        record: Record = {"id": key(subject.id, method, number, generated), "object": subject.id}
        record |= {"method": method, "views": number, "generated": generated}
        if generated:
            given = made_by_the_generator(given)
        try:
            mesh, record["seconds"], record["gib"] = timed(given, method)
            record |= scores(true, filled, mesh, [orbit.images[i] for i in rest], [orbit.cameras[i] for i in rest])
        except ViewmaskError as error:
            record["error"] = str(error)
        yield record


def key(name: str, method: str, views: int, generated: bool) -> str:
    return f"{name} {method} {views}{' generated' if generated else ''}"


def made_by_the_generator(given: ViewSet) -> ViewSet:
    """View 0 as it is, the others made from it by the shipped weights (seed 0, as `viewmask eval` asks)."""
    from eval.methods.method import open_method

    global _GENERATOR
    _GENERATOR = _GENERATOR or open_method("viewmask")
    return ViewSet([given.images[0], *_GENERATOR.views("", given)], given.cameras)


_GENERATOR: Any = None


def timed(given: ViewSet, method: str) -> tuple[TexturedMesh, float, float | None]:
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
    mesh = reconstruct(given, kind, **options)
    seconds = time.perf_counter() - start
    try:
        peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return mesh, round(seconds, 2), round(int(peak.split()[1]) / 2**20, 3)
    except (OSError, StopIteration):
        return mesh, round(seconds, 2), None


def scores(
    true: Mesh, filled: NDArray[np.bool_], mesh: TexturedMesh, pictures: list[NDArray[np.uint8]], cameras: list[Any]
) -> dict[str, float]:
    """IoU, distances, normals, and PSNR in the views not given (none if all were)."""
    shape = mesh.geometry()
    made = occupancy(shape, AXIS, AXIS, AXIS)
    figures = {"iou": float((made & filled).sum() / max((made | filled).sum(), 1))}
    figures |= mesh_metrics.surface_score(true, shape)
    if pictures:
        with tempfile.TemporaryDirectory() as folder:
            surface = Surface.load(mesh.save(Path(folder) / "mesh.glb")[0], transform=GLTF_TO_WORLD)
        shown = render(surface, cameras)
        figures["psnr"] = float(
            np.mean([image.psnr(composite(a), composite(b)) for a, b in zip(pictures, shown, strict=True)])
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
    failed = [f"{one['id']}: {one['error']}" for one in records if "error" in one]
    return "\n".join([*lines, *(["", *failed] if failed else []), *worst(records)])


def worst(records: list[Record]) -> list[str]:
    """Where a method's IoU falls below the hull's of the same views by more than SLACK, and the objects' names."""
    hull = {(one["object"], one["views"], one["generated"]): one["iou"]
            for one in records if one["method"] == "hull" and "iou" in one}  # fmt: skip
    lost = []
    for one in records:
        other = hull.get((one["object"], one["views"], one["generated"]))
        if other is not None and "iou" in one and one["iou"] < other - SLACK:
            lost.append((one["iou"] - other, f"{one['id']}: IoU {one['iou']:.3f}, hull {other:.3f}"))
    return ["", f"below the hull by more than {SLACK}: {len(lost)}", *(line for _, line in sorted(lost))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench", default="gso30", choices=["gso30", "meshes", "scans", "furniture", "objects"])
    parser.add_argument("--data", type=Path, help="the bench's folder, or the one that holds it")
    parser.add_argument("--out", type=Path, required=True, help="JSON Lines: a record a run")
    parser.add_argument(
        "--method", nargs="*", default=[], help="hull field field:WEIGHTS field+refine5 nerfacto@50 ..."
    )
    parser.add_argument("--views", nargs="*", type=int, default=[4, 8, 16], choices=[2, 4, 8, 16])
    parser.add_argument("--generated", action="store_true", help="the shipped generator's views of view 0")
    parser.add_argument("--limit", type=int, help="only so many objects, evenly spread")
    arguments = parser.parse_args()
    try:
        with closing(Manifest(arguments.out)) as manifest:
            start = time.monotonic()
            bench = subjects(arguments.bench, arguments.data, arguments.limit) if arguments.method else None
            chosen = bench.subjects if bench else []
            for done, subject in enumerate(chosen, 1):
                for method in arguments.method:
                    for record in measure(subject, method, arguments.views, arguments.generated, set(manifest.records)):
                        manifest.append(record)
                        print(f"{record['id'][:60]:60} {record.get('iou', 0):.3f}", file=sys.stderr, flush=True)
                left = (time.monotonic() - start) / done * (len(chosen) - done)
                print(f"{done} of {len(chosen)} objects, {left / 60:.0f} min left", file=sys.stderr)
            title = f"{bench.title} ({bench.truth})" if bench else str(arguments.out)
            print(table(list(manifest.records.values()), title))
    except ViewmaskError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
