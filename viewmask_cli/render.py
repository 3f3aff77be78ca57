"""`viewmask render`: mesh files to folders of posed views."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from render.settings import PASSES, Engine, Light, Limits, Settings, Up
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.counting import counted
from viewmask.views.conventions import TRANSFORMS
from viewmask_cli import output
from viewmask_cli.progress import duration, note, progress

if TYPE_CHECKING:
    from render.source import Source

SOURCES, SCALE = "What to render", "Many objects"  # panels of --help
NAMED = 20  # failures listed one by one


def render(
    meshes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MESH]...",
            help="Mesh files, folders, zips, glob patterns, or an index.jsonl.",
            show_default="a demo object",
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder to write. The same command resumes a killed run.")
    ] = Path("views"),
    views: Annotated[int, typer.Option(min=1, max=1000, help="Views around the object.")] = Settings.views,
    elevation: Annotated[
        float, typer.Option(min=-89.0, max=89.0, help="Degrees above the horizon.")
    ] = Settings.elevation,
    size: Annotated[int, typer.Option(min=8, max=8192, help="Side of a picture in pixels.")] = Settings.size,
    distance: Annotated[
        float, typer.Option(help="From camera to object; the object's longest side is 1.")
    ] = Settings.distance,
    fov: Annotated[float, typer.Option(help="Field of view in degrees.")] = Settings.fov,
    start: Annotated[float, typer.Option(help="Azimuth of the first view in degrees.")] = 0.0,
    engine: Annotated[
        Engine, typer.Option(help="raycast is fast; blender traces paths and needs the extra `blender`.")
    ] = Settings.engine,
    light: Annotated[
        Light, typer.Option(help="none: bare colour. uniform: grey sky and a lamp. studio: key light with soft shadow.")
    ] = Settings.light,
    samples: Annotated[
        int, typer.Option(min=1, max=16, help="Rays along each side of a pixel; more gives smoother edges.")
    ] = Settings.samples,
    spp: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Blender: Cycles samples per pixel.", show_default="by light")
    ] = Settings.spp,
    denoise: Annotated[bool, typer.Option("--denoise", help="Blender: remove noise.")] = Settings.denoise,
    passes: Annotated[
        str,
        typer.Option(
            metavar="LIST", help=f"Also write passes.npz with any of {','.join(PASSES)}.", show_default="none"
        ),
    ] = "",
    up: Annotated[Up, typer.Option(help="Which axis of the mesh files points up.")] = Settings.up,
    split: Annotated[
        str | None, typer.Option(help="Only this split of an index.jsonl, such as train.", rich_help_panel=SOURCES)
    ] = None,
    objaverse: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="File of Objaverse uids, one per line, to download and render.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, metavar="CSV", help="Captions by id, such as Cap3D's.", rich_help_panel=SOURCES
        ),
    ] = None,
    quality: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="JSON",
            help="Only what this Objaverse++ file calls good.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    semantics: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            metavar="CSV",
            help="Only what HSSD's objects.csv lists, with its names.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    licences: Annotated[
        str,
        typer.Option(
            "--license",
            metavar="LIST",
            help="Only objects of these licences, such as cc0,cc-by.",
            show_default="any",
            rich_help_panel=SOURCES,
        ),
    ] = "",
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient",
            help="Render an object without textures or materials that it lacks, with a note, in place of failing it.",
            rich_help_panel=SOURCES,
        ),
    ] = Settings.lenient,
    jitter: Annotated[bool, typer.Option(help="Vary shape and light, for training.")] = Settings.jitter,
    photos: Annotated[
        int,
        typer.Option(
            min=0,
            max=1000,
            metavar="N",
            help="N pictures as people take them instead of the orbit: any elevation, lens and framing; for training.",
            show_default=False,
        ),
    ] = Settings.photos,
    composed: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Render N objects composed of the meshes instead, for training.",
            show_default=False,
        ),
    ] = None,
    procedural: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Render N objects made at random, for training; no mesh is read.",
            show_default=False,
        ),
    ] = None,
    random_start: Annotated[
        bool, typer.Option("--random-start", help="A random first azimuth for each object.")
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, help="Seed of light, jitter, random starts, composed and procedural objects.")
    ] = Settings.seed,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            "-j",
            min=1,
            max=1024,
            help="Worker processes.",
            show_default="one a core",
            rich_help_panel=SCALE,
        ),
    ] = None,
    time_limit: Annotated[
        float, typer.Option(help="Seconds that an object may take.", rich_help_panel=SCALE)
    ] = Limits.seconds,
    recycle: Annotated[
        int, typer.Option(min=1, help="Replace a worker after so many objects.", rich_help_panel=SCALE)
    ] = Limits.jobs,
    memory: Annotated[
        int, typer.Option(min=64, help="Memory that an object may take, in MiB.", rich_help_panel=SCALE)
    ] = Limits.mebibytes,
    retry: Annotated[
        bool, typer.Option("--retry", help="Render again what failed before.", rich_help_panel=SCALE)
    ] = False,
    shards: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Pack N objects into each WebDataset tar.",
            show_default="folders",
            rich_help_panel=SCALE,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Render on the Ray cluster at this address; auto finds it.", rich_help_panel=SCALE
        ),
    ] = None,
    status: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            metavar="DIR",
            help="Show the progress of the run in DIR, and render nothing.",
            rich_help_panel=SCALE,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Write even into a folder with other contents.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest's records as JSON.")] = False,
) -> list[dict[str, Any]]:
    """Render meshes from cameras on an orbit: one folder of posed views per object.

    Example: viewmask render lamp.glb shoe.obj --out views --light studio
    """
    if status is not None:
        return _say_status(status, as_json)
    atomic.attempt(out)
    if out.is_file():
        raise ViewmaskError(f"{out} is a file: --out names a folder here")
    if not force and out.is_dir() and any(out.iterdir()) and not (out / "manifest.jsonl").exists():
        raise ViewmaskError(f"{out} holds things that viewmask did not make: choose another --out, or pass --force")

    chosen = (meshes, split, objaverse, composed, captions, quality, semantics, licences)
    if procedural is not None and any(chosen):
        raise ViewmaskError("--procedural reads no meshes: leave out MESH, --composed, and what chooses among meshes")
    settings = Settings(
        views=views, elevation=elevation, distance=distance, fov=fov, size=size,
        start="random" if random_start else start, engine=engine, light=light, samples=samples, seed=seed,
        jitter=jitter, up=up, spp=spp, denoise=denoise, lenient=lenient,
        passes=tuple(name for name in passes.split(",") if name),  # type: ignore[misc]  # checked there
        photos=photos,
    )  # fmt: skip

    from render.composed import compose, invent
    from render.run import render_orbits
    from render.status import Status

    with tempfile.TemporaryDirectory(prefix="viewmask-") as scratch, progress("rendering", "objects") as report:
        if procedural is None and not meshes and objaverse is None:
            from render import demo

            note("no mesh given: rendering the demo chair")
            meshes = [str(demo.write(scratch, ["chair"]))]
        if procedural is not None:
            sources: list[Source] = [*invent(procedural, seed)]
        else:
            sources = _sources(meshes or [], split, objaverse, captions, quality, semantics, licences)
        if composed is not None:
            sources = [*compose(sources, composed, seed)]
        records = render_orbits(
            sources, out, settings, workers=workers, limits=Limits(time_limit, recycle, memory), retry=retry,
            shards=shards, ray=ray, progress=report,
        )  # fmt: skip
    good = [record for record in records if record["status"] == "ok"]
    bad = [record for record in records if record["status"] != "ok"]
    if not good:
        raise ViewmaskError(f"nothing was rendered: {bad[0]['id']}: {bad[0]['reason']}")
    for record in bad[:NAMED]:
        note(f"left out {record['id']}: {record['reason']}")
    if len(bad) > NAMED:
        note(f"left out {len(bad) - NAMED} more: see viewmask render --status {out}")
    noted = [record for record in good if record.get("notes")]
    for record in noted[:NAMED]:
        note(f"{record['id']}: {'; '.join(record['notes'])}")
    if len(noted) > NAMED:
        note(f"{len(noted) - NAMED} more have notes: see {out / 'manifest.jsonl'}")
    if others := Status.read(out).others:
        sets = counted(others, "view set")
        note(f"{out} also holds {sets} of other settings: an earlier run made them, and they stay")
    if shards is None:
        output.remember(views=out / good[-1]["id"])
        files = [out / record["id"] / TRANSFORMS for record in good]
    else:
        files = sorted(out.glob("[0-9]*.tar"))
    output.say(as_json, {"out": str(out), "objects": records}, files if len(files) < 8 else [out])
    return records


def _sources(
    meshes: list[str],
    split: str | None,
    uids: Path | None,
    captions: Path | None,
    quality: Path | None,
    semantics: Path | None,
    licences: str,
) -> list[Source]:
    """The objects that the options of the panel "What to render" leave."""
    from render import catalogue
    from render.objaverse import from_uids
    from render.source import find

    sources = find(meshes, split)
    if uids is not None:
        sources += from_uids(uids)
    if split is not None and not sources:
        raise ViewmaskError(f"nothing to render: no object is in split {split!r}")
    if captions is not None:
        sources = catalogue.captioned(sources, captions)
    if quality is not None:
        sources = _left(catalogue.rated(sources, quality), sources, f"--quality {quality}")
    if semantics is not None:
        sources = _left(catalogue.hssd(sources, semantics), sources, f"--semantics {semantics}")
    if licences:
        have = Counter(str(source.about.get("license") or "none") for source in sources)
        names = ", ".join(f"{name} ({count})" for name, count in have.most_common(5))
        sources = _left(
            catalogue.licensed(sources, licences.split(",")), sources, f"--license {licences}", f"they have: {names}"
        )
    return sources


def _left(kept: list[Source], sources: list[Source], option: str, why: str = "look for a slip in it") -> list[Source]:
    """What an option leaves; an error if it leaves nothing of something."""
    if sources and not kept:
        raise ViewmaskError(f"nothing to render: {option} leaves none of {len(sources)} objects; {why}")
    return kept


def _say_status(out: Path, as_json: bool) -> list[dict[str, Any]]:
    """How far the run in `out` is, on standard output."""
    from render.status import Status

    state = Status.read(out)
    if as_json:
        print(json.dumps(asdict(state), indent=1))
        return [asdict(state)]
    failed = sum(state.failed.values())
    print(f"{'running' if state.running else 'not running'}: {counted(state.objects, 'object')}")
    each = state.bytes / 1e3 / max(state.done, 1)
    print(f"done    {state.done:7}   {state.bytes / 1e6:.1f} MB, {each:.0f} kB an object")
    print(f"failed  {failed:7}")
    for reason, count in state.failed.items():
        print(f"        {count:7}   {reason}")
    time_left = f", {duration(state.seconds_left)} left" if state.seconds_left and state.running else ""
    print(f"left    {state.left:7}   {state.rate:.0f} objects/h{time_left}")
    if state.others:
        print(f"others  {state.others:7}   of other settings, from an earlier run")
    return [asdict(state)]
