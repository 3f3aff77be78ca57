"""Checkpoints: what is saved is loaded, everything else is refused in one line."""

import json
import subprocess
import sys

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig

CONFIG = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model = Tokenizer(CONFIG)
    return model, checkpoint.save(tmp_path / "c", model, CONFIG, {"by": "a test"})


def load(path):
    return checkpoint.load(path, Tokenizer, TokenizerConfig)


def test_round_trip(saved):
    model, path = saved
    back, config, about = load(path)
    assert config == CONFIG
    assert about == {"by": "a test"}
    assert checkpoint.fingerprint(back) == checkpoint.fingerprint(model)
    for mine, theirs in zip(model.parameters(), back.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_half_precision_keeps_its_name(saved, tmp_path):
    model, _ = saved
    half = load(checkpoint.save(tmp_path / "h", model, CONFIG, {}, half=True))[0]
    assert checkpoint.fingerprint(half) == checkpoint.fingerprint(model)
    assert next(half.parameters()).dtype == torch.float32


def test_truncated_weights(saved):
    path = saved[1] / checkpoint.MODEL
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ViewmaskError, match="damaged or truncated"):
        load(saved[1])


def test_pickles_are_not_opened(saved):
    torch.save({"a": torch.zeros(1)}, saved[1] / checkpoint.MODEL)
    with pytest.raises(ViewmaskError, match="damaged or truncated"):
        load(saved[1])


@pytest.mark.parametrize("missing", [checkpoint.MODEL, checkpoint.CONFIG])
def test_missing_files(saved, missing):
    (saved[1] / missing).unlink()
    with pytest.raises(ViewmaskError, match="missing"):
        load(saved[1])


def test_a_folder_that_was_copied_in_part(saved, tmp_path):
    path = checkpoint.save(tmp_path / "taught", saved[0], CONFIG, {}, {"vocabulary.json": "{}"})
    assert load(path)[1] == CONFIG
    (path / "vocabulary.json").unlink()
    with pytest.raises(ViewmaskError, match=r"taught lacks vocabulary\.json: copy the whole folder"):
        load(path)


def test_another_kind(saved):
    with pytest.raises(ViewmaskError, match="holds a Tokenizer, not a Transformer"):
        checkpoint.load(saved[1], Transformer, TransformerConfig)


def change(path, **changes):
    record = json.loads((path / checkpoint.CONFIG).read_text())
    record["architecture"] |= changes
    (path / checkpoint.CONFIG).write_text(json.dumps(record))


def test_an_architecture_without_end_is_refused_before_it_is_built(saved):
    for claim, says in (({"widths": [200_000, 200_000]}, "do not fit"), ({"blocks": [1, 10**9]}, "blocks is")):
        change(saved[1], **claim)
        with pytest.raises(ViewmaskError, match=says):
            load(saved[1])


def test_tensors_of_another_shape(saved):
    change(saved[1], widths=[16, 32])
    with pytest.raises(ViewmaskError, match="do not fit"):
        load(saved[1])


def test_unknown_settings(saved):
    change(saved[1], flux_capacitor=1)
    with pytest.raises(ViewmaskError, match="does not describe"):
        load(saved[1])


def test_exported_weights_do_not_resume(saved):
    with pytest.raises(ViewmaskError, match="missing"):
        checkpoint.load_training(saved[1])


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_numbers_as_they_are_stored_or_wanted(saved, tmp_path, dtype):
    model, _ = saved
    path = checkpoint.save(tmp_path / "h", model, CONFIG, {}, half=True)
    back, config, _ = checkpoint.load(path, Tokenizer, TokenizerConfig, dtype)
    assert config == CONFIG
    assert not back.training
    for mine, theirs in zip(model.parameters(), back.parameters(), strict=True):
        assert theirs.dtype == (dtype or torch.float16)
        assert theirs.requires_grad
        assert torch.equal(mine.half().to(theirs.dtype), theirs)
    (path / checkpoint.MODEL).write_bytes((path / checkpoint.MODEL).read_bytes()[:1000])
    with pytest.raises(ViewmaskError, match="damaged or truncated"):
        checkpoint.load(path, Tokenizer, TokenizerConfig, dtype)
    (path / checkpoint.MODEL).unlink()
    with pytest.raises(ViewmaskError, match="missing"):
        checkpoint.load(path, Tokenizer, TokenizerConfig, dtype)


def test_a_configuration_alone(saved):
    assert checkpoint.configuration(saved[1], Tokenizer, TokenizerConfig) == CONFIG
    with pytest.raises(ViewmaskError, match="holds a Tokenizer"):
        checkpoint.configuration(saved[1], Transformer, TransformerConfig)


def test_loading_draws_no_numbers_and_loads_no_compiler(saved):
    program = f"""
import sys, torch
from viewmask.learning import checkpoint
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
before = torch.random.get_rng_state()
checkpoint.load({str(saved[1])!r}, Tokenizer, TokenizerConfig)
assert torch.equal(torch.random.get_rng_state(), before)
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
