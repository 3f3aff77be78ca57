"""What Python sees of the package: its names, its version, and strangers' packages of the same names."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import viewmask
from recon.mesh import TexturedMesh
from tests.viewmask.test_generator import random_weights
from viewmask import Generator, ViewSet
from viewmask.errors import ViewmaskError
from viewmask.version import VERSION
from viewmask.views.making import KEY

ROOT = Path(__file__).parents[2]


def python(folder, *words):
    paths = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], cwd=folder, env=paths, capture_output=True, text=True, check=False)


def test_every_public_name_is_there_and_listed():
    assert set(viewmask.__all__) <= set(dir(viewmask))
    assert {name for name in dir(viewmask) if not name.startswith("__")} - {"pipeline"} < set(viewmask.__all__)
    for name in viewmask.__all__:
        assert getattr(viewmask, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        viewmask.nothing  # noqa: B018


def test_the_version_stands_in_one_place():
    assert viewmask.__version__ == VERSION
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "viewmask/version.py"
    assert f"version: {VERSION}" in (ROOT / "CITATION.cff").read_text()


@pytest.mark.parametrize("name", ["recon", "render", "eval"])
@pytest.mark.parametrize("kind", ["module", "package"])
def test_a_stranger_s_package_is_named_and_not_taken_for_ours(tmp_path, name, kind):
    (tmp_path / name).mkdir() if kind == "package" else None
    file = tmp_path / (f"{name}/__init__.py" if kind == "package" else f"{name}.py")
    file.write_text("")
    (tmp_path / "script.py").write_text("from viewmask import ViewSet\nfrom viewmask import reconstruct\n")
    done = python(tmp_path, "script.py")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith(f"{file} hides viewmask's own package '{name}': rename it or move it")
    (tmp_path / "script.py").write_text("from viewmask import ViewSet, orbit\nprint(len(orbit(3)))\n")
    assert python(tmp_path, "script.py").stdout == "3\n"  # what needs none of them works


def test_a_folder_without_python_in_it_is_in_nobody_s_way(tmp_path):
    for name in ("recon", "render", "eval"):
        (tmp_path / name).mkdir()
    (tmp_path / "script.py").write_text("from viewmask import reconstruct\nprint(reconstruct.__module__)\n")
    assert python(tmp_path, "script.py").stdout == "recon.reconstructor\n"


def test_it_runs_as_a_module_beside_strangers(tmp_path):
    (tmp_path / "render.py").write_text("raise SystemExit('a stranger')")
    done = python(tmp_path, "-m", "viewmask", "--version")
    assert (done.stdout, done.stderr) == (f"{VERSION}\n", "")


@pytest.fixture
def generator(tmp_path):
    return Generator.load(random_weights(tmp_path / "weights", {"mixture": {"photo": 0.5}}))


def test_any_picture_is_cut_out_the_same_way(generator, tmp_path):
    array = np.full((60, 90, 3), 240, np.uint8)
    array[10:50, 30:70] = (200, 30, 30)
    Image.fromarray(array).save(tmp_path / "p.png")
    sources = [tmp_path / "p.png", str(tmp_path / "p.png"), Image.fromarray(array), array]
    first, *others = (generator.from_image(source, steps=1) for source in sources)
    assert all(np.array_equal(*pair) for other in others for pair in zip(first.images, other.images, strict=True))
    assert first.extra[KEY]["cutout"] == "plain"
    assert "the object was cut out by its plain background" in first.notes


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4)), np.zeros((4, 4, 2), np.uint8), np.zeros((0, 4), np.uint8), np.zeros(4, np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused(generator, wrong):
    with pytest.raises(ViewmaskError, match="a picture is a uint8 array"):
        generator.from_image(wrong)


def test_a_device_that_is_not_there_is_one_clear_line():
    with pytest.raises(ViewmaskError, match="there is no device 'gpu': choose auto, cpu, cuda or mps"):
        Generator.load(device="gpu")


def test_views_index_iterate_and_show_themselves(generator):
    views = generator.from_text("a <red> chair", steps=1, draws=1)
    assert [camera for _, camera in views] == views.cameras
    assert views[1].image is views.images[1]
    assert views[-1].camera is views.cameras[3]
    part = views[1:3]
    assert isinstance(part, ViewSet)
    assert (len(part), part.caption, KEY in part.extra) == (2, "a <red> chair", False)
    assert repr(views) == "<ViewSet: 4 views of 256x256, 'a <red> chair', azimuths 0°, 90°, 180°, 270°>"
    assert repr(views[1]) == "<View: 256x256, azimuth 90°, elevation 30°>"
    shown = views._repr_html_()
    assert "data:image/png;base64," in shown
    assert "a &lt;red&gt; chair" in shown
    assert views[0]._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(IndexError):
        views[4]


def test_a_mesh_shows_itself(monkeypatch, tmp_path):
    views = viewmask.render(Mesh(), views=4, size=48)
    assert len(views) == 4
    mesh = viewmask.reconstruct(views, faces=200, texture=64, resolution=24)
    assert isinstance(mesh, TexturedMesh)
    assert repr(mesh).startswith("<TexturedMesh: ")
    assert "watertight" in repr(mesh)
    shown = mesh._repr_html_()
    assert shown.startswith("<iframe srcdoc=")
    assert shown.count('"') == 4  # what is inside is escaped
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    page = mesh.show()
    assert opened == [page.as_uri()]
    assert "<TexturedMesh" not in page.read_text()  # escaped in the title


class Mesh:
    """A mesh in memory."""

    def glb(self):
        import trimesh

        return trimesh.creation.box(extents=(0.5, 1, 0.7)).export(file_type="glb")
