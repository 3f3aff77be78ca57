"""Do the cameras belong to their pictures? Judged by silhouettes: what all cones share must fill every one of them.

Wrong cameras leave a part of some silhouette empty. Then the usual mistakes are undone, one at a time, on a coarse
grid; one that brings agreement back is named. Symmetric objects hide such mistakes, which then do the shape no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from recon.hull import Grid, Volume, cone, frame, unexplained
from recon.silhouette import FloatImage
from viewmask.camera import Camera

_RESOLUTION = 80
_GOOD = 0.97  # of a silhouette explained; consistent views reach 1
_BETTER = 0.03  # how much a mistake undone must explain more
_POOR = 0.85  # below this, views without any likely reason are worth a warning too
_PAIRS = 12  # views up to which every exchange of two is tried


def complaint(cameras: list[Camera], distances: list[FloatImage], names: list[int] | None = None) -> str | None:
    """A line about views and cameras that contradict each other, with the likely reason; None if they agree.

    Args:
        cameras, distances: per view, its camera and `silhouette.signed_distance`.
        names: the views' numbers, where some were left out.
    """
    names = names or list(range(len(cameras)))
    grid = frame(cameras, _RESOLUTION)
    cones = [cone(grid, camera, distance) for camera, distance in zip(cameras, distances, strict=True)]
    shares = explained(grid, cones, cameras, distances)
    given = float(shares.mean())
    if given >= _GOOD:
        return None
    best, found = given + _BETTER, ""
    known = {(i, i): each for i, each in enumerate(cones)}  # by picture and camera
    for words, order, pictures in _mistakes(names, distances):
        placed = [cameras[i] for i in order]
        tried = []
        for pair, camera, picture in zip(enumerate(order), placed, pictures, strict=True):
            if picture is not distances[pair[0]]:  # flipped: needed once
                tried.append(cone(grid, camera, picture))
                continue
            if pair not in known:
                known[pair] = cone(grid, camera, picture)
            tried.append(known[pair])
        share = float(explained(grid, tried, placed, pictures).mean())
        if share > best:
            best, found = share, words
    if found:
        return f"{found}: silhouettes would agree to {best:.0%}, as given they do to {given:.0%}"
    if given >= _POOR:
        return None
    alone = _odd_one(grid, cones, cameras, distances)
    if alone is not None:
        return f"view {names[alone]} contradicts the others: its picture or its camera is wrong"
    least = ", ".join(str(names[i]) for i in np.argsort(shares)[:3] if shares[i] < _GOOD)
    return f"silhouettes agree to {given:.0%} only, least in views {least}: check the cameras"


def explained(
    grid: Grid, cones: list[Volume], cameras: list[Camera], distances: list[FloatImage]
) -> NDArray[np.float64]:
    """The share of every silhouette that what all cones have in common projects to, [views]."""
    hull = np.min(cones, axis=0)
    return np.array(
        [
            1 - unexplained(grid, hull, camera, distance).sum() / max((distance > 0).sum(), 1)
            for camera, distance in zip(cameras, distances, strict=True)
        ]
    )


def _mistakes(names: list[int], distances: list[FloatImage]) -> Iterator[tuple[str, list[int], list[FloatImage]]]:
    """The usual mistakes: in words, which camera every picture then has, and the pictures."""
    straight = list(range(len(names)))
    yield "the pictures look mirrored left to right", straight, [distance[:, ::-1] for distance in distances]
    yield "the pictures look upside down", straight, [distance[::-1] for distance in distances]
    if len({distance.shape for distance in distances}) > 1:
        return  # pictures of several sizes cannot have been taken for each other
    yield "the cameras look to be in reverse order (the orbit runs the other way)", [0, *straight[:0:-1]], distances
    for shift in straight[1:] if len(names) <= _PAIRS else []:
        yield f"the cameras look shifted by {shift}", straight[shift:] + straight[:shift], distances
    for one, other in combinations(straight, 2) if len(names) <= _PAIRS else ():
        order = list(straight)
        order[one], order[other] = other, one
        yield f"views {names[one]} and {names[other]} look to have each other's camera", order, distances


def _odd_one(grid: Grid, cones: list[Volume], cameras: list[Camera], distances: list[FloatImage]) -> int | None:
    """The view without which all others agree, if there is one."""
    if len(cameras) < 3:
        return None
    rest = [[i for i in range(len(cameras)) if i != odd] for odd in range(len(cameras))]
    means = [
        explained(grid, [cones[i] for i in few], [cameras[i] for i in few], [distances[i] for i in few]).mean()
        for few in rest
    ]
    best = int(np.argmax(means))
    return best if means[best] >= _GOOD else None
