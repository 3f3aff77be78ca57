"""`viewmask render`: mesh files to folders of posed views."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, progress

Engine = Literal["raycast", "blender"]
Light = Literal["none", "uniform", "studio"]


def render(
    meshes: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MESH]...", help="Mesh files, folders of them, or an index.jsonl.", show_default="a demo object"
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
    up: Annotated[Literal["y", "z"], typer.Option(help="Which axis of the file points up.")] = "y",
    split: Annotated[str | None, typer.Option(help="Only this split of an index.jsonl.")] = None,
    jitter: Annotated[bool, typer.Option(help="Vary shape and light, for training.")] = False,
    random_start: Annotated[bool, typer.Option("--random-start", help="A random first azimuth an object.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of light, jitter and random starts.")] = 0,
    workers: Annotated[int, typer.Option("--workers", "-j", min=1, max=1024, help="Processes.")] = 1,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write into a folder with other contents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest's records as JSON.")] = False,
) -> list[dict[str, Any]]:
    """Render orbit views of meshes, one folder of posed views an object.

    Example: viewmask render lamp.glb shoe.obj --out views --light studio
    """
    if out.is_file():
        raise ViewmaskError(f"{out} is a file: --out names a folder here")
    if not force and out.is_dir() and any(out.iterdir()) and not (out / "manifest.jsonl").exists():
        raise ViewmaskError(f"{out} holds things that viewmask did not make: choose another --out, or pass --force")

    from render import demo
    from render.orbit import render_orbits

    with tempfile.TemporaryDirectory(prefix="viewmask-") as scratch, progress("rendering", "objects") as report:
        if not meshes:
            note("no mesh given: rendering the demo chair")
            meshes = [demo.write(scratch, ["chair"])]
        records = render_orbits(
            meshes, out, views=views, elevation=elevation, distance=distance, fov=fov,
            size=size, start="random" if random_start else start, engine=engine, light=light, samples=samples, up=up,
            split=split, jitter=jitter, seed=seed, workers=workers, progress=report,
        )  # fmt: skip
    good = [out / record["id"] for record in records if record["status"] == "ok"]
    bad = [record for record in records if record["status"] != "ok"]
    if not good:
        raise ViewmaskError(f"nothing was rendered: {bad[0]['id']}: {bad[0]['reason']}")
    for record in bad:
        note(f"left out {record['id']}: {record['reason']}")
    output.remember(views=good[-1])
    files = [folder / "transforms.json" for folder in good]
    output.say(as_json, {"out": str(out), "objects": records}, files if len(files) < 8 else [out])
    return records
