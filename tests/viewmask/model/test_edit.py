"""Which patches an edit makes anew, and how they join the old picture."""

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.model import edit
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


def views_at(cameras):
    return ViewSet([np.zeros((camera.height, camera.width, 4), np.uint8) for camera in cameras], cameras)


@pytest.mark.parametrize("views", [1, 4, 8])
@pytest.mark.parametrize("start", [0.0, 35.0])
def test_an_orbit_of_any_size_and_start_is_known(views, start):
    edit.check_orbit(views_at(orbit(views, size=64, start=start)))


@pytest.mark.parametrize(
    "cameras",
    [
        orbit(4, elevation=20),
        orbit(4, distance=2.0),
        orbit(4, fov=30),
        orbit(8)[:4],
        [Camera(64, 32, 70, 70, 32, 16, camera.camera_to_world) for camera in orbit(4)],
    ],
)
def test_other_cameras_are_refused(cameras):
    with pytest.raises(ViewmaskError, match="not of the model's orbit"):
        edit.check_orbit(views_at(cameras))


def test_a_patch_is_made_anew_if_the_region_touches_one_of_its_pixels():
    region = np.zeros((64, 64), bool)
    region[31, 15:17] = True
    expected = torch.zeros(4, 4, dtype=torch.bool)
    expected[1, :2] = True
    assert torch.equal(edit.patches(region, 4), expected)


def test_old_pixels_stay_outside_and_fade_inside():
    old = np.zeros((64, 64, 4), np.uint8)
    old[...] = 255, 0, 0, 255
    new = np.zeros((64, 64, 4), np.uint8)
    new[...] = 0, 0, 255, 255
    made = np.zeros((4, 4), bool)
    made[:2, :2] = True
    joined = edit.joined(old, new, made)
    np.testing.assert_array_equal(joined[32:], old[32:])
    np.testing.assert_array_equal(joined[:, 32:], old[:, 32:])
    np.testing.assert_array_equal(joined[:28, :28], new[:28, :28])  # no seam at the picture's own border
    blue = joined[0, 24:33, 2].astype(int)
    assert (np.diff(blue) <= 0).all()
    assert 0 < joined[0, 31, 2] < 255


def test_a_whole_view_made_anew_is_the_new_one():
    old, new = np.zeros((8, 8, 4), np.uint8), np.full((8, 8, 4), 7, np.uint8)
    np.testing.assert_array_equal(edit.joined(old, new, np.ones((2, 2), bool)), new)
