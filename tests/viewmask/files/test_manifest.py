"""The manifest: what was written is read again, and a last line cut short is let go."""

import pytest

from viewmask.errors import ViewmaskError
from viewmask.files.manifest import Manifest


def test_records_are_read_again_the_last_one_of_an_id_holding(tmp_path):
    path = tmp_path / "deep" / "manifest.jsonl"
    with Manifest(path) as manifest:
        manifest.append({"id": "a", "status": "failed", "reason": "Größe"})
        manifest.append({"id": "b", "status": "ok"})
        manifest.append({"id": "a", "status": "ok"})
    with Manifest(path) as again:
        assert again.records == {"a": {"id": "a", "status": "ok"}, "b": {"id": "b", "status": "ok"}}
    assert len(path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("tail", [b'{"id": "b", "sta', b'{"id": "b"}', b"\xff\xfe", b"[]\n", b"{}\n"])
def test_a_tail_that_is_no_whole_record_is_dropped_and_written_over(tmp_path, tail):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"id": "a"}\n' + tail)
    with Manifest(path) as manifest:
        manifest.append({"id": "c"})
    assert path.read_bytes() == b'{"id": "a"}\n{"id": "c"}\n'


def test_a_damaged_line_takes_none_of_those_behind_it_away(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"id": "a"}\n\n{"id": "b"}\n')
    with Manifest(path) as manifest:
        assert [*manifest.records] == ["a", "b"]
    content = b'{"id": "a"}\n{"id": "b", "sta\n{"id": "c"}\n'
    path.write_bytes(content)
    with pytest.raises(ViewmaskError, match=r"line 2 of .*manifest\.jsonl is damaged"):
        Manifest(path)
    assert path.read_bytes() == content


def test_a_record_without_its_end_of_line_is_neither_on_disk_nor_in_memory(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"id": "a"}\n{"id": "b"}')
    with Manifest(path) as manifest:
        assert [*manifest.records] == ["a"]


def test_a_name_that_is_no_unicode_comes_back(tmp_path):
    path, name = tmp_path / "manifest.jsonl", "caf\udce9.png"
    with Manifest(path) as manifest:
        manifest.append({"id": name})
    with Manifest(path) as again:
        assert [*again.records] == [name]


def test_a_first_record_cut_short_is_dropped_too(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_bytes(b'{"id": "a", "sta')
    with Manifest(path) as manifest:
        assert manifest.records == {}
    assert path.read_bytes() == b""


@pytest.mark.parametrize("content", [b"dear diary\n", b"no end of line", b'{\n "id": "a"\n}\n'])
def test_somebody_elses_file_is_left_alone(tmp_path, content):
    path = tmp_path / "diary.txt"
    path.write_bytes(content)
    with pytest.raises(ViewmaskError, match="something else than records"):
        Manifest(path)
    assert path.read_bytes() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ViewmaskError, match="cannot write"):
        Manifest(tmp_path / "file" / "manifest.jsonl")
