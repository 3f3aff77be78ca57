"""The pipeline: one path for command line and Python, notes, and the files that it writes."""

import json

import numpy as np
import pytest

from recon.agreement import POOR
from render.demo import demo_objects
from render.raycast import render
from tests.viewmask.test_generator import LEXICON, random_weights, same, with_reranker
from viewmask import Generator, pipeline
from viewmask.errors import ViewmaskError
from viewmask.generator import Draw
from viewmask.views.camera import orbit
from viewmask.views.conventions import MADE_BY
from viewmask.views.viewset import ViewSet


@pytest.fixture
def generator(tmp_path):
    return Generator.load(with_reranker(tmp_path))


@pytest.fixture(scope="module")
def mug():
    cameras = orbit(4, size=64)
    return ViewSet(render(demo_objects()["mug"].surface(), cameras), cameras)


def test_python_and_the_pipeline_give_the_same_views(generator, mug):
    for seed in (0, 1):
        outcome = pipeline.generate(generator, "a red chair", steps=2, seed=seed, draws=3)
        assert same(outcome.views, generator.from_text("a red chair", steps=2, seed=seed, draws=3))
    outcome = pipeline.generate(generator, "a mug", mug.images[0], steps=2)
    assert same(outcome.views, generator.from_reference(mug.images[0], caption="a mug", steps=2))
    assert outcome.notes[0].startswith("these weights were not taught photos")
    assert not any(
        "photos" in note for note in pipeline.generate(generator, "", mug.images[0], as_view=True, steps=2).notes
    )


def test_views_of_a_picture_that_repeat_or_contradict_each_other_are_told(generator, mug, monkeypatch):
    def notes(views):
        monkeypatch.setattr(Generator, "from_reference", lambda *_, **__: views)
        return pipeline.generate(generator, "", mug.images[0], as_view=True).notes

    assert notes(mug) == ()
    front = mug.images[0]
    (repeated,) = notes(ViewSet([front, front, mug.images[2], front], mug.cameras))
    assert repeated == "2 of 4 views repeat another one: a mesh of them is a guess"
    tall, flat = np.zeros_like(front), np.zeros_like(front)
    tall[4:60, 30:34], flat[30:34, 4:60] = 255, 255
    contradicting = notes(ViewSet([tall, flat, tall[:, ::-1], np.roll(flat, 9, axis=0)], mug.cameras))
    assert any(note.startswith("the views agree to ") for note in contradicting)


def test_an_empty_sentence_is_refused(generator):
    with pytest.raises(ViewmaskError, match="the sentence is empty"):
        pipeline.generate(generator, " ")


@pytest.mark.parametrize(("agreement", "told"), [(POOR - 0.01, True), (POOR, False)])
def test_views_that_contradict_each_other_are_told(generator, mug, monkeypatch, agreement, told):
    monkeypatch.setattr(Generator, "draw", lambda *_, **__: Draw(mug, agreement, 0))
    notes = [pipeline.generate(generator, "a cup", draws=draws).notes for draws in (1, 4)]
    if not told:
        assert notes == [(), ()]
        return
    assert notes[0][0].startswith("the views agree to 84%: a mesh of them is a guess; another sentence")
    assert notes[1][0].startswith("the views agree to 84%, none of 4 draws to more: a mesh of them is a guess; another")


def test_what_training_hardly_had_is_told_by_the_lexicon_of_the_weights(tmp_path):
    shipped = Generator.load(random_weights(tmp_path / "shipped"))
    assert pipeline.word_notes(shipped, "a red chair") == []
    (note,) = pipeline.word_notes(shipped, "a blue handle with legs")
    assert note.startswith("training showed nothing that is called 'handle'")
    # Other weights were taught other things.
    handles = LEXICON.taught([["a handle"]])
    for name, text in handles.files().items():
        (tmp_path / "shipped" / "transformer" / name).write_text(text)
    assert pipeline.word_notes(Generator.load(tmp_path / "shipped"), "a blue handle with legs") == []
    # Where nobody counted things, nothing is said of them.
    (tmp_path / "shipped" / "transformer" / "things.json").write_text("{}")
    assert pipeline.word_notes(Generator.load(tmp_path / "shipped"), "a blue handle with legs") == []


def test_views_are_written_with_a_sheet_and_marked_as_ours(mug, tmp_path):
    files = pipeline.write_views(mug, tmp_path / "mug")
    assert [file.name for file in files] == ["000.png", "001.png", "002.png", "003.png", "transforms.json", "sheet.png"]
    assert json.loads((tmp_path / "mug" / "transforms.json").read_text())["made_by"] == MADE_BY
    for ours, written in zip(mug.images, ViewSet.load(tmp_path / "mug").images, strict=True):
        np.testing.assert_array_equal(ours, written)


def test_a_mesh_its_page_and_its_field_are_written(mug, tmp_path):
    steps = []
    files, mesh = pipeline.write_mesh(
        mug, tmp_path / "mug.glb", tmp_path / "mug.html", tmp_path / "mug.npz",
        progress=lambda step, share: steps.append((step, share)), method="hull", faces=300, texture=64,
    )  # fmt: skip
    assert [file.name for file in files] == ["mug.glb", "mug.html", "mug.npz"]
    assert all(file.stat().st_size > 1000 for file in files)
    assert len(mesh.faces) <= 300
    assert steps[-1] == ("writing", 0.96)
    shares = [share for _, share in steps]
    assert shares == sorted(shares)
