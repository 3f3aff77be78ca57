"""A person's picture to a reference view."""

import numpy as np
import pytest

from viewmask.errors import ViewmaskError
from viewmask.model.reference import EXTENT, reference_view


def photo(background=(230, 230, 230), shape=(120, 200)):
    picture = np.full((*shape, 4), 255, dtype=np.uint8)
    picture[..., :3] = background
    picture[50:90, 120:180, :3] = (180, 40, 30)
    return picture


def extent(view):
    rows, columns = (np.flatnonzero((view[..., 3] > 127).any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_a_plain_background_is_cut_away_and_the_object_framed():
    view = reference_view(photo())
    top, bottom, left, right = extent(view)
    assert view.shape == (256, 256, 4)
    assert right - left == pytest.approx(256 * EXTENT, abs=6)
    assert (bottom - top) / (right - left) == pytest.approx(40 / 60, abs=0.05)
    assert abs((left + right) - 256) <= 4
    assert abs((top + bottom) - 256) <= 4


def test_transparency_is_believed():
    picture = photo()
    picture[..., 3] = 0
    picture[50:90, 120:180, 3] = 255
    view = reference_view(picture, frame=False)
    _, _, left, right = extent(view)
    assert right - left == pytest.approx(256 * 60 / 200, abs=3)
    assert left == pytest.approx(256 * 120 / 200, abs=3)


def test_no_alpha_and_no_plain_background():
    random = np.random.default_rng(0)
    picture = np.full((64, 64, 4), 255, dtype=np.uint8)
    picture[..., :3] = random.integers(0, 256, (64, 64, 3))
    with pytest.raises(ViewmaskError, match="no plain background"):
        reference_view(picture)


def test_nothing_in_the_picture():
    with pytest.raises(ViewmaskError, match="nothing"):
        reference_view(np.zeros((32, 32, 4), dtype=np.uint8))
