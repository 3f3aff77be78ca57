"""The public way in, on small random weights of the true architecture; and the shipped weights."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from recon.agreement import AGREED, agreement
from viewmask import Generator, pipeline
from viewmask.errors import ViewmaskError
from viewmask.generator import first_agreeing
from viewmask.learning import checkpoint
from viewmask.model import sequence
from viewmask.model.refiner import Refiner
from viewmask.model.reranker import Towers, TowersConfig, features
from viewmask.model.sampling import FROM_IMAGE, at_speed
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import REFINER, RERANKER, SHIPPED, TOKENIZER, TRANSFORMER, lexicon_of
from viewmask.views.camera import orbit
from viewmask.views.making import KEY

LEXICON = lexicon_of(SHIPPED / TRANSFORMER, {})
VOCABULARY = LEXICON.vocabulary


def random_weights(path, about=None, words=None):
    torch.manual_seed(0)
    config = TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)
    tokenizer = Tokenizer(config)
    checkpoint.save(path / TOKENIZER, tokenizer, config, {}, half=True)
    shape = TransformerConfig(width=64, layers=1, heads=2, hidden=64, words=words or len(VOCABULARY), grid=2)
    model = Transformer(shape)
    model.empty_head.bias.data.fill_(-1)
    record = {"tokenizer": checkpoint.fingerprint(tokenizer.encoder)} | (about or {})
    checkpoint.save(path / TRANSFORMER, model, shape, record, LEXICON.files(), half=True)
    return path


@pytest.fixture
def generator(tmp_path):
    return Generator.load(random_weights(tmp_path))


@pytest.fixture
def picture():
    picture = np.zeros((256, 256, 4), dtype=np.uint8)
    picture[140:240, 140:240] = (200, 30, 30, 255)
    return picture


@pytest.mark.parametrize("views", [1, 2, 4, 8])
def test_views_around_a_picture(generator, picture, views):
    made = generator.from_reference(picture, views=views, steps=3, as_view=True)
    assert [image.shape for image in made.images] == [(256, 256, 4)] * views
    np.testing.assert_allclose([camera.azimuth for camera in made.cameras], np.arange(views) * 360 / views)
    assert all(camera.elevation == pytest.approx(30) for camera in made.cameras)
    np.testing.assert_array_equal(made.images[0], picture)  # the reference stays as it was


def test_views_that_look_like_the_picture_are_the_picture_unless_the_tokenizers_word_is_wanted(
    generator, picture, monkeypatch
):
    plain = generator.from_reference(picture, steps=3, as_view=True)
    monkeypatch.setattr("viewmask.model.symmetry.ALIKE", 9.0)  # everything looks like it
    made = generator.from_reference(picture, steps=3, as_view=True, symmetry=True)
    for view in made.images[1:]:
        assert any(np.array_equal(view, candidate) for candidate in (picture, picture[:, ::-1]))
    again = generator.from_reference(picture, steps=3, as_view=True)
    for mine, theirs in zip(plain.images, again.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not any(np.array_equal(plain.images[2], candidate) for candidate in (picture, picture[:, ::-1]))


def test_a_photo_is_taken_as_a_view(generator, picture):
    photo, view = (generator.from_reference(picture, steps=3, as_view=as_view) for as_view in (False, True))
    assert all(np.array_equal(*pair) for pair in zip(photo.images, view.images, strict=True))
    np.testing.assert_array_equal(photo.images[0], picture)


def test_symmetry_wants_a_given_view(generator, picture):
    with pytest.raises(ViewmaskError, match="as_view"):
        generator.from_reference(picture, steps=3, symmetry=True)


def with_reranker(path):
    """Random weights that rank draws, too."""
    random_weights(path)
    transformer = checkpoint.load(path / TRANSFORMER, Transformer, TransformerConfig)[0]
    towers = Towers(TowersConfig(features(transformer.config), len(VOCABULARY), hidden=8, dimension=8))
    about = {"transformer": checkpoint.fingerprint(transformer)}
    checkpoint.save(path / RERANKER, towers, towers.config, about, half=True)
    return path


def test_views_of_a_sentence_depend_on_seed_alone(generator):
    first, second, other = (generator.from_text("a red chair", steps=2, seed=seed) for seed in (1, 1, 2))
    assert first.caption == "a red chair"
    for mine, theirs in zip(first.images, second.images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert any((mine != theirs).any() for mine, theirs in zip(first.images, other.images, strict=True))


def test_of_the_draws_of_a_sentence_those_that_fit_best_come_first(tmp_path):
    ranking = Generator.load(with_reranker(tmp_path))
    alone = ranking.from_text("a red chair", steps=2, draws=1)
    drawn = ranking.samples("a red chair", 5, steps=2)
    fits = [views.extra["fit"] for views in drawn]
    assert fits == sorted(fits, reverse=True)
    assert len(set(fits)) > 1
    assert any(same(views, alone) for views in drawn)
    draw = ranking.draw("a red chair", steps=2, draws=5)
    assert same(ranking.from_text("a red chair", steps=2, draws=5), draw.views)
    assert same(draw.views, drawn[draw.rank])
    assert -1 <= ranking.fit("a red chair", drawn[0]) <= 1
    with pytest.raises(ViewmaskError, match="empty"):
        ranking.fit(" ", alone)
    with pytest.raises(ViewmaskError, match="at least one draw"):
        ranking.samples("a red chair", 0)


def test_no_draw_is_decoded_that_nobody_looks_at(tmp_path, monkeypatch):
    ranking = Generator.load(with_reranker(tmp_path))
    decoded = []
    decode = ranking.weights.tokenizer.decode
    monkeypatch.setattr(
        ranking.weights.tokenizer, "decode", lambda *codes: decoded.append(len(codes[0])) or decode(*codes)
    )
    for shares, looked in (([1.0], 1), ([0.5, 1.0], 2), ([0.1, 0.3, 0.2], 3)):
        decoded.clear()
        left = iter(shares)
        monkeypatch.setattr("viewmask.generator.agreement", lambda _, left=left: next(left))
        draw = ranking.draw("a red chair", steps=2, draws=3)
        assert decoded == [4] * looked
        assert draw.rank == shares.index(max(shares))
    assert len(ranking.samples("a red chair", 3, steps=2)) == 3
    assert ranking.weights.transformer.blocks[0].q_proj.weight.untyped_storage().nbytes() == 4 * 3 * 64 * 64  # joined


def test_a_speed_is_a_setting_like_others(generator, picture):
    slow, fast = (generator.from_image(picture, as_view=True, speed=speed) for speed in ("exact", "balanced"))
    same_steps = generator.from_image(picture, as_view=True, speed="exact", **asdict(at_speed(FROM_IMAGE, "balanced")))
    assert same(fast, same_steps)
    assert not same(slow, fast)
    with pytest.raises(ViewmaskError, match="no speed"):
        generator.from_text("a red chair", speed="light")


def test_without_a_reranker_draws_are_chosen_from_by_their_agreement_alone(generator):
    alone = generator.from_text("a red chair", steps=2, draws=1)
    samples = generator.samples("a red chair", 3, steps=2)
    assert same(samples[0], alone)
    draw = generator.draw("a red chair", steps=2, draws=3)
    assert same(draw.views, samples[draw.rank])
    assert draw.agreement == agreement(draw.views)
    with pytest.raises(ViewmaskError, match="at least one draw"):
        generator.from_text("a red chair", draws=0)
    assert "fit" not in alone.extra
    with pytest.raises(ViewmaskError, match="no reranker: viewmask train reranker makes one"):
        generator.fit("a red chair", alone)


def test_of_draws_that_agree_the_first_is_kept_else_the_best(monkeypatch):
    shares = {}
    monkeypatch.setattr("viewmask.generator.agreement", shares.__getitem__)

    def kept(*agreements):
        shares.update(enumerate(agreements))
        draw = first_agreeing(range(len(agreements)))  # type: ignore[arg-type]
        assert draw.agreement == agreements[draw.rank]
        assert draw.views == draw.rank
        return draw.rank

    assert kept(AGREED, 1.0) == 0
    assert kept(AGREED - 0.01, AGREED, 1.0) == 1
    assert kept(0.5, 0.9, 0.8) == 1
    assert kept(0.5, 0.5) == 0


def test_the_draws_of_neighbouring_seeds_are_others(generator):
    first, second = (generator.samples("a red chair", 3, steps=2, seed=seed) for seed in (0, 1))
    assert not any(same(mine, theirs) for mine in first for theirs in second)


def same(mine, theirs):
    return all(np.array_equal(a, b) for a, b in zip(mine.images, theirs.images, strict=True))


def test_progress_is_told(generator, picture):
    calls = []
    generator.from_reference(picture, steps=3, progress=lambda *step: calls.append(step))
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_an_edit_changes_the_patches_that_the_region_touches_and_no_other(generator, picture):
    views = generator.from_image(picture, steps=2, as_view=True)
    regions = [np.zeros((256, 256), bool) for _ in range(4)]
    regions[1][10:20, 10:20] = True  # in the first of the view's four patches
    made = generator.edit(views, regions, "a red cup", steps=2, seed=3)
    for index in (0, 2, 3):
        np.testing.assert_array_equal(made.images[index], views.images[index])
    np.testing.assert_array_equal(made.images[1][128:], views.images[1][128:])
    np.testing.assert_array_equal(made.images[1][:, 128:], views.images[1][:, 128:])
    assert made.caption == "a red cup"
    assert "fit" not in made.extra
    again = generator.edit(views, regions, "a red cup", steps=2, seed=3)
    assert same(made, again)


def test_tokens_outside_an_edit_stay(generator, picture, monkeypatch):
    """To the bit: what the sampler is given and hands back outside the region are the views' own tokens."""
    from viewmask import generator as module

    views = generator.from_image(picture, steps=2, as_view=True)
    seen, settings = [], []

    def spy(model, layout, captions, tokens, masked, sampling, *rest):
        made = unmask(model, layout, captions, tokens, masked, sampling, *rest)
        seen.append((tokens, masked, made.tokens))
        settings.append(sampling)
        return made

    unmask = module.unmask
    monkeypatch.setattr(module, "unmask", spy)
    regions = [np.zeros((256, 256), bool) for _ in range(4)]
    regions[2][200:, :] = True
    generator.edit(views, regions, steps=2)
    ((tokens, masked, made),) = seen
    assert masked.sum() == 2  # the lower half of one view: two of its patches
    assert torch.equal(tokens[~masked], made[~masked])
    assert torch.equal(tokens[0], generator.encode(views.images))
    for speed in (None, "balanced"):
        generator.edit(views, regions, speed=speed)
    exact, balanced = (at_speed(FROM_IMAGE, name) for name in ("exact", "balanced"))
    assert settings == [each.changed(refine=0) for each in (exact.changed(steps=2), exact, balanced)]


def test_what_cannot_be_edited_is_refused(generator, picture):
    views = generator.from_image(picture, steps=2, as_view=True)
    nothing = [np.zeros((256, 256), bool) for _ in range(4)]
    with pytest.raises(ViewmaskError, match="no region holds a pixel"):
        generator.edit(views, nothing)
    with pytest.raises(ViewmaskError, match="a region is needed for each view"):
        generator.edit(views, nothing[:2])
    turned = replace_cameras(views, orbit(4, elevation=10))
    with pytest.raises(ViewmaskError, match="view 0 is not of the model's orbit"):
        generator.edit(turned, [region | True for region in nothing])


def replace_cameras(views, cameras):
    return type(views)(views.images, cameras, views.extra)


def test_one_view_of_a_sentence_is_a_picture_of_alignment(generator, monkeypatch):
    from viewmask import generator as module

    layouts = []

    def spy(model, layout, *rest):
        layouts.append(layout)
        return unmask(model, layout, *rest)

    unmask = module.unmask
    monkeypatch.setattr(module, "unmask", spy)
    assert len(generator.from_text("a red cup", views=1, draws=1, steps=2)) == 1
    assert len(generator.from_text("a red cup", views=2, draws=1, steps=2)) == 2
    assert layouts == [sequence.t2i(), sequence.t2mv(sequence.azimuths(2))]


def test_views_can_be_watched_as_they_unmask(generator, picture):
    asks = [
        lambda **watched: generator.samples("a red chair", 2, steps=3, **watched),
        lambda **watched: [generator.from_image(picture, steps=3, **watched)],
    ]
    for ask, given in zip(asks, (0, 1), strict=True):
        glimpses = []
        made = ask(watch=lambda *known, glimpses=glimpses: glimpses.append(generator.glimpse(*known)))
        assert all(same(mine, theirs) for mine, theirs in zip(made, ask(), strict=True))
        assert [len(glimpse) for glimpse in glimpses] == [len(made)] * 3
        for views, first, last in zip(made, glimpses[0], glimpses[-1], strict=True):
            assert len(first) == len(views)
            assert all(np.array_equal(*pair) for pair in list(zip(views.images, last, strict=True))[given:])
            assert any((view == (128, 128, 128, 64)).all(axis=-1).any() for view in first)


def test_captions_and_round_trips(generator, picture):
    assert isinstance(generator.caption(picture), str)
    (back,) = generator.round_trip([picture])
    assert back.shape == (256, 256, 4)
    assert (back[:100, :100] == 0).all()


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"views": 0}, "at least one view"),
        ({"views": 99}, "at most"),
        ({"steps": 0}, "step"),
        ({"temperature": -1.0}, "temperature"),
        ({"guidance": -1.0}, "guidance"),
        ({"schedule": "sudden"}, "schedule"),
    ],
)
def test_bad_options(generator, options, word):
    with pytest.raises(ViewmaskError, match=word):
        generator.from_text("a cup", **options)


def test_bad_pictures_and_texts(generator, picture):
    with pytest.raises(ViewmaskError, match="square RGBA"):
        generator.from_reference(picture[:100])


def test_a_sentence_is_read_as_far_as_it_fits(generator):
    whole = "a red chair with a round seat and four legs and a high back and " * 3
    read = generator.read(whole)
    assert 10 < len(read.split()) < 30
    assert whole.startswith(f"{read} ")
    long, cut = (generator.from_text(text, steps=1, draws=1) for text in (whole, read))
    assert all(np.array_equal(*pair) for pair in zip(long.images, cut.images, strict=True))


def test_parts_that_do_not_belong_together(tmp_path):
    with pytest.raises(ViewmaskError, match="reads the tokenizer feed"):
        Generator.load(random_weights(tmp_path, {"tokenizer": "feed"}))
    with pytest.raises(ViewmaskError, match="no checkpoint"):
        Generator.load(tmp_path / "nowhere")


@pytest.mark.parametrize("more", [-2048, 1])
def test_weights_of_another_vocabulary(tmp_path, more):
    words = len(VOCABULARY) + more
    with pytest.raises(ViewmaskError, match=f"knows {words} words, and the vocabulary has {len(VOCABULARY)}"):
        Generator.load(random_weights(tmp_path, words=words))


def test_what_a_run_exported_belongs_to_the_shipped_tokenizer(generator, tmp_path, monkeypatch):
    exported = tmp_path / TRANSFORMER
    with pytest.raises(
        ViewmaskError,
        match=r"transformer reads the tokenizer \w+, but .*: give a folder with a tokenizer/ and a transformer/",
    ):
        Generator.load(exported)
    monkeypatch.setattr("viewmask.model.weights.SHIPPED", tmp_path)
    views = Generator.load(exported).from_text("a red chair", steps=2)
    for mine, theirs in zip(views.images, generator.from_text("a red chair", steps=2).images, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(ViewmaskError, match="holds a Tokenizer, not a Transformer"):
        Generator.load(tmp_path / TOKENIZER)


def test_what_a_run_exported_is_ranked_by_the_shipped_reranker(tmp_path, monkeypatch):
    monkeypatch.setattr("viewmask.model.weights.SHIPPED", with_reranker(tmp_path / "shipped"))
    torch.manual_seed(9)
    known, shape, about = checkpoint.load(tmp_path / "shipped" / TRANSFORMER, Transformer, TransformerConfig)
    exported = checkpoint.save(tmp_path / "exported", Transformer(shape), shape, about)
    loaded = Generator.load(exported)
    assert loaded.weights.reranker is not None
    assert checkpoint.fingerprint(loaded.weights.reranker.transformer) == checkpoint.fingerprint(known)
    assert checkpoint.fingerprint(loaded.weights.transformer) != checkpoint.fingerprint(known)
    assert "fit" in loaded.from_text("a cup", steps=2, draws=2).extra


def test_words_that_training_hardly_had_change_nothing_unless_these_weights_learnt_them(generator, tmp_path):
    def made(model, caption):
        return np.stack(model.from_text(caption, steps=2).images)

    assert (made(generator, "a recycling bin") == made(generator, "a bin")).all()
    learnt = Generator.load(random_weights(tmp_path / "learnt", {"words": ["recycling"]}))
    assert (made(learnt, "a bin") == made(generator, "a bin")).all()
    assert (made(learnt, "a recycling bin") != made(learnt, "a bin")).any()


def test_bfloat16_is_near_and_has_the_same_name(tmp_path, picture):
    folder = with_reranker(tmp_path)
    full, half = (Generator.load(folder, "cpu", precision) for precision in ("float32", "bfloat16"))
    assert str(half.weights.runs_on) == "cpu, bfloat16"
    assert half.weights.tokenizer.encoder.conv_in.weight.dtype == torch.float32  # signs of its numbers are the codes
    assert half.fingerprint == full.fingerprint
    assert torch.equal(half.encode([picture]), full.encode([picture]))
    layout = sequence.t2mv()
    words = sequence.words(layout, torch.tensor([VOCABULARY.encode("a red cup")]))
    tokens = torch.zeros(1, 4, 2, 2, dtype=torch.long)
    with torch.inference_mode():
        one, two = (g.weights.transformer(layout, words, tokens, tokens == 0)[1].float() for g in (full, half))
    assert 0 < float((one - two).norm() / one.norm()) < 0.02
    views = half.from_text("a red cup", steps=2, draws=2)
    assert views.extra["weights"] == full.fingerprint
    assert -1 <= views.extra["fit"] <= 1
    assert isinstance(half.caption(picture), str)


@pytest.mark.parametrize(("change", "says"), [({"bits": 10}, "codes of 10 bits"), ({"grid": 3}, "views of 3 x 3")])
def test_codes_of_another_tokenizer_are_refused(tmp_path, change, says):
    folder = random_weights(tmp_path)
    shape = replace(checkpoint.configuration(folder / TRANSFORMER, Transformer, TransformerConfig), **change)
    checkpoint.save(folder / TRANSFORMER, Transformer(shape), shape, {}, LEXICON.files())
    with pytest.raises(ViewmaskError, match=says):
        Generator.load(folder)


@pytest.mark.skipif(not (SHIPPED / TRANSFORMER).exists(), reason="this tree ships no weights")
def test_the_shipped_weights_make_something_that_is_not_empty():
    views = Generator.load().from_text("a red chair", steps=4)
    covered = [float((image[..., 3] > 127).mean()) for image in views.images]
    assert all(0.01 < share < 0.9 for share in covered)


@pytest.fixture
def refining(tmp_path):
    """The same weights, and a refiner."""
    torch.manual_seed(4)
    transformer = checkpoint.load(random_weights(tmp_path) / TRANSFORMER, Transformer, TransformerConfig)[0]
    refiner = Refiner.of(transformer)
    refiner.empty_head.bias.data.fill_(-1)
    checkpoint.save(tmp_path / REFINER, refiner, refiner.config, {}, half=True)
    return Generator.load(tmp_path)


def test_a_refiner_changes_the_views_and_zero_steps_leave_it_out(tmp_path, generator, picture, refining):
    calls = []
    with_it = refining.from_reference(picture, as_view=True, steps=3, progress=lambda *n: calls.append(n))
    assert calls == [(step, 5) for step in range(1, 6)]
    without = refining.from_reference(picture, as_view=True, steps=3, refine=0)
    plain = generator.from_reference(picture, as_view=True, steps=3)
    with pytest.raises(ViewmaskError, match="no refiner"):
        pipeline.generate(generator, reference=picture, refine=4)
    assert (plain.extra[KEY]["sampling"]["refine"], with_it.extra[KEY]["sampling"]["refine"]) == (0, 2)
    for one, other, third in zip(with_it.images, without.images, plain.images, strict=True):
        assert one.shape == (256, 256, 4)
        np.testing.assert_array_equal(other, third)
    np.testing.assert_array_equal(with_it.images[0], picture)
    assert any((one != other).any() for one, other in zip(with_it.images, without.images, strict=True))
    assert refining.fingerprint.startswith(generator.fingerprint + "-")
    fine, coarse = (refining.round_trip([picture], fine)[0] for fine in (True, False))
    assert fine.shape == coarse.shape == (256, 256, 4)
    assert (fine != coarse).any()
    np.testing.assert_array_equal(coarse, generator.round_trip([picture])[0])
    again = refining.from_reference(picture, as_view=True, steps=3)
    np.testing.assert_array_equal(again.images[2], with_it.images[2])


@pytest.mark.parametrize("views", [1, 3, 8])
def test_sentences_are_refined_and_a_draw_does_not_depend_on_the_others(refining, views):
    made = refining.samples("a red chair", 2, views, steps=2)
    assert [len(each) for each in made] == [views] * 2
    alone = refining.samples("a red chair", 1, views, steps=2)
    np.testing.assert_array_equal(alone[0].images[-1], made[0].images[-1])
    plain = refining.samples("a red chair", 1, views, steps=2, refine=0)[0]
    assert any((one != other).any() for one, other in zip(plain.images, alone[0].images, strict=True))


def test_a_sentence_keeps_the_colours_of_its_coarse_tokens_and_a_picture_takes_the_fine_ones(
    refining, picture, monkeypatch
):
    red, brown = (200, 30, 35, 255), (120, 75, 40, 255)

    def plain(self, unmasked):
        colour = brown if unmasked.tokens.shape[-1] == self.weights.refiner.config.grid else red
        return [[np.full((256, 256, 4), colour, np.uint8)] * unmasked.tokens.shape[1]] * len(unmasked.tokens)

    monkeypatch.setattr(Generator, "_decode", plain)
    for made, colour in (
        (refining.samples("a red chair", 1, steps=2)[0], red),
        (refining.from_reference(picture, steps=2), brown),
    ):
        np.testing.assert_array_equal(made.images[1], np.full((256, 256, 4), colour, np.uint8))


def test_an_edit_is_refined_where_it_is_made_alone(refining, picture):
    views = refining.from_reference(picture, as_view=True, steps=2, refine=2)
    region = np.zeros((256, 256), bool)
    region[:100, :100] = True
    regions = [region, *[np.zeros_like(region)] * 3]
    made = refining.edit(views, regions, "a red chair", steps=2, refine=2)
    for new, old in zip(made.images[1:], views.images[1:], strict=True):
        np.testing.assert_array_equal(new, old)
    np.testing.assert_array_equal(made.images[0][128:, 128:], views.images[0][128:, 128:])
    plain = refining.edit(views, regions, "a red chair", steps=2, refine=0)
    assert (made.images[0] != plain.images[0]).any()


def test_a_refiner_of_another_tokenizer_is_refused(tmp_path, refining):
    refiner = refining.weights.refiner
    checkpoint.save(tmp_path / REFINER, refiner, refiner.config, {"tokenizer": "another"})
    with pytest.raises(ViewmaskError, match="of another tokenizer"):
        Generator.load(tmp_path)
