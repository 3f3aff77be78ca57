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
    fast = hull.field(grid, views.cameras, distances_of(views))
    plain = plain_hull(grid, views.cameras, distances_of(views))
    assert (plain > 0).any()
    np.testing.assert_allclose(fast, plain, atol=2e-4)


def test_hull_is_what_alpha_allows(bar_views):
    """Points are inside where every view's alpha says so, but for the edge pixels themselves."""
    grid = hull.Grid.around(np.full(3, -0.5), np.full(3, 0.5), 40)
    field = hull.field(grid, bar_views.cameras, distances_of(bar_views))
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
    strict = hull.field(grid, views.cameras, damaged, tolerant=False) > 0
    tolerant = hull.field(grid, views.cameras, damaged) > 0
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
