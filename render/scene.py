"""Scenes: surfaces that rays are sent at (Embree), with holes and panes that let them through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from render.surface import Surface
from render.texture import Floats

LAYERS = 32  # surfaces that a ray can look through
HOLES = 256  # and holes, before each of them
SHADOW_LAYERS = 16  # holes and panes that a shadow ray can pass; what is behind more casts no shadow
NEXT = 1e-5  # a ray goes on this far behind what lets it through
FAINT = 1 / 1024  # a share of light that is not worth following


class Hits(NamedTuple):
    """Where rays meet triangles, n of them.

    Attributes:
        ray: which ray, int [n].
        face: its triangle, int32 [n].
        u, v: barycentric weights of the triangle's second and third corner, [n].
        distance: along the ray, [n].
    """

    ray: NDArray[np.int64]
    face: NDArray[np.int32]
    u: Floats
    v: Floats
    distance: Floats

    def at(self, which: NDArray[Any]) -> Hits:
        """The hits that `which` picks: an index or a mask."""
        return Hits(*(column[which] for column in self))


class Layer(NamedTuple):
    """What rays meet first, or next after surfaces that let them through; at most one place a ray, in rising order.

    Attributes:
        hits: the n places.
        share: of the ray's light that is stopped here, float32 [n]; None where every ray ends at its first triangle.
    """

    hits: Hits
    share: Floats | None


@dataclass(frozen=True, eq=False)
class Scene:
    """A surface that rays can be sent at.

    Attributes:
        whole: all triangles.
        solid: those that stop every ray; None if there is none.
        sheer: the others; None if there is none.
        sheer_faces: number in the surface of each triangle of `sheer`.
    """

    surface: Surface
    whole: EmbreeScene
    solid: EmbreeScene | None
    sheer: EmbreeScene | None
    sheer_faces: NDArray[np.int32]

    @classmethod
    def of(cls, surface: Surface) -> Scene:
        """The scene of a surface."""
        whole = _embree(surface.vertices, surface.faces)
        if surface.opacity is None:
            return cls(surface, whole, whole, None, np.zeros(0, dtype=np.int32))
        sheer = np.flatnonzero(surface.opacity.cutoff).astype(np.int32)
        solid = np.flatnonzero(surface.opacity.cutoff == 0)
        apart = [_embree(surface.vertices, surface.faces[part]) if len(part) else None for part in (solid, sheer)]
        return cls(surface, whole, apart[0], apart[1], sheer)

    def layers(self, origins: Floats, directions: Floats) -> Iterator[Layer]:
        """What rays meet, from front to back. Rays pass holes within a layer."""
        hits = _met(self.whole, origins, directions)
        if self.sheer is None:
            yield Layer(hits, None)
            return
        left = np.ones(len(origins), dtype=np.float32)  # of each ray's light
        for _ in range(LAYERS):
            found: list[tuple[Hits, Floats]] = []
            for _ in range(HOLES):
                if not len(hits.ray):
                    break
                stopped = self.surface.stopped(hits.face, hits.u, hits.v)
                met = stopped > FAINT
                found.append((hits.at(met), stopped[met]))
                hits = self._beyond(hits.at(~met), origins, directions)
            if not found:
                return
            hits = _joined([part for part, _ in found])
            stopped = np.concatenate([part for _, part in found])
            order = np.argsort(hits.ray)
            hits, stopped = hits.at(order), stopped[order]
            yield Layer(hits, stopped * left[hits.ray])
            left[hits.ray] *= 1 - stopped
            hits = self._beyond(hits.at(left[hits.ray] > FAINT), origins, directions)

    def first(self, origins: Floats, directions: Floats) -> Hits:
        """Where rays have lost at least half of their light."""
        left = np.ones(len(origins), dtype=np.float32)
        found = [_met(self.whole, origins[:0], directions[:0])]
        for hits, share in self.layers(origins, directions):
            if share is None:
                return hits
            before = left[hits.ray]
            left[hits.ray] = before - share
            found.append(hits.at((before > 0.5) & (before - share <= 0.5)))
        return _joined(found)

    def stopped(self, place: Floats, rays: Floats) -> Floats:
        """The share of each ray's light that the surface stops, [n]."""
        rays = np.ascontiguousarray(rays)
        share = np.zeros(len(place), dtype=np.float32)
        if self.solid is not None:
            share = (self.solid.run(place, rays, query="OCCLUDED") >= 0).astype(np.float32)
        if self.sheer is None:
            return share
        ray = np.flatnonzero(share < 1)
        start = place[ray]
        for _ in range(SHADOW_LAYERS):
            if not len(ray):
                break
            hits = _met(self.sheer, start, rays[ray])
            ray, start = ray[hits.ray], start[hits.ray]
            stopped = self.surface.stopped(self.sheer_faces[hits.face], hits.u, hits.v)
            share[ray] += (1 - share[ray]) * stopped
            on = share[ray] < 1 - FAINT
            start = (start + (hits.distance + NEXT)[:, None] * rays[ray])[on]
            ray = ray[on]
        return share

    def _beyond(self, hits: Hits, origins: Floats, directions: Floats) -> Hits:
        """What the rays of `hits` meet behind them."""
        if not len(hits.ray):
            return hits
        towards, behind = directions[hits.ray], hits.distance + NEXT
        later = _met(self.whole, origins[hits.ray] + behind[:, None] * towards, towards)
        return later._replace(ray=hits.ray[later.ray], distance=later.distance + behind[later.ray])


def _embree(vertices: Floats, faces: NDArray[np.int32]) -> EmbreeScene:
    scene = EmbreeScene()
    TriangleMesh(scene, vertices, faces)
    return scene


def _met(scene: EmbreeScene, origins: Floats, directions: Floats) -> Hits:
    hits = scene.run(origins, directions, output=1)
    ray = np.flatnonzero(hits["primID"] >= 0)
    return Hits(ray, *(hits[key][ray] for key in ("primID", "u", "v", "tfar")))


def _joined(parts: Sequence[Hits]) -> Hits:
    return Hits(*(np.concatenate(column) for column in zip(*parts, strict=True)))
