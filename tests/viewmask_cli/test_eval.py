"""`viewmask eval`."""

import json
from pathlib import Path
from typing import get_args

import pytest

from viewmask_cli import eval as command

QUICK = ("--bench", "demo", "--method", "copy", "--limit", 1, "--no-meshes")


def test_the_choices_are_those_of_the_room():
    from eval.benches import BENCHES, SETS
    from eval.methods import METHODS
    from render.light import LIGHTS

    assert set(get_args(command.Bench)) == set(BENCHES)
    assert get_args(command.Method) == METHODS
    assert get_args(command.Subset) == SETS
    assert get_args(command.Light) == LIGHTS


def test_the_table_goes_to_standard_output_and_the_record_to_a_file(shell):
    done = shell("eval", *QUICK, "--json", "demo.json")
    assert done.code == 0
    assert "copy" in done.out
    assert "mirror" in done.out
    assert done.out.splitlines()[-1] == "wrote demo.json"
    record = json.loads(Path("demo.json").read_text())
    assert {"psnr", "ssim", "lpips", "chamfer", "iou"} <= set(record)
    assert 5 < record["psnr"] < 40
    assert f"{record['psnr']:.2f}" in done.out


def test_a_dash_prints_the_record_and_nothing_else(shell):
    done = shell("eval", *QUICK, "--json", "-")
    assert json.loads(done.out)["method"] == "copy"


def test_the_true_views_are_perfect(shell):
    done = shell("eval", "--bench", "demo", "--method", "gt-views", "--limit", 1, "--no-meshes", "--json", "-")
    assert json.loads(done.out)["silhouette_iou"] == 1.0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--bench", "gso", "--method", "copy"], "no gso data in data/gso"),
        (["--bench", "gso", "--method", "copy", "--data", "nowhere"], "no gso data in nowhere"),
        ([*QUICK, "--json", "notes.json"], "notes.json exists and was not made by viewmask"),
        ([*QUICK, "--json", "."], "is a folder"),
        (["--bench", "demo", "--weights", "nowhere"], "no checkpoint at nowhere"),
    ],
)
def test_what_goes_wrong_is_one_line(shell, monkeypatch, words, says):
    monkeypatch.delenv("VIEWMASK_DATA", raising=False)
    Path("notes.json").write_text("mine")
    assert says in shell("eval", *words).error
    assert Path("notes.json").read_text() == "mine"
