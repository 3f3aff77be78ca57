"""How long scoring takes, and each metric beside a peer library's plain call on the same input.

    python bench/metrics.py --data data/gso

Views and meshes are made before the clock starts: true views against their mirror images, and the true mesh
against itself turned by 20 degrees (as detailed as the truth, so the dearest case).
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh

from eval import image_metrics, mesh_metrics
from eval.benches import Bench, open_bench
from eval.image_metrics import gaussian_ssim
from eval.mesh_metrics import chamfer, volume_iou
from eval.protocols import VIEWMASK
from viewmask.errors import ViewmaskError
from viewmask.lpips import Lpips
from viewmask.viewset import composite


def prepared(bench: Bench) -> list[tuple[Any, ...]]:
    """True pictures, mirrored ones, true mesh, turned mesh of every object."""
    turn = trimesh.transformations.rotation_matrix(np.radians(20), (0, 0, 1))
    rows = []
    for subject in bench.subjects:
        truth = subject.views(4).images
        assert subject.mesh is not None
        mesh = subject.mesh()
        whole = trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.faces), process=False)
        mirrored = [np.ascontiguousarray(picture[:, ::-1]) for picture in truth]
        rows.append((truth[1:], mirrored[1:], whole, whole.copy().apply_transform(turn)))
    return rows


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def beside(rows: list[tuple[Any, ...]]) -> list[tuple[str, float, str, float]]:
    """Metric, our seconds, the peer's call, its seconds, over the first eight objects."""
    table = []
    few = rows[:8]
    pairs = [(composite(a), composite(b)) for truth, made, _, _ in few for a, b in zip(truth, made, strict=True)]
    meshes = [(truth, mesh) for _, _, truth, mesh in few]

    import igl
    from torchmetrics.functional.image import structural_similarity_index_measure

    def peer_ssim() -> None:
        for a, b in pairs:
            first, second = (torch.from_numpy(x.transpose(2, 0, 1)[None].copy()) for x in (a, b))
            structural_similarity_index_measure(second, first, data_range=1.0)

    ours = seconds(lambda: [gaussian_ssim(a, b) for a, b in pairs])
    table.append(("SSIM", ours, "torchmetrics", seconds(peer_ssim)))

    def peer_iou() -> None:
        side = (np.arange(mesh_metrics.RESOLUTION) + 0.5) / mesh_metrics.RESOLUTION - 0.5
        grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(-1, 3)
        for pair in meshes:
            for mesh in pair:
                igl.fast_winding_number(np.asarray(mesh.vertices), np.asarray(mesh.faces), grid)

    ours = seconds(lambda: [chamfer(a, b) for a, b in meshes])
    print(f"Chamfer, F-score, normals (igl's exact distances): {ours:.2f} s on 8 objects, one thread")
    ours = seconds(lambda: [volume_iou(a, b) for a, b in meshes])
    table.append(("volume IoU", ours, "igl.fast_winding_number", seconds(peer_iou)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/gso"))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    rows = prepared(open_bench("gso", options.data, subset="meshes"))
    torch.set_num_threads(1)
    try:
        lpips = Lpips.load("alex")
    except ViewmaskError as error:
        print(error)
        lpips = None

    def score(row: tuple[Any, ...]) -> None:
        truth, made, mesh, turned = row
        VIEWMASK.images(truth, made, lpips)
        mesh_metrics.score(mesh, turned)

    def everything() -> None:
        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(score, rows))

    faces = sum(len(mesh.faces) for _, _, mesh, _ in rows)
    print(f"{len(rows)} objects, {3 * len(rows)} views, {faces:,} faces, {options.workers} threads")
    print(f"all metrics: {seconds(everything):.1f} s")
    if lpips is not None:
        pair = [composite(picture) for picture in rows[0][0]], [composite(picture) for picture in rows[0][1]]
        print(f"LPIPS (AlexNet): {seconds(lambda: image_metrics.lpips(*pair, lpips)) / 3 * 1e3:.0f} ms a view")
    for metric, ours, peer, theirs in beside(rows):
        print(f"{metric}: {ours:.2f} s, {peer} {theirs:.2f} s on 8 objects, one thread: {theirs / ours:.1f} times ours")


if __name__ == "__main__":
    main()
