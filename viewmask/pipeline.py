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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.agreement import POOR, agreement
from recon.mesh import TexturedMesh
from recon.page import write_page
from recon.reconstructor import reconstruct
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.model.captions import thing
from viewmask.model.sampling import DRAWS
from viewmask.views.conventions import MADE_BY
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:  # it loads torch, which a mesh alone need not
    from viewmask.generator import Generator, Progress
    from viewmask.model.sampler import Watch

SHEET = "sheet.png"
WORDLESS = (
    "these weights were hardly taught to caption: `viewmask train align` teaches it, --weights takes what it makes"
)
UNTAUGHT = "these weights were not taught photos: they take the picture as a view from 30 degrees above"


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
    progress: Progress | None = None,
    watch: Watch | None = None,
    **sampling: int | float | str | None,
) -> Outcome:
    """Views of a sentence, or of a picture's object.

    Args:
        generator: loaded once for many calls.
        text: the sentence; with a picture, what it shows.
        reference: a reference view (`viewmask.model.reference.reference_view`).
        views, as_view, draws, seed, symmetry, progress, watch, sampling: see `Generator.from_image` and
            `Generator.draw`.

    Raises:
        ViewmaskError: neither sentence nor picture, or a setting that makes no sense.
    """
    if reference is not None:
        how = {"as_view": as_view, "seed": seed, "symmetry": symmetry, "progress": progress, "watch": watch, **sampling}
        made = generator.from_image(reference, views, caption=text, **how)  # type: ignore[arg-type]
        return Outcome(made, (*_untaught(generator, as_view), *_doubts(made)))
    if not text.strip():
        raise ViewmaskError('the sentence is empty: try --text "a red chair"')
    draw = generator.draw(text, views, draws=draws, seed=seed, progress=progress, watch=watch, **sampling)
    if draw.agreement >= POOR:
        return Outcome(draw.views)
    others = f", none of {draws} draws to more" if draws > 1 else ""
    advice = "another sentence, --seed or more --draws may give a better shape"
    return Outcome(draw.views, (f"the views agree to {draw.agreement:.0%}{others}; {advice}",))


def edit(
    generator: Generator,
    views: ViewSet,
    regions: Sequence[NDArray[np.bool_]],
    text: str = "",
    *,
    seed: int = 0,
    progress: Progress | None = None,
    **sampling: int | float | str | None,
) -> Outcome:
    """Views with some regions made anew; arguments as of `Generator.edit`.

    Raises:
        ViewmaskError: views that the model does not know, regions of another size or empty, or a setting that makes no
            sense.
    """
    made = generator.edit(views, regions, text, seed=seed, progress=progress, **sampling)
    return Outcome(made, tuple(_doubts(made)))


def _untaught(generator: Generator, as_view: bool) -> list[str]:
    if as_view or generator.weights.photos:
        return []
    return [UNTAUGHT]


def _doubts(views: ViewSet) -> list[str]:
    """What speaks against views of a picture: they show no one shape, or the same picture more than once."""
    notes = []
    repeated = len(views) - len({image.tobytes() for image in views.images})
    if repeated:
        notes.append(f"{repeated} of {len(views)} views repeat another one: a mesh of them is a guess")
    if (agreed := agreement(views)) < POOR:
        notes.append(
            f"the views agree to {agreed:.0%}: a mesh of them is a guess; another --seed may give a better one"
        )
    return notes


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
    progress: Callable[[str, float], None] = lambda step, share: None,
    **options: Any,
) -> tuple[list[Path], TexturedMesh]:
    """Reconstruct a mesh and write it.

    Args:
        views: posed views.
        path: the mesh; its suffix picks the format.
        page: a turntable page of the views and the mesh, too.
        raw: the signed field, too, as .npz.
        progress: told each step's name when it begins, and the share of the work that lies behind it.
        options: see `recon.reconstruct`.

    Returns:
        The files written, and the mesh, whose `notes` people should know.

    Raises:
        ViewmaskError: views of which no mesh can be made, or a disk that refuses.
    """
    mesh = reconstruct(views, progress=progress, **options)
    progress("writing", 0.96)
    files = [Path(file) for file in mesh.save(path)]
    if page is not None:
        files.append(write_page(mesh, views, page))
    if raw is not None:
        files.append(mesh.save_raw(raw))
    return files, mesh
