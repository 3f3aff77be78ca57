"""Pictures of every kind as sRGB bytes with alpha; bombs and damage refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from render.ceiling import ceiling
from render.picture import decode
from viewmask.errors import ViewmaskError


def encoded(image, kind="png", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


GREY16 = Image.fromarray(np.array([[0, 257], [30000, 65535]], np.uint16))


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_scaled(kind):
    pixels = decode(encoded(GREY16, kind), "a")
    assert pixels[..., 0].tolist() == [[0, 1], [117, 255]]
    assert (pixels[..., 3] == 255).all()
    assert (pixels[..., 1] == pixels[..., 0]).all()


def test_sixteen_bits_are_scaled_even_where_all_are_dark():
    assert decode(encoded(Image.fromarray(np.full((2, 2), 200, np.uint16))), "a").max() == 255  # alpha
    assert decode(encoded(Image.fromarray(np.full((2, 2), 200, np.uint16))), "a")[..., :3].max() == 1


def test_floats_are_shares():
    data = encoded(Image.fromarray(np.array([[0, 0.5], [1, 9]], np.float32)), "tiff")
    assert decode(data, "a")[..., 0].tolist() == [[0, 128], [255, 255]]


def test_palettes_and_grey_keep_their_alpha():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    pixels = decode(encoded(palette, transparency=1), "a")
    assert pixels.tolist() == [[[255, 0, 0, 255], [0, 255, 0, 0]]]
    grey = decode(encoded(Image.new("LA", (1, 1), (7, 9))), "a")
    assert grey.tolist() == [[[7, 7, 7, 9]]]
    assert decode(encoded(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "jpeg"), "a")[0, 0, 0] > 200


@pytest.mark.parametrize("data", [b"", b"rubbish", encoded(Image.new("RGB", (64, 64)), "png")[:60]])
def test_what_is_no_picture_is_named(data):
    with pytest.raises(ViewmaskError, match=r"cannot read the picture a\.png: "):
        decode(data, "a.png")


def test_a_picture_cut_in_the_middle_is_refused():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    for kind in ("png", "jpeg"):
        data = encoded(noise, kind)
        with pytest.raises(ViewmaskError, match="cannot read the picture"):
            decode(data[: len(data) // 2], "a")


def test_a_bomb_is_refused_by_its_header():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    with pytest.raises(ViewmaskError, match=r"the picture a \(50000 x 50000\) claims 19,073 MiB"):
        decode(bomb, "a")
    with ceiling(1), pytest.raises(ViewmaskError, match=r"claims 2 MiB .* raise the limit with --memory"):
        decode(encoded(Image.new("L", (512, 512))), "a")
