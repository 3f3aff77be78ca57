"""A region of a view, and its place in the other views: the part of the object's hull that is seen in it.

Behind a pixel lies no known depth, so a small region of one view is a beam through the object, and a band in a view
from the side. Where the region shows no object, what may come there is sought in a box around the object.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon import hull
from recon.silhouette import cut_out, signed_distance
from viewmask.errors import ViewmaskError
from viewmask.views.picture import read_mask
from viewmask.views.viewset import ViewSet

Mask = NDArray[np.bool_]

_RESOLUTION = 48  # of the hull; views are edited in patches, far coarser
_MARGIN = 2  # cells around the hull that belong to its place
_ABOVE = 0.25  # of the object's size: how far beyond its box something may be put


def read(text: str, width: int, height: int) -> Mask:
    """A region as the command line gives it, [height, width]: `x,y,w,h` in pixels, or a mask as a picture's file.

    Raises:
        ViewmaskError: neither, a region without a pixel or outside the view, or a mask of another size.
    """
    numbers = text.split(",")
    if len(numbers) == 1 or Path(text).is_file():
        return painted(Path(text), width, height)
    try:
        x, y, w, h = (int(number) for number in numbers)
    except ValueError as error:
        raise ViewmaskError(f"a region is a mask's file or x,y,w,h in pixels, not '{text}'") from error
    if min(x, y, w, h) < 0 or x + w > width or y + h > height:
        raise ViewmaskError(f"the region {text} leaves the view, which is {width}x{height} pixels: x,y is its top left")
    region = np.zeros((height, width), bool)
    region[y : y + h, x : x + w] = True
    return _some(region, f" {text}")


def painted(file: Path | IO[bytes], width: int, height: int) -> Mask:
    """A region as a mask's picture, white where it is, [height, width].

    Raises:
        ViewmaskError: no picture, one of another size, or nothing white in it.
    """
    kept, name = read_mask(file) >= 128, f" {file}" if isinstance(file, Path) else ""
    if kept.shape != (height, width):
        raise ViewmaskError(
            f"the mask{name} is {kept.shape[1]}x{kept.shape[0]}, the view {width}x{height}: make them equal"
        )
    return _some(kept, name)


def _some(region: Mask, name: str) -> Mask:
    if not region.any():
        raise ViewmaskError(f"the region{name} holds no pixel: black is left out, white is made anew")
    return region


def regions(region: Mask, view: int, views: ViewSet, everywhere: bool) -> list[Mask]:
    """A region of every view: that of one view alone, or its place in all of them, too (`everywhere`)."""
    if everywhere:
        return places(region, view, views)
    return [region if index == view else np.zeros_like(region) for index in range(len(views))]


def places(region: Mask, view: int, views: ViewSet) -> list[Mask]:
    """The place of a region of one view in every view, bool [height, width] each; of that view, the region itself.

    Args:
        region: bool, as large as the view's picture.
        view: its number.
        views: cut-out views with their cameras.

    Raises:
        ViewmaskError: views that have no shape in common.
    """
    shown = cut_out(views)
    volume, grid = hull.carve(
        shown.cameras, [signed_distance(image[..., 3]) for image in shown.images], resolution=_RESOLUTION
    )
    # Room for what is added: the hull's box grown on all sides.
    room = int(np.ceil(_ABOVE * max(grid.shape)))
    grid = hull.Grid(grid.origin - room * grid.pitch, grid.pitch, _grown(grid.shape, room))
    solid = np.pad(volume > 0, room)
    seen = _within(region, grid, views, view)
    place = seen & ndimage.binary_dilation(solid, iterations=_MARGIN)
    if not (seen & solid).any():
        place = seen
    found = [_shadow(place, grid, views, other) for other in range(len(views))]
    found[view] = region
    return found


def _grown(shape: tuple[int, int, int], room: int) -> tuple[int, int, int]:
    return shape[0] + 2 * room, shape[1] + 2 * room, shape[2] + 2 * room


def _pixels(grid: hull.Grid, views: ViewSet, view: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Mask]:
    """Row and column of every grid point in a view, and whether it lies in the picture."""
    camera = views.cameras[view]
    x, y, _ = grid.project(camera)
    columns, rows = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    inside = (columns >= 0) & (columns < camera.width) & (rows >= 0) & (rows < camera.height)
    return rows, columns, inside


def _within(region: Mask, grid: hull.Grid, views: ViewSet, view: int) -> Mask:
    """Which grid points a region shows."""
    rows, columns, inside = _pixels(grid, views, view)
    seen = np.zeros(grid.shape, bool)
    seen[inside] = region[rows[inside], columns[inside]]
    return seen


def _shadow(points: Mask, grid: hull.Grid, views: ViewSet, view: int) -> Mask:
    """Where a view shows any of some grid points; gaps between neighbouring points are closed."""
    camera = views.cameras[view]
    rows, columns, inside = _pixels(grid, views, view)
    shadow = np.zeros((camera.height, camera.width), bool)
    which = points & inside
    shadow[rows[which], columns[which]] = True
    apart = int(np.ceil(grid.pitch * max(camera.fl_x, camera.fl_y) / max(camera.distance, grid.pitch)))
    return np.asarray(ndimage.binary_closing(np.pad(shadow, apart), iterations=apart)[apart:-apart, apart:-apart])
