"""Sheets: one picture of several views, as other generators write it. Grids and cameras are from their repositories."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet, read_picture


@dataclass(frozen=True)
class Sheet:
    """A grid of square views, and their cameras.

    Attributes:
        columns, rows: of the grid.
        cameras: one a tile, row by row; azimuth 0 is that of the input picture.
        form: the grid in words.
    """

    columns: int
    rows: int
    cameras: tuple[Camera, ...]
    form: str


def _zero123plus() -> Sheet:
    """Version 1.2. The distance only sets the scale: 2 is InstantMesh's, whose objects are two units long."""
    cameras = tuple(Camera.on_sphere(30 + 60 * i, (20, -10)[i % 2], 2.0, 30.0, 320) for i in range(6))
    return Sheet(2, 3, cameras, "a picture of 3 rows of 2 views of 320 pixels (640 x 960)")


def _mvadapter() -> Sheet:
    """Orthographic, 1.1 wide. Our cameras are pinholes, so they stand very far away: half a unit of depth moves a pixel
    of 768 by less than a twentieth, and the world is as large as theirs."""
    far = 5000.0
    fov = 2 * math.degrees(math.atan(0.55 / far))
    cameras = tuple(Camera.on_sphere(azimuth, 0.0, far, fov, 768) for azimuth in (0, 45, 90, 180, 270, 315))
    return Sheet(6, 1, cameras, "a row of 6 views of 768 pixels, output.png")


SHEETS = {
    "zero123plus": _zero123plus(),  # SUDO-AI-3D/zero123plus: README, camera poses of v1.2
    "mvadapter": _mvadapter(),  # huanngzh/MV-Adapter: scripts/inference_i2mv_sdxl.py
    # liuyuan-pal/SyncDreamer: generate.py, meta_info/camera-16.pkl
    "syncdreamer": Sheet(16, 1, tuple(orbit(16)), "a strip of 16 views of 256 pixels, 0.png"),
}


def read(path: str | Path, form: str) -> ViewSet:
    """The views of a sheet, whatever the size of its tiles.

    Args:
        form: one of `SHEETS`.

    Raises:
        ViewmaskError: no such format, the picture is unreadable, or it is no such grid.
    """
    if form not in SHEETS:
        raise ViewmaskError(f"there is no layout {form!r}: choose {', '.join(SHEETS)}")
    sheet = SHEETS[form]
    picture = read_picture(path)
    images = tiles(picture, sheet.columns, sheet.rows)
    if images is None:
        height, width = picture.shape[:2]
        raise ViewmaskError(f"{path} is not {sheet.form}, but {width} x {height}: give the picture as {form} wrote it")
    side = images[0].shape[0]
    return ViewSet(images, [camera.resized(side, side) for camera in sheet.cameras], {"source": form})


def tiles(picture: NDArray[np.uint8], columns: int, rows: int) -> list[NDArray[np.uint8]] | None:
    """A grid of equal square pictures taken apart, row by row; None if the picture is no such grid."""
    height, width = picture.shape[:2]
    if width % columns or height % rows or width // columns != height // rows:
        return None
    side = width // columns
    return [
        np.ascontiguousarray(picture[side * row : side * (row + 1), side * column : side * (column + 1)])
        for row in range(rows)
        for column in range(columns)
    ]
