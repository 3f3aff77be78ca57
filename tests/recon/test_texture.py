from __future__ import annotations

import numpy as np
import trimesh

from recon import atlas, texture
from recon.silhouette import signed_distance
from tests.recon.conftest import ball
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


def baked(views: ViewSet, surface: trimesh.Trimesh, size: int = 128):
    places = atlas.unwrap(surface, size)
    distances = [signed_distance(image[..., 3]) for image in views.images]
    return places, texture.bake(surface, places, views, distances, size)


def test_colours_land_where_they_were_seen(ball_views):
    """The views show each place in the colour of its coordinates: the texture must hold them again."""
    surface = trimesh.creation.icosphere(4, 0.4)
    places, picture = baked(ball_views, surface)
    found = picture[places.rows, places.columns] / 255 - 0.5
    seen = places.normals[:, 2] > -0.2
    error = np.abs(found - places.points)[seen]
    assert np.median(error) < 0.015
    assert np.percentile(error, 95) < 0.06


def test_unseen_places_take_after_their_neighbours(ball_views):
    surface = trimesh.creation.icosphere(4, 0.4)
    places, picture = baked(ball_views, surface)
    below = places.normals[:, 2] < -0.95
    colours = picture[places.rows, places.columns][below]
    # Under the equator the lowest places seen are dark in the third channel; none is black or white.
    assert below.any()
    assert (colours.max(1) > 40).all()
    assert colours[:, 2].max() < 110


def test_background_does_not_bleed_in():
    """A red ball before white, its edge pixels mixed with white: no texel turns pink."""
    cameras = orbit(4, size=96)
    images = []
    for camera in cameras:
        origins, directions = camera.rays(2)
        nearest = origins - (origins * directions).sum(-1, keepdims=True) * directions
        alpha = ball(nearest).reshape(96, 2, 96, 2).mean((1, 3))
        image = np.empty((96, 96, 4), np.uint8)
        image[..., :3] = 255 * (1 - alpha[..., None]) + np.array([200, 20, 20]) * alpha[..., None]
        image[..., 3] = 255 * alpha
        images.append(image)
    surface = trimesh.creation.icosphere(4, 0.4)
    _, picture = baked(ViewSet(images, cameras), surface)
    assert np.abs(picture.astype(int) - [200, 20, 20]).max() <= 2


def test_hidden_places_are_not_painted():
    """A plate before a ball: the ball behind it does not take the plate's colour."""
    camera = orbit(2, elevation=0, size=96)[0]
    plate = trimesh.creation.box([0.02, 0.5, 0.5], trimesh.transformations.translation_matrix([0.3, 0, 0]))
    globe = trimesh.creation.icosphere(3, 0.2)
    both = trimesh.util.concatenate([plate, globe])
    image = np.zeros((96, 96, 4), np.uint8)
    pixels, _ = camera.project(plate.vertices)
    (left, top), (right, bottom) = pixels.min(0).astype(int), pixels.max(0).astype(int)
    image[top:bottom, left:right] = [0, 255, 0, 255]
    blue = image.copy()
    blue[..., :3] = [0, 0, 255]
    other = orbit(2, elevation=0, size=96)[1]
    places, picture = baked(ViewSet([image, blue], [camera, other]), both)
    on_globe = np.linalg.norm(places.points, axis=1) < 0.21
    front = on_globe & (places.normals[:, 0] > 0.5)
    colours = picture[places.rows, places.columns]
    behind = on_globe & (places.normals[:, 0] < -0.5)
    assert (colours[behind] == [0, 0, 255]).all()
    assert front.any()
    towards_plate = ~on_globe & (places.normals[:, 0] > 0.9)
    assert (colours[towards_plate] == [0, 255, 0]).all()


def test_no_texel_is_left_over(ball_views):
    """Between charts the nearest chart's colour goes on, so that filtering finds nothing dark there."""
    views = ViewSet([image.copy() for image in ball_views.images], ball_views.cameras)
    for image in views.images:
        image[..., :3] = [10, 200, 90]
    _, picture = baked(views, trimesh.creation.icosphere(3, 0.4))
    assert (picture == [10, 200, 90]).all()


def test_blended_colours_are_weighted_means_and_none_where_no_view_counts():
    camera = orbit(1, size=8)[0]
    points = np.zeros((3, 3), np.float32)
    red, blue = (np.broadcast_to(np.float32(colour), (8, 8, 3)) for colour in ([200, 0, 0], [0, 0, 100]))
    weights = np.float32([[1, 3, 0], [1, 1, 0]])
    colours, total = texture.blend(points, [(red, camera, weights[0]), (blue, camera, weights[1])])
    np.testing.assert_allclose(colours, [[100, 0, 50], [150, 0, 25], [0, 0, 0]])
    np.testing.assert_array_equal(total, [2, 4, 0])


def test_a_camera_sees_what_faces_it_and_nothing_hides():
    camera = orbit(1, elevation=0, size=8)[0]  # on +x
    globe = trimesh.creation.icosphere(4, 0.4)
    plate = trimesh.creation.box([0.02, 0.1, 0.1], trimesh.transformations.translation_matrix([0.6, 0, 0]))
    angles = np.radians([0, 30, 50, 70, 180])
    normals = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1).astype(np.float32)
    points = np.float32(0.4) * normals
    seen, cosine = texture.visible(atlas.scene(globe.vertices, globe.faces), points, normals, camera, 0.5)
    assert seen.tolist() == [0, 1]  # at 50 degrees the camera, which is near, looks at a slant of 65
    towards = camera.position - points[seen]
    np.testing.assert_allclose(cosine, (towards * normals[seen]).sum(1) / np.linalg.norm(towards, axis=1), rtol=1e-5)
    both = trimesh.util.concatenate([plate, globe])
    seen, _ = texture.visible(atlas.scene(both.vertices, both.faces), points, normals, camera, 0.3)
    assert seen.tolist() == [1, 2]  # the plate hides the middle
