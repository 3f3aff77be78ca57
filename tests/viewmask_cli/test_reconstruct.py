"""`viewmask reconstruct`."""

import json
import re

import pytest

from viewmask.files import atomic
from viewmask_cli.render import render

QUICK = ("--faces", 200, "--texture", 64)


@pytest.fixture
def views(capsys):
    """The demo chair, rendered, as what was written last."""
    render(views=4, size=32)
    capsys.readouterr()


def test_it_takes_the_views_written_last_and_says_which(shell, views):
    done = shell("reconstruct", *QUICK)
    assert done.code == 0
    facts = r"watertight, \d components?, \d+ faces, size 0\.\d\d x 0\.\d\d x \d\.\d\d, \+Y up"
    assert re.fullmatch(rf"wrote views/chair/mesh\.glb \({facts}\)\n", done.out)
    assert "taking the views written last in this terminal: views/chair" in done.err


def test_a_second_run_overwrites_its_own_files_only(shell, views, tmp_path):
    chosen = ("reconstruct", "views/chair", *QUICK, "--out", "chair.glb")
    assert shell(*chosen).code == 0
    assert shell(*chosen).code == 0
    mesh = tmp_path / "here" / "chair.glb"
    mesh.write_bytes(b"mine")
    assert "chair.glb exists and was not made by viewmask" in shell(*chosen).error
    assert mesh.read_bytes() == b"mine"
    assert shell(*chosen, "--force").code == 0
    assert mesh.read_bytes() != b"mine"


def test_the_files_beside_an_obj_are_guarded_too(shell, views, tmp_path):
    texture = tmp_path / "here" / "chair.png"
    texture.write_bytes(b"mine")
    assert "chair.png exists" in shell("reconstruct", *QUICK, "--out", "chair.obj").error
    assert texture.read_bytes() == b"mine"


@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "stl"])
def test_the_suffix_picks_the_format_and_json_names_every_file(shell, views, tmp_path, suffix):
    import trimesh

    done = shell("reconstruct", *QUICK, "--out", f"chair.{suffix}", "--json")
    said = json.loads(done.out)
    files = said["files"]
    assert said["mesh"]["watertight"]
    assert said["mesh"]["up"] == "+Y"
    assert files[0] == f"chair.{suffix}"
    assert sorted(files) == sorted(path.name for path in (tmp_path / "here").glob("chair.*"))
    assert 0 < len(trimesh.load(files[0], force="mesh").faces) <= 220


def test_a_grid_of_views_from_elsewhere(shell, tmp_path):
    import numpy as np
    from PIL import Image

    from recon.sheet import SHEETS
    from render.demo import demo_objects
    from render.raycast import render

    cameras = [camera.resized(48, 48) for camera in SHEETS["zero123plus"].cameras]
    images = render(demo_objects()["car"].surface(), cameras)
    sheet = np.vstack([np.hstack(images[row : row + 2]) for row in (0, 2, 4)])
    Image.fromarray(sheet).save(tmp_path / "here" / "grid.png")
    done = shell("reconstruct", "grid.png", "--layout", "zero123plus", *QUICK)
    assert done.out.startswith("wrote grid.glb (watertight, ")


def test_3mf_says_that_it_is_up_along_z(shell, views):
    assert shell("reconstruct", *QUICK, "--resolution", 24, "--out", "chair.3mf").out.endswith("+Z up)\n")


def test_a_print_is_told_in_millimetres(shell, views, tmp_path):
    done = shell("reconstruct", *QUICK, "--print-size", 80)
    assert re.search(r"wrote views/chair/mesh\.3mf \(.*, size [\d.]+ x [\d.]+ x 80\.00 mm, \+Z up\)", done.out)
    told = json.loads(shell("reconstruct", *QUICK, "--print-size", 25.5, "--out", "chair.stl", "--json").out)["mesh"]
    assert (max(told["size"]), told["unit"], told["up"]) == (25.5, "mm", "+Z")
    assert "chair.obj is for no printer" in shell("reconstruct", "--print-size", 80, "--out", "chair.obj").error
    assert "leave them out of a batch" in shell("reconstruct", "views/chair", "views/chair", "--print-size", 80).error
    assert not (tmp_path / "here" / "chair.obj").exists()


def test_a_page_can_be_had(shell, views, tmp_path):
    done = shell("reconstruct", *QUICK, "--out", "a.glb", "--page", "a.html")
    assert done.out.startswith("wrote a.glb a.html (watertight, ")
    assert "<html" in (tmp_path / "here" / "a.html").read_text()


def test_the_field_can_be_had_and_guards_its_name(shell, views, tmp_path):
    import numpy as np

    chosen = ("reconstruct", "views/chair", *QUICK, "--resolution", 24, "--out", "a.glb", "--raw")
    assert shell(*chosen).out.startswith("wrote a.glb a.npz (watertight, ")
    with np.load("a.npz", allow_pickle=False) as field:
        assert sorted(field) == ["origin", "pitch", "values"]
    (tmp_path / "here" / "a.npz").write_bytes(b"mine")
    assert "a.npz exists and was not made by viewmask" in shell(*chosen).error


def test_a_field_of_one_s_own(shell, views, tmp_path):
    import torch

    from recon.field import Field, FieldConfig
    from viewmask.learning import checkpoint

    torch.manual_seed(0)
    config = FieldConfig(size=32, features=8, widths=(8, 8, 8), resolution=8, decoder=8)
    checkpoint.save(tmp_path / "here" / "mine", Field(config), config, {})
    chosen = ("reconstruct", "views/chair", *QUICK, "--resolution", 24)
    assert shell(*chosen, "--out", "a.glb").code == 0
    assert shell(*chosen, "--out", "b.glb", "--weights", "mine").code == 0
    assert (tmp_path / "here" / "a.glb").read_bytes() != (tmp_path / "here" / "b.glb").read_bytes()
    wrong = shell(*chosen, "--out", "c.glb", "--weights", "mine", "--method", "hull").error
    assert "hull uses no weights" in wrong
    assert "no checkpoint at views" in shell(*chosen, "--out", "c.glb", "--weights", "views").error


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "no views were written yet"),
        (["nowhere"], "no view set in nowhere"),
        (["capture"], "is no picture that can be read here"),
        (["capture", "--out", "a.step"], "has no suffix of a mesh format"),
        (["capture", "--out", "mesh"], "has no suffix of a mesh format"),
        (["capture/000.png"], "name the generator that wrote it"),
        (["--layout", "mvadapter"], "needs a picture"),
        (["nowhere", "--method", "magic"], "no method 'magic' here: choose field or hull"),
        (["."], ". holds folders of posed views: name one of them, as capture"),
        (["capture", "--out", "capture/000.png/a.glb"], "cannot write capture/000.png/a.glb: Not a directory"),
        (["capture", "--page", "capture/000.png/p.html"], "cannot write capture/000.png/p.html"),
    ],
)
def test_what_goes_wrong_is_one_line(shell, tmp_path, words, says):
    folder = tmp_path / "here" / "capture"
    folder.mkdir()
    (folder / "000.png").write_bytes(b"\x89PNG cut short")
    pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1.5], [0, 0, 0, 1]]
    frame = {"file_path": "000.png", "transform_matrix": pose}
    (folder / "transforms.json").write_text(json.dumps({"frames": [frame]}))
    assert says in shell("reconstruct", *words).error


def test_a_full_disk_leaves_nothing_half_written(shell, views, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(atomic, "_sync", full)
    assert "No space left" in shell("reconstruct", "views/chair", *QUICK, "--out", "chair.glb").error
    assert not list((tmp_path / "here").glob("*chair*.glb"))


def test_a_file_that_is_no_view_set_is_called_so(shell):
    with open("note.txt", "w") as file:
        file.write("hello")
    done = shell("reconstruct", "note.txt")
    assert done.code == 2
    assert done.error.startswith("note.txt is a file: name a folder of posed views")
