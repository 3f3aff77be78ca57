from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from scipy import ndimage

from recon import field_grid, hull, silhouette
from recon.field import Field, FieldConfig, best_level, given, stack, upright
from recon.reconstructor import reconstruct
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, trainer
from viewmask.train.field import Filling, Objects, pack, score
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet

TINY = FieldConfig(size=32, features=8, widths=(8, 8, 8), resolution=8, decoder=8)


@pytest.fixture(scope="module")
def tiny():
    torch.manual_seed(0)
    return Field(TINY).eval()


def looked(views: ViewSet, model: Field) -> field_grid.Asked:
    return field_grid.Asked(views, [silhouette.signed_distance(image[..., 3]) for image in views.images], model)


@pytest.mark.parametrize("views", [1, 2, 5, 16])
def test_any_number_of_views_and_any_points(tiny, pictures, views):
    cameras = [Camera.on_sphere(40.0 * i, 10.0 + i, 1.4 + 0.02 * i, size=24 + i) for i in range(views)]
    asked = looked(ViewSet([pictures(camera) for camera in cameras], cameras), tiny)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (77, 3))
    logits, colours = asked.logits(points), asked.colours(points)
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
    asked = field_grid.Asked(bar_views, distances, tiny)
    points = grid.origin + grid.pitch * np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), -1)
    part = torch.from_numpy((points.reshape(1, -1, 3) @ asked.turns[0]).astype(np.float32))
    seen = tiny.decode(asked.lifted[0], part)[1].numpy().reshape(grid.shape)
    np.testing.assert_allclose(seen, carved, atol=2e-4)


def test_distances_are_told_apart_far_away_and_within_a_thin_wall():
    from recon.field import _NEAR, _near

    distances = torch.tensor([-9.0, -0.2, -0.01, 0.0, 0.002, 0.004, 0.1, 0.2, 9.0])
    shares = _near(distances)
    assert shares.shape == (9, len(_NEAR))
    assert shares.abs().max() == 1
    assert (shares[1:] >= shares[:-1]).all()
    assert ((shares[1:] - shares[:-1]).amax(-1) > 0.1).all()  # some scale sees every step


def test_no_level_has_a_greater_expected_iou():
    random = np.random.default_rng(0)
    for spread in (0.3, 2.0, 8.0):
        logits = random.normal(-0.5, spread, 400).astype(np.float32)
        level, expected = best_level(logits)
        # The plain rule, point by point and over many throws of what is inside.
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        inside = random.random((4000, 400)) < chances

        def iou(filled, inside=inside):
            return ((inside & filled).sum(1) / np.maximum((inside | filled).sum(1), 1)).mean()

        mine = iou(logits > level)
        assert mine == pytest.approx(expected, abs=0.01)
        assert all(iou(logits > other) < mine + 0.003 for other in np.linspace(-4, 4, 41))


def test_a_sure_field_fills_what_it_is_sure_of():
    level, expected = best_level(np.array([9, 9, -9, 9, -9], np.float32))
    assert -9 < level < 9
    assert expected > 0.999
    level, _ = best_level(np.array([3, 3.5], np.float32))
    assert level < 3


CROSS = ndimage.generate_binary_structure(3, 1)


def shape(asked_about, bar_views, fast):
    distances = [silhouette.signed_distance(image[..., 3]) for image in bar_views.images]
    carved, grid = hull.carve(bar_views.cameras, distances, 48)
    level = field_grid.level(asked_about, carved, grid)
    return field_grid.fill(asked_about, carved, grid, level, fast), carved, grid


class Known:
    """A field whose answer is known: a ball with a bump, in place of the network."""

    def __init__(self) -> None:
        self.asked = 0

    def logits(self, points):
        self.asked += len(points)
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
    assert fast.asked < 0.7 * slow.asked
    assert (found <= carved).all()
    assert hull.is_closed(hull.surface(found, grid, 2000))


def test_a_network_and_its_dense_twin(tiny, bar_views):
    asked = looked(bar_views, tiny)
    middle = float(np.median(asked.logits(np.random.default_rng(0).uniform(-0.2, 0.05, (500, 3)))))
    with torch.no_grad():
        tiny.decoder[-1].bias[0] -= middle  # so that it says both
    found, dense = (shape(asked, bar_views, fast)[0] for fast in (True, False))
    assert ((found > 0) == (dense > 0)).mean() > 0.999


def test_where_the_field_finds_nothing_the_hull_stands_in_and_says_so(bar_views, monkeypatch):
    class Empty:
        def logits(self, points):
            return np.full(len(points), -9, np.float32)

    monkeypatch.setattr(field_grid, "Asked", lambda *_: Empty())
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
    asked = Denying(odds)
    half = field_grid.fill(asked, carved, grid, 0.0)
    found = field_grid.restored(half, asked, carved, grid, 0.0, bar_views.cameras, distances)
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
    same = field_grid.restored(thinner, Denying(1.0), carved, grid, 0.0, bar_views.cameras, distances)
    np.testing.assert_array_equal(same, thinner)


def test_missing_weights_say_what_is_missing(bar_views, tmp_path):
    with pytest.raises(ViewmaskError, match="no checkpoint"):
        field_grid.Asked(bar_views, [], tmp_path)


@pytest.mark.skipif(not field_grid.WEIGHTS.exists(), reason="no weights are shipped")
def test_the_shipped_weights_give_a_closed_mesh_within_the_hull(bar_views):
    mesh = reconstruct(bar_views, "field", faces=1000, texture=64, resolution=48)
    carved = reconstruct(bar_views, "hull", faces=1000, texture=64, resolution=48)
    assert mesh.summary()["watertight"]
    assert mesh.geometry().volume < carved.geometry().volume * 1.01
    assert sum(file.stat().st_size for file in field_grid.WEIGHTS.iterdir()) < 12e6


def objects(count: int = 3) -> Objects:
    """Objects of noise, of the shapes that packing gives."""
    from viewmask.train.field import EVEN, NEAR, SIZE, VIEWS

    random = np.random.default_rng(0)
    cameras = orbit(VIEWS, size=SIZE)
    points = random.uniform(-0.4, 0.4, (count, NEAR + EVEN, 3)).astype(np.float16)
    distances = np.full((count, VIEWS, SIZE, SIZE), 60, np.int8)
    pictures = random.integers(0, 255, (count, VIEWS, SIZE, SIZE, 4)).astype(np.uint8)
    return Objects(
        np.array([f"object{i}" for i in range(count)]),
        pictures,
        distances,
        np.stack([[camera.camera_to_world for camera in cameras]] * count).astype(np.float32),
        np.stack([[(c.fl_x, c.fl_y, c.cx, c.cy) for c in cameras]] * count).astype(np.float32),
        np.full(count, VIEWS, np.int32),
        points,
        np.linalg.norm(points.astype(np.float32), axis=-1) < 0.4,
        random.integers(0, 255, (count, NEAR, 3)).astype(np.uint8),
        np.ones(count, bool),
    )


def test_the_loss_falls_and_a_batch_repeats():
    torch.manual_seed(0)
    task = Filling(FieldConfig(features=8, widths=(8, 8, 8), resolution=8), objects(), None, points=256)
    optimizer = torch.optim.AdamW(task.model.parameters(), 5e-3)
    losses = []
    for step in range(12):
        loss, figures = task.loss(step, np.random.default_rng(step), 2)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in task.model.parameters())
        optimizer.step()
        losses.append(figures["entropy"])
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    first, second = (task.loss(0, np.random.default_rng(7), 2)[0].item() for _ in range(2))
    assert first == second


def test_a_resumed_run_repeats_an_uninterrupted_one(tmp_path):
    shape = FieldConfig(features=8, widths=(8, 8, 8), resolution=8)
    schedule = trainer.Schedule(steps=4, batch=2, rate=2e-3, warmup=2, average=0.9)

    def task(start=None):
        torch.manual_seed(0)
        made = Filling(shape, objects(), objects(1), points=64)
        if start:
            made.model.load_state_dict(checkpoint.load(start, Field, FieldConfig)[0].state_dict())
        return made

    def cut(step, steps, figures):
        if step == 3:
            raise KeyboardInterrupt

    def run(task, name, **options):
        trainer.run(task, tmp_path / name, schedule, {}, score=task.score, score_every=2, **options)

    run(task(), "whole")
    with pytest.raises(KeyboardInterrupt):
        run(task(), "cut", save_every=0, progress=cut)
    run(task(tmp_path / "cut" / trainer.LAST), "cut", resume=True)
    whole, resumed = ((tmp_path / name / "weights" / checkpoint.MODEL).read_bytes() for name in ("whole", "cut"))
    assert whole == resumed


def test_the_score_of_a_field_that_fills_the_hull_is_the_hull_s():
    task = Filling(FieldConfig(features=8, widths=(8, 8, 8), resolution=8), objects(), None)
    with torch.no_grad():
        task.model.decoder[-1].bias[0] += 100
    found = score(task.model, objects(), limit=2)
    assert found["val_iou"] == found["val_hull"]


def test_mirrored_objects_are_seen_by_mirrored_cameras():
    from viewmask.train.field import _choose, _views

    packed = objects(1)
    chosen = _choose(8, 4, np.random.default_rng(0))
    plain, mirrored = _views(packed, 0, chosen), _views(packed, 0, chosen, mirror=True)
    point = np.array([0.1, 0.2, -0.1, 1])

    def place(made, world):
        at = made.projection[0] @ np.append(world @ made.turn, 1)
        return at[:2] / at[2]

    x, y = place(plain, point[:3])
    np.testing.assert_allclose(place(mirrored, point[:3] * [1, -1, 1]), [1 - x, y], atol=1e-5)
    np.testing.assert_array_equal(mirrored.pictures[0], plain.pictures[0][:, :, ::-1])


def test_colours_of_pictures_and_of_points_change_alike():
    packed = objects(1)
    packed.pictures[..., :3], packed.pictures[..., 3], packed.colours[:] = (40, 90, 160), 255, (40, 90, 160)
    task = Filling(FieldConfig(features=8, widths=(8, 8, 8), resolution=8), packed, None, points=64)
    seen = set()
    for seed in range(40):
        views, _, _, colours = task._batch(packed, np.array([0]), 4, np.random.default_rng(seed))
        shown = views.pictures[0, 0, :3, 0, 0].numpy() / views.pictures[0, 0, 3, 0, 0].numpy()
        np.testing.assert_allclose(colours[0].numpy(), np.broadcast_to(shown, colours[0].shape), atol=1e-5)
        seen.add(tuple(np.argsort(shown).tolist()))
    assert len(seen) > 3  # channels are exchanged, too


def test_points_project_where_the_camera_says():
    camera = Camera.on_sphere(70.0, 20.0, size=50)
    turn = upright(camera)
    made = given(np.zeros((1, 32, 32, 4), np.float32), np.zeros((1, 32, 32), np.float32), [camera], turn)
    point = np.array([0.1, -0.2, 0.3])
    at = made.projection[0] @ np.append(point @ turn, 1)
    pixels, depth = camera.project(point)
    np.testing.assert_allclose(at[:2] / at[2] * 50, pixels, atol=1e-4)
    assert at[2] == pytest.approx(depth, abs=1e-5)
    assert stack([made], torch.device("cpu")).pictures.shape == (1, 1, 5, 32, 32)


def test_packing_reads_rendered_folders_and_keeps_what_it_packed(tmp_path):
    from render.demo import write
    from render.run import render_orbits
    from render.settings import Settings

    settings = Settings(views=4, size=48, passes=("points",))
    render_orbits(write(tmp_path / "in", ["mug"]), tmp_path / "views", settings)
    (whole,) = (tmp_path / "views").glob("*/transforms.json")
    shutil.copytree(whole.parent, tmp_path / "views" / ".mug-x1")  # what a killed run leaves half-written
    packed = pack([tmp_path / "views"], tmp_path / "packed", "train")
    assert packed.counts.tolist() == [4]
    assert 0.02 < packed.inside.mean() < 0.7
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "packed").rglob("*.npy")}
    pack([tmp_path / "views"], tmp_path / "packed", "train")
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "packed").rglob("*.npy")}
    render_orbits(tmp_path / "in", tmp_path / "bare", Settings(views=2, size=24))
    with pytest.raises(ViewmaskError, match="--passes points"):
        pack([tmp_path / "bare"], tmp_path / "other", "train")
