"""`viewmask train` where several processes are asked for, or a tracker."""

import pytest

from tests.viewmask.train.parquet import write_tokens

pytest.importorskip("accelerate")


def test_stages_that_learn_in_one_piece_say_so(shell, monkeypatch):
    done = shell("train", "tokenizer", "--data", "views", "--accumulate", 2)
    assert done.code == 2
    assert "only align, i2mv, t2mv train on several processes or with --accumulate: tokenizer learns" in done.error
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "recon learns from batches in one piece" in shell("train", "recon", "--data", "views").error


def test_options_of_the_transformer_are_for_it(shell):
    done = shell("train", "reranker", "--data", "tokens.parquet", "--checkpointing")
    assert "--checkpointing, --lora and --each-once are for align, i2mv, t2mv" in done.error
    done = shell("train", "reranker", "--data", "tokens.parquet", "--compile")
    assert "--compile is for align, i2mv, t2mv and refiner" in done.error


def test_a_tracker_that_is_not_there_is_named(shell, tmp_path):
    write_tokens(tmp_path / "tokens.parquet")
    words = ("train", "t2mv", "--data", tmp_path / "tokens.parquet", "--steps", 1, "--batch", 1)
    done = shell(*words, "--tracker", "notebook")
    assert (done.code, "Accelerate knows no tracker 'notebook': choose one of" in done.error) == (2, True)
    assert "the tracker dvclive is not installed: pip install dvclive" in shell(*words, "--tracker", "dvclive").error
