"""The given picture is shown again where a view looks like it, and only there."""

import numpy as np
import pytest

from viewmask.model.symmetry import ALIKE, difference, reused


@pytest.fixture
def given():
    """A blob with a fine pattern, more of it on the left."""
    random = np.random.default_rng(0)
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[10:50, 8:40] = 255
    picture[..., :3] = random.integers(0, 80, (64, 64, 3))
    picture[10:50, 8:16, 0] = 250
    return picture


def blur(pictures):
    """Like a small tokenizer: blocks of eight pixels have one colour."""
    small = [picture.reshape(8, 8, 8, 8, 4).mean((1, 3)) for picture in pictures]
    return [np.kron(one, np.ones((8, 8, 1))).astype(np.uint8) for one in small]


def noisy(picture, amount, seed=1):
    noise = np.random.default_rng(seed).normal(0, amount, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def test_a_view_like_the_picture_or_its_mirror_image_is_that(given):
    mirrored = given[:, ::-1]
    same, turned = blur([given, mirrored])
    result = reused([noisy(same, 5), noisy(turned, 5)], given, blur)
    assert np.array_equal(result[0], given)
    assert np.array_equal(result[1], mirrored)


def test_any_other_view_stays_as_it_is(given):
    other = np.roll(given, 9, axis=1)
    recoloured = given[..., [1, 0, 2, 3]]
    made = [*blur([other, recoloured]), np.zeros_like(given)]
    result = reused(made, given, blur)
    assert all(np.array_equal(a, b) for a, b in zip(result, made, strict=True))


def test_how_far_apart_counts_what_either_shows_and_no_colour_of_what_is_clear():
    nothing = np.zeros((16, 16, 4), np.uint8)
    a, b = nothing.copy(), nothing.copy()
    a[:4] = (100, 100, 100, 255)
    b[:4] = (100, 151, 100, 255)
    assert difference(a, b) == pytest.approx((51 / 255) / 2)
    painted = b.copy()
    painted[8:, :, :3] = 200  # under an alpha of nought
    assert difference(a, painted) == difference(a, b)
    assert difference(a, a) == 0
    assert difference(nothing, nothing) == float("inf")
    assert difference(a, nothing) > ALIKE


def test_nothing_given_is_nowhere_again():
    nothing = np.zeros((64, 64, 4), np.uint8)
    view = nothing.copy()
    view[20:40, 20:40] = 255
    assert np.array_equal(reused([view, nothing], nothing, blur)[0], view)


def test_alike_is_nearer_than_the_threshold_and_faint_pixels_show_nothing(given):
    # The whole picture off by one amount: the difference is that amount.
    near, far = (np.full((8, 8, 4), 255, np.uint8) for _ in range(2))
    near[..., :3] = 255 - round(255 * (ALIKE - 0.01) / np.sqrt(0.75))
    far[..., :3] = 255 - round(255 * (ALIKE + 0.01) / np.sqrt(0.75))
    white = np.full((8, 8, 4), 255, np.uint8)
    result = reused([near, far], white, list)
    assert np.array_equal(result[0], white)
    assert np.array_equal(result[1], far)
    faint, fainter = np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8)
    faint[..., 3], fainter[..., 3] = 27, 25  # alphas just above and below a tenth
    assert difference(faint, np.zeros_like(faint)) == pytest.approx(27 / 255 / 2)
    assert difference(fainter, np.zeros_like(faint)) == float("inf")
