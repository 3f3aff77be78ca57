"""Lenses: distortion as OpenCV, COLMAP and nerfstudio write it, and pictures without it."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.picture import Picture, premultiplied

Floats = NDArray[np.float64]

_LEAST = 0.1  # pixels: what a lens moves less than this is not worth resampling for
_WIDEST = 2.0  # a picture grows at most so much when it is straightened
_STEPS = 50


@dataclass(frozen=True)
class Distortion:
    """OpenCV's radial (k) and tangential (p) coefficients; k4 continues the polynomial, as in nerfstudio."""

    k1: float = 0.0
    k2: float = 0.0
    k3: float = 0.0
    k4: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def __bool__(self) -> bool:
        return any(getattr(self, field.name) for field in fields(self))

    def bent(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where a lens puts what a pinhole would see at (x, y), in units of the focal length, y down."""
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * (self.k2 + r2 * (self.k3 + r2 * self.k4)))
        return (
            x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
            y * radial + self.p1 * (r2 + 2 * y * y) + 2 * self.p2 * x * y,
        )

    def straight(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The inverse of `bent`, by fixed-point steps; what has no inverse comes back far off, or as NaN."""
        u, v = x.copy(), y.copy()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for _ in range(_STEPS):
                bent_u, bent_v = self.bent(u, v)
                u, v = u + 0.7 * (x - bent_u), v + 0.7 * (y - bent_v)
        return u, v

    def reach(self) -> float:
        """The radius, in focal lengths, up to which the lens keeps the order of things; inf if everywhere."""
        # The derivative of the radial polynomial, by powers of r squared.
        roots = np.roots([9 * self.k4, 7 * self.k3, 5 * self.k2, 3 * self.k1, 1.0])
        real = roots[np.abs(roots.imag) < 1e-9].real
        return float(np.sqrt(real[real > 0].min())) if (real > 0).any() else float("inf")


def undistorted(picture: Picture, camera: Camera, lens: Distortion) -> tuple[Picture, Camera]:
    """A picture as a pinhole of the same focal length sees it, large enough for all that the lens showed.

    What the lens did not show is transparent in a picture with transparency, else like the picture's border.

    Args:
        camera: what the lens would be without distortion, of the picture's size.

    Raises:
        ViewmaskError: the coefficients fold the picture over itself.
    """
    from scipy import ndimage

    height, width = picture.shape[:2]
    x, y = _border(camera)
    bent = np.stack(lens.bent(x, y)) - (x, y)
    if np.abs(bent * [[camera.fl_x], [camera.fl_y]]).max() < _LEAST:
        return picture, camera
    u, v = lens.straight(x, y)
    back = np.stack(lens.bent(u, v)) - (x, y)
    found = np.isfinite(back).all(0) & (np.abs(back).max(0) < 1e-4)
    reach = min(lens.reach(), 10.0)
    shorter = min(width / camera.fl_x, height / camera.fl_y) / 2
    if not found.any() or lens.bent(np.array([reach]), np.zeros(1))[0][0] < 0.7 * shorter:
        raise ViewmaskError(
            "the lens distortion (k1, k2 ...) folds the picture over itself: check it, or undistort the pictures first"
        )
    # Grown to the side where the lens showed more, and never cropped.
    right, low = camera.cx + camera.fl_x * u[found], camera.cy + camera.fl_y * v[found]
    spare = (_WIDEST - 1) / 2
    left = int(np.ceil(np.clip(-right.min(), 0, spare * width)))
    top = int(np.ceil(np.clip(-low.min(), 0, spare * height)))
    wide = width + left + int(np.ceil(np.clip(right.max() - width, 0, spare * width)))
    high = height + top + int(np.ceil(np.clip(low.max() - height, 0, spare * height)))
    pinhole = Camera(wide, high, camera.fl_x, camera.fl_y, camera.cx + left, camera.cy + top, camera.camera_to_world)
    across, down = np.meshgrid(
        (np.arange(wide) + 0.5 - pinhole.cx) / pinhole.fl_x, (np.arange(high) + 0.5 - pinhole.cy) / pinhole.fl_y
    )
    beyond = np.hypot(across, down) >= lens.reach()
    column, row = lens.bent(across, down)
    places = [row * camera.fl_y + camera.cy - 0.5, column * camera.fl_x + camera.cx - 0.5]
    opaque = bool((picture[..., 3] == 255).all())
    mode = "nearest" if opaque else "constant"
    pixels = premultiplied(picture)
    planes = np.stack([ndimage.map_coordinates(pixels[..., c], places, order=1, mode=mode) for c in range(4)], axis=-1)
    planes[beyond] = (*np.median(pixels[0, :, :3], axis=0), 1) if opaque else 0
    alpha = planes[..., 3:]
    planes[..., :3] = np.where(alpha > 1 / 510, planes[..., :3] / np.maximum(alpha, 1 / 510), 0)
    return np.round(np.clip(planes, 0, 1) * 255).astype(np.uint8), pinhole


def _border(camera: Camera) -> tuple[Floats, Floats]:
    """Points along a picture's border, in units of the focal length, y down."""
    across, down = np.linspace(0, camera.width, 33), np.linspace(0, camera.height, 33)
    x = np.concatenate([across, across, np.zeros(33), np.full(33, camera.width)])
    y = np.concatenate([np.zeros(33), np.full(33, camera.height), down, down])
    return (x - camera.cx) / camera.fl_x, (y - camera.cy) / camera.fl_y
