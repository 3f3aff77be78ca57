"""Cameras: golden values for every convention, and round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit

angles = st.tuples(st.floats(-360, 360), st.floats(-80, 80), st.floats(0.5, 4))


def test_position_and_axes_of_the_first_camera():
    camera = Camera.on_sphere(0, 30)
    half = np.sqrt(3) / 2
    np.testing.assert_allclose(camera.position, [1.5 * half, 0, 0.75], atol=1e-12)
    # OpenGL: x is the picture's right (+Y in the world), y its up, z points back to the camera.
    expected = [[0, -0.5, half], [1, 0, 0], [0, half, 0.5]]
    np.testing.assert_allclose(camera.camera_to_world[:3, :3], expected, atol=1e-12)


def test_focal_length_is_that_of_syncdreamer():
    assert Camera.on_sphere(0).fl_x == pytest.approx(280, abs=0.05)


def test_opencv_golden_values():
    k, pose = Camera.on_sphere(90, 0, distance=2).to_opencv()
    np.testing.assert_allclose(k, [[280.028, 0, 128], [0, 280.028, 128], [0, 0, 1]], atol=0.01)
    # From +Y: right is -X, down is -Z, forward is -Y.
    np.testing.assert_allclose(pose, [[-1, 0, 0, 0], [0, 0, -1, 0], [0, -1, 0, 2]], atol=1e-12)


def test_zero123_golden_values():
    reference, other = Camera.on_sphere(10, 30, 1.5), Camera.on_sphere(100, 20, 1.7)
    # Polar angle grows downwards: ten degrees lower is +10 degrees.
    np.testing.assert_allclose(other.to_zero123(reference), [np.radians(10), 1, 0, 0.2], atol=1e-9)


@given(angles)
def test_conversions_come_back(where):
    camera = Camera.on_sphere(*where)
    k, pose = camera.to_opencv()
    np.testing.assert_allclose(Camera.from_opencv(k, pose, 256, 256).camera_to_world, camera.camera_to_world, atol=1e-9)
    reference = Camera.on_sphere(15, 5, 2.0)
    back = Camera.from_zero123(camera.to_zero123(reference), reference)
    np.testing.assert_allclose(back.camera_to_world, camera.camera_to_world, atol=1e-6)


@given(angles)
def test_rays_project_to_their_own_pixels(where):
    camera = Camera.on_sphere(*where, size=8)
    origins, directions = camera.rays()
    pixels, depth = camera.project(origins + 1.3 * directions)
    x, y = np.meshgrid(np.arange(8) + 0.5, np.arange(8) + 0.5)
    np.testing.assert_allclose(pixels, np.stack([x, y], axis=-1), atol=1e-6)
    assert (depth > 0).all()


def test_orbit_is_even_and_counter_clockwise():
    azimuths = [camera.azimuth for camera in orbit(4, start=45)]
    np.testing.assert_allclose(azimuths, [45, 135, 225, 315])
    assert [camera.elevation for camera in orbit(3, elevation=-12)] == pytest.approx([-12] * 3)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"views": 0}, "at least one"),
        ({"elevation": 90}, "elevation"),
        ({"distance": -1}, "distance"),
        ({"distance": float("nan")}, "distance"),
        ({"fov": 180}, "field of view"),
        ({"size": 0}, "size"),
    ],
)
def test_impossible_orbits_are_refused(arguments, word):
    with pytest.raises(ViewmaskError, match=word):
        orbit(**arguments)


def test_impossible_poses_are_refused():
    for pose in (np.full((4, 4), np.nan), np.zeros((4, 4)), np.eye(3)):
        with pytest.raises(ViewmaskError, match="pose"):
            Camera(8, 8, 8, 8, 4, 4, pose)
