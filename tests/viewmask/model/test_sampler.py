"""The sampler against a plain reference, and the promises it makes."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from viewmask.errors import ViewmaskError
from viewmask.model import sequence
from viewmask.model.sampler import SCHEDULES, Sampling, unknown_after, unmask
from viewmask.model.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=64, grid=3)
LAYOUT = sequence.i2mv()
SHAPE = (2, 4, 3, 3)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = Transformer(CONFIG).eval()
    for parameter in model.parameters():  # far from its start, so that predictions differ
        parameter.data.mul_(4)
    return model


@pytest.fixture
def start():
    tokens = torch.randint(1, 2**18, SHAPE, generator=torch.Generator().manual_seed(0))
    masked = torch.ones(SHAPE, dtype=torch.bool)
    masked[:, 0] = False
    return torch.zeros(2, 0, dtype=torch.long), tokens, masked


def reference(model, layout, captions, tokens, masked, sampling, seed):
    """MaskGIT's sampler for one sequence, token by token."""
    random = torch.Generator().manual_seed(seed)
    words = sequence.words(layout, captions)
    known = {place.item(): tokens.flatten()[place].item() for place in (~masked).flatten().nonzero()[:, 0]}
    total = masked.sum().item()
    for step in range(sampling.steps):
        unknown = [place for place in range(tokens.numel()) if place not in known]
        grid = torch.tensor([known.get(place, 0) for place in range(tokens.numel())]).view(1, *tokens.shape)
        hidden = torch.tensor([place not in known for place in range(tokens.numel())]).view(1, *tokens.shape)
        said = model.predict(model(layout, words, grid, hidden)[1][hidden])
        codes, empty = said.codes, said.empty
        if sampling.guidance:
            free = model.predict(model(layout, words, grid, hidden | ~masked[None])[1][hidden])
            codes = (1 + sampling.guidance) * codes - sampling.guidance * free.codes
            empty = (1 + sampling.guidance) * empty - sampling.guidance * free.empty
        order = torch.rand(len(unknown), generator=random)
        lots = torch.rand(codes.shape, generator=random)
        coins = torch.rand(len(unknown), generator=random)
        scored = []
        for i, place in enumerate(unknown):
            code = 0
            coin = coins[i].clamp(1e-7, 1 - 1e-7)
            void = empty[i] + sampling.occupancy * (coin / (1 - coin)).log() > 0
            if not void:
                scores = codes[i] / sampling.temperature - (-lots[i].log()).log() if sampling.temperature else codes[i]
                code = (scores[0].argmax() + 512 * scores[1].argmax()).item() or 1
            sure = empty[i].item() if void else -empty[i].item()
            noise = -math.log(-math.log(order[i])) * sampling.noise * (1 - (step + 1) / sampling.steps)
            scored.append((-math.log1p(math.exp(-sure)) + noise, place, code))
        keep = len(unknown) - unknown_after(step, sampling.steps, sampling.schedule, total)
        known |= {place: code for _, place, code in sorted(scored, reverse=True)[:keep]}
    return torch.tensor([known[place] for place in range(tokens.numel())]).view(tokens.shape)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("temperature", "guidance", "occupancy"), [(0.0, 0.0, 0.0), (0.7, 0.0, 0.0), (1.0, 1.5, 0.0), (0.7, 1.5, 0.8)]
)
def test_equal_to_the_reference(model, start, schedule, temperature, guidance, occupancy):
    sampling = Sampling(6, schedule, temperature, 0.5, guidance, occupancy)
    made = unmask(model, LAYOUT, *start, sampling, seed=5).tokens
    captions, tokens, masked = start
    for index in range(2):
        with torch.inference_mode():
            expected = reference(model, LAYOUT, captions[:1], tokens[index], masked[index], sampling, 5 + index)
        assert torch.equal(made[index], expected)


def test_known_tokens_stay_and_the_seed_decides(model, start):
    first, second = (unmask(model, LAYOUT, *start, Sampling(), seed=1).tokens for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(first[:, 0], start[1][:, 0])
    assert not torch.equal(first, unmask(model, LAYOUT, *start, Sampling(), seed=2).tokens)


def test_values_under_the_mask_do_not_matter(model, start):
    captions, tokens, masked = start
    other = torch.where(masked, 12345, tokens)
    assert torch.equal(
        unmask(model, LAYOUT, captions, tokens, masked, Sampling()).tokens,
        unmask(model, LAYOUT, captions, other, masked, Sampling()).tokens,
    )


def test_soft_bits_are_means_of_bits_and_empty_tokens_have_none(model, start):
    made = unmask(model, LAYOUT, *start, Sampling(4))
    assert made.soft.shape == (*SHAPE, 18)
    assert made.soft.abs().max() <= 1 + 1e-5
    assert (made.soft[made.tokens == 0] == -1).all()
    assert (made.tokens[start[2]] == 0).any()
    assert (made.tokens[start[2]] != 0).any()


@given(st.sampled_from(sorted(SCHEDULES)), st.integers(1, 64), st.integers(1, 256))
def test_every_schedule_decides_everything_and_something_at_each_step(schedule, steps, total):
    left = [total, *(unknown_after(step, steps, schedule, total) for step in range(steps))]
    assert left[-1] == 0
    for before, after in pairwise(left):
        assert 0 <= after < before or before == after == 0


def test_the_schedule_counts_the_tokens_unknown_at_the_start():
    # Not all tokens of the sequence: half-way, cosine leaves 0.707 of them.
    assert unknown_after(9, 20, "cosine", 192) == math.floor(192 * math.cos(math.pi / 4))


def test_more_steps_than_tokens(model, start):
    captions, tokens, masked = start
    masked = torch.zeros_like(masked)
    masked[:, 1, 0, :2] = True
    calls = []
    unmask(model, LAYOUT, captions, tokens, masked, Sampling(steps=9), progress=lambda *step: calls.append(step))
    assert calls == [(1, 9), (2, 9)]


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"schedule": "sine"}, {"temperature": -1}, {"guidance": float("nan")}, {"noise": -0.1}]
)
def test_bad_options_are_refused(options):
    with pytest.raises(ViewmaskError):
        Sampling(**options)


def test_unequal_sequences_are_refused(model, start):
    captions, tokens, masked = start
    masked[0, 1] = False
    with pytest.raises(ViewmaskError, match="same number"):
        unmask(model, LAYOUT, captions, tokens, masked, Sampling())
