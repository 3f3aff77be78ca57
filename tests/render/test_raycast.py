"""Ray casting: equal to a plain reference, the right way round, straight alpha, light as computed by hand."""

import numpy as np
import pytest
import trimesh

from render import raycast
from render.light import LAMP, LAMP_WATTS, Studio, filmic
from render.raycast import render
from render.scene import Scene
from render.settings import LIGHTS
from render.surface import Surface, to_linear, to_srgb
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit


def reference(surface, camera):
    """One ray a pixel, each against every triangle (Moller and Trumbore 1997), in float64: the unlit picture."""
    origin, rays = camera.position, camera.rays()[1].reshape(-1, 1, 3)
    a, b, c = surface.vertices[surface.faces].astype(float).transpose(1, 0, 2)
    across = np.cross(rays, c - a)
    slant = ((b - a) * across).sum(-1)
    slant = np.where(np.abs(slant) < 1e-12, np.nan, slant)
    u = ((origin - a) * across).sum(-1) / slant
    beside = np.cross(origin - a, b - a)
    v = (rays * beside).sum(-1) / slant
    depth = ((c - a) * beside).sum(-1) / slant
    depth = np.where((u >= 0) & (v >= 0) & (u + v <= 1) & (depth > 0), depth, np.inf)
    face = depth.argmin(axis=1)
    ray = np.flatnonzero(np.isfinite(depth.min(axis=1)))
    picture = np.zeros((camera.height * camera.width, 4), np.uint8)
    face, u, v = face[ray], u[ray, face[ray]], v[ray, face[ray]]
    picture[ray, :3] = to_srgb(surface.albedo(face, u.astype(np.float32), v.astype(np.float32)))
    picture[ray, 3] = 255
    return picture.reshape(camera.height, camera.width, 4)


def coloured(mesh, seed=0):
    mesh.visual.vertex_colors = np.random.default_rng(seed).integers(0, 256, (len(mesh.vertices), 4), dtype=np.uint8)
    return Surface.of_scene(trimesh.Scene(mesh))


def grey_square(tilt=0.0, colour=188):
    """A white-ish square across the x axis, turned about y by `tilt` degrees from facing +X towards +Z."""
    square = trimesh.creation.box((1e-6, 1, 1))
    square.apply_transform(trimesh.transformations.rotation_matrix(np.radians(-tilt), (0, 1, 0)))
    square.visual.face_colors = [[colour] * 3 + [255]] * 12
    return Surface.of_scene(trimesh.Scene(square), transform=np.eye(4))


@pytest.mark.parametrize("seed", range(4))
def test_it_equals_the_plain_reference_on_a_soup_of_triangles(seed):
    random = np.random.default_rng(seed)
    corners = random.uniform(-0.5, 0.5, (40, 1, 3)) + random.normal(0, 0.2, (40, 3, 3))
    surface = coloured(trimesh.Trimesh(corners.reshape(-1, 3), np.arange(120).reshape(-1, 3), process=False), seed)
    for camera in orbit(3, size=48, start=10):
        (picture,) = render(surface, [camera], samples=1)
        difference = np.abs(picture.astype(int) - reference(surface, camera))
        assert (difference > 1).any(axis=-1).sum() <= 2  # a ray that grazes an edge may fall on either side
        assert picture[..., 3].any()


def test_one_sample_is_a_ray_through_the_pixel_s_centre_and_more_are_its_mean():
    surface = coloured(trimesh.creation.icosphere(1))
    camera = Camera.on_sphere(20, size=24)
    (fine,) = render(surface, [camera.resized(96, 96)], samples=1)
    (mean,) = render(surface, [camera], samples=4)
    share = fine[..., 3].reshape(24, 4, 24, 4).mean(axis=(1, 3))
    assert np.abs(mean[..., 3] - share).max() <= 0.5
    light = (to_linear(fine[..., :3]) * (fine[..., 3:] > 0)).reshape(24, 4, 24, 4, 3).sum(axis=(1, 3))
    expected = to_srgb(light / np.maximum(share / 255 * 16, 1)[..., None])
    assert np.abs(mean[..., :3].astype(int) - expected).max() <= 2


def test_alpha_is_straight_and_colour_under_nothing_is_zero():
    (picture,) = render(grey_square(), [Camera.on_sphere(0, 0, size=33)], samples=3)
    alpha = picture[..., 3]
    assert set(np.unique(alpha)) > {0, 255}  # edges are part covered
    assert (picture[alpha > 0][:, :3] == 188).all()  # and as bright as the rest
    assert (picture[alpha == 0] == 0).all()


def test_the_front_is_seen_from_azimuth_0_and_up_is_up():
    nose, hat, side = (trimesh.creation.icosphere(2, 0.2) for _ in range(3))
    for ball, at, colour in ((nose, (0.5, 0, 0), "red"), (hat, (0, 0, 0.5), "green"), (side, (0, 0.5, 0), "blue")):
        ball.apply_translation(at)
        ball.visual.face_colors = {"red": [255, 0, 0], "green": [0, 255, 0], "blue": [0, 0, 255]}[colour] + [255]
    surface = Surface.of_scene(trimesh.Scene([nose, hat, side]), transform=np.eye(4))
    front, left = render(surface, [Camera.on_sphere(0, 0, 2, size=64), Camera.on_sphere(90, 0, 2, size=64)])

    def centre(picture, channel):
        seen = (picture[..., channel] == 255) & (picture[..., 3] == 255)
        return np.argwhere(seen).mean(axis=0) if seen.any() else None

    assert centre(front, 0) == pytest.approx([31.5, 31.5], abs=1)  # the nose, head on
    assert centre(front, 1)[0] < 25  # the hat, above
    assert centre(front, 2)[1] > 40  # +Y, to the right of who looks along -X
    assert centre(left, 2) == pytest.approx([31.5, 31.5], abs=1)  # 90 degrees counter-clockwise looks at +Y
    assert centre(left, 0)[1] < 25


def test_the_picture_matches_the_camera_s_own_projection():
    ball = trimesh.creation.icosphere(3, 0.02)
    ball.apply_translation((0.1, -0.3, 0.2))
    surface = Surface.of_scene(trimesh.Scene(ball), transform=np.eye(4))
    for camera in orbit(5, elevation=-20, size=200, start=33):
        (picture,) = render(surface, [camera])
        rows, columns = np.nonzero(picture[..., 3])
        pixel, _ = camera.project(np.array([0.1, -0.3, 0.2]))
        assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(pixel.tolist(), abs=0.3)


def test_an_oblong_picture_and_an_off_centre_camera_are_rendered_as_they_are():
    camera = Camera(60, 30, 50, 50, 20, 18, Camera.on_sphere(0, 0, 4).camera_to_world)
    (picture,) = render(coloured(trimesh.creation.icosphere(2)), [camera])
    rows, columns = np.nonzero(picture[..., 3])
    assert picture.shape == (30, 60, 4)
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx([20, 18], abs=0.2)


def test_both_sides_of_a_triangle_are_seen_and_lit_alike():
    square = grey_square()
    for light in ("none", "studio"):
        front, back = render(square, orbit(2, elevation=0, size=16), light, seed=3)
        assert (front[..., 3] == back[:, ::-1, 3]).all()
        assert back[8, 8, :3].max() > 0


def test_a_camera_inside_sees_all_around():
    inside = Camera.on_sphere(0, 0, 0.1, size=16)
    (picture,) = render(coloured(trimesh.creation.box()), [inside])
    assert (picture[..., 3] == 255).all()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_studio():
    surface = coloured(trimesh.creation.box())
    pictures = [render(surface, orbit(2, size=32), "studio", seed=seed) for seed in (1, 1, 2)]
    assert np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


# -- light ----------------------------------------------------------------------------------------


def test_strength_scales_linear_light():
    (picture,) = render(grey_square(), [Camera.on_sphere(0, 0, size=16)], strength=0.5)
    assert picture[8, 8, 0] == to_srgb(to_linear(188) * 0.5)


@pytest.mark.parametrize("tilt", [0, 40, 90])
def test_uniform_light_on_an_open_square_is_the_sky_and_the_lamp_by_the_cosine(tilt):
    camera = Camera.on_sphere(0, max(tilt, 5) - 4, size=17)
    (picture,) = render(grey_square(tilt), [camera], "uniform", samples=1)
    normal = np.array([np.cos(np.radians(tilt)), 0, np.sin(np.radians(tilt))])
    distance = np.linalg.norm(LAMP)
    lamp = LAMP_WATTS / (4 * np.pi**2 * distance**2) * (normal @ LAMP / distance)
    expected = filmic(np.array(to_linear(188) * (0.5 + lamp)))
    assert abs(int(picture[8, 8, 0]) - int(expected)) <= 1


def test_the_lamp_can_be_turned_behind_the_surface():
    camera = [Camera.on_sphere(0, 0, size=17)]
    (lit,), (unlit,) = (render(grey_square(), camera, "uniform", lamp=azimuth) for azimuth in (0, 180))
    assert unlit[8, 8, 0] == filmic(np.array(to_linear(188) * 0.5))
    assert lit[8, 8, 0] > unlit[8, 8, 0] + 20


def corner():
    """A floor and a wall that meet: the sky's share near the wall is known."""
    floor, wall = trimesh.creation.box((2, 2, 1e-5)), trimesh.creation.box((1e-5, 2, 1))
    wall.apply_translation((-0.5, 0, 0.5))
    for part in (floor, wall):
        part.visual.face_colors = [[13, 13, 13, 255]] * 12  # dark: light passed on is nothing
    return Surface.of_scene(trimesh.Scene([floor, wall]), transform=np.eye(4))


def test_ambient_occlusion_near_a_wall_has_the_share_of_theory():
    near = Camera.on_sphere(0, 89, 3, size=120)
    (picture,) = render(corner(), [near], "uniform", samples=1, lamp=180)  # the wall's shadow hides the lamp
    heights = {}
    for x in (-0.4, -0.2):
        pixel, _ = near.project(np.array([x, 0.0, 0.0]))
        stops = np.interp(picture[int(pixel[1]), int(pixel[0]), 0], filmic(np.geomspace(5e-4, 1, 4000)),
                          np.geomspace(5e-4, 1, 4000))  # fmt: skip
        heights[x] = stops / (to_linear(13) * 0.5)
    # The sky above a floor beside an endless wall of height h at distance d: 1/2 (1 + h' ...) is
    # 1 - (1 - d / sqrt(d^2 + h^2)) / 2; the wall's ends at +-1 let in a little more.
    for x, share in heights.items():
        distance = x + 0.5
        theory = 1 - (1 - distance / np.hypot(distance, 1)) / 2
        assert theory - 0.03 < share < theory + 0.12


def test_what_is_in_the_open_is_brighter_than_what_is_in_a_fold():
    from render.demo import demo_objects

    house = demo_objects()["house"].surface()
    white = Surface(house.vertices, house.faces, np.ones_like(house.colours), house.uv, house.texture, [],
                    house.file_normals)  # fmt: skip
    (picture,) = render(white, [Camera.on_sphere(0, 20, size=64)], "uniform", lamp=180)
    seen = picture[picture[..., 3] == 255][:, 0].astype(int)
    assert seen.max() - seen.min() > 12  # Filmic is flat in the lights
    (flat,) = render(white, [Camera.on_sphere(0, 20, size=64)])
    assert (flat[flat[..., 3] > 0][:, :3] == 255).all()


def test_a_studio_is_brighter_towards_its_key_light():
    ball = Surface.of_scene(trimesh.Scene(trimesh.creation.icosphere(4)))
    towards, away = render(ball, orbit(2, size=48), "studio", seed=1, lamp=0)
    middle = (24, 24, 0)
    assert int(towards[middle]) > int(away[middle]) + 40


def normal_of(tilt):
    return np.array([np.cos(np.radians(tilt)), 0, np.sin(np.radians(tilt))])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lamp", [None, 30.0])
def test_a_studio_on_an_open_square_is_its_lights_by_their_cosines(seed, lamp):
    studio = Studio.of_seed(seed, lamp)
    for tilt in (0, 60):
        (picture,) = render(grey_square(tilt), [Camera.on_sphere(0, tilt, size=17)], "studio", 1, seed, 0.8, lamp)
        light = studio.ambient_level
        for level, towards in (
            (studio.key_level, studio.key), (studio.fill_level, studio.fill), (studio.side_level, studio.side),
        ):  # fmt: skip
            light += level * max(0.0, float(normal_of(tilt) @ towards))
        assert abs(int(picture[8, 8, 0]) - int(to_srgb(to_linear(188) * light * 0.8))) <= 1


def test_the_key_light_s_shadow_is_dark_in_the_middle_and_soft_at_its_rim():
    studio = Studio.of_seed(3, 0.0)
    floor, lid = trimesh.creation.box((8, 8, 1e-5)), trimesh.creation.box((2, 2, 1e-5))
    lid.apply_translation(1.5 * studio.key)  # its shadow falls on the origin
    for part in (floor, lid):
        part.visual.face_colors = [[60, 60, 60, 255]] * 12
    surface = Surface.of_scene(trimesh.Scene([floor, lid]), transform=np.eye(4))
    # From the side, so that the lid hides nothing.
    camera = Camera.on_sphere(90, 15, 4, size=160)
    (picture,) = render(surface, [camera], "studio", 1, 3, lamp=0.0)

    def lit(x, y):
        pixel, _ = camera.project(np.array([x, y, 0.0]))
        return float(to_linear(picture[int(pixel[1]), int(pixel[0]), 0]) / to_linear(60))

    rest = studio.ambient_level + sum(
        level * max(0.0, float(towards[2]))
        for level, towards in ((studio.fill_level, studio.fill), (studio.side_level, studio.side))
    )
    key = studio.key_level * float(studio.key[2])
    assert rest - studio.ambient_level - 0.02 < lit(0, 0) < rest + 0.01
    assert lit(0, -2) == pytest.approx(rest + key, abs=0.03)
    rim = [lit(0, y) for y in np.linspace(-1.8, 0, 37)]
    assert sum(rest + 0.1 * key < value < rest + 0.9 * key for value in rim) >= 3  # a penumbra, not an edge
    for y in (-1.2, -1.0, -0.8):  # along the rim, without the grain of single rays
        assert np.ptp([lit(x, y) for x in np.linspace(-0.1, 0.1, 12)]) < 0.1 * key


@pytest.mark.parametrize("light", ["uniform", "studio"])
def test_a_file_s_normals_may_point_to_either_side(light):
    corners = np.array([[0, -0.5, -0.5], [0, 0.5, -0.5], [0, 0.5, 0.5], [0, -0.5, 0.5]])
    pictures = []
    for side in (1, -1):
        normals = np.tile([0.8 * side, 0, 0.6 * side], (4, 1))
        square = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], vertex_normals=normals, process=False)
        surface = Surface.of_scene(trimesh.Scene(square), transform=np.eye(4))
        pictures += render(surface, [Camera.on_sphere(0, 0, size=16)], light, 1, 3)
    assert (pictures[0] == pictures[1]).all()
    assert pictures[0][8, 8, 0] > 60


def test_light_is_computed_once_for_each_side_that_a_pixel_shows():
    """Along a box's edges a pixel shows two sides; their lights must not be mixed up."""
    box = trimesh.creation.box((0.8, 0.8, 0.8))
    box.visual.face_colors = [[120, 120, 120, 255]] * 12
    surface, camera = Surface.of_scene(trimesh.Scene(box), transform=np.eye(4)), Camera.on_sphere(40, 30, size=24)
    (fine,) = render(surface, [camera.resized(96, 96)], "studio", 1, 3)
    (coarse,) = render(surface, [camera], "studio", 4, 3)
    full = (fine[..., 3] == 255).reshape(24, 4, 24, 4).all(axis=(1, 3))
    mean = to_srgb(to_linear(fine[..., :3]).reshape(24, 4, 24, 4, 3).mean(axis=(1, 3)))
    assert np.abs(coarse[..., :3].astype(int) - mean)[full].max() <= 2
    assert len(np.unique(coarse[full][:, 0])) > 3  # the three sides, and their mixtures


def test_pixels_of_a_tile_cast_different_rays_that_cover_the_disc_evenly():
    tile = raycast._tile(np.arange(6 * 9), (6, 9)).reshape(6, 9)
    for row, column in ((0, 0), (1, 2), (3, 6), (2, 5)):
        assert sorted(tile[row : row + 3, column : column + 3].ravel()) == list(range(9))
    x, y = raycast._disc(np.arange(72), 72)
    assert (x**2 + y**2).max() < 1
    assert [x.mean(), y.mean()] == pytest.approx([0, 0], abs=0.02)
    assert [(x**2).mean(), (y**2).mean(), (x * y).mean()] == pytest.approx([0.25, 0.25, 0], abs=0.02)


def test_the_mean_over_a_tile_takes_only_neighbours_that_face_alike():
    random = np.random.default_rng(0)
    values = random.random((5, 6)).astype(np.float32)
    normals = np.zeros((5, 6, 3), np.float32)
    normals[:, :3], normals[:, 3:] = (0, 0, 1), (0, 0.8, 0.6)  # 53 degrees apart
    normals[::2, 0] = (0.5, 0, 0.866)  # 30 degrees from its neighbours: alike
    pixel = np.arange(30)
    mean = raycast._tile_mean(values.ravel(), normals.reshape(-1, 3), pixel, (5, 6)).reshape(5, 6)
    for row in range(5):
        for column in range(6):
            half = slice(0, 3) if column < 3 else slice(3, 6)
            low = max(column - 1, half.start)
            near = values[max(row - 1, 0) : row + 2, low : min(column + 2, half.stop)]
            assert mean[row, column] == pytest.approx(near.mean(), abs=1e-6)


def test_light_between_surfaces_brightens_folds_and_leaves_the_open_as_it_is():
    """Golden values of Jimenez et al.'s fit."""
    albedo = np.array([[0.0], [0.5], [0.9]], np.float32)
    half = raycast._multi_bounce(np.full((3, 1), 0.5, np.float32), albedo)
    assert half.ravel() == pytest.approx([0.5, 0.68096, 0.85451], abs=1e-4)
    assert raycast._multi_bounce(np.ones((3, 1), np.float32), albedo).ravel() == pytest.approx([1, 1, 1], abs=1e-3)


def test_frames_are_perpendicular_unit_vectors():
    normal = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    normal = np.concatenate([normal / np.linalg.norm(normal, axis=1, keepdims=True), np.eye(3, dtype=np.float32)])
    tangent, bitangent = raycast._frame(normal)
    frames = np.stack([tangent, bitangent, normal], axis=1)
    assert frames @ frames.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (53, 1, 1)), abs=1e-5)


@pytest.mark.parametrize(("linear", "display"), [(0, 0), (0.18, 127), (0.5, 176), (1.0, 205)])
def test_filmic_has_blender_s_values(linear, display):
    assert abs(int(filmic(np.array(float(linear)))) - display) <= 2


# -- manners --------------------------------------------------------------------------------------


def test_an_unknown_light_and_no_samples_are_refused():
    surface = grey_square()
    with pytest.raises(ViewmaskError, match="none, uniform, studio"):
        render(surface, orbit(1), "disco")
    with pytest.raises(ViewmaskError, match="samples"):
        render(surface, orbit(1), samples=0)


@pytest.mark.parametrize("light", LIGHTS)
def test_an_object_behind_the_camera_leaves_an_empty_picture(light):
    box = trimesh.creation.box((0.1, 0.1, 0.1))
    box.apply_translation((9, 0, 0))
    (picture,) = render(Surface.of_scene(trimesh.Scene(box), transform=np.eye(4)), [Camera.on_sphere(0, 0)], light)
    assert not picture.any()


# -- by hand --------------------------------------------------------------------------------------


def test_a_sunflower_s_points_by_hand():
    x, y = raycast._disc(np.array([0, 1, 7]), 8)
    turn = np.pi * (3 - np.sqrt(5))
    radius = np.sqrt(np.array([0.5, 1.5, 7.5]) / 8)
    assert x == pytest.approx(radius * np.cos(turn * np.array([0, 1, 7])), abs=1e-6)
    assert y == pytest.approx(radius * np.sin(turn * np.array([0, 1, 7])), abs=1e-6)


def test_every_pixel_of_a_tile_looks_along_its_own_rays():
    # A long wall as high as it is far hides what lies towards -x and below 45 degrees. In the frame of +z -x is -y.
    corners = [[-0.1, -9, -9], [-0.1, 9, -9], [-0.1, 9, 0.1], [-0.1, -9, 0.1]]
    wall = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    surface = Surface.of_scene(trimesh.Scene(wall), transform=np.eye(4))
    scene = Scene.of(surface)
    up = np.array([[0, 0, 1]], np.float32)
    tangent, bitangent = raycast._frame(up)
    assert (tangent.tolist(), bitangent.tolist()) == ([[0, -1, 0]], [[1, 0, 0]])
    points = (np.zeros((1, 3), np.float32), up, up)
    for row in range(3):
        for column in range(3):
            x, y = raycast._disc(9 * np.arange(8) + 3 * row + column, 72)
            hidden = (y < 0) & (np.sqrt(1 - x**2 - y**2) < -y)
            seen = raycast._sky_visibility(scene, points, np.array([3 * row + column]), (3, 3))
            assert seen.tolist() == pytest.approx([1 - hidden.mean()])


def test_where_secondary_rays_start_and_how_surfaces_face_there():
    corners = [[0, 0, 0], [0, 1, 0], [0, 0, 1]]
    normals = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.6, 0, 0.8]])
    mesh = trimesh.Trimesh(corners, [[0, 1, 2]], vertex_normals=normals, process=False)
    surface = Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4))
    face, u, v = np.zeros(2, np.int32), np.array([0.25, 0.5], np.float32), np.array([0.5, 0.0], np.float32)
    for towards, side in ((-1.0, 1), (1.0, -1)):  # seen from +x, and from behind
        looks = np.array([[towards, 0, 0], [towards, 0.1, 0.1]], np.float32)
        place, flat, smooth = raycast._points(surface, face, u, v, looks)
        assert flat == pytest.approx(np.array([[side, 0, 0]] * 2))
        mean = np.stack([0.25 * normals[0] + 0.25 * normals[1] + 0.5 * normals[2], 0.5 * normals[0] + 0.5 * normals[1]])
        assert smooth == pytest.approx(side * mean / np.linalg.norm(mean, axis=1, keepdims=True), abs=1e-6)
        assert place == pytest.approx(np.array([[side * 2e-4, 0.25, 0.5], [side * 2e-4, 0.5, 0]]), abs=1e-7)


def test_lights_that_nobody_states():
    picture = render(grey_square(), [Camera.on_sphere(0, 0, size=16)])
    assert np.array_equal(picture, render(grey_square(), [Camera.on_sphere(0, 0, size=16)], "none", 2, 0, 1.0))
    for light, strength in (("uniform", 0.5), ("studio", 1.0)):
        camera = [Camera.on_sphere(30, 20, size=16)]
        given = render(grey_square(), camera, light)
        assert np.array_equal(given, render(grey_square(), camera, light, 2, 0, strength, None))
        assert not np.array_equal(given, render(grey_square(), camera, light, 2, 0, 0.6 * strength, None))


def test_light_falls_with_the_square_of_the_lamp_s_distance():
    far = trimesh.creation.box((0.1, 0.1, 0.1)).apply_translation((0, 0, -50))
    scene = Scene.of(Surface.of_scene(trimesh.Scene(far), transform=np.eye(4)))
    places = np.array([[0, 0, 0], LAMP / 2, LAMP / 2, LAMP / 2], np.float32)
    towards = (LAMP / np.linalg.norm(LAMP)).astype(np.float32)
    flat = np.stack([towards, towards, towards, -towards])
    smooth = np.stack([towards, towards, -towards, towards])
    light = raycast._lamp(scene, (places, flat, smooth), None)
    once = LAMP_WATTS / (4 * np.pi**2) / 0.5 / np.linalg.norm(LAMP) ** 2
    assert light == pytest.approx([once, 4 * once, 0, 0], rel=1e-5)
