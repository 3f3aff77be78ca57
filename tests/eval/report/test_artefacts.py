"""What a run leaves to be looked at: the folders, their meshes, and that they belong to the records."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from eval import measure as bench_module
from eval.benches.bench import open_bench
from eval.measure import run
from eval.methods.method import Method
from eval.report.artefacts import Artefacts, safe, surface, textured
from render.surface import Surface
from viewmask.views.viewset import ViewSet


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_lpips", lambda net, weights: (None, []))


def red_and_blue() -> Surface:
    """A unit cube, red where x < 0 and blue elsewhere, of many triangles."""
    cube = trimesh.creation.box((1, 1, 1))
    for _ in range(5):
        cube = cube.subdivide()
    colours = np.where(cube.triangles_center[:, :1] < 0, [[1.0, 0, 0]], [[0, 0, 1.0]]).astype(np.float32)
    blank = np.zeros((len(cube.faces), 3, 3), np.float32)
    return Surface(
        cube.vertices.astype(np.float32), cube.faces.astype(np.int32), np.repeat(colours[:, None], 3, axis=1),
        blank[..., :2], np.full(len(cube.faces), -1, np.int32), [], blank,
    )  # fmt: skip


def test_any_mesh_becomes_light_and_keeps_its_shape_and_colours() -> None:
    mesh = textured(red_and_blue(), faces=400, texture=128)
    assert len(mesh.faces) <= 400
    assert mesh.texture.shape == (128, 128, 3)
    assert mesh.geometry().volume == pytest.approx(1, rel=0.02)
    colours, side = mesh.vertex_colours().astype(int), mesh.vertices[:, 0]
    assert (colours[side < -0.1] == [255, 0, 0]).mean() > 0.97
    assert (colours[side > 0.1] == [0, 0, 255]).mean() > 0.97
    assert textured(mesh) is mesh
    # And once more, now from its texture.
    again = textured(mesh, texture=64)
    assert (again.vertex_colours()[again.vertices[:, 0] > 0.1] == [0, 0, 255]).mean() > 0.97


def test_bare_triangles_are_grey() -> None:
    assert np.ptp(textured(trimesh.creation.icosphere(), texture=32).texture) == 0
    assert isinstance(surface(trimesh.creation.icosphere()), Surface)


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
        assert len(np.unique(mesh.textures[0].reshape(-1, 3), axis=0)) > 1


def test_lost_views_are_made_again(tmp_path: Path) -> None:
    made: list[int] = []

    def copy(_: str, truth: ViewSet) -> list[np.ndarray]:
        made.append(1)
        return [truth.images[0]] * 3

    bench, method = open_bench("demo", limit=2), Method("mine", copy)

    def again() -> int:
        run(bench, method, meshes=False, beside=(), out=tmp_path)
        return len(made)

    assert again() == 2
    assert again() == 2
    (Artefacts(tmp_path, "mine").place(bench.subjects[0].id) / "transforms.json").unlink()
    assert again() == 3
    assert again() == 3
