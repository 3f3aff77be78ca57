"""OFF: colours of vertices and faces, counts on any line, and what is cut in the middle."""

import pytest

from render.surface import Surface
from tests.render.formats.test_obj import GREEN, RED, quarters
from viewmask.errors import ViewmaskError

ROWS = ["-1 -1 0", "1 -1 0", "1 1 0", "-1 1 0"]


def off(keyword="OFF\n", vertex="", faces=("4 0 1 2 3",)):
    return (
        f"{keyword}4 {len(faces)} 0\n"
        + "".join(f"{row}{vertex}\n" for row in ROWS)
        + "".join(f"{face}\n" for face in faces)
    )


def load(text):
    return Surface.load(text.encode(), file_type="off")


@pytest.mark.parametrize(
    "text",
    [
        off("COFF\n", " 255 0 0 255"), off("COFF\n", " 1.0 0 0 1"), off("OFF\n", " 255 0 0"), off("OFF\n", " 1 0 0"),
        off("NCOFF\n".replace("NC", "CN"), " 0 0 1 255 0 0 255"), off(faces=["4 0 1 2 3 255 0 0"]),
        off(faces=["4 0 1 2 3 1.0 0.0 0.0 1.0"]), off("# made by hand\nOFF # really\n", " 255 0 0"),
        off("STCOFF\n", " 255 0 0 255 0.5 0.5"),
    ],
)  # fmt: skip
def test_a_red_square(text):
    surface = load(text)
    assert quarters(surface) == [RED] * 4
    assert surface.notes == ()


def test_each_face_has_its_own_colour():
    surface = load(off(faces=["3 0 1 2 255 0 0", "3 0 2 3 0 255 0"]))
    assert (quarters(surface)[0], quarters(surface)[3]) == (GREEN, RED)
    assert surface.colours[0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("keyword", ["OFF", "OFF ", "off\n".upper()])
def test_counts_may_follow_at_once(keyword):
    assert len(load(off(keyword)).faces) == 2


def test_normals_are_no_colours():
    surface = load(off("NOFF\n", " 0 0 1"))
    assert quarters(surface) == [[255] * 3] * 4
    assert surface.file_normals[0, 0].tolist() == [1, 0, 0]
    assert quarters(load(off("OFF\n", " 0 -0.6 0.8"))) == [[255] * 3] * 4  # beside a plain OFF, too


def test_a_colour_map_is_noted():
    assert "colour map" in load(off(faces=["4 0 1 2 3 7"])).notes[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (off(faces=["4 0 1 2 3"] * 9)[:-30], "cut off"), ("OFF\n", "cut off"), ("OFF\n4 2 0\n0 0 0\n", "cut off"),
        (off(faces=["4 0 1 2"]), "fewer corners"), (off(faces=["3 0 1 9"]), "vertices it lacks"),
        (off("OFF BINARY\n"), "binary"), (off("4OFF\n"), "three dimensions"), ("4 1 0\n", "begin with OFF"),
        (off().replace("1 1 0", "1 x 0"), "no numbers"), ("OFF\n999999999 1 0\n0 0 0\n", "cut off"),
        ("OFF\n4 1.5 0\n", "whole numbers"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_says_why(text, reason):
    with pytest.raises(ViewmaskError, match=reason):
        load(text)
