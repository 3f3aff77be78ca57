"""Colour transfer: broad colours come from the other picture, outline and edges stay."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from viewmask.errors import ViewmaskError
from viewmask.model.colour_transfer import BROAD, with_colours_of


def plain(colour, size=128, half=40):
    """A square of one colour in the middle of nothing."""
    picture = np.zeros((size, size, 4), np.uint8)
    middle = slice(size // 2 - half, size // 2 + half)
    picture[middle, middle] = (*colour, 255)
    return picture


def test_a_plain_picture_takes_the_colour_and_keeps_its_outline():
    brown, purple = plain((120, 75, 40), half=30), plain((130, 60, 165), half=50)
    made = with_colours_of(brown, purple)
    np.testing.assert_array_equal(made[..., 3], brown[..., 3])
    shown = made[made[..., 3] > 0][:, :3].astype(int)
    assert np.abs(shown - (130, 60, 165)).max() <= 1


def test_narrow_stripes_stay_and_broad_ones_come():
    rows = np.arange(128)
    stripes = {period: 40 * np.sign(np.sin(2 * np.pi * (rows + 0.5) / period)) for period in (4, 64)}
    fine, broad = plain((128, 128, 128), half=64), plain((128, 128, 128), half=64)
    fine[..., 0] = (128 + stripes[4])[:, None]
    broad[..., 1] = (128 + stripes[64])[:, None]
    made = with_colours_of(fine, broad).astype(float)
    assert abs(np.ptp(made[20:-20, 64, 0]) - 80) < 8
    assert np.corrcoef(made[20:-20, 64, 1], stripes[64][20:-20])[0, 1] > 0.7
    assert np.ptp(made[20:-20, 64, 1]) > 50


def test_what_the_other_does_not_show_keeps_its_colour():
    picture, other = plain((120, 75, 40), half=60), plain((130, 60, 165), half=10)
    made = with_colours_of(picture, other)
    far = int(64 - 10 - 5 * BROAD)
    np.testing.assert_array_equal(made[far, 64], picture[far, 64])
    assert (made[64, 64, :3] != picture[64, 64, :3]).all()


@given(arrays.arrays(np.uint8, (12, 12, 4)))
def test_a_picture_with_its_own_colours_stays(picture):
    np.testing.assert_array_equal(with_colours_of(picture, picture), picture)


@given(arrays.arrays(np.uint8, (9, 7, 4)), arrays.arrays(np.uint8, (9, 7, 4)), st.booleans())
def test_any_two_pictures_give_a_picture(first, second, empty):
    made = with_colours_of(first, second * (not empty))
    assert made.shape == first.shape
    np.testing.assert_array_equal(made[..., 3], first[..., 3])
    if empty:
        np.testing.assert_array_equal(made, first)


def test_pictures_of_two_sizes_are_refused():
    with pytest.raises(ViewmaskError, match="of one size"):
        with_colours_of(plain((1, 2, 3)), plain((1, 2, 3), size=64, half=10))
