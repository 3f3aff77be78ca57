"""The recipe from nothing: every command that it gives is one that the command line takes, in an order that works.

The commands themselves are not run: that takes minutes even at three steps (LIMIT=3 STEPS=3, see the recipe's head).
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "nano.sh"

# Reads its words as viewmask would, paths that must exist included; writes what later commands ask for.
FAKE = f"""#!{sys.executable}
import os, sys
from pathlib import Path
import typer
from viewmask_cli.main import app
name, *words = sys.argv[1:]
with typer.main.get_command(app).commands[name].make_context(name, list(words)) as context:
    out = Path(context.params["out"])
with open(os.environ["TOLD"], "a") as told:
    print(name, *words, file=told)
if out.suffix:
    out.parent.mkdir(parents=True, exist_ok=True)
    out.touch()
else:
    (out / "weights").mkdir(parents=True, exist_ok=True)
    (out / "checkpoint").mkdir(exist_ok=True)
if name == "train" and os.environ.get("STOP") == str(context.params["stage"]):
    sys.exit(130)
"""

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="the recipe is a bash script")


@pytest.fixture
def recipe(tmp_path):
    """Runs the recipe on two empty sets; gives its exit code and the commands told so far."""
    for name in ("one", "two"):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "index.jsonl").write_text('{"id": "a", "split": "train"}\n')
    command = tmp_path / "bin" / "viewmask"
    command.parent.mkdir()
    command.write_text(FAKE)
    command.chmod(0o755)
    told = tmp_path / "told"

    def run(**settings):
        own = {"DATA": "data", "OUT": "out", "SETS": "one two", "TOLD": str(told), **settings}
        path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
        python = os.pathsep.join(sys.path)
        done = subprocess.run(
            ["bash", RECIPE], cwd=tmp_path, env=os.environ | own | {"PATH": path, "PYTHONPATH": python},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = told.read_text().splitlines() if told.exists() else []
        told.unlink(missing_ok=True)
        return done, lines

    return run


def test_a_stopped_run_goes_on_and_a_finished_one_trains_nothing(recipe):
    done, lines = recipe(STOP="i2mv")
    assert done.returncode == 130, done.stderr
    trained = [line.split()[1] for line in lines if line.startswith("train")]
    assert trained == ["tokenizer", "decoder", "align", "i2mv"]
    assert not any("--resume" in line for line in lines)

    done, lines = recipe()
    assert done.returncode == 0, done.stderr
    trained = [line.split()[1] for line in lines if line.startswith("train")]
    assert trained == ["i2mv", "t2mv", "reranker", "refiner", "framing", "recon"]
    assert ["--resume" in line for line in lines if line.startswith("train")] == [True] + 5 * [False]
    assert not any(line.startswith("tokenize") for line in lines)
    assert "wrote out/weights" in done.stdout

    done, lines = recipe()
    assert done.returncode == 0, done.stderr
    assert not any(line.startswith(("train", "tokenize")) for line in lines)


@pytest.mark.parametrize(("hours", "together"), [({}, 55 * 3600), ({"HOURS": "0.5"}, 1800)])
def test_stages_share_the_hours(recipe, hours, together):
    done, lines = recipe(**hours)
    assert done.returncode == 0, done.stderr
    limits = [int(line.split("--time-limit ")[1].split()[0]) for line in lines if line.startswith("train")]
    assert together - len(limits) < sum(limits) <= together


@pytest.mark.parametrize("hours", ["8h", "x", "-1", "1; touch x"])
def test_hours_are_a_number(recipe, hours):
    done, lines = recipe(HOURS=hours)
    assert (done.returncode, lines) == (2, [])
    assert done.stderr == f"error: HOURS is a number, such as 8 or 0.5, not '{hours}'\n"
