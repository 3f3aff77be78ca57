"""What a run leaves to be looked at: the folders, their meshes, and that they belong to the records."""

import json
from pathlib import Path

import numpy as np
import pytest

from eval import measure
from eval.artefacts import Artefacts, safe
from eval.benches import open_bench
from eval.measure import run
from eval.methods.method import Method
from eval.scoring import Scoring
from render.surface import Surface
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import ViewSet


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_lpips", lambda net, weights: (None, []))


def test_names_are_safe() -> None:
    assert safe("views:out/mine") == "views_out_mine"
    assert safe("../..") == "_"
    assert safe("shoe-1.v2") == "shoe-1.v2"


def test_a_run_leaves_views_meshes_and_results(tmp_path: Path) -> None:
    bench = open_bench("demo", limit=1)
    (subject,) = bench.subjects
    result = run(bench, "gt-views", out=tmp_path)
    kept = Artefacts(tmp_path, "gt-views")
    truth, views = ViewSet.load(kept.place(subject.id, "truth")), ViewSet.load(kept.place(subject.id))
    assert np.array_equal(truth.images[2], views.images[2])
    assert views.cameras[1].azimuth == pytest.approx(90)
    assert json.loads((tmp_path / "results.json").read_text())["psnr"] == result.means["psnr"]
    assert json.loads((tmp_path / "records.jsonl").read_text())["id"] == subject.id
    for whose in (None, "truth"):
        mesh = Surface.load(kept.mesh(subject.id, whose))
        assert np.abs(mesh.vertices).max() == pytest.approx(0.5, abs=0.01)
        assert len(np.unique(mesh.textures[0].pixels.reshape(-1, 4), axis=0)) > 1


def test_lost_views_are_made_again(tmp_path: Path) -> None:
    done: list[int] = []

    def copy(_: str, truth: ViewSet) -> list[np.ndarray]:
        done.append(1)
        return [truth.images[0]] * 3

    bench, method = open_bench("demo", limit=2), Method("mine", copy)

    def again() -> int:
        run(bench, method, Scoring(meshes=False, beside=()), out=tmp_path)
        return len(done)

    assert again() == 2
    assert again() == 2
    (Artefacts(tmp_path, "mine").place(bench.subjects[0].id) / TRANSFORMS).unlink()
    assert again() == 3
    assert again() == 3
