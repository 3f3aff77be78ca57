"""`viewmask reconstruct`: a folder of posed views to a textured mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, steps

if TYPE_CHECKING:
    from viewmask.views.viewset import ViewSet

Layout = Literal["zero123plus", "mvadapter", "syncdreamer"]

SUFFIXES = (".glb", ".obj", ".ply", ".stl", ".3mf")


def reconstruct(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DIR]",
            help="Posed views, or one picture of them all (see --layout).",
            show_default="the views written last",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Mesh: .glb, .obj, .ply, .stl, .3mf.", show_default="mesh.glb beside the views"
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option("--method", "-m", help="field: learnt; hull: silhouettes alone; nerfacto and others: nerfstudio."),
    ] = "field",
    refine: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="Fit the mesh to the views, if that helps.")
    ] = 0,
    weights: Annotated[
        Path | None, typer.Option(help="Of the field, from viewmask train recon.", show_default="the shipped ones")
    ] = None,
    nerfstudio: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="Of nerfstudio's environment.", show_default="$VIEWMASK_NERFSTUDIO"),
    ] = None,
    nerf_steps: Annotated[
        int | None, typer.Option("--steps", min=1, help="Of nerfstudio's training.", show_default="its device's")
    ] = None,
    faces: Annotated[int, typer.Option(min=100, max=2_000_000, help="Most triangles.")] = 20_000,
    texture: Annotated[int, typer.Option(min=64, max=8192, help="Side of the texture in pixels.")] = 1024,
    resolution: Annotated[int, typer.Option(min=16, max=512, help="Grid points along the longest side.")] = 128,
    raw: Annotated[bool, typer.Option("--raw", help="Also write the signed field, as .npz beside the mesh.")] = False,
    layout: Annotated[Layout | None, typer.Option(help="The picture is a grid that this generator wrote.")] = None,
    page: Annotated[Path | None, typer.Option(help="Also write a turntable page (.html).")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a folder of four or more posed views into a closed, textured mesh.

    Example: viewmask reconstruct chair --out chair.glb
    """
    if folder is None and layout is not None:
        raise ViewmaskError(
            f"--layout {layout} of which picture? Write viewmask reconstruct grid.png --layout {layout}"
        )
    if folder is None:
        folder = output.last_views()
        note(f"taking the views written last: {folder}")
    out = out or (folder / "mesh.glb" if layout is None else folder.with_suffix(".glb"))
    if out.suffix.lower() not in SUFFIXES:
        raise ViewmaskError(f"{out}: the suffix picks the format, one of {', '.join(SUFFIXES)}")
    beside = [out.with_suffix(suffix) for suffix in (".mtl", ".png")] if out.suffix.lower() == ".obj" else []
    field = out.with_suffix(".npz") if raw else None
    for file in filter(None, (out, *beside, page, field)):
        output.check_file(file, force)

    if layout is not None:
        from recon.layout import read

        views = read(folder, layout)
    elif folder.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise ViewmaskError(f"{folder} is one picture: say how its views lie, as in --layout zero123plus")
    else:
        from viewmask.views.viewset import ViewSet

        views = ViewSet.load(folder)
    files, about = _write(
        views, out, page, field, method, faces, texture, resolution, refine=refine, weights=weights,
        nerfstudio=nerfstudio, steps=nerf_steps,
    )  # fmt: skip
    output.remember(files)
    record = {"views": str(folder), "mesh": about, "files": [str(file) for file in files]}
    output.say(as_json, record, files, facts(about))
    return files


def write_mesh(
    views: ViewSet,
    path: Path,
    page: Path | None = None,
    faces: int = 20_000,
    texture: int = 1024,
) -> list[Path]:
    """Reconstruct, save the mesh and its page, and return the files written."""
    return _write(views, path, page, None, "field", faces, texture)[0]


def facts(about: dict[str, Any]) -> str:
    """A mesh's summary in words: `watertight, 1 component, 20,000 faces, size 0.41 x 0.52 x 1.00, +Y up`."""
    components = about["components"]
    size = " x ".join(f"{side:.2f}" for side in about["size"])
    return (
        f"{'' if about['watertight'] else 'not '}watertight, {components} component{'s' if components > 1 else ''}, "
        f"{about['faces']:,} faces, size {size}, {about['up']} up"
    )


def _write(
    views: ViewSet,
    path: Path,
    page: Path | None,
    raw: Path | None,
    method: str,
    faces: int,
    texture: int,
    resolution: int = 128,
    **options: Any,
) -> tuple[list[Path], dict[str, Any]]:
    with steps("reconstructing the mesh") as report:
        from recon.mesh import UP
        from recon.page import write_page
        from recon.reconstructor import reconstruct as mesh_from_views

        mesh = mesh_from_views(
            views, method, faces=faces, texture=texture, resolution=resolution, progress=report, **options
        )
        report("writing", 0.96)
        files = [Path(file) for file in mesh.save(path)]
        if page is not None:
            files.append(write_page(mesh, views, page))
        if raw is not None:
            files.append(mesh.save_raw(raw))
    for line in mesh.notes:
        note(line)
    return files, mesh.summary() | {"up": UP[path.suffix.lower()], "notes": list(mesh.notes)}
