"""Framing: a place undoes what framing by the edges does, and its network is read like every other."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.generator import Generator
from viewmask.learning import checkpoint
from viewmask.model.framing import Framing, FramingConfig, Place, looked_at, target, unit
from viewmask.model.reference import EXTENT, reference_view

SMALL = FramingConfig(size=32, width=8, hidden=16)


def view(top, bottom, left, right, size=256):
    """A view whose object fills a box, its colour changing from left to right."""
    picture = np.zeros((size, size, 4), np.uint8)
    picture[top:bottom, left:right, 3] = 255
    picture[top:bottom, left:right, 0] = np.linspace(40, 240, right - left)
    return picture


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Framing(SMALL).eval()


@pytest.mark.parametrize("box", [(40, 200, 60, 120), (150, 190, 20, 240), (100, 130, 110, 140), (8, 250, 90, 200)])
def test_a_place_gives_the_view_back(box):
    truth = view(*box)
    place = Place.of(truth)
    again = place.view(reference_view(truth))
    assert again.shape == truth.shape
    inside, shown = truth[..., 3] > 127, again[..., 3] > 127
    assert (inside & shown).sum() / (inside | shown).sum() > 0.9
    both = inside & shown
    assert np.abs(again[both].astype(int) - truth[both]).mean() < 8


def test_a_place_in_numbers():
    place = Place.of(view(64, 192, 96, 128))
    assert place.zoom == pytest.approx(0.5 / EXTENT)
    assert place.down == pytest.approx(0)
    assert place.right == pytest.approx(-16 / 256)
    assert Place.of(view(32, 96, 48, 64, size=128)) == place  # shares, whatever the size
    assert Place.of(np.zeros((64, 64, 4), np.uint8)) is None


def test_what_the_network_tells_is_the_place():
    place = Place(1.3, 0.04, -0.02)
    log_zoom, down, right = unit(torch.from_numpy(target(place))).tolist()
    assert (np.exp(log_zoom), down, right) == pytest.approx((1.3, 0.04, -0.02), abs=1e-6)


def test_the_network_looks_at_colours_weighted_by_alpha():
    picture = view(10, 20, 10, 20, size=32)
    hidden = picture.copy()
    hidden[0, 0] = (255, 255, 255, 0)
    assert torch.equal(looked_at(picture[None]), looked_at(hidden[None]))
    assert looked_at(picture[None]).shape == (1, 4, 32, 32)


def test_weights_come_back(network, tmp_path):
    checkpoint.save(tmp_path / "framing", network, SMALL, {})
    again = Framing.load(tmp_path / "framing")
    reference = reference_view(view(40, 200, 60, 120))
    assert again.place(reference) == network.place(reference)


def test_weights_that_tell_nonsense_are_refused_or_held(network):
    reference = reference_view(view(40, 200, 60, 120))
    with torch.no_grad():
        network.tell[-1].bias.fill_(1e6)
        assert network.place(reference) == Place(pytest.approx(np.e), pytest.approx(0.4), pytest.approx(0.4))
        network.tell[-1].bias.fill_(float("nan"))
    with pytest.raises(ViewmaskError, match="damaged"):
        network.place(reference)


@pytest.mark.parametrize("config", [FramingConfig(size=40), FramingConfig(width=12)])
def test_a_network_that_cannot_be_is_refused(config):
    with pytest.raises(ViewmaskError, match="divides"):
        Framing(config)


def test_a_photo_is_placed_and_a_view_is_not(network):
    generator = Generator.load()
    photo = reference_view(view(40, 200, 60, 120))
    placed = Generator(replace(generator.weights, framing=network))
    made = placed.from_reference(photo, steps=2)
    assert np.array_equal(made.images[0], network.view(photo))
    assert not np.array_equal(made.images[0], photo)
    bare = Generator(replace(generator.weights, framing=None)).from_reference(network.view(photo), steps=2)
    assert all(np.array_equal(a, b) for a, b in zip(made.images, bare.images, strict=True))
    assert np.array_equal(placed.from_reference(photo, as_view=True, steps=2).images[0], photo)
