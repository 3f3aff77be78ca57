"""`viewmask generate`: a sentence or a picture to views, and to a mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from viewmask.errors import ViewmaskError
from viewmask.files.slug import slug
from viewmask.model.sampling import DRAWS, FROM_IMAGE, FROM_TEXT, SPEED, MaskSchedule, Order, Speed, at_speed
from viewmask.views.making import Making, digest
from viewmask.views.video import VideoFormat
from viewmask_cli import batch, output, repetition
from viewmask_cli.jobs import Made
from viewmask_cli.options import DeviceOption, JobsOption, PrecisionOption, WeightsOption
from viewmask_cli.progress import note
from viewmask_cli.subject import MESH, PAGE, TURNTABLE, Asked, Subject, loaded, make

if TYPE_CHECKING:
    from viewmask.generator import Generator


def _by_speed(name: str) -> str:
    """What a setting is by default."""
    sentence, picture = (str(getattr(at_speed(each), name)) for each in (FROM_TEXT, FROM_IMAGE))
    return sentence if sentence == picture else f"{sentence}; {picture} with --image"


def generate(
    text: Annotated[
        str | None, typer.Option("--text", "-t", help="The object in words; with --image, what the picture shows.")
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            "--image",
            "-i",
            help="A picture of one object, best from about 30 degrees above; may be repeated, and name a folder.",
        ),
    ] = None,
    text_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A batch: a sentence a line.", show_default=False)
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Make DIR's views again, with all settings as they were.", show_default=False),
    ] = None,
    cutout: Annotated[
        str,
        typer.Option(
            metavar="auto|alpha|plain|grabcut|rembg|MASK.png|u2net.onnx",
            help="What tells the object of --image: transparency, a plain background, GrabCut, rembg, a mask.",
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Folder to write.", show_default="named after the input and --seed"),
    ] = None,
    views: Annotated[int, typer.Option(min=1, max=16, help="Views around the object. The model learnt 4.")] = 4,
    speed: Annotated[
        Speed,
        typer.Option(help="balanced: twice as fast as exact, with fewer steps and less guidance. exact: as the paper."),
    ] = SPEED,
    steps: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Sampling steps.", show_default=_by_speed("steps"))
    ] = None,
    schedule: Annotated[
        MaskSchedule | None,
        typer.Option(help="Mask schedule: how fast tokens are unmasked.", show_default=_by_speed("schedule")),
    ] = None,
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
    refine: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=1000,
            help="Steps of the refiner, if the weights have one; 0 leaves it out.",
            show_default=str(FROM_TEXT.refine),
        ),
    ] = None,
    order: Annotated[
        Order | None,
        typer.Option(
            help="Which tokens come first: the surest, or evenly spread ones (Halton's sequence).",
            show_default=_by_speed("order"),
        ),
    ] = None,
    remask: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            metavar="SHARE",
            help="Mask so many of the settled tokens again at each step, and draw them anew (ReMDM).",
            show_default=_by_speed("remask"),
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
    video: Annotated[
        VideoFormat | None, typer.Option(help="Also write a turntable of the mesh: turntable.gif, .webp or .mp4.")
    ] = None,
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    jobs: JobsOption = 1,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace --out, whatever it holds.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> list[Path]:
    """Turn a sentence or a picture into consistent views, and with --mesh into a textured mesh.

    Writes 000.png ..., transforms.json and sheet.png. --image adds cutout.png, what was taken for the object: mend it,
    and give it back as --image. --mesh adds mesh.glb and page.html.
    Draws a sentence several times (--draws) and, among the draws whose views agree, keeps the one that fits best.
    transforms.json tells how it was made: --again DIR makes the same files once more, and says whether they are.
    Several inputs (--text-file, more than one --image, a folder) are a batch: a folder each, and a row in
    results.jsonl. What is done is skipped; a bad input is a row, and the exit code is 1.

    Example: viewmask generate --text "a red chair" --mesh --out chair
    """
    if again is not None:
        inputs = {"--text": text, "--image": image, "--text-file": text_file}
        if given := [name for name, value in inputs.items() if value]:
            raise ViewmaskError(f"--again takes everything from {again}: leave out {', '.join(given)}")
        return repetition.repeat(again, out, weights, device, precision, mesh, video, force, as_json)
    several = text_file is not None or (image is not None and (len(image) > 1 or image[0].is_dir()))
    if text is None and not image and text_file is None:
        raise ViewmaskError('say what to show: --text "a red chair" or --image photo.png')
    if text_file is not None and (text is not None or image):
        raise ViewmaskError("--text-file is a batch of sentences: leave out --text and --image")
    if text is not None and not text.strip():
        raise ViewmaskError('the sentence is empty: try --text "a red chair"')
    if schedule is not None and schedule not in get_args(MaskSchedule):
        raise ViewmaskError(f"there is no schedule {schedule}: choose {', '.join(get_args(MaskSchedule))}")
    if order is not None and order not in get_args(Order):
        raise ViewmaskError(f"there is no order {order}: choose {', '.join(get_args(Order))}")
    if not image and as_view:
        raise ViewmaskError("--as-view says what --image is: give one")
    if symmetry and not as_view:
        raise ViewmaskError("--symmetry repeats a given view: it needs --image and --as-view")
    asked = Asked(
        views=views, samples=samples, draws=draws, seed=seed, as_view=as_view, symmetry=symmetry, cutout=cutout,
        mesh=mesh or video is not None, video=video,
        sampling={
            "speed": speed, "steps": steps, "schedule": schedule, "temperature": temperature, "guidance": guidance,
            "refine": refine, "order": order, "remask": remask,
        },
    )  # fmt: skip
    if several and Path(cutout).suffix:
        raise ViewmaskError(
            f"{cutout} is a mask of one picture: leave it out of a batch, or cut the pictures out first"
        )
    if several:
        return _batch(asked, text, text_file, image or [], out, weights, device, precision, jobs, force, as_json)
    subject = Subject(text or "", image[0] if image else None)
    base = out or Path(subject.name + (f"-{seed}" if seed else ""))
    output.check_folder(base, force)
    if force:
        output.spare(base, [*(image or []), Path(cutout), *([weights] if weights else [])])
    subject = subject.cut(asked)
    for line in subject.notes:
        note(line)
    generator = loaded(weights, device, precision)

    def lost(place: Path) -> list[str]:
        return _lost(place, subject, asked)

    results = make(generator, subject, asked, lambda made: _place(base, made, out is not None, force, lost))
    written = [Path(file) for result in results for file in result["files"]]
    if samples > 1 and "fit" in results[0]:
        best = max(results, key=lambda result: result["fit"])["folder"]
        note(f"{best} fits the sentence best, as the model sees it; `viewmask reconstruct` takes it")
        output.remember(views=Path(best))
    home = Path(results[0]["folder"])
    record = {"out": str(home if samples == 1 else home.parent), "device": str(generator.weights.runs_on)}
    output.say(as_json, record | {"samples": results}, written)
    return written


def _place(base: Path, making: Making, named: bool, force: bool, lost: Callable[[Path], list[str]]) -> Path:
    """The folder that a result goes to: `base`, or one beside it where that holds another result or more files.

    A folder that the user named is replaced, and that is said.
    """
    held = output.held(base)
    if force or held is None:
        return base
    if isinstance(held, Making) and held.asks_as(making):
        if not (names := lost(base)):
            return base
        told = f"{', '.join(names)}, which this one lacks"
    else:
        told = f"another result ({held.told_from(making) if isinstance(held, Making) else held})"
    if named:
        note(f"{base} held {told}: it is replaced")
        return base
    place = output.vacant(base if making.seed else Path(f"{base}-{making.seed}"), making, lost)
    note(f"{base} holds {told}: this one goes to {place}")
    return place


def _lost(place: Path, subject: Subject, asked: Asked) -> list[str]:
    """What a folder holds and the same result made again would not: meshes made since, a cut-out that was mended."""
    from viewmask.views.cutout import CUTOUT
    from viewmask.views.picture import read_picture

    video = [f"{TURNTABLE}.{asked.video}"] if asked.video else []
    names = output.made_since(place, [*([MESH, PAGE] if asked.mesh else []), *video])
    if subject.shown is not None:
        own = digest(subject.shown.picture)
        names += [CUTOUT for file in place.rglob(CUTOUT) if digest(read_picture(file)) != own]
    return names


@dataclass(frozen=True)
class _Task:
    """The inputs of a batch, and how to make one (`viewmask_cli.jobs.Maker`)."""

    inputs: tuple[Path | str, ...]
    text: str
    folder: Path
    asked: Asked
    weights: Path | None
    device: str
    precision: str

    @cached_property
    def generator(self) -> Generator:
        """The model, loaded once in each process."""
        return loaded(self.weights, self.device, self.precision)

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # the model does not travel

    def prepare(self) -> None:
        _ = self.generator

    def __call__(self, index: int, name: str) -> Made:
        each = self.inputs[index]
        subject = Subject(each) if isinstance(each, str) else Subject(self.text, each)
        subject = subject.cut(self.asked)
        for line in subject.notes:
            note(line)
        place = self.folder / name
        output.check_folder(place, force=False)
        results = make(self.generator, subject, self.asked, lambda made: place)
        files = [Path(file) for result in results for file in result["files"]]
        notes = list(dict.fromkeys(line for result in results for line in result["notes"]))
        return Made(name, files, notes, {"text": subject.text})


def _batch(
    asked: Asked,
    text: str | None,
    text_file: Path | None,
    images: list[Path],
    out: Path | None,
    weights: Path | None,
    device: str,
    precision: str,
    jobs: int,
    force: bool,
    as_json: bool,
) -> list[Path]:
    """Many inputs: a process loads the model once."""
    inputs: list[Path | str] = [*batch.pictures(images)] if text_file is None else [*batch.sentences(text_file)]
    name = text_file.stem if text_file else f"{images[0].resolve().name}-views" if len(images) == 1 else "pictures"
    folder = out or Path(slug(name) + (f"-{asked.seed}" if asked.seed else ""))
    if force:
        output.spare(folder, [*images, *([text_file] if text_file else []), *([weights] if weights else [])])
    task = _Task(tuple(inputs), text or "", folder, asked, weights, device, precision)
    runs_on = str(task.generator.weights.runs_on)
    settings = asked.settings() | {"weights": task.generator.fingerprint, "runs_on": runs_on}
    rows = batch.Batch(folder, "generate", settings | ({"text": text} if text else {}), force)
    done = rows.run(inputs, task, jobs)
    batch.finish(rows, done, as_json, {"device": runs_on})
    return [folder / file for row in done for file in row.get("files", [])]
