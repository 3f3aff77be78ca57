"""View sets: what is written is read back, other spellings are understood, bad folders are refused."""

import json

import numpy as np
import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import TRANSFORMS, ViewSet, composite, resize


@pytest.fixture
def views():
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (16, 16, 4), dtype=np.uint8) for _ in range(3)]
    return ViewSet(images, orbit(3, size=16), {"captions": ["a thing", "it"], "mine": {"kept": 1}})


def test_round_trip(views, tmp_path):
    back = ViewSet.load(views.save(tmp_path / "set"))
    for mine, theirs in zip(views.images, back.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(views.cameras, back.cameras, strict=True):
        np.testing.assert_allclose(mine.camera_to_world, theirs.camera_to_world)
        assert mine.fl_x == theirs.fl_x
    assert back.caption == "a thing"
    assert back.extra["mine"] == {"kept": 1}


def test_foreign_folder_is_left_alone(views, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("years of work")
    with pytest.raises(ViewmaskError, match=r"thesis.*was not made by viewmask"):
        views.save(tmp_path / "set")
    assert (tmp_path / "set" / "thesis.txt").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_what_somebody_put_beside_the_views_is_not_lost(views, tmp_path):
    folder = views.save(tmp_path / "set")
    views.save(folder)  # its own work is replaced
    (folder / "mesh.glb").write_text("mine")
    with pytest.raises(ViewmaskError, match=r"mesh.*was not made by viewmask"):
        views.save(folder)
    assert (folder / "mesh.glb").read_text() == "mine"
    assert len(ViewSet.load(folder)) == 3


def test_nerf_synthetic_spelling(views, tmp_path):
    Image.fromarray(views.images[0][..., :3]).resize((20, 20)).save(tmp_path / "r_0.png")
    frame = {"file_path": "./r_0", "transform_matrix": views.cameras[0].camera_to_world.tolist()}
    (tmp_path / TRANSFORMS).write_text(json.dumps({"camera_angle_x": 0.7, "frames": [frame]}))
    back = ViewSet.load(tmp_path)
    assert back.images[0].shape == (20, 20, 4)
    assert back.cameras[0].fl_x == pytest.approx(10 / np.tan(0.35))


def test_every_frame_may_have_its_own_intrinsics_mask_and_spelling(views, tmp_path):
    (tmp_path / "images").mkdir()
    for index, name in enumerate(("a.jpg", "b.JPG", "c.png")):
        Image.fromarray(views.images[index][..., :3]).save(tmp_path / "images" / name)
    half = np.zeros((8, 8), np.uint8)
    half[:, 4:] = 255
    Image.fromarray(half).save(tmp_path / "mask.png")
    pose = views.cameras[0].camera_to_world.tolist()
    frames = [
        {"file_path": "images\\a.jpg", "transform_matrix": pose, "camera_angle_x": 0.7, "camera_angle_y": 0.5},
        {"file_path": "./images/b", "transform_matrix": pose[:3], "fl_x": 30, "fl_y": 31, "cx": 7, "w": 16, "h": 16},
        {"file_path": "images/c.png", "transform_matrix": pose, "mask_path": "mask.png"},
    ]
    moved = [[0, 1, 0, 5], [1, 0, 0, 0], [0, 0, -1, 0]]  # says where the poses come from, not where they go
    (tmp_path / TRANSFORMS).write_text(
        json.dumps({"camera_model": "PINHOLE", "fl_x": 20, "applied_transform": moved, "frames": frames})
    )
    back = ViewSet.load(tmp_path)
    assert back.cameras[0].fl_y == pytest.approx(8 / np.tan(0.25))
    assert (back.cameras[1].fl_x, back.cameras[1].fl_y, back.cameras[1].cx) == (30, 31, 7)
    assert back.cameras[2].fl_x == 20
    for camera in back.cameras:
        np.testing.assert_array_equal(camera.camera_to_world, views.cameras[0].camera_to_world)
    assert (back.images[2][:, :7, 3] == 0).all()
    assert (back.images[2][:, 9:, 3] == 255).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"transform_matrix": [[float("nan")] * 4] * 4}, "frame 0: transform_matrix is no pose"),
        ({"transform_matrix": [[0] * 4] * 4}, "no pose"),
        ({"w": 32}, "the picture is 16x16, its camera says 32x16"),
        ({"camera_model": "OPENCV_FISHEYE"}, "is no pinhole"),
    ],
)
def test_cameras_that_cannot_be_are_refused(views, tmp_path, change, says):
    folder = views.save(tmp_path / "set")
    record = json.loads((folder / TRANSFORMS).read_text())
    record["frames"][0] |= change
    (folder / TRANSFORMS).write_text(json.dumps(record))
    with pytest.raises(ViewmaskError, match=says):
        ViewSet.load(folder)


def test_pictures_of_another_size_than_stated_scale_their_intrinsics(views, tmp_path):
    folder = views.save(tmp_path / "set")
    Image.open(folder / "001.png").resize((32, 32)).save(folder / "001.png")
    assert ViewSet.load(folder).cameras[1].fl_x == pytest.approx(2 * views.cameras[1].fl_x)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (None, "missing"),
        ("{", "cannot read"),
        ("[]", "no frames"),
        ('{"frames": []}', "no frames"),
        ('{"frames": [{}]}', "incomplete"),
        ('{"frames": [{"file_path": "gone.png", "transform_matrix": []}]}', "no picture"),
    ],
)
def test_bad_folders_are_refused(tmp_path, content, word):
    if content is not None:
        (tmp_path / TRANSFORMS).write_text(content)
    with pytest.raises(ViewmaskError, match=word):
        ViewSet.load(tmp_path)


def test_truncated_picture_is_refused(views, tmp_path):
    folder = views.save(tmp_path / "set")
    (folder / "000.png").write_bytes((folder / "000.png").read_bytes()[:200])
    with pytest.raises(ViewmaskError, match="cannot read the picture"):
        ViewSet.load(folder)


def test_resizing_leaves_no_fringe():
    image = np.zeros((8, 8, 4), dtype=np.uint8)
    image[:, 3:] = (200, 100, 50, 255)  # what is transparent is black underneath
    small = resize(image, 4)
    seen = small[small[..., 3] > 0]
    np.testing.assert_array_equal(seen[:, :3], np.broadcast_to([200, 100, 50], seen[:, :3].shape))


def test_composite_is_the_straight_alpha_blend():
    image = np.array([[[255, 0, 0, 51]]], dtype=np.uint8)
    np.testing.assert_allclose(composite(image), [[[1, 0.8, 0.8]]], atol=1e-6)
