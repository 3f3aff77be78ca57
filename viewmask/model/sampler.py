"""The sampler: all target views unmasked together in some twenty confident steps (MaskGIT's rule).

Each step predicts every unknown token, keeps the most confident and masks the others again; how many
stay unknown follows a schedule. On plain backgrounds most tokens are empty, and "empty" is always
the surest guess: compared by the probability of their codes, the object's tokens lose every time
and the object is eaten. So a token's confidence is that of its occupancy alone (empty or not),
where both answers compete as equals; the code of a token that is not empty is drawn beside it.
Where little is known (a sentence), the likelier answer alone would leave what all possible objects
have in common, a stick: there occupancy is drawn, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, vocabulary
from viewmask.model.code import EMPTY, bits, joined
from viewmask.model.sampling import MASK_SCHEDULES, Sampling
from viewmask.model.sequence import Layout
from viewmask.model.transformer import Prediction, Transformer


@dataclass(frozen=True)
class Unmasked:
    """What the sampler made.

    Attributes:
        tokens: int64 [batch, views, grid, grid].
        soft: expected bits in [-1, 1], [batch, views, grid, grid, bits]: the mean of each token's bits
            when it was decided, for `Tokenizer.decode(tokens, soft)`.
    """

    tokens: Tensor
    soft: Tensor


def unknown_after(step: int, steps: int, schedule: str, total: int) -> int:
    """How many of `total` tokens stay unknown after step `step` (0 first): each step decides at least one."""
    if step + 1 >= steps:
        return 0
    share = MASK_SCHEDULES[schedule]((step + 1) / steps)
    return max(0, min(total - step - 1, math.floor(total * share + 1e-9)))


@torch.inference_mode()
def unmask(
    model: Transformer,
    layout: Layout,
    captions: Tensor,
    tokens: Tensor,
    masked: Tensor,
    sampling: Sampling,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    stride: int = 1,
) -> Unmasked:
    """Fill in the masked tokens of a batch.

    Args:
        model: in evaluation mode.
        layout: the arrangement.
        captions: word ids of the text field, int64 [batch, layout.text].
        tokens: int64 [batch, views, grid, grid]; values at masked places do not matter.
        masked: bool, same shape; the same number in every sequence. Known tokens are never touched.
        sampling: steps, schedule, temperature, noise, guidance.
        seed: sequence i of a batch draws from seed + i * stride, so it does not depend on its neighbours.
        progress: called with steps done and steps.
        stride: between the seeds of two sequences.

    Raises:
        ViewmaskError: sequences with different numbers of masked tokens.
    """
    counts = masked.flatten(1).sum(dim=1)
    if (counts != counts[0]).any():
        raise ViewmaskError("all sequences of a batch need the same number of masked tokens")
    total, batch = int(counts[0]), len(tokens)
    tokens = torch.where(masked, 0, tokens)
    unknown = masked.flatten(1).clone()
    soft = bits(tokens, model.config.bits).float()
    words = sequence.words(layout, captions)
    generators = [torch.Generator().manual_seed(seed + index * stride) for index in range(batch)]
    for step in range(sampling.steps):
        if not unknown.any():
            break
        prediction = predict(model, layout, words, tokens, unknown.view_as(tokens), masked, sampling.guidance)
        count = int(unknown[0].sum())
        draw = _draws(generators, count, prediction, tokens.device)
        decided = decide(prediction, draw, sampling, 1 - (step + 1) / sampling.steps, model.config.bits)
        codes, mean, confidence = (value.unflatten(0, (batch, count)) for value in decided)
        keep = count - unknown_after(step, sampling.steps, sampling.schedule, total)
        surest = confidence.topk(keep, dim=1).indices
        places = unknown.nonzero()[:, 1].view(batch, count).gather(1, surest)
        tokens.flatten(1).scatter_(1, places, codes.gather(1, surest))
        wide = surest[..., None].expand(-1, -1, mean.shape[-1])
        soft.flatten(1, 3).scatter_(1, places[..., None].expand_as(wide), mean.gather(1, wide))
        unknown.scatter_(1, places, False)
        if progress:
            progress(step + 1, sampling.steps)
    return Unmasked(tokens, soft)


def predict(
    model: Transformer,
    layout: Layout,
    words: Tensor,
    tokens: Tensor,
    unknown: Tensor,
    masked: Tensor,
    guidance: float,
) -> Prediction:
    """Predictions for all unknown tokens [n], in the order of the batch; guided if asked.

    Without its condition the model sees no text, and no token that was given at the start.
    """
    conditional = model.predict(model(layout, words, tokens, unknown)[1][unknown])
    if guidance == 0:
        return conditional
    blank = words.clone()
    blank[:, sequence.text_slice(layout)] = vocabulary.PAD
    unconditional = model.predict(model(layout, blank, tokens, unknown | ~masked)[1][unknown])

    def guided(with_condition: Tensor, without: Tensor) -> Tensor:
        return (1 + guidance) * with_condition - guidance * without

    codes = guided(conditional.codes, unconditional.codes)
    if conditional.empty is None or unconditional.empty is None:
        return Prediction(None, codes)
    return Prediction(guided(conditional.empty, unconditional.empty), codes)


def decide(
    prediction: Prediction, draw: tuple[Tensor, Tensor, Tensor], sampling: Sampling, left: float, width: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a code for every predicted token and say how sure the model is.

    Args:
        prediction: of n tokens.
        draw: uniform numbers [n] for the order, [n, groups, codes] for the codes, [n] for the occupancy.
        sampling: temperatures and noise.
        left: share of the steps left, by which the noise falls.
        width: bits of a code.

    Returns:
        codes int64 [n], expected bits [n, width], confidence [n].
    """
    order, lots, coins = draw
    logits = prediction.codes
    if sampling.temperature > 0:
        picks = (logits / sampling.temperature + gumbel(lots)).argmax(dim=-1)
    else:
        picks = logits.argmax(dim=-1)
    groups, size = logits.shape[1:]
    codes = joined(picks, width)
    table = bits(torch.arange(size, device=picks.device), width // groups)
    mean = (logits.softmax(dim=-1) @ table.float()).flatten(1)
    if prediction.empty is None:
        confidence = logits.log_softmax(dim=-1).gather(-1, picks[..., None])[..., 0].sum(dim=1)
    else:
        empty = prediction.empty + sampling.occupancy * coins.clamp(1e-7, 1 - 1e-7).logit() > 0
        # A token that is not empty takes the nearest other code.
        codes = torch.where(empty, EMPTY, torch.where(codes == EMPTY, 1, codes))
        mean = torch.where(empty[:, None], -1.0, mean)
        confidence = torch.nn.functional.logsigmoid(torch.where(empty, prediction.empty, -prediction.empty))
    return codes, mean, confidence + sampling.noise * left * gumbel(order)


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones."""
    return -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))


def _draws(
    generators: list[torch.Generator], count: int, prediction: Prediction, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (count, *prediction.codes.shape[1:])
    order = [torch.rand(count, generator=generator) for generator in generators]
    lots = [torch.rand(shape, generator=generator) for generator in generators]
    coins = [torch.rand(count, generator=generator) for generator in generators]
    return torch.cat(order).to(device), torch.cat(lots).to(device), torch.cat(coins).to(device)
