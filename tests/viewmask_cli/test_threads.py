"""What is set before torch is loaded."""

import os

import pytest

from viewmask_cli.threads import make_way


@pytest.mark.parametrize(
    ("text", "threads"), [("max 100000", None), ("150000 100000", "2"), ("10000 100000", "1"), ("", None), (None, None)]
)
def test_a_container_s_share_is_kept(tmp_path, monkeypatch, text, threads):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    quota = tmp_path / "cpu.max"
    if text is not None:
        quota.write_text(text)
    environment: dict[str, str] = {}
    make_way(environment, quota)
    assert environment.get("OMP_NUM_THREADS") == threads
    assert (environment["OMP_WAIT_POLICY"], environment["KMP_BLOCKTIME"]) == ("PASSIVE", "0")


def test_what_the_user_set_stays(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000")
    own = {"OMP_WAIT_POLICY": "ACTIVE", "KMP_BLOCKTIME": "200", "OMP_NUM_THREADS": "3"}
    environment = dict(own)
    make_way(environment, tmp_path / "cpu.max")
    assert environment == own
