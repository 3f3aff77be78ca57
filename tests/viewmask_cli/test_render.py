"""`viewmask render`."""

import json
from dataclasses import astuple, fields, replace

import pytest

from render.settings import Limits, Settings
from viewmask.views.viewset import ViewSet
from viewmask_cli import output
from viewmask_cli.render import render

SMALL = ("--size", 24, "--views", 3)


def test_without_a_mesh_a_demo_object_is_rendered(shell):
    done = shell("render", *SMALL)
    assert (done.code, done.out) == (0, "wrote views/chair/\n")
    views = ViewSet.load("views/chair")
    assert [image.shape for image in views.images] == [(24, 24, 4)] * 3
    assert [camera.azimuth for camera in views.cameras] == pytest.approx([0, 120, 240])
    assert str(output.last_views()[0]) == "views/chair"


def test_json_holds_the_manifest_and_nothing_else(shell):
    done = shell("render", *SMALL, "--out", "a", "--json")
    record = json.loads(done.out)
    assert [(item["id"], item["status"]) for item in record["objects"]] == [("chair", "ok")]


def test_a_program_can_call_it_with_the_defaults_of_the_settings(tmp_path):
    defaults = dict(zip(render.__code__.co_varnames, render.__defaults__ or (), strict=False))
    settings = {field.name: field.default for field in fields(Settings)} | {"passes": ""}
    assert {name: value for name, value in defaults.items() if name in settings} == {
        name: value for name, value in settings.items() if name != "strength"
    }
    limits = (defaults["time_limit"], defaults["recycle"], defaults["memory"])
    assert limits == astuple(Limits())
    (record,) = render(out=tmp_path / "views", views=1, size=16)
    assert record["status"] == "ok"


def test_every_option_reaches_the_picture_by_its_name(shell):
    """Options are laid into `Settings` by hand: one in the place of another would be seen here."""
    words = (
        *("--views", 2, "--elevation", 10, "--distance", 2, "--fov", 40, "--size", 24, "--start", 15),
        *("--light", "studio", "--samples", 3, "--seed", 5, "--up", "z", "--passes", "depth,normal"),
    )
    assert shell("render", *words).code == 0
    settings = Settings(
        views=2, elevation=10.0, distance=2.0, fov=40.0, size=24, start=15.0, light="studio", samples=3, seed=5,
        up="z", passes=("depth", "normal"),
    )  # fmt: skip
    assert ViewSet.load("views/chair").extra["settings"] == settings.digest
    assert shell("render", *words, "--jitter", "--random-start").code == 0
    again = replace(settings, jitter=True, start="random")
    assert ViewSet.load("views/chair").extra["settings"] == again.digest


def test_a_broken_mesh_is_left_out_and_named(shell, tmp_path):
    from render import demo

    demo.write(tmp_path / "meshes", ["mug"])
    (tmp_path / "meshes" / "broken.glb").write_bytes(b"not a mesh")
    (tmp_path / "meshes" / "index.jsonl").unlink()
    done = shell("render", tmp_path / "meshes", *SMALL)
    assert (done.code, done.out) == (0, "wrote views/mug/\n")
    assert "left out broken: " in done.err
    assert "Traceback" not in done.err


def test_view_sets_of_other_settings_in_the_folder_are_told(shell, tmp_path):
    from render import demo

    demo.write(tmp_path / "meshes", ["mug", "lamp"])
    assert "other settings" not in shell("render", tmp_path / "meshes", *SMALL).err
    assert shell("render", "--status", "views").out.count("other settings") == 0
    done = shell("render", tmp_path / "meshes" / "mug.glb", *SMALL, "--light", "studio")
    assert done.code == 0
    assert "views also holds 1 view set of other settings" in done.err
    assert "others        1" in shell("render", "--status", "views").out


def test_objects_put_together_from_parts_of_others(shell, tmp_path):
    from render import demo

    demo.write(tmp_path / "meshes", ["mug", "lamp"])
    done = shell("render", tmp_path / "meshes", *SMALL, "--composed", 3, "--json")
    records = json.loads(done.out)["objects"]
    assert [record["status"] for record in records] == ["ok"] * 3
    views = ViewSet.load(f"views/{records[0]['id']}")
    assert {part.split("-")[0] for part in views.extra["parts"]} <= {"mug", "lamp", "vessel"}
    again = shell("render", tmp_path / "meshes", *SMALL, "--composed", 4, "--json")
    assert json.loads(again.out)["objects"][:3] == records  # not done again


def test_procedural_objects_are_rendered_from_nothing(shell, tmp_path):
    done = shell("render", *SMALL, "--procedural", 3, "--json")
    records = json.loads(done.out)["objects"]
    assert [record["status"] for record in records] == ["ok"] * 3
    views = ViewSet.load(f"views/{records[0]['id']}")
    assert views.extra["captions"][0].startswith("a")
    for words in (["chair.glb"], ["--split", "train"], ["--composed", 2], ["--license", "CC0"]):
        refused = shell("render", *words, *SMALL, "--procedural", 3)
        assert refused.code == 2
        assert "--procedural reads no meshes" in refused.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing.glb"], "no mesh file at nothing.glb"),
        (["broken.glb"], "nothing was rendered: broken: "),
        (["empty"], "no mesh in the folder empty"),
        (["--distance", "-1"], "distance must be positive"),
        (["--fov", "0"], "field of view"),
        (["--passes", "depth,smell"], "passes are depth, normal, points, not 'smell'"),
        (["--spp", "4"], "for the blender engine"),
        (["--out", "file"], "file is a file"),
        (["--out", "empty/../papers"], "did not make"),
    ],
)
def test_what_goes_wrong_is_one_line(shell, tmp_path, words, says):
    here = tmp_path / "here"
    (here / "broken.glb").write_bytes(b"not a mesh")
    (here / "empty").mkdir()
    (here / "file").write_text("mine")
    (here / "papers").mkdir()
    (here / "papers" / "thesis.tex").write_text("mine")
    assert says in shell("render", *words, *SMALL).error
    assert (here / "papers" / "thesis.tex").read_text() == "mine"
    assert not list(here.glob("**/*.png"))
