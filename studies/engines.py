"""Two witnesses: do ray casting and Blender, each with a reader of its own, draw the same object?

    python studies/engines.py MESHES ... [--objects 200] [--views 2] [--size 256] [--sheet worst.jpg]

Unlit. A row for each object: the worst view's silhouette IoU (bar 0.99), and the mean difference of
colour, in levels of 255, over the pixels that both cover (bar 2). "edges" are objects so thin that half-covered pixels
decide: their coverage, averaged over 3 x 3 pixels, nowhere differs by more than 0.1. The sheet shows ray casting above
Blender.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import uniform_filter

from render import blender
from render.job import render_one
from render.settings import Settings
from render.source import Source, find
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

IOU, LEVELS, COVER = 0.99, 2.0, 0.1  # the bars


@dataclass(frozen=True)
class Agreement:
    """How well two engines agree on one object.

    Attributes:
        iou: of the silhouettes, the worst view's.
        levels: mean difference of colour where both have some, of 255, the worst view's.
        cover: greatest difference of alpha, averaged over 3 x 3 pixels, 0 to 1.
        verdict: "agree", "edges", "apart", or who refused.
        reason: of a refusal.
    """

    iou: float
    levels: float
    cover: float
    verdict: str
    reason: str = ""

    @classmethod
    def of(cls, one: ViewSet, other: ViewSet) -> Agreement:
        """Compare two view sets of the same cameras."""
        pairs = list(zip(one.images, other.images, strict=True))
        iou = min(silhouette_iou(a, b) for a, b in pairs)
        levels = max(colour_levels(a, b) for a, b in pairs)
        cover = max(cover_difference(a, b) for a, b in pairs)
        thin = "edges" if cover <= COVER else "apart"
        return cls(iou, levels, cover, "apart" if levels > LEVELS else "agree" if iou >= IOU else thin)


def silhouette_iou(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """IoU of two pictures' silhouettes; 1 where both are empty."""
    a, b = one[..., 3] >= 128, other[..., 3] >= 128
    return float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0


def colour_levels(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean difference of colour over the pixels that both cover, in levels of 255; 0 where none."""
    both = (one[..., 3] >= 128) & (other[..., 3] >= 128)
    return float(np.abs(one[both][:, :3].astype(float) - other[both][:, :3]).mean()) if both.any() else 0.0


def cover_difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Greatest difference of alpha, averaged over 3 x 3 pixels, 0 to 1."""
    return float(np.abs(uniform_filter((one[..., 3].astype(float) - other[..., 3]) / 255, 3)).max())


def compared(source: Source, views: int = 2, size: int = 256) -> tuple[Agreement, list[ViewSet]]:
    """Render one object with both engines; the view sets are fewer where an engine refuses."""
    sets, refused = [], {}
    for settings in (
        Settings(views=views, size=size, start=30, samples=4),
        Settings(views=views, size=size, start=30, engine="blender", spp=36),
    ):
        try:
            sets.append(render_one(source, settings))
        except (ViewmaskError, ValueError, MemoryError, OSError) as error:
            refused[settings.engine] = str(error)
    if not refused:
        return Agreement.of(*sets), sets
    verdict = "both refuse" if len(refused) == 2 else f"{next(iter(refused))} refuses"
    return Agreement(0.0, 0.0, 0.0, verdict, "; ".join(refused.values())), sets


def main() -> None:
    """Print how well the engines agree on each object, then the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", nargs="+")
    parser.add_argument("--objects", type=int, default=200, help="sampled evenly")
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    blender.require()
    sources = []
    for mesh in options.meshes:  # apart: names may be the same
        found = find(mesh)
        share = max(1, options.objects // len(options.meshes))
        sources += [found[i] for i in np.linspace(0, len(found) - 1, min(share, len(found))).astype(int)]
    counts: dict[str, int] = {}
    rows: list[NDArray[np.uint8]] = []
    all_iou, all_levels = [], []
    for source in sources:
        agreement, sets = compared(source, options.views, options.size)
        counts[agreement.verdict] = counts.get(agreement.verdict, 0) + 1
        if not agreement.reason:
            all_iou.append(agreement.iou)
            all_levels.append(agreement.levels)
        name = f"{source.path.parent.name}/{source.id}"
        figures = f"{agreement.iou:7.4f} {agreement.levels:7.2f} {agreement.cover:5.2f}"
        print(f"{agreement.verdict:18} {figures}  {name}  {agreement.reason}", flush=True)
        if agreement.verdict in ("edges", "apart"):
            rows += [np.concatenate(one.images, axis=1) for one in sets]
    print(f"{len(sources)} objects: " + ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    if all_iou:
        print(f"median IoU {np.median(all_iou):.4f}, colour {np.median(all_levels):.2f} levels")
    if options.sheet and rows:
        columns = [np.concatenate(rows[i : i + 2]) for i in range(0, len(rows), 2)]
        lines = [columns[i : i + 6] for i in range(0, len(columns), 6)]
        lines[-1] += [np.zeros_like(columns[0])] * (len(lines[0]) - len(lines[-1]))
        picture = Image.fromarray(np.concatenate([np.concatenate(line, axis=1) for line in lines]))
        ground = Image.new("RGBA", picture.size, "white")
        Image.alpha_composite(ground, picture).convert("RGB").save(options.sheet)


if __name__ == "__main__":
    main()
