"""The sampler against a plain reference, and the promises it makes."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import qmc
from torch.utils._python_dispatch import TorchDispatchMode

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, transformer, vocabulary
from viewmask.model.sampler import (
    MASK_SCHEDULES,
    Draw,
    Sampling,
    bits,
    decide,
    drawn,
    gumbel,
    least_sure,
    predict,
    unknown_after,
    unmask,
)
from viewmask.model.transformer import Prediction, Transformer, TransformerConfig

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


def reference_turns(views, grid, random):
    """When each token has its turn: a walk along Halton's points, which scipy makes, over each view's grid."""
    points = qmc.Halton(2, scramble=False).random(20_000)
    turns = {}
    for view, shift in enumerate(torch.rand(views, 2, generator=random).double().tolist()):
        cells = [int(x * grid) * grid + int(y * grid) for x, y in (points + shift) % 1]
        for turn, cell in enumerate(dict.fromkeys(cells)):
            turns[view * grid**2 + cell] = (turn, view)
    return {place: turn * views + view for place, (turn, view) in turns.items()}


def reference(model, layout, captions, tokens, masked, sampling, seed):
    """MaskGIT's sampler for one sequence, token by token: tokens, and the bits expected when each was decided."""
    random = torch.Generator().manual_seed(seed)
    words = sequence.words(layout, captions)
    no_words = sequence.words(layout, torch.full_like(captions, vocabulary.PAD))
    width, table = model.config.bits, model.config.codes == "table"
    soft = 2.0 * (tokens.flatten()[:, None] // 2 ** torch.arange(width) % 2) - 1
    known = {place.item(): tokens.flatten()[place].item() for place in (~masked).flatten().nonzero()[:, 0]}
    total, chances = masked.sum().item(), {}
    turns = reference_turns(*masked.shape[:2], random) if sampling.order == "halton" else None
    for step in range(sampling.steps + sampling.loop):
        unknown = [place for place in range(tokens.numel()) if place not in known]
        grid = torch.tensor([known.get(place, 0) for place in range(tokens.numel())]).view(1, *tokens.shape)
        hidden = torch.tensor([place not in known for place in range(tokens.numel())]).view(1, *tokens.shape)
        said = model.predict(model(layout, words, grid, hidden)[1][hidden])
        codes, empty = said.codes, said.empty
        if sampling.guidance and sampling.interval[0] <= step / sampling.passes < sampling.interval[1]:
            free = model.predict(model(layout, no_words, grid, hidden | ~masked[None])[1][hidden])
            codes = (1 + sampling.guidance) * codes - sampling.guidance * free.codes
            empty = None if table else (1 + sampling.guidance) * empty - sampling.guidance * free.empty
        order = torch.rand(len(unknown), generator=random) if sampling.noise or not table else None
        if table:  # one number a token, and none that nobody uses
            lots = torch.rand(len(unknown), generator=random) if sampling.temperature else None
        else:
            lots = torch.rand(codes.shape, generator=random)
            coins = torch.rand(len(unknown), generator=random)
        scored = []
        for i, place in enumerate(unknown):
            gumbels = -math.log(-math.log(order[i])) if sampling.noise else 0.0
            noise = gumbels * sampling.noise * (1 - (step + 1) / sampling.passes)
            if table:
                likely = codes[i, 0].double().softmax(0)
                code = codes[i, 0].argmax().item()
                if sampling.temperature:
                    reached = (codes[i, 0].double() / sampling.temperature).softmax(0).cumsum(0)
                    code = int((reached <= lots[i]).sum())
                signs = 2.0 * (torch.arange(2**width)[:, None] // 2 ** torch.arange(width) % 2) - 1
                mean = (likely[:, None] * signs).sum(0).float()
                scored.append((math.log(likely[code]), noise, place, code, mean))
                continue
            code = 0
            coin = coins[i].clamp(1e-7, 1 - 1e-7)
            void = empty[i] + sampling.occupancy * (coin / (1 - coin)).log() > 0
            if not void:
                scores = codes[i] / sampling.temperature - (-lots[i].log()).log() if sampling.temperature else codes[i]
                code = (scores[0].argmax() + 512 * scores[1].argmax()).item() or 1
            sure = empty[i].item() if void else -empty[i].item()
            likely = codes[i].softmax(-1)[:, None] * (torch.arange(512) // 2 ** torch.arange(9)[:, None] % 2)
            mean = torch.full((18,), -1.0) if void else 2 * likely.sum(-1).flatten() - 1
            scored.append((-math.log1p(math.exp(-sure)), noise, place, code, mean))
        left = unknown_after(step, sampling.steps, sampling.schedule, total, sampling.loop)
        settled = [place for place in known if masked.flatten()[place]]
        again = min(math.ceil(round(sampling.remask * len(settled), 6)), left)
        rule = (lambda one: -turns[one[2]]) if turns else (lambda one: (one[0] + one[1], one[2]))
        first = sorted(scored, key=rule, reverse=True)[: len(unknown) - left + again]
        if again:
            lots = torch.rand(tokens.numel(), generator=random)
            settled.sort(key=lambda place: chances[place] + math.log(-math.log(lots[place])))
            for place in settled[:again]:
                del known[place], chances[place]
        for sure, _, place, code, mean in first:
            known[place], soft[place], chances[place] = code, mean, math.exp(sure)
    tokens = torch.tensor([known[place] for place in range(tokens.numel())]).view(tokens.shape)
    return tokens, soft.view(*tokens.shape, width)


@pytest.fixture(scope="module")
def table():
    config = replace(CONFIG, bits=7, groups=1, codes="table", positions="sequence", query_norm=False)
    torch.manual_seed(3)
    table = Transformer(config).eval()
    for parameter in table.parameters():
        parameter.data.mul_(4)
    return table


@pytest.mark.parametrize("schedule", MASK_SCHEDULES)
@pytest.mark.parametrize(
    ("temperature", "guidance", "occupancy"), [(0.0, 0.0, 0.0), (0.7, 0.0, 0.0), (1.0, 1.5, 0.0), (0.7, 1.5, 0.8)]
)
@pytest.mark.parametrize("codes", ["bits", "table"])
def test_equal_to_the_reference(model, table, start, schedule, temperature, guidance, occupancy, codes):
    sampling = Sampling(6, schedule, temperature, 0.5, guidance, occupancy)
    captions, tokens, masked = start
    if codes == "table":
        model, tokens = table, tokens % 2**7
    made = unmask(model, LAYOUT, captions, tokens, masked, sampling, seed=5)
    for index in range(2):
        with torch.inference_mode():
            expected = reference(model, LAYOUT, captions[:1], tokens[index], masked[index], sampling, 5 + index)
        assert torch.equal(made.tokens[index], expected[0])
        torch.testing.assert_close(made.soft[index][masked[index]], expected[1][masked[index]])


@pytest.mark.parametrize("order", ["confidence", "halton"])
@pytest.mark.parametrize(("remask", "loop"), [(0.0, 0), (0.2, 0), (0.2, 3)])
@pytest.mark.parametrize("codes", ["bits", "table"])
def test_other_orders_and_masking_again_equal_the_reference(model, table, order, remask, loop, codes):
    if (order, remask) == ("confidence", 0.0):
        return
    layout = sequence.Layout(vocabulary.T2MV, sequence.azimuths(4), text=3)
    captions = torch.tensor([[9, 30, 12]]).expand(2, -1)  # one sentence: what is the same for all draws is shared
    tokens, masked = torch.zeros(SHAPE, dtype=torch.long), torch.ones(SHAPE, dtype=torch.bool)
    model = model if codes == "bits" else table
    sampling = Sampling(6, "cosine", 0.7, 0.5, 1.5, 0.8, (0.0, 0.7), order=order, remask=remask, loop=loop)
    made = unmask(model, layout, captions, tokens, masked, sampling, seed=5)
    plain = unmask(model, layout, captions, tokens, masked, sampling.changed(order="confidence", remask=0.0, loop=0))
    assert not torch.equal(made.tokens, plain.tokens)
    for index in range(2):
        with torch.inference_mode():
            expected = reference(model, layout, captions[:1], tokens[index], masked[index], sampling, 5 + index)
        assert torch.equal(made.tokens[index], expected[0])
        torch.testing.assert_close(made.soft[index], expected[1])


@pytest.mark.parametrize(("remask", "loop"), [(0.1, 0), (0.5, 0), (0.3, 4)])
@pytest.mark.parametrize("refresh", [1, 3])
def test_masking_again_leaves_as_many_unknown_and_never_what_was_given(model, start, remask, loop, refresh):
    captions, tokens, masked = start
    seen, again = [], 0

    def watch(known, unknown):
        assert not known.tokens[unknown].any()
        assert (known.soft[unknown] == -1).all()
        assert torch.equal(known.tokens[~masked], tokens[~masked])
        seen.append(unknown.clone())

    sampling = Sampling(6, "linear", remask=remask, loop=loop, refresh=refresh)
    made = unmask(model, LAYOUT, captions, tokens, masked, sampling, watch=watch)
    plan = [unknown_after(step, 6, "linear", 27, loop) for step in range(6 + loop)]
    for (before, after), left in zip(pairwise([masked, *seen]), plan, strict=True):
        assert after.flatten(1).sum(1).tolist() == [left] * 2
        again += int((after & ~before).sum())
    # At most so many were settled, or are left to be masked.
    settled = [27 - left for left in [27, *plan[:-1]]]
    most = [min(math.ceil(remask * one - 1e-9), left) for one, left in zip(settled, plan, strict=True)]
    assert again == 2 * sum(most) > 0
    assert not seen[-1].any()
    assert made.tokens.min() >= 0


def test_what_the_model_is_less_sure_of_is_masked_again_more_often():
    sure = transformer.Prediction(torch.tensor([9.0, 0.01]).repeat(500), torch.zeros(1000, 2, 2))
    draw = Draw(torch.full((1000,), 0.5), torch.full((1000, 2, 2), 0.5), torch.full((1000,), 0.5))
    chances = decide(sure, draw, Sampling(), 2)[2].exp()
    torch.testing.assert_close(chances[:2], torch.tensor([1.0, 0.5025]), atol=1e-3, rtol=0)
    lots = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    again = least_sure(chances[None], lots[None], 100)[0]
    share = (again % 2).float().mean()  # odds of exp(0.5) to 1
    assert 0.53 < share < 0.72


@pytest.mark.parametrize(("temperature", "noise"), [(0.0, 0.5), (1.0, 0.0), (0.0, 0.0)])
def test_a_table_draws_what_it_uses(table, start, temperature, noise, monkeypatch):
    captions, tokens, masked = start
    sizes = []
    rand = torch.rand
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: sizes.append(shape) or rand(*shape, **options))
    sampling = Sampling(3, temperature=temperature, noise=noise)
    unmask(table, LAYOUT, captions, tokens % 128, masked, sampling)
    assert len(sizes) == 2 * 3 * ((temperature > 0) + (noise > 0))  # a sequence, a step
    assert max((math.prod(shape) for shape in sizes), default=0) <= 27


def test_a_table_of_the_paper_s_size_is_sampled(start):
    config = TransformerConfig(width=16, layers=1, heads=1, hidden=16, words=64, grid=2, codes="table",
                               positions="sequence", query_norm=False)  # fmt: skip
    torch.manual_seed(1)
    model = Transformer(config).eval()
    tokens = torch.zeros(1, 4, 2, 2, dtype=torch.long)
    masked = torch.ones_like(tokens, dtype=torch.bool)
    masked[:, 0] = False
    likely, drawn = (
        unmask(model, LAYOUT, start[0][:1], tokens, masked, Sampling(2, temperature=temperature)).tokens[masked]
        for temperature in (0.0, 1.0)
    )
    assert min(*likely, *drawn) >= 0
    assert max(*likely, *drawn) < 2**18
    assert len(drawn.unique()) == 12  # of 2^18 codes, nearly as likely each
    assert drawn.float().std() > 2**15


def test_draws_from_one_number_follow_their_chances():
    logits = torch.tensor([0.1, 0.2, 0.0, 0.6, 0.1]).log()
    lots = torch.linspace(0, 1 - 1e-6, 1001)
    shares = drawn(logits.expand(1001, 5), lots).bincount(minlength=5) / 1001
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.2, 0.0, 0.6, 0.1]), atol=2e-3, rtol=0)
    assert drawn(logits[None], torch.tensor([1.0])).tolist() == [4]
    assert drawn(torch.zeros(3, 1, 2**18), torch.rand(3, 1)).max() < 2**18


class Waits(TorchDispatchMode):
    """Counts what makes a GPU's queue run dry: numbers read back, and shapes that depend on them."""

    waiting = ("_local_scalar_dense", "nonzero", "masked_select", "item", "equal", "unique", "is_nonzero")

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, operator, types, arguments=(), options=None):
        name = operator.overloadpacket.__name__.rstrip("0123456789_")
        masks = name in ("index", "index_put", "_index_put_impl") and any(
            index is not None and index.dtype == torch.bool for index in arguments[1]
        )
        self.count += masks or name in self.waiting
        return operator(*arguments, **(options or {}))


@pytest.mark.parametrize("codes", ["bits", "table"])
def test_no_step_waits_for_the_device(model, table, start, codes):
    captions, tokens, masked = start
    if codes == "table":
        model, tokens = table, tokens % 2**7
    counts = []
    model.order(LAYOUT, tokens.device)  # once a layout, on the CPU
    for steps in (1, 2, 9):
        with Waits() as waits:
            unmask(model, LAYOUT, captions, tokens, masked, Sampling(steps, temperature=0.7, guidance=1.0))
        counts.append(waits.count)
    assert counts[0] == counts[1] == counts[2] > 0  # before the first step it must know how many tokens there are
    with Waits() as waits:
        tokens[masked].sum().item()
    assert waits.count == 2


def test_guidance_leads_away_from_what_is_made_without_the_caption(model, start):
    layout = sequence.Layout(vocabulary.T2MV, sequence.azimuths(4), text=3)
    captions = torch.tensor([[9, 30, 12], [17, 40, 41]])
    tokens, masked = start[1], torch.ones(SHAPE, dtype=torch.bool)
    sampling = Sampling(3, guidance=1.0)
    made = unmask(model, layout, captions, tokens, masked, sampling)
    for index in range(2):
        with torch.inference_mode():
            expected = reference(model, layout, captions[[index]], tokens[index], masked[index], sampling, index)
        assert torch.equal(made.tokens[index], expected[0])
    assert not torch.equal(made.tokens, unmask(model, layout, captions, tokens, masked, Sampling(3)).tokens)


@pytest.mark.parametrize("interval", [(0.0, 0.5), (0.5, 1.0), (0.25, 0.75), (0.5, 0.5)])
def test_guidance_in_an_interval_of_steps(model, start, interval, monkeypatch):
    layout = sequence.Layout(vocabulary.T2MV, sequence.azimuths(4), text=3)
    captions = torch.tensor([[9, 30, 12], [17, 40, 41]])
    tokens, masked = start[1], torch.ones(SHAPE, dtype=torch.bool)
    sampling = Sampling(4, guidance=1.0, interval=interval)
    sequences = []
    features = model.features
    monkeypatch.setattr(model, "features", lambda _, *seen: sequences.append(len(seen[0])) or features(_, *seen))
    made = unmask(model, layout, captions, tokens, masked, sampling)
    assert sum(sequences) == 2 * 4 + 2 * 4 * (interval[1] - interval[0])  # an unguided step costs half
    for index in range(2):
        with torch.inference_mode():
            expected = reference(model, layout, captions[[index]], tokens[index], masked[index], sampling, index)
        assert torch.equal(made.tokens[index], expected[0])


def test_draws_of_one_sentence_share_their_first_pass(model, start, monkeypatch):
    layout = sequence.Layout(vocabulary.T2MV, sequence.azimuths(4), text=3)
    captions = torch.tensor([[9, 30, 12]]).expand(3, -1)
    tokens, masked = start[1][[0, 1, 0]], torch.ones(3, 4, 3, 3, dtype=torch.bool)
    sampling = Sampling(3, temperature=0.7, guidance=1.0, occupancy=0.8)
    sequences = []
    features = model.features
    monkeypatch.setattr(model, "features", lambda _, *seen: sequences.append(len(seen[0])) or features(_, *seen))
    made = unmask(model, layout, captions, tokens, masked, sampling, seed=2)
    assert sequences == [2, 6, 6]  # with and without the condition: once, then for each of three draws
    for index in range(3):
        with torch.inference_mode():
            expected = reference(model, layout, captions[[index]], tokens[index], masked[index], sampling, 2 + index)
        assert torch.equal(made.tokens[index], expected[0])
        torch.testing.assert_close(made.soft[index], expected[1])


def test_sequences_that_differ_in_what_is_given_share_nothing(model, start):
    captions, tokens, masked = start
    assert not torch.equal(tokens[0, 0], tokens[1, 0])
    both = unmask(model, LAYOUT, captions, tokens, masked, Sampling(1, noise=0, temperature=0)).tokens
    alone = unmask(model, LAYOUT, captions[1:], tokens[1:], masked[1:], Sampling(1, noise=0, temperature=0)).tokens
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[0, 1:], both[1, 1:])


@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_keys_and_values_of_one_block_depend_on_nothing_else(start, guidance):
    # Behind the first block they depend on their neighbours: kept ones are near then, not equal.
    layout = sequence.Layout(vocabulary.T2MV, sequence.azimuths(4), text=3)
    captions = torch.tensor([[9, 30, 12], [17, 40, 41]])
    masked = torch.ones(SHAPE, dtype=torch.bool)
    made = {}
    for layers in (1, 2):
        torch.manual_seed(3)
        model = Transformer(replace(CONFIG, layers=layers)).eval()
        for parameter in model.parameters():
            parameter.data.mul_(4)
        for refresh in (1, 4):
            sampling = Sampling(9, guidance=guidance, interval=(0.0, 0.6), refresh=refresh)
            made[layers, refresh] = unmask(model, layout, captions, start[1], masked, sampling)
    assert torch.equal(made[1, 1].tokens, made[1, 4].tokens)
    torch.testing.assert_close(made[1, 1].soft, made[1, 4].soft)
    assert not torch.equal(made[2, 1].tokens, made[2, 4].tokens)


def test_kept_keys_and_values_spare_work(model, start, monkeypatch):
    lengths = []
    attend = transformer.attend
    monkeypatch.setattr(
        transformer, "attend", lambda q, k, v: lengths.append((q.shape[2], k.shape[2])) or attend(q, k, v)
    )
    unmask(model, LAYOUT, *start, Sampling(6, "linear", refresh=3))
    whole, left = 45, [27, 22, 18, 13, 9, 4]  # with <soi> and <eoi> of four views, and the task
    first = [lengths[2 * step : 2 * step + 2] for step in range(6)]
    for step, (one, last) in enumerate(first):
        decided = left[step - 1] - left[step]
        rows = whole if step in (0, 1, 4) else left[step] + decided
        assert one == (rows, whole)
        assert last == (left[step], whole)  # the last block works for what is asked alone


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


@given(st.sampled_from(sorted(MASK_SCHEDULES)), st.integers(1, 64), st.integers(1, 256))
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
    progress = lambda *step: calls.append(step)  # noqa: E731
    made = unmask(model, LAYOUT, captions, tokens, masked, Sampling(steps=9), progress=progress)
    assert calls == [(1, 9), (2, 9)]
    assert torch.equal(made.tokens[~masked], tokens[~masked])
    assert torch.equal(made.soft[~masked], bits(tokens, 18)[~masked].float())


class StopError(Exception):
    pass


def test_watching_changes_no_token_and_can_end_the_work(model, start):
    seen = []

    def watch(known, unknown):
        assert not known.tokens[unknown].any()
        seen.append((known.tokens.clone(), unknown.clone()))
        if len(seen) == 12:
            raise StopError

    captions, tokens, masked = start
    sampling = Sampling(steps=9, temperature=0.7)
    plain = unmask(model, LAYOUT, captions, tokens, masked, sampling, seed=5)
    watched = unmask(model, LAYOUT, captions, tokens, masked, sampling, seed=5, watch=watch)
    assert torch.equal(plain.tokens, watched.tokens)
    assert torch.equal(plain.soft, watched.soft)
    assert len(seen) == 9
    for (before, hidden), (after, still) in pairwise(seen):  # what is known stays
        assert torch.equal(before[~hidden], after[~hidden])
        assert still.sum() < hidden.sum()
    assert torch.equal(seen[-1][0], plain.tokens)
    with pytest.raises(StopError):
        unmask(model, LAYOUT, captions, tokens, masked, sampling, seed=5, watch=watch)
    assert len(seen) == 12


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


@pytest.mark.parametrize(
    ("schedule", "left"), [("cosine", [9, 8, 5, 3, 0]), ("linear", [8, 6, 4, 2, 0]), ("quadratic", [9, 8, 6, 3, 0])]
)
def test_schedules_leave_so_many_of_ten(schedule, left):
    assert [unknown_after(step, 5, schedule, 10) for step in range(5)] == left


def test_sequences_draw_from_seeds_a_stride_apart(model, start):
    captions, tokens, masked = start
    both = unmask(model, LAYOUT, captions, tokens, masked, Sampling(3), seed=1, stride=5).tokens
    alone = unmask(model, LAYOUT, captions[1:], tokens[1:], masked[1:], Sampling(3), seed=6).tokens
    assert torch.equal(both[1:], alone)
    first = unmask(model, LAYOUT, captions, tokens[[1, 1]], masked, Sampling(3)).tokens
    assert torch.equal(first[0], unmask(model, LAYOUT, captions[1:], tokens[1:], masked[1:], Sampling(3)).tokens[0])


def test_a_table_s_codes_are_drawn_and_guided_without_emptiness(start):
    config = TransformerConfig(width=32, layers=1, heads=2, hidden=32, words=64, grid=3, bits=6, codes="table")
    torch.manual_seed(0)
    table = Transformer(config).eval()
    captions, tokens, masked = start
    tokens, words = tokens % 64, sequence.words(LAYOUT, captions)
    with torch.inference_mode():
        places = masked.flatten(1).nonzero()[:, 1].view(2, -1)
        guided = predict(table, LAYOUT, words, tokens, masked, masked, 0.5, places)
        given = table.predict(table(LAYOUT, words, tokens, masked)[1][masked]).codes
        free = table.predict(table(LAYOUT, words, tokens, masked | ~masked)[1][masked]).codes
    assert guided.empty is None
    torch.testing.assert_close(guided.codes, 1.5 * given - 0.5 * free)
    made = unmask(table, LAYOUT, captions, tokens, masked, Sampling(2, temperature=0, noise=0))
    assert made.tokens.max() < 64
    assert made.soft.shape == (*SHAPE, 6)


def test_a_table_s_code_is_as_sure_as_its_chance():
    logits = torch.tensor([[[0.0, 1.0, 3.0, 0.0]], [[2.0, 0.0, 0.0, 1.0]]])
    draw = Draw(torch.full((2,), 0.5), torch.full((2, 1, 4), 0.5), torch.full((2,), 0.5))
    code, mean, sure = decide(Prediction(None, logits), draw, Sampling(temperature=0), 2)
    chance = logits[:, 0].exp() / logits[:, 0].exp().sum(1, keepdim=True)
    assert code.tolist() == [2, 0]
    torch.testing.assert_close(sure, torch.stack([chance[0, 2], chance[1, 0]]).log())
    torch.testing.assert_close(mean, 2 * torch.stack([chance[:, 1] + chance[:, 3], chance[:, 2] + chance[:, 3]], 1) - 1)


def test_a_token_that_is_not_empty_has_no_code_0():
    # Two tokens whose likeliest code is 0: one is empty, the other takes the nearest code.
    codes = torch.zeros(2, 2, 4)
    codes[..., 0] = 5
    draw = Draw(torch.full((2,), 0.5), torch.full((2, 2, 4), 0.5), torch.full((2,), 0.5))
    code, mean, sure = decide(Prediction(torch.tensor([3.0, -3.0]), codes), draw, Sampling(), 4)
    assert code.tolist() == [0, 1]
    assert mean[0].tolist() == [-1.0] * 4
    assert (mean[1] > -1).all()
    torch.testing.assert_close(sure, torch.full((2,), -math.log1p(math.exp(-3))))


def test_gumbel_numbers_are_finite_everywhere():
    values = gumbel(torch.tensor([0.0, 0.5, 1.0])).tolist()
    assert values == pytest.approx([-math.log(-math.log(1e-9)), -math.log(math.log(2)), 15.9424], rel=1e-4)


@pytest.mark.parametrize("coin", [0.0, 1.0])
def test_no_coin_is_too_sure(coin):
    # Occupancy drawn with a coin at the end of its range: a logit of 17 either way, not infinite.
    prediction = Prediction(torch.tensor([20.0, -20.0]), torch.zeros(2, 1, 2))
    draw = Draw(torch.full((2,), 0.5), torch.full((2, 1, 2), 0.5), torch.full((2,), coin))
    code, _, _ = decide(prediction, draw, Sampling(occupancy=1.0), 1)
    assert code.tolist() == [0, 1]


def test_everything_is_made_where_its_inputs_are():
    prediction = Prediction(torch.zeros(2, device="cpu"), torch.zeros(2, 2, 4, device="cpu"))
    half = torch.full((2,), 0.5)
    for each in (prediction, Prediction(None, prediction.codes)):
        draw = Draw(half, torch.full((2, 2) if each.empty is None else (2, 2, 4), 0.5), half)
        with torch.device("meta"):  # where tensors go that name no device
            decided = decide(each, draw, Sampling(), 4)
        assert {tensor.device.type for tensor in decided} == {"cpu"}
        torch.testing.assert_close(decided, decide(each, draw, Sampling(), 4))
