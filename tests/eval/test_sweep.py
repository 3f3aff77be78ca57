"""Sweeps: how they are written, what is run, and that the intervals are what statistics says."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from eval import measure as bench_module
from eval import sweep as sweep_module
from eval.benches.bench import Bench, Subject
from eval.measure import Result
from eval.methods.method import Sampling
from eval.sweep import bootstrap, compare, cross, parse, run_sweep, title
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_module, "_lpips", lambda net, weights: (None, []))


def test_sweeps_are_read_and_crossed():
    swept = parse(["schedule=cosine,linear", "steps=4,8,12", "guidance=0.5"])
    assert swept == {"schedule": ["cosine", "linear"], "steps": [4, 8, 12], "guidance": [0.5]}
    settings = cross(swept)
    assert len(settings) == 6
    assert settings[1] == {"schedule": "cosine", "steps": 8, "guidance": 0.5}
    assert title(settings[5]) == "schedule=linear steps=12 guidance=0.5"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["steps"], "written steps=4,8,12"),
        (["steps="], "written steps=4,8,12"),
        (["stepz=4"], "no parameter 'stepz'"),
        (["steps=four"], "not a number"),
        (["steps=4", "steps=8"], "swept twice"),
        (["steps=4,4"], "a value twice"),
    ],
)
def test_what_is_no_sweep_is_said(words, says):
    with pytest.raises(ViewmaskError, match=says):
        parse(words)


def test_two_values_have_a_known_interval():
    # Means of resamples are 0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4.
    wide, narrow = bootstrap([0.0, 1.0], level=0.95), bootstrap([0.0, 1.0], level=0.4)
    assert (wide.mean, wide.low, wide.high) == (0.5, 0.0, 1.0)
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_many_values_have_the_normal_interval():
    values = np.random.default_rng(3).normal(2.0, 0.5, 400)
    interval = bootstrap(values)
    reach = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - reach, abs=0.004)
    assert interval.high == pytest.approx(values.mean() + reach, abs=0.004)
    assert bootstrap(values) == interval


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    drawn = [bootstrap(rng.exponential(1.0, 50) - 1.0, resamples=1000) for _ in range(600)]
    covered = np.mean([interval.low < 0 < interval.high for interval in drawn])
    # Percentile intervals of 50 skewed values cover a little less than 95 %; far less or more is a mistake.
    assert 0.90 < covered < 0.965


def test_one_object_has_no_interval():
    interval = bootstrap([0.3])
    assert (interval.low, interval.high, interval.sure) == (None, None, False)


def test_pairs_are_of_the_same_object_and_see_through_its_difficulty():
    rng = np.random.default_rng(1)
    difficulty = rng.normal(0, 5, 40)  # far larger than the difference
    first = [{"id": str(i), "psnr": 15 + d} for i, d in enumerate(difficulty)]
    second = [{"id": str(i), "psnr": 15.2 + d + rng.normal(0, 0.1)} for i, d in enumerate(difficulty)][::-1]
    interval = compare(first, second, ["psnr", "iou"])["psnr"]
    assert interval.low < 0.2 < interval.high
    assert interval.high - interval.low < 0.1
    assert interval.sure
    assert not compare(first, first, ["psnr"])["psnr"].sure
    # Only objects that both have a figure of count.
    second[0] = {"id": second[0]["id"], "psnr": None}
    assert compare(first, second, ["psnr"])["psnr"].objects == 39


def squares(n: int, seed: int) -> ViewSet:
    pictures = np.zeros((n, 32, 32, 4), np.uint8)
    for i, picture in enumerate(pictures):
        picture[8:24, i + 4 : i + 20] = (60 * seed, 200 - 20 * i, 90, 255)
    return ViewSet(list(pictures), orbit(n, size=32))


@pytest.fixture
def swept(tmp_path: Path) -> sweep_module.Sweep:
    seen: list[tuple[int, int]] = []
    subjects = [Subject(str(i), str(i), lambda n, i=i: squares(n, i), None) for i in range(3)]  # type: ignore[misc]
    bench = Bench("squares", "three squares", "drawn views", subjects)
    result = run_sweep(
        {"views": [4, 8], "method": ["copy", "mirror"]}, bench, meshes=False,
        out=tmp_path / "out", progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(i, 12) for i in range(1, 13)]
    return result


def test_a_sweep_runs_every_setting(swept, tmp_path):
    assert [result.method for result in swept.results] == ["copy", "mirror"] * 2
    assert [len(result.protocol["scored_azimuths"]) for result in swept.results] == [3, 3, 7, 7]
    # The trivial rows are the same for all settings of one number of views: once is enough.
    assert [bool(result.beside) for result in swept.results] == [True, False, True, False]
    differences = swept.differences()
    assert differences[0]["psnr"].mean == 0
    assert differences[1]["psnr"].mean == pytest.approx(swept.results[1].means["psnr"] - swept.results[0].means["psnr"])
    assert (tmp_path / "out" / "views_4_method_copy" / "results.json").is_file()
    record = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert record["settings"][1]["setting"] == {"views": 4, "method": "mirror"}
    assert record["settings"][1]["differences"]["psnr"]["objects"] == 3


def test_its_table_and_csv_say_the_same(swept):
    lines = list(csv.DictReader(io.StringIO(swept.to_csv())))
    psnr = [line for line in lines if line["metric"] == "psnr"]
    assert [(line["views"], line["method"]) for line in psnr] == [
        ("4", "copy"), ("4", "mirror"), ("8", "copy"), ("8", "mirror")
    ]  # fmt: skip
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(swept.table())
    text = console.export_text()
    for line in psnr:
        assert f"{float(line['mean']):.2f}" in text
        assert line is psnr[0] or f"{float(line['low']):+.2f}…{float(line['high']):+.2f}" in text
    assert "too few" in text
    assert "different views" in text


def test_what_is_swept_reaches_the_model(monkeypatch):
    asked: list[Any] = []

    def run(bench: str, method: str, **options: Any) -> Result:
        asked.append(options)
        return Result(method, {}, {}, {}, [], {}, [])

    monkeypatch.setattr(sweep_module, "run", run)
    run_sweep(
        parse(["schedule=cosine,linear", "steps=4,8", "seed=7"]), "demo", sampling=Sampling(guidance=2.0), limit=5
    )
    assert [options["sampling"] for options in asked] == [
        Sampling(steps, schedule, guidance=2.0) for schedule in ("cosine", "linear") for steps in (4, 8)
    ]
    assert {options["seed"] for options in asked} == {7}
    assert {options["limit"] for options in asked} == {5}
    with pytest.raises(ViewmaskError, match="nothing to sweep"):
        run_sweep({})
