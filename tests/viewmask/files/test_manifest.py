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
