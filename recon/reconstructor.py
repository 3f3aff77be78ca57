"""Reconstruction: a view set to a closed, textured mesh, in seconds on a CPU.

Cut out -> signed field -> refinement (if asked for) -> surface -> atlas -> texture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from recon import agreement, atlas, hull, meshing, silhouette, threads
from recon import texture as baking
from recon.atlas import Floats
from recon.hull import Grid, Volume
from recon.mesh import TexturedMesh
from recon.placement import Placement
from recon.silhouette import FloatImage
from viewmask.errors import ViewmaskError
from viewmask.version import VERSION
from viewmask.views.camera import Camera
from viewmask.views.making import KEY, Making
from viewmask.views.picture import LARGEST
from viewmask.views.viewset import ViewSet

__all__ = ["METHODS", "TexturedMesh", "reconstruct"]

METHODS = ("field", "hull")
"""Our own methods; every other name is looked for in nerfstudio."""

Progress = Callable[[str, float], None]

# The share of the work that lies behind when a step begins: measured on 4 views of 256 pixels with the defaults.
CARVING, PREDICTION, SURFACE, UNWRAPPING, BAKING = 0.06, 0.2, 0.35, 0.68, 0.82
_SECONDS = 4.0  # of all that, to weigh it against the seconds of a refinement
_NERFSTUDIO = 0.9  # the share of nerfstudio's training


@dataclass(frozen=True, eq=False)
class SignedField:
    """The shape that a method sees in views.

    Attributes:
        volume, grid: signed distances (world units, positive inside) on a grid.
        colours: float32 [n, 3], 0 to 255, of points [n, 3] that no view sees; None if the method knows none.
        notes: what a user should know, a line each.
        weights: fingerprint of the network that saw the shape, if one did.
    """

    volume: Volume
    grid: Grid
    colours: Callable[[Floats], Floats] | None = None
    notes: tuple[str, ...] = ()
    weights: str = ""


def reconstruct(
    views: ViewSet,
    method: str = "field",
    *,
    faces: int = 20_000,
    texture: int = 1024,
    resolution: int = 128,
    refine: float = 0,
    weights: str | Path | None = None,
    steps: int | None = None,
    nerfstudio: str | Path | None = None,
    progress: Progress = lambda step, share: None,
) -> TexturedMesh:
    """Turn posed views into a closed mesh, and bake their colours on it.

    Args:
        views: posed views, better 4 or more (one alone leaves depth to a guess). Opaque pictures need a plain
            background.
        method: what gives the signed field whose zero surface is the mesh. "hull" is the visual hull; "field" is the
            hull less what a network trained on shapes takes from it (`recon.field`); any other name is a method of
            nerfstudio ("nerfacto", "splatfacto" ...), see `recon.nerfstudio`.
        faces: at most this many triangles. Where the shape needs more, the notes say so.
        texture: side of the square texture in pixels.
        resolution: grid points along the longest side of the object.
        refine: seconds to fit the field to the views (`recon.refine`). The result is kept only if it is better.
        weights: a folder that `viewmask train recon` wrote, in place of the shipped field.
        steps: of nerfstudio's training.
        nerfstudio: the Python of nerfstudio's environment.
        progress: called when a step begins, with its name and the share of the work that lies behind.

    Raises:
        ViewmaskError: nothing on the views, no plain background, silhouettes that contradict
            each other, a number that makes no sense, or nerfstudio's absence or failure.
    """
    for name, value, least in (("faces", faces, 100), ("texture", texture, 16), ("resolution", resolution, 8)):
        if value < least:
            raise ViewmaskError(f"{name} must be at least {least}, not {value}")
    if not 0 <= refine < float("inf"):
        raise ViewmaskError(f"refine must be a number of seconds, not {refine}")
    if weights is not None and method != "field" and not refine:
        raise ViewmaskError(f"{method} uses no weights: leave them out, or choose the method field")
    progress("cutting the object out", 0.0)
    cut = silhouette.cut_out(views.shrunk(max(LARGEST, texture)))
    distances = list(threads.each(silhouette.signed_distance, (image[..., 3] for image in cut.images)))
    place = _placed(cut, distances)
    given, cut = cut.cameras, replace(cut, cameras=place.inward(cut.cameras))
    doubts, complaint = _doubts(cut, distances, method, given)
    with _blamed(complaint):
        if method == "field":
            field, begun = _learnt(cut, distances, resolution, weights, progress), PREDICTION
        elif method == "hull":
            field, begun = _carved(cut, distances, resolution, progress), CARVING
        else:
            field, begun = _trained(cut, method, resolution, steps, nerfstudio, progress), _NERFSTUDIO
    # What follows the field takes the rest of the bar.
    behind = refine / (refine + _SECONDS) if method in METHODS else _NERFSTUDIO
    if refine:
        start = min(begun, behind)
        field = _refined(
            field, cut, distances, refine, weights,
            lambda share: progress("refining", start + (behind - start) * share),
        )  # fmt: skip

    def later(step: str, share: float) -> None:
        progress(step, behind + (1 - behind) * share)

    later("finding the surface", SURFACE)
    volume = meshing.without_floaters(field.volume)  # here, too, so that the raw field is that of the mesh
    with _blamed(complaint):
        surface = meshing.surface(volume, field.grid, faces=faces)
    notes = [*doubts, *field.notes]
    if len(surface.faces) > faces:
        notes.append(f"{faces:,} triangles cannot hold so many parts and holes: there are {len(surface.faces):,}")
    later("unwrapping", UNWRAPPING)
    places = atlas.unwrap(surface, texture)
    later("baking", BAKING)
    picture = baking.bake(surface, places, cut, distances, texture, field.colours)
    place, far = place.nearer(float(surface.extents.max()))
    notes += [far] if far else []
    if (pieces := int(surface.body_count)) > 1:
        notes.append(f"the mesh is in {pieces} pieces: the views show parts that do not meet")
    making = {
        "method": method, "faces": faces, "texture": texture, "resolution": resolution, "refine": refine,
        "steps": steps or 0, "weights": field.weights, "version": VERSION,
        "views": {"count": len(views), "digest": views.digest(), **_made(views)},
    }  # fmt: skip
    return TexturedMesh(
        place.outward(surface.vertices), surface.faces, places.uv, places.uv_faces, picture, tuple(notes),
        place.field(volume, field.grid), {name: value for name, value in making.items() if value},
    )  # fmt: skip


def _made(views: ViewSet) -> dict[str, Any]:
    """How the views were made, where they tell; others' records are not passed on."""
    try:
        return {KEY: Making.of(views.extra.get(KEY)).record()}
    except ViewmaskError:
        return {}


@contextmanager
def _blamed(complaint: str | None) -> Iterator[None]:
    """Says what is wrong with the cameras where they leave no shape."""
    try:
        yield
    except hull.NothingInCommonError as error:
        raise ViewmaskError(f"{error}: {complaint}" if complaint else str(error)) from error


def _placed(cut: ViewSet, distances: list[FloatImage]) -> Placement:
    """Where the views look; the convention of their poses is named where they look nowhere."""
    try:
        return Placement.of(cut.cameras)
    except ViewmaskError as error:
        words = agreement.convention(cut.cameras, distances)
        raise ViewmaskError(f"{error}: {words}" if words else str(error)) from error


def _doubts(
    cut: ViewSet, distances: list[FloatImage], method: str, given: list[Camera]
) -> tuple[list[str], str | None]:
    """What a user should know of the views themselves, a line each, and what of that is said against their cameras.

    Raises:
        ViewmaskError: too few views for the method.
    """
    notes = [*cut.notes]
    if any(np.linalg.det(camera.camera_to_world[:3, :3]) < 0 for camera in cut.cameras):
        notes.append("the poses are left-handed (their determinants are negative): the mesh is a mirror image")
    # The generator's own cameras are right, however little its views agree.
    complaint = agreement.complaint(cut, distances, given) if cut.extra.get("source") != "viewmask" else None
    notes += [complaint] if complaint else []
    if len(cut) == 1:
        if method not in METHODS:
            raise ViewmaskError(f"{method} needs more than one view of the object: give 4 or more, or --method field")
        better = " (--method field guesses better)" if method == "hull" else ""
        notes.append(f"one view tells nothing of depth: the object is taken to be as deep as it is wide{better}")
    return notes, complaint


def _carved(cut: ViewSet, distances: list[FloatImage], resolution: int, progress: Progress) -> SignedField:
    """The visual hull."""
    progress("carving", CARVING)
    return SignedField(*hull.carve(cut.cameras, distances, resolution))


def _learnt(
    cut: ViewSet, distances: list[FloatImage], resolution: int, weights: str | Path | None, progress: Progress
) -> SignedField:
    """The hull less what the network takes from it; the hull where the network finds no object."""
    carved = _carved(cut, distances, resolution, progress)
    from recon import field_grid  # torch takes a second to load
    from viewmask.learning import checkpoint

    progress("predicting the shape", PREDICTION)
    predictor = field_grid.Predictor(cut, distances, weights)
    level = field_grid.level(predictor, carved.volume, carved.grid)
    if level is None:
        return replace(carved, notes=("the field finds no object in these views: the mesh is their hull",))
    filled = field_grid.fill(predictor, carved.volume, carved.grid, level)
    volume = field_grid.restore(filled, predictor, carved.volume, carved.grid, level, cut.cameras, distances)
    return SignedField(volume, carved.grid, predictor.colours, weights=checkpoint.fingerprint(predictor.model))


def _trained(
    cut: ViewSet, method: str, resolution: int, steps: int | None, python: str | Path | None, progress: Progress
) -> SignedField:
    """The surface of a method of nerfstudio, trained on these views."""
    from recon import nerfstudio

    def share_of_all(step: str, share: float) -> None:
        progress(step, _NERFSTUDIO * share)

    return SignedField(*nerfstudio.volume(cut, method, resolution, python, steps, progress=share_of_all))


def _refined(
    field: SignedField,
    cut: ViewSet,
    distances: list[FloatImage],
    seconds: float,
    weights: str | Path | None,
    progress: Callable[[float], None],
) -> SignedField:
    """The field fitted to the views, or as it was where that is no better; the notes say which."""
    from recon.refine import refine  # torch takes a second to load

    result = refine(field.volume, field.grid, cut, distances, seconds, weights, progress)
    return replace(field, volume=result.volume, notes=(*field.notes, result.words()))
