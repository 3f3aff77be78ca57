"""`viewmask edit`: a region of a view set is made anew, by a sentence; no training is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.options import DeviceOption, PrecisionOption, WeightsOption
from viewmask_cli.progress import note, progress, working
from viewmask_cli.subject import write_mesh


def edit(
    folder: Annotated[Path, typer.Argument(metavar="VIEWS", help="Folder of views, as viewmask generate writes them.")],
    region: Annotated[
        str,
        typer.Option(
            metavar="x,y,w,h|MASK.png",
            help="What is made anew: a box in pixels, or a mask as large as the view, white where it is.",
        ),
    ],
    text: Annotated[
        str, typer.Option("--text", "-t", help="The whole object in words, as it shall be. The views alone tell else.")
    ] = "",
    view: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The view that the region is drawn in; it is made anew in this view alone.",
            show_default="drawn in view 0, and made anew in its place in every view",
        ),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--everywhere", help="With --view: make its place in every other view anew, too.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write.", show_default="VIEWS-edited, or the next free name"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    guidance: Annotated[
        float | None, typer.Option(min=0.0, help="How strongly the sentence counts.", show_default="as in generate")
    ] = None,
    mesh: Annotated[bool, typer.Option("--mesh", "-m", help="Also write mesh.glb and page.html.")] = False,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --out, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Make a region of views anew: its tokens are masked again, and filled in together.

    All other tokens stay as they are, and their pixels, too. A view has 8 x 8 tokens of 32 pixels: whatever the region
    touches is made anew whole. Nobody knows how deep a region of one view reaches, so its place in the others is all
    that can lie behind it.

    Example: viewmask edit a-red-chair --region 60,40,140,90 --text "a red chair with a blue back"
    """
    from recon import region as regions_of
    from viewmask.views.making import Making
    from viewmask.views.viewset import ViewSet

    views = ViewSet.load(folder)
    if view is not None and view >= len(views):
        raise ViewmaskError(f"there is no view {view}: {folder} has views 0 to {len(views) - 1}")
    out = out or output.vacant(folder.with_name(f"{folder.resolve().name}-edited"), Making())
    if out.resolve() == folder.resolve():
        raise ViewmaskError("--out is the folder of the views themselves: name another one, so that both remain")
    output.check_folder(out, force)
    drawn = views.images[view or 0]
    region_drawn = regions_of.read(region, drawn.shape[1], drawn.shape[0])
    regions = regions_of.regions(region_drawn, view or 0, views, everywhere or view is None)

    with working("loading the model"):
        from viewmask import pipeline
        from viewmask.generator import Generator

        generator = Generator.load(weights, device, precision)
    for line in pipeline.word_notes(generator, text):
        note(line)
    with progress("editing") as report:
        outcome = pipeline.edit(generator, views, regions, text, seed=seed, guidance=guidance, progress=report)
    for line in outcome.notes:
        note(line)
    written = pipeline.write_views(outcome.views, out)
    output.remember(written, views=out)
    if mesh:
        files, _ = write_mesh(outcome.views, out)
        output.remember(files)
        written += files
    output.say(as_json, {"out": str(out), "seed": seed, "files": [str(file) for file in written]}, written)
    return written
