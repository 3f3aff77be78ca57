"""OBJ and MTL as programs write them: paths, options, encodings, two libraries, missing parts."""

import io

import numpy as np
import pytest
from PIL import Image

from render.formats.patch import Reading
from render.raycast import render
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera

RED, GREEN, BLUE, YELLOW = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]
CORNERS = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
SQUARE = f"mtllib a.mtl\n{CORNERS}usemtl m\nf 1/1 2/2 3/3 4/4\n"


def png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8).repeat(8, 0).repeat(8, 1)).save(buffer, "png")
    return buffer.getvalue()


QUARTERS = png([[RED, GREEN], [BLUE, YELLOW]])


def load(obj, lenient=False, **beside):
    data = obj if isinstance(obj, bytes) else obj.encode()
    files = {name.replace("__", "."): content for name, content in beside.items()}
    return Surface.load(data, file_type="obj", beside=files, lenient=lenient)


def quarters(surface, size=64):
    """Colours in the middles of the four quarters of a square seen from the front; None where it is transparent."""
    (picture,) = render(surface, [Camera.on_sphere(0, 0, size=size)])
    low, high = int(size * 0.4), int(size * 0.6)
    found = [picture[row, column].tolist() for row in (low, high) for column in (low, high)]
    return [colour[:3] if colour[3] > 127 else None for colour in found]


@pytest.mark.parametrize(
    "statement",
    [
        "map_Kd t.png", "map_Kd .\\t.png", "map_Kd maps\\t.png", "map_Kd T.PNG", "map_Kd C:\\work\\t.png",
        "map_Kd /x/y/t.png", 'map_Kd "t.png"', "map_Kd -clamp on t.png", "map_Kd -o 0 0 0 -s 1 1 1 t.png",
        "map_Kd -bm 0.5 -blendu off -mm 0 1 t.png", "\tmap_kd\tt.png", "map_Kd t.png\r", "Kd 0 0 0\nmap_Kd t.png",
    ],
)  # fmt: skip
def test_a_texture_is_found_by(statement):
    assert quarters(load(SQUARE, a__mtl=f"newmtl m\n{statement}\n".encode(), t__png=QUARTERS)) == [
        RED, GREEN, BLUE, YELLOW,
    ]  # fmt: skip


def test_a_name_with_spaces_is_one_name():
    surface = Surface.load(
        SQUARE.replace("a.mtl", "my a.mtl").encode(), file_type="obj",
        beside={"my a.mtl": b"newmtl m\nmap_Kd -s 1 1 my t.png\n", "my t.png": QUARTERS},
    )  # fmt: skip
    assert quarters(surface) == [RED, GREEN, BLUE, YELLOW]


def test_scale_and_offset_move_the_texture():
    twice = load(SQUARE, a__mtl=b"newmtl m\nmap_Kd -s 2 2 1 t.png\n", t__png=QUARTERS)
    assert quarters(twice) == [YELLOW, BLUE, GREEN, RED]  # each of four pictures ends in the middle of the square
    moved = load(SQUARE, a__mtl=b"newmtl m\nmap_Kd -o 0.5 0 t.png\n", t__png=QUARTERS)
    assert quarters(moved) == [GREEN, RED, YELLOW, BLUE]
    held = load(SQUARE, a__mtl=b"newmtl m\nmap_Kd -o 0.5 0 -clamp on t.png\n", t__png=QUARTERS)
    assert quarters(held) == [GREEN, GREEN, YELLOW, YELLOW]


@pytest.mark.parametrize("libraries", ["mtllib a.mtl b.mtl\n", "mtllib a.mtl\nmtllib b.mtl\n"])
def test_two_libraries_are_read(libraries):
    obj = f"{libraries}{CORNERS}usemtl one\nf 1 2 3\nusemtl two\nf 1 3 4\n"
    surface = load(obj, a__mtl=b"newmtl one\nKd 1 0 0\n", b__mtl=b"newmtl two\nKd 0 1 0\n")
    assert quarters(surface)[::3] == [GREEN, RED]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig", "utf-16"])
def test_comments_names_and_files_in(encoding):
    obj = ("# Stühle\n" + SQUARE.replace("usemtl m", "usemtl Grün")).encode(encoding)
    mtl = "# Größe\nnewmtl Grün\nmap_Kd Grün.png\n".encode(encoding)
    assert quarters(Surface.load(obj, file_type="obj", beside={"a.mtl": mtl, "Grün.png": QUARTERS}))[0] == RED


def test_chinese_names_in_gbk():
    obj = ("# 椅子\n" + SQUARE.replace("usemtl m", "usemtl 木")).encode("gbk")
    mtl = "newmtl 木\nmap_Kd 贴图.png\n".encode("gbk")
    assert quarters(Surface.load(obj, file_type="obj", beside={"a.mtl": mtl, "贴图.png": QUARTERS}))[0] == RED


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "the material library a.mtl is missing"),
        ({"a__mtl": b"newmtl other\n"}, "the material m is in none of its libraries"),
        ({"a__mtl": b"newmtl m\nmap_Kd gone.png\n"}, "the texture gone.png is missing"),
        ({"a__mtl": b"newmtl m\nmap_Kd t.png\n", "t__png": QUARTERS[:60]}, "cannot read the picture t.png"),
    ],
)
def test_what_is_missing_is_a_failure_or_a_note(files, reason):
    with pytest.raises(ViewmaskError, match=f"{reason}.*--lenient"):
        load(SQUARE, **files)
    surface = load(SQUARE, lenient=True, **files)
    assert any(reason in note for note in surface.notes)
    assert quarters(surface) == [[255, 255, 255]] * 4


def test_materials_of_no_library_are_noted():
    surface = load(f"{CORNERS}usemtl wood\nf 1 2 3 4\n")
    assert surface.notes == ("it uses materials and names no library of them (mtllib): drawn white",)
    assert load(f"{CORNERS}usemtl None\nf 1 2 3 4\n").notes == ()


def test_a_library_that_no_face_needs_may_be_absent():
    assert load(f"mtllib gone.mtl\n{CORNERS}f 1 2 3 4\n").notes == ()


def test_the_library_of_the_mesh_s_own_name_stands_in(tmp_path):
    (tmp_path / "chair.obj").write_text(SQUARE.replace("a.mtl", "untitled.mtl"))
    (tmp_path / "chair.mtl").write_text("newmtl m\nKd 1 0 0\n")
    surface = Surface.load(tmp_path / "chair.obj")
    assert quarters(surface)[0] == RED
    assert surface.notes == ("its materials are taken from chair.mtl, which lies beside it",)


def test_a_mask_cuts_out_by_its_brightness_or_its_own_alpha():
    mask = png([[[255] * 3, [0] * 3], [[255] * 3, [0] * 3]])
    mtl = b"newmtl m\nmap_Kd t.png\nmap_d d.png\n"
    assert quarters(load(SQUARE, a__mtl=mtl, t__png=QUARTERS, d__png=mask)) == [RED, None, BLUE, None]
    own = png([[[*RED, 0], [*GREEN, 255]], [[*BLUE, 0], [*YELLOW, 255]]])
    same = load(SQUARE, a__mtl=b"newmtl m\nmap_Kd t.png\nmap_d t.png\n", t__png=own)
    assert quarters(same) == [None, GREEN, None, YELLOW]
    unasked = load(SQUARE, a__mtl=b"newmtl m\nmap_Kd t.png\n", t__png=own)
    assert quarters(unasked) == [RED, GREEN, BLUE, YELLOW]


@pytest.mark.parametrize(("statement", "alpha"), [("d 0.5", 0.5), ("Tr 0.25", 0.75), ("d 0.5\nTr 0.9", 0.5)])
def test_opacity_is_d_or_what_tr_leaves(statement, alpha):
    surface = load(SQUARE, a__mtl=f"newmtl m\nKd 1 0 0\n{statement}\n".encode())
    assert surface.opacity.alpha.max() == pytest.approx(alpha)


def test_an_object_that_would_be_invisible_is_solid_with_a_note():
    surface = load(SQUARE, a__mtl=b"newmtl m\nKd 1 0 0\nTr 1\n")
    assert quarters(surface) == [RED] * 4
    assert "invisible" in surface.notes[0]


def test_emission_shines():
    assert quarters(load(SQUARE, a__mtl=b"newmtl m\nKd 0 0 0\nKe 1 0 0\n")) == [RED] * 4


def test_a_notch_stays_open():
    obj = "v -1 1 0\nv -1 -1 0\nv 1 -1 0\nv 1 1 0\nv 0 -.9 0\nf 1 2 3 4 5\n"
    (picture,) = render(load(obj), [Camera.on_sphere(0, 0, size=64)])
    assert (picture[20, 32, 3], picture[32, 32, 3], picture[32, 12, 3]) == (0, 0, 255)


def test_vertex_colours_are_srgb_and_may_be_bytes():
    for whole in (1, 255):
        rows = "".join(f"v {x} {y} 0 {0.5 * whole} 0 {whole}\n" for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)))
        assert quarters(load(f"{rows}f 1 2 3 4\n"))[0] == pytest.approx([128, 0, 255], abs=1)


@pytest.mark.parametrize("face", ["-4 -3 -2 -1", "-4/-4 -3/-3 -2/-2 -1/-1", "1/1/ 2/2/ 3/3/ 4/4/", "1// 2 3/3 4"])
def test_indices_may_count_from_the_end_or_leave_parts_out(face):
    assert len(load(f"{CORNERS}f {face}\n").faces) == 2


def test_relative_indices_count_from_where_the_face_stands():
    part = "v 0 0 {0}\nv 1 0 {0}\nv 0 1 {0}\nf -3 -2 -1\n"
    surface = load(part.format(0) + part.format(5))
    assert surface.faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_line_may_go_on_in_the_next():
    assert len(load(CORNERS + "f 1 2 \\\n3 4\n").faces) == 2


@pytest.mark.parametrize(
    "tail",
    ["f 1 2 5\n", "f 0 1 2\n", "f 1 2 x\n", "v 0.5 0\nf 1 2 3\n", "f 1/1/ 2/2/1 3/\nf 1/ 2/2/9 3/1/2/\nf 1 2 77"],
)
def test_a_damaged_or_cut_file_is_refused(tail):
    with pytest.raises(ViewmaskError, match=r"cannot read the mesh as a mesh"):
        load(CORNERS + tail)


def test_coordinates_that_a_face_names_and_the_file_lacks():
    obj = f"{CORNERS}f 1/1 2/2 3/9\n"
    with pytest.raises(ViewmaskError, match="texture coordinates it lacks"):
        load(obj)
    assert "texture coordinates" in load(obj, lenient=True).notes[0]
    assert "none at all" in load("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1//1 2//2 3//3\n").notes[0]


def test_far_coordinates_are_drawn_as_at_the_origin():
    far = "v 100000000 100000000 0\nv 100000001 100000000 0\nv 100000001 100000001 0\nf 1 2 3\n"
    assert load(far).vertices == pytest.approx(load("v 0 0 0\nv 1 0 0\nv 1 1 0\nf 1 2 3\n").vertices)


def test_notes_are_said_once():
    reading = Reading("a", lenient=True)
    reading.lacks("x")
    reading.note("x")
    assert reading.notes == ["x"]
