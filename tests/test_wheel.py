"""The wheel holds everything that runs, and works outside the tree."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("viewmask", "render", "recon", "eval", "viewmask_cli")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built without a network by the hatchling that stands here."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        check=True, capture_output=True,
    )  # fmt: skip
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """An environment of its own with nothing but the wheel; other packages are borrowed from here."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", "--quiet", wheel],
        check=True, capture_output=True,
    )  # fmt: skip
    # A .pth inside a borrowed folder is not read, so an editable install of the tree does not leak in.
    (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return folder


def run(installed: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a program of that environment from a folder that is not the tree."""
    here = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    here |= {"XDG_STATE_HOME": str(installed / "state"), "OMP_NUM_THREADS": "1"}
    command = [str(installed / "venv" / "bin" / words[0]), *words[1:]]
    return subprocess.run(command, cwd=installed, env=here, capture_output=True, text=True, check=False)


def test_every_file_of_the_rooms_is_inside(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert files - names == set()
    assert {name.split("/")[0] for name in names} - {*ROOMS} == {"viewmask_1_to_3-0.1.0.dist-info"}


def test_the_licence_and_the_credits_are_inside(wheel):
    names = [Path(name).name for name in zipfile.ZipFile(wheel).namelist()]
    assert {"LICENSE", "CREDITS.md"} <= set(names)


def test_the_modules_come_from_the_wheel(installed):
    done = run(installed, "python", "-c", "import viewmask, render; print(viewmask.__file__, render.__file__)")
    places = done.stdout.split()
    assert len(places) == 2
    assert all(place.startswith(str(installed)) for place in places)


def test_the_command_answers_from_another_folder(installed):
    done = run(installed, "viewmask", "--help")
    assert done.returncode == 0
    assert "generate" in done.stdout
    assert done.stderr == ""


def test_the_doctor_finds_all_that_is_needed(installed):
    done = run(installed, "viewmask", "doctor", "--json")
    broken = [row["what"] for row in json.loads(done.stdout) if row["needed"] and not row["works"]]
    shipped = (ROOT / "viewmask" / "weights" / "transformer" / "model.safetensors").is_file()
    assert broken == ([] if shipped else ["shipped weights"])
    assert done.returncode == (2 if broken else 0)
