"""Shards: samples of a tar, whatever its compression, read as a stream."""

import io
import tarfile

import pytest

from viewmask.errors import ViewmaskError
from viewmask.views.shard import is_url, samples, unfolded


def tar(path, mode, names):
    with tarfile.open(path, mode) as written:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(name)
            written.addfile(member, io.BytesIO(name.encode()))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_files_in_a_row_are_a_sample(tmp_path, mode):
    tar(tmp_path / "a.tar", mode, ["x/1.png", "x/1.meta.json", "x/2.png", "x/2.txt", "y/2.png", ".hidden"])
    found = list(samples(str(tmp_path / "a.tar"), lambda suffix: suffix != "txt"))
    assert found == [
        ("x/1", {"png": b"x/1.png", "meta.json": b"x/1.meta.json"}),
        ("x/2", {"png": b"x/2.png"}),
        ("y/2", {"png": b"y/2.png"}),
        (".hidden", {"": b".hidden"}),
    ]


def test_a_cut_shard_is_refused(tmp_path):
    tar(tmp_path / "a.tar", "w", ["1.png"] * 40)
    content = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[:700])
    with pytest.raises(ViewmaskError, match=r"cannot read the shard .*a\.tar"):
        list(samples(str(tmp_path / "a.tar")))


def test_places():
    assert unfolded("a{08..10}.tar") == ["a08.tar", "a09.tar", "a10.tar"]
    assert is_url("https://a/b.tar")
    assert not is_url("a/b.tar")
