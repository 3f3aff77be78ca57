"""`viewmask app`: what it refuses before it opens, and that it ends when told."""

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.viewmask.app.conftest import until
from tests.viewmask.test_generator import random_weights

uvicorn = pytest.importorskip("uvicorn")


def test_others_need_a_password(shell):
    assert "give --auth USER:PASSWORD, too" in shell("app", "--host", "0.0.0.0").error
    for wrong in ("ann", "ann:", ":secret"):
        assert "--auth wants USER:PASSWORD" in shell("app", "--host", "0.0.0.0", "--auth", wrong).error


def test_a_port_that_is_taken_is_named(shell):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1, port {port}" in shell("app", "--port", port, "--no-browser").error
    assert (
        "there is no address nowhere.invalid here" in shell("app", "--host", "nowhere.invalid", "--auth", "a:b").error
    )


def test_without_its_packages_it_says_what_to_install(shell, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert "viewmask-1-to-3[app]" in shell("app").error


def test_a_folder_that_cannot_be_written_is_refused(shell):
    Path("notes.txt").write_text("mine")
    assert "notes.txt" in shell("app", "--out", "notes.txt/inside", "--no-browser").error


@pytest.mark.parametrize("word", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_and_leaves_nothing(tmp_path, word):
    code = "from viewmask_cli.main import run; run()"
    place = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", code, "app", "--no-browser", "--weights", random_weights(tmp_path / "weights")],
        env=os.environ | place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", address)
        port = int(address.rsplit(":")[-1])
        answer = until(lambda: answered(port), bool)
        assert b"<title>viewmask</title>" in answer
        process.send_signal(word)
        error = process.communicate(timeout=120)[1]
    assert error.splitlines() == ["loading the model", "the page is open there; Ctrl-C ends it"]
    assert process.returncode == (-word if word == signal.SIGTERM else 0)
    assert not list(tmp_path.glob("viewmask-app-*"))


def answered(port: int) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
            return answer.read()
    except OSError:
        return b""


def test_wrong_weights_are_refused_before_anything_is_open(shell):
    Path("weights").mkdir()
    assert "no checkpoint at weights" in shell("app", "--weights", "weights", "--no-browser").error
