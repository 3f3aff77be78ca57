"""Reconstruction: a view set to a closed, textured mesh, in seconds on a CPU.

from recon import reconstruct
reconstruct(ViewSet.load("views")).save("mesh.glb")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from recon import atlas, hull, silhouette
from recon import texture as baking
from recon.mesh import TexturedMesh
from viewmask.errors import ViewmaskError
from viewmask.viewset import ViewSet

__all__ = ["METHODS", "Method", "TexturedMesh", "reconstruct"]

Method = Literal["hull"]
METHODS: tuple[Method, ...] = ("hull",)

# The share of the work that lies behind when a step begins: measured on 4 views of 256 pixels with the defaults.
CARVING, SURFACE, UNWRAPPING, BAKING = 0.06, 0.35, 0.68, 0.82


def reconstruct(
    views: ViewSet,
    method: Method = "hull",
    *,
    faces: int = 20_000,
    texture: int = 1024,
    resolution: int = 128,
    progress: Callable[[str, float], None] = lambda step, share: None,
) -> TexturedMesh:
    """Posed views as a closed mesh with their colours baked on.

    Args:
        views: 2 or more (better 4) posed views; opaque pictures need a plain background.
        method: what gives the signed field whose zero surface the mesh is: "hull", the visual hull.
        faces: at most about this many triangles.
        texture: side of the square texture in pixels.
        resolution: grid points along the longest side of the hull.
        progress: told each step's name when it begins, and the share of the work that lies behind it.

    Raises:
        ViewmaskError: too few views, nothing on them, no plain background, silhouettes that contradict
            each other, or a number that makes no sense.
    """
    if method not in METHODS:
        raise ViewmaskError(f"no method {method!r}: choose {' or '.join(METHODS)}")
    for name, value, least in (("faces", faces, 100), ("texture", texture, 16), ("resolution", resolution, 8)):
        if value < least:
            raise ViewmaskError(f"{name} must be at least {least}, not {value}")
    progress("cutting the object out", 0.0)
    cut = silhouette.cut_out(views)
    distances = [silhouette.signed_distance(image[..., 3]) for image in cut.images]
    progress("carving", CARVING)
    carved = hull.carve(cut.cameras, distances, resolution)
    progress("finding the surface", SURFACE)
    surface = hull.surface(*carved, faces=faces)
    progress("unwrapping", UNWRAPPING)
    places = atlas.unwrap(surface, texture)
    progress("baking", BAKING)
    picture = baking.bake(surface, places, cut, distances, texture)
    return TexturedMesh(surface.vertices, surface.faces, places.uv, places.uv_faces, picture)
