"""`viewmask eval`."""

import csv
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from eval.benches import open_bench
from eval.measure import run
from eval.methods.method import Options
from eval.scoring import Scoring
from viewmask.model.weights import SHIPPED, TRANSFORMER
from viewmask.views.viewset import ViewSet
from viewmask_cli import eval as command

QUICK = ("--bench", "demo", "--method", "copy", "--limit", 1, "--no-meshes")


def test_the_choices_are_those_of_the_room():
    from eval.benches.gso import SETS
    from eval.protocols import PROTOCOLS

    assert get_args(command.Subset) == SETS
    assert get_args(command.Protocol) == tuple(PROTOCOLS)


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
        (["--bench", "gso", "--method", "copy", "--data", "notes"], "no gso data in notes"),
        ([*QUICK, "--json", "notes.json"], "notes.json exists and was not made by viewmask"),
        ([*QUICK, "--json", "."], "is a folder"),
        (["--bench", "demo", "--weights", "notes"], "no checkpoint at notes"),
        # What is named must be there, even if nothing would read it.
        ([*QUICK, "--data", "nowhere"], "'--data' / '-d': path 'nowhere' does not exist"),
        ([*QUICK, "--weights", "nowhere"], "'--weights': path 'nowhere' does not exist"),
        ([*QUICK, "--lpips-weights", "nowhere"], "path 'nowhere' does not exist"),
        (["--repeat", "missing.json"], "'--repeat': file 'missing.json' does not exist"),
        ([*QUICK, "--out", "notes.json/out"], "cannot write notes.json/out: Not a directory"),
        ([*QUICK, "--records", "notes.json/r"], "cannot write notes.json/r: Not a directory"),
        ([*QUICK, "--csv", "notes.json"], "notes.json exists and was not made by viewmask"),
        ([*QUICK, "--out", "notes"], "notes holds diary.txt, not made by viewmask"),
        ([*QUICK, "--out", "notes.json"], "notes.json is a file"),
        ([*QUICK, "--sweep", "stepz=4"], "no parameter 'stepz'"),
        ([*QUICK, "--sweep", "steps=4", "--records", "r"], "keeps its records in --out"),
        ([*QUICK, "--sweep", "steps=4", "--command", "c"], "starts no other system"),
        ([*QUICK, "--protocol", "mine"], "'mine' is not one of 'viewmask', 'syncdreamer'"),
        (["--bench", "demo", "--method", "magic"], "no method 'magic'"),
        (["--consistency"], "takes folders"),
        (["--consistency", "notes"], "no view set in notes"),
        (["--repeat", "notes.json", "--limit", "2", "--set", "all", "--workers", "1"], "leave --limit, --set away"),
        (["notes"], "folders are read with --consistency"),
    ],
)
def test_what_goes_wrong_is_one_line(shell, monkeypatch, words, says):
    monkeypatch.delenv("VIEWMASK_DATA", raising=False)
    Path("notes.json").write_text("mine")
    Path("notes").mkdir()
    Path("notes/diary.txt").write_text("mine")
    assert says in shell("eval", *words).error
    assert Path("notes.json").read_text() == Path("notes/diary.txt").read_text() == "mine"


def test_out_holds_the_report_and_a_rerun_resumes(shell, monkeypatch):
    words = ("eval", "--bench", "demo", "--method", "mirror", "--limit", 2, "--no-meshes", "--out", "run")
    first = shell(*words, "--csv", "figures.csv", "--json", "r.json")
    assert first.code == 0, first.err
    assert first.out.splitlines()[-1] == "wrote run/report.html run/results.json figures.csv r.json"
    page = Path("run/report.html").read_text()
    results = json.loads(Path("run/results.json").read_text())
    for record in results["objects"]:
        assert f"<h3>{record['id']}</h3>" in page
    assert f"{results['psnr']:.2f}" in page
    assert not re.findall(r"https?://|@import|url\(", page)
    lines = list(csv.DictReader(Path("figures.csv").read_text().splitlines()))
    means = {line["method"]: line for line in lines if line["object"] == "mean"}
    assert set(means) == {"copy", "mirror", "white"}
    assert float(means["mirror"]["psnr"]) == results["psnr"]

    from eval.scoring import Scorer

    monkeypatch.setattr(Scorer, "figures", None)  # nothing is left to do
    again = shell(*words)
    assert again.code == 0
    assert again.out.splitlines()[:-1] == first.out.splitlines()[:-1]
    assert json.loads(Path("run/results.json").read_text()) == results


def test_a_sweep_compares_settings(shell):
    done = shell(
        "eval", *QUICK[:2], "--limit", 2, "--no-meshes", "--sweep", "method=copy,mirror", "--sweep", "views=4",
        "--out", "sweep", "--csv", "sweep.csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "wrote sweep/report.html sweep/sweep.json sweep.csv"
    assert {line["method"] for line in csv.DictReader(Path("sweep.csv").read_text().splitlines())} == {"copy", "mirror"}
    page = Path("sweep/report.html").read_text()
    assert "<svg" in page
    assert "method=mirror views=4" in page
    assert "too few" in done.out


def test_consistency_of_folders(shell):
    from render.demo import demo_objects
    from render.raycast import render
    from viewmask.views.camera import orbit
    from viewmask.views.viewset import ViewSet

    cameras = orbit(4, size=64)
    pictures = render(demo_objects()["car"].surface(), cameras)
    ViewSet(pictures, cameras).save("true/car")
    ViewSet([pictures[k] for k in (0, 3, 1, 2)], cameras).save("wrong/car")
    done = shell("eval", "--consistency", "true", "wrong", "--csv", "c.csv", "--json", "c.json")
    assert done.out.splitlines()[-1] == "wrote c.csv c.json"
    true, wrong = json.loads(Path("c.json").read_text())["folders"]
    assert true["photo_psnr"] > wrong["photo_psnr"]
    assert f"{true['photo_psnr']:.2f}" in done.out
    assert len(Path("c.csv").read_text().splitlines()) == 3


def test_a_kill_loses_at_most_the_object_in_hand(tmp_path):
    """The real command, killed by SIGKILL as soon as it has written some records; then run again."""
    words = ["-c", "from viewmask_cli.main import run; run()", "eval", "--bench", "demo", "--method", "mirror"]
    words = [sys.executable, *words, "--no-meshes", "--views", "2", "--limit", "4", "--out", "killed"]
    place = Path("killed/records.jsonl")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not (place.exists() and place.read_bytes().count(b"\n") >= 2):
            time.sleep(0.005)
        running.kill()
    kept = place.read_bytes().splitlines()[:2]
    assert len(kept) == 2
    subprocess.run(words, env=environment, check=True, capture_output=True)
    lines = place.read_bytes().splitlines()
    assert lines[:2] == kept
    assert sorted(json.loads(line)["id"] for line in lines) == sorted({json.loads(line)["id"] for line in lines})
    assert len(json.loads(Path("killed/results.json").read_text())["objects"]) == len(lines)
    assert Path("killed/report.html").is_file()


def test_protocols_and_repetition(shell):
    done = shell("eval", *QUICK, "--protocol", "eschernet", "--json", "first.json", "--workers", 2)
    assert done.code == 0, done.err
    assert "EscherNet" in done.out
    assert json.loads(Path("first.json").read_text())["protocol"]["name"] == "eschernet"
    done = shell("eval", "--repeat", "first.json")
    assert done.code == 0, done.err
    assert "every figure and every pinned fact is the same" in done.err
    content = json.loads(Path("first.json").read_text())
    Path("other.json").write_text(json.dumps(content | {"psnr": content["psnr"] - 1}))
    done = shell("eval", "--repeat", "other.json")
    assert done.code == 1
    assert "psnr: " in done.err
    assert shell("eval", "--repeat", "notes.json").code == 2


def test_any_folder_of_meshes_is_a_bench(shell):
    import trimesh

    Path("mine").mkdir()
    trimesh.creation.box((1, 0.5, 0.5)).export("mine/box.glb")
    done = shell("eval", "--bench", "mine", "--method", "copy", "--no-meshes", "--published")
    assert done.code == 0, done.err
    assert "1 objects of mine" in done.out


@pytest.mark.skipif(not (SHIPPED / TRANSFORMER).exists(), reason="this tree ships no weights")
def test_the_row_of_photos_is_what_generate_makes_of_the_picture(shell):
    """What a table says of `--given photo` is what a user gets, to the last digit."""
    bench = open_bench("demo", limit=1)
    (subject,) = bench.subjects
    truth = subject.views(4)
    Image.fromarray(truth.images[0], "RGBA").save("mine.png")
    assert shell("generate", "--image", "mine.png", "--steps", "3", "--out", "mine").code == 0
    made = ViewSet.load("mine").images
    scoring = Scoring(meshes=False, beside=())
    figures = scoring.ruler.images(truth.images[1:], made[1:], None)
    (record,) = run(bench, "viewmask", scoring, Options(given="photo", steps=3)).records
    assert {name: record[name] for name in figures} == figures
    assert figures["psnr"] is not None


def test_what_the_model_is_given_is_for_the_model(shell):
    assert "mirror looks at view 0" in shell("eval", "--method", "mirror", "--given", "photo").error
    assert "leave it or --given away" in shell("eval", "--given", "photo", "--symmetry").error
    assert "gso is one whole" in shell("eval", "--bench", "gso", "--split", "val").error
