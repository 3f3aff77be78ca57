"""The budget: what a training asks of its GPUs, known before they are paid for.

    budget(RECIPES["paper-stage2"], GPUS["h100"], count=24)

Weights, gradients and optimizer are counted. Activations are not guessed: the network runs through its own code on
torch's meta device, which computes nothing, and what it would keep for the way back is added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.model import sequence
from viewmask.model.sequence import Layout
from viewmask.model.transformer import PAPER, Transformer, TransformerConfig

GB = 1e9
MFU = 0.4  # share of a GPU's peak that well-kept training of transformers reaches
BUCKETS = 1.0 * GB  # what communication, kernels and a fragmented heap take beside; DeepSpeed's buckets are 0.5 each


@dataclass(frozen=True)
class Gpu:
    """A GPU: memory in bytes, dense bfloat16 operations a second (the makers' figures)."""

    memory: float
    flops: float


GPUS = {
    "h200": Gpu(141 * GB, 989e12), "h100": Gpu(80 * GB, 989e12), "a100": Gpu(80 * GB, 312e12),
    "a100-40": Gpu(40 * GB, 312e12), "l40s": Gpu(48 * GB, 362e12), "4090": Gpu(24 * GB, 165e12),
}  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """A training of the paper's.

    Attributes:
        stage: that it is.
        network: its size.
        layout: of its sequences.
        hidden: mean share of the target tokens that are predicted.
        batch: sequences a step, over all GPUs.
        rows: sequences of an epoch, or rows of data.
        epochs: how often each is seen.
        pictures: of a row.
        reported: what the paper says; the rest is our choice.
        chosen: ours, and why.
    """

    stage: str
    network: TransformerConfig
    layout: Layout
    hidden: float
    batch: int
    rows: int
    epochs: int
    pictures: int
    reported: str
    chosen: str

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return -(-self.rows * self.epochs // self.batch)

    @property
    def length(self) -> int:
        """Elements of a sequence."""
        return self.layout.words + self.layout.views * self.network.grid**2

    @property
    def predicted(self) -> int:
        """Visual tokens predicted in a sequence."""
        return round((self.layout.views - self.layout.given) * self.network.grid**2 * self.hidden)


RECIPES = {
    "paper-stage1": Recipe(
        "align", PAPER, sequence.t2i(), 0.5, 384, 1_200_000, 3, 1, "1.2 M image-text pairs, global batch 384",
        "3 epochs, as many as let a new table of 2^18 rows be seen; text to picture alone is counted",
    ),
    "paper-stage2": Recipe(
        "i2mv", PAPER, sequence.i2mv(), 0.5, 384, 180_000, 8, 8,
        "180 K objects, orbits of 8 frames, global batch 384, 4 views",
        "8 epochs: each frame is the reference once",
    ),
    "paper-stage3": Recipe(
        "t2mv", PAPER, sequence.t2mv(), 0.5, 384, 180_000, 8, 8, "captions of Cap3D, 4 views, global batch 384",
        "the objects and epochs of stage 2: the paper gives no number",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Activations:
    """Bytes kept for the way back, of a batch: before the blocks, in one block, after them; and a block's input."""

    begin: int
    block: int
    end: int
    stream: int

    def of(self, layers: int, checkpointing: bool) -> int:
        """Of a whole network, where they are most.

        With checkpointing a block keeps its input alone. What is after the blocks is gone when the first is made anew.
        """
        if checkpointing:
            return self.begin + layers * self.stream + max(self.end, self.block)
        return self.begin + layers * self.block + self.end


@dataclass(frozen=True)
class Need:
    """Bytes on each GPU under one strategy, for one sequence at a time.

    Attributes:
        strategy: its name.
        weights, gradients, optimizer: of this GPU's share.
        plain, checkpointed: activations of one sequence without and with gradient checkpointing.
        fitting: sequences that fit at a time with checkpointing; 0 where not even one does.
    """

    strategy: str
    weights: float
    gradients: float
    optimizer: float
    plain: float
    checkpointed: float
    fitting: int

    @property
    def fixed(self) -> float:
        """Bytes that do not depend on the batch."""
        return self.weights + self.gradients + self.optimizer


@dataclass(frozen=True)
class Budget:
    """What a recipe asks of some GPUs.

    Attributes:
        parameters: of the network.
        needs: memory on each GPU, by strategy.
        flops: of the whole training, without what checkpointing does again.
        days: at the given MFU with checkpointing, which does the way there twice.
        tokens: bytes of the token files; pictures: of the renderings behind them, about.
    """

    recipe: Recipe
    gpu: Gpu
    count: int
    mfu: float
    parameters: int
    needs: tuple[Need, ...]
    flops: float
    days: float
    tokens: float
    pictures: float


# Bytes a parameter: weights, gradients, optimizer (AdamW); which of them the GPUs share, and weights held whole beside.
# DDP computes in bfloat16 under autocast, and keeps a copy of the weights for the way back.
_STRATEGIES = {
    "ddp": ((4, 4, 8), (False, False, False), 2),
    "zero2": ((2, 2, 12), (False, True, True), 0),
    "fsdp2": ((4, 4, 8), (True, True, True), 0),
}


def budget(recipe: Recipe, gpu: Gpu, count: int, mfu: float = MFU) -> Budget:
    """What a recipe asks of `count` GPUs of a kind.

    Raises:
        ViewmaskError: no GPU, or a share of the peak that is none.
    """
    if count < 1 or not 0 < mfu <= 1:
        raise ViewmaskError(f"{count} GPUs at {mfu:.0%} of their peak train nothing")
    network = recipe.network
    total = parameters(network)
    kept = activations(network, recipe.layout, 1, recipe.predicted)
    plain, checkpointed = (kept.of(network.layers, each) for each in (False, True))
    needs = []
    for name, (size, shared, beside) in _STRATEGIES.items():
        weights, gradients, optimizer = (
            each * total / (count if split else 1) for each, split in zip(size, shared, strict=True)
        )
        weights += beside * total
        if name == "fsdp2":  # two blocks at a time are whole in bfloat16, and so are the tables, once
            weights += 2 * (2 * block_parameters(network) + total - network.layers * block_parameters(network))
        left = gpu.memory - weights - gradients - optimizer - BUCKETS
        fitting = max(0, int(left // checkpointed))
        needs.append(Need(name, weights, gradients, optimizer, plain, checkpointed, fitting))
    forward = recipe.batch * recipe.steps * flops(recipe)
    return Budget(
        recipe, gpu, count, mfu, total, tuple(needs), 3 * forward, 4 * forward / (count * gpu.flops * mfu) / 86400,
        recipe.rows * recipe.pictures * network.grid**2 * 4.0,
        recipe.rows * recipe.pictures * 60e3,
    )  # fmt: skip


def flops(recipe: Recipe) -> float:
    """Operations of one way there, of one sequence: products with weights, attention, and the head's where asked."""
    network, length = recipe.network, recipe.length
    blocks = network.layers * (2 * block_parameters(network) * length + 4 * length**2 * network.width)
    rows = 2**network.bits if network.codes == "table" else network.groups * 2 ** (network.bits // network.groups)
    return float(blocks + 2 * network.width * rows * recipe.predicted)


@cache
def parameters(network: TransformerConfig) -> int:
    """Number of a network's parameters."""
    with torch.device("meta"):
        return Transformer(network).parameters_count()


def block_parameters(network: TransformerConfig) -> int:
    """Number of one block's parameters that are multiplied with."""
    return network.width * (4 * network.width + 3 * network.hidden)


@cache
def activations(
    network: TransformerConfig, layout: Layout, batch: int, predicted: int, dtype: torch.dtype = torch.bfloat16
) -> Activations:
    """What a network keeps for the way back.

    Args:
        network: its size.
        layout: of the sequences.
        batch: how many of them.
        predicted: visual tokens predicted in each.
        dtype: of weights and activations.
    """
    with torch.device("meta"):
        model = Transformer(network).to(dtype)
        captions = torch.zeros(batch, layout.text, dtype=torch.long)
        tokens = torch.zeros(batch, layout.views, network.grid, network.grid, dtype=torch.long)
        places = torch.zeros(batch * predicted, dtype=torch.long)
        truth = torch.zeros(batch * predicted, dtype=torch.long)
        words = sequence.words(layout, captions)
        stream = model.stream(layout, words, tokens, tokens == 0)
        with _Kept(model) as begin:
            x = next(stream)
        with _Kept(model, *model.turn(layout, words.device)) as block:  # all blocks share the turns
            x = next(stream)
        with _Kept(model) as end:
            features = model.norm(x).flatten(0, 1)[places]
            codes = model.predict(features).codes
            table = network.codes == "table"
            loss = F.cross_entropy(codes[:, 0], truth) if table else codes.log_softmax(dim=-1).sum()
        assert loss.requires_grad
    # On the way back the logits' gradient lies beside them twice, before and after it is rounded.
    logits = codes.numel() * codes.element_size()
    return Activations(begin.size, block.size, end.size + 2 * logits, x.numel() * x.element_size())


class _Kept(torch.autograd.graph.saved_tensors_hooks):
    """Adds up what autograd keeps inside the block: each storage once, and none of the weights or of `others`."""

    def __init__(self, model: nn.Module, *others: Tensor) -> None:
        self.known = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *others)}
        self.size = 0

        def keep(tensor: Tensor) -> Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in self.known:
                self.known.add(storage._cdata)
                self.size += storage.nbytes()
            return tensor

        super().__init__(keep, lambda tensor: tensor)

    def __enter__(self) -> _Kept:  # type: ignore[override]
        super().__enter__()
        return self
