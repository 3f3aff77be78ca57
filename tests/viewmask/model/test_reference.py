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


def test_a_white_picture_is_not_called_transparent():
    with pytest.raises(ViewmaskError, match="nothing in it stands out from its plain background"):
        reference_view(np.full((64, 64, 4), 255, dtype=np.uint8))


def test_a_stray_pixel_does_not_move_the_object():
    picture = photo()
    picture[..., 3] = 0
    picture[50:90, 120:180, 3] = 255
    clean = reference_view(picture)
    picture[1, 2, 3] = 255
    assert extent(reference_view(picture)) == extent(clean)


def test_glass_is_an_object():
    picture = photo()
    picture[..., 3] = 0
    picture[50:90, 120:180, 3] = 90
    view = reference_view(picture)
    assert (view[120:136, 120:136, 3] == 255).all()


def test_thin_fragments_are_no_object():
    picture = np.full((200, 200, 4), 255, dtype=np.uint8)
    for row in range(20, 190, 15):
        picture[row : row + 4, 20:180, :3] = 30
    with pytest.raises(ViewmaskError, match="thin fragments, not an object"):
        reference_view(picture)


def test_a_large_photo_is_shrunk_before_it_is_cut():
    large = np.repeat(np.repeat(photo(), 10, axis=0), 10, axis=1)
    top, bottom, left, right = extent(reference_view(large))
    assert right - left == pytest.approx(256 * EXTENT, abs=6)
    assert (bottom - top) / (right - left) == pytest.approx(40 / 60, abs=0.05)
