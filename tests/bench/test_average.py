"""The mean of weights: of all tensors, and of one architecture only."""

from dataclasses import asdict, replace

import pytest
import torch

from bench.average import average
from viewmask import ViewmaskError, checkpoint
from viewmask.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(width=32, layers=1, heads=1, hidden=32, words=40)


def weights(folder, seed, config=CONFIG, tokenizer="abc"):
    torch.manual_seed(seed)
    model = Transformer(config)
    checkpoint.save(folder, model, config, {"tokenizer": tokenizer, "steps": seed, "seconds": 1}, half=True)
    return checkpoint.load(folder, Transformer, TransformerConfig)[0].state_dict()


def test_every_tensor_is_the_mean_and_the_record_says_of_what(tmp_path):
    first, second = (weights(tmp_path / name, seed) for name, seed in (("a", 1), ("b", 2)))
    mean, config, about = checkpoint.load(
        average([tmp_path / "a", tmp_path / "b"], tmp_path / "soup"), Transformer, TransformerConfig
    )
    assert asdict(config) == asdict(CONFIG)
    assert [one["steps"] for one in about["mean_of"]] == [1, 2]
    for name, tensor in mean.state_dict().items():
        assert torch.allclose(tensor, (first[name] + second[name]) / 2, atol=1e-3), name
    assert any((first[name] != second[name]).any() for name in first)


def test_other_architectures_and_tokenizers_have_no_mean(tmp_path):
    weights(tmp_path / "a", 1)
    weights(tmp_path / "wide", 2, replace(CONFIG, hidden=48))
    weights(tmp_path / "foreign", 3, tokenizer="xyz")
    for other in ("wide", "foreign"):
        with pytest.raises(ViewmaskError, match="differ in architecture or tokenizer"):
            average([tmp_path / "a", tmp_path / other], tmp_path / "soup")
    assert not (tmp_path / "soup").exists()
