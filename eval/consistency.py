"""Whether views show one object: a figure that needs no truth, for views made from a sentence.

Three questions, put to the visual hull of the views (Laurentini, PAMI 1994), the largest shape that they allow:

- `silhouette_iou`: does the hull, seen from each camera, fill that view's silhouette? Views of one object: yes, up
  to the grid (0.97 and more). A shape that one view shows and another rules out is missing in the hull.
- `photo_psnr`: does each view show the colours that the others foresee? The others' colours are laid on the hull
  and seen from its camera; the view itself has no say (leave one out), or any picture could be baked on.
- `sharpness`: are the edges in each view as strong as in what the others foresee? A blurred view fits its
  neighbours as well as a sharp one does, so that the PSNR cannot tell. The weakest of the three.

That consistency can be measured on generated views alone, by reconstructing from some and comparing with others, is
MVGBench's idea (arXiv 2507.00006); it compares reconstructions of two halves, here each view is compared with the
reconstruction from the others. The figures say nothing about beauty or about the sentence: three views of one ball
are perfectly consistent. Only figures of equally many views compare.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eval import intervals
from eval.intervals import Interval, compare
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import Picture, ViewSet, composite, resize

if TYPE_CHECKING:
    from embreex.rtcore_scene import EmbreeScene
    from rich.console import Group

SIZE = 128  # pixels: enough for the figures, four times as fast as 256
RESOLUTION = 96  # voxels along the hull
GRAZING = 0.2  # cosine below which a view is not asked for a colour
COLUMNS = {
    "silhouette_iou": ("hull fills silhouette", 3),
    "photo_psnr": ("others foresee colour, dB", 2),
    "sharpness": ("and sharpness", 3),
}
NAMES = tuple(COLUMNS)
DEFINITION = (
    "no truth is used: IoU of each silhouette with the visual hull of all views; PSNR of each view, on its silhouette, "
    "against the other views' colours laid on the hull; strength of edges in the same two, smaller over larger; "
    f"means over views, then over sets, at {SIZE} pixels"
)

Floats = NDArray[np.float32]


@dataclass
class Consistency:
    """The figures of the view sets of one folder.

    Attributes:
        folder: as it was named.
        records: per view set its place in the folder (`id`), how many views it has, and its figures.
    """

    folder: str
    records: list[dict[str, Any]]

    @property
    def means(self) -> dict[str, float]:
        """Of each figure over the view sets."""
        return {name: float(np.mean([record[name] for record in self.records])) for name in NAMES}

    def to_json(self) -> dict[str, Any]:
        """Means, then every view set."""
        return {"folder": self.folder} | self.means | {"sets": self.records}


def measure(folders: Sequence[str | Path], progress: Callable[[int, int], None] | None = None) -> list[Consistency]:
    """Score every view set in each folder, at any depth; a folder may be a view set itself.

    Args:
        progress: called with (view sets done, of).

    Raises:
        ViewmaskError: a folder without view sets, one that cannot be read, or one that shows nothing.
    """
    sets = [(Path(folder), _view_sets(Path(folder))) for folder in folders]
    total, done = sum(len(places) for _, places in sets), 0
    groups = []
    for folder, places in sets:
        records: list[dict[str, Any]] = []
        for place in places:
            views = ViewSet.load(place)
            try:
                figures = score(views)
            except ViewmaskError as error:
                raise ViewmaskError(f"{place}: {error}") from error
            records.append({"id": str(place.relative_to(folder)), "views": len(views)} | figures)
            done += 1
            if progress:
                progress(done, total)
        groups.append(Consistency(str(folder), records))
    return groups


def to_json(groups: Sequence[Consistency]) -> dict[str, Any]:
    """Every folder with its paired differences from the first one, where view sets of one name stand in both."""
    return {
        "folders": [
            group.to_json()
            | {"differences": {name: asdict(interval) for name, interval in _differences(groups[0], group).items()}}
            for group in groups
        ],
        "definition": DEFINITION,
    }


def to_csv(groups: Sequence[Consistency]) -> str:
    """A line a view set: folder, its place there, how many views, and the figures."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["folder", "id", "views", *NAMES])
    for group in groups:
        writer.writerows([group.folder, *record.values()] for record in group.records)
    return text.getvalue()


def table(groups: Sequence[Consistency]) -> Group:
    """A rich table: a row a folder; from the second on with the interval of the difference from the first."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    grid = Table(title="Do the views show one object?", title_justify="left")
    grid.add_column("folder", overflow="fold")
    grid.add_column("sets", justify="right")
    for words, _ in COLUMNS.values():
        grid.add_column(f"{words} ↑", justify="right")
    paired = False
    for group in groups:
        differences = _differences(groups[0], group) if group is not groups[0] else {}
        cells = []
        for name, (_, digits) in COLUMNS.items():
            text = Text(f"{group.means[name]:.{digits}f}")
            between = differences.get(name)
            if between is not None and between.low is not None and between.high is not None:
                paired = True
                text.append(f"\n{between.ends(digits)}", style="bold" if between.sure else "dim")
            cells.append(text)
        grid.add_row(group.folder, str(len(group.records)), *cells)
    notes = [DEFINITION]
    if paired:
        notes.append(f"Below: {intervals.DEFINITION}; bold where it leaves zero out.")
    if len({record["views"] for group in groups for record in group.records}) > 1:
        notes.append("Sets of different numbers of views do not compare.")
    return Group(grid, *(Text(note, style="dim") for note in notes))


def _differences(first: Consistency, second: Consistency) -> dict[str, Interval]:
    return compare(first.records, second.records, NAMES)


def _view_sets(folder: Path) -> list[Path]:
    """The view sets of a folder, at any depth."""
    if (folder / TRANSFORMS).is_file():
        return [folder]
    places = sorted(file.parent for file in folder.rglob(TRANSFORMS))
    if not places:
        raise ViewmaskError(f"no view set in {folder}: name folders that hold {TRANSFORMS} at some depth")
    return places


def score(views: ViewSet) -> dict[str, float]:
    """`silhouette_iou` [0, 1], `photo_psnr` (dB) and `sharpness` [0, 1] of a set, means over its views; more is better.

    Raises:
        ViewmaskError: fewer than two views that show anything.
    """
    from recon.silhouette import cut_out

    cut = cut_out(views)
    if len(cut) < 2:
        raise ViewmaskError("only one view shows an object: there is nothing that it could be consistent with")
    pictures = [resize(image, SIZE) for image in cut.images]
    cameras = [camera.resized(SIZE, SIZE) for camera in cut.cameras]
    looks = _looks(pictures, cameras)
    figures = []
    for index, picture in enumerate(pictures):
        silhouette, filled = picture[..., 3] > 127, looks[index].filled
        foreseen, seen = _foreseen(index, looks)
        view = composite(picture)
        # What the hull cannot show is foreseen as black or white, whichever is farther; what no other view has seen
        # is not judged.
        foreseen = np.where(filled[..., None], foreseen, view < 0.5)
        counted = (silhouette & ~filled) | (filled & seen)
        error = float(((view - foreseen)[counted] ** 2).mean()) if counted.any() else 1.0
        figures.append(
            (
                (silhouette & filled).sum() / max((silhouette | filled).sum(), 1),
                -10 * np.log10(max(error, 1e-10)),
                _sharpness(view, foreseen, silhouette & filled & seen),
            )
        )
    return dict(zip(NAMES, np.mean(figures, axis=0).tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class _Look:
    """A camera's look at the hull: the pixels it fills [height, width], their points and normals [n, 3], and the
    view's colours carried over its rim [height, width, 3]; `shape` is the hull, None if there is none."""

    filled: NDArray[np.bool_]
    points: Floats
    normals: Floats
    camera: Camera
    painted: Floats
    shape: EmbreeScene | None


def _looks(pictures: list[Picture], cameras: list[Camera]) -> list[_Look]:
    from recon.atlas import scene
    from recon.hull import carve
    from recon.meshing import surface
    from recon.silhouette import signed_distance
    from recon.texture import spread  # colours at the rim are mixed with the background

    distances = [signed_distance(picture[..., 3]) for picture in pictures]
    nothing = np.zeros((0, 3), np.float32)
    try:
        # The plain hull: every view has a veto.
        hull = surface(*carve(cameras, distances, RESOLUTION, tolerant=False), smooth=0)
    except ViewmaskError:  # the views have nothing in common
        hull = None
    shape = scene(hull.vertices, hull.faces) if hull is not None else None
    looks = []
    for picture, camera, distance in zip(pictures, cameras, distances, strict=True):
        filled, points, normals = np.zeros(picture.shape[:2], bool), nothing, nothing
        if hull is not None and shape is not None:
            origins, directions = (part.reshape(-1, 3).astype(np.float32) for part in camera.rays())
            hit = shape.run(origins, directions, output=True)
            ray = np.flatnonzero(hit["primID"] >= 0)
            filled.reshape(-1)[ray] = True
            points = origins[ray] + hit["tfar"][ray, None] * directions[ray]
            normals = hull.face_normals.astype(np.float32)[hit["primID"][ray]]
        painted = (spread(picture, distance) / 255).astype(np.float32)
        looks.append(_Look(filled, points, normals, camera, painted, shape))
    return looks


def _foreseen(index: int, looks: list[_Look]) -> tuple[Floats, NDArray[np.bool_]]:
    """View `index` as the others foresee it, on white [height, width, 3], and where any of them has seen the place."""
    from recon.texture import blend, visible

    look = looks[index]
    foreseen = np.ones((*look.filled.shape, 3), np.float32)
    seen = np.zeros(look.filled.shape, bool)
    if look.shape is None:
        return foreseen, seen
    weighted = []
    for other in looks[:index] + looks[index + 1 :]:
        places, cosine = visible(look.shape, look.points, look.normals, other.camera, GRAZING)
        weight = np.zeros(len(look.points), np.float32)
        weight[places] = cosine**4
        weighted.append((other.painted, other.camera, weight))
    colours, total = blend(look.points, weighted)
    seen[look.filled] = total > 0
    foreseen[look.filled] = np.where(total[:, None] > 0, colours, 1)
    return foreseen, seen


def _sharpness(view: Floats, foreseen: Floats, counted: NDArray[np.bool_]) -> float:
    """How alike two pictures are in the strength of their edges over the counted pixels: smaller over larger."""
    from scipy.ndimage import binary_erosion

    inner = binary_erosion(counted, iterations=2)
    if not inner.any():
        return 0.0
    a, b = (float(np.square(np.gradient(p.mean(-1)))[:, inner].mean()) ** 0.5 + 1e-3 for p in (view, foreseen))
    return min(a, b) / max(a, b)
