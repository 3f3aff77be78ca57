from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from viewmask.views.background import key_background

SIZE = 160


def photo(background=(235, 235, 230), hole=None, shadow=0.0, gradient=0.0):
    """A red disc with a band across it, and its true mask."""
    scale = 4
    mask = Image.new("L", (SIZE * scale, SIZE * scale))
    ImageDraw.Draw(mask).ellipse([40 * scale, 30 * scale, 120 * scale, 120 * scale], fill=255)
    mask = mask.resize((SIZE, SIZE), Image.Resampling.BOX)
    ground = np.broadcast_to(np.array(background, np.float32), (SIZE, SIZE, 3)).copy()
    ground *= 1 - gradient * np.linspace(0, 1, SIZE)[:, None, None]
    if shadow:
        blot = Image.new("L", (SIZE, SIZE))
        ImageDraw.Draw(blot).ellipse([45, 105, 125, 135], fill=255)
        dark = np.asarray(blot.filter(ImageFilter.GaussianBlur(9)), np.float32)[..., None] / 255
        ground *= 1 - shadow * dark
    colour = np.full((SIZE, SIZE, 3), (190, 40, 30), np.float32)
    if hole is not None:
        colour[60:80, 60:100] = hole
    alpha = np.asarray(mask, np.float32)[..., None] / 255
    picture = np.round(colour * alpha + ground * (1 - alpha)).astype(np.uint8)
    return picture, np.asarray(mask) > 127


def iou(alpha, mask):
    found = alpha > 127
    return (found & mask).sum() / (found | mask).sum()


def as_jpeg(picture, quality=60):
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, "JPEG", quality=quality)
    return np.asarray(Image.open(encoded).convert("RGB"))


@pytest.mark.parametrize("background", [(255, 255, 255), (0, 0, 0), (90, 160, 90), (235, 235, 230)])
def test_plain_background(background):
    picture, mask = photo(background)
    alpha = key_background(picture)
    assert alpha is not None
    assert iou(alpha, mask) > 0.98
    assert alpha[0, 0] == 0


def test_edges_are_soft():
    """Alpha in an edge pixel is the object's share of it."""
    picture, _ = photo((255, 255, 255))
    alpha = key_background(picture)
    assert alpha is not None
    edge = (alpha > 0) & (alpha < 255)
    assert edge.sum() > 50
    back = alpha[..., None] / 255 * np.array([190, 40, 30]) + (1 - alpha[..., None] / 255) * 255
    assert np.abs(back - picture)[edge].mean() < 4


def test_parts_in_the_backgrounds_colour_stay():
    picture, mask = photo((255, 255, 255), hole=(255, 255, 255))
    alpha = key_background(picture)
    assert alpha is not None
    assert iou(alpha, mask) > 0.98
    assert (alpha[62:78, 62:98] == 255).all()


def test_compression_noise_and_gradient():
    picture, mask = photo(gradient=0.15)
    alpha = key_background(as_jpeg(picture))
    assert alpha is not None
    assert iou(alpha, mask) > 0.95


def test_soft_shadow_is_background():
    picture, mask = photo(shadow=0.2)
    alpha = key_background(as_jpeg(picture, 90))
    assert alpha is not None
    assert iou(alpha, mask) > 0.95


def test_sensor_noise():
    picture, mask = photo()
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 5, picture.shape), 0, 255).astype(np.uint8)
    alpha = key_background(noisy)
    assert alpha is not None
    assert iou(alpha, mask) > 0.95


def test_scene_is_refused():
    rng = np.random.default_rng(0)
    assert key_background(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) is None
    halves = np.zeros((64, 64, 3), np.uint8)
    halves[:32] = 255
    assert key_background(halves) is None
    assert key_background(np.zeros((4, 4, 3), np.uint8)) is None


def test_nothing_but_background_gives_nothing():
    alpha = key_background(np.full((64, 64, 4), 255, np.uint8))
    assert alpha is not None
    assert not alpha.any()
