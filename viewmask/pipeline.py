"""The pipeline: a sentence or a picture -> the draw that is kept -> files, a mesh and a page of it.

The command line, a program and a web page all take this one path:

from viewmask import Generator, pipeline
generator = Generator.load()
outcome = pipeline.generate(generator, "a red chair")
pipeline.write_views(outcome.views, "chair")
pipeline.write_mesh(outcome.views, "chair/mesh.glb", page="chair/page.html")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.agreement import POOR, agreement
from recon.mesh import TexturedMesh
from recon.page import write_page
from recon.reconstructor import reconstruct
from render import turntable
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.counting import counted
from viewmask.model.captions import thing
from viewmask.model.sampling import DRAWS, Sampling
from viewmask.views.conventions import MADE_BY
from viewmask.views.making import KEY, Making, digest
from viewmask.views.video import check_format, write_video
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:  # it loads torch, which a mesh alone need not
    from viewmask.generator import Generator, Progress
    from viewmask.model.sampler import Watch

SHEET = "sheet.png"
WORDLESS = (
    "these weights were hardly taught to caption: `viewmask train align` teaches it, --weights takes what it makes"
)
LEARNT = 4  # views around an object in training
UNTAUGHT = "these weights were not taught photos: they take the picture as a view from 30 degrees above"
NO_REFINER = "these weights have no refiner: leave out --refine, or train one (viewmask train refiner)"


@dataclass(frozen=True)
class Outcome:
    """Views, and what people should know of them, a line each."""

    views: ViewSet
    notes: tuple[str, ...] = ()


def generate(
    generator: Generator,
    text: str = "",
    reference: Picture | None = None,
    views: int = 4,
    *,
    as_view: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
    symmetry: bool = False,
    cutout: str = "",
    notes: Sequence[str] = (),
    progress: Progress | None = None,
    watch: Watch | None = None,
    **sampling: int | float | str | None,
) -> Outcome:
    """Views of a sentence, or of a picture's object.

    Args:
        generator: loaded once for many calls.
        text: the sentence; with a picture, what it shows.
        reference: a reference view (`viewmask.model.reference.reference_view`).
        views, as_view, draws, seed, symmetry, progress, watch, sampling: see `Generator.from_reference` and
            `Generator.draw`.
        cutout: what told the picture's object (`viewmask.views.cutout.CutOut.way`), for the record.
        notes: what is known of the input already (`word_notes`, the cut-out's), for the record.

    Returns:
        The views and what was found now; `extra["notes"]` of the views holds `notes`, too.

    Raises:
        ViewmaskError: neither sentence nor picture, or a setting that makes no sense.
    """
    if sampling.get("refine") and generator.weights.refiner is None:
        raise ViewmaskError(NO_REFINER)
    if reference is not None:
        how = {"as_view": as_view, "seed": seed, "symmetry": symmetry, "progress": progress, "watch": watch, **sampling}
        made = generator.from_reference(reference, views, caption=text, **how)  # type: ignore[arg-type]
        if cutout:
            made.extra[KEY] |= {"cutout": cutout}
        found = (*_untaught(generator, as_view), *_doubts(made))
    else:
        if not text.strip():
            raise ViewmaskError('the sentence is empty: try --text "a red chair"')
        draw = generator.draw(text, views, draws=draws, seed=seed, progress=progress, watch=watch, **sampling)
        made, found = draw.views, ()
        if draw.agreement < POOR:
            others = f", none of {draws} draws to more" if draws > 1 else ""
            advice = "another sentence, --seed or more --draws may give a better one"
            found = (f"the views agree to {draw.agreement:.0%}{others}: a mesh of them is a guess; {advice}",)
        found = (*found, *_repeats(made))
    found = (*found, *_number(made))
    if notes or found:
        made.extra["notes"] = [*notes, *found]
    return Outcome(made, found)


def again(
    generator: Generator, views: ViewSet, reference: Picture | None = None, progress: Progress | None = None
) -> Outcome:
    """The same views once more, as their own record (`viewmask.views.making`) tells; the same bytes.

    Args:
        generator: with the weights that made them.
        views: as they were loaded.
        reference: the reference view, if they were made of a picture.

    Raises:
        ViewmaskError: no record, other weights, or another picture.
    """
    making = Making.of(views.extra.get(KEY))
    if making.weights != generator.fingerprint:
        raise ViewmaskError(
            f"they were made by the weights {making.weights}, and these are {generator.fingerprint}: name theirs "
            "with --weights"
        )
    if making.picture and (reference is None or digest(reference) != making.picture):
        raise ViewmaskError("its picture was changed since, or is another: name it with --image")
    if unknown := making.sampling.keys() - {each.name for each in fields(Sampling)}:
        raise ViewmaskError(f"this version has no setting {', '.join(sorted(unknown))}: {making.version} made them")
    told = views.extra.get("notes", [])
    outcome = generate(
        generator, making.text, reference, making.views, as_view=making.as_view, draws=making.draws or DRAWS,
        seed=making.seed, symmetry=making.symmetry, cutout=making.cutout, progress=progress,
        **{"speed": "exact", **making.sampling},  # what an older record lacks was as exact has it
    )  # fmt: skip
    if before := [note for note in told if note not in outcome.notes] if isinstance(told, list) else []:
        outcome.views.extra["notes"] = [*before, *outcome.notes]
    return outcome


def edit(
    generator: Generator,
    views: ViewSet,
    regions: Sequence[NDArray[np.bool_]],
    text: str = "",
    *,
    seed: int = 0,
    progress: Progress | None = None,
    watch: Watch | None = None,
    **sampling: int | float | str | None,
) -> Outcome:
    """Views with some regions made anew; arguments as of `Generator.edit`.

    Raises:
        ViewmaskError: views that the model does not know, regions of another size or empty, or a setting that makes no
            sense.
    """
    made = generator.edit(views, regions, text, seed=seed, progress=progress, watch=watch, **sampling)
    return Outcome(made, tuple(_doubts(made)))


def _untaught(generator: Generator, as_view: bool) -> list[str]:
    if as_view or generator.weights.photos:
        return []
    return [UNTAUGHT]


def _doubts(views: ViewSet) -> list[str]:
    """What speaks against views of a picture: they show no one shape, or the same picture more than once."""
    notes = _repeats(views)
    if (agreed := agreement(views)) < POOR:
        notes.append(
            f"the views agree to {agreed:.0%}: a mesh of them is a guess; another --seed may give a better one"
        )
    return notes


def _repeats(views: ViewSet) -> list[str]:
    """Views that are the same picture."""
    given = views.extra.get(KEY, {}).get("repeats", [])
    if len(given) > 1:
        return [
            f"of {counted(len(views) - 1, 'made view')}, {len(given) - 1} repeat your picture or its mirror image: "
            "where those sides look otherwise, leave out --symmetry"
        ]
    if repeated := len(views) - len({image.tobytes() for image in views.images}):
        verb = "repeats" if repeated == 1 else "repeat"
        return [f"{repeated} of {len(views)} views {verb} another one: a mesh of them is a guess"]
    return []


def _number(views: ViewSet) -> list[str]:
    """Numbers of views that training never showed."""
    if len(views) in (1, LEARNT):
        return []
    return [f"the model learnt {LEARNT} views around an object: views of {len(views)} may turn unevenly or repeat"]


def word_notes(generator: Generator, text: str) -> list[str]:
    """What people should know of a sentence before it is drawn: what of it training had seldom or never."""
    lexicon, notes = generator.weights.lexicon, []
    strange = lexicon.unfamiliar(text)
    if strange:
        named = ", ".join(f"'{word}'" for word in strange)
        read = generator.read(text)
        left = lexicon.unfamiliar(read)
        says = [f"'{read}' is what it reads"] if left != strange else []
        says += ["what comes out may be something else"] if left else []
        notes.append(f"training told the model little or nothing of {named}: {' and '.join(says)}")
    whole = lexicon.familiar(text)
    if (fitting := lexicon.vocabulary.fitting(whole)) != whole:
        notes.append(f"the sentence is longer than the model reads: it is cut after '{fitting}'")
    name = thing(text)
    if name and lexicon.things and not lexicon.count(text) and name not in map(str.lower, strange):
        notes.append(f"training showed nothing that is called '{name}': what comes out may be something else")
    return notes


def write_views(views: ViewSet, folder: str | Path) -> list[Path]:
    """Save views with `transforms.json` and `sheet.png` in a folder, whatever it holds; the files written."""
    folder = Path(folder)
    views.extra["made_by"] = MADE_BY
    views.save(folder, force=True)
    sheet = atomic.write_with(folder / SHEET, views.sheet().save)
    return [*sorted(file for file in folder.iterdir() if file != sheet), sheet]


def write_picture(picture: Picture, path: str | Path) -> Path:
    """Write a picture, uint8 RGBA [height, width, 4], as PNG; the file."""
    image = Image.fromarray(picture, "RGBA")
    return atomic.write_with(path, lambda temporary: image.save(temporary, "PNG", compress_level=4))


def write_mesh(
    views: ViewSet,
    path: str | Path,
    page: str | Path | None = None,
    raw: str | Path | None = None,
    *,
    print_size: float | None = None,
    progress: Callable[[str, float], None] = lambda step, share: None,
    **options: Any,
) -> tuple[list[Path], TexturedMesh]:
    """Reconstruct a mesh and write it.

    Args:
        views: posed views.
        path: the mesh; its suffix picks the format.
        page: a turntable page of the views and the mesh, too.
        raw: the signed field, too, as .npz.
        print_size: the longest side in millimetres: `path` is for a printer (`TexturedMesh.save_print`).
        progress: told each step's name when it begins, and the share of the work that lies behind it.
        options: see `recon.reconstruct`.

    Returns:
        The files written, and the mesh, whose `notes` people should know.

    Raises:
        ViewmaskError: views of which no mesh can be made, or a disk that refuses.
    """
    mesh = reconstruct(views, progress=progress, **options)
    progress("writing", 0.96)
    files = mesh.save(path) if print_size is None else [mesh.save_print(path, print_size)]
    if page is not None:
        files.append(write_page(mesh, views, page))
    if raw is not None:
        files.append(mesh.save_raw(raw))
    return files, mesh


def write_turntable(
    mesh: TexturedMesh,
    path: str | Path,
    frames: int = turntable.FRAMES,
    size: int = 320,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a mesh on a turntable, once around in three seconds, before white.

    Args:
        path: the video; its suffix picks GIF, WebP or MP4 (`viewmask.views.video`).
        frames: pictures of one turn.
        size: of a picture's side in pixels; even.
        progress: called with frames done and frames.

    Raises:
        ViewmaskError: no such format, or the disk refuses.
    """
    check_format(path)
    surface = Surface.load(mesh.glb(), file_type="glb")
    pictures = []
    for frame in turntable.frames(surface, frames, size):
        pictures.append(Image.fromarray(frame))
        if progress:
            progress(len(pictures), frames)
    return write_video(pictures, path, rate=round(frames / 3))
