"""Where results go: folder names, what may be overwritten, what was written last."""

import json

import numpy as np
import pytest

from viewmask.errors import ViewmaskError
from viewmask.pipeline import write_views
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet
from viewmask_cli import output


def views(count: int = 2) -> ViewSet:
    images = [np.full((16, 16, 4), 200, np.uint8) for _ in range(count)]
    return ViewSet(images, orbit(count, size=16), {"caption": "a grey square"})


def test_views_are_written_and_named(tmp_path, capsys):
    files = write_views(views(), tmp_path / "chair")
    assert [file.name for file in files] == ["000.png", "001.png", "transforms.json", "sheet.png"]
    assert all(file.stat().st_size for file in files)
    output.say(False, {}, files)
    assert capsys.readouterr().out == f"wrote {tmp_path}/chair/ {tmp_path}/chair/sheet.png\n"


def test_our_folder_may_be_replaced_and_a_stranger_s_may_not(tmp_path):
    folder = tmp_path / "chair"
    write_views(views(), folder)
    output.check_folder(folder, force=False)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ViewmaskError, match=r"holds notes\.txt.*--force"):
        output.check_folder(folder, force=False)
    output.check_folder(folder, force=True)


def test_somebody_s_own_capture_is_not_ours_though_it_looks_alike(tmp_path):
    views().save(tmp_path / "capture")
    with pytest.raises(ViewmaskError, match=r"holds transforms\.json"):
        output.check_folder(tmp_path / "capture", force=False)


def test_sub_folders_of_samples_are_ours(tmp_path):
    write_views(views(), tmp_path / "chair" / "000")
    output.check_folder(tmp_path / "chair", force=False)
    (tmp_path / "chair" / "000" / "thesis.tex").write_text("mine")
    with pytest.raises(ViewmaskError, match="not made by viewmask"):
        output.check_folder(tmp_path / "chair", force=False)


def test_a_file_in_the_folder_s_place_is_named(tmp_path):
    (tmp_path / "chair").write_text("mine")
    with pytest.raises(ViewmaskError, match="is a file"):
        output.check_folder(tmp_path / "chair", force=False)


def test_force_does_not_remove_the_folder_one_stands_in(tmp_path):
    for path in (tmp_path / "here", tmp_path, tmp_path.parent):
        with pytest.raises(ViewmaskError, match="would remove"):
            output.check_folder(path, force=True)


def test_a_file_may_be_overwritten_only_if_we_wrote_it_last(tmp_path):
    mesh = tmp_path / "mesh.glb"
    output.check_file(mesh, force=False)
    mesh.write_bytes(b"somebody's")
    with pytest.raises(ViewmaskError, match="not made by viewmask"):
        output.check_file(mesh, force=False)
    output.check_file(mesh, force=True)
    output.remember([mesh])
    output.check_file(mesh, force=False)
    mesh.write_bytes(b"edited since")
    with pytest.raises(ViewmaskError, match="not made by viewmask"):
        output.check_file(mesh, force=False)


def test_a_folder_in_the_file_s_place_is_named(tmp_path):
    with pytest.raises(ViewmaskError, match="is a folder"):
        output.check_file(tmp_path, force=True)


def test_the_views_written_last_are_found_again(tmp_path):
    with pytest.raises(ViewmaskError, match="no views were written yet"):
        output.last_views()
    for name in ("first", "second"):
        output.remember(write_views(views(), tmp_path / name), views=tmp_path / name)
    assert output.last_views()[0].resolve() == tmp_path / "second"
    (tmp_path / "second" / "transforms.json").unlink()
    with pytest.raises(ViewmaskError, match="are gone"):
        output.last_views()


def test_a_damaged_state_file_is_as_good_as_none(tmp_path):
    state = tmp_path / "state" / "viewmask" / "last.json"
    state.parent.mkdir(parents=True)
    for text in ("{", "[1]", '{"views": 3, "files": 4}'):
        state.write_text(text)
        with pytest.raises(ViewmaskError, match="no views were written yet"):
            output.last_views()
        output.remember(write_views(views(), tmp_path / "chair"), views=tmp_path / "chair")
        assert list(json.loads(state.read_text())["views"].values()) == [str(tmp_path / "chair")]


def test_a_home_that_cannot_be_written_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    output.remember([], views=tmp_path)
    with pytest.raises(ViewmaskError, match="no views were written yet"):
        output.last_views()


def test_json_is_the_only_thing_on_standard_output(capsys):
    output.say(True, {"files": ["ä.png"]}, [])
    assert json.loads(capsys.readouterr().out) == {"files": ["ä.png"]}
