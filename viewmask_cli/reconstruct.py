"""`viewmask reconstruct`: a folder of posed views to a textured mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recon.formats import SUFFIXES, UP, SheetFormat
from viewmask.errors import ViewmaskError
from viewmask.views.conventions import TRANSFORMS
from viewmask_cli import output
from viewmask_cli.progress import note, steps

if TYPE_CHECKING:
    pass


def reconstruct(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Folder of posed views; with --layout, one picture of several views.",
            show_default="the views written last",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Mesh file: .glb, .obj, .ply, .stl or .3mf.", show_default="mesh.glb beside the views"
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            "--method", "-m", help="field (learnt), hull (silhouettes alone), or a method of nerfstudio (nerfacto ...)."
        ),
    ] = "field",
    refine: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Refine the shape for this long; keep the result only if it is judged better.",
        ),
    ] = 0,
    weights: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Weights of the field, from viewmask train recon.", show_default="the shipped ones"
        ),
    ] = None,
    nerfstudio: Annotated[
        str | None,
        typer.Option(
            metavar="PYTHON",
            help="The python that has nerfstudio, such as nerf/bin/python.",
            show_default="$VIEWMASK_NERFSTUDIO",
        ),
    ] = None,
    nerf_steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Training steps of nerfstudio.", show_default="30000 with CUDA, else 2000"),
    ] = None,
    faces: Annotated[int, typer.Option(min=100, max=2_000_000, help="Most triangles of the mesh.")] = 20_000,
    texture: Annotated[int, typer.Option(min=64, max=8192, help="Side of the texture in pixels.")] = 1024,
    resolution: Annotated[
        int, typer.Option(min=16, max=512, help="Grid points along the longest side; more gives finer shape.")
    ] = 128,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also write the shape as a signed field (.npz) beside the mesh.")
    ] = False,
    layout: Annotated[
        SheetFormat | None, typer.Option(help="DIR is one picture of several views, as this generator writes it.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Also write a turntable page (.html).")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn posed views (four or more work best) into a closed, textured mesh.

    Posed views are a folder of pictures with their cameras (transforms.json).

    Example: viewmask reconstruct chair --out chair.glb
    """
    if method != "field":
        from recon.reconstructor import METHODS

        if method not in METHODS:
            from recon.nerfstudio import find_method

            find_method(method, nerfstudio)
    if folder is None and layout is not None:
        raise ViewmaskError(f"--layout {layout} needs a picture: viewmask reconstruct grid.png --layout {layout}")
    if folder is None:
        folder = output.last_views()
        note(f"taking the views written last: {folder}")
    if layout is None and folder.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise ViewmaskError(
            f"{folder} is one picture: name the generator that wrote it, as in --layout zero123plus; "
            f"or take it for a photo: viewmask generate --image {folder} --mesh"
        )
    home = folder.parent if folder.is_file() else folder  # a transforms.json stands for its folder
    out = out or (home / "mesh.glb" if layout is None else folder.with_suffix(".glb"))
    if out.suffix.lower() not in SUFFIXES:
        raise ViewmaskError(f"{out} has no suffix of a mesh format: choose one of {', '.join(SUFFIXES)}")
    beside = [out.with_suffix(suffix) for suffix in (".mtl", ".png")] if out.suffix.lower() == ".obj" else []
    field = out.with_suffix(".npz") if raw else None
    for file in filter(None, (out, *beside, page, field)):
        output.check_file(file, force)

    if layout is not None:
        from recon.sheet import read

        views = read(folder, layout)
    else:
        from viewmask.views.picture import LARGEST
        from viewmask.views.viewset import ViewSet

        _check_views(folder)
        views = ViewSet.load(folder, largest=max(LARGEST, texture), partial=True)
    with steps("reconstructing the mesh") as report:
        from viewmask.pipeline import write_mesh

        files, mesh = write_mesh(
            views, out, page, field, progress=report, method=method, faces=faces, texture=texture,
            resolution=resolution, refine=refine, weights=weights, nerfstudio=nerfstudio, steps=nerf_steps,
        )  # fmt: skip
    for line in mesh.notes:
        note(line)
    output.remember(files)
    about = mesh.summary() | {"up": UP[out.suffix.lower()], "notes": list(mesh.notes)}
    record = {"views": str(folder), "mesh": about, "files": [str(file) for file in files]}
    output.say(as_json, record, files, facts(about))
    return files


def _check_views(folder: Path) -> None:
    """Say where the view sets are, if a folder holds folders of them, as `generate --samples` and `render` write."""
    sets = sorted(place.parent for place in folder.glob(f"*/{TRANSFORMS}") if not place.parent.name.startswith("."))
    if sets and not any(folder.glob("transforms*.json")):
        others = f" (or another of its {len(sets)})" if len(sets) > 1 else ""
        raise ViewmaskError(f"{folder} holds folders of posed views: name one of them, as {sets[0]}{others}")


def facts(about: dict[str, Any]) -> str:
    """A mesh's summary in words: `watertight, 1 component, 20,000 faces, size 0.41 x 0.52 x 1.00, +Y up`."""
    components = about["components"]
    digits = ".2f" if max(about["size"]) >= 0.1 else ".3g"
    size = " x ".join(f"{side:{digits}}" for side in about["size"])
    return (
        f"{'' if about['watertight'] else 'not '}watertight, {components} component{'s' if components > 1 else ''}, "
        f"{about['faces']:,} faces, size {size}, {about['up']} up"
    )
