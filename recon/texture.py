"""Baking: the colours that views show of a surface, put into its texture.

Every texel is a point of the surface with a normal. Each view that sees it gives its colour, weighted by
how squarely it looks (a power of the cosine). What no view sees takes after the nearest surface seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import trimesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from recon import threads
from recon.atlas import Atlas, Floats, blended, scene
from recon.silhouette import FloatImage
from viewmask.views.camera import Camera
from viewmask.views.viewset import Picture, ViewSet

_SHARPNESS = 4.0  # power of the cosine: higher picks one view, lower blends
_RIM = 2.0  # pixels inside the silhouette where colours are still mixed with the background
_GRAZING = 0.1  # cosine below which a view tells nothing
# Seen texels that the others take after: four times as many cost seconds and change a colour by 2 of 255.
_SOURCES = 10_000
_FINE = 5_000  # faces of a mesh between whose corners such colours hardly bend


def bake(
    surface: trimesh.Trimesh,
    atlas: Atlas,
    views: ViewSet,
    distances: list[FloatImage],
    size: int,
    unseen: Callable[[Floats], Floats] | None = None,
) -> NDArray[np.uint8]:
    """The texture, uint8 RGB [size, size, 3].

    Colours are blended where several views see a place, weighted by cos^4 of the viewing angle and by
    the distance to the silhouette's edge.

    Args:
        views, distances: cut out, with their `silhouette.signed_distance`.
        unseen: colours (0 to 255) of points [n, 3] that no view sees. They are mixed half and half with the nearest
            seen texels, which otherwise stand alone.
    """
    shape = scene(surface.vertices, surface.faces)

    def look(image: Picture, camera: Camera, inside: FloatImage) -> tuple[FloatImage, Camera, Floats]:
        return spread(image, inside), camera, weigh(shape, atlas.points, atlas.normals, camera, inside)

    colours, total = blend(atlas.points, threads.each(look, views.images, views.cameras, distances))
    seen = total > 0
    if not seen.all():
        colours[~seen] = _guessed(surface, atlas, colours, seen, unseen)
    return padded(colours, atlas, size)


def _guessed(
    surface: trimesh.Trimesh,
    atlas: Atlas,
    colours: Floats,
    seen: NDArray[np.bool_],
    unseen: Callable[[Floats], Floats] | None,
    fast: bool = True,
) -> Floats:
    """Colours for the texels not seen.

    Args:
        fast: where faces are small, ask at their corners only, and mix the answers: what is guessed is smoother than
            faces are. Otherwise at every texel.
    """
    hidden = np.flatnonzero(~seen)
    points, share = atlas.points[hidden], None
    if fast and len(surface.faces) >= _FINE:
        corners, share = np.unique(surface.faces[atlas.faces[hidden]], return_inverse=True)
        points = surface.vertices[corners].astype(np.float32)
    known = np.arange(seen.sum() + len(points)) < seen.sum()
    blank = np.zeros_like(points)
    guess = _nearest(np.concatenate([atlas.points[seen], points]), np.concatenate([colours[seen], blank]), known)
    if unseen is not None:
        guess = (guess + unseen(points)) / 2
    return guess if share is None else blended(guess, share.reshape(-1, 3), atlas.weights[hidden])


def blend(points: Floats, looks: Iterable[tuple[FloatImage, Camera, Floats]]) -> tuple[Floats, Floats]:
    """The colours that views show of points [n, 3], averaged by weight.

    Args:
        looks: per view its picture (float32 [height, width, 3], see `spread`), its camera, and the weight of its
            colour at every point, float32 [n], 0 where it does not count.

    Returns:
        Colours [n, 3] in the pictures' units, 0 where no view counts, and the sum of the weights [n].
    """
    colours, total = np.zeros((len(points), 3), np.float32), np.zeros(len(points), np.float32)
    for picture, camera, weight in looks:
        rows = np.flatnonzero(weight)
        pixels, _ = camera.project(points[rows].astype(np.float64))
        for channel in range(3):
            colours[rows, channel] += weight[rows] * sample(picture[..., channel], pixels)
        total += weight
    seen = total > 0
    colours[seen] /= total[seen, None]
    return colours, total


def spread(image: Picture, inside: FloatImage) -> FloatImage:
    """RGB of a cut-out view, with the colours well inside the silhouette carried over its rim and beyond.

    At the rim, pixels mix with the background that the view was cut from, which would leave white fringes.
    """
    core = (inside > _RIM) & (image[..., 3] > 250)
    if core.sum() < 0.3 * (inside > 0).sum():  # a thin object is all rim
        core = (inside > 0.5) & (image[..., 3] > 200)
    if not core.any():
        core = image[..., 3] == image[..., 3].max()
    nearest = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    return image[..., :3][tuple(nearest)].astype(np.float32)


def weigh(shape: EmbreeScene, points: Floats, normals: Floats, camera: Camera, inside: FloatImage) -> Floats:
    """The weight [n] of one view's colours at points of a surface [n, 3] with normals [n, 3]; 0 where it sees none."""
    weight = np.zeros(len(points), np.float32)
    seen, cosine = visible(shape, points, normals, camera, _GRAZING)
    pixels, depth = camera.project(points[seen].astype(np.float64))
    within = (depth > 0) & (pixels > 0).all(1) & (pixels < [camera.width, camera.height]).all(1)
    seen, cosine, pixels = seen[within], cosine[within], pixels[within]
    rim = np.clip((sample(inside, pixels) + 1) / (_RIM + 2), 0.02, 1)
    weight[seen] = (cosine - _GRAZING) ** _SHARPNESS * rim + 1e-6
    return weight


def visible(
    shape: EmbreeScene, points: Floats, normals: Floats, camera: Camera, grazing: float
) -> tuple[NDArray[np.integer], Floats]:
    """The points of a surface that a camera sees, in its picture or beside it.

    Args:
        shape: the surface, as `atlas.scene` gives it.
        points, normals: float32 [n, 3], of the surface.
        grazing: a point counts where the cosine between its normal and the ray to the camera is above this.

    Returns:
        Indices of the points seen [m], and their cosines [m].
    """
    towards = camera.position.astype(np.float32) - points
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    cosine = (towards * normals).sum(1)
    facing = np.flatnonzero(cosine > grazing)
    # Rays start a little off the surface, so that it does not hide itself.
    starts = points[facing] + np.float32(2e-3) * (normals[facing] + towards[facing])
    seen = facing[shape.run(starts, towards[facing]) < 0]
    return seen, cosine[seen]


def sample(picture: FloatImage, pixels: NDArray[np.floating]) -> Floats:
    """A picture's values at pixels [n, 2] (x, y), linear between them."""
    where = [pixels[:, 1] - 0.5, pixels[:, 0] - 0.5]
    return np.asarray(ndimage.map_coordinates(picture, where, order=1, mode="nearest", output=np.float32))


def _nearest(points: Floats, colours: Floats, seen: NDArray[np.bool_]) -> Floats:
    """Colours for the texels not seen: the mean of the nearest seen ones, weighted by distance."""
    if seen.all():
        return colours[~seen]
    if not seen.any():
        return np.full((int((~seen).sum()), 3), 128, np.float32)
    sources = np.flatnonzero(seen)
    sources = sources[:: max(1, len(sources) // _SOURCES)]
    distance, index = cKDTree(points[sources]).query(points[~seen], k=min(8, len(sources)), workers=-1)
    distance, index = distance.reshape(len(distance), -1), index.reshape(len(index), -1)
    weight = 1 / (distance + 0.5 * distance.mean(1, keepdims=True) + 1e-4) ** 2
    mean = (colours[sources[index]] * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
    return mean.astype(np.float32)


def padded(colours: Floats, atlas: Atlas, size: int) -> NDArray[np.uint8]:
    """Colours (0 to 255) of an atlas' texels [texels, 3] as a texture, uint8 RGB [size, size, 3].

    A texel between charts takes the nearest chart's colour, so that no seam shows.
    """
    texture = np.zeros((size, size, 3), np.uint8)
    texture[atlas.rows, atlas.columns] = np.clip(np.round(colours), 0, 255).astype(np.uint8)
    empty = np.ones((size, size), bool)
    empty[atlas.rows, atlas.columns] = False
    nearest = ndimage.distance_transform_edt(empty, return_distances=False, return_indices=True)
    return texture[tuple(nearest)]
