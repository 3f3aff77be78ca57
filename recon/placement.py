"""Placement: where in the world the cameras look and how large it is there, so that neither matters.

Reconstruction works in a frame of its own, with the object near the origin and about as large as training's objects.
The scale is a power of two and the shift a multiple of it, so the cameras of the project pass through unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.hull import Grid, Points, Volume, looked_at
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

REACH = 0.6858  # what the project's cameras see of the world, from its centre to the picture's edge
_FAR = 100.0  # cameras so many times farther from the origin than from each other: least squares need a nearer one
_FLOAT32 = 1000.0  # how many of an object's sizes away from the origin a file of float32 still holds its shape


@dataclass(frozen=True, eq=False)
class Placement:
    """The frame of reconstruction: its origin in the world [3], and the world's units in one of its own."""

    origin: Points
    unit: float

    @classmethod
    def of(cls, cameras: list[Camera]) -> Placement:
        """Where cameras look.

        Raises:
            ViewmaskError: nothing tells: they look apart from one place.
        """
        positions = np.array([camera.position for camera in cameras])
        middle = positions.mean(0)
        spread = float(np.linalg.norm(positions - middle, axis=1).max())
        base = middle if 0 < spread * _FAR < np.linalg.norm(middle) else np.zeros(3)
        centre, reach = looked_at([_moved(camera, base, 1.0) for camera in cameras])
        # Less than rounding leaves of positions is nothing.
        if not (np.isfinite(reach) and reach > max(1e-9 * spread, 1e-11 * float(np.linalg.norm(middle)), 1e-300)):
            raise ViewmaskError("the cameras look apart from one place: nothing tells where the object is")
        unit = float(2.0 ** np.round(np.log2(reach / REACH)))
        step = unit / 16
        return cls(base + np.round(centre / step) * step, unit)

    def inward(self, cameras: list[Camera]) -> list[Camera]:
        """Cameras of the world in this frame."""
        return [_moved(camera, self.origin, self.unit) for camera in cameras]

    def outward(self, points: NDArray[np.floating]) -> Points:
        """Points of this frame in the world."""
        return np.asarray(points, np.float64) * self.unit + self.origin

    def field(self, volume: Volume, grid: Grid) -> tuple[Volume, Grid]:
        """A signed field of this frame in the world."""
        return volume * np.float32(self.unit), Grid(self.outward(grid.origin), grid.pitch * self.unit, grid.shape)

    def nearer(self, extent: float) -> tuple[Placement, str | None]:
        """This, or, where files of float32 would lose an object of such an extent (in this frame) so far from the
        world's origin, the same around the origin, with a line that says so."""
        if np.linalg.norm(self.origin) < _FLOAT32 * extent * self.unit:
            return self, None
        there = ", ".join(f"{number:.10g}" for number in self.origin)
        return replace(self, origin=np.zeros(3)), (
            f"so far from the origin no mesh file holds the shape: it is written around 0 0 0, and belongs at ({there})"
        )


def _moved(camera: Camera, origin: Points, unit: float) -> Camera:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] = (pose[:3, 3] - origin) / unit
    return replace(camera, camera_to_world=pose)
