"""Videos: all frames are there, in their order, and the same pictures give the same bytes."""

import sys

import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.video import FORMATS, write_video


def frames(count=7, side=32):
    return [Image.new("RGB", (side, side), (30 * index, 255 - 30 * index, 40)) for index in range(count)]


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_all_frames_are_there_in_their_order(tmp_path, form):
    file = write_video(frames(), tmp_path / f"turn.{form}", rate=20)
    with Image.open(file) as video:
        assert (video.n_frames, video.info["loop"]) == (7, 0)
        for index, frame in enumerate(frames()):
            video.seek(index)
            assert video.info["duration"] == 50
            seen, meant = video.convert("RGB").getpixel((16, 16)), frame.getpixel((0, 0))
            assert max(abs(a - b) for a, b in zip(seen, meant, strict=True)) < 12


def test_an_mp4_holds_them_too(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    reader = ffmpeg.read_frames(str(write_video(frames(side=64), tmp_path / "turn.mp4", rate=10)))
    about = next(reader)
    assert (about["size"], about["fps"], about["codec"]) == ((64, 64), 10.0, "h264")
    seen = [Image.frombytes("RGB", (64, 64), bytes(frame)).getpixel((32, 32)) for frame in reader]
    assert [round(pixel[0] / 30) for pixel in seen] == list(range(7))


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_pictures_give_the_same_bytes(tmp_path, form):
    if form == "mp4":
        pytest.importorskip("imageio_ffmpeg")
    one, two = (write_video(frames(), tmp_path / name / f"v.{form}").read_bytes() for name in "ab")
    assert one == two


def test_what_cannot_be_written_is_said(tmp_path, monkeypatch):
    with pytest.raises(ViewmaskError, match=r"written as \.gif, \.webp or \.mp4, not 'avi'"):
        write_video(frames(), tmp_path / "turn.avi")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ViewmaskError, match="pip install imageio-ffmpeg; GIF and WebP need none"):
        write_video(frames(), tmp_path / "turn.mp4")
    assert list(tmp_path.iterdir()) == []
