"""Sources: files, folders, indexes and zips, and names that are safe and single."""

import json
import zipfile

import numpy as np
import pytest

from render.ceiling import ceiling
from render.job import render_one
from render.settings import Settings
from render.solid import Solid
from render.source import find
from render.vessel import Vessel
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


def test_files_of_one_name_are_as_many_objects_whatever_their_folders(tmp_path):
    names = ["ShoeA/meshes/model.obj", "CupB/meshes/model.obj", "CupB/meshes/model.ply", "x/A.glb", "y/a.glb"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {source.id: source.path for source in find(tmp_path)}
    assert set(found) == {"ShoeA_meshes_model", "CupB_meshes_model_obj", "CupB_meshes_model_ply", "x_A", "y_a"}
    assert [source.id for source in find(tmp_path)] == [source.id for source in find(tmp_path)]
    turned = [tmp_path / name for name in reversed(names)]
    assert {source.id: source.path for source in find(turned)} == found


def test_names_that_only_signs_tell_apart_stay_two(tmp_path):
    for name in ("a b.glb", "a_b.glb"):
        (tmp_path / name).touch()
    assert len({source.id.lower() for source in find(tmp_path)}) == 2


def test_a_file_that_is_named_twice_is_one_object(tmp_path, monkeypatch):
    (tmp_path / "a.glb").touch()
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [source.id for source in find([tmp_path / "a.glb", "a.glb", tmp_path / "x" / ".." / "a.glb"])] == ["a"]


def test_members_of_two_zips_are_told_apart(tmp_path):
    for name in ("one", "two"):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            archive.writestr("meshes/model.obj", "")
            archive.writestr("__MACOSX/meshes/._model.obj", "")
    found = [source.id for source in find([tmp_path / "one.zip", tmp_path / "two.zip"])]
    assert found == ["one.zip_meshes_model", "two.zip_meshes_model"]
    assert [source.id for source in find(tmp_path / "one.zip")] == ["meshes_model"]


def test_a_file_of_another_kind_and_a_slip_say_what_to_do(tmp_path):
    (tmp_path / "note.txt").touch()
    (tmp_path / "chair.glb").touch()
    with pytest.raises(ViewmaskError, match=r"note\.txt is no mesh that is read here: give \.glb"):
        find(tmp_path / "note.txt")
    with pytest.raises(ViewmaskError, match=r"did you mean .*chair\.glb"):
        find(tmp_path / "chiar.glb")
    with pytest.raises(ViewmaskError, match="there is no folder"):
        find(tmp_path / "gone" / "chair.glb")
    with pytest.raises(ViewmaskError, match="nothing matches the pattern"):
        find(str(tmp_path / "*.ply"))


def test_a_mesh_in_a_zip_finds_what_lies_beside_it_and_a_bomb_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/a.obj", "mtllib M.MTL\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
        archive.writestr("x/m.mtl", "newmtl m\nKd 1 0 0\n")
        archive.writestr("x/b.ply", bytes(2**22))
    good, bomb = find(tmp_path / "a.zip")
    assert good.surface().colours[0, 0].tolist() == [1, 0, 0]
    with ceiling(3), pytest.raises(ViewmaskError, match=r"x/b\.ply in .* claims 4 MiB of memory"):
        bomb.surface()


@pytest.mark.parametrize("kind", [Solid, Vessel])
def test_seeds_are_objects_of_their_own_and_rendered_as_any_source_is(kind):
    shapes = [kind.of(seed).surface().vertices for seed in (1, 1, 2)]
    assert np.array_equal(shapes[0], shapes[1])
    assert not np.array_equal(shapes[0], shapes[2])
    assert kind.of(1).id == f"{kind.__name__.lower()}-000001"
    views = render_one(kind.of(1), Settings(views=2, size=32))
    assert all(image[..., 3].any() for image in views.images)
