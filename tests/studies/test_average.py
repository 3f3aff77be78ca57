"""The mean of weights: of all tensors, and of one architecture only."""

from dataclasses import asdict, replace

import pytest
import torch

from recon.field import Field, FieldConfig
from studies.average import average
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of

TINY = FieldConfig(size=32, features=8, widths=(8, 8, 8), resolution=8, decoder=8)
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


def test_words_that_one_lacks_are_given_to_it_first(tmp_path):
    vocabulary = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
    words = len(vocabulary)
    full = weights(tmp_path / "full", 1, replace(CONFIG, words=words))
    fewer = weights(tmp_path / "fewer", 2, replace(CONFIG, words=words - 3))
    mean, config, _ = checkpoint.load(
        average([tmp_path / "fewer", tmp_path / "full"], tmp_path / "soup"), Transformer, TransformerConfig
    )
    assert config.words == words
    first, second = vocabulary.parts()[-3]
    begun = (fewer["word.weight"][first] + fewer["word.weight"][second]) / 2
    torch.testing.assert_close(mean.word.weight[-3], (begun + full["word.weight"][-3]) / 2, atol=1e-3, rtol=0)


def test_other_architectures_and_tokenizers_have_no_mean(tmp_path):
    weights(tmp_path / "a", 1)
    weights(tmp_path / "wide", 2, replace(CONFIG, hidden=48))
    weights(tmp_path / "foreign", 3, tokenizer="xyz")
    for other in ("wide", "foreign"):
        with pytest.raises(ViewmaskError, match="differ in architecture or tokenizer"):
            average([tmp_path / "a", tmp_path / other], tmp_path / "soup")
    assert not (tmp_path / "soup").exists()


def test_fields_have_a_mean_but_not_with_a_transformer(tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        checkpoint.save(tmp_path / f"field{seed}", Field(TINY), TINY, {"steps": seed}, half=True)
    models = [checkpoint.load(tmp_path / f"field{seed}", Field, FieldConfig)[0] for seed in (1, 2)]
    mean = checkpoint.load(average([tmp_path / "field1", tmp_path / "field2"], tmp_path / "soup"), Field, FieldConfig)[
        0
    ]
    for name, tensor in mean.state_dict().items():
        expected = (models[0].state_dict()[name] + models[1].state_dict()[name]) / 2
        assert torch.allclose(tensor, expected, atol=1e-3), name
    weights(tmp_path / "other", 1)
    with pytest.raises(ViewmaskError, match="holds a Transformer, not a Field"):
        average([tmp_path / "field1", tmp_path / "other"], tmp_path / "none")
    with pytest.raises(ViewmaskError, match="no checkpoint at"):
        average([tmp_path / "nowhere"], tmp_path / "none")
