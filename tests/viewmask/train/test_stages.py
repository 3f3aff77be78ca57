"""The stages: what a run starts from, and how fast it then learns."""

import json
import os
import signal
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.learning.schedule import GENTLY, Schedule
from viewmask.learning.trainer import Trainer
from viewmask.model.reranker import Reranker, features
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train import codes, masked, ranking, stages, tokens
from viewmask.train.budget import RECIPES
from viewmask.train.run import Run
from viewmask.train.tokens import Tokens

VOCABULARY = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
TINY = TransformerConfig(width=64, layers=2, heads=2, hidden=96)


@pytest.fixture(autouse=True)
def no_data(monkeypatch):
    """Some random tokens in place of files."""
    random = np.random.default_rng(0).integers(0, 2**18, (2, 8, 8, 8)).astype(np.int32)
    turned = np.float32(np.arange(8) * 45 + np.zeros((2, 1)))
    some = Tokens(["a", "b"], np.zeros(2, int), [["a red cup"], ["a chair"]], turned, random)
    monkeypatch.setattr(tokens, "read", lambda *_: some)
    monkeypatch.setattr(tokens, "holds", lambda *_: False)


@pytest.fixture
def train(tmp_path, monkeypatch):
    def run(stage, name, layers, init=None, **options):
        """Three steps of a stage: the weights and the schedule that it went by."""
        monkeypatch.setitem(masked.TRANSFORMERS, "nano", replace(TINY, layers=layers))
        weights = stages.train(stage, [], Run(tmp_path / name, steps=3, init=init, **options))
        return weights, json.loads((weights / "config.json").read_text())["about"]["schedule"]

    return run


def share(schedule, stage):
    preset = masked.SCHEDULES["nano", stage]
    rates = schedule["rate"] / preset.rate, schedule["muon"] / preset.muon
    assert rates[0] == pytest.approx(rates[1])
    return rates[0]


def test_a_stage_begins_at_the_full_rate_and_is_gone_on_with_gently(train):
    before, first = train("i2mv", "i2mv", 2)
    weights, second = train("t2mv", "t2mv", 2, before)
    _, third = train("t2mv", "more", 2, weights)
    assert [share(first, "i2mv"), share(second, "t2mv"), share(third, "t2mv")] == pytest.approx([1, 1, GENTLY])
    _, fourth = train("t2mv", "afresh", 2, weights, gentle=False)
    assert share(fourth, "t2mv") == 1


@pytest.mark.parametrize("preset", RECIPES)
def test_the_papers_stages_are_runs(preset, tmp_path, monkeypatch):
    recipe = RECIPES[preset]
    with torch.device("meta"):  # at its own size
        assert Transformer(masked.TRANSFORMERS[preset]).parameters_count() > 10e9
    schedule, mixture = masked.SCHEDULES[preset, recipe.stage], masked.PAPER_MIXTURES[preset]
    assert (schedule.steps, schedule.muon) == (recipe.steps, 0)
    assert sum(getattr(mixture, name) for name in masked.LAYOUTS) == pytest.approx(1)
    rows = schedule.batch * (4 if mixture.t2i else 1)  # `layout_loss` draws four pairs for a row
    assert rows == recipe.batch == 384
    if os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") < 70e9:
        with pytest.raises(ViewmaskError, match=r"billion parameters: a process needs \d+ GB of memory"):
            stages.train(recipe.stage, [], Run(tmp_path / "large", preset=preset))
    # At a size that runs here, with codes in a table as there, on what another stage would be given.
    smaller = replace(recipe.network, width=64, layers=2, heads=2, hidden=96)
    monkeypatch.setitem(masked.TRANSFORMERS, preset, smaller)
    weights = stages.train(recipe.stage, [], Run(tmp_path / "run", preset=preset, steps=1, batch=1))
    _, config, about = checkpoint.load(weights, Transformer, TransformerConfig)
    assert (config.codes, config.positions, about["preset"]) == ("table", "sequence", preset)
    assert about["mixture"]["odd_orbits"] == about["mixture"]["whole_views"] == 0
    position = json.loads((tmp_path / "run" / "checkpoint" / "trainer.json").read_text())["position"]
    assert position["seed"] == 0  # rows come once before any comes again
    with pytest.raises(ViewmaskError, match=f"is the stage {recipe.stage}, not reranker"):
        stages.train("reranker", [], Run(tmp_path / "run", preset=preset))


def test_released_weights_with_more_rows_than_words_are_gone_on_with(train, tmp_path):
    config = replace(TINY, words=len(VOCABULARY) + 7)
    checkpoint.save(tmp_path / "released", Transformer(config), config, {})
    weights, _ = train("i2mv", "on", 2, tmp_path / "released")
    assert checkpoint.configuration(weights, Transformer, TransformerConfig) == config


def test_additions_tune_weights_of_any_size(train, tmp_path):
    before, _ = train("t2mv", "three", 3)
    weights, schedule = train("t2mv", "tuned", 2, before, lora=4)  # the preset has two layers
    assert (schedule["muon"], schedule["rate"]) == (0, pytest.approx(GENTLY * masked.SCHEDULES["nano", "t2mv"].rate))
    old, new = (checkpoint.load(each, Transformer, TransformerConfig) for each in (before, weights))
    assert (new[1].layers, new[2]["lora"]) == (3, 4)
    assert torch.equal(old[0].word.weight, new[0].word.weight)
    changed = (old[0].blocks[0].q_proj.weight - new[0].blocks[0].q_proj.weight).float()
    assert 0 < changed.norm() < 0.1
    again, _ = train("t2mv", "tuned", 2, resume=True, lora=4)
    assert checkpoint.read_tensors(again / "model.safetensors").keys() == dict(new[0].named_parameters()).keys()
    for rank, said in ((None, "with --lora 4"), (5, "with --lora 4")):
        with pytest.raises(ViewmaskError, match=said):
            train("t2mv", "tuned", 2, resume=True, lora=rank)
    with pytest.raises(ViewmaskError, match="without --lora"):
        train("t2mv", "three", 3, resume=True, lora=4)
    with pytest.raises(ViewmaskError, match="name them by --init"):
        train("t2mv", "none", 2, lora=4)


def test_a_deeper_transformer_starts_from_a_shallower_one_at_the_full_rate(train):
    weights, _ = train("t2mv", "two", 2)
    deeper, schedule = train("t2mv", "three", 3, weights)
    assert share(schedule, "t2mv") == 1
    known, grown = (checkpoint.load(each, Transformer, TransformerConfig)[0] for each in (weights, deeper))
    assert (known.config.layers, grown.config.layers) == (2, 3)
    # Three steps change little: words are still embedded much as they were.
    assert torch.nn.functional.cosine_similarity(known.word.weight, grown.word.weight).mean() > 0.9


def test_the_log_tells_of_val_and_the_end_is_kept(train, monkeypatch, tmp_path):
    losses = iter([1.0, 3.0, 2.0])
    monkeypatch.setattr(masked, "validation", lambda task: lambda model: {"val": next(losses)})
    monkeypatch.setattr(tokens, "holds", lambda *_: True)
    monkeypatch.setattr("viewmask.train.run.Trainer", partial(Trainer, validate_every=1))
    weights, _ = train("t2mv", "judged", 2)
    about = json.loads((weights / "config.json").read_text())["about"]
    assert about["steps"] == 3
    assert json.loads((tmp_path / "judged" / "log.jsonl").read_text().splitlines()[-1])["val"] == 2.0


def test_weights_tell_which_words_in_pieces_they_learnt(train, monkeypatch):
    some = tokens.read()
    # A variant of an object says nothing that the object does not.
    said = [["a fedora"], ["a fedora", "a kangaroo"], ["a big kangaroo"], ["a chair"], ["a chair"]]
    turned, random = (np.repeat(each[:1], 5, axis=0) for each in (some.azimuths, some.tokens))
    more = Tokens([*"aabcd"], np.zeros(5, int), said, turned, random)
    monkeypatch.setattr(tokens, "read", lambda *_: more)
    weights, _ = train("t2mv", "words", 2)
    assert json.loads((weights / "config.json").read_text())["about"]["words"] == ["kangaroo"]
    lexicon = lexicon_of(weights, checkpoint.about(weights))
    assert dict(lexicon.things) == {"chair": 2, "fedora": 1, "kangaroo": 2}
    assert lexicon.unfamiliar("a kangaroo with a fedora") == ["fedora"]
    # Whoever goes on keeps what was known.
    monkeypatch.setattr(tokens, "read", lambda *_: some)
    onward, _ = train("t2mv", "onward", 2, weights)
    further = lexicon_of(onward, checkpoint.about(onward))
    assert dict(further.things) == {"chair": 2, "kangaroo": 2, "cup": 1, "fedora": 1}
    assert set(further.words) == {"kangaroo"}


def test_new_words_are_learnt_at_the_full_rate(train, tmp_path):
    vocabulary = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
    smaller = replace(TINY, words=len(vocabulary) - 5)  # of old times: no vocabulary lies with it
    weights = checkpoint.save(tmp_path / "fewer", Transformer(smaller), smaller, {"stage": "t2mv"}, half=True)
    larger, schedule = train("t2mv", "all", 2, weights)
    assert share(schedule, "t2mv") == 1
    known, learnt = (checkpoint.load(each, Transformer, TransformerConfig)[0] for each in (weights, larger))
    assert (known.config.words, learnt.config.words) == (len(vocabulary) - 5, len(vocabulary))
    first, second = vocabulary.parts()[-5]
    begun = (known.word.weight[first] + known.word.weight[second]) / 2
    assert torch.nn.functional.cosine_similarity(begun, learnt.word.weight[len(vocabulary) - 5], dim=0) > 0.9


def test_weights_of_another_size_are_refused(train):
    weights, _ = train("t2mv", "three", 3)
    with pytest.raises(ViewmaskError, match="another size than the preset 'nano'"):
        train("t2mv", "two", 2, weights)
    with pytest.raises(ViewmaskError, match="only --init adds layers and words"):
        train("t2mv", "three", 4, resume=True)


def test_the_same_seed_gives_the_same_weights(train):
    torch.manual_seed(1)
    first, _ = train("t2mv", "first", 2)
    torch.manual_seed(2)
    second, _ = train("t2mv", "second", 2)
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


def test_the_reranker_learns_to_read_with_a_transformer_and_resumes_exactly(train, tmp_path):
    transformer, _ = train("t2mv", "two", 2)
    known = checkpoint.load(transformer, Transformer, TransformerConfig)[0]
    whole = stages.train("reranker", [], Run(tmp_path / "whole", steps=4, init=transformer))
    reranker = Reranker.load(whole, known, VOCABULARY)
    assert reranker.towers.config.features == features(known.config)
    about = json.loads((whole / "config.json").read_text())["about"]
    assert (about["stage"], about["objects"], about["schedule"]["rate"]) == ("reranker", 2, ranking.SCHEDULE.rate)

    def interrupted(step, steps, figures):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        stages.train("reranker", [], Run(tmp_path / "parts", steps=4, init=transformer, progress=interrupted))
    with pytest.raises(ViewmaskError, match=r"learnt with the transformer \w+: --init must name the same to go on"):
        stages.train("reranker", [], Run(tmp_path / "parts", steps=4, init=train("t2mv", "other", 3)[0], resume=True))
    resumed = stages.train("reranker", [], Run(tmp_path / "parts", steps=4, init=transformer, resume=True))
    towers = Reranker.load(resumed, known, VOCABULARY).towers.state_dict()
    for name, tensor in reranker.towers.state_dict().items():
        torch.testing.assert_close(tensor, towers[name])


def test_a_decoder_learns_the_codes_of_a_tokenizer_and_resumes_exactly(tmp_path, monkeypatch):
    sizes = {"decoder_stem": 4, "decoder_widths": (8, 12, 16), "decoder_blocks": (1, 1, 1)}
    monkeypatch.setitem(codes.DECODERS, "nano", (sizes, codes.Terms(), Schedule(4, batch=2, muon=1e-3)))
    asked, notes, side = [], [], 32

    def pictures(data, size, *_):
        asked.append(size)
        return np.random.default_rng(0).integers(0, 256, (3, size, size, 4), dtype=np.uint8)

    monkeypatch.setattr(codes.collection, "pictures", pictures)
    monkeypatch.setattr(codes.collection, "side", lambda *_: side)
    config = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)
    tokenizers = [tmp_path / "one", tmp_path / "two"]
    for path in tokenizers:
        checkpoint.save(path, Tokenizer(config), config, {}, half=True)
    known = checkpoint.load(tokenizers[0], Tokenizer, TokenizerConfig)[0]
    whole = stages.train("decoder", [], Run(tmp_path / "whole", tokenizer=tokenizers[0], note=notes.append))
    assert notes == ["views of 32 pixels: the decoder learns none of 64, as a refiner makes them"]
    made, shape, _ = checkpoint.load(whole, Tokenizer, TokenizerConfig)
    assert shape.decoder_widths == (8, 12, 16)
    assert checkpoint.fingerprint(made.encoder) == checkpoint.fingerprint(known.encoder)  # tokens stay valid

    def interrupted(step, steps, figures):
        if step == 2:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        stages.train("decoder", [], Run(tmp_path / "parts", tokenizer=tokenizers[0], progress=interrupted))
    resumed = stages.train("decoder", [], Run(tmp_path / "parts", tokenizer=tokenizers[0], resume=True))
    assert (resumed / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    with pytest.raises(ViewmaskError, match="decodes other codes"):
        stages.train("decoder", [], Run(tmp_path / "other", tokenizer=tokenizers[1], init=whole))
    gently = stages.train("decoder", [], Run(tmp_path / "more", tokenizer=tokenizers[0], init=whole))
    assert json.loads((gently / "config.json").read_text())["about"]["schedule"]["muon"] == pytest.approx(GENTLY * 1e-3)
    assert set(asked) == {32}
    side = 70
    stages.train("decoder", [], Run(tmp_path / "large", tokenizer=tokenizers[0], note=notes.append))
    assert asked[-1] == 64
    assert len(notes) == 1


def test_pairs_are_for_the_first_stage(train, monkeypatch):
    some = tokens.read()
    pairs = Tokens(some.ids, some.sources, some.captions, some.azimuths[:, :1], some.tokens[:, :1])
    monkeypatch.setattr(tokens, "read", lambda *_: pairs)
    with pytest.raises(ViewmaskError, match="pairs are for the stage align"):
        train("t2mv", "views", 2)
    train("align", "pairs", 2)
