"""`viewmask render`: mesh files to folders of posed views."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import duration, note, progress

Engine = Literal["raycast", "blender"]
Light = Literal["none", "uniform", "studio"]

SOURCES, SCALE = "What to render", "Many objects"  # panels of --help
NAMED = 20  # failures told one by one


def render(
    meshes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MESH]...",
            help="Mesh files, folders of them, glob patterns, or an index.jsonl.",
            show_default="a demo object",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; a killed run resumes.")] = Path("views"),
    views: Annotated[int, typer.Option(min=1, max=1000, help="Views around the object.")] = 8,
    elevation: Annotated[float, typer.Option(min=-89.0, max=89.0, help="Degrees above the horizon.")] = 30.0,
    size: Annotated[int, typer.Option(min=8, max=8192, help="Side of a picture in pixels.")] = 256,
    distance: Annotated[float, typer.Option(help="From the object; its longest side is 1.")] = 1.5,
    fov: Annotated[float, typer.Option(help="Field of view in degrees.")] = 49.13,
    start: Annotated[float, typer.Option(help="Azimuth of the first view in degrees.")] = 0.0,
    engine: Annotated[Engine, typer.Option(help="blender needs the extra `blender`.")] = "raycast",
    light: Annotated[Light, typer.Option(help="none is the bare colour.")] = "none",
    samples: Annotated[int, typer.Option(min=1, max=16, help="Rays along a pixel's side.")] = 2,
    spp: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Cycles samples a pixel, for blender.", show_default="by light")
    ] = None,
    denoise: Annotated[bool, typer.Option("--denoise", help="Clean blender's noise.")] = False,
    passes: Annotated[str, typer.Option(metavar="LIST", help="depth,normal,points: arrays beside the pictures.")] = "",
    up: Annotated[Literal["y", "z"], typer.Option(help="Which axis of the file points up.")] = "y",
    split: Annotated[
        str | None, typer.Option(help="Only this split of an index.jsonl.", rich_help_panel=SOURCES)
    ] = None,
    objaverse: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Uids of Objaverse, one a line.", rich_help_panel=SOURCES)
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Captions by id, as Cap3D's.", rich_help_panel=SOURCES)
    ] = None,
    quality: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Only Objaverse++'s good ones.", rich_help_panel=SOURCES)
    ] = None,
    semantics: Annotated[
        Path | None, typer.Option(metavar="CSV", help="HSSD's objects.csv.", rich_help_panel=SOURCES)
    ] = None,
    licences: Annotated[
        str, typer.Option("--license", metavar="LIST", help="Only these: cc0,cc-by.", rich_help_panel=SOURCES)
    ] = "",
    jitter: Annotated[bool, typer.Option(help="Vary shape and light, for training.")] = False,
    composed: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Instead, N objects put together of their parts, to train on."),
    ] = None,
    random_start: Annotated[bool, typer.Option("--random-start", help="A random first azimuth an object.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of light, jitter and random starts.")] = 0,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", min=1, max=1024, help="Processes.", show_default="one a core", rich_help_panel=SCALE
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds for one object in a worker.", rich_help_panel=SCALE)
    ] = 600.0,
    recycle: Annotated[
        int, typer.Option(min=1, help="Objects before a worker is replaced.", rich_help_panel=SCALE)
    ] = 500,
    memory: Annotated[int, typer.Option(min=64, help="MiB that a worker may take.", rich_help_panel=SCALE)] = 8192,
    retry: Annotated[
        bool, typer.Option("--retry", help="Render again what failed before.", rich_help_panel=SCALE)
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Pack N objects a WebDataset tar.", show_default="folders", rich_help_panel=SCALE
        ),
    ] = None,
    ray: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Use this Ray cluster; auto.", rich_help_panel=SCALE)
    ] = None,
    status: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Say how far the run in DIR is.", rich_help_panel=SCALE)
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write into a folder with other contents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest's records as JSON.")] = False,
) -> list[dict[str, Any]]:
    """Render orbit views of meshes, one folder of posed views an object.

    Example: viewmask render lamp.glb shoe.obj --out views --light studio
    """
    if status is not None:
        return _say_status(status, as_json)
    if out.is_file():
        raise ViewmaskError(f"{out} is a file: --out names a folder here")
    if not force and out.is_dir() and any(out.iterdir()) and not (out / "manifest.jsonl").exists():
        raise ViewmaskError(f"{out} holds things that viewmask did not make: choose another --out, or pass --force")

    from render import catalogue, demo
    from render.composed import compose
    from render.run import render_orbits
    from render.source import find
    from render.workers import Limits

    with tempfile.TemporaryDirectory(prefix="viewmask-") as scratch, progress("rendering", "objects") as report:
        if not meshes and objaverse is None:
            note("no mesh given: rendering the demo chair")
            meshes = [str(demo.write(scratch, ["chair"]))]
        sources = find(meshes or [], split)
        if objaverse is not None:
            sources += catalogue.objaverse(objaverse)
        listed = len(sources)
        if captions is not None:
            sources = catalogue.captioned(sources, captions)
        if quality is not None:
            sources = catalogue.rated(sources, quality)
        if semantics is not None:
            sources = catalogue.hssd(sources, semantics)
        if licences:
            sources = catalogue.licensed(sources, licences.split(","))
        if listed and not sources:
            raise ViewmaskError(
                f"nothing to render: --quality, --semantics and --license leave none of {listed} objects"
            )
        if composed is not None:
            sources = [*compose(sources, composed, seed)]
        records = render_orbits(
            sources, out, views=views, elevation=elevation, distance=distance, fov=fov,
            size=size, start="random" if random_start else start, engine=engine, light=light, samples=samples, up=up,
            jitter=jitter, seed=seed, workers=workers, progress=report, spp=spp, denoise=denoise,
            passes=[name for name in passes.split(",") if name],  # type: ignore[misc]  # checked there
            limits=Limits(time_limit, recycle, memory), retry=retry, shards=shards, ray=ray,
        )  # fmt: skip
    good = [record for record in records if record["status"] == "ok"]
    bad = [record for record in records if record["status"] != "ok"]
    if not good:
        raise ViewmaskError(f"nothing was rendered: {bad[0]['id']}: {bad[0]['reason']}")
    for record in bad[:NAMED]:
        note(f"left out {record['id']}: {record['reason']}")
    if len(bad) > NAMED:
        note(f"left out {len(bad) - NAMED} more: see viewmask render --status {out}")
    if shards is None:
        output.remember(views=out / good[-1]["id"])
        files = [out / record["id"] / "transforms.json" for record in good]
    else:
        files = sorted(out.glob("[0-9]*.tar"))
    output.say(as_json, {"out": str(out), "objects": records}, files if len(files) < 8 else [out])
    return records


def _say_status(out: Path, as_json: bool) -> list[dict[str, Any]]:
    """How far the run in `out` is, on standard output."""
    from render.status import Status

    state = Status.read(out)
    if as_json:
        print(json.dumps(asdict(state), indent=1))
        return [asdict(state)]
    failed = sum(state.failed.values())
    print(f"{'running' if state.running else 'not running'}: {state.objects} objects")
    each = state.bytes / 1e3 / max(state.done, 1)
    print(f"done    {state.done:7}   {state.bytes / 1e6:.1f} MB, {each:.0f} kB an object")
    print(f"failed  {failed:7}")
    for reason, count in state.failed.items():
        print(f"        {count:7}   {reason}")
    time_left = f", {duration(state.seconds_left)} left" if state.seconds_left and state.running else ""
    print(f"left    {state.left:7}   {state.rate:.0f} objects/h{time_left}")
    return [asdict(state)]
