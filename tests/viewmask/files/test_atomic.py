"""Whether a place could be written: tried before the work, and nothing stays."""

from pathlib import Path

import pytest

from viewmask.errors import ViewmaskError
from viewmask.files import atomic


def test_an_attempt_leaves_nothing_behind(tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for name in ("new", "a/b/c/new.glb", "full", "full/new", "full/mine", "."):
        atomic.attempt(name)
    atomic.attempt(tmp_path / "elsewhere" / "new")
    assert sorted(tmp_path.rglob("*")) == before
    assert Path("full/mine").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine/new", "Not a directory"),
        ("mine/a/new", "Not a directory"),
        ("x" * 300, "too long"),
        ("a/" + "x" * 300, "too long"),
    ],
)
def test_what_cannot_be_written_is_named_as_given(tmp_path, monkeypatch, name, says):
    (tmp_path / "mine").write_text("mine")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ViewmaskError, match=f"^cannot write {name}: .*{says}"):
        atomic.attempt(name)
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_a_folder_that_cannot_be_made(tmp_path):
    if not Path("/proc/self").exists():
        pytest.skip("needs /proc")
    with pytest.raises(ViewmaskError, match="cannot write /proc/nowhere/new"):
        atomic.attempt("/proc/nowhere/new")


def test_what_a_killed_process_leaves_is_known_by_its_name(tmp_path):
    seen = []

    def look(temporary):
        seen.append(temporary.name)
        temporary.write_text("")

    atomic.write_with(tmp_path / "sheet.png", look)
    atomic.write_with(tmp_path / "tour-3.mp4", look)
    with atomic.folder(tmp_path / "a-red-chair", "") as temporary:
        seen.append(temporary.name)
    assert [atomic.unfinished(name) for name in seen] == ["sheet", "tour-3", "a-red-chair"]
    assert atomic.unfinished(".a-red-chair-old-0123abcd") == "a-red-chair"
    assert [atomic.unfinished(name) for name in ("sheet-0123abcd.png", ".gitignore", ".sheet-0123abc.png")] == [
        None
    ] * 3
