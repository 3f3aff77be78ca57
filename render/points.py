"""Points in and around a surface: which of them it fills, by winding number, and what colour is near."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from render.surface import Surface, to_srgb

COUNT = 24_000
MARGIN = 0.4  # share of the box's half size: silhouettes from above let a hull reach so far beyond it
SPREADS = (0.005, 0.02, 0.05)  # standard deviations of the points near the surface, the longest side being 1


def sample(surface: Surface, count: int = COUNT, seed: int = 0) -> dict[str, NDArray[Any]]:
    """Random points for learning a shape: the first half near the surface, the rest evenly in a larger box.

    Returns:
        `points` float16 [count, 3] in the world; `inside` bool [count], winding number > 0.5, so that open and
        self-intersecting meshes have an inside too (Jacobson et al., SIGGRAPH 2013; a mesh that is inside out is
        turned); `colours` uint8 [count // 2, 3], the sRGB base colour of the surface where the near points started.
    """
    import igl

    random = np.random.default_rng(seed)
    surface = surface.outward()
    near = count // 2
    corners = surface.vertices[surface.faces].astype(np.float64)
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    if not area.sum() > 0:
        area = np.ones(len(area))
    face = random.choice(len(area), near, p=area / area.sum()).astype(np.int32)
    u, v = random.random((2, near), dtype=np.float32)
    over = u + v > 1
    u[over], v[over] = 1 - u[over], 1 - v[over]
    start = corners[face, 0] + u[:, None] * (corners[face, 1] - corners[face, 0])
    start += v[:, None] * (corners[face, 2] - corners[face, 0])
    close = start + random.choice(SPREADS, near)[:, None] * random.normal(size=(near, 3))
    low, high = corners.reshape(-1, 3).min(0), corners.reshape(-1, 3).max(0)
    reach = MARGIN * np.maximum(high - low, 0.2 * (high - low).max()) / 2
    even = random.uniform(low - reach, high + reach, (count - near, 3))
    points = np.concatenate([close, even]).astype(np.float16)
    winding = igl.fast_winding_number(
        surface.vertices.astype(np.float64), surface.faces.astype(np.int64), points.astype(np.float64)
    )
    return {"points": points, "inside": winding > 0.5, "colours": to_srgb(surface.albedo(face, u, v))}
