"""Learning to rank: the loss against a plain one, what is no wrong answer, and that something is learnt."""

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.model.reranker import Towers, TowersConfig, describe, features
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.ranking import Ranking, validation
from viewmask.train.tokens import Tokens

VOCABULARY = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
SHAPE = TransformerConfig(width=64, layers=3, heads=2, hidden=96, words=len(VOCABULARY), grid=4)
CONFIG = TowersConfig(features(SHAPE), len(VOCABULARY), hidden=64, dimension=32, dropout=0.0)
CPU = torch.device("cpu")
NAMES = ("chair", "table", "bottle", "tree", "car", "house", "lamp", "sword")


def objects(captions, front=0.0):
    """Random tokens, the object's own in all eight views."""
    random = np.random.default_rng(0)
    tokens = random.integers(1, 2**18, (len(captions), 1, 4, 4)).repeat(8, axis=1).astype(np.int32)
    turned = np.float32(np.arange(8) * 45 + front + np.zeros((len(captions), 1)))
    return Tokens([str(i) for i in range(len(captions))], np.zeros(len(captions), int), captions, turned, tokens)


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return Transformer(SHAPE).eval()


def ranking(transformer, rows):
    return Ranking(transformer, rows, VOCABULARY, CPU)


@pytest.fixture
def model():
    torch.manual_seed(1)
    return Towers(CONFIG)


def test_the_loss_is_that_of_the_right_answer_among_all(transformer, model, monkeypatch):
    monkeypatch.setattr("viewmask.train.ranking.HIDDEN", 0.0)
    rows = objects([[f"a {name}"] for name in NAMES])
    task = ranking(transformer, rows)
    model.eval()
    loss, _ = task.loss(model, 0, np.random.default_rng(5), 12)

    half = np.searchsorted(task.chances, np.random.default_rng(5).random(6), side="right")
    chosen = np.concatenate([half, half])  # there is no other variant
    seen = model.views(describe(transformer, torch.from_numpy(rows.tokens[chosen, ::2].astype(np.int64))))
    said = model.sentences(torch.tensor([VOCABULARY.encode(rows.captions[row][0]) for row in chosen]))
    sharp, costs = model.sharpness.exp().item(), []
    for a, b in ((said, seen), (seen, said)):
        for i in range(12):
            wrong = [j for j in range(12) if chosen[j] != chosen[i]]
            near = torch.stack([a[i] @ b[j] for j in [i, *wrong]]) * sharp
            costs.append((near.logsumexp(0) - near[0]).item())
    assert float(loss.detach()) == pytest.approx(np.mean(costs), rel=1e-4)


def test_another_variant_is_a_wrong_answer_unless_its_words_are_the_same(transformer, model, monkeypatch):
    """One object in two colours: "a red chair" is wrong of the blue one, "a chair" is not."""
    monkeypatch.setattr("viewmask.train.ranking.HIDDEN", 0.0)

    def first_loss(captions):
        rows = objects(captions)
        task = ranking(transformer, Tokens(["a", "a"], rows.sources, captions, rows.azimuths, rows.tokens))
        return max(float(task.loss(model, 0, np.random.default_rng(seed), 2)[0].detach()) for seed in range(8))

    assert first_loss([["a red chair"], ["a blue chair"]]) > 0.1
    assert first_loss([["a chair"], ["a chair"]]) == pytest.approx(0, abs=1e-6)


def test_the_same_words_of_another_object_are_no_wrong_answer(transformer, model):
    task = ranking(transformer, objects([["a chair"], ["a chair"]]))
    loss, _ = task.loss(model, 0, np.random.default_rng(0), 8)
    assert float(loss.detach()) == pytest.approx(0, abs=1e-6)


def test_it_learns_and_tells_how_often_it_finds(transformer, model):
    rows = objects([[f"a {name}", f"a red {name}"] for name in NAMES])
    task = ranking(transformer, rows)
    judge = validation(task)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(80):
        model.train()
        loss, figures = task.loss(model, step, np.random.default_rng(step), 16)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert figures["accuracy"] > 0.8
    assert judge(model.eval()) == {"val": 1.0, "val five": 1.0}
    torch.manual_seed(2)
    model.load_state_dict(Towers(CONFIG).state_dict())
    assert judge(model)["val"] < 0.6


def test_what_was_read_is_kept(transformer, monkeypatch):
    calls = []
    real = describe
    monkeypatch.setattr("viewmask.train.ranking.describe", lambda *given: calls.append(len(given[1])) or real(*given))
    task = ranking(transformer, objects([[f"a {name}"] for name in NAMES]))
    first = task.described(np.array([3, 1, 3]))
    again = task.described(np.array([1, 2]))
    assert calls == [2, 1]
    assert torch.equal(first[0], first[2])
    assert torch.equal(first[1], again[0])


@pytest.mark.parametrize("rows", [objects([["a chair"], []]), objects([["a chair"], ["a cup"]], front=45.0)])
def test_rows_that_teach_no_sentences(transformer, rows):
    with pytest.raises(ViewmaskError, match="no captioned objects seen from the front"):
        ranking(transformer, rows)
