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
from viewmask.model import vocabulary
from viewmask.model.sequence import Layout, text_slice
from viewmask.model.sequence import words as arrange
from viewmask.model.transformer import Prediction, Transformer

SCHEDULES: dict[str, Callable[[float], float]] = {
    "cosine": lambda progress: math.cos(math.pi / 2 * progress),
    "linear": lambda progress: 1 - progress,
    "quadratic": lambda progress: 1 - progress**2,
}


@dataclass(frozen=True)
class Sampling:
    """How to unmask.

    Attributes:
        steps: number of predictions.
        schedule: share of the tokens that stay unknown, a key of SCHEDULES.
        temperature: of the codes drawn; 0 takes the most likely.
        occupancy: temperature of "empty or not"; 0 takes the likelier.
        noise: Gumbel noise on the confidence at the start; it falls to 0 with the steps.
        guidance: w in (1 + w) conditional - w unconditional; 0 asks for one pass a step.
    """

    steps: int = 20
    schedule: str = "cosine"
    temperature: float = 0.7
    noise: float = 0.5
    guidance: float = 0.0
    occupancy: float = 0.0

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise ViewmaskError(f"no schedule '{self.schedule}': choose one of {', '.join(SCHEDULES)}")
        if self.steps < 1:
            raise ViewmaskError(f"at least one step is needed, not {self.steps}")
        for name in ("temperature", "noise", "guidance", "occupancy"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ViewmaskError(f"{name} must not be negative, not {value:g}")


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
    share = SCHEDULES[schedule]((step + 1) / steps)
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
    words = arrange(layout, captions)
    generators = [torch.Generator().manual_seed(seed + index * stride) for index in range(batch)]
    for step in range(sampling.steps):
        if not unknown.any():
            break
        prediction = predict(model, layout, words, tokens, unknown.view_as(tokens), masked, sampling.guidance)
        count = int(unknown[0].sum())
        draw = _draws(generators, count, prediction, tokens.device)
        code, mean, confidence = decide(prediction, draw, sampling, 1 - (step + 1) / sampling.steps, model.config.bits)
        keep = count - unknown_after(step, sampling.steps, sampling.schedule, total)
        code, mean, confidence = (value.unflatten(0, (batch, count)) for value in (code, mean, confidence))
        chosen = confidence.topk(keep, dim=1).indices
        places = unknown.nonzero()[:, 1].view(batch, count).gather(1, chosen)
        tokens.flatten(1).scatter_(1, places, code.gather(1, chosen))
        wide = chosen[..., None].expand(-1, -1, mean.shape[-1])
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
    given = model.predict(model(layout, words, tokens, unknown)[1][unknown])
    if guidance == 0:
        return given
    blank = words.clone()
    blank[:, text_slice(layout)] = vocabulary.PAD
    free = model.predict(model(layout, blank, tokens, unknown | ~masked)[1][unknown])
    empty = None if given.empty is None or free.empty is None else (1 + guidance) * given.empty - guidance * free.empty
    return Prediction(empty, (1 + guidance) * given.codes - guidance * free.codes)


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
    each = width // groups
    code = (picks << (each * torch.arange(groups, device=picks.device))).sum(dim=1)
    table = bits(torch.arange(size, device=picks.device), each)
    mean = (logits.softmax(dim=-1) @ table.float()).flatten(1)
    if prediction.empty is None:
        confidence = logits.log_softmax(dim=-1).gather(-1, picks[..., None])[..., 0].sum(dim=1)
    else:
        empty = prediction.empty + sampling.occupancy * coins.clamp(1e-7, 1 - 1e-7).logit() > 0
        # Code 0 means empty: a token that is not takes the nearest other code.
        code = torch.where(empty, 0, torch.where(code == 0, 1, code))
        mean = torch.where(empty[:, None], -1.0, mean)
        confidence = torch.nn.functional.logsigmoid(torch.where(empty, prediction.empty, -prediction.empty))
    return code, mean, confidence + sampling.noise * left * gumbel(order)


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones."""
    return -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))


def bits(tokens: Tensor, width: int) -> Tensor:
    """Tokens [...] to bits as +-1 [..., width], lowest first."""
    return ((tokens[..., None] >> torch.arange(width, device=tokens.device)) & 1) * 2 - 1


def _draws(
    generators: list[torch.Generator], count: int, prediction: Prediction, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    shape = (count, *prediction.codes.shape[1:])
    order = [torch.rand(count, generator=generator) for generator in generators]
    lots = [torch.rand(shape, generator=generator) for generator in generators]
    coins = [torch.rand(count, generator=generator) for generator in generators]
    return torch.cat(order).to(device), torch.cat(lots).to(device), torch.cat(coins).to(device)
