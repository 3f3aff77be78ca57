"""The budget against what small trainings here really take: memory within 15 %, operations as torch counts them."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, transformer
from viewmask.model.transformer import Block, Transformer, TransformerConfig
from viewmask.train import budget as budgets
from viewmask.train.budget import GB, GPUS, RECIPES, activations, budget, flops, parameters

SMALL = TransformerConfig(width=128, layers=6, heads=4, hidden=384, words=512, grid=4, bits=8, groups=1, codes="table",
                          positions="sequence", query_norm=False)  # fmt: skip
LAYOUT = sequence.i2mv()
PREDICTED = 24


def measured(config, batch, dtype):
    """The peak of a training step after the first, in bytes, as torch's own tracker sees real tensors come and go."""
    tracking = pytest.importorskip("torch.distributed._tools.mem_tracker")
    torch.manual_seed(0)
    model = Transformer(config).to(dtype)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    words = sequence.words(LAYOUT, torch.zeros(batch, 0, dtype=torch.long))
    tokens = torch.randint(0, 2**config.bits, (batch, 4, 4, 4))
    places = torch.randint(0, batch * 64, (batch * PREDICTED,))

    def step():
        features = model(LAYOUT, words, tokens, tokens > 5)[1].flatten(0, 3)[places]
        loss = F.cross_entropy(model.predict(features).codes[:, 0], tokens.flatten()[places])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    tracker = tracking.MemTracker()
    tracker.track_external(model, optimizer)
    with tracker:
        step()
    return tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"]


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(("batch", "dtype"), [(2, torch.float32), (16, torch.float32), (16, torch.bfloat16)])
def test_memory_of_a_step_is_foretold_within_15_percent(monkeypatch, checkpointing, batch, dtype):
    if checkpointing:
        plain = Block.forward
        monkeypatch.setattr(
            Block, "forward", lambda self, x, turn: checkpoint(plain, self, x, turn, use_reentrant=False)
        )
    # The budget is a GPU's, whose attention keeps no scores; in bfloat16 a CPU trains by plain products.
    monkeypatch.setattr(transformer, "attend", F.scaled_dot_product_attention)
    peak = measured(SMALL, batch, dtype)
    monkeypatch.undo()
    kept = activations(SMALL, LAYOUT, batch, PREDICTED, dtype).of(SMALL.layers, checkpointing)
    fixed = 4 * dtype.itemsize * parameters(SMALL)  # weights, gradients, two moments
    assert fixed + kept == pytest.approx(peak, rel=0.15)


@pytest.mark.parametrize("layout", [LAYOUT, sequence.t2mv(), sequence.t2i()])
@pytest.mark.parametrize("codes", ["table", "bits"])
def test_operations_are_torch_s_count(layout, codes):
    config = replace(SMALL, codes=codes)
    recipe = replace(RECIPES["paper-stage2"], network=config, layout=layout, hidden=0.5)
    model = Transformer(config)
    words = sequence.words(layout, torch.zeros(1, layout.text, dtype=torch.long))
    tokens = torch.zeros(1, layout.views, 4, 4, dtype=torch.long)
    # On CPUs the counter knows attention in its plain form alone.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        features = model(layout, words, tokens, tokens == 0)[1].flatten(0, 3)
        model.predict(features[: recipe.predicted])
    assert flops(recipe) == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_the_papers_size_on_24_gpus():
    asked = budget(RECIPES["paper-stage2"], GPUS["h100"], 24, mfu=0.5)
    assert asked.parameters == 10_163_068_928
    ddp, zero2, fsdp2 = asked.needs
    assert ddp.fixed == (4 + 2 + 4 + 8) * asked.parameters  # more than any GPU here has
    assert ddp.fitting == 0
    assert zero2.fixed == pytest.approx(2 * asked.parameters + 14 * asked.parameters / 24)
    assert fsdp2.fixed < zero2.fixed
    assert zero2.checkpointed < zero2.plain / 5
    assert zero2.fitting == int((80 * GB - zero2.fixed - budgets.BUCKETS) // zero2.checkpointed) > 0
    # 6 operations a parameter and element, attention and the table's head beside.
    blocks = 32 * (4 * 4096**2 + 3 * 4096 * 12288)
    elements = 384 * 3750 * (1 + 4 * 258)
    assert 1.0 < asked.flops / (6 * blocks * elements) < 1.25
    seconds = asked.flops * 4 / 3 / (24 * 989e12 * 0.5)
    assert asked.days == pytest.approx(seconds / 86400)
    assert asked.tokens == 180_000 * 8 * 256 * 4
    assert budget(RECIPES["paper-stage2"], GPUS["h100"], 48).needs[1].optimizer == zero2.optimizer / 2


def test_budgets_of_nothing_are_refused():
    for count, mfu in ((0, 0.4), (1, 0.0), (1, 1.5)):
        with pytest.raises(ViewmaskError, match="train nothing"):
            budget(RECIPES["paper-stage1"], GPUS["a100"], count, mfu)
