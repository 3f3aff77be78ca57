"""How long scoring takes, and each metric beside peer libraries' plain calls on the same input: time and value.

    python bench/metrics.py --data data/gso

True views are scored against their mirror images, and the true mesh against itself turned by 20 degrees (as detailed
as the truth, so the dearest case); both are made before the clock starts. Comparisons run on one thread and count
processor time, which other jobs change little. A peer that is not there (lpips, open3d, trimesh's rtree) is
named and left out.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # `bench` is not installed

import igl
import numpy as np
import torch
import torchmetrics.functional.image as tm
import trimesh
from skimage import metrics as sk

from bench import open3d_peer
from eval.benches import open_bench
from eval.benches.bench import Bench
from eval.metrics import appearance, geometry
from eval.metrics.appearance import Colours
from eval.protocols import VIEWMASK
from viewmask.errors import ViewmaskError
from viewmask.learning.lpips import Lpips
from viewmask.views.viewset import Picture, composite

Mesh = trimesh.Trimesh
Figure = Callable[[Any, Any], float]  # of the truth and what is scored
COMPARED = 4  # objects; some peers take minutes


@dataclass(frozen=True)
class Case:
    """An object: its true views and mesh, and what is scored against them."""

    truth: list[Picture]
    mirrored: list[Picture]
    mesh: Mesh
    turned: Mesh


def cases(bench: Bench) -> list[Case]:
    turn = trimesh.transformations.rotation_matrix(np.radians(20), (0, 0, 1))
    pairs = []
    for subject in bench.subjects:
        truth = subject.views(4).images[1:]
        assert subject.mesh is not None
        mesh = subject.mesh()
        whole = Mesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False)
        mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in truth]
        pairs.append(Case(truth, mirrored, whole, whole.copy().apply_transform(turn)))
    return pairs


def everything(cases: Sequence[Case], lpips: Lpips | None, workers: int) -> None:
    """Score all cases as `viewmask eval` does, and say how long it took."""

    def score(case: Case) -> None:
        VIEWMASK.images(case.truth, case.mirrored, lpips)
        geometry.score(case.mesh, case.turned)

    wall, processor = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(score, cases))
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    faces = sum(len(case.mesh.faces) for case in cases)
    print(f"{len(cases)} objects, {3 * len(cases)} views, {faces:,} faces, {workers} threads")
    print(f"all metrics: {wall:.1f} s, {processor:.1f} s of processor time")


# -- peers' plain calls ------------------------------------------------------------------------------------


def installed(name: str) -> bool:
    try:
        import_module(name)
    except (ImportError, RuntimeError, OSError) as error:  # torchvision's and open3d's own ways to be broken
        print(f"without {name}: {error}")
        return False
    return True


def tensors(*pictures: Colours) -> list[torch.Tensor]:
    return [torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)[None])) for x in pictures]


def lpips_forward(model: Lpips) -> Figure:
    """The package lpips' own forward; its backbone, which it would download, takes the weights of ours."""
    import lpips

    net = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    convolutions = [layer for layer in net.net.modules() if isinstance(layer, torch.nn.Conv2d)]
    for i, layer in enumerate(convolutions):
        layer.weight.data, layer.bias.data = getattr(model, f"kernel_{i}"), getattr(model, f"bias_{i}")

    def distance(a: Colours, b: Colours) -> float:
        with torch.inference_mode():
            return float(net(*tensors(a, b), normalize=True))

    return distance


def chamfer_by(distances: Callable[[Mesh, Any], Any]) -> Figure:
    """Half-sum of a peer's distances from points that trimesh samples to the other surface."""

    def chamfer(a: Mesh, b: Mesh) -> float:
        on_a, on_b = (trimesh.sample.sample_surface(mesh, geometry.SAMPLES, seed=0)[0] for mesh in (a, b))
        return float(np.mean(distances(b, on_a)) + np.mean(distances(a, on_b))) / 2

    return chamfer


def iou_by(inside: Callable[[Mesh, Any], Any]) -> Figure:
    """Volume IoU by a peer's inside test, at the centres of our voxels in a cube around both meshes."""

    def iou(a: Mesh, b: Mesh) -> float:
        reach = np.ceil(np.abs(np.concatenate([a.bounds, b.bounds])).max() * geometry.RESOLUTION)
        side = (np.arange(-reach, reach) + 0.5) / geometry.RESOLUTION
        grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
        first, second = inside(a, grid), inside(b, grid)
        return float((first & second).sum() / (first | second).sum())

    return iou


def open3d_scene(mesh: Mesh) -> Any:
    scene = open3d_peer.loaded().t.geometry.RaycastingScene(nthreads=1)
    scene.add_triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    return scene


def between_clouds(a: Mesh, b: Mesh) -> float:
    """The usual Chamfer distance, between two clouds of points: too large by the gaps between the points."""
    open3d = open3d_peer.loaded()
    clouds = [
        open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
        for points in (trimesh.sample.sample_surface(mesh, geometry.SAMPLES, seed=0)[0] for mesh in (a, b))
    ]
    return float(sum(np.mean(x.compute_point_cloud_distance(y)) for x, y in (clouds, clouds[::-1]))) / 2


def of_pictures(lpips: Lpips | None) -> dict[str, dict[str, Figure]]:
    """Per metric ours, then the peers'."""
    figures: dict[str, dict[str, Figure]] = {
        "PSNR": {
            "ours": appearance.psnr,
            "torchmetrics": lambda a, b: float(tm.peak_signal_noise_ratio(*tensors(b, a), data_range=1.0)),
            "scikit-image": lambda a, b: float(sk.peak_signal_noise_ratio(a, b, data_range=1.0)),
        },
        "SSIM": {
            "ours": appearance.gaussian_ssim,  # scikit-image's with the options that Wang et al. define it by
            "torchmetrics, border counted": lambda a, b: float(
                tm.structural_similarity_index_measure(*tensors(b, a), data_range=1.0)  # type: ignore[arg-type]
            ),
            "torchmetrics, without border": lambda a, b: float(
                tm.structural_similarity_index_measure(*tensors(b, a), data_range=1.0, return_full_image=True)[1][
                    ..., 5:-5, 5:-5
                ].mean()
            ),
        },
    }
    if lpips is not None:
        figures["LPIPS"] = {"ours": lambda a, b: appearance.lpips([a], [b], lpips)[0]}
        if installed("lpips"):
            figures["LPIPS"]["lpips"] = lpips_forward(lpips)
    return figures


def of_meshes() -> dict[str, dict[str, Figure]]:
    """Per metric ours, then the peers'."""

    def parts(mesh: Mesh) -> tuple[Any, Any]:
        return np.asarray(mesh.vertices), np.asarray(mesh.faces)

    figures: dict[str, dict[str, Figure]] = {
        "Chamfer": {
            "ours": geometry.chamfer,  # libigl's distances; the normals come along
            "libigl": chamfer_by(lambda m, p: np.sqrt(igl.point_mesh_squared_distance(p, *parts(m))[0])),
        },
        "volume IoU": {
            "ours": geometry.volume_iou,
            "libigl, fast winding number": iou_by(lambda m, p: igl.fast_winding_number(*parts(m), p) > 0.5),
            "trimesh, contains": iou_by(lambda m, p: m.contains(p)),
        },
    }
    if installed("rtree"):  # trimesh's index of triangles
        figures["Chamfer"]["trimesh"] = chamfer_by(lambda m, p: trimesh.proximity.closest_point(m, p)[1])
    if open3d_peer.loaded() is not None:
        figures["Chamfer"]["open3d, to the surface"] = chamfer_by(
            lambda m, p: open3d_scene(m).compute_distance(p.astype(np.float32)).numpy()
        )
        figures["Chamfer"]["open3d, between points"] = between_clouds
        figures["volume IoU"]["open3d, occupancy"] = iou_by(
            lambda m, p: open3d_scene(m).compute_occupancy(p.astype(np.float32)).numpy() > 0.5
        )
    return figures


def compare(figures: dict[str, dict[str, Figure]], inputs: Sequence[tuple[Any, Any]]) -> None:
    """A line a metric and library: mean value, processor time of one call, and how many times ours."""
    for metric, calls in figures.items():
        base = None
        for name, call in calls.items():
            call(*inputs[0])  # what is built once, imports and tables, is not what is measured
            start = time.process_time()
            value = float(np.mean([call(a, b) for a, b in inputs]))
            each = (time.process_time() - start) / len(inputs)
            base = base or each
            print(f"| {metric} | {name} | {value:.4f} | {1e3 * each:,.1f} ms | {each / base:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/gso"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    try:
        every = cases(open_bench("gso", options.data, subset="meshes"))
        lpips = Lpips.load("alex")
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
    torch.set_num_threads(1)
    everything(every, lpips, options.workers)
    few = every[:: len(every) // COMPARED][:COMPARED]
    views = [(composite(a), composite(b)) for case in few for a, b in zip(case.truth, case.mirrored, strict=True)]
    print(
        f"\n{COMPARED} objects, one thread\n\n| metric | library | mean | a pair | times ours |\n|---|---|---|---|---|"
    )
    compare(of_pictures(lpips), views)
    compare(of_meshes(), [(case.mesh, case.turned) for case in few])


if __name__ == "__main__":
    main()
