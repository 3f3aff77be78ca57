"""`viewmask eval`: the benchmark table of a method, with the trivial rows beside it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from viewmask_cli import output
from viewmask_cli.generate import Schedule
from viewmask_cli.progress import progress

if TYPE_CHECKING:
    from eval.bench import Result

Bench = Literal["demo", "gso", "objects", "scans", "furniture"]
Subset = Literal["gso30", "others", "meshes"]
Light = Literal["none", "uniform", "studio"]
Method = Literal["viewmask", "copy", "mirror", "white", "gt-views", "tokenizer"]


def evaluate(
    bench: Annotated[
        Bench, typer.Option("--bench", "-b", help="demo needs no data: its objects are made on the spot.")
    ] = "demo",
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="Its folder.", show_default="$VIEWMASK_DATA/BENCH, data/BENCH")
    ] = None,
    method: Annotated[Method, typer.Option("--method", "-m", help="Who is measured.")] = "viewmask",
    views: Annotated[int, typer.Option(min=2, max=64, help="Of the orbit, the given one included.")] = 4,
    subset: Annotated[Subset, typer.Option(help="Of gso: true views, or rendered meshes.")] = "gso30",
    split: Annotated[Literal["train", "val", "test"], typer.Option(help="Of objects, scans, furniture.")] = "val",
    light: Annotated[Light, typer.Option(help="Of rendered meshes.")] = "none",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many objects, evenly spread.")] = None,
    meshes: Annotated[bool, typer.Option(help="Reconstruct and score meshes too.")] = True,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Sampling steps.")] = 20,
    schedule: Annotated[Schedule, typer.Option(help="How fast tokens are settled.")] = "cosine",
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="As in generate.", show_default="the model's own")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0.0, help="As in generate.", show_default="the model's own")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint folder.", show_default="the shipped weights")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampler and of points on meshes.")] = 0,
    records: Annotated[
        Path | None, typer.Option(help="JSON Lines file, a line an object; a killed run resumes from it.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the result as JSON; - prints it instead.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.")] = False,
) -> Any:  # eval.bench.Result: typer looks every name up, and that one would load numpy
    """Score views and meshes: PSNR, foreground PSNR, SSIM, silhouette IoU, LPIPS, Chamfer distance, volume IoU.

    Example: viewmask eval --bench gso --data data/gso --json gso.json
    """
    printed = json_file is not None and str(json_file) == "-"
    if json_file is not None and not printed:
        output.check_file(json_file, force)

    from eval.bench import run
    from eval.methods import Sampling

    with progress(f"measuring {method} on {bench}", "objects") as report:
        result = run(
            bench, method, data=data, subset=subset, views=views, light=light, split=split, limit=limit, meshes=meshes,
            sampling=Sampling(steps, schedule, temperature, guidance, weights), seed=seed, records=records,
            progress=report,
        )  # fmt: skip
    if printed:
        print(json.dumps(result.to_json(), indent=1, ensure_ascii=False))
        return result
    _show(result, published=bench == "gso")
    if json_file is not None:
        result.save(json_file)
        output.remember([json_file])
        print("wrote", json_file)
    return result


def _show(result: Result, published: bool) -> None:
    from rich.console import Console

    from eval.table import table

    # A pipe has no width: give the table the room that it needs.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size().columns, 120)
    Console(width=width).print(table(result, published=published))
