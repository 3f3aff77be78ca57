"""`viewmask reconstruct`: a folder of posed views to a textured mesh."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recon.formats import PRINTED, SUFFIXES, UP, SheetFormat
from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.video import check_format
from viewmask_cli import batch, output
from viewmask_cli.jobs import Made
from viewmask_cli.options import JobsOption
from viewmask_cli.progress import note, progress, steps

if TYPE_CHECKING:
    from recon.mesh import TexturedMesh
    from viewmask.views.viewset import ViewSet


def reconstruct(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[DIR]...",
            help="Folder of posed views; with --layout, one picture of several views. Several are a batch.",
            show_default="the views written last in this terminal",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Mesh file: .glb, .obj, .ply, .stl or .3mf; of a batch, the folder for its meshes.",
            show_default="mesh.glb beside the views, mesh.3mf with --print-size; of a batch, meshes",
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
    print_size: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="MM",
            help="For a 3D printer: the longest side in millimetres, +Z up, as .3mf or .stl.",
            show_default="not for a printer",
        ),
    ] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Also write the shape as a signed field (.npz) beside the mesh.")
    ] = False,
    layout: Annotated[
        SheetFormat | None, typer.Option(help="DIR is one picture of several views, as this generator writes it.")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Also write a turntable page (.html).")] = None,
    video: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a turntable: .gif, .webp or .mp4.")
    ] = None,
    jobs: JobsOption = 1,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite files that viewmask did not make.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn posed views (four or more work best) into a closed, textured mesh.

    Posed views are a folder of pictures with their cameras (transforms.json).
    Several folders are a batch: a mesh each in --out, and a row in results.jsonl. What is done is skipped; a bad
    folder is a row, and the exit code is 1.

    Example: viewmask reconstruct chair --out chair.glb
    """
    if method != "field":
        from recon.reconstructor import METHODS

        if method not in METHODS:
            from recon.nerfstudio import find_method

            find_method(method, nerfstudio)
    if not folders and layout is not None:
        raise ViewmaskError(f"--layout {layout} needs a picture: viewmask reconstruct grid.png --layout {layout}")
    if video is not None:
        check_format(video)
    options = {
        "method": method, "faces": faces, "texture": texture, "resolution": resolution, "refine": refine,
        "weights": weights, "nerfstudio": nerfstudio, "steps": nerf_steps,
    }  # fmt: skip
    if folders and len(folders) > 1:
        if page is not None or video is not None or print_size is not None:
            raise ViewmaskError("--page, --video and --print-size are for one mesh: leave them out of a batch")
        return _batch(folders, out or Path("meshes"), layout, raw, options, jobs, force, as_json)
    if folders:
        folder = folders[0]
    else:
        folder, about = output.last_views()
        note(f"taking the views written last in this terminal: {folder}{about}")
    home = folder.parent if folder.is_file() else folder  # a transforms.json stands for its folder
    suffix = ".glb" if print_size is None else PRINTED[0]
    out = out or (home / f"mesh{suffix}" if layout is None else folder.with_suffix(suffix))
    if print_size is not None and out.suffix.lower() not in PRINTED:
        raise ViewmaskError(f"{out} is for no printer: with --print-size choose one of {', '.join(PRINTED)}")
    if out.suffix.lower() not in SUFFIXES:
        raise ViewmaskError(f"{out} has no suffix of a mesh format: choose one of {', '.join(SUFFIXES)}")
    beside = [out.with_suffix(suffix) for suffix in (".mtl", ".png")] if out.suffix.lower() == ".obj" else []
    field = out.with_suffix(".npz") if raw else None
    for file in filter(None, (out, *beside, page, video, field)):
        output.check_file(file, force)
    views = _read(folder, layout, texture)
    files, mesh = _mesh(views, out, page, field, options | {"print_size": print_size})
    if video is not None:
        from viewmask.pipeline import write_turntable

        with progress("rendering the turntable", "frames") as report:
            files.append(write_turntable(mesh, video, progress=report))
    output.remember(files)
    about_mesh = mesh.summary() | {"up": UP[out.suffix.lower()], "notes": list(mesh.notes)}
    if print_size is not None:
        sides = about_mesh["size"]
        about_mesh |= {"size": [round(side * print_size / max(sides), 2) for side in sides], "unit": "mm", "up": "+Z"}
    record = {"views": str(folder), "mesh": about_mesh, "files": [str(file) for file in files]}
    output.say(as_json, record, files, facts(about_mesh))
    return files


@dataclass(frozen=True)
class _Task:
    """The views of a batch, and how to make the mesh of one set (`viewmask_cli.jobs.Maker`)."""

    folders: tuple[Path, ...]
    out: Path
    layout: SheetFormat | None
    raw: bool
    options: dict[str, Any]

    def prepare(self) -> None:
        """Nothing is needed beforehand."""

    def __call__(self, index: int, name: str) -> Made:
        views = _read(self.folders[index], self.layout, self.options["texture"])
        path = self.out / f"{name}.glb"
        files, mesh = _mesh(views, path, None, path.with_suffix(".npz") if self.raw else None, self.options)
        output.remember(files)
        return Made(name, files, mesh.notes, {"mesh": mesh.summary() | {"up": UP[path.suffix]}})


def _batch(
    folders: list[Path],
    out: Path,
    layout: SheetFormat | None,
    raw: bool,
    options: dict[str, Any],
    jobs: int,
    force: bool,
    as_json: bool,
) -> list[Path]:
    """Many sets of views: a mesh each."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    if force:
        output.spare(out, folders)
    rows = batch.Batch(out, "reconstruct", settings | {"layout": layout, "raw": raw}, force)
    done = rows.run(folders, _Task(tuple(folders), out, layout, raw, options), jobs)
    batch.finish(rows, done, as_json, {})
    return [out / file for row in done for file in row.get("files", [])]


def _read(folder: Path, layout: SheetFormat | None, texture: int) -> ViewSet:
    """The views of a folder, or of one picture with a layout."""
    if layout is not None:
        from recon.sheet import read

        return read(folder, layout)
    if folder.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
        raise ViewmaskError(
            f"{folder} is one picture: name the generator that wrote it, as in --layout zero123plus; "
            f"or take it for a photo: viewmask generate --image {folder} --mesh"
        )
    from viewmask.views.picture import LARGEST
    from viewmask.views.viewset import ViewSet

    _check_views(folder)
    return ViewSet.load(folder, largest=max(LARGEST, texture), partial=True)


def _mesh(
    views: ViewSet, out: Path, page: Path | None, field: Path | None, options: dict[str, Any]
) -> tuple[list[Path], TexturedMesh]:
    with steps("reconstructing the mesh") as report:
        from viewmask.pipeline import write_mesh

        files, mesh = write_mesh(views, out, page, field, progress=report, **options)
    for line in mesh.notes:
        note(line)
    return files, mesh


def _check_views(folder: Path) -> None:
    """Say where the view sets are, if a folder holds folders of them, as `generate --samples` and `render` write."""
    sets = sorted(place.parent for place in folder.glob(f"*/{TRANSFORMS}") if not place.parent.name.startswith("."))
    if sets and not any(folder.glob("transforms*.json")):
        others = f" (or another of its {len(sets)})" if len(sets) > 1 else ""
        raise ViewmaskError(
            f"{folder} holds folders of posed views: name one of them, as {sets[0]}{others}, or all: {folder}/*/"
        )


def facts(about: dict[str, Any]) -> str:
    """A mesh's summary in words: `watertight, 1 component, 20,000 faces, size 0.41 x 0.52 x 1.00, +Y up`."""
    components = about["components"]
    digits = ".2f" if max(about["size"]) >= 0.1 else ".3g"
    size = " x ".join(f"{side:{digits}}" for side in about["size"])
    unit = f" {about['unit']}" if "unit" in about else ""
    return (
        f"{'' if about['watertight'] else 'not '}watertight, {counted(components, 'component')}, "
        f"{counted(about['faces'], 'face')}, size {size}{unit}, {about['up']} up"
    )
