"""STL: words and bytes, the colours of VisCAM and Magics, and what is cut in the middle."""

import struct

import pytest

from render.surface import Surface
from tests.render.formats.test_obj import BLUE, RED, quarters
from viewmask.errors import ViewmaskError

TRIANGLES = [[(-1, -1, 0), (1, -1, 0), (1, 1, 0)], [(-1, -1, 0), (1, 1, 0), (-1, 1, 0)]]
WORDS = "solid a thing\n" + "".join(
    "facet normal 0 0 1\nouter loop\n" + "".join(f"vertex {x} {y} {z}\n" for x, y, z in corners) + "endloop\nendfacet\n"
    for corners in TRIANGLES
)


def stl(header=b"", colours=(0, 0)):
    data = header.ljust(80, b" ") + struct.pack("<I", len(TRIANGLES))
    for corners, colour in zip(TRIANGLES, colours, strict=True):
        data += struct.pack("<3f", 0, 0, 1) + b"".join(struct.pack("<3f", *corner) for corner in corners)
        data += struct.pack("<H", colour)
    return data


def load(data):
    return Surface.load(data if isinstance(data, bytes) else data.encode(), file_type="stl")


@pytest.mark.parametrize(
    "data", [stl(), stl(b"solid but bytes"), WORDS + "endsolid a thing\n", WORDS.upper() + "ENDSOLID"]
)
def test_triangles_are_read(data):
    surface = load(data)
    assert len(surface.faces) == 2
    assert quarters(surface) == [[255] * 3] * 4


def test_viscam_puts_blue_first_and_marks_what_has_a_colour():
    surface = load(stl(colours=(0x8000 | 31 << 10, 0x8000 | 31)))
    assert (quarters(surface)[3], quarters(surface)[0]) == (RED, BLUE)
    assert quarters(load(stl(colours=(31, 31))))[0] == [255] * 3


def test_magics_puts_red_first_and_has_a_colour_for_all():
    header = b"COLOR=" + bytes([255, 0, 0, 255])
    assert quarters(load(stl(header))) == [RED] * 4
    surface = load(stl(header, (31 << 10, 0x8000)))  # one of its own, one the object's
    assert (quarters(surface)[3], quarters(surface)[0]) == (BLUE, RED)


@pytest.mark.parametrize(
    "data",
    [stl()[:-1], stl()[:100], stl()[:40], stl(b"solid but bytes")[:-30], WORDS, WORDS[:-40], WORDS[:60], b""],
)
def test_a_file_cut_in_the_middle_is_refused(data):
    with pytest.raises(ViewmaskError, match=r"cut off|header promises"):
        load(data)


def test_words_that_are_no_numbers_are_named():
    with pytest.raises(ViewmaskError, match="no numbers"):
        load((WORDS + "endsolid\n").replace("vertex -1 -1 0", "vertex -1 abc 0"))


def test_a_facet_without_its_corners_is_refused():
    with pytest.raises(ViewmaskError, match="three vertices"):
        load((WORDS + "endsolid\n").replace("vertex -1 -1 0\n", "", 1))
