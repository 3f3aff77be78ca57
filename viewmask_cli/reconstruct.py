"""`viewmask reconstruct`: a folder of posed views to a textured mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, working

if TYPE_CHECKING:
    from viewmask.viewset import ViewSet

SUFFIXES = (".glb", ".obj", ".ply", ".stl")


def reconstruct(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[DIR]", help="Posed views.", show_default="the views written last")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Mesh: .glb, .obj, .ply or .stl.", show_default="mesh.glb beside the views"),
    ] = None,
    faces: Annotated[int, typer.Option(min=100, max=2_000_000, help="Most triangles.")] = 20_000,
    texture: Annotated[int, typer.Option(min=64, max=8192, help="Side of the texture in pixels.")] = 1024,
    page: Annotated[Path | None, typer.Option(help="Also write a turntable page (.html).")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a folder of four or more posed views into a closed, textured mesh.

    Example: viewmask reconstruct chair --out chair.glb
    """
    if folder is None:
        folder = output.last_views()
        note(f"taking the views written last: {folder}")
    out = out or folder / "mesh.glb"
    if out.suffix.lower() not in SUFFIXES:
        raise ViewmaskError(f"{out}: the suffix picks the format, one of {', '.join(SUFFIXES)}")
    beside = [out.with_suffix(suffix) for suffix in (".mtl", ".png")] if out.suffix.lower() == ".obj" else []
    for file in filter(None, (out, *beside, page)):
        output.check_file(file, force)

    from viewmask.viewset import ViewSet

    views = ViewSet.load(folder)
    files = write_mesh(views, out, page, faces, texture)
    output.remember(files)
    output.say(as_json, {"views": str(folder), "files": [str(file) for file in files]}, files)
    return files


def write_mesh(
    views: ViewSet, path: Path, page: Path | None = None, faces: int = 20_000, texture: int = 1024
) -> list[Path]:
    """Reconstruct, save the mesh and its page, and return the files written."""
    with working("reconstructing the mesh"):
        from recon import reconstruct as mesh_from_views
        from recon.page import write_page

        mesh = mesh_from_views(views, faces=faces, texture=texture)
        files = [Path(file) for file in mesh.save(path)]
        if page is not None:
            files.append(write_page(mesh, views, page))
    return files
