"""Photos for training: they have faults, and go the way of users' pictures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from viewmask import pipeline
from viewmask.errors import ViewmaskError
from viewmask.generator import Generator
from viewmask.learning.device import Device
from viewmask.model import reference
from viewmask.train import photo
from viewmask_cli.generate import generate


def disc(size=96, radius=20, centre=(40, 60)):
    y, x = np.mgrid[0:size, 0:size]
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    picture = np.zeros((size, size, 4), np.uint8)
    picture[inside] = 200, 60, 40, 255
    return picture


def test_training_and_users_pictures_go_one_way(monkeypatch, tmp_path):
    """Both are cut out and framed by one function: what it is told to give, both give."""
    cut = []
    monkeypatch.setattr(reference, "cut_out", lambda picture: cut.append(picture) or disc())
    framed = photo.reference(disc(radius=9), np.random.default_rng(0))
    assert len(cut) == 1

    Image.fromarray(disc(radius=9), "RGBA").save(tmp_path / "disc.png")
    given = []
    loaded = SimpleNamespace(weights=SimpleNamespace(runs_on=Device(torch.device("cpu"), torch.float32)))
    monkeypatch.setattr(Generator, "load", lambda *_: loaded)
    monkeypatch.setattr(pipeline, "word_notes", lambda *_: [])

    def stop(_, __, picture, *___, **____):
        given.append(picture)
        raise ViewmaskError("enough")

    monkeypatch.setattr(pipeline, "generate", stop)
    with pytest.raises(ViewmaskError, match="enough"):
        generate(image=[tmp_path / "disc.png"], out=tmp_path / "out")
    assert len(cut) == 2
    assert np.array_equal(given[0], framed)


def test_faults_are_a_pure_function_of_the_seed():
    once, again, other = (photo.faulty(disc(), np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_faults_are_small_and_of_every_kind():
    truth = disc()
    inside = truth[..., 3] > 127
    kinds = {"darker": 0, "larger": 0, "smaller": 0, "soft": 0}
    for seed in range(120):
        picture = photo.faulty(truth, np.random.default_rng(seed))
        alpha = picture[..., 3]
        assert picture.dtype == np.uint8
        overlap = ((alpha > 127) & inside).sum() / ((alpha > 127) | inside).sum()
        assert overlap > 0.6
        kinds["darker"] += picture[30:50, 50:70, 0].mean() < 185
        kinds["larger"] += (alpha > 127).sum() > inside.sum() * 1.1
        kinds["smaller"] += (alpha > 127).sum() < inside.sum() * 0.9
        kinds["soft"] += ((alpha > 20) & (alpha < 235)).sum() > 50
    assert all(5 < count < 100 for count in kinds.values()), kinds


def test_scale_and_place_are_taken_away():
    views = [photo.reference_view(disc(128, radius, centre)) for radius, centre in ((15, (30, 90)), (40, (64, 60)))]
    boxes = []
    for view in views:
        rows, columns = (np.flatnonzero((view[..., 3] > 127).any(axis=axis)) for axis in (1, 0))
        boxes.append((rows[0], rows[-1], columns[0], columns[-1]))
    assert np.abs(np.subtract(*boxes)).max() <= 6
    assert boxes[0][1] - boxes[0][0] == pytest.approx(256 * reference.EXTENT, abs=8)


def test_thin_things_do_not_vanish():
    thin = np.zeros((64, 64, 4), np.uint8)
    thin[30:32, 5:60] = 90, 90, 90, 255
    for seed in range(60):
        assert (photo.faulty(thin, np.random.default_rng(seed))[..., 3] > 127).sum() > 40
