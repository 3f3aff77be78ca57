"""`viewmask tokenize` and `viewmask train`, on two tiny objects and for two steps."""

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest

from tests.viewmask.train.parquet import write_tokens
from viewmask.errors import ViewmaskError
from viewmask_cli import train as command
from viewmask_cli.render import render


def test_the_choices_are_those_of_the_room():
    from viewmask.train.budget import RECIPES
    from viewmask.train.codes import DECODERS, TOKENIZERS
    from viewmask.train.masked import TRANSFORMERS
    from viewmask.train.stages import STAGES

    assert get_args(command.Stage) == tuple(STAGES)
    assert get_args(command.Preset) == (*TOKENIZERS, *RECIPES)
    assert tuple(TOKENIZERS) == tuple(DECODERS)
    assert get_args(command.Preset) == tuple(TRANSFORMERS)
    assert {preset: recipe.stage for preset, recipe in RECIPES.items()} == command.PAPER
    assert tuple(name for name, stage in STAGES.items() if stage.data == "views") == command.VIEWS


@pytest.mark.parametrize(
    ("words", "seconds"), [("90", 90), ("90s", 90), ("45m", 2700), ("1.5h", 5400), ("2d", 172800), (" 6h ", 21600)]
)
def test_durations(words, seconds):
    assert command.seconds(words) == seconds


@pytest.mark.parametrize("words", ["", "0", "-5", "five", "5w", "1h30m", "nan", "1e9"])
def test_what_is_no_duration_is_said(words):
    with pytest.raises(ViewmaskError, match="is no duration: write"):
        command.seconds(words)


def test_the_tokenizer_is_trained_and_reads_views(shell, capsys):
    render(views=4, size=32)
    capsys.readouterr()
    done = shell("train", "tokenizer", "--data", "views", "--steps", 2, "--json")
    weights = json.loads(done.out)["weights"]
    assert weights == "runs/tokenizer/weights"
    done = shell("tokenize", "views", "--tokenizer", weights, "--json")
    record = json.loads(done.out)
    assert (record["file"], record["objects"]) == ("tokens.parquet", 1)
    assert Path("tokens.parquet").stat().st_size > 0
    assert "holds a run" in shell("train", "tokenizer", "--data", "views", "--steps", 2).error
    assert shell("train", "tokenizer", "--data", "views", "--steps", 3, "--resume").code == 0


def test_the_field_is_trained_and_gone_on_with_gently(shell, capsys):
    render(views=4, size=32, passes="points")
    capsys.readouterr()
    rates = []
    for more in (["--out", "runs/one"], ["--out", "runs/two", "--init", "runs/one/weights"]):
        done = shell("train", "recon", "--data", "views", "--steps", 1, "--json", *more)
        about = json.loads((Path(json.loads(done.out)["weights"]) / "config.json").read_text())["about"]
        rates.append([about["schedule"][name] for name in ("rate", "muon")])
    assert rates[1] == pytest.approx([0.3 * rate for rate in rates[0]])


def test_an_interrupted_run_says_how_to_go_on(shell, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("viewmask.train.stages.train", interrupted)
    done = shell("train", "tokenizer", "--data", "views", "--out", "run")
    assert done.code == 130
    assert "to go on: the same command with --resume" in done.err


def test_a_time_limit_counts_towards_the_time_left(shell, monkeypatch):
    seen = []

    def two_steps(stage, data, run):
        assert run.time_limit == 300
        run.progress(10, 1000, {"loss": 1.0, "share": 0.5})
        run.progress(11, 1000, {"loss": 1.0, "share": 0.0})
        return run.out

    @contextmanager
    def recorded(label):
        yield lambda done, total, **figures: seen.append((done, total, figures))

    monkeypatch.setattr("viewmask.train.stages.train", two_steps)
    monkeypatch.setattr(command, "progress", recorded)
    shell("train", "tokenizer", "--data", "views", "--time-limit", "5m")
    assert seen == [(10, 20, {"loss": 1.0}), (11, 1000, {"loss": 1.0})]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["train", "tokenizer"], "name what to train on: --data views"),
        (["train", "i2mv"], "name what to train on: --data tokens.parquet"),
        (["train", "tokenizer", "--data", "nowhere"], "no view sets in nowhere"),
        (["train", "tokenizer", "--data", "papers", "--out", "papers"], "papers exists and holds no run"),
        (["train", "tokenizer", "--data", "papers", "--time-limit", "soon"], "'soon' is no duration"),
        (["train", "tokenizer", "--data", "papers", "--time-limit", "-3"], "'-3' is no duration"),
        (["train", "recon", "--data", "nowhere"], "no view set in nowhere"),
        (["train", "recon", "--data", "nowhere", "--preset", "small"], "leave out --preset and --tokenizer"),
        (["train", "reranker", "--data", "nowhere", "--preset", "small"], "reranker has one size: leave out --preset"),
        (["train", "reranker", "--data", "nowhere.parquet"], "nowhere.parquet"),
        (["tokenize", "nowhere"], "no view sets in nowhere"),
        (["tokenize", "papers", "--out", "papers/thesis.tex"], "was not made by viewmask"),
    ],
)
def test_what_goes_wrong_is_one_line(shell, words, says):
    Path("papers").mkdir()
    Path("papers/thesis.tex").write_text("mine")
    assert says in shell(*words).error
    assert [path.name for path in Path("papers").iterdir()] == ["thesis.tex"]


def test_a_plan_is_printed_and_nothing_trained(shell, tmp_path):
    words = ("train", "--preset", "paper-stage2", "--plan", "--gpu", "h100", "--count", "24")
    done = shell(*words)
    assert done.code == 0
    assert "parameters  10.16 billion" in done.out
    assert "3750 of 384 sequences of 1033" in done.out
    record = json.loads(shell(*words, "--json").out)
    assert [need["strategy"] for need in record["memory"]] == ["ddp", "zero2", "fsdp2"]
    assert record["days"] > 0
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--plan"], "--preset paper-stage1"), (["--plan", "--preset", "paper-stage1", "--gpu", "tpu"], "'tpu'"),
        (["t2mv", "--preset", "paper-stage2"], "is the stage i2mv, not t2mv"), ([], "one of tokenizer"),
        (["t2mv", "--preset", "paper-stage2", "--plan"], "is the stage i2mv, not t2mv"),
        (["--preset", "paper-stage2"], "name what to train on: --data tokens.parquet"),
    ],
)  # fmt: skip
def test_plans_of_nothing_are_refused(shell, words, says):
    assert says in shell("train", *words).error


def test_a_run_goes_on_as_what_it_was_begun(shell):
    write_tokens(Path("tokens.parquet"))
    words = ("--data", "tokens.parquet", "--out", "run", "--batch", 1)
    assert shell("train", "i2mv", *words, "--steps", 1).code == 0
    assert (
        "run was begun as i2mv: train i2mv to go on" in shell("train", "t2mv", *words, "--steps", 2, "--resume").error
    )
    config = Path("run/checkpoint/config.json")
    record = json.loads(config.read_text())
    record["about"]["tokenizer"] = "0123"
    config.write_text(json.dumps(record))
    again = shell("train", "i2mv", *words, "--steps", 2, "--resume").error
    assert re.search("learnt the codes of the tokenizer 0123, and .* is .*: name the same --tokenizer to go on", again)
    begun = shell("train", "i2mv", *words[:2], "--out", "other", "--batch", 1, "--steps", 1, "--init", "run/checkpoint")
    assert begun.code == 0
    assert "tokenizer 0123" in begun.err
    assert "has to be learnt anew" in begun.err
    ranking = shell("train", "reranker", *words[:2], "--init", "run/checkpoint", "--out", "towers").error
    assert "run/checkpoint reads the tokenizer 0123, but" in ranking


@pytest.mark.parametrize(("file", "content"), [("trainer.json", "{}"), ("trainer.json", '{"step": "two"}')])
def test_a_record_that_does_not_go_on_is_named(shell, file, content):
    write_tokens(Path("tokens.parquet"))
    words = ("train", "i2mv", "--data", "tokens.parquet", "--out", "run", "--batch", 1)
    assert shell(*words, "--steps", 1).code == 0
    (Path("run/checkpoint") / file).write_text(content)
    assert "run/checkpoint is damaged, or of another run" in shell(*words, "--steps", 2, "--resume").error
