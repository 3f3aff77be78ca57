"""Videos: all frames are there, in their order, and the same pictures give the same bytes."""

import sys

import pytest
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.video import FORMATS, write_video


def frames(count=7, side=32):
    """A square that moves: a GIF's 256 colours hold it, and no two frames are alike."""
    pictures = [Image.new("RGB", (side, side), (30, 90, 40)) for _ in range(count)]
    for index, picture in enumerate(pictures):
        picture.paste((240, 30, 60), (side * index // count, 0, side * (index + 1) // count, side))
    return pictures


@pytest.mark.parametrize("form", ["gif", "webp"])
def test_all_frames_are_there_in_their_order(tmp_path, form):
    file = write_video(frames(), tmp_path / f"turn.{form}", rate=20)
    with Image.open(file) as video:
        assert (video.n_frames, video.info["loop"]) == (7, 0)
        for index, frame in enumerate(frames()):
            video.seek(index)
            video.load()  # WebP tells a frame's time no sooner
            assert video.info["duration"] == 50
            place = (32 * index // 7 + 2, 16)
            seen, meant = video.convert("RGB").getpixel(place), frame.getpixel(place)
            assert max(abs(a - b) for a, b in zip(seen, meant, strict=True)) < 24


def test_an_mp4_holds_them_too(tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    reader = ffmpeg.read_frames(str(write_video(frames(side=64), tmp_path / "turn.mp4", rate=10)))
    about = next(reader)
    assert (about["size"], about["fps"], about["codec"]) == ((64, 64), 10.0, "h264")
    seen = [Image.frombytes("RGB", (64, 64), bytes(frame)) for frame in reader]
    assert len(seen) == 7
    assert all(picture.getpixel((64 * index // 7 + 4, 32))[0] > 180 for index, picture in enumerate(seen))


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
