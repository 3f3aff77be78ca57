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
        ({"size": 0}, "picture size must be positive"),
    ],
)
def test_impossible_orbits_are_refused(arguments, word):
    with pytest.raises(ViewmaskError, match=word):
        orbit(**arguments)


def test_impossible_poses_are_refused():
    for pose in (np.full((4, 4), np.nan), np.zeros((4, 4)), np.eye(3)):
        with pytest.raises(ViewmaskError, match="pose"):
            Camera(8, 8, 8, 8, 4, 4, pose)


def test_the_project_s_own_orbit():
    cameras = orbit()
    assert len(cameras) == 8
    assert [camera.azimuth for camera in cameras] == pytest.approx([45 * i for i in range(8)])
    assert all(camera.elevation == pytest.approx(30) and camera.distance == pytest.approx(1.5) for camera in cameras)
    assert (cameras[0].width, cameras[0].height, cameras[0].cx, cameras[0].cy) == (256, 256, 128, 128)
    assert cameras[0].field_of_view == pytest.approx(49.13)
    assert len(orbit(1)) == 1


def test_what_is_asked_of_an_orbit_is_what_its_cameras_have():
    camera = orbit(3, elevation=-20, distance=0.5, fov=60, size=12, start=10)[1]
    assert (camera.azimuth, camera.elevation, camera.distance) == pytest.approx((130, -20, 0.5))
    assert camera.field_of_view == pytest.approx(60)
    assert camera.fl_x == camera.fl_y == pytest.approx(6 * np.sqrt(3))
    assert (camera.width, camera.height) == (12, 12)
    assert Camera.on_sphere(0, fov=0.5, size=1).width == 1


# A camera whose every number is another one, with a pose that is more than a rotation.
OBLONG = Camera(6, 4, 10.0, 12.0, 2.5, 1.5, np.array([[2.0, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3]]))


def test_a_pose_of_three_rows_is_completed():
    assert OBLONG.camera_to_world.tolist() == [[2, 0, 0, 1], [0, 1, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]]
    assert OBLONG.camera_to_world.dtype == np.float64
    assert repr(OBLONG) == "Camera(width=6, height=4, fl_x=10.0, fl_y=12.0, cx=2.5, cy=1.5)"
    assert Camera(8, 8, 8, 8, 4, 4, np.eye(4, dtype=int)).camera_to_world.dtype == np.float64


def test_angles_of_odd_places():
    def at(*position):
        pose = np.eye(4)
        pose[:3, 3] = position
        return Camera(8, 8, 8, 8, 4, 4, pose)

    assert at(0, 0, 0).elevation == 0
    assert (at(0, 0, 2).elevation, at(0, 0, -0.1).elevation) == (90, -90)
    assert at(3, 4, 0).distance == 5
    assert (at(0, -1, 0).azimuth, at(-1, 0, 0).azimuth) == (270, 180)
    assert at(1, -1e-14, 0).azimuth == at(1, -1e-12, 0).azimuth == 0  # not 360
    assert at(1, -1e-10, 0).azimuth > 359
    assert at(1, 0, 1).elevation == pytest.approx(45)


def test_rays_of_an_oblong_camera_by_hand():
    origins, directions = OBLONG.rays(2)
    assert origins.shape == directions.shape == (8, 12, 3)
    assert (origins == [1, 2, 3]).all()
    # Row 3, column 5 of the finer grid is the point x = 2.75, y = 1.75 of the picture.
    expected = np.array([2 * (2.75 - 2.5) / 10, -(1.75 - 1.5) / 12, -1])
    np.testing.assert_allclose(directions[3, 5], expected / np.linalg.norm(expected), rtol=1e-12)


def test_projection_of_an_oblong_camera_by_hand():
    pixels, depth = OBLONG.project([[3, 3, 1], [1, 2, 5], [1, 2, 3], [1, 2, 2]])
    # In the camera: (1, 1, -2), and behind it, in its centre, and straight ahead.
    assert depth.tolist() == [2, -2, 0, 1]
    np.testing.assert_allclose(pixels[0], [2.5 + 10 / 2, 1.5 - 12 / 2])
    np.testing.assert_allclose(pixels[2:], [[2.5, 1.5]] * 2)
    beside, _ = OBLONG.project([[1, 3, 3], [3, 2, 3]])
    np.testing.assert_allclose(beside, [[2.5, 1.5 - 12e9], [2.5 + 10e9, 1.5]])  # at right angles: far away


def test_resizing_scales_each_side_s_numbers():
    small = OBLONG.resized(3, 12)
    assert (small.width, small.height) == (3, 12)
    assert (small.fl_x, small.fl_y, small.cx, small.cy) == (5, 36, 1.25, 4.5)
    assert np.array_equal(small.camera_to_world, OBLONG.camera_to_world)


def test_opencv_s_intrinsics_keep_their_places():
    k, pose = OBLONG.to_opencv()
    assert k.tolist() == [[10, 0, 2.5], [0, 12, 1.5], [0, 0, 1]]
    for matrix in (pose, np.vstack([pose, [0, 0, 0, 1]])):
        back = Camera.from_opencv(k.tolist(), matrix.tolist(), 6, 4)
        assert (back.width, back.height) == (6, 4)
        assert (back.fl_x, back.fl_y, back.cx, back.cy) == (10, 12, 2.5, 1.5)
        np.testing.assert_allclose(back.camera_to_world, OBLONG.camera_to_world, atol=1e-12)


def test_zero123_keeps_the_reference_s_intrinsics():
    reference = Camera(6, 4, 10.0, 12.0, 2.5, 1.5, Camera.on_sphere(40, 10, 2).camera_to_world)
    other = Camera.from_zero123([np.radians(-15), np.sin(1.0), np.cos(1.0), -0.5], reference)
    assert (other.width, other.height, other.fl_x, other.fl_y, other.cx, other.cy) == (6, 4, 10, 12, 2.5, 1.5)
    assert (other.azimuth, other.elevation, other.distance) == pytest.approx((40 + np.degrees(1), 25, 1.5))


def test_a_frame_of_transforms_json():
    frame = Camera(6, 4, 10.0, 12.0, 2.5, 1.5, Camera.on_sphere(1 / 3, 10 / 7, 2 / 3).camera_to_world).to_frame()
    matrix = frame.pop("transform_matrix")
    assert frame == {
        "fl_x": 10, "fl_y": 12, "cx": 2.5, "cy": 1.5, "w": 6, "h": 4,
        "elevation": 1.428571, "azimuth": 0.333333, "distance": 0.666667,
    }  # fmt: skip
    assert np.array_equal(matrix, Camera.on_sphere(1 / 3, 10 / 7, 2 / 3).camera_to_world)


@pytest.mark.parametrize(
    "change",
    [
        {"azimuth": float("inf")}, {"elevation": -90}, {"elevation": 91}, {"distance": 0}, {"distance": float("inf")},
        {"fov": 0}, {"fov": 181}, {"size": -1},
    ],
)  # fmt: skip
def test_no_camera_stands_there(change):
    with pytest.raises(ViewmaskError):
        Camera.on_sphere(**({"azimuth": 0} | change))


@pytest.mark.parametrize("numbers", [(0, 8, 8, 8), (8, 0, 8, 8), (8, 8, 0, 8), (8, 8, 8, 0), (8, 8, -1, float("nan"))])
def test_a_camera_has_a_size_and_a_focal_length(numbers):
    with pytest.raises(ViewmaskError, match="positive"):
        Camera(*numbers, 4, 4, np.eye(4))
    assert Camera(1, 1, 0.5, 0.5, 4, 4, np.eye(4)).fl_x == 0.5


def test_any_scale_of_a_pose_is_a_pose_and_a_flat_one_is_none():
    small = np.diag([0.01, 0.01, 0.01, 1])
    assert Camera(8, 8, 8, 8, 4, 4, small).distance == 0
    for pose in (np.diag([1.0, 1, 0, 1]), np.diag([1.0, 1, float("inf"), 1]), np.eye(5)):
        with pytest.raises(ViewmaskError, match="pose"):
            Camera(8, 8, 8, 8, 4, 4, pose)
