"""Agreement: do the views show one object, and do the cameras belong to their pictures?

Silhouettes judge first: the hull must fill every one, and wrong cameras leave a part of some silhouette empty. Then
the usual mistakes are undone, one at a time, on a coarse grid; one that brings agreement back is named.

Many objects look alike from opposite sides or in a mirror, so half of all exchanged cameras leave no trace in
silhouettes. There colours decide: those that views show of the same place on the hull. What neither shows does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import combinations

import numpy as np
import trimesh
from numpy.typing import NDArray

from recon import atlas, texture, threads
from recon.hull import Grid, Volume, cone, frame, unexplained
from recon.meshing import surface
from recon.placement import Placement
from recon.silhouette import FloatImage, signed_distance
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import ViewSet

AGREED = 0.97  # share of silhouettes explained with which views are taken as they are; consistent ones reach 1
_RESOLUTION = 80
_BETTER = 0.03  # how much a mistake undone must explain more
POOR = 0.85  # below this, views without any likely reason are worth a warning too
_CLEARER = 0.1  # how much of the colours' difference a mistake undone must take away; of true views it takes 0.06
_FAINT = 0.005  # and at least that much of all colour
_PAIRS = 12  # views up to which every exchange of two is tried
_FEW = 4  # views up to which colours are compared: more leave their trace in silhouettes, and take long
_EDGE = 0.008  # of a picture's side: so near a silhouette's edge nothing is wrong
_SIZE, _FINE = 128, 48  # of pictures whose colours are compared, and of their hull's grid

_LOOKS = 12  # views that are looked at to tell a convention
# How others write poses, as signs of nerfstudio's camera axes (x right, y up, looking along -z).
_AXES = (
    (
        "OpenCV's (y down, looking along +z)",
        (1, -1, -1),
        "negate the second and third column of every transform_matrix",
    ),
    ("left-handed (looking along +z, as in Unity)", (1, 1, -1), "negate the third column of every transform_matrix"),
    (
        "PyTorch3D's (x left, looking along +z)",
        (-1, 1, -1),
        "negate the first and third column of every transform_matrix",
    ),
)

_FLIPS = (np.s_[:], np.s_[:, ::-1], np.s_[::-1])  # as it is, left to right, upside down


@dataclass(frozen=True)
class _Mistake:
    """A usual mistake undone: in words, which camera every picture then has, and which of `_FLIPS`."""

    words: str
    cameras: list[int]
    flips: list[int]


class _Trials:
    """Views on a grid as they would be without a mistake; a cone is worked out once."""

    def __init__(self, views: ViewSet, distances: list[FloatImage], resolution: int) -> None:
        self.views, self.distances = views, distances
        self.grid = frame(views.cameras, resolution)
        self.cones: dict[tuple[int, int, int], Volume] = {}
        self.nothing = _Mistake("", list(range(len(views))), [0] * len(views))

    def without(self, mistake: _Mistake) -> tuple[ViewSet, list[FloatImage], list[Volume], NDArray[np.float64]]:
        """Its views, silhouette distances and cones, and how much of every silhouette is `explained`."""
        flips = [_FLIPS[flip] for flip in mistake.flips]
        cameras = [self.views.cameras[i] for i in mistake.cameras]
        edges = [distance[flip] for distance, flip in zip(self.distances, flips, strict=True)]
        images = [image[flip] for image, flip in zip(self.views.images, flips, strict=True)]
        keys = list(zip(range(len(cameras)), mistake.cameras, mistake.flips, strict=True))
        for key, camera, edge in zip(keys, cameras, edges, strict=True):
            if key not in self.cones:
                self.cones[key] = cone(self.grid, camera, edge)
        cones = [self.cones[key] for key in keys]
        return ViewSet(images, cameras), edges, cones, explained(self.grid, cones, cameras, edges)


def complaint(views: ViewSet, distances: list[FloatImage], given: list[Camera] | None = None) -> str | None:
    """A line for a user about views and cameras that contradict each other, with the likely reason; None if they agree.

    Args:
        views: cut out; `extra` tells the views' numbers (`shown`), where some were left out.
        distances: their `silhouette.signed_distance`.
        given: the cameras as they were given, where those of `views` have been moved (`Placement`).
    """
    names = views.extra.get("shown") or list(range(len(views)))
    mistakes = list(_mistakes(names, len({image.shape for image in views.images}) == 1))
    trials = _Trials(views, distances, _RESOLUTION)
    *_, cones, shares = trials.without(trials.nothing)
    share = float(shares.mean())
    if share >= AGREED:
        return _by_colour(views, mistakes) if 1 < len(views) <= _FEW else None
    if (words := convention(given or views.cameras, distances, share + _BETTER)) is not None:
        return words
    undone = [float(trials.without(mistake)[-1].mean()) for mistake in mistakes]
    if (best := max(undone)) > share + _BETTER:
        words = _either(mistakes, [each > best - 0.005 for each in undone])
        return f"{words}: silhouettes would agree to {best:.0%} then, now they agree to {share:.0%}"
    if share >= POOR:
        return None
    alone = _odd_one(trials.grid, cones, views.cameras, distances)
    if alone is not None:
        return f"view {names[alone]} contradicts the others: its picture or its camera is wrong"
    least = ", ".join(str(names[i]) for i in np.argsort(shares)[:3] if shares[i] < AGREED)
    return f"silhouettes agree to {share:.0%} only, least in views {least}: check the cameras"


def convention(given: list[Camera], distances: list[FloatImage], least: float = 0.5) -> str | None:
    """The convention in which the poses must have been written, if silhouettes agree in another than ours.

    Args:
        given: the cameras as they were given.
        distances: their pictures' `silhouette.signed_distance`.
        least: the share of the silhouettes that must be explained then.
    """
    step = -(-len(given) // _LOOKS)
    cameras, edges = given[::step], distances[::step]
    inverse = "the inverse (`numpy.linalg.inv`) of every transform_matrix"
    tried = [(f"look like {name}", False, signs, cure) for name, signs, cure in _AXES]
    tried.append(("look like world-to-camera matrices", True, (1, 1, 1), f"write {inverse}"))
    tried += [
        (f"look like world-to-camera matrices, their axes {name}", True, signs, f"take {inverse}, then {cure}")
        for name, signs, cure in _AXES
    ]
    found = []
    for words, inverted, signs, cure in tried:
        try:
            poses = [np.linalg.inv(each.camera_to_world) if inverted else each.camera_to_world for each in cameras]
            turned = [
                replace(each, camera_to_world=np.asarray(pose @ np.diag([*signs, 1.0]), np.float64))
                for each, pose in zip(cameras, poses, strict=True)
            ]
            placed = Placement.of(turned).inward(turned)
            grid = frame(placed, _FINE)
            cones = [cone(grid, camera, edge) for camera, edge in zip(placed, edges, strict=True)]
            share = float(explained(grid, cones, placed, edges).mean())
        except (ViewmaskError, np.linalg.LinAlgError):
            continue
        found.append((share, f"the poses {words}: {cure}; the silhouettes would agree to {share:.0%} then"))
    best = max((share for share, _ in found), default=0.0)
    if best < max(least, POOR):
        return None
    return next(words for share, words in found if share > best - 0.005)


def agreement(views: ViewSet) -> float:
    """How far views agree, 0 to 1: the mean share of each silhouette that the hull of all fills.

    Cut-out views of one object reach 1, up to the grid. An empty view agrees with nothing.
    """
    distances = [signed_distance(image[..., 3]) for image in views.images]
    trials = _Trials(views, distances, _RESOLUTION)
    shares = trials.without(trials.nothing)[-1]
    return float(np.mean([share * (distance > 0).any() for share, distance in zip(shares, distances, strict=True)]))


def explained(
    grid: Grid, cones: list[Volume], cameras: list[Camera], distances: list[FloatImage]
) -> NDArray[np.float64]:
    """The share of every silhouette that what all cones have in common projects to, [views]."""
    hull = reduce(np.minimum, cones)
    points = np.argwhere(hull > -grid.pitch / 2)
    return np.array(
        [
            1 - unexplained(grid, points, camera, distance).sum() / max((distance > 0).sum(), 1)
            for camera, distance in zip(cameras, distances, strict=True)
        ]
    )


def disagreement(surface: trimesh.Trimesh, views: ViewSet, distances: list[FloatImage]) -> float:
    """How badly a surface explains its views, 0 to 1, mean over pixels.

    A pixel counts 1 where only the silhouette or only the surface covers it, but for those right at the edge. Where
    both do, it counts the difference (mean of RGB, 0 to 1) between its colour and what the other views show of that
    place. What no other view shows does not count.
    """
    scene = atlas.scene(surface.vertices, surface.faces)
    normals = np.asarray(surface.face_normals, np.float32)
    painted = [texture.spread(image, inside) for image, inside in zip(views.images, distances, strict=True)]
    wrong, counted = 0.0, 0
    for index, (camera, inside) in enumerate(zip(views.cameras, distances, strict=True)):
        origins, directions = (part[::2, ::2].reshape(-1, 3).astype(np.float32) for part in camera.rays())
        hits = scene.run(np.ascontiguousarray(origins), np.ascontiguousarray(directions), output=True)
        hit, filled = hits["primID"] >= 0, inside[::2, ::2].ravel() > 0
        both = np.flatnonzero(hit & filled)
        points = origins[both] + hits["tfar"][both, None] * directions[both]
        looks = (
            (painted[other], witness, texture.weigh(scene, points, normals[hits["primID"][both]], witness, far))
            for other, (witness, far) in enumerate(zip(views.cameras, distances, strict=True))
            if other != index
        )
        colours, total = texture.blend(points, looks)
        seen = total > 0
        own = painted[index][::2, ::2].reshape(-1, 3)[both[seen]]
        difference = np.abs(colours[seen] - own).mean(1) / 255
        apart = (hit != filled) & (np.abs(inside[::2, ::2].ravel()) > _EDGE * max(camera.width, camera.height))
        wrong += float(difference.sum()) + float(apart.sum())
        counted += int(seen.sum()) + int(apart.sum())
    return wrong / max(counted, 1)


def _by_colour(views: ViewSet, mistakes: list[_Mistake]) -> str | None:
    """The mistake without which views would agree better in what they show of the same places."""
    small = views.resized(_SIZE)
    trials = _Trials(small, [signed_distance(image[..., 3]) for image in small.images], _FINE)

    def apart(mistake: _Mistake) -> float:
        placed, edges, cones, shares = trials.without(mistake)
        if shares.mean() < AGREED:
            return 1.0
        return disagreement(surface(np.min(cones, axis=0), trials.grid, faces=100_000, smooth=3), placed, edges)

    # Upside down a can is a can with other colours, of which fewer are seen twice: that is for silhouettes to tell.
    mistakes = [mistake for mistake in mistakes if 2 not in mistake.flips]
    before, after = apart(trials.nothing), list(threads.each(apart, mistakes))
    if before - (best := min(after)) < max(_CLEARER * before, _FAINT):
        return None
    words = _either(mistakes, [each < 1.01 * best for each in after])
    return f"{words}: colours would differ by {best:.1%} then, now they differ by {before:.1%}"


def _either(mistakes: list[_Mistake], likely: list[bool]) -> str:
    """The first three of the likely mistakes: a mirrored orbit, for one, is a reversed one."""
    return ", or ".join([mistake.words for mistake, is_likely in zip(mistakes, likely, strict=True) if is_likely][:3])


def _mistakes(names: list[int], alike: bool) -> Iterator[_Mistake]:
    """The usual mistakes; `alike`: the pictures have one size, so they may have been taken for each other."""
    count = len(names)
    straight, upright = list(range(count)), [0] * count
    yield _Mistake("the pictures look mirrored left to right", straight, [1] * count)
    yield _Mistake("the pictures look upside down", straight, [2] * count)
    few = count <= _PAIRS
    if alike:
        words = "the cameras look to be in reverse order (the orbit runs the other way)"
        yield _Mistake(words, [0, *straight[:0:-1]], upright)
        for shift in straight[1:] if few else []:
            yield _Mistake(f"the cameras look shifted by {shift}", straight[shift:] + straight[:shift], upright)
        for one, other in combinations(straight, 2) if few else ():
            order = list(straight)
            order[one], order[other] = other, one
            yield _Mistake(f"views {names[one]} and {names[other]} look to have each other's camera", order, upright)
    for one in straight if few else []:
        yield _Mistake(f"view {names[one]} looks mirrored left to right", straight, [int(i == one) for i in straight])


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
    return best if means[best] >= AGREED else None
