"""The task of the three stages: masks, conditions, sources, and a model that learns."""

import numpy as np
import pytest
import torch

from viewmask.model import sequence
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import PAD
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.masked import Masked, Mixture, code_loss, validation
from viewmask.train.tokens import Tokens

VOCABULARY = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
CONFIG = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=len(VOCABULARY), grid=2)
CPU = torch.device("cpu")


@pytest.fixture
def tokens():
    random = np.random.default_rng(0)
    return Tokens(
        ids=["a", "b", "c", "d"],
        sources=np.array([0, 0, 0, 1]),
        captions=[["a red cup"], ["a chair", "it"], [], ["a blue dog"]],
        azimuths=np.float32(np.arange(8) * 45 + np.array([0, 0, 0, 30])[:, None]),
        tokens=random.integers(0, 2**18, (4, 8, 2, 2)).astype(np.int32) * (random.random((4, 8, 2, 2)) < 0.7),
    )


@pytest.mark.parametrize("name", ["t2i", "mmu", "i2mv", "t2mv"])
def test_batches_of_every_layout(tokens, name):
    task = Masked(tokens, Mixture(**{name: 1.0}), VOCABULARY, CPU)
    for step in range(6):
        random = np.random.default_rng(step)
        layout, captions, views = task.draw(name, random, 5)
        assert views.shape == (5, layout.views, 2, 2)
        assert captions.shape == (5, layout.text)
        assert torch.isfinite(task.loss(Transformer(CONFIG), step, random, 5)[0])


def test_batches_of_single_views_hold_as_many_views(tokens, monkeypatch):
    sizes = []
    for name in ("t2i", "mmu", "i2mv", "t2mv"):
        task = Masked(tokens, Mixture(**{name: 1.0}), VOCABULARY, CPU)
        model = Transformer(CONFIG)
        model.register_forward_hook(lambda model, batch, output: sizes.append(tuple(batch[2].shape[:2])))
        task.loss(model, 0, np.random.default_rng(0), 3)
    assert sizes == [(12, 1), (12, 1), (3, 4), (3, 4)]


def test_text_rows_show_the_front_of_captioned_objects(tokens):
    task = Masked(tokens, Mixture(t2mv=1.0), VOCABULARY, CPU)
    layout, _, views = task.draw("t2mv", np.random.default_rng(0), 64)
    fronts = {view.tobytes() for view in tokens.tokens[:2, 0].astype(np.int64)}
    assert layout.azimuths == (0, 90, 180, 270)
    assert {view.numpy().tobytes() for view in views[:, 0]} == fronts


def test_views_follow_the_orbit_from_any_start(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, odd_orbits=0), VOCABULARY, CPU)
    _, _, views = task.draw("i2mv", np.random.default_rng(0), 64)
    orbits = {tokens.tokens[row, (start + np.arange(4) * 2) % 8].astype(np.int64).tobytes()
              for row in range(4) for start in range(8)}  # fmt: skip
    seen = {view.numpy().tobytes() for view in views}
    assert seen <= orbits
    assert len(seen) > 16


def test_masks_are_uniform_in_ratio_and_spare_the_reference(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, whole_views=0.0), VOCABULARY, CPU)
    masks = task.mask(sequence.i2mv(), 2, np.random.default_rng(0), 4000)
    assert not masks[:, 0].any()
    ratios = masks[:, 1:].reshape(4000, -1).mean(axis=1)
    assert (ratios > 0).all()
    assert ratios.mean() == pytest.approx(0.5, abs=0.05)
    assert np.mean(ratios < 0.26) == pytest.approx(0.25, abs=0.06)


@pytest.mark.parametrize("layout", [sequence.t2mv(), sequence.i2mv()])
def test_a_cosine_hides_more_where_no_picture_is_given(tokens, layout):
    task = Masked(tokens, Mixture(t2mv=1.0, whole_views=0.0, cosine=True), VOCABULARY, CPU)
    masks = task.mask(layout, 2, np.random.default_rng(0), 4000)[:, layout.given :]
    ratios = masks.reshape(4000, -1).mean(axis=1)
    assert ratios.mean() == pytest.approx(0.5 if layout.given else 2 / np.pi, abs=0.05)


def test_whole_views_are_masked_alike(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, whole_views=1.0), VOCABULARY, CPU)
    masks = task.mask(sequence.i2mv(), 2, np.random.default_rng(0), 50)[:, 1:].reshape(50, 3, -1)
    shares = masks.mean(axis=2)
    assert (shares == 1).any(axis=1).mean() > 0.9


def test_small_sources_are_heard_more_than_their_share(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0), VOCABULARY, CPU)
    chance = np.diff(task.weights["any"], prepend=0)
    # Three objects against one: root 3 against root 1.
    assert chance[3] == pytest.approx(1 / (1 + 3**0.5))


def test_rare_things_are_named_more_than_their_share(tokens):
    captions = [["a red chair"], ["a chair with arms"], ["a blue chair"], ["a dog"]]
    turned = np.float32(np.arange(8) * 45 + np.zeros((4, 1)))
    twice = Tokens([*"aabc"], np.zeros(4, int), captions, turned, tokens.tokens)
    chance = np.diff(Masked(twice, Mixture(t2mv=1.0), VOCABULARY, CPU).weights["front"], prepend=0)
    # Two chairs, the first in two variants, against one dog: root 2 against root 1.
    assert chance.tolist() == pytest.approx(np.array([2**-1.5, 2**-1.5, 2**-0.5, 1]) / (2**0.5 + 1))


def test_the_loss_is_that_of_the_formula():
    empty, codes = torch.tensor([2.0, -1.0]), torch.randn(2, 2, 512, generator=torch.Generator().manual_seed(0))
    truth = torch.tensor([0, 5 + 512 * 9])
    loss, _ = code_loss(CONFIG, empty, codes, truth)
    said = codes[1].log_softmax(dim=-1)
    expected = -(torch.sigmoid(empty[0]).log() + torch.sigmoid(-empty[1]).log() + said[0, 5] + said[1, 9]) / 2
    torch.testing.assert_close(loss, expected)


def test_the_same_step_gives_the_same_batch(tokens):
    losses = []
    for _ in range(2):
        torch.manual_seed(0)
        task = Masked(tokens, Mixture(i2mv=1, t2mv=1, mmu=1), VOCABULARY, CPU)
        losses.append(task.loss(Transformer(CONFIG), 3, np.random.default_rng(3), 4)[0].item())
    assert losses[0] == losses[1]


def nameless(tokens):
    return Tokens(tokens.ids, tokens.sources, [[]] * 4, tokens.azimuths, tokens.tokens)


def test_uncaptioned_tokens_cannot_teach_text(tokens):
    mixture = Mixture(i2mv=0.3, t2mv=0.7)
    assert Masked(tokens, mixture, VOCABULARY, CPU).absent() == []
    task = Masked(nameless(tokens), mixture, VOCABULARY, CPU)
    assert task.absent() == ["t2mv"]
    assert task.shares() == {"i2mv": 1.0}


def test_without_its_condition_a_sequence_shows_neither_text_nor_reference(tokens):
    """What the model is given, by layout, where every condition is dropped; and what is hidden for its loss."""
    batches = []

    class Spy(Transformer):
        def forward(self, layout, words, tokens, masked):
            batches.append((layout, words, masked))
            return super().forward(layout, words, tokens, masked)

    for name, dropped in (("t2mv", 1.0), ("i2mv", 1.0), ("t2mv", 0.0), ("i2mv", 0.0)):
        task = Masked(tokens, Mixture(**{name: 1.0}, dropped=dropped, captioned=1.0), VOCABULARY, CPU)
        task.layout_loss(Spy(CONFIG), name, np.random.default_rng(0), 8)
    bare, hidden, captioned, shown = batches
    for layout, words, _ in (bare, hidden):
        assert (words[:, sequence.text_slice(layout)] == PAD).all()
    assert hidden[2][:, 0].all()  # the reference, too
    assert not shown[2][:, 0].any()
    assert (captioned[1][:, sequence.text_slice(captioned[0])] != PAD).any(dim=1).all()


def test_the_loss_is_of_targets_alone_where_the_reference_is_hidden(tokens, monkeypatch):
    sizes = []
    monkeypatch.setattr(
        "viewmask.train.masked.code_loss", lambda config, empty, *_: (sizes.append(len(empty)) or empty.sum(), {})
    )
    for dropped in (0.0, 1.0):
        task = Masked(tokens, Mixture(i2mv=1.0, dropped=dropped, captioned=0.0), VOCABULARY, CPU)
        task.layout_loss(Transformer(CONFIG), "i2mv", np.random.default_rng(0), 16)
    assert sizes[0] == sizes[1]


def test_unseen_objects_validate_always_alike(tokens):
    torch.manual_seed(0)
    model = Transformer(CONFIG).eval()
    judge = validation(Masked(tokens, Mixture(t2i=0.2, i2mv=0.3, t2mv=0.5, dropped=0.9), VOCABULARY, CPU))
    first, again = judge(model), judge(model)
    assert first == again
    assert list(first) == ["val", "val t2i", "val i2mv", "val t2mv"]
    expected = 0.2 * first["val t2i"] + 0.3 * first["val i2mv"] + 0.5 * first["val t2mv"]
    assert first["val"] == pytest.approx(expected)
    # What is dropped in training is not dropped here.
    whole = validation(Masked(tokens, Mixture(t2i=0.2, i2mv=0.3, t2mv=0.5), VOCABULARY, CPU))
    assert whole(model) == first


def test_nameless_objects_validate_what_needs_no_names(tokens):
    model = Transformer(CONFIG).eval()
    figures = validation(Masked(nameless(tokens), Mixture(i2mv=0.3, t2mv=0.7), VOCABULARY, CPU))(model)
    assert list(figures) == ["val", "val i2mv"]
    assert figures["val"] == figures["val i2mv"]
    assert validation(Masked(nameless(tokens), Mixture(t2i=0.6, mmu=0.4), VOCABULARY, CPU)) is None


def test_it_learns_to_repeat_what_it_has_seen(tokens):
    torch.manual_seed(0)
    task = Masked(tokens, Mixture(i2mv=0.5, t2mv=0.5), VOCABULARY, CPU)
    model = Transformer(CONFIG)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for step in range(80):
        loss, _ = task.loss(model, step, np.random.default_rng(step), 8)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-10:]) < 0.6 * np.mean(losses[:10])
