"""The transformer: shapes, masks, positions, and the paper-sized configuration."""

import pytest
import torch

from viewmask.model import sequence
from viewmask.model.transformer import PAPER, Transformer, TransformerConfig, angles

TINY = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=64, grid=2)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Transformer(TINY).eval()


def inputs(layout, grid=2, batch=2):
    random = torch.Generator().manual_seed(0)
    captions = torch.randint(8, 64, (batch, layout.text), generator=random)
    tokens = torch.randint(0, 2**18, (batch, layout.views, grid, grid), generator=random)
    masked = torch.rand(tokens.shape, generator=random) < 0.5
    return sequence.words(layout, captions), tokens, masked


@pytest.mark.parametrize("layout", [sequence.t2i(), sequence.mmu(), sequence.i2mv(), sequence.t2mv(sequence.orbit(8))])
def test_shapes(model, layout):
    words, tokens, masked = inputs(layout)
    of_words, of_tokens = model(layout, words, tokens, masked)
    assert of_words.shape == (2, layout.words, 64)
    assert of_tokens.shape == (*tokens.shape, 64)
    prediction = model.predict(of_tokens[masked])
    assert prediction.codes.shape == (int(masked.sum()), 2, 512)
    assert prediction.empty.shape == (int(masked.sum()),)


def test_masked_tokens_are_not_seen(model):
    layout = sequence.i2mv()
    words, tokens, masked = inputs(layout)
    other = torch.where(masked, 7, tokens)
    torch.testing.assert_close(model(layout, words, tokens, masked), model(layout, words, other, masked))


def test_every_known_element_is_seen_by_every_other(model):
    layout = sequence.t2mv()
    words, tokens, _ = inputs(layout, batch=1)
    nothing = torch.zeros_like(tokens, dtype=torch.bool)
    before = model(layout, words, tokens, nothing)[1]
    tokens[0, 3, 1, 1] ^= 1
    assert ((model(layout, words, tokens, nothing)[1] - before).abs().amax(dim=-1) > 0).all()
    words[0, 1] = 20
    assert (
        model(layout, words, tokens, nothing)[0] != model(layout, inputs(layout, batch=1)[0], tokens, nothing)[0]
    ).any()


def test_a_full_orbit_comes_back_to_itself():
    near, far = sequence.i2mv((0.0, 0.0)), sequence.i2mv((0.0, 360.0))
    first, second = (angles(TINY, sequence.places(layout, 2)) for layout in (near, far))
    torch.testing.assert_close(first.cos(), second.cos(), atol=1e-4, rtol=0)
    torch.testing.assert_close(first.sin(), second.sin(), atol=1e-4, rtol=0)


def test_plain_table_and_plain_positions():
    config = TransformerConfig(width=32, layers=1, heads=2, hidden=32, words=64, grid=2, bits=6, codes="table",
                               positions="sequence", query_norm=False)  # fmt: skip
    model = Transformer(config).eval()
    layout = sequence.i2mv()
    words, tokens, masked = inputs(layout)
    prediction = model.predict(model(layout, words, tokens % 64, masked)[1][masked])
    assert prediction.empty is None
    assert prediction.codes.shape[1:] == (1, 64)


def test_the_paper_s_size():
    with torch.device("meta"):
        model = Transformer(PAPER)
    # LLaDA-8B has 8,015,581,184 parameters; 2^18 untied codes add 2 x 2^18 x 4096, the mask one row.
    assert model.parameters_count() == 8_015_581_184 + 2 * 2**18 * 4096 + 4096
    assert "blocks.31.ff_out.weight" in model.state_dict()


def test_a_small_model_has_no_rows_for_codes():
    assert Transformer(TransformerConfig()).parameters_count() < 5_000_000
