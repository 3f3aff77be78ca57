from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from render.demo import demo_objects
from render.raycast import render
from viewmask.errors import ViewmaskError
from viewmask.views.background import cut_out, from_white, key_background
from viewmask.views.camera import orbit
from viewmask.views.viewset import composite

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


# -- cutting out ------------------------------------------------------------------------------------------------


def framed(alpha: int, pixels: int) -> np.ndarray:
    """A grey square on white, so many pixels of which have an alpha of their own."""
    picture = np.full((40, 50, 4), 255, np.uint8)
    picture[10:30, 10:40, :3] = 90
    picture[..., 3].flat[:pixels] = alpha
    return picture


def test_a_cut_out_stays_as_it_is_and_a_plain_background_goes():
    own = framed(alpha=249, pixels=11)  # 0.55 % of 2,000 pixels
    assert cut_out(own) is own
    for picture in (framed(249, 10), framed(250, 2000)):
        alpha = cut_out(picture)[..., 3]
        assert alpha[20, 25] == 255
        assert alpha[2, 2] == 0
        np.testing.assert_array_equal(cut_out(picture)[..., :3], picture[..., :3])
    few = framed(249, 1)
    assert cut_out(few, transparent=0) is few


def test_neither_alpha_nor_a_plain_background_is_refused():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 4), dtype=np.uint8)
    noise[..., 3] = 255
    with pytest.raises(ViewmaskError, match="no transparency and no plain background"):
        cut_out(noise)


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
