"""Lenses: what a pinhole sees, bent and straightened again."""

import numpy as np
import pytest
from scipy import ndimage

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.lens import Distortion, undistorted

PINHOLE = Camera(80, 60, 70, 70, 40, 30, np.eye(4))


def seen(camera, lens=None):
    """A disc and a bar at depth 1, RGBA, through a pinhole or a lens."""
    column, row = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    x, y = (column - camera.cx) / camera.fl_x, (row - camera.cy) / camera.fl_y
    if lens:
        x, y = lens.straight(x, y)
    inside = (np.hypot(x - 0.2, y + 0.1) < 0.15) | ((np.abs(x + 0.3) < 0.05) & (np.abs(y) < 0.25))
    picture = np.zeros((camera.height, camera.width, 4), np.uint8)
    picture[inside] = (200, 90, 40, 255)
    return picture


@pytest.mark.parametrize(
    "lens", [Distortion(k1=-0.4), Distortion(k1=0.2, k2=0.1), Distortion(k1=-0.2, p1=0.02, p2=-0.03, k3=0.05)]
)
def test_a_distorted_picture_becomes_what_a_pinhole_sees(lens):
    large = PINHOLE.resized(320, 240)
    picture, camera = undistorted(seen(large, lens), large, lens)
    assert camera.fl_x == 280
    true = seen(camera)[..., 3] > 127
    found = picture[..., 3] > 127
    assert (true & found).sum() / (true | found).sum() > 0.95
    assert not (found & ~ndimage.binary_dilation(true)).any()
    assert (picture[ndimage.binary_erosion(true, iterations=2)][:, :3] == (200, 90, 40)).all()


def test_straight_undoes_bent():
    lens = Distortion(-0.3, 0.05, 0.01, 0.002, 0.01, -0.02)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 7), np.linspace(-0.4, 0.4, 5))
    np.testing.assert_allclose(lens.straight(*lens.bent(x, y)), (x, y), atol=1e-9)
    assert lens.bent(np.zeros(1), np.array([0.5]))[1][0] == pytest.approx(
        0.5 * (1 - 0.3 * 0.25 + 0.05 * 0.25**2 + 0.01 * 0.25**3 + 0.002 * 0.25**4) + 0.01 * 3 * 0.25
    )


def test_a_barrel_s_corners_are_not_lost():
    lens = Distortion(k1=-0.3)
    picture, camera = undistorted(np.full((60, 80, 4), 255, np.uint8), PINHOLE, lens)
    assert camera.width > 80
    assert camera.height > 60
    assert picture.shape[:2] == (camera.height, camera.width)
    assert (picture[..., 3] == 255).all()  # what was opaque stays so: it is no cut-out


def test_a_lens_that_does_next_to_nothing_costs_nothing():
    picture = seen(PINHOLE)
    assert undistorted(picture, PINHOLE, Distortion(k1=1e-4))[0] is picture
    assert not Distortion()


def test_a_lens_that_folds_is_refused():
    with pytest.raises(ViewmaskError, match="folds the picture"):
        undistorted(seen(PINHOLE), PINHOLE, Distortion(k1=-30.0))
    assert Distortion(k1=-1 / 3).reach() == pytest.approx(1)
    assert Distortion(k1=0.1).reach() == float("inf")
