"""Reconstruction: a view set to a closed, textured mesh, in seconds on a CPU.

from recon import reconstruct
reconstruct(ViewSet.load("views")).save("mesh.glb")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from recon import agreement, atlas, hull, meshing, silhouette
from recon import texture as baking
from recon.atlas import Floats
from recon.hull import Grid, Volume
from recon.mesh import TexturedMesh
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

__all__ = ["METHODS", "TexturedMesh", "reconstruct"]

METHODS = ("field", "hull")
"""Our own methods; every other name is looked for in nerfstudio."""

Progress = Callable[[str, float], None]

# The share of the work that lies behind when a step begins: measured on 4 views of 256 pixels with the defaults.
CARVING, ASKING, SURFACE, UNWRAPPING, BAKING = 0.06, 0.2, 0.35, 0.68, 0.82
_SECONDS = 4.0  # of all that, for weighing it against what has a time of its own


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
    """Posed views as a closed mesh with their colours baked on.

    Args:
        views: posed views, better 4 or more (one alone leaves depth to a guess); opaque pictures need a plain
            background.
        method: what gives the signed field whose zero surface the mesh is: "field", the visual hull less what a network
            trained on shapes takes from it (`recon.field`); "hull", all of it; or a method of nerfstudio by its own
            name ("nerfacto", "splatfacto" ...), see `recon.nerfstudio`.
        faces: at most this many triangles; the notes say so where the shape needs more.
        texture: side of the square texture in pixels.
        resolution: grid points along the longest side of the object.
        refine: seconds for fitting the field to the views (`recon.refine`), kept only if they then agree better.
        weights: a folder that `viewmask train recon` wrote, in place of the shipped field.
        steps, nerfstudio: of training, and the Python of nerfstudio's environment, for its methods.
        progress: told each step's name when it begins, and the share of the work that lies behind it.

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
    cut = silhouette.cut_out(views)
    distances = [silhouette.signed_distance(image[..., 3]) for image in cut.images]
    notes = [*cut.extra.get("notes", ())]
    # The generator's own cameras are right, however little its views agree.
    wrong = agreement.complaint(cut, distances) if cut.extra.get("source") != "viewmask" else None
    notes += [wrong] if wrong else []
    if len(cut) == 1:
        if method not in METHODS:
            raise ViewmaskError(f"{method} needs more than one view of the object: give 4 or more, or --method field")
        better = " (--method field guesses better)" if method == "hull" else ""
        notes.append(f"one view tells nothing of depth: the object is taken to be as deep as it is wide{better}")
    volume, grid, unseen = _field(cut, method, distances, resolution, weights, steps, nerfstudio, progress, notes)
    behind = 0.9 if method not in METHODS else refine / (refine + _SECONDS)
    start = min(ASKING if method == "field" else CARVING, behind) if method in METHODS else behind

    def later(step: str, share: float) -> None:
        progress(step, behind + (1 - behind) * share)

    if refine:
        from recon.refine import refine as fitted

        result = fitted(
            volume,
            grid,
            cut,
            distances,
            refine,
            weights,
            lambda share: progress("refining", start + (behind - start) * share),
        )
        volume, notes = result.volume, [*notes, result.words()]
    later("finding the surface", SURFACE)
    volume = meshing.without_floaters(volume)  # here, too, so that the raw field is that of the mesh
    surface = meshing.surface(volume, grid, faces=faces)
    if len(surface.faces) > faces:
        notes.append(f"{faces:,} triangles cannot hold so many parts and holes: there are {len(surface.faces):,}")
    later("unwrapping", UNWRAPPING)
    places = atlas.unwrap(surface, texture)
    later("baking", BAKING)
    picture = baking.bake(surface, places, cut, distances, texture, unseen)
    return TexturedMesh(
        surface.vertices, surface.faces, places.uv, places.uv_faces, picture, tuple(notes), (volume, grid)
    )


def _field(
    cut: ViewSet,
    method: str,
    distances: list[silhouette.FloatImage],
    resolution: int,
    weights: str | Path | None,
    steps: int | None,
    nerfstudio: str | Path | None,
    progress: Progress,
    notes: list[str],
) -> tuple[Volume, Grid, Callable[[Floats], Floats] | None]:
    """The signed field (world units, positive inside) that a method sees in cut-out views, on a grid of its own, and
    the colours that it knows where no view sees, if it does. What people should know goes into `notes`."""
    if method in METHODS:
        progress("carving", CARVING)
        volume, grid = hull.carve(cut.cameras, distances, resolution)
        if method == "hull":
            return volume, grid, None
        from recon import field_grid  # torch takes a second to load

        progress("asking the field", ASKING)
        asked = field_grid.Asked(cut, distances, weights)
        level = field_grid.level(asked, volume, grid)
        if level is None:
            notes.append("the field finds no object in these views: the mesh is their hull")
            return volume, grid, None
        filled = field_grid.fill(asked, volume, grid, level)
        return field_grid.restored(filled, asked, volume, grid, level, cut.cameras, distances), grid, asked.colours
    from recon import nerfstudio as nerf

    found = nerf.field(
        cut, method, resolution, nerfstudio, steps, progress=lambda step, share: progress(step, 0.9 * share)
    )
    return *found, None
