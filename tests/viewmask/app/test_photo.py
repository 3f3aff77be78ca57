"""Photos that people send: cut out, painted over, named."""

from io import BytesIO

import numpy as np
import pytest

from tests.viewmask.app.conftest import box, png
from viewmask.app.photo import MENDED, Photo, sheet
from viewmask.errors import ViewmaskError


def test_a_photo_is_cut_out_and_the_command_takes_it_as_it_is():
    photo = Photo.read(BytesIO(png(box())), r"C:\me\My photo.png")
    assert photo.shown is not None
    assert photo.shown.how == "its plain background"
    assert photo.source == ("My photo.png", "auto")
    assert Photo.read(BytesIO(png(box())), "../../etc/\npasswd").name == "passwd"
    assert Photo.read(BytesIO(png(box())), "").name == "photo.png"


def test_what_cannot_be_cut_out_can_still_be_painted():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    photo = Photo.read(BytesIO(png(noise)), "busy.png").cut("plain")
    assert photo.shown is None
    assert photo.trouble.startswith("the picture has no plain background")
    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 20:40] = 255
    mended = photo.mended(BytesIO(png(mask)))
    assert mended.trouble == ""
    assert mended.shown is not None
    assert mended.shown.how == MENDED
    assert np.array_equal(mended.shown.picture[..., 3], mask)
    assert np.array_equal(mended.shown.picture[..., :3], noise)
    assert mended.source == ("cutout.png", "alpha")
    assert mended.version > photo.version


def test_masks_that_are_none_are_refused():
    photo = Photo.read(BytesIO(png(box())), "box.png")
    with pytest.raises(ViewmaskError, match="another size"):
        photo.mended(BytesIO(png(np.full((3, 3), 255, np.uint8))))
    with pytest.raises(ViewmaskError, match="nothing is left"):
        photo.mended(BytesIO(png(np.zeros((60, 80), np.uint8))))
    with pytest.raises(ViewmaskError, match="all of the picture is kept"):
        photo.mended(BytesIO(png(np.full((60, 80), 255, np.uint8))))
    with pytest.raises(ViewmaskError, match="cannot read the mask"):
        photo.mended(BytesIO(b"no picture"))


def test_no_file_of_the_machine_is_taken_for_a_mask(tmp_path):
    (tmp_path / "mask.png").write_bytes(png(np.full((60, 80), 255, np.uint8)))
    with pytest.raises(ViewmaskError, match="no such way"):
        Photo.read(BytesIO(png(box())), "box.png").cut(str(tmp_path / "mask.png"))


def test_a_sheet_has_a_row_for_each_draw():
    views = [np.full((8, 8, 4), (value, 0, 0, 255), np.uint8) for value in (0, 100, 200)]
    image = np.asarray(sheet([views, views[::-1]], 4))
    assert image.shape == (8, 12, 4)
    assert image[0, ::4, 0].tolist() == [0, 100, 200]
    assert image[7, ::4, 0].tolist() == [200, 100, 0]
