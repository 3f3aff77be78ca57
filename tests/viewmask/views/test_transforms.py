"""Cameras in every spelling that people have, or refused with the real reason."""

import json

import numpy as np
import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.transforms import camera_of, find
from viewmask.views.viewset import ViewSet

POSE = Camera.on_sphere(10).camera_to_world.tolist()


def camera(frame=None, **shared):
    """The camera of a picture of 16 x 8."""
    return camera_of({"transform_matrix": POSE} | (frame or {}), shared, 16, 8)[0]


def test_a_focal_length_may_stand_in_any_way():
    assert camera(fl_x=5).fl_x == camera(fl_x=5).fl_y == 5
    assert camera(fl_y=6).fl_x == 6
    assert camera(fx=5, fy=6).fl_y == 6
    assert camera(camera_angle_x=1.0).fl_y == pytest.approx(8 / np.tan(0.5))
    assert camera(camera_angle_y=0.5).fl_x == pytest.approx(4 / np.tan(0.25))
    assert camera(x_fov=50.0).fl_x == pytest.approx(8 / np.tan(np.radians(25)))
    assert camera(fov_y=50.0).fl_x == pytest.approx(4 / np.tan(np.radians(25)))
    both = camera(camera_angle_x=1.0, camera_angle_y=0.5)
    assert (both.fl_x, both.fl_y) == pytest.approx((8 / np.tan(0.5), 4 / np.tan(0.25)))
    for matrix in ([[7, 0, 3], [0, 9, 2], [0, 0, 1]], [7, 0, 3, 0, 9, 2, 0, 0, 1]):
        given = camera(K=matrix)
        assert (given.fl_x, given.fl_y, given.cx, given.cy) == (7, 9, 3, 2)
    assert (camera(fl_x=5).cx, camera(fl_x=5).cy) == (8, 4)


def test_what_a_frame_says_comes_first():
    own = camera({"fl_x": 5, "cy": 3}, cx=7, camera_angle_x=1.0, camera_angle_y=2.0)
    assert (own.fl_x, own.fl_y, own.cx, own.cy) == (5, 5, 7, 3)
    assert camera({"camera_angle_x": 1.0}, fl_x=99).fl_x == pytest.approx(8 / np.tan(0.5))
    assert camera({"K": [[7, 0, 3], [0, 9, 2], [0, 0, 1]]}, fl_x=99).cx == 3


def test_pixels_follow_the_size_of_the_picture_and_angles_do_not():
    scaled = camera(fl_y=6, fl_x=9, camera_angle_y=0.5, w=32, h=16)
    assert (scaled.width, scaled.fl_x, scaled.fl_y, scaled.cx, scaled.cy) == (16, 4.5, 3, 8, 4)
    assert camera(camera_angle_x=1.0, w=32, h=16).fl_x == pytest.approx(8 / np.tan(0.5))


@pytest.mark.parametrize(
    ("shared", "says"),
    [
        ({}, "it states no focal length: add fl_x"),
        ({"fl_x": None}, "it states no focal length"),
        ({"fl_x": float("inf")}, "fl_x is no finite number: inf"),
        ({"fl_x": 10**400}, "fl_x is no finite number: 1000"),
        ({"fl_x": "long"}, "fl_x is no finite number: long"),
        ({"fl_x": True}, "fl_x is no finite number: True"),
        ({"fl_x": -5}, "fl_x must be more than 0 pixels, not -5"),
        ({"fl_x": 5, "cx": float("nan")}, "cx is no finite number: nan"),
        ({"fl_x": 5, "w": float("inf")}, "w is no finite number: inf"),
        ({"fl_x": 5, "w": 0, "h": 8}, "the picture's w must be 1 pixel or more, not 0"),
        ({"fl_x": 5, "h": -8}, "the picture's h must be 1 pixel or more, not -8"),
        ({"fl_x": 5, "k1": float("nan")}, "k1 is no finite number: nan"),
        ({"camera_angle_x": 49.13}, "camera_angle_x must be an angle in radians, below 3.14, not 49.13"),
        ({"x_fov": 200}, "x_fov must be an angle in degrees, below 180, not 200"),
        ({"K": [[1, 0], [0, 1]]}, "K is no 3 x 3 matrix"),
        ({"K": "5"}, "K is no 3 x 3 matrix"),
        ({"K": [["a"]]}, "K is no matrix of numbers"),
        ({"fl_x": 5, "is_fisheye": True}, "a camera with is_fisheye is no pinhole: undistort"),
        ({"fl_x": 5, "camera_model": "SIMPLE_RADIAL_FISHEYE"}, "is no pinhole"),
        ({"fl_x": 5, "k5": 0.1}, "a camera with k5 is no pinhole"),
    ],
)
def test_numbers_that_cannot_be_are_named(shared, says):
    with pytest.raises(ViewmaskError, match=says):
        camera(**shared)


def test_a_pose_may_be_scaled_and_must_be_a_rotation():
    scaled = np.array(POSE)
    scaled[:3, :3] *= 1e-5
    np.testing.assert_allclose(camera({"transform_matrix": scaled.tolist()}, fl_x=5).camera_to_world, POSE, atol=1e-9)
    sheared = np.array(POSE)
    sheared[:3, 0] += 0.2 * sheared[:3, 1]
    stretched = np.array(POSE)
    stretched[:3, 0] *= 2
    for pose in (sheared, stretched):
        with pytest.raises(ViewmaskError, match="holds no rotation"):
            camera({"transform_matrix": pose.tolist()}, fl_x=5)
    with pytest.raises(ViewmaskError, match="it has no transform_matrix"):
        camera_of({}, {"fl_x": 5}, 16, 8)
    with pytest.raises(ViewmaskError, match="4 x 4 matrix of finite numbers"):
        camera({"transform_matrix": "none"}, fl_x=5)


# -- folders --------------------------------------------------------------------------------------------------------


def folder(path, names=("a.png", "b.png"), file=TRANSFORMS, encoding="utf-8", **shared):
    path.mkdir(parents=True, exist_ok=True)
    frames = [{"file_path": name, "transform_matrix": POSE} for name in names]
    record = {"fl_x": 9, "caption": "Stühle", "frames": frames} | shared
    (path / file).write_bytes(json.dumps(record, ensure_ascii=False).encode(encoding))
    for name in names[:1]:
        (path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (16, 8), 70).save(path / name)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_byte_order_marks_are_read(tmp_path, encoding):
    assert ViewSet.load(folder(tmp_path, ["a.png"], encoding=encoding)).caption == "Stühle"


def test_absent_pictures_are_left_out_if_asked_for(tmp_path):
    folder(tmp_path)
    with pytest.raises(ViewmaskError, match="frame 1: no picture at"):
        ViewSet.load(tmp_path)
    views = ViewSet.load(tmp_path, partial=True)
    assert len(views) == 1
    (line,) = views.notes
    assert line.startswith("1 of 2 views left out: no picture at")
    (tmp_path / "a.png").unlink()
    with pytest.raises(ViewmaskError, match="none of its 2 pictures is there: no picture at"):
        ViewSet.load(tmp_path, partial=True)


def test_the_layout_of_nerf_synthetic_is_read(tmp_path):
    folder(tmp_path, ["train/r_0.png"], "transforms_train.json")
    folder(tmp_path, ["test/r_0.png"], "transforms_test.json")
    views = ViewSet.load(tmp_path)
    assert len(views) == 1
    assert views.notes == ("taking the views of transforms_train.json; transforms_test.json left out",)
    assert ViewSet.load(tmp_path / "transforms_test.json").notes == ()
    folder(tmp_path, ["a.png"])
    assert find(tmp_path) == (tmp_path / TRANSFORMS, [])


def test_what_is_no_folder_of_views_says_what_to_do(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(ViewmaskError, match=r"note.txt is a file: name a folder of posed views"):
        ViewSet.load(tmp_path / "note.txt")
    with pytest.raises(ViewmaskError, match="and so is the folder"):
        ViewSet.load(tmp_path / "gone")
    folder(tmp_path / "chair", ["a.png"])
    with pytest.raises(ViewmaskError, match=r"is missing; there is one in .*chair"):
        ViewSet.load(tmp_path)
    (tmp_path / TRANSFORMS).write_text("[" * 100_000)
    with pytest.raises(ViewmaskError, match="cannot read"):
        ViewSet.load(tmp_path)


def test_large_views_are_shrunk_and_their_cameras_follow(tmp_path):
    views = ViewSet.load(folder(tmp_path, ["a.png"], cx=6, w=16, h=8), largest=4)
    (made,) = views.cameras
    assert views.images[0].shape == (2, 4, 4)
    assert (made.width, made.height, made.fl_x, made.cx, made.cy) == (4, 2, 9 / 4, 1.5, 1)
    unstated = ViewSet.load(folder(tmp_path, ["a.png"]), largest=4).cameras[0]
    assert (unstated.fl_x, unstated.cx) == (9 / 4, 2)  # pixels of the file, not of what is left of it
    whole = ViewSet.load(tmp_path)
    assert whole.shrunk(16) is whole
    assert whole.shrunk(4).cameras[0].fl_x == 9 / 4


def test_numbers_that_are_none_are_never_written(tmp_path):
    views = ViewSet.load(folder(tmp_path / "in", ["a.png"]))
    views.extra["score"] = float("nan")
    with pytest.raises(ViewmaskError, match="score is no finite number"):
        views.save(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ViewmaskError, match="must be finite numbers"):
        Camera(4, 4, 5, 5, float("nan"), 2, np.eye(4))
    with pytest.raises(ViewmaskError, match="must be finite numbers"):
        Camera(4, 4, float("inf"), 5, 2, 2, np.eye(4))
