"""Benches: what is measured on. `open_bench` opens one by its name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from eval.benches.bench import Bench
from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    from render.settings import Light

BENCHES = ("gso", "3d-future", "objects", "scans", "furniture", "demo")


def open_bench(
    name: str = "gso",
    data: str | Path | None = None,
    subset: str = "gso30",
    light: Light = "none",
    split: str | None = None,
    limit: int | None = None,
) -> Bench:
    """Open a bench.

    Args:
        name: one of `BENCHES`, or a folder of meshes (or with an `index.jsonl`).
        data: the bench's folder, or the folder that holds it; else `$VIEWMASK_DATA/<name>`, then `data/<name>`.
        subset: of `gso`, see `eval.benches.gso.open_gso`.
        light: how meshes are rendered: `none` (base colour), `uniform` (grey world with ambient occlusion), `studio`.
        split: of an index; None is `val` of `objects`, `scans` and `furniture`, and all of a folder. Others have none.
        limit: only so many objects, spread evenly over the bench.

    Raises:
        ViewmaskError: no such bench, or its data is missing.
    """
    if limit is not None and limit < 1:
        raise ViewmaskError(f"a bench needs at least one object, not {limit}")
    asked = {"bench": name, "subset": subset, "light": light, "split": split, "limit": limit}
    bench = replace(_open(name, data, subset, light, split), asked=asked)
    count = len(bench.subjects)
    if limit is None or limit >= count:
        return bench
    subjects = [bench.subjects[i * count // limit] for i in range(limit)]
    return replace(bench, title=f"{bench.title}; {limit} of {count}, evenly spread", subjects=subjects)


def _open(name: str, data: str | Path | None, subset: str, light: Light, split: str | None) -> Bench:
    match name:
        case "gso":
            from eval.benches import gso

            return gso.open_gso(_folder(name, data, gso.holds, gso.LAYOUT), subset, light)
        case "3d-future":
            from eval.benches import future

            return future.open_future(_folder(name, data, future.holds, future.LAYOUT), light)
        case "demo":
            from eval.benches.demo import open_demo

            return open_demo(light)
        case "objects" | "scans" | "furniture":
            from eval.benches import indexed

            folder = _folder(name, data, indexed.holds, indexed.layout(name))
            return indexed.open_indexed(name, folder, split or "val", light)
        case _ if Path(name).is_dir():
            from eval.benches.indexed import open_indexed

            return open_indexed(name, Path(name), split, light)
        case _:
            raise ViewmaskError(f"there is no bench {name!r}: choose {', '.join(BENCHES)}, or name a folder of meshes")


def _folder(name: str, data: str | Path | None, holds: Callable[[Path], bool], layout: str) -> Path:
    """Where a bench's data lies: the first place that holds it."""
    if data is not None:
        places = [Path(data), Path(data) / name]
    else:
        home = os.environ.get("VIEWMASK_DATA")
        places = [Path(home) / name] if home else []
        places.append(Path("data") / name)
    for place in places:
        if holds(place):
            return place
    words = " and ".join(str(place) for place in places)
    raise ViewmaskError(f"no {name} data in {words}: put there {layout}; or name its folder with --data")
