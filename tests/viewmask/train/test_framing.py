"""Learning to place: what is learnt from, and that something is learnt."""

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.framing import Framing, FramingConfig, Place, target
from viewmask.train import framing
from viewmask.train.framing import Examples, Placing, validation
from viewmask.train.run import Run
from viewmask.views import camera
from viewmask.views.viewset import ViewSet

CPU = torch.device("cpu")
SMALL = FramingConfig(size=32, width=8, hidden=16, dropout=0.0)


def block(high, wide, down=0, size=64):
    picture = np.zeros((size, size, 4), np.uint8)
    top, left = (size - high) // 2 + down, (size - wide) // 2
    picture[top : top + high, left : left + wide] = (200, 90, 40, 255)
    return picture


def orbit(images, split="train", name="block"):
    cameras = camera.orbit(len(images), size=len(images[0]))
    return ViewSet(images, cameras, {"id": name, "split": split, "mesh_to_world": np.eye(4).tolist()})


@pytest.fixture
def data(tmp_path):
    """Flat blocks are small in a view, high ones large: so their form tells the zoom."""
    for index, share in enumerate(np.linspace(0.2, 1, 12)):
        wide = round(16 + 34 * share)
        images = [block(round(wide * share), wide, down=4)] * 4
        split = "val" if index in (3, 8) else "train"
        orbit(images, split, f"block{index:02}").save(tmp_path / "views" / f"block{index:02}")
    return tmp_path / "views"


def test_every_second_view_is_an_example_with_its_place(data):
    examples = Examples.of([data], "train", 32, 0)
    assert examples.pictures.shape == (20, 32, 32, 4)
    assert examples.pictures.dtype == np.uint8
    assert examples.targets.shape == (20, 3)
    wanted = target(Place.of(block(50, 50, down=4)))
    assert np.allclose(examples.targets[-1], wanted)
    again, other = Examples.of([data], "train", 32, 0), Examples.of([data], "train", 32, 1)
    assert np.array_equal(examples.pictures, again.pictures)
    assert not np.array_equal(examples.pictures, other.pictures)


def test_a_photo_learns_the_place_of_the_view_from_its_side(tmp_path):
    views = orbit([block(20, 40), block(30, 40), block(40, 40), block(50, 40)])
    views.save(tmp_path / "views" / "block")
    cameras = [camera.Camera.on_sphere(each.azimuth, 10.0 * index, size=64) for index, each in enumerate(views.cameras)]
    photos = ViewSet([block(10, 20)] * 4, cameras, views.extra)
    photos.save(tmp_path / "photos" / "block")
    other = ViewSet([block(10, 20)] * 4, cameras, views.extra | {"mesh_to_world": (2 * np.eye(4)).tolist()})
    other.save(tmp_path / "others" / "block")

    notes = []
    data = [tmp_path / "photos", tmp_path / "views", tmp_path / "others"]
    examples = Examples.of(data, "train", 32, 0, notes.append)
    assert notes == ["left out 1 view sets of 'train': neither an orbit of the model's nor photos of one"]
    wanted = [target(Place.of(image)) for image in views.images]
    told = [wanted[0], wanted[2], *wanted]  # two views, four photos; photos of another form teach nothing
    assert np.allclose(examples.targets, told)


def test_something_is_learnt_and_exported(data, tmp_path, monkeypatch):
    monkeypatch.setattr(framing, "FramingConfig", lambda: SMALL)
    weights = framing.train([data], Run(tmp_path / "run", steps=120, batch=32))
    model, _, about = checkpoint.load(weights, Framing, FramingConfig)
    assert about["stage"] == "framing"
    figures = validation(Examples.of([data], "val", 32, 0), CPU)
    torch.manual_seed(0)
    assert figures(model)["val zoom"] < 0.5 * figures(Framing(SMALL).eval())["val zoom"]


def test_mirroring_turns_the_place_to_the_other_side(data):
    """The loss of a network that tells the place right is 0 for pictures and their mirror images alike."""
    pictures = np.stack([block(20, 20, size=32)] * 2)
    examples = Examples(pictures, np.float32([[0, 0, 2], [0, 0, 2]]))
    told = []

    def model(seen):
        told.append(seen)
        return torch.zeros(len(seen), 3)

    loss, _ = Placing(examples, CPU).loss(model, 0, np.random.default_rng(0), 64)
    huber = 1.5 * (2 - 0.75)  # of an error of 2 on one side or the other, in one of three numbers
    assert loss.item() == pytest.approx(huber / 3)
    assert all(bool((seen[:, :3] <= seen[:, 3:]).all()) for seen in told)


def test_no_orbit_to_learn_from_is_refused(tmp_path):
    orbit([block(20, 40)] * 4, split="val").save(tmp_path / "views" / "block")
    with pytest.raises(ViewmaskError, match="no orbit of the split 'train'"):
        framing.train([tmp_path / "views"], Run(tmp_path / "run", steps=2))
