from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from recon import field_grid, hull, meshing, silhouette
from recon.field import Field, FieldConfig, upright
from recon.reconstructor import reconstruct
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import ViewSet

TINY = FieldConfig(size=32, features=8, widths=(8, 8, 8), resolution=8, decoder=8)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return Field(TINY).eval()


def looked(views: ViewSet, model: Field) -> field_grid.Predictor:
    return field_grid.Predictor(views, [silhouette.signed_distance(image[..., 3]) for image in views.images], model)


@pytest.mark.parametrize("views", [1, 2, 5, 16])
def test_any_number_of_views_and_any_points(tiny, pictures, views):
    cameras = [Camera.on_sphere(40.0 * i, 10.0 + i, 1.4 + 0.02 * i, size=24 + i) for i in range(views)]
    predictor = looked(ViewSet([pictures(camera) for camera in cameras], cameras), tiny)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (77, 3))
    logits, colours = predictor.logits(points), predictor.colours(points)
    assert logits.shape == (77,)
    assert colours.shape == (77, 3)
    assert np.isfinite(logits).all()
    assert colours.min() >= 0
    assert colours.max() <= 255


def test_views_have_no_order(tiny, bar_views):
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3))
    order = [2, 0, 3, 1]
    other = ViewSet([bar_views.images[i] for i in order], [bar_views.cameras[i] for i in order])
    np.testing.assert_allclose(looked(bar_views, tiny).logits(points), looked(other, tiny).logits(points), atol=1e-4)


def test_answers_are_averaged_over_frames(tiny, bar_views, monkeypatch):
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3))
    found = looked(bar_views, tiny)
    assert len(found.turns) == 4
    monkeypatch.setattr(field_grid, "_LOOKS", 1)
    each = []
    for first in range(4):
        order = np.roll(range(4), -first)
        alone = looked(ViewSet([bar_views.images[i] for i in order], [bar_views.cameras[i] for i in order]), tiny)
        assert len(alone.turns) == 1
        each.append(alone.logits(points))
    assert np.ptp(each, 0).max() > 1e-3
    np.testing.assert_allclose(found.logits(points), np.mean(each, 0), atol=1e-4)


def test_the_world_may_be_moved_turned_and_scaled(tiny, bar_views):
    turn = upright(Camera.on_sphere(33.0, 0.0)).T * 2.5
    cameras = []
    for camera in bar_views.cameras:
        pose = camera.camera_to_world.copy()
        pose[:3, :3] = turn / 2.5 @ pose[:3, :3]
        pose[:3, 3] = turn @ pose[:3, 3] + [3, -2, 1]
        cameras.append(Camera(64, 64, camera.fl_x, camera.fl_y, camera.cx, camera.cy, pose))
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 3))
    there = looked(ViewSet(bar_views.images, cameras), tiny).logits(points @ turn.T + [3, -2, 1])
    np.testing.assert_allclose(looked(bar_views, tiny).logits(points), there, atol=1e-3)


def test_the_hull_that_the_network_sees_is_the_hull(tiny, bar_views):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 24)
    predictor = field_grid.Predictor(bar_views, distances, tiny)
    points = grid.origin + grid.pitch * np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    part = torch.from_numpy((points.reshape(1, -1, 3) @ predictor.turns[0]).astype(np.float32))
    seen = tiny.decode(predictor.lifted[0], part)[1].numpy().reshape(grid.shape)
    np.testing.assert_allclose(seen, carved, atol=2e-4)


CROSS = ndimage.generate_binary_structure(3, 1)


def shape(predictor, bar_views, fast):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    level = field_grid.level(predictor, carved, grid)
    return field_grid.fill(predictor, carved, grid, level, fast), carved, grid


class Known:
    """A field whose answer is known: a ball with a bump, in place of the network."""

    def __init__(self) -> None:
        self.questions = 0

    def logits(self, points):
        self.questions += len(points)
        inside = 0.15 - np.linalg.norm(points - [-0.05, 0.0, -0.1], axis=1) + 0.02 * np.sin(30 * points[:, 0])
        return (20 * inside).astype(np.float32)


def test_coarse_to_fine_is_the_same_surface_with_fewer_questions(bar_views):
    fast, slow = Known(), Known()
    (found, carved, grid), (dense, _, _) = shape(fast, bar_views, True), shape(slow, bar_views, False)
    np.testing.assert_array_equal(found > 0, dense > 0)
    # The surface lies on edges of the grid whose ends differ in sign: both ends are as if asked one by one.
    across = ndimage.maximum_filter(dense > 0, footprint=CROSS) & ~ndimage.minimum_filter(dense > 0, footprint=CROSS)
    np.testing.assert_allclose(found[across], dense[across], atol=1e-5)
    assert across.sum() > 500
    assert fast.questions < 0.7 * slow.questions
    assert (found <= carved).all()
    assert meshing.is_closed(meshing.surface(found, grid, 2000))


def test_a_network_and_its_dense_twin(tiny, bar_views):
    predictor = looked(bar_views, tiny)
    middle = float(np.median(predictor.logits(np.random.default_rng(0).uniform(-0.2, 0.05, (500, 3)))))
    with torch.no_grad():
        tiny.decoder[-1].bias[0] -= middle  # so that it says both
    found, dense = (shape(predictor, bar_views, fast)[0] for fast in (True, False))
    assert ((found > 0) == (dense > 0)).mean() > 0.999


def test_where_the_field_finds_nothing_the_hull_stands_in_and_says_so(bar_views, monkeypatch):
    class Empty:
        def logits(self, points):
            return np.full(len(points), -9, np.float32)

    monkeypatch.setattr(field_grid, "Predictor", lambda *_: Empty())
    mesh = reconstruct(bar_views, faces=1000, texture=64, resolution=32)
    assert any("the mesh is their hull" in note for note in mesh.notes)
    np.testing.assert_allclose(
        mesh.vertices, reconstruct(bar_views, "hull", faces=1000, texture=64, resolution=32).vertices
    )


class Denying:
    """A field that is sure of one half of the bar and denies the other: its skin by some odds, its inside by far."""

    def __init__(self, odds: float) -> None:
        self.odds = odds

    def logits(self, points):
        denied = np.where(deep(points), -20, -self.odds)
        return np.where(points[:, 1] < 0, 9, denied).astype(np.float32)


def deep(points):
    low, high = np.array([-0.15, -0.4, -0.3]) + 0.06, np.array([0.1, 0.3, 0.05]) - 0.06
    return ((points > low) & (points < high)).all(1)


@pytest.mark.parametrize("odds", [0.4, 1.7, 7.5, 19.0])
def test_what_a_silhouette_shows_is_restored_where_it_is_likeliest(bar_views, odds):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    predictor = Denying(odds)
    half = field_grid.fill(predictor, carved, grid, 0.0)
    found = field_grid.restore(half, predictor, carved, grid, 0.0, bar_views.cameras, distances)
    assert hull.missing(grid, np.where(half > 0, half, -1), bar_views.cameras, distances) is not None
    assert hull.missing(grid, np.where(found > 0, found, -1), bar_views.cameras, distances) is None
    assert ((found > 0) >= (half > 0)).all()
    assert ((found > 0) <= (carved > 0)).all()
    lost = np.argwhere((carved > grid.pitch) & (half < 0))
    back = found[tuple(lost.T)] > 0
    inside = deep(grid.origin + grid.pitch * lost)
    assert back[~inside].mean() > 0.9
    assert back[inside].mean() == (1 if odds > 8 else 0)  # no level but the hull's brings that back


def test_nothing_is_restored_where_silhouettes_are_filled(bar_views):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    thinner = carved - np.float32(2 * grid.pitch)  # within every silhouette's tolerance
    same = field_grid.restore(thinner, Denying(1.0), carved, grid, 0.0, bar_views.cameras, distances)
    np.testing.assert_array_equal(same, thinner)


def test_missing_weights_say_what_is_missing(bar_views, tmp_path):
    with pytest.raises(ViewmaskError, match="no checkpoint"):
        field_grid.Predictor(bar_views, [], tmp_path)


@pytest.mark.skipif(not field_grid.WEIGHTS.exists(), reason="no weights are shipped")
def test_the_shipped_weights_give_a_closed_mesh_within_the_hull(bar_views):
    mesh = reconstruct(bar_views, "field", faces=1000, texture=64, resolution=48)
    carved = reconstruct(bar_views, "hull", faces=1000, texture=64, resolution=48)
    assert mesh.summary()["watertight"]
    assert mesh.geometry().volume < carved.geometry().volume * 1.01
    assert sum(file.stat().st_size for file in field_grid.WEIGHTS.iterdir()) < 12e6
