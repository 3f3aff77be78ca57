from __future__ import annotations

import numpy as np
import pytest

from recon import hull, meshing
from recon.silhouette import signed_distance
from tests.conftest import SHARED
from tests.recon.conftest import bar, views_of
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet, read_picture


def unexplained(grid, volume, camera, distance):
    return hull.unexplained(grid, np.argwhere(volume > -grid.pitch / 2), camera, distance)


def plain_hull(grid, cameras, distances):
    """The hull as a sentence says it: a point is as deep inside as the view that shows it least so."""
    field = np.empty(grid.shape)
    for index in np.ndindex(*grid.shape):
        point = grid.origin + grid.pitch * np.array(index)
        field[index] = min(depth_in_cone(point, *view) for view in zip(cameras, distances, strict=True))
    return field


def depth_in_cone(point, camera, distance):
    (x, y), depth = camera.project(point)
    height, width = distance.shape
    x, y = np.clip(x - 0.5, 0, width - 1), np.clip(y - 0.5, 0, height - 1)
    left, top = min(int(x), width - 2), min(int(y), height - 2)
    fx, fy = x - left, y - top
    patch = distance[top : top + 2, left : left + 2]
    value = np.array([1 - fy, fy]) @ patch @ np.array([1 - fx, fx])
    return value * depth / camera.fl_x


def distances_of(views: ViewSet):
    return [signed_distance(image[..., 3]) for image in views.images]


@pytest.mark.parametrize("shape", ["ball_views", "bar_views"])
def test_fast_hull_equals_the_plain_one(shape, request):
    views = request.getfixturevalue(shape)
    grid = hull.Grid.around(np.array([-0.5, -0.45, -0.4]), np.array([0.5, 0.5, 0.45]), 14)
    fast = hull.volume(grid, views.cameras, distances_of(views))
    plain = plain_hull(grid, views.cameras, distances_of(views))
    assert (plain > 0).any()
    np.testing.assert_allclose(fast, plain, atol=2e-4)


def test_hull_is_what_alpha_allows(bar_views):
    """Points are inside where every view's alpha says so, but for the edge pixels themselves."""
    grid = hull.Grid.around(np.full(3, -0.5), np.full(3, 0.5), 40)
    field = hull.volume(grid, bar_views.cameras, distances_of(bar_views))
    points = grid.origin + grid.pitch * np.indices(grid.shape).reshape(3, -1).T
    inside = np.ones(len(points), bool)
    for image, camera in zip(bar_views.images, bar_views.cameras, strict=True):
        column, row = np.floor(camera.project(points)[0]).astype(int).T
        shown = (column >= 0) & (row >= 0) & (column < 64) & (row < 64)
        inside &= shown & (image[row.clip(0, 63), column.clip(0, 63), 3] > 127)
    pixel = 1.5 / bar_views.cameras[0].fl_x
    clear = np.abs(field.ravel()) > 0.75 * pixel
    assert clear.mean() > 0.8
    np.testing.assert_array_equal(field.ravel()[clear] > 0, inside[clear])


def test_consistent_silhouettes_are_not_repaired(bar_views):
    distances = distances_of(bar_views)
    tolerant, _ = hull.carve(bar_views.cameras, distances, 48)
    strict, _ = hull.carve(bar_views.cameras, distances, 48, tolerant=False)
    np.testing.assert_array_equal(tolerant, strict)


@pytest.mark.parametrize("bad", [0, 2, 5])
def test_one_bad_view_is_outvoted(bar_views, bad):
    """A view that lost half of the object does not take it from the others."""
    views = views_of(bar, views=6)
    true, grid = hull.carve(views.cameras, distances_of(views), 48)
    images = [image.copy() for image in views.images]
    rows = np.flatnonzero(images[bad][..., 3].any(1))
    images[bad][: int(rows.mean())] = 0
    damaged = distances_of(ViewSet(images, views.cameras))
    strict = hull.volume(grid, views.cameras, damaged, tolerant=False) > 0
    tolerant = hull.volume(grid, views.cameras, damaged) > 0
    true = true > 0
    assert strict.sum() < 0.75 * true.sum()
    assert (tolerant & true).sum() > 0.9 * true.sum()
    assert tolerant.sum() < 1.25 * true.sum()


def test_what_is_missing_is_told_rightly_near_it(bar_views, monkeypatch):
    distances = distances_of(bar_views)
    whole, grid = hull.carve(bar_views.cameras, distances, 48)
    half = np.where(np.arange(whole.shape[0])[:, None, None] < whole.shape[0] // 2, whole, -1).astype(np.float32)
    near = hull.missing(grid, half, bar_views.cameras, distances)
    monkeypatch.setattr(hull, "_in_pixels", lambda *_: None)
    full = hull.missing(grid, half, bar_views.cameras, distances)
    assert (full > 0).any()
    assert (full < -2 * grid.pitch).any()
    np.testing.assert_allclose(np.maximum(near, -2 * grid.pitch), np.maximum(full, -2 * grid.pitch), atol=1e-5)


def test_views_that_have_nothing_in_common():
    """Left half in one view, right half in the one across: no point is in both."""
    images = []
    for _ in range(2):
        image = np.zeros((64, 64, 4), np.uint8)
        image[20:44, 4:16] = 255
        images.append(image)
    cameras = [Camera.on_sphere(azimuth, 0, size=64) for azimuth in (0, 180)]
    with pytest.raises(ViewmaskError, match="no volume in common"):
        hull.carve(cameras, distances_of(ViewSet(images, cameras)))


def test_world_may_be_large_and_elsewhere(bar_views):
    """A scene of another size and place gives the same shape there."""
    moved = []
    for camera in bar_views.cameras:
        pose = camera.camera_to_world.copy()
        pose[:3, 3] = 20 * pose[:3, 3] + [100, -50, 7]
        moved.append(Camera(camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy, pose))
    distances = distances_of(bar_views)
    near = meshing.surface(*hull.carve(bar_views.cameras, distances, 32))
    far = meshing.surface(*hull.carve(moved, distances, 32))
    np.testing.assert_allclose(far.bounds, 20 * near.bounds + np.array([100, -50, 7]), atol=0.05)
    assert far.volume == pytest.approx(20**3 * near.volume, rel=0.01)


@pytest.mark.skipif(not (SHARED / "gso").exists(), reason="needs ../shared/data/gso")
def test_real_object_reproduces_its_silhouettes():
    cameras = orbit(16)[::4]
    images = [read_picture(SHARED / f"gso/lion/views/{i:03d}{'.png' if i == 0 else '.webp'}") for i in (0, 4, 8, 12)]
    mesh = meshing.surface(*hull.carve(cameras, distances_of(ViewSet(images, cameras))))
    assert meshing.is_closed(mesh)
    for image, camera in zip(images, cameras, strict=True):
        origins, directions = camera.rays()
        hit = mesh.ray.intersects_any(origins.reshape(-1, 3), directions.reshape(-1, 3)).reshape(256, 256)
        true = image[..., 3] > 127
        assert (hit & true).sum() / (hit | true).sum() > 0.97


# -- by hand ------------------------------------------------------------------------------------------------

OBLONG = Camera(60, 30, 50.0, 40.0, 20.0, 18.0, Camera.on_sphere(25, 10, 2).camera_to_world)
TURNED = hull.Grid(np.array([-0.3, -0.2, -0.4]), 0.15, (4, 5, 6))


def points_of(grid: hull.Grid) -> np.ndarray:
    """Every point of a grid, [x, y, z, 3]."""
    return grid.origin + grid.pitch * np.moveaxis(np.indices(grid.shape), 0, -1)


def test_a_grid_s_points_are_the_middles_of_cells_that_cover_a_box():
    grid = hull.Grid.around(np.array([0, 1, 2.0]), np.array([1, 1.5, 2.26]), 10)
    assert grid.pitch == pytest.approx(0.1)
    assert grid.shape == (10, 5, 3)
    assert grid.origin == pytest.approx([0.05, 1.05, 2.03])
    assert hull.Grid.around(np.zeros(3), np.array([1, 0.01, 1]), 5).shape == (5, 2, 5)


def test_a_grid_s_projection_is_the_camera_s():
    x, y, depth = TURNED.project(OBLONG)
    pixels, true = OBLONG.project(points_of(TURNED))
    np.testing.assert_allclose(np.stack([x, y], -1), pixels, atol=1e-3)
    np.testing.assert_allclose(depth, true, rtol=1e-5)
    near = hull.Grid(np.array([2.5, 0, 0]), 1.0, (2, 2, 2))
    assert (near.project(Camera.on_sphere(0, 0, 2))[2] == np.float32(1e-6)).all()  # behind: as near as can be


def test_the_frame_is_what_the_cameras_see():
    reach = 1.1 * 1.5 * np.tan(np.radians(49.13 / 2))
    grid = hull.frame(orbit(4, size=64), 10)
    assert grid.shape == (10, 10, 10)
    assert grid.pitch == pytest.approx(2 * reach / 10)
    assert grid.origin == pytest.approx([-0.9 * reach] * 3)
    # The nearest edge of the picture counts as little as the farthest lets it; three cameras, the middle one's reach.
    cameras = [Camera(60, 30, 50.0, 40.0, 20.0, 18.0, Camera.on_sphere(100 * i, 10, 1 + i).camera_to_world)
               for i in range(3)]  # fmt: skip
    assert hull.frame(cameras, 10).pitch == pytest.approx(2 * 1.1 * 2 * (40 / 40) / 10)
    tall = [Camera(30, 60, 40.0, 50.0, 12.0, 40.0, camera.camera_to_world) for camera in cameras]
    assert hull.frame(tall, 10).pitch == pytest.approx(2 * 1.1 * 2 * (40 / 40) / 10)
    low = [Camera(30, 60, 40.0, 50.0, 12.0, 20.0, camera.camera_to_world) for camera in cameras]
    assert hull.frame(low, 10).pitch == pytest.approx(2 * 1.1 * 2 * (40 / 40) / 10)
    wide = [Camera(60, 30, 40.0, 50.0, 45.0, 12.0, camera.camera_to_world) for camera in cameras]
    assert hull.frame(wide, 10).pitch == pytest.approx(2 * 1.1 * 2 * (45 / 40) / 10)


def test_the_frame_lies_around_the_point_nearest_to_all_axes():
    def centre(cameras):
        grid = hull.frame(cameras, 2)
        return grid.origin + grid.pitch / 2

    moved = [Camera(8, 8, 8, 8, 4, 4, np.vstack([np.hstack([3 * camera.camera_to_world[:3, :3], at[:, None]]),
                                                 [0, 0, 0, 1]]))
             for camera in orbit(3) for at in [camera.position + np.array([5, -2, 1])]]  # fmt: skip
    assert centre(moved) == pytest.approx([5, -2, 1])
    aside = orbit(1, elevation=0)[0].camera_to_world + np.array([[0, 0, 0, 0], [0, 0, 0, 0.3], [0, 0, 0, 2], [0] * 4])
    assert centre([Camera(8, 8, 8, 8, 4, 4, aside)]) == pytest.approx([0, 0.3, 2])  # the depth is open


def test_a_hull_s_grid_holds_it_all_and_little_more(ball_views):
    volume, grid = hull.carve(ball_views.cameras, distances_of(ball_views))
    assert max(grid.shape) == 128
    assert volume.shape == grid.shape
    inside = np.argwhere(volume > 0)
    assert (inside.min(0) >= 1).all()
    assert (inside.max(0) <= np.array(grid.shape) - 2).all()
    cell = 2 * 1.1 * 1.5 * np.tan(np.radians(49.13 / 2)) / 64
    assert (grid.pitch * (inside.min(0) + 1) < 3.1 * cell).all()
    assert (grid.pitch * (grid.shape - inside.max(0)) < 3.1 * cell).all()


def test_thin_things_are_not_lost_in_coarse_cells():
    # A pole two pixels wide, half a coarse cell: no coarse point lies in it.
    image = np.zeros((256, 256, 4), np.uint8)
    image[78:178, 127:129] = 255
    pole = ViewSet([image] * 4, orbit(4, elevation=0))
    volume, grid = hull.carve(pole.cameras, distances_of(pole), 100)
    assert np.ptp(grid.pitch * np.argwhere(volume > 0), axis=0)[2] == pytest.approx(100 * 1.5 / 280, abs=0.02)


def test_a_cone_ends_behind_its_camera():
    grid = hull.Grid(np.array([-1.0, 0, 0]), 1.5, (3, 2, 2))
    deep = np.full((64, 64), 3, np.float32)
    camera = Camera(64, 64, 50, 70, 32, 32, Camera.on_sphere(0, 0, 1.5).camera_to_world)
    values = hull.cone(grid, camera, deep)
    assert values[:2, 0, 0] == pytest.approx([3 * 2.5 / 60, 3 * 1 / 60])
    assert (values[2] == -1e6).all()


def test_one_view_is_cut_by_a_ball_as_deep_as_it_is_wide():
    image = np.zeros((64, 64, 4), np.uint8)
    image[10:30, 24:44] = 255
    camera = Camera(64, 64, 80, 100, 32, 32, Camera.on_sphere(0, 0, 1.5).camera_to_world)
    distance = signed_distance(image[..., 3])
    # Its middle lies at (34, 20) of the picture, as far away as the world's origin: at 1.5.
    centre = np.array([0, 1.5 * 2 / 80, 1.5 * 12 / 100])
    radius = 1.5 / 2 * 20 / 80
    values = hull.ball(TURNED, camera, distance)
    assert values.dtype == np.float32
    expected = radius - np.linalg.norm(points_of(TURNED) - centre, axis=-1)
    np.testing.assert_allclose(values, expected, atol=1e-6)
    high = np.zeros((64, 64), np.uint8)
    high[10:50, 24:34] = 255
    tall = signed_distance(high)
    rows, columns = np.nonzero(tall > 0)
    radius = 1.5 / 2 * (np.ptp(rows) + 1) / 100
    assert radius > 1.5 / 2 * (np.ptp(columns) + 1) / 80
    across, up = (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2
    centre = np.array([0, 1.5 * (across - 32) / 80, 1.5 * (32 - up) / 100])
    expected = radius - np.linalg.norm(points_of(TURNED) - centre, axis=-1)
    np.testing.assert_allclose(hull.ball(TURNED, camera, tall), expected, atol=1e-6)
    grid = hull.frame([camera], 24)
    both = np.minimum(hull.cone(grid, camera, distance), hull.ball(grid, camera, distance))
    np.testing.assert_array_equal(hull.volume(grid, [camera], [distance]), both)
    nothing = np.full((64, 64), -5, np.float32)
    assert (hull.volume(grid, [camera], [nothing]) < 0).all()


def test_cells_are_told_in_pixels_at_the_grid_s_nearest_corner():
    camera = Camera(64, 64, 80, 100, 32, 32, Camera.on_sphere(0, 0, 1.5).camera_to_world)
    grid = hull.Grid(np.array([-0.1, -0.2, -0.3]), 0.1, (3, 5, 7))
    half = np.linalg.norm([0.1, 0.2, 0.3])
    assert hull._in_pixels(grid, camera, 3) == pytest.approx(3 * 0.1 * 100 / (1.5 - half))
    assert hull._in_pixels(hull.Grid(grid.origin + np.array([1.1, 0, 0]), 0.1, grid.shape), camera, 3) is None
    assert hull._in_pixels(hull.Grid(grid.origin + np.array([1.0, 0, 0]), 0.1, grid.shape), camera, 3) is not None


def test_resampling_is_linear_and_goes_on_as_at_the_border():
    values = (points_of(TURNED) @ [1.0, -2.0, 0.5]).astype(np.float32)
    finer = hull.Grid(TURNED.origin + 0.03, 0.07, (5, 7, 9))
    np.testing.assert_allclose(hull.resampled(values, TURNED, finer), points_of(finer) @ [1.0, -2.0, 0.5], atol=1e-5)
    beyond = hull.Grid(TURNED.origin - 5, 10.0, (2, 2, 2))
    np.testing.assert_array_equal(hull.resampled(values, TURNED, beyond), values[::3, ::4, ::5])


def silhouette_of(top, left, bottom, right):
    image = np.zeros((128, 128), np.uint8)
    image[top:bottom, left:right] = 255
    return signed_distance(image)


def test_what_a_volume_leaves_of_a_silhouette_is_told_by_the_pixel():
    # A plate of points a pixel apart before a camera: it covers columns 20 to 59 of a silhouette from 20 to 99.
    camera = Camera(128, 128, 128, 128, 64, 64, Camera.on_sphere(0, 0, 1.0).camera_to_world)
    pitch = 1 / 128
    grid = hull.Grid(np.array([0, (20.5 - 64) * pitch, (64 - 99.5) * pitch]), pitch, (2, 40, 80))
    volume = np.full(grid.shape, -1, np.float32)
    volume[0] = 1
    left = unexplained(grid, volume, camera, silhouette_of(20, 20, 100, 100))
    rows, columns = np.nonzero(left)
    # Dilated by a margin of ceil(1/2 + 1) = 2 and opened; then grown back by the margin and two more.
    assert (rows.min(), rows.max(), columns.max()) == (20, 99, 99)
    assert columns.min() == 60 - 2
    assert left.sum() == pytest.approx(80 * 42, abs=20)
    whole = unexplained(grid, volume, camera, silhouette_of(20, 20, 100, 62))
    assert not whole.any()  # two pixels are no part
    assert not unexplained(grid, volume, camera, silhouette_of(20, 20, 100, 63)).any()  # nor is a sliver
    assert unexplained(grid, volume, camera, silhouette_of(20, 20, 100, 66)).any()
    nothing = unexplained(grid, np.full(grid.shape, -1, np.float32), camera, silhouette_of(20, 20, 100, 100))
    assert nothing.sum() == 6400
    edge = np.full(grid.shape, -1, np.float32)
    edge[0] = -0.49 * pitch  # a cell whose middle is just outside still shows
    assert np.array_equal(unexplained(grid, edge, camera, silhouette_of(20, 20, 100, 100)), left)
    # Nought is outside of a silhouette.
    assert np.array_equal(unexplained(grid, volume, camera, np.maximum(silhouette_of(20, 20, 100, 100), 0)), left)


def test_near_cells_cover_more_pixels():
    # As above, seen from half as far: a cell covers two pixels, and half of the points fill the same columns.
    camera = Camera(128, 128, 128, 128, 64, 64, Camera.on_sphere(0, 0, 0.5).camera_to_world)
    pitch = 1 / 16
    grid = hull.Grid(np.array([0, -3.5 * pitch, -3.5 * pitch]), pitch, (2, 8, 8))
    volume = np.full(grid.shape, -1, np.float32)
    volume[0] = 1
    # Points every 16 pixels, from 8 to 120: margins of ceil(16 / 2 + 1) = 9 close what lies between.
    assert not unexplained(grid, volume, camera, silhouette_of(0, 0, 128, 128)).any()
    volume[0, :, 4] = -1
    gap = np.argwhere(unexplained(grid, volume, camera, silhouette_of(0, 0, 128, 128)))
    assert gap[:, 1].min() == 0
    assert 20 < np.ptp(gap[:, 0]) < 40  # 14 rows are left over, grown by 11 to either side


def test_points_beside_and_behind_the_camera_explain_nothing():
    camera = Camera(128, 128, 128, 128, 64, 64, Camera.on_sphere(0, 0, 1.0).camera_to_world)
    shown = silhouette_of(0, 0, 128, 128)
    for origin in ([0, 0.8, 0], [0, -1.2, 0], [0, 0, 0.8], [0, 0, -1.2], [1.5, -0.2, -0.2]):
        grid = hull.Grid(np.array(origin), 0.05, (4, 8, 8))
        left = unexplained(grid, np.ones(grid.shape, np.float32), camera, shown)
        assert left.all()


def test_what_is_behind_missing_parts_is_the_union_of_their_cones(bar_views):
    distances = distances_of(bar_views)
    _, grid = hull.carve(bar_views.cameras, distances, 32)
    nothing = np.full(grid.shape, -1, np.float32)
    behind = hull.missing(grid, nothing, bar_views.cameras, distances)
    cones = [hull.cone(grid, camera, distance) for camera, distance in zip(bar_views.cameras, distances, strict=True)]
    assert ((behind > 0) != (np.max(cones, axis=0) > 0)).mean() < 0.005  # but for rounded edges
    everything = np.ones(grid.shape, np.float32)
    assert hull.missing(grid, everything, bar_views.cameras, distances) is None


def beheaded(views: ViewSet, number: int) -> ViewSet:
    """Views of which one has lost its upper half."""
    images = [image.copy() for image in views.images]
    rows = np.flatnonzero(images[number][..., 3].any(1))
    images[number][: int(rows.mean())] = 0
    return ViewSet(images, views.cameras)


def test_carving_is_tolerant_unless_told():
    views = views_of(bar, views=6, size=32)
    distances = distances_of(beheaded(views, 1))
    for options, tolerant in (({}, True), ({"tolerant": False}, False)):
        volume, grid = hull.carve(views.cameras, distances, 24, **options)
        assert max(grid.shape) == 24
        np.testing.assert_array_equal(volume, hull.volume(grid, views.cameras, distances, tolerant))
    assert (hull.carve(views.cameras, distances, 24)[0] > 0).sum() > 1.2 * (volume > 0).sum()


def test_two_views_and_intolerance_give_the_plain_hull():
    views = views_of(bar, views=6, size=32)
    distances = distances_of(beheaded(views, 1))
    grid = hull.frame(views.cameras, 20)
    cones = [hull.cone(grid, *view) for view in zip(views.cameras, distances, strict=True)]
    np.testing.assert_array_equal(hull.volume(grid, views.cameras, distances, False), np.min(cones, axis=0))
    np.testing.assert_array_equal(hull.volume(grid, views.cameras[:2], distances[:2]), np.min(cones[:2], axis=0))
    assert (hull.volume(grid, views.cameras[:3], distances[:3]) > np.min(cones[:3], axis=0)).any()


@pytest.mark.parametrize("views", [3, 4, 5])
def test_a_minority_of_views_is_outvoted_where_something_is_missing(views, monkeypatch):
    cameras = orbit(views, size=24)
    distances = distances_of(views_of(bar, views, 24))
    grid = hull.frame(cameras, 12)
    cones = np.sort([hull.cone(grid, *view) for view in zip(cameras, distances, strict=True)], axis=0)
    monkeypatch.setattr(hull, "missing", lambda *_: np.full(grid.shape, 0.02, np.float32))
    expected = np.maximum(cones[0], np.minimum(0.02, cones[(views - 1) // 2]))
    np.testing.assert_array_equal(hull.volume(grid, cameras, distances), expected)
