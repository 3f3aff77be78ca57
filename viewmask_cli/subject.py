"""One subject of `viewmask generate`: what to show, how it was asked for, and the work of making it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from viewmask.errors import ViewmaskError
from viewmask.files.slug import slug
from viewmask.views.making import KEY, Making
from viewmask.views.video import VideoFormat
from viewmask_cli import output
from viewmask_cli.progress import note, progress, working
from viewmask_cli.progress import steps as steps_of

if TYPE_CHECKING:
    from recon.mesh import TexturedMesh
    from viewmask.generator import Generator
    from viewmask.pipeline import Outcome
    from viewmask.views.cutout import CutOut
    from viewmask.views.picture import Picture
    from viewmask.views.viewset import ViewSet

MESH, PAGE, TURNTABLE = "mesh.glb", "page.html", "turntable"


@dataclass(frozen=True)
class Asked:
    """How views were asked for, the same for every subject of a batch."""

    views: int
    samples: int
    draws: int
    seed: int
    as_view: bool
    symmetry: bool
    cutout: str
    mesh: bool
    video: VideoFormat | None
    sampling: dict[str, Any]

    def settings(self) -> dict[str, Any]:
        """All that results depend on, by the names of the options."""
        values = asdict(self)
        return {**values.pop("sampling"), **values}


@dataclass(frozen=True, eq=False)
class Subject:
    """What to show.

    Attributes:
        text: the sentence, or what the picture shows.
        image: a picture's file.
        shown: the picture with its object cut out (`cut`).
        notes: what is known of the input before anything is made, a line each.
    """

    text: str = ""
    image: Path | None = None
    shown: CutOut | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def name(self) -> str:
        """Of its folder."""
        return slug(self.image.stem if self.image else self.text)

    def cut(self, asked: Asked) -> Subject:
        """The same with its picture cut out; a sentence as it is.

        Raises:
            ViewmaskError: a picture that cannot be used.
        """
        if self.image is None:
            return self
        from viewmask.views.cutout import cut
        from viewmask.views.picture import picture_of

        shown = cut(picture_of(self.image), asked.cutout)
        return replace(self, shown=shown, notes=(f"the object was cut out by {shown.how}", *shown.notes))

    def reference(self, as_view: bool) -> Picture | None:
        """Its picture as a reference view."""
        if self.shown is None:
            return None
        from viewmask.model.reference import reference_view

        return reference_view(self.shown.picture, frame=not as_view)


def loaded(weights: Path | None, device: str, precision: str) -> Generator:
    """The model; says where it runs, if that is no CPU."""
    with working("loading the model"):
        from viewmask.generator import Generator

        generator = Generator.load(weights, device, precision)
    if generator.weights.runs_on.place.type != "cpu":
        note(f"running on {generator.weights.runs_on}")
    return generator


def make(generator: Generator, subject: Subject, asked: Asked, place: Callable[[Making], Path]) -> list[dict[str, Any]]:
    """Make every sample of one subject and write it.

    Args:
        subject: cut out.
        place: the folder for what was made so; asked once, when the first sample is there.

    Returns:
        A record a sample: folder, seed, files, notes ...

    Raises:
        ViewmaskError: as `pipeline.generate`; no mesh can be made of the views; or the disk refuses.
    """
    from viewmask import pipeline

    reference = subject.reference(asked.as_view)
    words = pipeline.word_notes(generator, subject.text)
    for line in words:
        note(line)
    results: list[dict[str, Any]] = []
    home = Path()
    for sample in range(asked.samples):
        label = "generating" if asked.samples == 1 else f"generating {sample + 1} of {asked.samples}"
        with progress(label) as report:
            outcome = pipeline.generate(
                generator, subject.text, reference, asked.views, as_view=asked.as_view, draws=asked.draws,
                seed=asked.seed + sample, symmetry=asked.symmetry, cutout=subject.shown.way if subject.shown else "",
                notes=[*(subject.shown.notes if subject.shown else ()), *words], progress=report, **asked.sampling,
            )  # fmt: skip
        for line in outcome.notes:
            note(line)
        if sample == 0:
            home = place(Making.of(outcome.views.extra[KEY]))
            if asked.samples > 1 and home.exists():
                output.clear(home)  # an earlier run may have left more samples than this one makes
        folder = home if asked.samples == 1 else home / f"{sample:03d}"
        results.append(write(outcome, subject.shown, folder, asked.mesh, asked.video))
        if subject.image is None and "fit" in outcome.views.extra:
            results[-1]["fit"] = outcome.views.extra["fit"]
    return results


def write(
    outcome: Outcome, shown: CutOut | None, folder: Path, mesh: bool, video: VideoFormat | None
) -> dict[str, Any]:
    """Write one result: views, what was cut out, mesh, page and turntable; the record of it."""
    from viewmask import pipeline
    from viewmask.views.cutout import CUTOUT

    views = outcome.views
    files = pipeline.write_views(views, folder)
    if shown is not None:
        files.append(pipeline.write_picture(shown.picture, folder / CUTOUT))
    output.remember(files, views=folder)
    notes = list(views.extra.get("notes", []))
    if mesh:
        made, surface = write_mesh(views, folder, video)
        files += made
        notes += [line for line in surface.notes if line not in notes]
        output.remember(made)
    result = {"folder": str(folder), "seed": Making.of(views.extra[KEY]).seed, "files": [str(file) for file in files]}
    if shown is not None:
        result["cutout"] = shown.how
    return result | {"notes": notes}


def write_mesh(views: ViewSet, folder: Path, video: VideoFormat | None = None) -> tuple[list[Path], TexturedMesh]:
    """Write the mesh of views that lie in a folder, its page and perhaps a turntable; the files, and the mesh.

    Raises:
        ViewmaskError: no mesh can be made of them, or the disk refuses.
    """
    from viewmask import pipeline

    try:
        with steps_of("reconstructing the mesh") as step:
            files, surface = pipeline.write_mesh(views, folder / MESH, folder / PAGE, progress=step)
    except ViewmaskError as error:
        raise ViewmaskError(f"no mesh: {error} (the views are in {folder})") from error
    for line in surface.notes:
        note(line)
    if video is not None:
        with progress("rendering the turntable", "frames") as report:
            files.append(pipeline.write_turntable(surface, folder / f"{TURNTABLE}.{video}", progress=report))
    return files, surface
