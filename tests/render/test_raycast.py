"""Ray casting: equal to a plain reference, the right way round, straight alpha, light as computed by hand."""

import numpy as np
import pytest
import trimesh

from render.light import LAMP, LAMP_WATTS, LIGHTS, filmic
from render.raycast import render
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
