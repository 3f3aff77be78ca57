"""Silhouettes of a view set: alpha where there is one, else keyed from a plain background."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from viewmask.errors import ViewmaskError
from viewmask.views.background import cut_notes, is_cut_out, solidified
from viewmask.views.background import cut_out as cut_out_picture
from viewmask.views.picture import inside
from viewmask.views.viewset import ViewSet

FloatImage = NDArray[np.float32]

_FINE = 512  # pixels of a picture's longer side up to which its edge is looked for between pixels


def cut_out(views: ViewSet) -> ViewSet:
    """The views that show something, each with an alpha channel that is its silhouette.

    `extra` tells which they are (`shown`, their numbers), `notes` what was left out and what looks wrong.

    The alpha of a cut-out is believed (`background.is_cut_out`; where one view is a cut-out, the others that have
    transparency are). Else the background is keyed if it is plain. Glass counts as solid.

    Raises:
        ViewmaskError: no view shows anything, or a background is not plain.
    """
    images, cameras, shown = [], [], []
    doubts: dict[str, list[int]] = {}
    some = any(is_cut_out(image) for image in views.images)
    for index, (image, camera) in enumerate(zip(views.images, views.cameras, strict=True)):
        try:
            clear = some and not inside(image[..., 3]).all()
            picture = image if clear else cut_out_picture(image)
        except ViewmaskError as error:
            raise ViewmaskError(f"view {index}: {error}") from error
        for line in cut_notes(image, picture):
            doubts.setdefault(line, []).append(index)
        picture = solidified(picture)
        if (picture[..., 3] > 127).any():
            images.append(picture)
            cameras.append(camera)
            shown.append(index)
    if not images:
        raise ViewmaskError("every view is empty: there is no object to reconstruct")
    left_out = [index for index in range(len(views)) if index not in shown]
    notes = [f"nothing is on {_named(left_out)}: left out"] if left_out else []
    notes += [f"{_named(which)}: {line}" for line, which in doubts.items()]
    return ViewSet(images, cameras, views.extra | {"shown": shown}, (*views.notes, *notes))


def _named(which: list[int]) -> str:
    return f"view{'s' if len(which) > 1 else ''} {', '.join(map(str, which))}"


def signed_distance(alpha: NDArray[np.uint8], far: float | None = None) -> FloatImage:
    """Distance to the silhouette's edge in pixels, positive inside, float32 [height, width].

    The edge is where bilinear alpha crosses one half, found on a grid three times finer, so that
    it lies between pixels where alpha says so. Pictures of more than 512 pixels a side need no finer grid: their pixels
    are far smaller than cells of a hull. Beyond the picture its border goes on.

    Args:
        alpha: uint8 [height, width].
        far: how far outside distances are wanted, in pixels; beyond, -far stands, which for small parts is quicker.
    """
    height, width = alpha.shape
    if far is not None:
        distance = np.full((height, width), -far, np.float32)
        rows, columns = np.flatnonzero(alpha.any(1)), np.flatnonzero(alpha.any(0))
        if len(rows):
            margin = int(np.ceil(far)) + 3  # the edge is smoothed over two pixels
            box = tuple(slice(max(at[0] - margin, 0), at[-1] + margin + 1) for at in (rows, columns))
            distance[box] = np.maximum(signed_distance(alpha[box]), -far)
        return distance
    scale = 3 if max(height, width) <= _FINE else 1
    fine = alpha.astype(np.float32) / 255
    inside = (ndimage.zoom(fine, scale, order=1, mode="nearest", grid_mode=True) if scale > 1 else fine) > 0.5
    if inside.all() or not inside.any():
        return np.full((height, width), np.inf if inside.all() else -np.inf, np.float32)
    # Where a pixel of the silhouette is nearest to its outside lies in the box around it.
    box = tuple(
        slice(max(int(at[0]) - 1, 0), int(at[-1]) + 2)
        for at in (np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0)))
    )
    distance = -ndimage.distance_transform_edt(~inside)
    distance[box] += ndimage.distance_transform_edt(inside[box])
    distance = (distance - np.sign(distance) / 2) / scale
    # The middle one of each three samples sits on the pixel's centre; the others need no smoothing.
    rows = ndimage.gaussian_filter1d(distance, 0.5 * scale, 0)[scale // 2 :: scale]
    return ndimage.gaussian_filter1d(rows, 0.5 * scale, 1)[:, scale // 2 :: scale].astype(np.float32)
