"""Photos: cameras as people hold them, from the azimuths of an orbit. Training shows such pictures as references."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from viewmask.views.camera import Camera

ELEVATIONS = -10.0, 60.0  # degrees
LENSES = 14.0, 68.0  # field of view in degrees: from a tele lens to a phone's
FILL = 0.5, 0.95  # share of the picture's side that the object covers at most
ROLL = 2.0  # degrees, standard deviation

_NEAREST, _FARTHEST, _HALVINGS = 0.9, 30.0, 24


def cameras(
    vertices: NDArray[np.floating[Any]],
    count: int,
    views: int,
    start: float,
    size: int,
    random: np.random.Generator,
) -> list[Camera]:
    """So many cameras that each look at the object from one azimuth of the orbit, with any elevation, lens and framing.

    Args:
        vertices: of the object, [n, 3]; its box has its centre at the origin.
        views, start: of the orbit: every camera has the azimuth of one of its views.
        size: side of the pictures in pixels.
        random: where choices come from.
    """
    places = vertices.astype(np.float64)
    return [_camera(places, start + 360.0 * random.integers(views) / views, size, random) for _ in range(count)]


def _camera(vertices: NDArray[np.float64], azimuth: float, size: int, random: np.random.Generator) -> Camera:
    elevation = float(random.uniform(*ELEVATIONS))
    fov = float(np.exp(random.uniform(*np.log(LENSES))))
    fill, roll = float(random.uniform(*FILL)), np.radians(random.normal(0, ROLL))
    near, far = _NEAREST, _FARTHEST
    for _ in range(_HALVINGS):
        distance = (near * far) ** 0.5
        pixels, depth = Camera.on_sphere(azimuth, elevation, distance, fov, size).project(vertices)
        fits = depth.min() > 0.05 and np.abs(pixels - size / 2).max() < fill * size / 2
        near, far = (near, distance) if fits else (distance, far)
    camera = Camera.on_sphere(azimuth, elevation, far, fov, size)
    camera.camera_to_world[:3, :2] @= np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    return camera
