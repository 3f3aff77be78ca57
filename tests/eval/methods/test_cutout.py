"""Cutting before white: the picture stays what it was, and its silhouette is the object's."""

import numpy as np
import pytest

from eval.methods.cutout import from_white
from render.demo import demo_objects
from render.raycast import render
from viewmask.views.camera import orbit
from viewmask.views.viewset import composite


@pytest.fixture(scope="module")
def car() -> np.ndarray:
    return render(demo_objects()["car"].surface(), orbit(4, size=128))[1]


def test_composited_again_it_is_the_same_picture(car: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    rgb = np.round(composite(car) * 255).astype(np.int16)
    rgb = np.clip(rgb + rng.integers(-6, 7, rgb.shape), 0, 255).astype(np.uint8)  # what a diffusion model leaves
    cut = from_white(rgb)
    assert np.abs(composite(cut) * 255 - rgb).max() <= 1
    agree = (cut[..., 3] > 127) == (car[..., 3] > 127)
    assert agree.mean() > 0.99
    assert (cut[..., 3] > 127).any()


def test_without_a_plain_background_it_stays_opaque() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    cut = from_white(noise)
    assert (cut[..., 3] == 255).all()
    assert np.array_equal(cut[..., :3], noise)


def test_white_is_nothing() -> None:
    cut = from_white(np.full((64, 64, 3), 255, np.uint8))
    assert not cut.any()
