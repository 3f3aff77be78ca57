"""Which side of each face is out, where a file does not say: doubled, flipped and loose faces, parts inside out.

A closed mesh whose faces agree is left as it is. Others fall into patches, whose faces can agree with each other.
Closed patches have an outside of their own; of the rest, the side that sees more of the sky is out (Takayama et al.
2014). Where both sides see it, the patch is a sheet, and nothing is inside of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Faces = NDArray[np.int64]
Bools = NDArray[np.bool_]

RAYS = 64  # from either side of a patch that is not closed
LIFT = 2e-4  # where they start above the surface, the longest side being 1
SEEN, SURE = 0.1, 0.5  # one side is out if it sees so much more of the sky: at least, and as a share of both
CLEAR = 0.8  # share of a patch's area that agreed before: then the file is believed


def oriented(vertices: Any, faces: Any) -> tuple[Floats, Faces]:
    """The same surface with every face turned outward, and no face twice where faces do not agree.

    Sheets are left out: open patches, both of whose sides see the sky. So are walls within a solid that have two sides.

    Args:
        vertices: [n, 3], the longest side about 1.
        faces: [m, 3].

    Returns:
        corners with equal positions made one, and faces. By them, winding numbers tell inside from outside.
    """
    corners, faces = weld(vertices, faces)
    faces = faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)]
    if not len(faces):
        return corners, faces
    if _volumes(corners[faces]).sum() < 0:
        faces = faces[:, ::-1]
    single, doubled = _once(faces)
    patches = _Patches.of(single)
    if not doubled.any() and not patches.turned.any() and len(patches.closed) == 1 and patches.closed[0]:
        return corners, faces
    sky = _Sky(corners, single)
    if not patches.closed.all():
        patches = _split(patches, single, sky)
    sign = _signs(corners, single, doubled, patches, sky)[patches.index] * np.where(patches.turned, -1, 1)
    if not doubled.any() and (sign == 1).all():
        return corners, faces
    return corners, np.where(sign[:, None] < 0, single[:, ::-1], single)[sign != 0]


def weld(vertices: Any, faces: Any) -> tuple[Floats, Faces]:
    """Corners and faces with equal positions made one: files split them along texture seams."""
    faces = np.asarray(faces, dtype=np.int64)
    rounded: Floats = np.asarray(vertices, dtype=np.float64).round(6)
    corners, index = np.unique(rounded, axis=0, return_inverse=True)
    return corners, index.astype(np.int64).reshape(-1)[faces]


def closed(faces: Faces) -> bool:
    """Whether every edge is walked as often one way as the other: then winding numbers are whole."""
    a, b = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
    n = int(faces.max(initial=0)) + 1
    return bool(np.array_equal(np.sort(a * n + b), np.sort(b * n + a)))


def _volumes(triangles: Floats) -> Floats:
    """What each triangle adds to the signed volume, about the mean of all corners: [n]."""
    centred = triangles - triangles.reshape(-1, 3).mean(axis=0)
    volumes: Floats = np.einsum("ij,ij->i", centred[:, 0], np.cross(centred[:, 1], centred[:, 2])) / 6
    return volumes


def _once(faces: Faces) -> tuple[Faces, Bools]:
    """Faces with the same corners made one, in the order of the file, and which of them lie there with both sides."""
    a, b, c = np.sort(faces, axis=1).T
    n = int(faces.max()) + 1
    if n < 2**21:  # three corners in one integer: a tenth of the time
        _, first, index = np.unique((a * n + b) * n + c, return_index=True, return_inverse=True)
    else:
        _, first, index = np.unique(np.stack([a, b, c]), axis=1, return_index=True, return_inverse=True)
    if len(first) == len(faces):
        return faces, np.zeros(len(faces), dtype=bool)
    a, b, c = faces.T
    even = ((a < b) & (b < c)) | ((b < c) & (c < a)) | ((c < a) & (a < b))
    ways = np.bincount(index.reshape(-1), np.where(even, 1.0, -1.0), len(first))
    order = np.argsort(first)
    return faces[first[order]], (ways == 0)[order]


@dataclass(frozen=True)
class _Patches:
    """Faces joined by edges that two of them share.

    Attributes:
        turned: which faces to turn so that the faces of a patch agree, [faces].
        index: each face's patch, [faces].
        closed: which patches have, once they agree, every edge walked as often one way as the other, [patches].
    """

    turned: Bools
    index: NDArray[np.int64]
    closed: Bools

    @classmethod
    def of(cls, faces: Faces, as_they_are: bool = False) -> _Patches:
        """The patches of faces; with `as_they_are`, of neighbours that agree already, and none is turned.

        In a graph that has every face twice, as it is and turned over, neighbours are linked where they agree. A patch
        is one half of it; a patch with one side alone, such as Möbius' strip, is one part and not closed.
        """
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        count = len(faces)
        a, b = faces.reshape(-1), np.roll(faces, -1, axis=1).reshape(-1)
        n = int(faces.max()) + 1
        key = np.minimum(a, b) * n + np.maximum(a, b)
        order = np.argsort(key, kind="stable")
        key = key[order]
        start = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
        size = np.diff(np.concatenate([start, [len(key)]]))
        pair = start[size == 2]
        one, two = order[pair], order[pair + 1]
        agree = a[one] != a[two]
        if as_they_are:
            one, two, agree = one[agree], two[agree], agree[agree]
        left, right = one // 3, np.where(agree, two // 3, two // 3 + count)
        links = np.concatenate([left, left + count]), np.concatenate([right, (right + count) % (2 * count)])
        graph = coo_array((np.ones(len(links[0]), dtype=bool), links), shape=(2 * count, 2 * count))
        part = connected_components(graph, directed=False)[1].astype(np.int64)
        turned = part[:count] > part[count:]
        index = np.unique(np.minimum(part[:count], part[count:]), return_inverse=True)[1].reshape(-1).astype(np.int64)

        face, edge = order // 3, np.repeat(np.arange(len(start)), size)
        way = np.where((a < b)[order] != turned[face], 1, -1)
        many = int(index.max()) + 1
        place, walked = np.unique(edge * many + index[face], return_inverse=True)
        uneven = np.bincount(walked.reshape(-1), way, len(place)) != 0
        closed = np.ones(many, dtype=bool)
        closed[place[uneven] % many] = False
        closed[index[part[:count] == part[count:]]] = False
        return cls(turned, index, closed)


class _Sky:
    """How much of the sky either side of a patch sees: the share of rays that leave it and hit nothing."""

    def __init__(self, corners: Floats, faces: Faces) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.triangles = corners[faces]
        self.scene = EmbreeScene()
        TriangleMesh(self.scene, np.ascontiguousarray(self.triangles, dtype=np.float32))
        edges = self.triangles[:, 1:] - self.triangles[:, :1]
        normals = np.cross(edges[:, 0], edges[:, 1])
        length = np.linalg.norm(normals, axis=1)
        self.area: Floats = length / 2
        self.normals: Floats = normals / np.maximum(length, 1e-300)[:, None]

    def seen(self, patches: _Patches, asked: Bools) -> tuple[Floats, Floats]:
        """By the fronts and by the backs of the asked patches, [patches] each; 0 for the others."""
        random = np.random.default_rng(0)
        chosen = np.flatnonzero(asked)
        order = np.argsort(patches.index, kind="stable")
        begin, end = (np.searchsorted(patches.index[order], chosen, side=side) for side in ("left", "right"))  # type: ignore[call-overload]
        total = np.concatenate([[0.0], np.cumsum(self.area[order])])
        reach = total[begin][:, None] + (total[end] - total[begin])[:, None] * random.random((len(chosen), RAYS))
        place = np.searchsorted(total, reach, side="right") - 1
        face = order[np.clip(place, begin[:, None], end[:, None] - 1)].reshape(-1)
        weights = random.dirichlet((1, 1, 1), len(face))  # uniform on a triangle
        points = (self.triangles[face] * weights[..., None]).sum(axis=1)
        normal = self.normals[face] * np.where(patches.turned[face], -1, 1)[:, None]
        # Directions by the cosine law: a normal and a point on the unit sphere.
        sphere = random.normal(size=(len(face), 3))
        sphere *= 0.999 / np.linalg.norm(sphere, axis=1, keepdims=True)
        front, back = np.zeros(len(patches.closed)), np.zeros(len(patches.closed))
        for share, side in ((front, normal), (back, -normal)):
            origins, directions = (points + LIFT * side).astype(np.float32), (side + sphere).astype(np.float32)
            free = self.scene.run(origins, directions, output=1)["primID"] < 0
            share[chosen] = free.reshape(-1, RAYS).mean(axis=1)
        return front, back


def _split(patches: _Patches, faces: Faces, sky: _Sky) -> _Patches:
    """Open patches fall apart where their faces disagree in the file, if the outer sides then see more of the sky.

    So do things that touch back to front: their neighbours must not agree.
    """
    flipped = np.bincount(patches.index, patches.turned, len(patches.closed)) > 0
    doubtful = ~patches.closed & flipped
    if not doubtful.any():
        return patches
    pieces = _Patches.of(faces, as_they_are=True)
    within = np.zeros(len(pieces.closed), dtype=bool)
    within[pieces.index[doubtful[patches.index]]] = True
    whole = np.maximum(*sky.seen(patches, doubtful))[patches.index]
    apart = np.maximum(*sky.seen(pieces, within))[pieces.index]
    area = np.maximum(np.bincount(patches.index, sky.area, len(patches.closed)), 1e-300)
    gain = np.bincount(patches.index, sky.area * (apart - whole), len(patches.closed)) / area
    falls = (doubtful & (gain > SEEN))[patches.index]
    index = np.unique(np.where(falls, pieces.index + len(patches.closed), patches.index), return_inverse=True)[1]
    index = index.reshape(-1).astype(np.int64)
    closed = np.zeros(int(index.max()) + 1, dtype=bool)
    closed[index] = np.where(falls, pieces.closed[pieces.index], patches.closed[patches.index])
    return _Patches(patches.turned & ~falls, index, closed)


def _signs(corners: Floats, faces: Faces, doubled: Bools, patches: _Patches, sky: _Sky) -> NDArray[np.int64]:
    """For each patch of faces that agree: 1 where they face outward, -1 where they are to be turned, 0 to leave out."""
    many, index = len(patches.closed), patches.index
    total = np.maximum(np.bincount(index, sky.area, many), 1e-300)
    kept = np.bincount(index, sky.area * ~patches.turned, many) / total
    loose = np.bincount(index, sky.area * doubled, many) / total > 0.5
    unsaid = loose | ((kept < CLEAR) & (kept > 1 - CLEAR))
    said = np.where(kept < 0.5, -1, 1)

    agreed = np.where(patches.turned[:, None], faces[:, ::-1], faces)
    volumes = np.bincount(index, _volumes(corners[agreed]), many)
    sign = np.where(unsaid, np.where(volumes < 0, -1, 1), said)
    # A cavity lies in something; what is inside out and lies in nothing is no cavity.
    negative = patches.closed & (volumes * sign < 0)
    if negative.any():
        import igl

        solid = (patches.closed & ~negative)[index]
        around = np.where(sign[index, None] < 0, agreed[:, ::-1], agreed)[solid]
        at = sky.triangles[np.unique(index, return_index=True)[1]].mean(axis=1)
        alone = igl.fast_winding_number(corners, around, at) < 0.5 if len(around) else np.ones(many, dtype=bool)
        sign = np.where(negative & alone, -sign, sign)
    if patches.closed.all():
        return sign

    front, back = sky.seen(patches, ~patches.closed)
    sure = np.abs(front - back) > np.maximum(SEEN, SURE * (front + back))
    seen = np.where(sure | unsaid, np.where(front < back, -1, 1), said)
    sheet = np.minimum(front, back) > SEEN
    seen[~sure & (sheet | loose)] = 0
    return np.where(patches.closed, sign, seen)
