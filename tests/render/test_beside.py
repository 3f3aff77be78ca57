"""Files beside a mesh: found by the names that other machines, cases and encodings gave them."""

import io
import zipfile

import pytest

from render.beside import Beside, spellings, unzipped
from render.ceiling import ceiling
from viewmask.errors import ViewmaskError


@pytest.fixture(params=["folder", "zip", "memory"])
def beside(request, tmp_path):
    """A mesh in `object/meshes` with pictures around it, in a folder, in a zip and in memory."""
    files = {
        "a.png": b"near", "maps/b.png": b"below", "maps/Ü 1.png": b"umlaut", "my file.png": b"space",
        "one/same.png": b"first", "two/same.png": b"second", "贴图.png": b"chinese",
    }  # fmt: skip
    above = {"materials/textures/far.png": b"above"}
    if request.param == "memory":
        return Beside.of_mapping(files | {f"../{name}": data for name, data in above.items()})
    paths = {f"object/meshes/{name}": data for name, data in files.items()}
    paths |= {f"object/{name}": data for name, data in above.items()}
    if request.param == "zip":
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in paths.items():
                archive.writestr(name, data)
        return Beside.in_zip(zipfile.ZipFile(buffer), "object/meshes/mesh.obj", "a.zip")
    for name, data in paths.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return Beside.of_file(tmp_path / "object" / "meshes" / "mesh.obj")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", b"near"), ("./a.png", b"near"), (".\\a.png", b"near"), ("A.PNG", b"near"),
        ("C:\\work\\a.png", b"near"), ("/srv/somebody/a.png", b"near"), ('"a.png"', b"near"),
        ("maps\\b.png", b"below"), ("MAPS/B.png", b"below"), ("b.png", b"below"),
        ("my%20file.png", b"space"), ("my file.png", b"space"), ("maps/%C3%9C%201.png", b"umlaut"),
        ("Ü 1.png".encode("latin-1"), b"umlaut"), ("贴图.png".encode("gbk"), b"chinese"),
        ("two\\same.png", b"second"), ("x/one/SAME.png", b"first"), ("far.png", b"above"),
        ("../materials/textures/far.png", b"above"), ("file:///tmp/x/a.png", b"near"),
    ],
)  # fmt: skip
def test_a_file_is_found_by(beside, name, data):
    assert beside.find(name) == data


def test_what_is_missing_is_named(beside):
    with pytest.raises(ViewmaskError, match=r"^gone\.png is missing: it is not in or near "):
        beside.find("gone.png")
    assert beside.name_of("") is None


def test_an_umlaut_in_two_forms_is_one_name(tmp_path):
    (tmp_path / "Gru\u0308n.png").write_bytes(b"green")
    assert Beside.of_file(tmp_path / "a.obj").find("Gr\u00fcn.png") == b"green"


def test_a_zip_s_member_without_the_mark_for_its_encoding_is_found():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("贴图.png".encode("gbk").decode("cp437"), b"chinese")
    data = Beside.in_zip(zipfile.ZipFile(buffer), "a.obj", "a.zip").find("贴图.png")
    assert data == b"chinese"


def test_a_folder_is_no_file(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(ViewmaskError, match="missing"):
        Beside.of_file(tmp_path / "a.obj").find("a.png")


def test_a_member_is_refused_by_what_its_header_claims():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(3 * 2**20))
    archive = zipfile.ZipFile(buffer)
    assert len(unzipped(archive, "a.png", "a.zip")) == 3 * 2**20
    with ceiling(2), pytest.raises(ViewmaskError, match=r"a\.png in a\.zip claims 3 MiB .* may take 2"):
        Beside.in_zip(archive, "a.obj", "a.zip").find("a.png")


def test_a_damaged_member_is_named():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", b"some bytes that shrink shrink shrink shrink")
    data = bytearray(buffer.getvalue())
    data[36:44] = b"\xff" * 8
    with pytest.raises(ViewmaskError, match=r"cannot read a\.png in a\.zip"):
        unzipped(zipfile.ZipFile(io.BytesIO(data)), "a.png", "a.zip")


def test_the_likeliest_spelling_comes_first():
    assert spellings("a%20b\\c.png")[:2] == ["a%20b/c.png", "a b/c.png"]
    assert spellings("Größe.png".encode())[0] == "Größe.png"
