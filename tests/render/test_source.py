"""Sources: files, folders, indexes and zips, and names that are safe and single."""

import json
import zipfile

import pytest

from render.source import find
from viewmask.errors import ViewmaskError


def index(folder, *records, archive=None):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    if archive:
        with zipfile.ZipFile(folder / archive, "w") as file:
            for record in records:
                file.writestr(record["file"], f"bytes of {record['id']}")
    return folder / "index.jsonl"


def record(name, split="train", **more):
    return {"id": name, "file": f"{name}.glb", "zip": "a.zip", "split": split, "captions": [f"a {name}"]} | more


def test_an_index_gives_objects_with_what_it_says_of_them(tmp_path):
    path = index(tmp_path, record("cup", license="MIT", faces=12), record("hat", "val"), archive="a.zip")
    cup, hat = find(path)
    assert (cup.id, cup.file_type, cup.read()) == ("cup", "glb", b"bytes of cup")
    assert cup.about == {"captions": ["a cup"], "license": "MIT", "split": "train"}
    assert [source.id for source in find(tmp_path, split="val")] == [hat.id]


def test_an_index_may_name_plain_files(tmp_path):
    index(tmp_path, {"id": "cup", "file": "meshes/cup.ply"})
    (source,) = find(tmp_path)
    assert (source.read(), source.file_type) == (tmp_path / "meshes/cup.ply", "ply")


def test_files_and_folders_of_files_are_found(tmp_path):
    for name in ("b/x.glb", "b/c/y.OBJ", "b/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert [source.id for source in find(tmp_path / "b")] == ["y", "x"]
    assert [source.id for source in find([tmp_path / "b" / "x.glb"])] == ["x"]


def test_files_of_one_name_are_told_apart_by_their_folder(tmp_path):
    for name in ("cup/mesh.glb", "hat/mesh.glb"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    assert [source.id for source in find(tmp_path)] == ["cup_mesh", "hat_mesh"]


@pytest.mark.parametrize("name", ["../../etc/x", "..", "a/b", " sp ace ", ".hidden"])
def test_a_name_never_leaves_its_folder(tmp_path, name):
    index(tmp_path, {"id": name, "file": "a.glb"})
    (source,) = find(tmp_path)
    assert "/" not in source.id
    assert not source.id.startswith(".")
    assert (tmp_path / "out" / source.id).resolve().parent == (tmp_path / "out").resolve()


@pytest.mark.parametrize(
    ("line", "reason"),
    [("{", "line 2"), ('{"id": "a"}', "line 2"), ("[]", "line 2"), (json.dumps(record("cup")), "two objects")],
)
def test_a_damaged_index_is_named_with_its_line(tmp_path, line, reason):
    path = index(tmp_path, record("cup"))
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ViewmaskError, match=reason):
        find(path)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ViewmaskError, match=r"no mesh file at .*gone\.glb"):
        find(tmp_path / "gone.glb")
    with pytest.raises(ViewmaskError, match="no mesh in the folder"):
        find(tmp_path)
    index(tmp_path, record("cup"))
    with pytest.raises(ViewmaskError, match=r"cannot read cup\.glb"):
        find(tmp_path)[0].read()
