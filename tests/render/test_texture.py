"""Textures: 8 bits in memory, linear light where they are seen, each going on beyond its borders in its own way."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from render.texture import Texture, to_linear

ROW = np.array([[[0, 0, 0], [255, 0, 0], [255, 255, 255], [0, 0, 255]]], np.uint8)  # four texels
MIDDLES = np.array([0.125, 0.375, 0.625, 0.875], np.float32)


def along(texture, places):
    return texture.colour(np.stack([places, np.full_like(places, 0.5)], axis=1))


def test_colours_are_met_at_the_middles_of_texels_whatever_the_wrap():
    for wrap in ("repeat", "clamp", "mirror"):
        assert along(Texture.of(ROW, (wrap, wrap)), MIDDLES) == pytest.approx(to_linear(ROW[0]), abs=1e-6)


def test_between_texels_linear_light_is_interpolated():
    grey = np.array([[[0, 0, 0], [188, 188, 188]]], np.uint8)
    assert along(Texture.of(grey), np.float32([0.5]))[0, 0] == pytest.approx(to_linear(188) / 2, abs=1e-6)


@pytest.mark.parametrize(
    ("wrap", "order"),
    [("repeat", [0, 1, 2, 3]), ("mirror", [3, 2, 1, 0]), ("clamp", [3, 3, 3, 3])],
)
def test_beyond_the_border(wrap, order):
    texture = Texture.of(ROW, (wrap, "repeat"))
    assert along(texture, 1 + MIDDLES) == pytest.approx(to_linear(ROW[0, order]), abs=1e-6)
    upright = Texture.of(ROW.transpose(1, 0, 2), ("repeat", wrap))
    up = np.stack([np.full(4, 0.5, np.float32), -MIDDLES], axis=1)  # below the picture, downwards
    assert upright.colour(up) == pytest.approx(to_linear(ROW[0, order]), abs=1e-6)


def test_only_repeating_mixes_the_last_texel_with_the_first():
    border = np.float32([0.0, 1.0])
    assert along(Texture.of(ROW), border)[:, 2] == pytest.approx([0.5, 0.5])
    for wrap in ("clamp", "mirror"):
        assert along(Texture.of(ROW, (wrap, wrap)), border)[:, 2] == pytest.approx([0, 1])


def test_the_nearest_texel_alone_where_the_texture_is_not_smooth():
    texture = Texture.of(ROW, smooth=False)
    places = np.float32([0.0, 0.249, 0.251, 0.999, 1.0, -0.001])
    assert along(texture, places) == pytest.approx(to_linear(ROW[0, [0, 0, 1, 3, 0, 3]]))


def test_alpha_is_a_share_and_a_picture_without_it_is_solid():
    picture = np.full((2, 2, 4), (9, 9, 9, 51), np.uint8)
    uv = np.float32([[0.3, 0.8]])
    assert Texture.of(picture).alpha(uv) == pytest.approx([0.2])
    assert Texture.of(picture[..., :3]).alpha(uv) == [1]


@given(st.integers(0, 2**31), st.sampled_from(["repeat", "clamp", "mirror"]), st.booleans())
def test_boxes_of_which_all_or_nothing_is_solid_are_told_rightly(seed, wrap, smooth):
    random = np.random.default_rng(seed)
    pixels = np.full((5, 7, 4), 255, np.uint8)
    pixels[..., 3] = np.where(random.random((5, 7)) < random.random(), 255, 0)
    texture = Texture.of(pixels, (wrap, wrap), smooth)
    low = random.uniform(-1.5, 2, (8, 2)).astype(np.float32)
    high = (low + random.uniform(0, 1, (8, 2))).astype(np.float32)
    some, every = texture.some_alpha(128, low, high)
    places = (low[:, None] + random.random((8, 60, 2), np.float32) * (high - low)[:, None]).astype(np.float32)
    alpha = texture.alpha(places.reshape(-1, 2)).reshape(8, 60)
    # Half a texel at a border that repeats may mix with the other side's: too little to matter.
    inner = np.ones_like(alpha, bool)
    if wrap == "repeat":
        share = places - np.floor(places)
        inner = ((share > np.float32([0.5 / 7, 0.5 / 5])) & (share < 1 - np.float32([0.5 / 7, 0.5 / 5]))).all(-1)
    assert not (alpha[~some] > 1e-6)[inner[~some]].any()
    assert not (alpha[every] < 1 - 1e-6)[inner[every]].any()


def test_a_box_within_solid_or_clear_texels_is_told_so():
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[:, :4, 3] = 0  # the left half is clear
    boxes = (
        np.float32([[0.1, 0.1], [0.6, 0.1], [0.4, 0.4], [0.1, 0.1]]),
        np.float32([[0.3, 0.9], [0.9, 0.9], [0.6, 0.6], [1.3, 0.9]]),
    )
    some, every = Texture.of(pixels).some_alpha(255, *boxes)
    assert some.tolist() == [False, True, True, True]
    assert every.tolist() == [False, True, False, False]
