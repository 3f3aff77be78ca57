"""An edit: which patches of a view are made anew, and how they join the old picture."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.views import camera
from viewmask.views.viewset import Picture, ViewSet, premultiplied

_FEATHER = 1 / 32  # of a view's side: over this width, within the new patches, the old picture fades into the new one
_SAME = 0.01  # of a focal length, and of a unit of length: views this near to the model's orbit are its views


def check_orbit(views: ViewSet) -> None:
    """Refuse views that the model cannot know: it learnt one lens, distance and elevation, and even steps.

    Raises:
        ViewmaskError: the first view that is none of such an orbit.
    """
    if (index := _astray(views)) is not None:
        raise ViewmaskError(
            f"view {index} is not of the model's orbit (square, elevation {camera.ELEVATION:.0f}, even steps, its "
            "lens): only views as viewmask generate makes them can be edited"
        )


def is_orbit(views: ViewSet) -> bool:
    """Whether all views are of an orbit that the model knows."""
    return _astray(views) is None


def _astray(views: ViewSet) -> int | None:
    """The first view that is not of the model's orbit."""
    orbit = camera.orbit(len(views), start=views.cameras[0].azimuth)
    for index, (own, given) in enumerate(zip(orbit, views.cameras, strict=True)):
        there = given.resized(own.width, own.height)
        lens = max(abs(there.fl_x / own.fl_x - 1), abs(there.fl_y / own.fl_y - 1)) < _SAME
        posed = np.allclose(there.camera_to_world, own.camera_to_world, atol=_SAME)
        if given.width != given.height or not (lens and posed):
            return index
    return None


def patches(region: NDArray[np.bool_], grid: int) -> Tensor:
    """Which patches of a view a region [height, width] touches, bool [grid, grid]."""
    return F.adaptive_max_pool2d(torch.from_numpy(region).float()[None], grid)[0] > 0


def joined(old: Picture, new: Picture, made: NDArray[np.bool_]) -> Picture:
    """The old picture with some patches of the new one, of the same size; all others stay, to the bit.

    Args:
        made: bool [grid, grid], which patches are new.
    """
    side = len(old)
    patch = np.arange(side) * len(made) // side
    where = made[patch[:, None], patch]
    if where.all():
        return new
    # Beyond the picture's border there is nothing to fade into.
    depth = ndimage.distance_transform_edt(np.pad(where, 1, mode="edge"))[1:-1, 1:-1]
    share = np.minimum(depth / (_FEATHER * side), 1)[..., None]
    mixed = premultiplied(old) * (1 - share) + premultiplied(new) * share
    alpha = mixed[..., 3:]
    straight = np.concatenate([mixed[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1).clip(0, 1)
    return np.where(where[..., None], (straight * 255).round().astype(np.uint8), old)
