"""Passes: what the geometry of a surface looks like from a camera, and points that tell inside from outside.

Both engines draw the same triangles from the same cameras, so both get these passes from ray casting: one ray through
each pixel's centre, no smoothing, the same arrays for either engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from render import points
from render.scene import Scene
from render.settings import Pass
from render.surface import Surface, interpolate
from viewmask.views.camera import Camera

IMAGES: tuple[Pass, ...] = ("depth", "normal")
FILE = "passes.npz"
UNITS: dict[str, str] = {
    "depth": "float32 [views, height, width]: distance along the viewing axis, the object's longest side being 1; "
    "0 where nothing is seen",
    "normal": "float16 [views, height, width, 3]: unit shading normal in the world (+Z up), towards the viewer; "
    "0 where nothing is seen",
    "points": "float16 [points, 3] in the world; inside: bool [points], winding number > 0.5; "
    "colours: uint8 [points / 2, 3], sRGB of the surface near the first half of the points",
}


def render(surface: Surface, cameras: list[Camera], names: Sequence[Pass] = IMAGES) -> dict[str, NDArray[Any]]:
    """The passes of these names from every camera (all of one size), stacked; shapes and units are in `UNITS`.

    "points" gives three arrays: `points`, `inside` and `colours` (see `render.points`).
    """
    arrays: dict[str, NDArray[Any]] = points.sample(surface) if "points" in names else {}
    if not set(names) & set(IMAGES):
        return arrays
    scene = Scene.of(surface)
    views = [_view(scene, camera) for camera in cameras]
    return arrays | {
        name: np.stack([view[index] for view in views]) for index, name in enumerate(IMAGES) if name in names
    }


def _view(scene: Scene, camera: Camera) -> tuple[NDArray[np.float32], NDArray[np.float16]]:
    origins, directions = (part.reshape(-1, 3).astype(np.float32) for part in camera.rays(1))
    surface = scene.surface
    ray, face, u, v, distance = scene.first(origins, directions)
    depth = np.zeros(len(directions), dtype=np.float32)
    along = -camera.camera_to_world[:3, 2].astype(np.float32)  # OpenGL: the camera looks down its -Z
    depth[ray] = distance * (directions[ray] @ along)
    normals = np.zeros((len(directions), 3), dtype=np.float16)
    smooth = interpolate(surface.corner_normals, face, u, v)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-9)
    flat = surface.face_normals[face]
    normals[ray] = smooth * -np.sign((flat * directions[ray]).sum(-1, keepdims=True))
    return depth.reshape(camera.height, camera.width), normals.reshape(camera.height, camera.width, 3)
