"""View sets: what is written is read back, other spellings are understood, bad folders are refused."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import ViewSet, composite, premultiplied, resize


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
        (
            {"transform_matrix": [[float("nan")] * 4] * 4},
            "frame 0: a camera pose must be a 4 x 4 matrix of finite numbers",
        ),
        ({"transform_matrix": [[0] * 4] * 4}, "must be invertible"),
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


def write(folder, record, **pictures):
    """A folder with a transforms.json and small pictures, a grey level each."""
    for name, grey in pictures.items():
        Image.new("L", (16, 8), grey).save(folder / name.replace("_", "."))
    (folder / TRANSFORMS).write_text(json.dumps(record))
    return folder


POSE = Camera.on_sphere(10).camera_to_world.tolist()


def loaded(folder, frame, **more):
    return ViewSet.load(write(folder, {"fl_x": 20} | more | {"frames": [{"transform_matrix": POSE} | frame]}))


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (np.zeros((4, 6, 4), np.float32), "uint8 RGBA"),
        (np.zeros((4, 6, 3), np.uint8), "uint8 RGBA"),
        (np.zeros((4, 6), np.uint8), "uint8 RGBA"),
        (np.zeros((1, 4, 6, 4), np.uint8), "uint8 RGBA"),
        (np.zeros((6, 4, 4), np.uint8), "the picture is 4x6, its camera says 6x4"),
    ],
)
def test_pictures_that_do_not_fit_are_refused(image, says):
    camera = Camera(6, 4, 8, 8, 3, 2, np.eye(4))
    assert len(ViewSet([np.zeros((4, 6, 4), np.uint8)], [camera])) == 1
    with pytest.raises(ViewmaskError, match=says):
        ViewSet([image], [camera])
    with pytest.raises(ViewmaskError, match="1 picture cannot have 2 cameras"):
        ViewSet([image], [camera, camera])


def test_the_caption_is_the_first_of_many_or_the_only_one():
    for extra, caption in [
        ({}, ""), ({"caption": "a cup"}, "a cup"), ({"captions": ["one", "two"], "caption": "a cup"}, "one"),
        ({"captions": [], "caption": "a cup"}, "a cup"),
    ]:  # fmt: skip
        assert ViewSet([], [], extra).caption == caption


def test_what_is_written_by_the_byte(views, tmp_path):
    views.extra["caption"] = "St\u00fchle"
    folder = views.save(tmp_path / "set")
    assert sorted(path.name for path in folder.iterdir()) == ["000.png", "001.png", "002.png", TRANSFORMS]
    for index, image in enumerate(views.images):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG", compress_level=4)
        assert (folder / f"{index:03d}.png").read_bytes() == file.getvalue()
    text = (folder / TRANSFORMS).read_text()
    assert text.startswith('{\n "camera_model": "OPENCV",\n "fl_x"')
    assert "St\u00fchle" in text
    record = json.loads(text)
    first = views.cameras[0]
    assert list(record) == [
        "camera_model", "fl_x", "fl_y", "cx", "cy", "w", "h", "captions", "mine", "caption", "frames"
    ]  # fmt: skip
    assert [record[key] for key in ("fl_x", "fl_y", "cx", "cy", "w", "h")] == [first.fl_x, first.fl_x, 8, 8, 16, 16]
    assert [frame["file_path"] for frame in record["frames"]] == ["000.png", "001.png", "002.png"]
    assert set(record["frames"][0]) == {"file_path", "transform_matrix", "elevation", "azimuth", "distance"}


def test_what_views_do_not_share_stands_in_every_frame(tmp_path):
    cameras = [Camera(6, 4, 8, 9, 3, 2, POSE), Camera(6, 5, 8, 9, 3.5, 2, POSE)]
    views = ViewSet([np.zeros((camera.height, 6, 4), np.uint8) for camera in cameras], cameras)
    folder = views.save(tmp_path / "set")
    record = json.loads((folder / TRANSFORMS).read_text())
    assert {key: record[key] for key in record if key != "frames"} == {
        "camera_model": "OPENCV", "fl_x": 8, "fl_y": 9, "cy": 2, "w": 6,
    }  # fmt: skip
    assert [(frame["cx"], frame["h"]) for frame in record["frames"]] == [(3, 4), (3.5, 5)]
    back = ViewSet.load(folder / TRANSFORMS)
    for camera, same in zip(cameras, back.cameras, strict=True):
        assert (same.width, same.height, same.fl_x, same.fl_y, same.cx, same.cy) == (
            camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy,
        )  # fmt: skip
    assert back.extra == {}


def test_force_replaces_what_is_not_a_view_set(views, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.txt").write_text("old")
    assert views.save(str(tmp_path / "set"), force=True) == tmp_path / "set"
    assert not (tmp_path / "set" / "thesis.txt").exists()


@pytest.mark.parametrize(
    ("size", "fits"),
    [((50, 25), True), ((507, 250), True), ((103, 50), False), ((97, 50), False)],
)
def test_a_stated_size_may_be_off_by_a_fiftieth(tmp_path, size, fits):
    write(tmp_path, {}, a_png=7)
    frame = {"file_path": "a.png", "w": size[0], "h": size[1]}
    if fits:
        assert loaded(tmp_path, frame).cameras[0].width == 16
    else:
        with pytest.raises(ViewmaskError, match="the picture is 16x8, its camera says"):
            loaded(tmp_path, frame)


def test_a_picture_may_be_one_pixel(tmp_path):
    Image.new("L", (1, 1)).save(tmp_path / "a.png")
    assert loaded(tmp_path, {"file_path": "a.png"}, w=1, h=1).cameras[0].width == 1


@pytest.mark.parametrize("model", ["OPENCV_FISHEYE", "equirectangular", "Orthographic"])
def test_lenses_that_are_no_pinhole_are_refused(tmp_path, model):
    write(tmp_path, {}, a_png=7)
    for place in ({"camera_model": model}, {}):
        with pytest.raises(ViewmaskError, match="no pinhole"):
            loaded(tmp_path, {"file_path": "a.png"} | place, camera_model=model)


@pytest.mark.parametrize("pose", [np.eye(3), np.full((4, 4), np.inf), np.diag([1, 1, 0, 1]), [1, 2], np.eye(4)[:, :3]])
def test_poses_that_are_none_are_refused(tmp_path, pose):
    write(tmp_path, {}, a_png=7)
    with pytest.raises(ViewmaskError, match=r"frame 0.*a camera pose must be"):
        loaded(tmp_path, {"file_path": "a.png", "transform_matrix": np.asarray(pose).tolist()})


def test_pictures_are_looked_for_under_every_usual_name(tmp_path):
    (tmp_path / "in").mkdir()
    for grey, suffix in enumerate((".png", ".webp", ".jpg", ".jpeg", ".PNG", ".JPG")):
        name = tmp_path / "in" / f"v.{grey}{suffix}"
        Image.new("L", (16, 8), 40 * grey).save(name, lossless=True) if suffix == ".webp" else Image.new(
            "L", (16, 8), 40 * grey
        ).save(name)
        for spelling in (f"in/v.{grey}", f"in\\v.{grey}", f"./in/v.{grey}{suffix}"):
            (image,) = loaded(tmp_path, {"file_path": spelling}).images
            assert abs(int(image[0, 0, 0]) - 40 * grey) <= 2
            assert (image[..., 3] == 255).all()
    (tmp_path / "bare").write_bytes((tmp_path / "in" / "v.1.webp").read_bytes())
    assert loaded(tmp_path, {"file_path": "bare"}).images[0][0, 0, 0] == 40
    (tmp_path / "bare.png").write_bytes((tmp_path / "in" / "v.0.png").read_bytes())
    assert loaded(tmp_path, {"file_path": "bare"}).images[0][0, 0, 0] == 0  # a name with a suffix comes first
    with pytest.raises(ViewmaskError, match="no picture at"):
        loaded(tmp_path, {"file_path": "in/w"})


def test_a_mask_takes_alpha_away_and_gives_none(tmp_path):
    image = np.full((8, 16, 4), 200, np.uint8)
    image[0, :, 3] = 50
    Image.fromarray(image).save(tmp_path / "a.png")
    mask = np.full((4, 8, 3), 255, np.uint8)
    mask[:, :2], mask[:, 6:] = 0, (0, 255, 0)  # black, white, green: only black is left out
    Image.fromarray(mask).save(tmp_path / "m.png")
    (seen,) = loaded(tmp_path, {"file_path": "a.png", "mask_path": "m.png"}).images
    assert (seen[..., :3] == 200).all()
    assert seen[4, [0, 1, 7, 8, 15], 3].tolist() == [0, 0, 200, 200, 200]
    assert seen[0, [0, 8, 15], 3].tolist() == [0, 50, 50]
    assert 0 < seen[4, 3, 3] < seen[4, 4, 3] <= 200  # smooth between


def test_keys_of_its_own_are_no_extra(views, tmp_path):
    folder = views.save(tmp_path / "set")
    assert ViewSet.load(str(folder)).extra == views.extra
    record = {"camera_model": "PINHOLE", "w": 16, "fl_x": 9, "aabb": 2, "frames": []}
    record["frames"] = [{"file_path": "x", "transform_matrix": POSE}]
    assert ViewSet.of_record(record, lambda name: views.images[0]).extra == {"aabb": 2}
    with pytest.raises(ViewmaskError, match=r"transforms.json: frame 0: it has no transform_matrix"):
        ViewSet.of_record({"fl_x": 9, "frames": [{"file_path": "x"}]}, lambda name: views.images[0])
    for nothing in (None, {"frames": "x"}, {"frames": {}}):
        with pytest.raises(ViewmaskError, match=r"transforms.json lists no frames"):
            ViewSet.of_record(nothing, lambda name: views.images[0])


def test_resized_views_keep_their_extras_to_themselves(views):
    small = views.resized(8)
    assert [image.shape for image in small.images] == [(8, 8, 4)] * 3
    assert np.array_equal(small.images[1], resize(views.images[1], 8))
    assert small.cameras[1].fl_x == views.cameras[1].fl_x / 2
    assert (small.cameras[0].width, small.cameras[0].height) == (8, 8)
    assert small.extra == views.extra
    small.extra["mine"] = 2
    assert views.extra["mine"] == {"kept": 1}


def test_a_sheet_shows_views_in_rows_on_white():
    images = [np.full((4, 6, 4), (20 * i, 0, 0, 255), np.uint8) for i in range(10)]
    images[9] = np.full((3, 5, 4), (0, 0, 200, 51), np.uint8)
    cameras = [Camera(image.shape[1], image.shape[0], 8, 8, 3, 2, np.eye(4)) for image in images]
    sheet = np.asarray(ViewSet(images, cameras).sheet())
    assert sheet.shape == (8, 48, 3)
    assert [sheet[0, 6 * i].tolist() for i in range(8)] == [[20 * i, 0, 0] for i in range(8)]
    assert sheet[4, 0].tolist() == sheet[7, 5].tolist() == [160, 0, 0]
    assert sheet[4, 6].tolist() == pytest.approx([204, 204, 244], abs=1)
    assert (sheet[7, 6:] == 255).all()
    assert (sheet[4:, 12:] == 255).all()
    assert (sheet[4:, 11] == 255).all()
    assert np.asarray(ViewSet(images, cameras).sheet(3)).shape == (16, 18, 3)
    assert np.asarray(ViewSet(images[:2], cameras[:2]).sheet()).shape == (4, 12, 3)


def test_whole_blocks_are_averaged_and_colour_is_weighed_by_alpha():
    image = np.zeros((4, 4, 4), np.uint8)
    image[:2, :2] = (100, 10, 0, 255)
    image[0, 0] = (200, 30, 255, 51)  # a fifth as heavy
    image[2, 2] = (90, 0, 0, 1)
    small = resize(image, 2)
    weights = 3 + 0.2
    colour = [(300 + 40) / weights, (30 + 6) / weights, 51 / weights]
    assert small[0, 0].tolist() == [*np.round(colour), round(255 * weights / 4)]
    assert small[0, 1].tolist() == small[1, 0].tolist() == [0, 0, 0, 0]
    assert small[1, 1].tolist() == [0, 0, 0, 0]  # too clear to have a colour
    assert resize(image, 4) is image
    faint = np.zeros((2, 2, 4), np.uint8)
    faint[:] = (200, 200, 200, 1)
    faint[1, 1] = 0
    assert resize(faint, 1).tolist() == [[[200, 200, 200, 1]]]
    faint[:] = 0
    faint[0] = (90, 90, 90, 1)
    assert resize(faint, 1).tolist() == [[[0, 0, 0, 0]]]


def test_bicubic_colours_are_weighed_by_alpha():
    image = np.random.default_rng(0).integers(0, 256, (5, 5, 4), dtype=np.uint8)
    image[:2] = (128, 128, 128, 255)
    image[2, :, 3] = 0
    heavy = image.astype(np.float32) / 255
    heavy[..., :3] *= heavy[..., 3:]
    planes = (Image.fromarray(heavy[..., channel]) for channel in range(4))
    sizes = (np.asarray(plane.resize((8, 8), Image.Resampling.BICUBIC)).clip(0, 1) for plane in planes)
    red, green, blue, alpha = sizes
    large = resize(image, 8)
    assert np.array_equal(large[..., 3], np.round(255 * alpha))
    seen = alpha > 0.01
    for channel, plane in enumerate((red, green, blue)):
        expected = np.round(255 * np.minimum(plane[seen] / alpha[seen], 1))
        assert np.abs(large[seen][:, channel] - expected).max() <= 1


def test_other_sizes_are_bicubic_and_never_run_over():
    image = np.full((5, 5, 4), 255, np.uint8)
    image[:, :2, :3] = 0
    planes = [
        Image.fromarray(image[..., k].astype(np.float32)).resize((3, 3), Image.Resampling.BICUBIC) for k in (0, 3)
    ]
    colour, alpha = (np.round(np.clip(np.asarray(plane), 0, 255)) for plane in planes)
    small = resize(image, 3)
    assert np.array_equal(small[..., 0], colour)
    assert np.array_equal(small[..., 3], alpha)
    large = resize(image, 8).astype(int)
    assert (np.diff(large[..., 0], axis=1) >= 0).all()  # a white that ran over would be black
    assert {0, 255} < set(np.unique(large[..., 0]))
    oblong = resize(np.concatenate([image, image[:1]]), 3)
    assert oblong.shape == (3, 3, 4)


def test_blends_by_hand():
    image = np.array([[[255, 102, 0, 51]]], np.uint8)
    np.testing.assert_allclose(premultiplied(image), [[[0.2, 0.08, 0, 0.2]]], atol=1e-6)
    np.testing.assert_allclose(composite(image, 0.5), [[[0.6, 0.48, 0.4]]], atol=1e-6)
    assert premultiplied(image).dtype == composite(image).dtype == np.float32
