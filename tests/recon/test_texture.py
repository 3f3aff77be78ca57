from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon import atlas, texture
from recon.silhouette import signed_distance
from tests.recon.conftest import ball
from viewmask.views.camera import Camera, orbit
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


# -- by hand ------------------------------------------------------------------------------------------------

FRONT = Camera.on_sphere(0, 0, 1.5, size=64)  # at (1.5, 0, 0), looking along -X


def screen(x: float = 0.0, side: float = 2.0) -> trimesh.Trimesh:
    """A square across the x axis."""
    half = side / 2
    corners = [(x, -half, -half), (x, half, -half), (x, half, half), (x, -half, half)]
    return trimesh.Trimesh(corners, [(0, 1, 2), (0, 2, 3)], process=False)


def weights(points, normals, inside, *parts, camera=FRONT):
    mesh = trimesh.util.concatenate(parts) if parts else screen()
    shape = atlas.scene(mesh.vertices, mesh.faces)
    return texture.weigh(shape, np.float32(points), np.float32(normals), camera, inside)


def test_a_view_weighs_by_the_cosine_and_the_distance_to_its_edge():
    deep, rim, out = (np.full((64, 64), value, np.float32) for value in (10, 0.5, -3))
    points, along = [(0, 0, 0), (0, 0.5, 0.2), (0, 0, -0.6)], [(1, 0, 0)] * 3
    cosines = 1.5 / np.sqrt([2.25, 2.25 + 0.29, 2.25 + 0.36])
    for inside, share in ((deep, 1), (rim, 1.5 / 4), (out, 0.02)):
        expected = (cosines - 0.1) ** 4 * share + 1e-6
        assert weights(points, along, inside) == pytest.approx(expected, rel=1e-4)


def test_a_view_knows_nothing_of_what_it_does_not_see():
    deep = np.full((64, 64), 10, np.float32)
    reach = 1.5 * np.tan(np.radians(49.13 / 2))  # what the picture shows to either side at the origin: 0.686
    beside = [(0, reach + 0.01, 0), (0, -reach - 0.01, 0), (0, 0, reach + 0.01), (0, 0, -reach - 0.01)]
    assert (weights(beside, [(1, 0, 0)] * 4, deep) == 0).all()
    within = [(0, reach - 0.01, 0), (0, -reach + 0.01, 0), (0, 0, reach - 0.01), (0, 0, -reach + 0.01)]
    assert (weights(within, [(1, 0, 0)] * 4, deep) > 0).all()
    turned = [(np.cos(angle), np.sin(angle), 0) for angle in np.arccos([0.09, 0.11])]
    grazing = weights([(0, 0, 0)] * 2, turned, deep, screen(-1))
    assert grazing == pytest.approx([0, 0.01**4 + 1e-6], rel=1e-2)
    assert (weights([(3, 0, 0)], [(-1, 0, 0)], deep) == 0).all()  # behind the camera
    near = weights([(1.2, 0, 0)], [(1, 0, 0)], deep)
    assert near == pytest.approx([0.9**4 + 1e-6])
    assert near.dtype == np.float32
    assert (weights([(0, 0, 0)], [(-1, 0, 0)], deep) == 0).all()  # its other side
    hidden = [(0, 0, 0), (0, 0.4, 0)]
    assert (weights(hidden, [(1, 0, 0)] * 2, deep, screen(), screen(0.02, 0.1)) > 0).tolist() == [False, True]


def test_a_surface_does_not_hide_itself():
    globe = trimesh.creation.icosphere(3, 0.4)
    middles = globe.triangles_center
    facing = (FRONT.position - middles) * globe.face_normals
    cosine = facing.sum(1) / np.linalg.norm(FRONT.position - middles, axis=1)
    seen = weights(middles, globe.face_normals, np.full((64, 64), 10, np.float32), globe)
    assert np.array_equal(seen > 0, cosine > 0.1)


def test_sampling_is_linear_between_pixel_centres_and_constant_beyond():
    picture = np.float32([[0, 10], [20, 30], [40, 50]])
    pixels = [(0.5, 0.5), (1.5, 0.5), (1.0, 0.5), (0.5, 1.0), (1.0, 2.0), (-3, 9), (9, -3)]
    assert texture.sample(picture, np.array(pixels)).tolist() == [0, 10, 5, 10, 35, 40, 10]


def cut_out(shape: tuple[int, int], top: int, left: int, bottom: int, right: int, rim: int = 0):
    """A red rectangle with a white rim of so many pixels, on nothing."""
    image = np.zeros((*shape, 4), np.uint8)
    image[top:bottom, left:right] = (255, 255, 255, 255)
    image[top + rim : bottom - rim, left + rim : right - rim, 1:3] = 0
    return image, signed_distance(image[..., 3])


def test_the_rim_takes_the_colour_from_well_inside():
    image, inside = cut_out((24, 24), 4, 4, 20, 20, rim=2)
    assert inside[6, 12] == pytest.approx(2.5, abs=0.2)
    assert (texture.spread(image, inside) == [255, 0, 0]).all()
    image, inside = cut_out((24, 24), 4, 4, 20, 20, rim=3)  # a wider rim is a colour of its own
    painted = texture.spread(image, inside)
    assert painted[0, 12].tolist() == painted[6, 12].tolist() == [255, 255, 255]
    assert painted[12, 12].tolist() == [255, 0, 0]
    image, inside = cut_out((24, 24), 4, 4, 20, 20, rim=2)
    image[6:18, 6:18, 3] = 251
    assert (texture.spread(image, inside) == [255, 0, 0]).all()
    image[6:18, 6:18, 3][:, ::3] = 250  # not opaque: no colour to go by
    image[6:18, 6:18][:, ::3, :3] = (0, 0, 255)
    assert (texture.spread(image, inside) == [255, 0, 0]).all()


def test_a_thin_object_is_all_rim():
    image, inside = cut_out((24, 24), 2, 10, 22, 14, rim=1)  # four pixels wide: the outer ones white
    painted = texture.spread(image, inside)
    assert painted[12, 10].tolist() == painted[12, 0].tolist() == [255, 0, 0]
    image[:, 11, 3] = 201
    assert texture.spread(image, inside)[12, 10].tolist() == [255, 0, 0]
    assert texture.spread(image, inside).dtype == np.float32
    image[:, 11, 3] = 200  # not clear enough even here
    image[:, 11, :3] = (0, 0, 255)
    assert texture.spread(image, inside)[12, 11].tolist() == [255, 0, 0]


def test_where_nothing_is_certain_the_clearest_pixels_count():
    image = np.zeros((6, 8, 4), np.uint8)
    image[2:4, 3:5] = (9, 9, 9, 100)
    image[2, 3] = (70, 80, 90, 120)
    assert (texture.spread(image, signed_distance(image[..., 3])) == [70, 80, 90]).all()


def test_unseen_places_by_hand():
    points = np.float32([(0, 0, 0), (4, 0, 0), (1, 0, 0), (0, 2, 0)])
    colours = np.float32([(10, 0, 0), (50, 100, 0), (7, 7, 7), (7, 7, 7)])
    nearest = texture._nearest(points, colours, np.array([True, True, False, False]))
    for row, apart in ((0, np.array([1, 3])), (1, np.array([2, np.sqrt(20)]))):
        weight = 1 / (apart + 0.5 * apart.mean() + 1e-4) ** 2
        assert nearest[row] == pytest.approx(weight @ colours[:2] / weight.sum(), rel=1e-5)
    assert texture._nearest(points, colours, np.ones(4, bool)).shape == (0, 3)
    nothing = texture._nearest(points, colours, np.arange(4) > 9)
    assert nothing.tolist() == [[128] * 3] * 4
    assert nothing.dtype == nearest.dtype == np.float32


def test_eight_of_the_seen_places_tell_a_colour():
    points = np.zeros((10, 3), np.float32)
    points[:9, 0] = 1
    points[8, 0] = 50
    colours = np.full((10, 3), 40, np.float32)
    colours[8] = 255
    assert texture._nearest(points, colours, np.arange(10) < 9)[0] == pytest.approx([40] * 3)
    # The ninth would count; and of very many every second, third ... is asked.
    colours[:8:2] = 0
    assert texture._nearest(points, colours, np.arange(10) < 9)[0] == pytest.approx([20] * 3)
    many = np.zeros((20_001, 3), np.float32)
    many[:-1, 1] = np.arange(20_000) % 2
    tones = np.repeat(many[:, 1:2] * 200, 3, axis=1)
    assert texture._nearest(many, tones, np.arange(20_001) < 20_000)[0] == pytest.approx([0] * 3)


def small_atlas(points, normals, places) -> atlas.Atlas:
    rows, columns = np.array(places).T
    return atlas.Atlas(
        np.zeros((0, 2)),
        np.zeros((0, 3), int),
        rows,
        columns,
        np.asarray(points, np.float32),
        np.asarray(normals, np.float32),
        np.zeros(len(rows), int),
        np.tile(np.float32([1, 0, 0]), (len(rows), 1)),
    )


def test_between_charts_the_nearest_texel_is_repeated():
    places = small_atlas(np.zeros((3, 3)), np.zeros((3, 3)), [(0, 0), (0, 5), (5, 0)])
    filled = texture.padded(np.float32([(10.6, 255.9, -3), (1, 2, 3), (90, 90, 90)]), places, 6)
    assert filled.shape == (6, 6, 3)
    assert filled.dtype == np.uint8
    assert filled[0, 0].tolist() == filled[2, 1].tolist() == [11, 255, 0]
    assert filled[0, 5].tolist() == filled[2, 5].tolist() == [1, 2, 3]
    assert filled[5, 0].tolist() == filled[5, 2].tolist() == [90, 90, 90]


def test_colours_are_rounded_into_bytes():
    places = small_atlas([(0, 0, 0)], [(1, 0, 0)], [(1, 1)])
    views = ViewSet([np.full((64, 64, 4), (90, 91, 92, 255), np.uint8)], [Camera.on_sphere(180, size=64)])

    def unseen(points):
        return np.float32([(127, 129, 999)])  # with nothing seen, half and half with 128

    baked = texture.bake(screen(), places, views, [np.full((64, 64), 9, np.float32)], 3, unseen)
    assert (baked == [128, 128, 255]).all()
    assert (texture.bake(screen(), places, views, [np.full((64, 64), 9, np.float32)], 3) == 128).all()


def test_two_views_are_blended_by_their_weights_and_the_rest_is_asked_for():
    cameras = [FRONT, Camera.on_sphere(60, 0, 1.5, size=64)]
    images = [np.full((64, 64, 4), (*colour, 255), np.uint8) for colour in ((200, 0, 40), (0, 100, 80))]
    insides = [np.full((64, 64), value, np.float32) for value in (10, 0.5)]
    points = np.float32([(0, 0, 0), (0, 0, 0.1), (-0.2, 0, 0)])
    normals = np.float32([(1, 0, 0), (1, 0, 0), (-1, 0, 0)])
    places = small_atlas(points, normals, [(0, 0), (0, 1), (1, 0)])
    plate = screen()
    shape = atlas.scene(plate.vertices, plate.faces)
    each = [texture.weigh(shape, points, normals, *view) for view in zip(cameras, insides, strict=True)]
    assert (np.array(each)[:, :2] > 0).all()
    assert (np.array(each)[:, 2] == 0).all()
    mixed = (each[0][:2, None] * [200, 0, 40] + each[1][:2, None] * [0, 100, 80]) / (each[0] + each[1])[:2, None]
    views = ViewSet(images, cameras)
    plain = texture.bake(plate, places, views, insides, 2)
    assert plain[0].tolist() == np.round(mixed).tolist()
    near = texture._nearest(points, np.float32([*mixed, (0, 0, 0)]), np.array([True, True, False]))[0]
    assert plain[1, 0].tolist() == np.round(near).tolist()
    asked = []

    def unseen(where):
        asked.append(where.tolist())
        return np.float32([(255, 255, 255)])

    half = texture.bake(plate, places, views, insides, 2, unseen)
    assert half[0].tolist() == plain[0].tolist()
    assert half[1, 0] == pytest.approx((near + 255) / 2, abs=0.51)
    assert asked == [points[2:].tolist()]
    seen = small_atlas(points[:2], normals[:2], [(0, 0), (0, 1)])
    texture.bake(plate, seen, views, insides, 2, unseen)
    assert len(asked) == 1


def test_guesses_between_corners_are_those_at_texels(ball_views):
    surface = trimesh.creation.icosphere(5, 0.4)
    assert len(surface.faces) >= texture._FINE
    places = atlas.unwrap(surface, 256)
    hidden = places.normals[:, 2] < -0.3
    colours = np.where(hidden[:, None], 0, 255 * (places.points + 0.5)).astype(np.float32)

    def answer(points):
        return 100 + 200 * points[:, [2, 1, 0]]

    for unseen in (None, answer):
        fast, slow = (texture._guessed(surface, places, colours, ~hidden, unseen, fast) for fast in (True, False))
        assert fast.shape == slow.shape == (hidden.sum(), 3)
        assert np.abs(fast - slow).mean() < 0.5
        assert np.percentile(np.abs(fast - slow), 99) < 6
    coarse = trimesh.creation.icosphere(3, 0.4)  # large faces: texel by texel
    places = atlas.unwrap(coarse, 64)
    hidden = places.normals[:, 2] < -0.3
    colours = np.zeros((len(hidden), 3), np.float32)
    guesses = [texture._guessed(coarse, places, colours, ~hidden, answer, fast) for fast in (True, False)]
    np.testing.assert_array_equal(*guesses)
