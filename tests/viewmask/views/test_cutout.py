"""Which way of cutting out is taken, and that it is told."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from viewmask.errors import ViewmaskError
from viewmask.views import cutout
from viewmask.views.cutout import cut


def photo(noise=0, size=120):
    """A red ball before grey."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:size, 0:size]
    inside = np.hypot(x - size / 2, y - size / 2) < size / 4
    picture = np.full((size, size, 4), 255, np.uint8)
    picture[..., :3] = np.clip(150 + random.integers(-noise, noise + 1, (size, size, 1)), 0, 255)
    picture[inside, :3] = (200, 30, 30)
    return picture, inside


def iou(result, inside):
    found = result.picture[..., 3] > 127
    return (found & inside).sum() / (found | inside).sum()


def without(monkeypatch, *modules):
    monkeypatch.setattr(cutout, "_has", lambda module: module not in modules)


def test_transparency_comes_first_then_a_plain_background():
    picture, inside = photo()
    result = cut(picture)
    assert result.how == "its plain background"
    assert iou(result, inside) > 0.97
    own = cut(result.picture)
    assert own.how == "its transparency"
    assert own.picture is result.picture
    assert cut(picture, "plain").how == "its plain background"
    with pytest.raises(ViewmaskError, match="has no transparency"):
        cut(picture, "alpha")


def test_a_cluttered_photo_goes_to_grabcut(monkeypatch):
    pytest.importorskip("cv2")
    without(monkeypatch, "rembg")
    picture, inside = photo(noise=90)
    result = cut(picture)
    assert result.how.startswith("GrabCut (look at cutout.png")
    assert iou(result, inside) > 0.9
    np.testing.assert_array_equal(cut(picture, "grabcut").picture, result.picture)
    with pytest.raises(ViewmaskError, match="too small for GrabCut"):
        cut(picture[:8, :8], "grabcut")


def on_a_table():
    """A red ball before a wall, on a grained table of nearly its shade: both pass for one background, but not all of
    both."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[0:240, 0:320]
    grain = ndimage.gaussian_filter(random.normal(size=x.shape), (2, 12))
    shade = np.where(y < 110, 150, 96 + 14 * grain / grain.std())
    inside = np.hypot(x - 160, y - 120) < 45
    colour = np.where(inside[..., None], (190, 40, 40), shade[..., None] * (1.05, 1.0, 0.95))
    colour += random.normal(0, 2, colour.shape)
    return np.dstack([np.clip(colour, 0, 255), np.full(x.shape, 255)]).astype(np.uint8), inside


def test_a_background_that_only_passes_for_plain_is_left_to_grabcut(monkeypatch):
    pytest.importorskip("cv2")
    without(monkeypatch, "rembg")
    picture, inside = on_a_table()
    assert iou(cut(picture, "plain"), inside) < 0.6
    result = cut(picture)
    assert result.way == "grabcut"
    assert iou(result, inside) > 0.9


def test_without_opencv_a_doubtful_background_is_told(monkeypatch):
    without(monkeypatch, "rembg", "cv2")
    result = cut(on_a_table()[0])
    assert result.way == "plain"
    assert "GrabCut may do better: pip install" in result.how
    assert cut(photo()[0]).how == "its plain background"


def test_a_sheet_of_paper_in_a_gradient_is_confirmed_by_grabcut(monkeypatch):
    pytest.importorskip("cv2")
    without(monkeypatch, "rembg")
    picture, inside = photo()
    ramp = np.linspace(0, 30, picture.shape[1])[None, :, None].astype(np.uint8)
    picture[..., :3] = np.where(inside[..., None], picture[..., :3], picture[..., :3] + ramp)
    result = cut(picture)
    assert result.how == "its plain background"
    np.testing.assert_array_equal(result.picture, cut(picture, "plain").picture)


def test_grabcut_keeps_what_is_in_the_middle_of_things_of_one_colour(monkeypatch):
    pytest.importorskip("cv2")
    picture, inside = photo(noise=90)
    picture[8:28, 8:28, :3] = (200, 30, 30)  # stands behind, in the object's colour
    assert iou(cut(picture, "grabcut"), inside) > 0.9


def test_without_opencv_a_cluttered_photo_is_refused_with_the_way_out(monkeypatch):
    without(monkeypatch, "rembg", "cv2")
    picture, _ = photo(noise=90)
    with pytest.raises(ViewmaskError, match=r"no plain background.*or let GrabCut try: pip install"):
        cut(picture)
    with pytest.raises(ViewmaskError, match="needs OpenCV: pip install"):
        cut(picture, "grabcut")
    with pytest.raises(ViewmaskError, match="no plain background: its border"):
        cut(picture, "plain")
    with pytest.raises(ViewmaskError, match="needs the package rembg"):
        cut(picture, "rembg")


def test_rembg_is_taken_where_its_model_lies_already(monkeypatch, tmp_path):
    picture, inside = photo(noise=90)

    def remove(image, session, only_mask):
        assert image.mode == "RGB"
        assert session == "u2net"
        assert only_mask
        return Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))

    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(remove=remove, new_session=lambda name: name))
    without(monkeypatch, "cv2")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(ViewmaskError, match="no plain background"):
        cut(picture)  # auto fetches nothing
    assert iou(cut(picture, "rembg"), inside) == 1
    for place in ("u2net.onnx", "models/u2net/u2net.onnx"):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
        assert cut(picture).how == "rembg"
        (tmp_path / place).unlink()


def test_a_model_of_rembgs_is_taken_from_wherever_it_lies(monkeypatch, tmp_path):
    picture, inside = photo(noise=90)
    places = []

    def new_session(name, model_path):
        places.append((name, model_path, os.environ["U2NET_HOME"]))
        return name

    def remove(image, session, only_mask):
        if len(places) > 1:
            raise RuntimeError("no protobuf\n" + "x " * 200)
        return Image.fromarray(np.where(inside, 255, 0).astype(np.uint8))

    monkeypatch.setitem(sys.modules, "rembg", SimpleNamespace(remove=remove, new_session=new_session))
    without(monkeypatch, "cv2")
    monkeypatch.delenv("U2NET_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ViewmaskError, match=r"no model at u2net\.onnx"):
        cut(picture, "u2net.onnx")
    (tmp_path / "u2net.onnx").touch()
    result = cut(picture, "u2net.onnx")
    assert (result.how, result.way) == ("rembg", "rembg")
    assert iou(result, inside) == 1
    assert places == [("u2net_custom", str(tmp_path / "u2net.onnx"), str(tmp_path))]
    with pytest.raises(ViewmaskError, match=r"rembg cannot use its model: no protobuf[x ]* \.\.\.$"):
        cut(picture, "u2net.onnx")
    assert "U2NET_HOME" not in os.environ


def test_a_mask_may_have_another_size_and_only_takes_away(tmp_path):
    picture, inside = photo(noise=90)
    picture[:, :40, 3] = 0
    path = str(tmp_path / "mask.png")
    Image.fromarray(inside[::2, ::2]).save(path)
    result = cut(picture, path)
    assert result.how == f"the mask {path}"
    assert not result.picture[:, :40, 3].any()
    assert iou(result, inside & (picture[..., 3] > 0)) > 0.9
    with pytest.raises(ViewmaskError, match="must be of one shape"):
        cut(picture[:60], path)
    Image.new("L", (120, 120)).save(path)
    with pytest.raises(ViewmaskError, match="nothing in it stands out"):
        cut(picture, path)
    with pytest.raises(ViewmaskError, match="no mask at"):
        cut(picture, "gone.png")


def test_nothing_is_told_as_what_it_is():
    with pytest.raises(ViewmaskError, match="by its plain background, nothing in it stands out"):
        cut(np.full((60, 60, 4), 255, np.uint8))
    with pytest.raises(ViewmaskError, match="transparent all over"):
        cut(np.zeros((60, 60, 4), np.uint8))
