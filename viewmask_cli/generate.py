"""`viewmask generate`: a sentence or a picture to views, and to a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, progress, working
from viewmask_cli.reconstruct import write_mesh

if TYPE_CHECKING:
    from viewmask.viewset import ViewSet

Schedule = Literal["cosine", "linear", "quadratic"]


def generate(
    text: Annotated[str | None, typer.Option("--text", "-t", help="What to show; with --image, what it shows.")] = None,
    image: Annotated[
        Path | None, typer.Option("--image", "-i", help="A picture with transparency or a plain background.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="named after the input")
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=16, help="Views around the object (trained on 4).")] = 4,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Sampling steps.")] = 20,
    schedule: Annotated[Schedule, typer.Option(help="How fast tokens are settled.")] = "cosine",
    temperature: Annotated[
        float | None, typer.Option(min=0.0, help="Variety; 0 takes the likeliest.", show_default="the model's own")
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0.0, help="Pull towards the input.", show_default="the model's own")
    ] = None,
    symmetry: Annotated[
        bool, typer.Option(help="Show --image again where a view looks like it or its mirror image.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    samples: Annotated[
        int, typer.Option(min=1, max=1000, help="More than one writes sub-folders, and says which fits best.")
    ] = 1,
    mesh: Annotated[bool, typer.Option("--mesh", "-m", help="Also write mesh.glb and page.html.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint folder.", show_default="the shipped weights")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --out, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a sentence or a picture into consistent views; with --mesh into a textured mesh too.

    Writes 000.png ..., transforms.json and sheet.png; with --mesh also mesh.glb and page.html.
    Views of a sentence whose silhouettes contradict each other are drawn anew, three times at most.

    Example: viewmask generate --text "a red chair" --mesh --out chair
    """
    if text is None and image is None:
        raise ViewmaskError('say what to show: --text "a red chair" or --image photo.png')
    if text is not None and not text.strip():
        raise ViewmaskError('the sentence is empty: try --text "a red chair"')
    if schedule not in get_args(Schedule):
        raise ViewmaskError(f"there is no schedule {schedule}: choose cosine, linear or quadratic")
    out = out or Path(output.slug(image.stem if image else str(text)))
    output.check_folder(out, force)

    reference = None
    if image is not None:
        from viewmask.picture import cut_out
        from viewmask.viewset import read_picture

        reference = cut_out(read_picture(image))

    with working("loading the model"):
        from recon.agreement import POOR, agreeing
        from viewmask.generator import Generator
        from viewmask.text import unfamiliar

        model = Generator.load(weights)
    if strange := unfamiliar(text or ""):
        named = ", ".join(f"'{word}'" for word in strange)
        note(f"training told the model little or nothing of {named}: what comes out may be something else")
    written: list[Path] = []
    results: list[dict[str, Any]] = []
    for sample in range(samples):

        def draw(seed: int, sample: int = sample) -> ViewSet:
            with progress("generating" if samples == 1 else f"generating {sample + 1} of {samples}") as report:
                how: dict[str, Any] = {
                    "views": views, "steps": steps, "schedule": schedule, "temperature": temperature,
                    "guidance": guidance, "seed": seed, "progress": report,
                }  # fmt: skip
                if reference is not None:
                    return model.from_image(reference, caption=text or "", symmetry=symmetry, **how)
                return model.from_text(str(text), **how)

        own = seed + sample
        if reference is not None:
            made = draw(own)
        else:
            drawn = agreeing(draw, own)
            made, own = drawn.views, drawn.seed
            if drawn.tries > 1:
                poor = "; another sentence or --seed may give a better shape" if drawn.agreement < POOR else ""
                note(f"drawn {drawn.tries} times: the views agree to {drawn.agreement:.0%}{poor}")
        if sample == 0 and samples > 1 and out.exists():
            output.clear(out)  # an earlier run may have left more samples than this one makes
        folder = out if samples == 1 else out / f"{sample:03d}"
        files = output.write_views(made, folder)
        output.remember(files, views=folder)
        if mesh:
            try:
                files += write_mesh(made, folder / "mesh.glb", page=folder / "page.html")
            except ViewmaskError as error:
                raise ViewmaskError(f"no mesh: {error} (the views are in {folder})") from error
            output.remember(files)
        results.append({"folder": str(folder), "seed": own, "files": [str(file) for file in files]})
        written += files
        if samples > 1 and reference is None:
            results[-1]["fit"] = round(model.fit(str(text), made), 1)
    if samples > 1 and reference is None:
        best = max(results, key=lambda result: result["fit"])["folder"]
        note(f"{best} fits the sentence best, as the model sees it; `viewmask reconstruct` takes it")
        output.remember(views=Path(best))
    output.say(as_json, {"out": str(out), "samples": results}, written)
    return written
