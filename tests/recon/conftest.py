"""Objects whose silhouettes are known exactly, and their views."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet

Inside = Callable[[NDArray[np.float64]], NDArray[np.bool_]]


def ball(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.linalg.norm(points, axis=-1) < 0.4)


def bar(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Flat, long, off centre: no symmetry hides a wrong axis."""
    low, high = np.array([-0.15, -0.4, -0.3]), np.array([0.1, 0.3, 0.05])
    return np.asarray(((points > low) & (points < high)).all(-1))


def picture(inside: Inside, camera: Camera, samples: int = 2) -> NDArray[np.uint8]:
    """RGBA: alpha the share of rays that meet the shape, colour its world position."""
    origins, directions = camera.rays(samples)
    steps = np.linspace(camera.distance - 0.8, camera.distance + 0.8, 160)
    points = origins[:, :, None] + steps[:, None] * directions[:, :, None]
    hits = inside(points)
    height, width = hits.shape[0] // samples, hits.shape[1] // samples
    first = np.take_along_axis(points, hits.argmax(-1)[..., None, None], 2)[:, :, 0]
    alpha = hits.any(-1).reshape(height, samples, width, samples).mean((1, 3))
    image = np.zeros((height, width, 4), np.uint8)
    image[..., :3] = np.clip(255 * (first[::samples, ::samples] + 0.5), 0, 255)
    image[..., 3] = np.round(255 * alpha)
    image[alpha == 0] = 0
    return image


def views_of(inside: Inside, views: int = 4, size: int = 64) -> ViewSet:
    cameras = orbit(views, size=size)
    return ViewSet([picture(inside, camera) for camera in cameras], cameras)


@pytest.fixture(scope="session")
def ball_views() -> ViewSet:
    return views_of(ball)


@pytest.fixture(scope="session")
def bar_views() -> ViewSet:
    return views_of(bar)


@pytest.fixture(scope="session")
def pictures() -> Callable[[Camera], NDArray[np.uint8]]:
    """Pictures of the bar from any camera."""
    return lambda camera: picture(bar, camera)
