"""Video: pictures in a row as an animated GIF, an animated WebP or an MP4."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from viewmask.errors import ViewmaskError
from viewmask.files import atomic

if TYPE_CHECKING:  # the command line takes the formats from here
    from PIL import Image

VideoFormat = Literal["gif", "webp", "mp4"]
FORMATS: tuple[str, ...] = get_args(VideoFormat)
_INSTALL = "pip install imageio-ffmpeg"


def check_format(path: str | Path) -> str:
    """The format that a file's suffix names.

    Raises:
        ViewmaskError: another suffix, or MP4 without the package that writes it.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in FORMATS:
        raise ViewmaskError(f"{path}: a video is written as .gif, .webp or .mp4, not {suffix or 'no suffix'!r}")
    if suffix == "mp4":
        _ffmpeg()
    return suffix


def write_video(frames: Sequence[Image.Image], path: str | Path, rate: int = 25) -> Path:
    """Write pictures as one video that begins anew at its end.

    Args:
        frames: RGB pictures of one size, both sides even.
        path: the file; its suffix picks the format. GIF and WebP need no package beside Pillow.
        rate: pictures a second. GIF counts in hundredths of a second.

    Returns:
        The file. The same pictures give the same bytes.

    Raises:
        ViewmaskError: another suffix, no package for MP4, or the disk refuses.
    """
    from PIL import Image

    form = check_format(path)
    if form == "mp4":
        return atomic.write_with(path, lambda temporary: _mp4(frames, temporary, rate))
    images = list(frames)
    shared = {"save_all": True, "append_images": images[1:], "duration": round(1000 / rate), "loop": 0}
    if form == "gif":
        palette = _sheet(images).quantize(255, method=Image.Quantize.MEDIANCUT)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        shared |= {"append_images": images[1:], "optimize": False, "disposal": 1}
    else:
        shared |= {"quality": 85, "method": 4}
    return atomic.write_with(path, lambda temporary: images[0].save(temporary, form.upper(), **shared))


def _sheet(images: Sequence[Image.Image]) -> Image.Image:
    """Six of the pictures side by side: the colours of all."""
    from PIL import Image

    some = images[:: -(-len(images) // 6)]
    width, height = some[0].size
    sheet = Image.new("RGB", (width * len(some), height))
    for index, image in enumerate(some):
        sheet.paste(image, (index * width, 0))
    return sheet


def _mp4(frames: Sequence[Image.Image], path: Path, rate: int) -> None:
    """H.264 in the form that browsers and phones play, by ffmpeg."""
    writer = _ffmpeg().write_frames(
        str(path), frames[0].size, fps=rate, codec="libx264", quality=None, macro_block_size=2,
        output_params=["-crf", "18", "-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-movflags",
                       "+faststart", "-f", "mp4"],
    )  # fmt: skip
    try:
        writer.send(None)
        for frame in frames:
            writer.send(frame.tobytes())
        writer.close()
    except (OSError, RuntimeError) as error:
        raise ViewmaskError(f"ffmpeg could not write {path.name}: {error}") from error


def _ffmpeg():  # type: ignore[no-untyped-def]
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise ViewmaskError(f"MP4 needs the package imageio-ffmpeg: {_INSTALL}; GIF and WebP need none") from error
    return imageio_ffmpeg
