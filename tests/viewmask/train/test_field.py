from __future__ import annotations

import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch

from recon.field import Field, FieldConfig
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.learning.schedule import Schedule
from viewmask.learning.trainer import Trainer
from viewmask.train.field import SCHEDULE, Objects, Occupancy, pack, score, train
from viewmask.train.run import Run
from viewmask.views.camera import orbit

SHAPE = FieldConfig(features=8, widths=(8, 8, 8), resolution=8)


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
    task, field = Occupancy(objects(), points=256), Field(SHAPE)
    optimizer = torch.optim.AdamW(field.parameters(), 5e-3)
    losses = []
    for step in range(12):
        loss, figures = task.loss(field, step, np.random.default_rng(step), 2)
        optimizer.zero_grad()
        loss.backward()
        assert all(parameter.grad is not None for parameter in field.parameters())
        optimizer.step()
        losses.append(figures["entropy"])
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    first, second = (task.loss(field, 0, np.random.default_rng(7), 2)[0].item() for _ in range(2))
    assert first == second


def test_a_resumed_run_repeats_an_uninterrupted_one(tmp_path):
    schedule = Schedule(steps=4, batch=2, rate=2e-3, warmup=2, average=0.9)

    def cut(step, steps, figures):
        if step == 3:
            raise KeyboardInterrupt

    def run(name, resume=False, progress=None):
        torch.manual_seed(0)
        out = tmp_path / name
        field = checkpoint.load(out / "checkpoint", Field, FieldConfig)[0] if resume else Field(SHAPE)
        judge = partial(score, objects=objects(1))
        often = {"validation": judge, "validate_every": 2, "save_every": 0}
        trainer = Trainer(field, Occupancy(objects(), points=64), out, schedule, {}, keep_best=True, **often)
        trainer.run(resume, progress)

    run("whole")
    with pytest.raises(KeyboardInterrupt):
        run("cut", progress=cut)
    run("cut", resume=True)
    whole, resumed = ((tmp_path / name / "weights" / checkpoint.MODEL).read_bytes() for name in ("whole", "cut"))
    assert whole == resumed


def test_the_score_of_a_field_that_fills_the_hull_is_the_hull_s():
    field = Field(SHAPE)
    with torch.no_grad():
        field.decoder[-1].bias[0] += 100
    figures = score(field, objects(), limit=2)
    assert figures["val_iou"] == figures["val_hull"]


def test_mirrored_objects_are_seen_by_mirrored_cameras():
    from viewmask.train.field import _draw_views, _inputs

    packed = objects(1)
    views = _draw_views(8, 4, np.random.default_rng(0))
    plain, mirrored = _inputs(packed, 0, views), _inputs(packed, 0, views, mirror=True)
    point = np.array([0.1, 0.2, -0.1, 1])

    def place(inputs, world):
        at = inputs.projection[0] @ np.append(world @ inputs.turn, 1)
        return at[:2] / at[2]

    x, y = place(plain, point[:3])
    np.testing.assert_allclose(place(mirrored, point[:3] * [1, -1, 1]), [1 - x, y], atol=1e-5)
    np.testing.assert_array_equal(mirrored.pictures[0], plain.pictures[0][:, :, ::-1])


def test_colours_of_pictures_and_of_points_change_alike():
    packed = objects(1)
    packed.pictures[..., :3], packed.pictures[..., 3], packed.colours[:] = (40, 90, 160), 255, (40, 90, 160)
    task = Occupancy(packed, points=64)
    seen = set()
    for seed in range(40):
        views, _, _, colours = task._batch(packed, np.array([0]), 4, np.random.default_rng(seed))
        shown = views.pictures[0, 0, :3, 0, 0].numpy() / views.pictures[0, 0, 3, 0, 0].numpy()
        np.testing.assert_allclose(colours[0].numpy(), np.broadcast_to(shown, colours[0].shape), atol=1e-5)
        seen.add(tuple(np.argsort(shown).tolist()))
    assert len(seen) > 3  # channels are exchanged, too


def test_packing_reads_rendered_folders_and_keeps_what_it_packed(tmp_path):
    from render.demo import write
    from render.run import render_orbits
    from render.settings import Settings

    settings = Settings(views=4, size=48, passes=("points",))
    render_orbits(write(tmp_path / "in", ["mug"]), tmp_path / "views", settings)
    (whole,) = (tmp_path / "views").glob("*/transforms.json")
    shutil.copytree(whole.parent, tmp_path / "views" / ".mug-x1")  # what a killed run leaves half-written
    packed = Objects.load(pack([tmp_path / "views"], tmp_path / "packed", "train"))
    task = Occupancy(packed, points=64)
    assert packed.counts.tolist() == [4]
    assert 0.02 < packed.inside[0].mean() < 0.7
    assert isinstance(packed.pictures[0], np.memmap)
    twice = Objects.load(2 * pack([tmp_path / "views"], tmp_path / "packed", "train"))
    assert len(twice) == len(twice.pictures) == 2
    one, two = (task._batch(twice, np.array([row]), 2, np.random.default_rng(0)) for row in range(2))
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(one[1:], two[1:], strict=True))
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "packed").rglob("*.npy")}
    pack([tmp_path / "views"], tmp_path / "packed", "train")
    assert before == {file: file.stat().st_mtime_ns for file in (tmp_path / "packed").rglob("*.npy")}
    shutil.rmtree(tmp_path / "views" / "mug")
    render_orbits(tmp_path / "in", tmp_path / "views", Settings(views=2, size=32, passes=("points",)))
    anew = Objects.load(pack([tmp_path / "views"], tmp_path / "packed", "train"))
    assert anew.counts.tolist() == [2]
    render_orbits(tmp_path / "in", tmp_path / "bare", Settings(views=2, size=24))
    with pytest.raises(ViewmaskError, match="--passes points"):
        pack([tmp_path / "bare"], tmp_path / "other", "train")


def test_objects_without_an_inside_are_not_learnt_from(tmp_path):
    from render.demo import write
    from render.run import render_orbits
    from render.settings import Settings

    settings = Settings(views=2, size=32, passes=("points",))
    render_orbits(write(tmp_path / "in", ["mug", "house"]), tmp_path / "views", settings)
    for file in (tmp_path / "views" / "mug").glob("passes.npz"):
        with np.load(file) as arrays:
            hollow = dict(arrays) | {"inside": np.zeros_like(arrays["inside"])}
        np.savez(file, **hollow)
    packed = Objects.load(pack([tmp_path / "views"], tmp_path / "packed", "train"))
    assert packed.names.tolist() == ["house"]
    shutil.rmtree(tmp_path / "views" / "house")
    with pytest.raises(ViewmaskError, match="points inside"):
        pack([tmp_path / "views"], tmp_path / "other", "train")


def test_a_run_packs_beside_its_folder_and_may_go_on_at_the_full_rates(tmp_path):
    from render.demo import write
    from render.run import render_orbits
    from render.settings import Settings

    settings = Settings(views=4, size=32, passes=("points",))
    render_orbits(write(tmp_path / "in", ["mug"]), tmp_path / "views", settings)
    weights = train([tmp_path / "views"], Run(tmp_path / "one", steps=1, seed=3))
    assert weights == tmp_path / "one" / "weights"
    assert {place.name for place in (tmp_path / "one-packed").iterdir()} == {"train", "val"}
    again = train([tmp_path / "views"], Run(tmp_path / "two", steps=1, init=weights, gentle=False))
    about = json.loads((again / "config.json").read_text())["about"]
    assert (about["stage"], about["objects"]) == ("recon", 1)
    assert about["schedule"]["rate"] == SCHEDULE.rate
