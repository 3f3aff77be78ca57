"""`viewmask generate`: a sentence or a picture to views, and to a mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, progress, working
from viewmask_cli.reconstruct import write_mesh

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
    draws: Annotated[
        int, typer.Option(min=1, max=100, help="Draw a sentence so often, and keep what fits it best.")
    ] = 4,
    mesh: Annotated[bool, typer.Option("--mesh", "-m", help="Also write mesh.glb and page.html.")] = False,
    weights: Annotated[Path | None, typer.Option(help="Checkpoint folder.", show_default="the shipped weights")] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --out, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a sentence or a picture into consistent views; with --mesh into a textured mesh too.

    Writes 000.png ..., transforms.json and sheet.png; with --mesh also mesh.glb and page.html.
    A sentence is drawn four times; of the draws whose silhouettes don't contradict each other the one that fits the
    sentence best is kept. --draws 1 is quickest, more are better.

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
        from viewmask.model.reference import cut_out
        from viewmask.views.viewset import read_picture

        reference = cut_out(read_picture(image))

    with working("loading the model"):
        from recon.agreement import POOR, agreeing
        from viewmask.model.captions import shown, thing, unfamiliar
        from viewmask.model.generator import Generator

        model = Generator.load(weights)
    strange = unfamiliar(text or "", model.words)
    if strange:
        named = ", ".join(f"'{word}'" for word in strange)
        left = unfamiliar(read := model.read(str(text)), model.words)
        says = [f"'{read}' is what it reads"] * (left != strange) + ["what comes out may be something else"] * bool(
            left
        )
        note(f"training told the model little or nothing of {named}: {' and '.join(says)}")
    name = thing(text or "")
    if name and weights is None and not shown(str(text)) and name not in map(str.lower, strange):
        note(f"training showed nothing that is called '{name}': what comes out may be something else")
    written: list[Path] = []
    results: list[dict[str, Any]] = []
    for sample in range(samples):
        with progress("generating" if samples == 1 else f"generating {sample + 1} of {samples}") as report:
            how: dict[str, Any] = {
                "views": views, "steps": steps, "schedule": schedule, "temperature": temperature,
                "guidance": guidance, "seed": seed + sample, "progress": report,
            }  # fmt: skip
            if reference is not None:
                made = model.from_image(reference, caption=text or "", symmetry=symmetry, **how)
            else:
                chosen = agreeing(model.samples(str(text), draws, **how))
                made = chosen.views
        if reference is None and chosen.agreement < POOR:
            others = f", none of {draws} draws to more" if draws > 1 else ""
            advice = "another sentence, --seed or more --draws may give a better shape"
            note(f"the views agree to {chosen.agreement:.0%}{others}; {advice}")
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
        results.append({"folder": str(folder), "seed": seed + sample, "files": [str(file) for file in files]})
        if reference is None:
            results[-1] |= {key: made.extra[key] for key in ("fit",) if key in made.extra}
        written += files
    if samples > 1 and "fit" in results[0]:
        best = max(results, key=lambda result: result["fit"])["folder"]
        note(f"{best} fits the sentence best, as the model sees it; `viewmask reconstruct` takes it")
        output.remember(views=Path(best))
    output.say(as_json, {"out": str(out), "samples": results}, written)
    return written
