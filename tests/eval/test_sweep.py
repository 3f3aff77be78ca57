"""Sweeps: how they are written, and what is run."""

import csv
import io
import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rich.console import Console

from eval import measure, sweep
from eval.benches.bench import Bench, Subject
from eval.methods.method import Options
from eval.report.table import sweep_table
from eval.result import Result
from eval.scoring import Scoring
from eval.sweep import Sweep, cross, parse, run_sweep, title
from viewmask.errors import ViewmaskError
from viewmask.model.sampling import Speed
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture(autouse=True)
def without_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "_lpips", lambda net, weights: (None, []))


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


def squares(n: int, seed: int) -> ViewSet:
    pictures = np.zeros((n, 32, 32, 4), np.uint8)
    for i, picture in enumerate(pictures):
        picture[8:24, i + 4 : i + 20] = (60 * seed, 200 - 20 * i, 90, 255)
    return ViewSet(list(pictures), orbit(n, size=32))


@pytest.fixture
def swept(tmp_path: Path) -> Sweep:
    seen: list[tuple[int, int]] = []
    subjects = [Subject(str(i), str(i), lambda n, i=i: squares(n, i), None) for i in range(3)]  # type: ignore[misc]
    bench = Bench("squares", "three squares", "drawn views", subjects)
    result = run_sweep(
        {"views": [4, 8], "method": ["copy", "mirror"]}, bench, scoring=Scoring(meshes=False),
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
    console.print(sweep_table(swept))
    text = console.export_text()
    for line in psnr:
        assert f"{float(line['mean']):.2f}" in text
        assert line is psnr[0] or f"{float(line['low']):+.2f}…{float(line['high']):+.2f}" in text
    assert "too few" in text
    assert "different views" in text


def test_what_is_swept_reaches_the_model(monkeypatch):
    asked: list[tuple[Bench, Scoring, Options]] = []

    def run(bench: Bench, method: str, scoring: Scoring, options: Options, **_: Any) -> Result:
        asked.append((bench, scoring, options))
        return Result(method, {}, {}, {}, [], {}, [])

    monkeypatch.setattr(sweep, "run", run)
    swept = parse(["speed=exact,balanced", "steps=4,8", "seed=7"])
    run_sweep(swept, "demo", "viewmask", Scoring(protocol="vivid"), Options(guidance=2.0))
    assert [options for _, _, options in asked] == [
        Options(speed, steps, guidance=2.0) for speed in get_args(Speed) for steps in (4, 8)
    ]
    assert {scoring.seed for _, scoring, _ in asked} == {7}
    assert {scoring.protocol for _, scoring, _ in asked} == {"vivid"}
    assert {bench.name for bench, _, _ in asked} == {"demo"}
    with pytest.raises(ViewmaskError, match="nothing to sweep"):
        run_sweep({})
