"""PLY in words and in bytes: colours of every name, strips, textures, and what is cut in the middle."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from render.surface import Surface, to_linear
from tests.render.formats.test_obj import BLUE, GREEN, QUARTERS, RED, YELLOW, quarters
from viewmask.errors import ViewmaskError

SQUARE = [(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]
FORMATS = ("ascii", "binary_little_endian", "binary_big_endian")
CODES = {"float": "f", "double": "d", "uchar": "B", "ushort": "H", "int": "i", "uint": "I"}


def ply(form, vertex="", vertices=SQUARE, face="", faces=([0, 1, 2, 3],), comments="", more=(), length="uchar"):
    """A PLY of vertices with more columns `vertex` ("float s; float t") and faces with more columns `face`.

    `more` are lists of values to write after each face's corners.
    """
    columns = [f"float {axis}" for axis in "xyz"] + [name.strip() for name in vertex.split(";") if name.strip()]
    face_columns = [f"list {length} int vertex_indices", *(name.strip() for name in face.split(";") if name.strip())]
    header = f"ply\nformat {form} 1.0\n{comments}element vertex {len(vertices)}\n"
    header += "".join(f"property {column}\n" for column in columns) + f"element face {len(faces)}\n"
    header += "".join(f"property {column}\n" for column in face_columns) + "end_header\n"
    body = b""
    order = ">" if "big" in form else "<"

    def put(kind, value):
        return f"{value} ".encode() if form == "ascii" else struct.pack(order + CODES[kind], value)

    for row in vertices:
        body += b"".join(put(column.split()[0], value) for column, value in zip(columns, row, strict=True)) + b"\n" * (
            form == "ascii"
        )
    for number, corners in enumerate(faces):
        rest = more[number] if more else []
        for column, values in zip(face_columns, [corners, *rest], strict=True):
            words = column.split()
            if words[0] == "list":
                body += put(words[1], len(values)) + b"".join(put(words[2], value) for value in values)
            else:
                body += put(words[0], values)
        body += b"\n" * (form == "ascii")
    return header.encode() + body


def load(data, lenient=False, **beside):
    files = {name.replace("__", "."): content for name, content in beside.items()}
    return Surface.load(data, file_type="ply", beside=files, lenient=lenient)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("names", ["red green blue", "diffuse_red diffuse_green diffuse_blue", "r g b"])
def test_vertex_colours_of(form, names):
    columns = "; ".join(f"uchar {name}" for name in names.split())
    surface = load(ply(form, columns, [(*place, 255, 128, 0) for place in SQUARE]))
    assert quarters(surface)[0] == pytest.approx([255, 128, 0], abs=1)


@pytest.mark.parametrize(
    ("kind", "whole"), [("uchar", 255), ("ushort", 65535), ("float", 1), ("float", 255), ("int", 255)]
)
def test_colours_are_shares_of_their_type(kind, whole):
    value = whole // 3 if whole > 1 else 1 / 3
    rows = [(*place, whole, value, 0) for place in SQUARE]
    surface = load(ply("ascii", f"{kind} red; {kind} green; {kind} blue", rows))
    assert surface.colours[0, 0] == pytest.approx([1, to_linear(85), 0], abs=1e-3)


@pytest.mark.parametrize("form", FORMATS)
def test_faces_may_have_colours_of_their_own_and_any_number_of_corners(form):
    vertices = [*SQUARE, (3, 0, 0)]
    data = ply(form, "", vertices, "uchar red; uchar green; uchar blue", [[0, 1, 2, 3], [1, 4, 2]],
               more=[(255, 0, 0), (0, 255, 0)])  # fmt: skip
    surface = load(data)
    assert len(surface.faces) == 3
    assert surface.colours[:, 0].tolist() == [[1, 0, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("names", ["s t", "u v", "texture_u texture_v"])
def test_a_texture_by_the_vertices(form, names):
    columns = "; ".join(f"float {name}" for name in names.split())
    rows = [(*place, *uv) for place, uv in zip(SQUARE, [(0, 0), (1, 0), (1, 1), (0, 1)], strict=True)]
    data = ply(form, columns, rows, comments="comment TextureFile t.png\n")
    assert quarters(load(data, t__png=QUARTERS)) == [RED, GREEN, BLUE, YELLOW]
    with pytest.raises(ViewmaskError, match=r"texture t\.png is missing"):
        load(data)
    assert quarters(load(data, lenient=True)) == [[255] * 3] * 4


@pytest.mark.parametrize("form", FORMATS)
def test_textures_by_the_faces(form):
    blue = io.BytesIO()
    Image.new("RGB", (4, 4), (0, 0, 255)).save(blue, "png")
    data = ply(
        form, face="list uchar float texcoord; int texnumber", faces=[[0, 1, 2], [0, 2, 3]],
        more=[([0, 0, 1, 0, 1, 1], 1), ([0, 0, 1, 1, 0, 1], 0)],
        comments="comment TextureFile t.png\ncomment TextureFile b.png\n",
    )  # fmt: skip
    found = quarters(load(data, t__png=QUARTERS, b__png=blue.getvalue()))
    assert (found[0], found[3]) == (RED, BLUE)


def test_strips_are_unrolled():
    header = b"ply\nformat ascii 1.0\nelement vertex 6\nproperty float x\nproperty float y\nproperty float z\n"
    header += b"element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
    rows = b"0 0 0\n1 0 0\n0 1 0\n1 1 0\n0 2 0\n1 2 0\n"
    surface = load(header + rows + b"9 0 1 2 3 -1 2 3 4 5\n")
    assert len(surface.faces) == 4
    assert (surface.face_normals[:, 0] > 0.99).all()  # all turn one way


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.75, 0.95])
def test_a_file_cut_in_the_middle_is_refused(form, share):
    grid = [(x, y, x * y) for x in range(10) for y in range(10)]
    faces = [[10 * x + y, 10 * x + y + 1, 10 * x + y + 11] for x in range(9) for y in range(9)]
    data = ply(form, vertices=grid, faces=faces)
    assert len(load(data).faces) == 81
    with pytest.raises(ViewmaskError, match="cut off"):
        load(data[: int(len(data) * share)])


@pytest.mark.parametrize("form", FORMATS)
def test_a_count_beyond_the_file_is_refused_at_once(form):
    data = ply(form).replace(b"element vertex 4", b"element vertex 4000000000")
    with pytest.raises(ViewmaskError, match="4000000000 rows of vertex"):
        load(data)


def test_normals_of_the_file_are_kept():
    rows = [(*place, 0, 0.6, 0.8) for place in SQUARE]
    surface = load(ply("ascii", "float nx; float ny; float nz", rows))
    assert surface.file_normals[0, 0] == pytest.approx([0.8, 0, 0.6], abs=1e-6)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n", "no x, y and z"),
        (ply("ascii", faces=[[0, 1, 9]]), "name vertices it lacks"),
        (ply("ascii").replace(b"float x", b"quad x"), "not understood"),
        (ply("ascii", faces=[]), "has no triangles"),
        (ply("ascii", "float f_dc_0", [(*place, 0) for place in SQUARE], faces=[]), "Gaussian splats"),
        (ply("ascii").replace(b"-1 -1 0", b"-1 abc 0"), "no numbers"),
        (ply("binary_little_endian", length="int").replace(b"\x04\0\0\0", b"\xfe\xff\xff\xff"), "below 0|cut off"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    with pytest.raises(ViewmaskError, match=reason):
        load(data)


def test_alpha_of_vertices_is_left_out_with_a_note():
    rows = [(*place, 255, 0, 0, alpha) for place, alpha in zip(SQUARE, (0, 255, 255, 255), strict=True)]
    surface = load(ply("ascii", "uchar red; uchar green; uchar blue; uchar alpha", rows))
    assert "alpha" in surface.notes[0]
    assert quarters(surface) == [RED] * 4


def test_header_lines_may_end_as_on_windows():
    data = ply("binary_little_endian")
    end = data.index(b"end_header\n") + 11
    surface = load(data[:end].replace(b"\n", b"\r\n") + data[end:])
    assert np.ptp(surface.vertices, axis=0) == pytest.approx([0, 1, 1])


@pytest.mark.parametrize("form", FORMATS)
def test_points_alone_have_no_triangles(form):
    with pytest.raises(ViewmaskError, match="no triangles"):
        load(ply(form, faces=[]))


def test_words_beyond_the_header_are_left_out_with_a_note():
    data = ply("ascii", faces=[[0, 1, 2], [0, 2, 3]]).replace(b"3 0 1 2", b"3 0 1 2 9 1 1 1 1 1 1 1 1 1")
    surface = load(data)
    assert len(surface.faces) == 2
    assert "more than the header says" in surface.notes[0]


def test_rows_may_share_lines():
    data = ply("ascii")
    end = data.index(b"end_header\n") + 11
    assert len(load(data[:end] + data[end:].replace(b"\n", b" ")).faces) == 2
