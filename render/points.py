"""Points on, in and around a surface: which of them it fills, by winding number, and what colour is near."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from render.surface import Surface, to_srgb

COUNT = 24_000
MARGIN = 0.4  # share of the box's half size: silhouettes from above let a hull reach so far beyond it
SPREADS = (0.005, 0.02, 0.05)  # standard deviations of the points near the surface, the longest side being 1


class OnSurface(NamedTuple):
    """Points on triangles.

    Attributes:
        points: [n, 3], of the type of the triangles or of the weights, the wider.
        face: the triangle of each, int32 [n].
        u, v: barycentric weights of its second and third corner, [n].
    """

    points: NDArray[np.floating]
    face: NDArray[np.int32]
    u: NDArray[Any]
    v: NDArray[Any]


def by_area(
    triangles: NDArray[np.floating],
    count: int,
    random: np.random.Generator,
    dtype: type[np.float32 | np.float64] = np.float64,
) -> OnSurface:
    """So many random points on triangles [faces, 3, 3], uniform in area.

    Triangles without any area at all are hit equally often.

    Args:
        dtype: of the barycentric weights, float32 or float64.
    """
    origin, edge_1, edge_2 = triangles[:, 0], triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    area = np.linalg.norm(np.cross(edge_1, edge_2), axis=1)
    if not area.sum() > 0:
        area = np.ones(len(area))
    total = np.cumsum(area)
    face = np.minimum(np.searchsorted(total, random.random(count) * total[-1], side="right"), len(area) - 1)
    u, v = random.random((2, count), dtype=dtype)
    beyond = u + v > 1  # the other half of the parallelogram: folded back
    u[beyond], v[beyond] = 1 - u[beyond], 1 - v[beyond]
    face = face.astype(np.int32)
    return OnSurface(origin[face] + u[:, None] * edge_1[face] + v[:, None] * edge_2[face], face, u, v)


def sample(surface: Surface, count: int = COUNT, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random points for learning a shape: the first half near the surface, the rest evenly in a larger box.

    Returns:
        points: float16 [count, 3] in the world.
        inside: bool [count], whether the winding number is above 0.5 (Jacobson et al., SIGGRAPH 2013). So open and
            self-intersecting meshes have an inside, too. A mesh that is inside out is turned first.
        colours: uint8 [count // 2, 3], the sRGB colour, unlit, of the surface where the near points started.
    """
    import igl

    random = np.random.default_rng(seed)
    surface = surface.outward()
    corners = surface.vertices[surface.faces].astype(np.float64)
    near = count // 2
    start = by_area(corners, near, random, np.float32)
    close = start.points + random.choice(SPREADS, near)[:, None] * random.normal(size=(near, 3))
    low, high = corners.reshape(-1, 3).min(0), corners.reshape(-1, 3).max(0)
    reach = MARGIN * np.maximum(high - low, 0.2 * (high - low).max()) / 2
    even = random.uniform(low - reach, high + reach, (count - near, 3))
    points = np.concatenate([close, even]).astype(np.float16)
    winding = igl.fast_winding_number(
        surface.vertices.astype(np.float64), surface.faces.astype(np.int64), points.astype(np.float64)
    )
    colours = to_srgb(surface.bare(start.face, start.u, start.v))
    return {"points": points, "inside": winding > 0.5, "colours": colours}
