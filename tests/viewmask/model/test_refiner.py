"""The refiner: what it begins as, what it is told, and that it fills in what is hidden alone."""

from dataclasses import asdict, replace

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model import sequence, vocabulary
from viewmask.model.code import EMPTY, bits
from viewmask.model.refiner import Given, Refiner, RefinerConfig, imagined, refine, refined_layout
from viewmask.model.sampler import Unmasked
from viewmask.model.sampling import REFINING
from viewmask.model.transformer import Transformer, TransformerConfig

SMALL = TransformerConfig(width=64, layers=8, heads=2, hidden=96, words=40, grid=2)
I2MV = sequence.i2mv((0.0, 90.0, 180.0))


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


@pytest.fixture
def refiner(transformer):
    torch.manual_seed(1)
    return Refiner.of(transformer).eval()


def coarse(views=3, batch=1, seed=0):
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(2**18, (batch, views, 2, 2), generator=random)
    tokens[:, :, 0, 0] = EMPTY
    return Unmasked(tokens, bits(tokens, 18).float())


def test_it_begins_as_the_first_blocks_of_a_transformer(transformer, refiner):
    assert (refiner.config.layers, refiner.config.grid, refiner.config.coarse) == (6, 4, 2)
    assert refiner.config.words == len(vocabulary.SPECIALS)
    for own, taken in zip(refiner.blocks, transformer.blocks, strict=False):
        for name, weight in own.state_dict().items():
            assert torch.equal(weight, taken.state_dict()[name])
    assert torch.equal(refiner.word.weight, transformer.word.weight[: len(vocabulary.SPECIALS)])
    # A table of places lies between the coarse one's rows; that of no place stays.
    assert torch.allclose(refiner.row.weight[0], transformer.row.weight[0])
    assert torch.allclose(refiner.row.weight[1], 0.75 * transformer.row.weight[0] + 0.25 * transformer.row.weight[1])
    assert torch.equal(refiner.row.weight[-1], transformer.row.weight[-1])


def test_rows_and_columns_are_measured_in_coarse_tokens(transformer, refiner):
    layout = refined_layout(I2MV)
    mine, theirs = (model.turn(layout, torch.device("cpu"))[0] for model in (refiner, transformer))
    places = [model.places(layout, "cpu") for model in (refiner, transformer)]
    for view in range(3):
        for row, column in ((0, 0), (1, 0), (1, 1)):
            at = [
                (each.azimuth == 90 * view) & each.visual & (each.row == scale * row) & (each.column == scale * column)
                for each, scale in zip(places, (2, 1), strict=True)
            ]
            assert torch.allclose(mine[at[0]], theirs[at[1]])


def test_every_fine_token_is_told_of_the_coarse_one_around_it(refiner):
    told = refiner.beside(coarse())
    assert told.shape == (1, 3, 4, 4, 64)
    other = coarse()
    other.soft[0, 1, 1, 0] = -other.soft[0, 1, 1, 0]  # an expectation is told, not the token alone
    other.tokens[0, 2, 0, 1] = EMPTY
    changed = (refiner.beside(other) != told).any(dim=-1)
    wanted = torch.zeros_like(changed)
    wanted[0, 1, 2:, :2] = wanted[0, 2, :2, 2:] = True
    assert torch.equal(changed, wanted)
    # Its four fine tokens tell themselves apart, alike in every coarse one.
    assert torch.allclose(told[0, 0, 0, 0] - told[0, 0, 0, 1], told[0, 1, 2, 2] - told[0, 1, 2, 3], atol=1e-6)
    assert not torch.allclose(told[0, 0, 0, 0], told[0, 0, 0, 1])


def test_what_the_sampler_asks_is_what_training_sees(refiner):
    layout, told = refined_layout(I2MV), refiner.beside(coarse())
    random = torch.Generator().manual_seed(3)
    tokens = torch.randint(2**18, (1, 3, 4, 4), generator=random)
    masked = torch.rand(tokens.shape, generator=random) < 0.5
    words = sequence.words(layout, torch.zeros(1, 0, dtype=torch.long))
    places = masked.flatten(1).nonzero()[:, 1][None]
    with torch.inference_mode():
        whole = refiner(layout, words, tokens, masked, told)[1][masked]
        asked = Given(refiner, told, torch.arange(48)[None]).features(layout, words, tokens, masked, places)[0]
        every = refiner.among(layout, words, tokens, masked, told, torch.arange(48).flip(0)[None])[0].flip(0)
    assert torch.allclose(whole, asked, atol=1e-5)
    assert torch.allclose(whole, every[masked.flatten()], atol=1e-5)


def test_known_tokens_stay_and_hidden_ones_are_filled_in(refiner):
    known = torch.full((1, 3, 4, 4), 7)
    masked = torch.zeros_like(known, dtype=torch.bool)
    masked[:, 1:, 1:] = True
    calls = []
    made = refine(
        refiner, I2MV, coarse(), known, masked, REFINING.changed(steps=3), progress=lambda *n: calls.append(n)
    )
    assert (made.tokens[~masked] == 7).all()
    assert made.tokens.shape == known.shape
    assert made.soft.shape == (1, 3, 4, 4, 18)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    again = refine(refiner, I2MV, coarse(), known, masked, REFINING.changed(steps=3))
    assert torch.equal(made.soft, again.soft)
    other = refine(refiner, I2MV, coarse(seed=5), known, masked, REFINING.changed(steps=3))
    assert not torch.equal(made.soft, other.soft)


def test_what_is_far_from_the_object_is_empty_and_left_out():
    torch.manual_seed(0)
    model = Refiner.of(Transformer(replace(SMALL, grid=6))).eval()
    tokens = torch.zeros(1, 2, 6, 6, dtype=torch.long)
    tokens[0, :, 1, 1] = 9
    told = Unmasked(tokens, bits(tokens, 18).float())
    fine, masked = torch.full((1, 2, 12, 12), 5), torch.ones(1, 2, 12, 12, dtype=torch.bool)
    masked[:, 0] = False
    seen = []
    model.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    made = refine(model, sequence.i2mv((0.0, 90.0)), told, fine, masked, REFINING.changed(steps=2))
    assert seen == [5 + 2 * 36] * 2  # the words, and the coarse tokens around the one that shows something
    assert (made.tokens[0, 0] == 5).all()
    assert (made.tokens[0, 1, 6:] == EMPTY).all()
    assert (made.tokens[0, 1, :, 6:] == EMPTY).all()


def test_where_no_view_shows_anything_nothing_is_refined(refiner):
    tokens = torch.zeros(1, 3, 2, 2, dtype=torch.long)
    masked = torch.ones(1, 3, 4, 4, dtype=torch.bool)
    made = refine(
        refiner, I2MV, Unmasked(tokens, bits(tokens, 18).float()), tokens.new_ones(1, 3, 4, 4), masked, REFINING
    )
    assert (made.tokens == EMPTY).all()


def test_a_transformer_imagines_what_is_hidden_and_knows_the_rest(transformer):
    tokens = coarse(batch=2).tokens
    hidden = torch.zeros_like(tokens, dtype=torch.bool)
    hidden[:, 1] = True
    told = imagined(transformer, I2MV, tokens, hidden)
    assert torch.equal(told.tokens[~hidden], tokens[~hidden])
    assert torch.equal(told.soft[~hidden], bits(tokens, 18).float()[~hidden])
    assert (told.soft[hidden].abs() < 1).all()
    with torch.inference_mode():
        features = transformer(I2MV, sequence.words(I2MV, tokens.new_zeros(2, 0)), tokens, hidden)[1]
        said = transformer.predict(features[hidden])
    assert torch.equal(told.tokens[hidden] == EMPTY, said.empty > 0)
    # The mean of the first bit is the chance of the codes that have it, less that of the others.
    first = said.codes[:, 0].softmax(dim=-1)
    assert torch.allclose(told.soft[hidden][:, 0], first[:, 1::2].sum(dim=1) - first[:, ::2].sum(dim=1), atol=1e-5)


def test_it_is_kept_and_read_again(refiner, tmp_path):
    checkpoint.save(tmp_path, refiner, refiner.config, {})
    again, config, _ = checkpoint.load(tmp_path, Refiner, RefinerConfig)
    assert config == refiner.config
    assert torch.equal(again.parent.weight, refiner.parent.weight)


@pytest.mark.parametrize("change", [{"coarse": 3}, {"coarse": 0}, {"codes": "table"}, {"positions": "sequence"}])
def test_no_such_refiner(refiner, change):
    with pytest.raises(ViewmaskError, match="no such refiner"):
        RefinerConfig(**asdict(refiner.config) | change)


def test_the_fine_layout_has_no_words(transformer):
    named = sequence.i2mv((0.0, 90.0), with_text=True)
    assert refined_layout(named) == replace(named, text=0)
    assert refined_layout(sequence.t2i()).task == vocabulary.T2MV
