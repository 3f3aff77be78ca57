"""The task of the three stages: masks, conditions, sources, and a model that learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from viewmask.errors import ViewmaskError
from viewmask.learning.schedule import Schedule
from viewmask.model import sequence
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import LENGTH, MASK, PAD
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.epochs import Epochs
from viewmask.train.masked import MIXTURES, SCHEDULES, TRANSFORMERS, Masked, Mixture, code_loss, validation
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


@pytest.fixture
def album(tokens):
    """Photos of objects b and c: each has tokens of its own, and looks from some view."""
    photos = np.arange(1, 4, dtype=np.int32)[:, None, None] + np.zeros((3, 2, 2), np.int32)
    return replace(tokens, photos=photos, photo_rows=np.array([1, 1, 2]), photo_views=np.array([2, 7, 4]))


@pytest.mark.parametrize("odd", [0.0, 1.0])
def test_a_photo_stands_in_place_of_the_view_from_its_azimuth(album, odd):
    task = Masked(album, Mixture(photo=1.0, odd_orbits=odd, captioned=0.0), VOCABULARY, CPU)
    layout, captions, views = task.draw("photo", np.random.default_rng(0), 64)
    assert (layout, captions.shape) == (sequence.i2mv(layout.azimuths), (64, 0))
    offsets = np.round(np.array(layout.azimuths) / 45).astype(int)
    assert (len(offsets), offsets[0]) == (4, 0)
    seen = set()
    for photo, *orbit in views.numpy():
        number = int(photo[0, 0]) - 1
        seen.add(number)
        row, start = int(album.photo_rows[number]), int(album.photo_views[number])
        assert np.array_equal(orbit, album.tokens[row, (start + offsets[1:]) % 8])
    assert seen == {0, 1, 2}
    masked = task.mask(layout, 2, np.random.default_rng(0), 8)
    assert masked.shape == (8, 4, 2, 2)
    assert not masked[:, 0].any()
    assert torch.isfinite(task.loss(Transformer(CONFIG), 0, np.random.default_rng(0), 5)[0])


def test_captions_come_with_photos_of_captioned_objects(album):
    task = Masked(album, Mixture(photo=1.0, captioned=1.0), VOCABULARY, CPU)
    layout, captions, views = task.draw("photo", np.random.default_rng(0), 32)
    assert layout.text == captions.shape[1] == LENGTH
    assert set(views[:, 0, 0, 0].tolist()) == {1, 2}  # object c has no caption


def test_tokens_without_photos_train_the_rest(tokens):
    task = Masked(tokens, Mixture(photo=0.5, i2mv=0.5), VOCABULARY, CPU)
    assert task.absent() == ["photo"]
    assert task.shares() == {"i2mv": 1.0}


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


# -- by hand ------------------------------------------------------------------------------------------------


class Spy(Transformer):
    """Keeps what it is given and what it makes of it."""

    def __init__(self, config):
        torch.manual_seed(1)
        super().__init__(config)
        self.seen = []

    def forward(self, layout, words, tokens, masked):
        made = super().forward(layout, words, tokens, masked)
        self.seen.append((layout, words, tokens, masked, made))
        return made


def test_what_nobody_states_of_a_mixture():
    assert Mixture() == Mixture(0, 0, 0, 0, dropped=0.1, whole_views=0.2, odd_orbits=0.25, captioned=0.25, cosine=False)


def test_a_condition_is_dropped_as_a_whole_and_as_often_as_asked(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, dropped=0.3, captioned=1.0), VOCABULARY, CPU)
    model = Spy(CONFIG)
    for step in range(10):
        task.loss(model, step, np.random.default_rng(step), 32)
    gone = []
    for layout, words, _, masked, _ in model.seen:
        blank = (words[:, sequence.text_slice(layout)] == PAD).all(dim=1)
        assert torch.equal(masked[:, 0].flatten(1).all(dim=1), blank)
        assert torch.equal(masked[:, 0].flatten(1).any(dim=1), blank)
        gone += blank.tolist()
    assert np.mean(gone) == pytest.approx(0.3, abs=0.06)


@pytest.mark.parametrize("dropped", [0.0, 1.0])
def test_the_loss_of_views_is_that_of_the_hidden_targets(tokens, dropped):
    task, model = Masked(tokens, Mixture(i2mv=1.0, dropped=dropped), VOCABULARY, CPU), Spy(CONFIG)
    loss, figures = task.layout_loss(model, "i2mv", np.random.default_rng(3), 6)
    (_, _, views, masked, (_, features)), = model.seen  # fmt: skip
    targets = masked.clone()
    targets[:, 0] = False
    said = model.predict(features[targets])
    expected, parts = code_loss(CONFIG, said.empty, said.codes, views[targets])
    torch.testing.assert_close(loss, expected)
    assert figures == parts | {"i2mv": float(loss)}


def test_the_loss_of_words_is_that_of_the_hidden_ones(tokens):
    task, model = Masked(tokens, Mixture(mmu=1.0), VOCABULARY, CPU, views=3), Spy(CONFIG)
    loss, figures = task.layout_loss(model, "mmu", np.random.default_rng(3), 40)
    (layout, words, views, masked, (features, _)), = model.seen  # fmt: skip
    assert not masked.any()
    _, captions, drawn = task.draw("mmu", np.random.default_rng(3), 120)
    assert torch.equal(views, drawn)
    field = sequence.text_slice(layout)
    hidden = words[:, field] == MASK
    assert torch.equal(words[:, field], torch.where(hidden, MASK, captions))
    assert torch.equal(words[:, : field.start], sequence.words(layout, captions)[:, : field.start])
    assert hidden.any(dim=1).all()
    shares = hidden.float().mean(dim=1).numpy()
    assert shares.mean() == pytest.approx(0.5, abs=0.08)
    assert np.mean(shares < 0.25) == pytest.approx(0.25, abs=0.1)
    logits = model.word_head(features[:, field][hidden])
    torch.testing.assert_close(loss, F.cross_entropy(logits, captions[hidden]))
    assert figures == {"mmu": float(loss)}


def test_where_no_word_is_hidden_the_first_is(tokens, monkeypatch):
    task, model = Masked(tokens, Mixture(mmu=1.0), VOCABULARY, CPU), Spy(CONFIG)

    class Never:
        """A generator that hides nothing."""

        def __init__(self):
            self.real = np.random.default_rng(0)

        def random(self, size=None):
            return np.zeros(size) if size == (4, 1) else self.real.random(size)

        def integers(self, *rest, **more):
            return self.real.integers(*rest, **more)

    task.layout_loss(model, "mmu", Never(), 1)
    layout, words, *_ = model.seen[0]
    hidden = words[:, sequence.text_slice(layout)] == MASK
    assert hidden[:, 0].all()
    assert not hidden[:, 1:].any()


def starts(tokens, row, view):
    """The starts of an orbit at which a row shows a view."""
    return {start for start in range(8) if np.array_equal(tokens.tokens[row, start], view)}


def test_odd_orbits_are_any_views_in_order_and_azimuths_tell_which(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, odd_orbits=1.0), VOCABULARY, CPU)
    steps = set()
    for seed in range(60):
        layout, _, views = task.draw("i2mv", np.random.default_rng(seed), 3)
        offsets = [round(azimuth / 45) for azimuth in layout.azimuths]
        assert offsets[0] == 0
        assert offsets == sorted(set(offsets))
        assert len(offsets) == 4
        assert layout.azimuths == tuple(45.0 * offset for offset in offsets)
        steps |= set(offsets)
        for line in views.numpy():
            assert any(
                all(
                    np.array_equal(tokens.tokens[row, (start + k) % 8], view)
                    for k, view in zip(offsets, line, strict=True)
                )
                for row in range(4)
                for start in range(8)
            )
    assert steps == set(range(8))


def test_odd_orbits_are_as_rare_as_asked_and_need_views_between(tokens):
    even = (0, 90, 180, 270)
    task = Masked(tokens, Mixture(i2mv=1.0, odd_orbits=0.3), VOCABULARY, CPU)
    random = np.random.default_rng(0)
    draws = [task.draw("i2mv", random, 1)[0].azimuths for _ in range(600)]
    # One in 35 odd orbits is even by chance.
    assert np.mean([azimuths != even for azimuths in draws]) == pytest.approx(0.3 * 34 / 35, abs=0.06)
    whole = Masked(tokens, Mixture(i2mv=1.0, odd_orbits=1.0), VOCABULARY, CPU, views=8)
    assert whole.draw("i2mv", np.random.default_rng(0), 1)[0].azimuths == tuple(45 * k for k in range(8))
    none = Masked(tokens, Mixture(i2mv=1.0, odd_orbits=0.0), VOCABULARY, CPU)
    assert none.draw("i2mv", np.random.default_rng(0), 1)[0].azimuths == even


def test_captions_belong_to_the_objects_beside_them(tokens):
    said = {tuple(VOCABULARY.encode(text, LENGTH, cut=True)): row
            for row, texts in enumerate(tokens.captions) for text in texts}  # fmt: skip
    task = Masked(tokens, Mixture(i2mv=1.0, captioned=1.0), VOCABULARY, CPU)
    layout, captions, views = task.draw("i2mv", np.random.default_rng(0), 64)
    assert layout == sequence.i2mv(layout.azimuths, with_text=True)
    for caption, line in zip(captions.tolist(), views.numpy(), strict=True):
        assert starts(tokens, said[tuple(caption)], line[0])
    assert {tuple(caption) for caption in captions.tolist()} == set(said)  # every one of several
    share = Masked(tokens, Mixture(i2mv=1.0, captioned=0.3), VOCABULARY, CPU)
    random = np.random.default_rng(0)
    texts = [share.draw("i2mv", random, 1)[0].text for _ in range(600)]
    assert set(texts) == {0, LENGTH}
    assert np.mean(np.array(texts) > 0) == pytest.approx(0.3, abs=0.06)
    bare = Masked(nameless(tokens), Mixture(i2mv=1.0, captioned=1.0), VOCABULARY, CPU)
    layout, captions, _ = bare.draw("i2mv", np.random.default_rng(0), 5)
    assert (layout.text, captions.shape, captions.dtype) == (0, (5, 0), torch.long)


@pytest.mark.parametrize("name", ["t2i", "mmu", "t2mv"])
def test_named_layouts_begin_at_the_front(tokens, name):
    task = Masked(tokens, Mixture(**{name: 1.0}), VOCABULARY, CPU)
    layout, captions, views = task.draw(name, np.random.default_rng(0), 32)
    assert layout == {"t2i": sequence.t2i(), "mmu": sequence.mmu(), "t2mv": sequence.t2mv()}[name]
    said = {tuple(VOCABULARY.encode(text, LENGTH, cut=True)): row for row in (0, 1) for text in tokens.captions[row]}
    for caption, line in zip(captions.tolist(), views.numpy(), strict=True):
        row = said[tuple(caption)]
        assert np.array_equal(line, tokens.tokens[row, [0, 2, 4, 6][: layout.views]])
    assert views.dtype == torch.int64


def test_captions_that_are_too_long_are_cut(tokens):
    tokens.captions[3][0] = "a blue dog " * 30
    task = Masked(tokens, Mixture(i2mv=1.0, captioned=1.0), VOCABULARY, CPU)
    assert task.draw("i2mv", np.random.default_rng(0), 32)[1].shape == (32, LENGTH)


def test_rows_are_drawn_by_their_chance(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, captioned=0.0), VOCABULARY, CPU)
    assert {name: rows.tolist() for name, rows in task.rows.items()} == {
        "any": [0, 1, 2, 3], "captioned": [0, 1, 3], "front": [0, 1], "taken": [], "taken, captioned": [],
    }  # fmt: skip
    views = task.draw("i2mv", np.random.default_rng(0), 2000)[2].numpy()
    shares = [np.mean([bool(starts(tokens, row, line[0])) for line in views]) for row in range(4)]
    lone = 1 / (1 + 3**0.5)
    assert shares == pytest.approx([(1 - lone) / 3] * 3 + [lone], abs=0.04)
    captioned = np.diff(task.weights["captioned"], prepend=0)
    assert captioned == pytest.approx(np.array([2**-0.5, 2**-0.5, 1]) / (2**0.5 + 1))


def test_whole_views_are_hidden_by_chance_and_one_at_least(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, whole_views=1.0), VOCABULARY, CPU)
    masks = task.mask(sequence.i2mv(), 3, np.random.default_rng(0), 3000)
    assert masks.shape == (3000, 4, 3, 3)
    assert masks.dtype == bool
    shares = masks[:, 1:].reshape(3000, 3, -1).mean(axis=2).round(6)
    assert set(np.unique(shares)) == {0.0, round(1 / 9, 6), 1.0}  # a view shown whole may have one token hidden
    assert (shares == 1).any(axis=1).all()
    assert (shares == round(1 / 9, 6)).sum(axis=1).max() == 1
    assert (shares == 1).mean() == pytest.approx(1 / 3 + 2 / 3 / 2, abs=0.02)
    half = Masked(tokens, Mixture(i2mv=1.0, whole_views=0.4), VOCABULARY, CPU)
    shares = half.mask(sequence.i2mv(), 6, np.random.default_rng(0), 2000)[:, 1:].reshape(2000, 3, -1).mean(axis=2)
    alike = ((shares == 1) | (shares < 1.5 / 36)).all(axis=1)
    assert alike.mean() == pytest.approx(0.4, abs=0.06)


def test_a_single_target_is_never_hidden_as_a_whole_by_rule(tokens):
    task = Masked(tokens, Mixture(t2i=1.0, whole_views=1.0), VOCABULARY, CPU)
    masks = task.mask(sequence.t2i(), 4, np.random.default_rng(0), 500).reshape(500, -1)
    assert masks.any(axis=1).all()
    assert masks.all(axis=1).mean() < 0.2
    pair = task.mask(sequence.t2mv((0.0, 180.0)), 4, np.random.default_rng(0), 500).reshape(500, 2, -1)
    assert pair.all(axis=2).any(axis=1).all()


def test_one_token_at_least_is_hidden_anywhere(tokens):
    class Never:
        """A generator that hides nothing by chance."""

        def __init__(self):
            self.real = np.random.default_rng(0)

        def random(self, size=None):
            return np.full(size, 0.999)

        def integers(self, *rest, **more):
            return self.real.integers(*rest, **more)

    task = Masked(tokens, Mixture(i2mv=1.0, whole_views=0.0), VOCABULARY, CPU)
    masks = task.mask(sequence.i2mv(), 2, Never(), 400)
    assert (masks.reshape(400, -1).sum(axis=1) == 1).all()
    assert masks.reshape(400, -1).sum(axis=0)[4:].min() > 10
    assert not masks[:, 0].any()


def test_layouts_come_up_by_their_shares(tokens):
    mixture = Mixture(t2i=0.1, mmu=0.3, i2mv=0.4, t2mv=0.2)
    task = Masked(tokens, mixture, VOCABULARY, CPU)
    assert task.shares() == pytest.approx({"t2i": 0.1, "mmu": 0.3, "i2mv": 0.4, "t2mv": 0.2})
    names = []
    task.layout_loss = lambda model, name, random, batch, part: names.append(name)
    for step in range(1000):
        task.loss(None, step, np.random.default_rng(step), 1)
    for name, share in task.shares().items():
        assert names.count(name) / 1000 == pytest.approx(share, abs=0.05)
    other = Masked(nameless(tokens), Mixture(t2i=1, mmu=2, i2mv=3), VOCABULARY, CPU)
    assert other.absent() == ["t2i", "mmu"]
    assert other.shares() == {"i2mv": 1}


def test_parts_of_the_loss_and_a_table_s():
    empty, codes = torch.tensor([2.0, -1.0]), torch.randn(2, 2, 512, generator=torch.Generator().manual_seed(0))
    loss, parts = code_loss(CONFIG, empty, codes, torch.tensor([0, 7]))
    assert parts["occupancy"] == pytest.approx(float(F.softplus(torch.tensor([-2.0, -1.0])).mean()))
    assert parts["occupancy"] + parts["code"] == pytest.approx(float(loss))
    loss, parts = code_loss(CONFIG, empty, codes, torch.tensor([0, 0]))
    assert parts["code"] == 0
    assert float(loss) == pytest.approx(float(F.softplus(torch.tensor([-2.0, 1.0])).mean()))
    table = torch.randn(2, 1, 8)
    loss, parts = code_loss(CONFIG, None, table, torch.tensor([0, 5]))
    said = table[:, 0].log_softmax(dim=-1)
    torch.testing.assert_close(loss, -(said[0, 0] + said[1, 5]) / 2)
    assert parts == {}


def test_validation_is_the_mean_over_four_batches_of_sixteen(tokens):
    model = Spy(CONFIG).eval()
    mixture = Mixture(i2mv=0.75, t2mv=0.25, dropped=1.0)
    figures = validation(Masked(tokens, mixture, VOCABULARY, CPU, views=2))(model)
    assert [len(seen[1]) for seen in model.seen] == [16] * 8
    assert all(seen[0].views == 2 for seen in model.seen)
    assert not model.seen[0][4][0].requires_grad
    whole = Masked(tokens, Mixture(i2mv=0.75, t2mv=0.25, dropped=0.0), VOCABULARY, CPU, views=2)
    for name in ("i2mv", "t2mv"):
        losses = [float(whole.layout_loss(model, name, np.random.default_rng(k), 16)[0]) for k in range(4)]
        assert figures[f"val {name}"] == pytest.approx(np.mean(losses))
    model.seen.clear()
    validation(whole, batches=1, batch=3)(model)
    assert [len(seen[1]) for seen in model.seen] == [3, 3]


def test_the_recipes_of_the_shipped_weights():
    assert {
        "align": Mixture(t2i=0.6, mmu=0.4),
        "i2mv": Mixture(i2mv=0.4, photo=0.6),
        "t2mv": Mixture(t2i=0.2, mmu=0.02, i2mv=0.25, photo=0.25, t2mv=0.28, cosine=True),
    } == MIXTURES
    nano = {name: SCHEDULES["nano", name] for name in MIXTURES}
    assert nano == {
        "align": Schedule(500, 24, 2e-3, 4e-3, 50, 0.05, 0.998, precision="auto"),
        "i2mv": Schedule(3000, 24, 2e-3, 4e-3, 50, 0.05, 0.998, precision="auto"),
        "t2mv": Schedule(3000, 16, 1.5e-3, 3e-3, 50, 0.05, 0.998, precision="auto"),
    }
    small = {name: SCHEDULES["small", name] for name in MIXTURES}
    assert small == {
        "align": Schedule(2000, 256, 1e-3, 2e-3, 200, 0.05, 0.9995, precision="bfloat16"),
        "i2mv": Schedule(8000, 256, 1e-3, 2e-3, 200, 0.05, 0.9995, precision="bfloat16"),
        "t2mv": Schedule(8000, 256, 7e-4, 1.4e-3, 200, 0.05, 0.9995, precision="bfloat16"),
    }
    assert {
        "nano": TransformerConfig(layers=9),
        "small": TransformerConfig(width=512, layers=10, heads=8, hidden=1408, grid=16),
    } == {name: config for name, config in TRANSFORMERS.items() if not name.startswith("paper")}


def test_rows_may_come_once_each(tokens):
    task = Masked(tokens, Mixture(i2mv=1.0, captioned=0.0), VOCABULARY, CPU, epochs=Epochs(3))
    seen = []
    for step in range(4):
        task.epochs.begin(step)
        drawn = task.draw("i2mv", np.random.default_rng(step), 2)[2]
        seen += [
            int(np.flatnonzero((tokens.tokens == row.numpy()).all(axis=(2, 3)).any(axis=1))[0]) for row in drawn[:, :1]
        ]
    assert sorted(seen[:4]) == sorted(seen[4:]) == [0, 1, 2, 3]
    by_chance = Masked(tokens, Mixture(i2mv=1.0), VOCABULARY, CPU)
    assert by_chance.position == {}
    by_chance.position = {}
    with pytest.raises(ViewmaskError, match="this run drew each row once"):
        by_chance.position = task.position
    with pytest.raises(ViewmaskError, match="this run drew rows by chance"):
        task.position = {}
