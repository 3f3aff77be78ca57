"""A repetition: `viewmask generate --again DIR` makes a result once more, and says whether the bytes are the same."""

from __future__ import annotations

from pathlib import Path

import typer

from viewmask.errors import ViewmaskError
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.video import VideoFormat
from viewmask_cli import output
from viewmask_cli.progress import note, progress
from viewmask_cli.subject import MESH, loaded, write


def repeat(
    folder: Path,
    out: Path | None,
    weights: Path | None,
    device: str,
    precision: str,
    mesh: bool,
    video: VideoFormat | None,
    force: bool,
    as_json: bool,
) -> list[Path]:
    """Make the views of `folder` again into `out`, and compare all that both hold.

    Raises:
        ViewmaskError: no such result, other weights, or a picture that is gone or was changed.
        typer.Exit: some file differs: exit code 1.
    """
    folder = folder.parent if folder.name == TRANSFORMS else folder
    if not (folder / TRANSFORMS).exists():
        sets = sorted(place.parent for place in folder.glob(f"*/{TRANSFORMS}"))
        known = f": name one of its folders, as {sets[0]}" if sets else ""
        raise ViewmaskError(f"{folder} holds no views of viewmask generate{known}")
    out = out or folder.with_name(f"{folder.resolve().name}-again")
    if out.resolve() == folder.resolve():
        raise ViewmaskError(f"{out} is what is to be made again: choose another --out")
    output.check_folder(out, force)
    from viewmask import pipeline
    from viewmask.model.reference import reference_view
    from viewmask.views.cutout import CUTOUT, CutOut
    from viewmask.views.making import KEY, Making
    from viewmask.views.picture import picture_of
    from viewmask.views.viewset import ViewSet

    views = ViewSet.load(folder)
    try:
        making = Making.of(views.extra.get(KEY))
        shown, reference = None, None
        if making.picture:
            shown = CutOut(picture_of(folder / CUTOUT), f"{making.cutout}, before", (), making.cutout)
            reference = reference_view(shown.picture, frame=not making.as_view)
        generator = loaded(weights, device, precision)
        if (runs_on := str(generator.weights.runs_on)) != making.runs_on:
            note(f"made on {making.runs_on}, repeated on {runs_on}: numbers may round differently")
        with progress("generating") as report:
            outcome = pipeline.again(generator, views, reference, report)
    except ViewmaskError as error:
        raise ViewmaskError(f"{folder} cannot be made again: {error}") from error
    result = write(outcome, shown, out, mesh or video is not None or (folder / MESH).exists(), video)
    files = [Path(file) for file in result["files"]]
    both = [file for file in files if (folder / file.name).exists()]
    changed = [file.name for file in both if file.read_bytes() != (folder / file.name).read_bytes()]
    facts = f"{len(both)} files, the same bytes as in {folder}"
    if changed:
        facts = f"{len(changed)} of {len(both)} files differ from those in {folder}: {', '.join(changed)}"
    record = {"out": str(out), "device": runs_on, "samples": [result], "again": str(folder), "changed": changed}
    output.say(as_json, record, files, facts)
    if changed:
        raise typer.Exit(1)
    return files
