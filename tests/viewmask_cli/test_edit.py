"""`viewmask edit` as a shell sees it; the model itself is faked, and tested elsewhere."""

import json
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

import viewmask.generator
from viewmask import pipeline
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


class Words:
    """A lexicon that knows every word."""

    things: ClassVar[dict[str, int]] = {}
    vocabulary = SimpleNamespace(fitting=lambda text: text)

    @staticmethod
    def unfamiliar(text):
        return []

    @staticmethod
    def familiar(text):
        return text


class FakeGenerator:
    """Paints every region blue, and remembers what it was asked."""

    calls: ClassVar[list[tuple]] = []
    weights = SimpleNamespace(lexicon=Words())

    @classmethod
    def load(cls, *_):
        return cls()

    def edit(self, views, regions, caption, **options):
        FakeGenerator.calls.append((regions, caption, options))
        images = [image.copy() for image in views.images]
        for image, region in zip(images, regions, strict=True):
            image[region] = 0, 0, 255, 255
        return ViewSet(images, views.cameras, dict(views.extra))


@pytest.fixture(autouse=True)
def chair(monkeypatch):
    FakeGenerator.calls.clear()
    monkeypatch.setattr(viewmask.generator, "Generator", FakeGenerator)
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 24:40] = 200, 30, 30, 255
    ViewSet([picture] * 4, orbit(4, size=64), {"caption": "a red chair"}).save("chair")


def test_a_region_is_made_anew_in_its_place_in_every_view(shell):
    done = shell("edit", "chair", "--region", "20,30,24,20", "--text", "a blue chair", "--seed", 4)
    assert done.code == 0, done.err
    assert done.out == "wrote chair-edited/ chair-edited/sheet.png\n"
    ((regions, caption, options),) = FakeGenerator.calls
    assert caption == "a blue chair"
    assert options["seed"] == 4
    assert [bool(region.any()) for region in regions] == [True] * 4
    assert regions[0].sum() == 480
    before, after = ViewSet.load("chair"), ViewSet.load("chair-edited")
    assert (after.images[0] != before.images[0]).any()


def test_of_one_view_no_other_changes(shell):
    done = shell("edit", "chair", "--region", "20,30,24,20", "--view", 2, "--out", "new", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["out"] == "new"
    before, after = ViewSet.load("chair"), ViewSet.load("new")
    same = [np.array_equal(a, b) for a, b in zip(before.images, after.images, strict=True)]
    assert same == [True, True, False, True]


def test_a_second_edit_leaves_the_first(shell):
    first = shell("edit", "chair", "--region", "20,30,24,20", "--view", 1)
    second = shell("edit", "chair", "--region", "20,30,24,20", "--view", 2)
    assert first.out.startswith("wrote chair-edited/ ")
    assert second.out.startswith("wrote chair-edited-2/ ")


def test_views_of_which_no_mesh_can_be_made_are_kept_and_named(shell, monkeypatch):
    def refuse(*_, **__):
        raise ViewmaskError("nothing in common")

    monkeypatch.setattr(pipeline, "write_mesh", refuse)
    done = shell("edit", "chair", "--region", "20,30,24,20", "--mesh")
    assert done.error == "no mesh: nothing in common (the views are in chair-edited)"


def test_views_that_contradict_each_other_are_said_to(shell):
    done = shell("edit", "chair", "--region", "0,0,64,64", "--view", 2)
    assert "repeat another one" in done.err


def test_the_mesh_follows(shell):
    done = shell("edit", "chair", "--region", "20,30,24,20", "--mesh")
    assert done.code == 0, done.err
    assert "chair-edited/mesh.glb" in done.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["chair", "--region", "1,2,3"], "x,y,w,h in pixels, not '1,2,3'"),
        (["chair", "--region", "60,0,10,10"], "leaves the view"),
        (["chair", "--region", "1,1,5,5", "--view", 4], "there is no view 4: chair has views 0 to 3"),
        (["chair", "--region", "1,1,5,5", "--out", "chair"], "--out is the folder of the views themselves"),
        (["nothing", "--region", "1,1,5,5"], "nothing"),
        (["chair"], "region"),
        (["chair", "--region", "small.png"], "is 8x8, the view 64x64"),
    ],
)
def test_what_goes_wrong_is_one_line_and_writes_nothing(shell, tmp_path, words, says):
    Image.new("L", (8, 8), 255).save("small.png")
    assert says in shell("edit", *words).error
    assert not FakeGenerator.calls
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["chair", "small.png"]
