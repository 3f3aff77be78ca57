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


@pytest.mark.parametrize("views", [1, 3, 5])
def test_frames_asked_at_once_are_frames_asked_one_by_one(tiny, pictures, views):
    cameras = [Camera.on_sphere(50.0 * i, 10.0 + 9 * i, 1.4 + 0.02 * i, size=24 + i) for i in range(views)]
    predictor = looked(ViewSet([pictures(camera) for camera in cameras], cameras), tiny)
    points = np.random.default_rng(0).uniform(-0.9, 0.9, (77, 3))  # beyond the volume, too
    each = []
    for frame, turn in enumerate(predictor.turns):
        part = torch.from_numpy(((points - predictor.centre) / predictor.unit @ turn).astype(np.float32))[None]
        lifted = tiny.encode(predictor.lifted.frame(frame).views)
        torch.testing.assert_close(lifted.volume, predictor.lifted.frame(frame).volume, atol=1e-5, rtol=1e-4)
        each.append(tiny.decode(lifted, part))
    logits = torch.stack([one[0] for one in each]).mean(0)[0].detach().numpy()
    np.testing.assert_allclose(predictor.logits(points), logits, atol=1e-4)
    np.testing.assert_allclose(predictor.colours(points), 255 * each[0][2][0].detach().numpy(), atol=1e-2)


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
    seen = tiny.decode(predictor.lifted.frame(0), part)[1].numpy().reshape(grid.shape)
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


def test_restoring_asks_no_point_twice(bar_views):
    asked = []

    class Asked(Denying):
        def logits(self, points):
            asked.append(points)
            return super().logits(points)

    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    half = field_grid.fill(Denying(7.5), carved, grid, 0.0)
    field_grid.restore(half, Asked(7.5), carved, grid, 0.0, bar_views.cameras, distances)
    together = np.concatenate(asked)
    assert len(asked) > 1
    assert len(np.unique(together, axis=0)) == len(together) > 100


def test_nothing_is_restored_where_silhouettes_are_filled(bar_views):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    thinner = carved - np.float32(2 * grid.pitch)  # within every silhouette's tolerance
    same = field_grid.restore(thinner, Denying(1.0), carved, grid, 0.0, bar_views.cameras, distances)
    np.testing.assert_array_equal(same, thinner)


def test_missing_weights_say_what_is_missing(bar_views, tmp_path):
    with pytest.raises(ViewmaskError, match="no checkpoint"):
        field_grid.Predictor(bar_views, [], tmp_path)


@pytest.mark.skipif(not field_grid.SHIPPED.exists(), reason="no weights are shipped")
def test_the_shipped_weights_give_a_closed_mesh_within_the_hull(bar_views):
    mesh = reconstruct(bar_views, "field", faces=1000, texture=64, resolution=48)
    carved = reconstruct(bar_views, "hull", faces=1000, texture=64, resolution=48)
    assert mesh.summary()["watertight"]
    assert mesh.geometry().volume < carved.geometry().volume * 1.01
    assert sum(file.stat().st_size for file in field_grid.SHIPPED.iterdir()) < 12e6


# -- by hand ------------------------------------------------------------------------------------------------


class Plane:
    """A field whose logit is a coordinate, that writes down what it is asked."""

    def __init__(self, slope=(1.0, 0.0, 0.0), base: float = 0.0) -> None:
        self.slope, self.base = np.array(slope), base
        self.points: list[np.ndarray] = []

    def logits(self, points):
        self.points.append(points)
        return (points @ self.slope + self.base).astype(np.float32)


GRID = hull.Grid(np.array([-0.4, 0.1, 0.2]), 0.1, (9, 6, 5))
PLACES = GRID.origin + GRID.pitch * np.moveaxis(np.indices(GRID.shape), 0, -1)


def test_the_hull_is_polled_evenly(monkeypatch):
    carved = np.where(np.arange(9)[:, None, None] > 2, np.float32(1), np.float32(0)) * np.ones(GRID.shape, np.float32)
    inside = np.argwhere(carved > 0)
    for most, stride in ((8192, 1), (180, 1), (179, 2), (60, 3), (59, 4)):
        monkeypatch.setattr(field_grid, "_POLL", most)
        where, logits = field_grid.poll(Plane(), carved, GRID)
        np.testing.assert_array_equal(where, inside[::stride])
        assert logits == pytest.approx(-0.4 + 0.1 * where[:, 0], abs=1e-6)
    assert field_grid.poll(Plane(), -carved, GRID)[1].shape == (0,)
    monkeypatch.undo()
    for count, asked in ((8192, 8192), (8193, 4097)):
        line = hull.Grid(np.zeros(3), 1.0, (count, 1, 1))
        assert len(field_grid.poll(Plane(), np.ones(line.shape, np.float32), line)[0]) == asked


def test_an_object_that_is_hardly_expected_has_no_level(monkeypatch):
    carved = np.ones(GRID.shape, np.float32)
    for expected, level in ((0.049, None), (0.05, 1.5), (0.9, 1.5)):
        monkeypatch.setattr(field_grid, "best_level", lambda logits, expected=expected: (1.5, expected))
        assert field_grid.level(Plane(), carved, GRID) == level


@pytest.mark.parametrize("fast", [True, False])
def test_a_filled_field_is_the_logits_above_the_level_within_the_hull(fast):
    carved = np.where(PLACES[..., 1] < 0.45, np.float32(0.03), np.float32(-0.5))
    plane = Plane((20.0, 0, 0))
    filled = field_grid.fill(plane, carved, GRID, 0.5, fast)
    expected = np.where(carved > 0, np.minimum(carved, (20 * PLACES[..., 0] - 0.5) * 0.1), carved)
    near = np.abs(20 * PLACES[..., 0] - 0.5) < 1.6
    np.testing.assert_allclose(filled[near], expected[near], atol=1e-5)
    np.testing.assert_array_equal(filled > 0, expected > 0)
    np.testing.assert_allclose(field_grid.fill(plane, carved, GRID, 0.5), filled if fast else expected, atol=0.5)


def test_where_nobody_asks_logits_are_one_below_the_level():
    within = np.zeros(GRID.shape, bool)
    within[2, 3, 4] = within[5, 0, 0] = True
    plane = Plane()
    logits = field_grid._everywhere(plane, within, GRID, 0.25)
    assert (logits[~within] == -0.75).all()
    assert logits[within] == pytest.approx(PLACES[within][:, 0], abs=1e-6)
    np.testing.assert_allclose(plane.points[0], PLACES[within])


def test_a_hull_is_cut_a_cell_beyond_its_surface():
    asked = Plane()
    carved = np.where(np.arange(9)[:, None, None] < 4, np.float32(-0.11), np.float32(-0.09)) * np.ones(GRID.shape)
    field_grid.fill(asked, carved.astype(np.float32), GRID, 0.0, fast=False)
    assert asked.points[0][:, 0].min() == pytest.approx(0)
    assert len(asked.points[0]) == 5 * 30


def test_points_near_the_surface_are_asked_coarsely_then_finely():
    grid = hull.Grid(np.array([-0.8, -0.8, -0.8]), 0.1, (17, 17, 17))
    plane = Plane((40.0, 0, 0), base=0.2)  # crosses 0 between two points of every stage
    logits = field_grid.near_surface(plane, np.ones(grid.shape, bool), grid, 0.0)
    x = -0.8 + 0.1 * np.arange(17)
    np.testing.assert_allclose(logits, np.broadcast_to((40 * x + 0.2)[:, None, None], grid.shape), atol=1e-4)
    assert logits.dtype == np.float32
    assert len(plane.points) == 3
    first, second, third = (np.unique(np.round(points[:, 0], 6)) for points in plane.points)
    assert first.tolist() == [-0.8, -0.4, 0, 0.4, 0.8]
    assert second.tolist() == [-0.6, -0.4, -0.2, 0, 0.2, 0.4, 0.6] or set(second) <= set(np.round(x[::2], 6))
    assert set(third) <= {-0.2, -0.1, 0.0, 0.1, 0.2}
    together = np.round(np.concatenate(plane.points), 6)
    assert len(np.unique(together, axis=0)) == len(together)  # nothing is asked twice


def test_nothing_is_asked_far_from_the_hull():
    grid = hull.Grid(np.zeros(3), 1.0, (18, 10, 9))
    within = np.zeros(grid.shape, bool)
    within[2:4, 3:5, 2:4] = True
    plane = Plane((0.1, 0, 0), base=-0.25)
    logits = field_grid.near_surface(plane, within, grid, 0.0)
    assert logits.shape == grid.shape
    asked = np.concatenate(plane.points)
    assert (asked.min(0) >= 0).all()
    assert (asked.max(0) <= [8, 8, 8]).all()
    assert logits[within] == pytest.approx(0.1 * np.argwhere(within)[:, 0] - 0.25)
    assert (logits[12:] == -1).all()


def test_cells_with_both_signs_or_an_unsure_corner_are_mixed():
    logits = np.full((3, 3, 4), -2.0, np.float32)
    assert not field_grid._mixed(logits, 0.0).any()
    assert not field_grid._mixed(logits, -3.0).any()
    assert field_grid._mixed(logits, -2.49).all()
    assert field_grid._mixed(logits, -1.51).all()
    assert not field_grid._mixed(logits, -1.5).any()
    logits[0, 0, 0] = 5
    mixed = field_grid._mixed(logits, 0.0)
    assert np.argwhere(mixed).tolist() == [[0, 0, 0]]
    assert mixed.shape == (2, 2, 3)
    logits[0, 0, 0] = 0  # at the level: outside, but unsure
    assert np.argwhere(field_grid._mixed(logits, 0.0)).tolist() == [[0, 0, 0]]


def test_cells_and_their_corners():
    cells = np.zeros((2, 2, 3), bool)
    cells[1, 0, 2] = True
    corners = field_grid._corners(cells)
    assert corners.shape == (3, 3, 4)
    assert np.argwhere(corners).tolist() == [[x, y, z] for x in (1, 2) for y in (0, 1) for z in (2, 3)]


def test_a_point_counts_where_a_cell_around_it_does():
    inside = np.zeros((9, 5, 5), bool)
    inside[3, 2, 2] = True
    np.testing.assert_array_equal(field_grid._around(inside, 1), inside)
    assert np.argwhere(field_grid._around(inside, 2)).tolist() == [
        [x, y, z] for x in (1, 2) for y in (0, 1, 2) for z in (0, 1, 2)
    ]
    assert np.argwhere(field_grid._around(inside, 4)).tolist() == [
        [x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)
    ]


def test_many_points_are_asked_in_parts(tiny, bar_views, monkeypatch):
    predictor = looked(bar_views, tiny)
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (23, 3))
    whole = predictor.logits(points), predictor.colours(points)
    monkeypatch.setattr(field_grid, "_CHUNK", 10)
    np.testing.assert_allclose(predictor.logits(points), whole[0], atol=1e-5)
    np.testing.assert_allclose(predictor.colours(points), whole[1], atol=1e-3)
    _, _, colour = tiny.decode(
        predictor.lifted.frame(0), torch.from_numpy((points @ predictor.turns[0]).astype(np.float32))[None]
    )
    np.testing.assert_allclose(predictor.colours(points), 255 * colour[0].detach().numpy(), atol=1e-2)
    assert predictor.logits(points).dtype == np.float32


def test_the_network_s_frame_is_what_the_cameras_look_at(tiny, bar_views):
    predictor = looked(bar_views, tiny)
    assert predictor.centre == pytest.approx([0, 0, 0], abs=1e-9)
    assert predictor.unit == pytest.approx(1, abs=5e-4)
    for count, frames in ((1, 1), (3, 3), (5, 3), (16, 1), (17, 1)):
        cameras = [Camera.on_sphere(20.0 * i, 20, size=24) for i in range(count)]
        images = [np.full((24, 24, 4), 255, np.uint8)] * count
        turns = looked(ViewSet(images, cameras), tiny).turns
        assert len(turns) == frames
        for number, turn in enumerate(turns):
            np.testing.assert_allclose(turn, upright(cameras[number * count // frames]), atol=1e-12)
