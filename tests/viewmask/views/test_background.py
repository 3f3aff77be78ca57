from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from render.demo import demo_objects
from render.raycast import render
from viewmask.errors import ViewmaskError
from viewmask.views.background import (
    cut_notes,
    cut_out,
    from_white,
    is_cut_out,
    is_fragments,
    key_background,
    solidified,
    without_specks,
)
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


def framed(alpha: int = 255, pixels: int = 0) -> np.ndarray:
    """A grey square on white, so many pixels of which have an alpha of their own."""
    picture = np.full((40, 50, 4), 255, np.uint8)
    picture[10:30, 10:40, :3] = 90
    picture[..., 3].flat[:pixels] = alpha
    return picture


def chair_like() -> np.ndarray:
    """A cut-out of one piece."""
    picture = np.zeros((80, 80, 4), np.uint8)
    picture[20:60, 25:50] = (200, 60, 50, 255)
    return picture


def test_alpha_that_leaves_out_a_good_part_is_believed():
    own = chair_like()
    assert is_cut_out(own)
    assert cut_out(own) is own
    own[..., 3] //= 3  # glass all over
    assert cut_out(own) is own
    assert is_cut_out(np.zeros((8, 8, 4), np.uint8))


@pytest.mark.parametrize(
    "picture",
    [framed(), framed(249, 2000), framed(0, 1), framed(100, 2000), framed(3, 150)],
    ids=["opaque", "249 everywhere", "one transparent pixel", "100 everywhere", "three transparent rows"],
)
def test_alpha_that_tells_nothing_gives_way_to_the_plain_background(picture):
    assert not is_cut_out(picture)
    cut = cut_out(picture)
    assert (cut[12:28, 12:38, 3] == 255).all()
    assert (cut[:8, :, 3] == 0).all()
    assert (cut[:, :8, 3] == 0).all()
    np.testing.assert_array_equal(cut[..., :3], picture[..., :3])


def test_a_transparent_rim_or_bars_around_a_photo_are_no_cut_out():
    rim, bars = np.pad(framed(), ((1, 1), (1, 1), (0, 0))), np.pad(framed(), ((10, 10), (0, 0), (0, 0)))
    frame = np.pad(framed(), ((4, 4), (4, 4), (0, 0)))
    for picture, top, left in ((rim, 1, 1), (bars, 10, 0), (frame, 4, 4)):
        assert not is_cut_out(picture)
        alpha = cut_out(picture)[..., 3]
        assert (alpha[top + 12 : top + 28, left + 12 : left + 38] == 255).all()
        assert not alpha[: top + 8].any()
        assert not alpha[:, : left + 8].any()
    box = np.pad(framed(), ((12, 12), (12, 12), (0, 0)))  # may be a box, seen from its front
    assert cut_out(box) is box


def test_what_fills_its_picture_keeps_its_own_alpha():
    full = np.zeros((60, 60, 4), np.uint8)
    full[1:-1, 1:-1] = (90, 120, 60, 255)  # of one colour: nothing but background
    assert cut_out(full) is full
    full[1:-1, 1:-1, :3] = np.random.default_rng(0).integers(0, 255, (58, 58, 3))
    assert cut_out(full) is full


def test_soft_white_parts_before_a_grey_wall_stay():
    """A white neck joins an orange head and body; it is as bright as a highlight of the wall."""
    picture = np.full((120, 120, 3), 200, np.uint8)
    picture[50:70, 45:75] = np.linspace(216, 205, 20)[:, None, None]
    picture[20:50, 35:85] = picture[70:105, 42:78] = (220, 120, 40)
    alpha = key_background(picture)
    assert alpha is not None
    assert (alpha[52:68, 50:70] > 127).all()
    assert not alpha[55, [10, 30, 90, 110]].any()
    notes = cut_notes(np.dstack([picture, np.full((120, 120), 255, np.uint8)]))
    assert notes == []


def test_a_cut_that_falls_into_pieces_says_so():
    picture = framed()
    picture[18:22, 10:40, :3] = 255
    assert "falls into pieces" in cut_notes(picture)[0]
    own = chair_like()
    own[40:44] = 0
    assert cut_notes(own) == []  # somebody cut it so


def test_a_mask_the_wrong_way_round_is_told():
    own = chair_like()
    own[..., 3] = 255 - own[..., 3]
    (line,) = cut_notes(own)
    assert line.startswith("what is kept touches most of the picture's border: is the mask the wrong way round")


def test_a_hollow_cut_is_told():
    picture = np.full((100, 100, 4), 255, np.uint8)
    picture[20:80, 20:80, :3] = 40
    assert cut_notes(picture) == []
    picture[24:76, 24:76, :3] = 255
    picture[50:54, :50, :3] = 255  # the background flows in
    assert "hollow" in cut_notes(picture)[0]


def test_glass_is_seen_and_made_solid():
    glass = chair_like()
    glass[..., 3] = np.where(glass[..., 3] > 0, 100, 0)
    assert cut_notes(glass) == ["the object is half transparent: it is taken for solid"]
    assert (solidified(glass)[22:58, 27:48, 3] == 255).all()
    glass[40:60, 25:50, 3] = 255  # a wooden foot
    assert (solidified(glass)[22:58, 27:48, 3] == 255).all()
    own = chair_like()
    assert solidified(own) is own


def test_a_shadow_in_a_cut_out_is_no_glass():
    own = chair_like()
    own[60:70, 20:60] = (0, 0, 0, 60)
    assert not (solidified(own)[62:68, 22:58, 3] > 127).any()
    assert cut_notes(own) == []


def test_specks_go_and_parts_stay():
    own = chair_like()
    assert without_specks(own) is own
    clean = own.copy()
    clean[62, 25:50] = (0, 0, 0, 40)  # a shadow of its own
    clean[60:62, 25:50] = (0, 0, 0, 60)
    own = clean.copy()
    own[2, 77] = own[70, 5] = (255, 255, 255, 255)
    np.testing.assert_array_equal(without_specks(own)[..., 3], clean[..., 3])
    own[70:73, 60:63] = 255  # a part of its own
    assert (without_specks(own)[70:73, 60:63, 3] == 255).all()


def test_scribbles_are_fragments_and_a_chair_is_none():
    scribbles = Image.new("RGBA", (200, 200))
    pen = ImageDraw.Draw(scribbles)
    for index in range(12):
        pen.line([20, 12 + 15 * index, 180, 20 + 14 * index], fill=(20, 20, 60, 255), width=2)
    assert is_fragments(np.asarray(scribbles))
    crossed = Image.new("RGBA", (300, 300))
    random = np.random.default_rng(1)
    for _ in range(14):
        line = [int(number) for number in random.integers(20, 280, 4)]
        ImageDraw.Draw(crossed).line(line, fill=(0, 0, 0, 255), width=3)
    assert is_fragments(np.asarray(crossed))
    line = Image.new("RGBA", (200, 200))
    ImageDraw.Draw(line).arc([20, 20, 180, 180], 0, 300, fill=(0, 0, 0, 255), width=2)
    assert is_fragments(np.asarray(line))
    for picture in (chair_like(), np.zeros((9, 9, 4), np.uint8), cut_out(framed())):
        assert not is_fragments(picture)


def test_objects_with_thin_parts_are_no_fragments():
    for thing in demo_objects().values():
        for image in render(thing.surface(), orbit(2, size=96)):
            assert not is_fragments(image)
            assert without_specks(image)[..., 3].any()


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
