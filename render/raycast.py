"""Off-screen rendering by ray casting on the CPU (Embree): no display, no GPU, the same bytes every time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from render.light import LAMP_LEVEL, STRENGTH, Studio, filmic, lamp_position
from render.scene import Hits, Scene
from render.settings import Light, check_light
from render.surface import Floats, Surface, interpolate, to_srgb
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

TILE = 3  # the pixels of a 3 x 3 tile cast rays in different directions; their mean is taken over the tile
AMBIENT_RAYS = 8
SHADOW_RAYS = 4
OFFSET = 2e-4  # secondary rays start this far off the surface


def render(
    surface: Surface,
    cameras: list[Camera],
    light: Light = "none",
    samples: int = 2,
    seed: int = 0,
    strength: float | None = None,
    lamp: float | None = None,
) -> list[NDArray[np.uint8]]:
    """Render a surface from every camera.

    Args:
        light: "none" gives the base colour. "uniform" is the light of SyncDreamer's renderings: a uniform grey
            world with ambient occlusion, and the lamp of Blender's start scene, seen through "Filmic".
            "studio" is three area lights (a key with a soft shadow, a fill, a side light) and a little ambient
            light. `seed` places them.
        samples: `samples` x `samples` rays a pixel.
        strength: of all lights, linear. If None: 1 for "none" and "studio", 0.5 for "uniform".
        lamp: azimuth in degrees of the lamp ("uniform", 13.9 if None) or of the key light ("studio", by seed if None).

    Returns:
        uint8 RGBA pictures [height, width, 4], straight alpha. Colour is the mean over the rays that hit, taken in
        linear light, then sRGB. Alpha is the share of rays that hit, or of their light that is stopped where the
        surface lets some through. Colour is 0 where alpha is 0.

    Raises:
        ViewmaskError: an unknown light, or not a positive number of samples.
    """
    check_light(light)
    if samples < 1:
        raise ViewmaskError(f"samples must be at least 1, not {samples}")
    scene = Scene.of(surface)
    level = STRENGTH[light] if strength is None else strength
    return [_picture(scene, camera, light, samples, seed, level, lamp) for camera in cameras]


def _picture(
    scene: Scene, camera: Camera, light: Light, samples: int, seed: int, strength: float, lamp: float | None
) -> NDArray[np.uint8]:
    picture = np.zeros((camera.height, camera.width, 4), dtype=np.uint8)
    left, top, right, bottom = scene.surface.window(camera)
    if left >= right or top >= bottom:
        return picture
    window = replace(
        camera, width=right - left, height=bottom - top, cx=camera.cx - left, cy=camera.cy - top
    )  # only where the object can be
    origins, directions = (part.reshape(-1, 3).astype(np.float32) for part in window.rays(samples))
    columns = window.width * samples
    count = window.width * window.height
    grid = (window.height, window.width)
    hit, total = np.zeros(count), np.zeros((count, 3))
    for hits, share in scene.layers(origins, directions):
        if not len(hits.ray):
            continue
        pixel = hits.ray // columns // samples * window.width + hits.ray % columns // samples
        colour = _colour(scene, hits, directions[hits.ray], pixel, grid, light, seed, strength, lamp)
        if share is not None:
            colour = colour * share[:, None]
        hit += np.bincount(pixel, share, count)
        total += np.stack([np.bincount(pixel, colour[:, channel], count) for channel in range(3)], axis=-1)
    mean = total / np.where(hit > 0, hit, 1)[:, None]
    result = np.empty((count, 4), dtype=np.uint8)
    result[:, :3] = filmic(mean) if light == "uniform" else to_srgb(mean)
    result[:, 3] = np.round(hit * (255 / samples**2))
    result[result[:, 3] == 0] = 0
    picture[top:bottom, left:right] = result.reshape(window.height, window.width, 4)
    return picture


def _colour(
    scene: Scene,
    hits: Hits,
    directions: Floats,
    pixel: NDArray[np.int64],
    grid: tuple[int, int],
    light: Light,
    seed: int,
    strength: float,
    lamp: float | None,
) -> Floats:
    """Linear light that places send back along their rays, [n, 3]; `pixel` of each in the `grid`."""
    surface, face, u, v = scene.surface, hits.face, hits.u, hits.v
    colour = surface.albedo(face, u, v)
    if light != "none":
        # Light varies slowly: once a pixel is enough, at its first hit of each side that the surface turns there.
        sides = np.abs(surface.face_normals).argmax(axis=1) * 2 + (surface.face_normals.sum(axis=1) > 0)
        _, first, inverse = np.unique(pixel * 6 + sides[face], return_index=True, return_inverse=True)
        lit = pixel[first]
        points = _points(surface, face[first], u[first], v[first], directions[first])
        sky = _multi_bounce(_sky_visibility(scene, points, lit, grid)[inverse][:, None], colour)
        if light == "uniform":
            colour = colour * (sky + _lamp(scene, points, lamp)[inverse][:, None])
        else:
            studio = Studio.of_seed(seed, lamp)
            direct = _studio(scene, points, lit, grid, studio)[inverse][:, None]
            colour = colour * (studio.ambient_level * sky + direct)
    colour *= np.float32(strength)
    own = surface.emitted(face, u, v)
    return colour if own is None else colour + own


# -- light ----------------------------------------------------------------------------------------


def _points(
    surface: Surface, face: NDArray[np.int32], u: Floats, v: Floats, directions: Floats
) -> tuple[Floats, Floats, Floats]:
    """Where secondary rays start, and the geometric and shading normals there, turned to the viewer; [n, 3] each."""
    flat = surface.face_normals[face]
    flat = flat * -np.sign((flat * directions).sum(-1, keepdims=True))
    smooth = interpolate(surface.corner_normals, face, u, v)
    smooth /= np.maximum(np.linalg.norm(smooth, axis=-1, keepdims=True), 1e-9)
    smooth = np.where((smooth * flat).sum(-1, keepdims=True) < 0, -smooth, smooth)
    corners = surface.vertices[surface.faces[face]]
    place = corners[:, 0] * (1 - u - v)[:, None] + corners[:, 1] * u[:, None] + corners[:, 2] * v[:, None]
    return place + OFFSET * flat, flat, smooth


def _sky_visibility(
    scene: Scene, points: tuple[Floats, Floats, Floats], pixel: NDArray[np.int64], grid: tuple[int, int]
) -> Floats:
    """Share of the sky that each point sees, cosine-weighted, [n] (ambient occlusion's complement)."""
    place, flat, _ = points
    tangent, bitangent = _frame(flat)
    tile = _tile(pixel, grid)
    occlusion = np.zeros(len(place), dtype=np.float32)
    for turn in range(AMBIENT_RAYS):
        x, y = _disc(turn * TILE**2 + tile, AMBIENT_RAYS * TILE**2)
        z = np.sqrt(np.maximum(0, 1 - x * x - y * y))
        rays = x[:, None] * tangent + y[:, None] * bitangent + z[:, None] * flat
        occlusion += scene.stopped(place, rays)
    occlusion /= np.float32(AMBIENT_RAYS)
    return 1 - _tile_mean(occlusion, flat, pixel, grid)


def _multi_bounce(visibility: Floats, albedo: Floats) -> Floats:
    """Sky visibility with the light that surfaces pass on to each other: a fit (Jimenez et al. 2016, GTAO, eq. 17)."""
    a = 2.0404 * albedo - 0.3324
    b = -4.7951 * albedo + 0.6417
    c = 2.7552 * albedo + 0.6903
    return np.maximum(visibility, ((visibility * a + b) * visibility + c) * visibility)


def _lamp(scene: Scene, points: tuple[Floats, Floats, Floats], azimuth: float | None) -> Floats:
    """Light of the lamp that falls on each point, in units of the sky's, [n]."""
    place, flat, smooth = points
    rays = lamp_position(azimuth) - place
    squared = (rays**2).sum(-1)
    rays /= np.sqrt(squared)[:, None]
    facing = np.maximum(0, (smooth * rays).sum(-1)) * ((flat * rays).sum(-1) > 0)
    return (LAMP_LEVEL * facing / squared * (1 - scene.stopped(place, rays))).astype(np.float32)


def _studio(
    scene: Scene,
    points: tuple[Floats, Floats, Floats],
    pixel: NDArray[np.int64],
    grid: tuple[int, int],
    studio: Studio,
) -> Floats:
    """Light of the key, with its soft shadow, of the fill and of the side light on each point, [n]."""
    place, flat, smooth = points
    tangent, bitangent = _frame(studio.key[None])
    tile = _tile(pixel, grid)
    shadow = np.zeros(len(place), dtype=np.float32)
    for turn in range(SHADOW_RAYS):
        x, y = _disc(turn * TILE**2 + tile, SHADOW_RAYS * TILE**2)
        rays = studio.key + studio.softness * (x[:, None] * tangent + y[:, None] * bitangent)
        rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
        shadow += scene.stopped(place, rays.astype(np.float32))
    shadow /= np.float32(SHADOW_RAYS)
    shadow = _tile_mean(shadow, flat, pixel, grid)
    light = studio.key_level * np.maximum(0, smooth @ studio.key) * (1 - shadow)
    light += studio.fill_level * np.maximum(0, smooth @ studio.fill)
    light += studio.side_level * np.maximum(0, smooth @ studio.side)
    return light


def _frame(normal: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors perpendicular to each normal [n, 3] and to each other."""
    other = np.where(np.abs(normal[:, :1]) < 0.7, np.array([[1, 0, 0]]), np.array([[0, 1, 0]])).astype(np.float32)
    tangent = np.cross(other, normal)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=-1, keepdims=True), 1e-9)
    return tangent, np.cross(normal, tangent)


def _disc(index: NDArray[np.int64], count: int) -> tuple[Floats, Floats]:
    """Points of a sunflower spiral on the unit disc: the `index`-th of `count`, evenly spread."""
    radius = np.sqrt((index + 0.5) / count)
    angle = index * np.pi * (3 - np.sqrt(5))
    return (radius * np.cos(angle)).astype(np.float32), (radius * np.sin(angle)).astype(np.float32)


def _tile(pixel: NDArray[np.int64], grid: tuple[int, int]) -> NDArray[np.int64]:
    """Place of each pixel within its tile, 0 .. TILE^2 - 1."""
    return pixel // grid[1] % TILE * TILE + pixel % grid[1] % TILE


def _tile_mean(values: Floats, normal: Floats, pixel: NDArray[np.int64], grid: tuple[int, int]) -> Floats:
    """Mean over each pixel's 3 x 3 neighbours that face alike, so that a tile's rays count together."""
    height, width = grid
    planes = np.zeros((height + 2, width + 2, 4), dtype=np.float32)
    row, column = pixel // width + 1, pixel % width + 1
    planes[row, column, 0] = values
    planes[row, column, 1:] = normal
    total, weight = values.copy(), np.ones_like(values)
    for down, along in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        near = planes[row + down, column + along]
        alike = ((near[:, 1:] * normal).sum(-1) > 0.8).astype(np.float32)
        total += alike * near[:, 0]
        weight += alike
    return total / weight
