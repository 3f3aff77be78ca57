"""`viewmask generate`: a sentence or a picture to views, and to a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from viewmask.errors import ViewmaskError
from viewmask.learning.device import DeviceName, Precision
from viewmask.model.sampling import DRAWS, FROM_IMAGE, FROM_TEXT, MaskSchedule, Sampling
from viewmask_cli import output
from viewmask_cli.progress import note, progress, working
from viewmask_cli.progress import steps as steps_of


def generate(
    text: Annotated[
        str | None, typer.Option("--text", "-t", help="The object in words; with --image, what the picture shows.")
    ] = None,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="A picture with transparency or a plain background.")
    ] = None,
    cutout: Annotated[
        str,
        typer.Option(
            metavar="auto|alpha|plain|grabcut|rembg|MASK.png|u2net.onnx",
            help="What tells the object of --image: transparency, a plain background, GrabCut, rembg, a mask.",
        ),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="named after the input")
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=16, help="Views around the object. The model learnt 4.")] = 4,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Sampling steps.")] = Sampling.steps,
    schedule: Annotated[
        MaskSchedule, typer.Option(help="Mask schedule: how fast tokens are unmasked.")
    ] = Sampling.schedule,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="More gives more variety; 0 takes the likeliest tokens.",
            show_default=f"{FROM_TEXT.temperature:g}; {FROM_IMAGE.temperature:g} with --image",
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            help="How strongly views follow the input.",
            show_default=f"{FROM_TEXT.guidance:g}; {FROM_IMAGE.guidance:g} with --image",
        ),
    ] = None,
    as_view: Annotated[
        bool,
        typer.Option(
            "--as-view",
            help="--image is a view of the orbit, as in the paper: elevation 30, our lens and scale. It is kept.",
        ),
    ] = False,
    symmetry: Annotated[
        bool, typer.Option("--symmetry", help="With --as-view: where a view looks like --image, show that picture.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, max=1000, help="Number of results; several get a sub-folder each.")
    ] = 1,
    draws: Annotated[
        int, typer.Option(min=1, max=100, help="Draws of a sentence, of which one is kept. 1 is fastest.")
    ] = DRAWS,
    mesh: Annotated[bool, typer.Option("--mesh", "-m", help="Also write mesh.glb and page.html.")] = False,
    weights: Annotated[
        Path | None,
        typer.Option(
            exists=True, help="Folder of weights, such as runs/t2mv/weights.", show_default="the shipped weights"
        ),
    ] = None,
    device: Annotated[DeviceName, typer.Option(help="Where the model runs. auto: a CUDA GPU, else the CPU.")] = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Of the transformer. auto: bfloat16 on a GPU, else float32.")
    ] = "auto",
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --out, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a sentence or a picture into consistent views, and with --mesh into a textured mesh.

    Writes 000.png ..., transforms.json and sheet.png. --image adds cutout.png, what was taken for the object: mend it,
    and give it back as --image. --mesh adds mesh.glb and page.html.
    Draws a sentence several times (--draws) and, among the draws whose views agree, keeps the one that fits best.

    Example: viewmask generate --text "a red chair" --mesh --out chair
    """
    if text is None and image is None:
        raise ViewmaskError('say what to show: --text "a red chair" or --image photo.png')
    if text is not None and not text.strip():
        raise ViewmaskError('the sentence is empty: try --text "a red chair"')
    if schedule not in get_args(MaskSchedule):
        raise ViewmaskError(f"there is no schedule {schedule}: choose {', '.join(get_args(MaskSchedule))}")
    if image is None and as_view:
        raise ViewmaskError("--as-view says what --image is: give one")
    if symmetry and not as_view:
        raise ViewmaskError("--symmetry repeats a given view: it needs --image and --as-view")
    out = out or Path(output.slug(image.stem if image else str(text)))
    output.check_folder(out, force)

    reference, shown = None, None
    if image is not None:
        from viewmask.model.reference import reference_view
        from viewmask.views.cutout import CUTOUT, cut
        from viewmask.views.picture import LARGEST, read_picture

        shown = cut(read_picture(image, upright=True, largest=LARGEST), cutout)
        reference = reference_view(shown.picture, frame=not as_view)
        for line in (f"the object was cut out by {shown.how}", *shown.notes):
            note(line)

    with working("loading the model"):
        from viewmask import pipeline
        from viewmask.generator import Generator

        generator = Generator.load(weights, device, precision)
    runs_on = generator.weights.runs_on
    if runs_on.place.type != "cpu":
        note(f"running on {runs_on}")
    for line in pipeline.word_notes(generator, text or ""):
        note(line)
    written: list[Path] = []
    results: list[dict[str, Any]] = []
    for sample in range(samples):
        with progress("generating" if samples == 1 else f"generating {sample + 1} of {samples}") as report:
            outcome = pipeline.generate(
                generator, text or "", reference, views, as_view=as_view, draws=draws, seed=seed + sample,
                symmetry=symmetry, steps=steps, schedule=schedule, temperature=temperature, guidance=guidance,
                progress=report,
            )  # fmt: skip
        for line in outcome.notes:
            note(line)
        if sample == 0 and samples > 1 and out.exists():
            output.clear(out)  # an earlier run may have left more samples than this one makes
        folder = out if samples == 1 else out / f"{sample:03d}"
        files = pipeline.write_views(outcome.views, folder)
        if shown is not None:
            files.append(pipeline.write_picture(shown.picture, folder / CUTOUT))
        output.remember(files, views=folder)
        if mesh:
            try:
                with steps_of("reconstructing the mesh") as step:
                    mesh_files, surface = pipeline.write_mesh(
                        outcome.views, folder / "mesh.glb", folder / "page.html", progress=step
                    )
            except ViewmaskError as error:
                raise ViewmaskError(f"no mesh: {error} (the views are in {folder})") from error
            for line in surface.notes:
                note(line)
            files += mesh_files
            output.remember(mesh_files)
        results.append({"folder": str(folder), "seed": seed + sample, "files": [str(file) for file in files]})
        if shown is not None:
            results[-1]["cutout"] = shown.how
        if image is None and "fit" in outcome.views.extra:
            results[-1]["fit"] = outcome.views.extra["fit"]
        written += files
    if samples > 1 and "fit" in results[0]:
        best = max(results, key=lambda result: result["fit"])["folder"]
        note(f"{best} fits the sentence best, as the model sees it; `viewmask reconstruct` takes it")
        output.remember(views=Path(best))
    output.say(as_json, {"out": str(out), "device": str(runs_on), "samples": results}, written)
    return written
