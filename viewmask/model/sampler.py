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
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.model import halton, sequence, vocabulary
from viewmask.model.code import EMPTY, bits, joined
from viewmask.model.sampling import MASK_SCHEDULES, Sampling
from viewmask.model.sequence import Layout
from viewmask.model.transformer import Kept, Prediction, TransformerConfig


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


Watch = Callable[[Unmasked, Tensor], None]
"""Told after each step what is known, and which tokens are not, bool [batch, views, grid, grid]. Both change with the
next step: copy what is to stay. What it raises ends the sampling."""


class Filler(Protocol):
    """What fills in tokens: a transformer, or a refiner that was given coarse tokens. See `Transformer`."""

    @property
    def config(self) -> TransformerConfig: ...

    @property
    def blocks(self) -> nn.ModuleList: ...

    def features(
        self,
        layout: Layout,
        words: Tensor,
        tokens: Tensor,
        masked: Tensor,
        places: Tensor,
        memory: list[Kept] | None = None,
        also: Tensor | None = None,
    ) -> Tensor: ...

    def predict(self, features: Tensor) -> Prediction: ...


class Draw(NamedTuple):
    """Uniform numbers for n tokens.

    Attributes:
        order: [n], for the noise of the confidence.
        lots: for the codes; [n, groups, codes] where bits are predicted in groups, [n, 1] with a table.
        coins: [n], for the occupancy.
    """

    order: Tensor
    lots: Tensor
    coins: Tensor


def unknown_after(step: int, steps: int, schedule: str, total: int, loop: int = 0) -> int:
    """How many of `total` tokens stay unknown after step `step` (0 first): each step decides at least one.

    `loop` more steps, before the last one, leave as many as the one before them.
    """
    if step + 1 >= steps + loop:
        return 0
    step = min(step, steps - 2)
    share = MASK_SCHEDULES[schedule]((step + 1) / steps)
    return max(0, min(total - step - 1, math.floor(total * share + 1e-9)))


@torch.inference_mode()
def unmask(
    model: Filler,
    layout: Layout,
    captions: Tensor,
    tokens: Tensor,
    masked: Tensor,
    sampling: Sampling,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    stride: int = 1,
    watch: Watch | None = None,
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
        watch: called after each step; it changes no token.

    Raises:
        ViewmaskError: sequences with different numbers of masked tokens.
    """
    counts = masked.flatten(1).sum(dim=1).tolist()
    if len(set(counts)) > 1:
        raise ViewmaskError("all sequences of a batch need the same number of masked tokens")
    total, batch = int(counts[0]), len(tokens)
    tokens = torch.where(masked, 0, tokens)
    unknown = masked.flatten(1).clone()
    # Where unknown tokens stand, in order [batch, count]. How many there are follows from the schedule: from here on
    # no step asks the device for anything, and a GPU never waits.
    places = unknown.nonzero()[:, 1].view(batch, total)
    soft = bits(tokens, model.config.bits).float()
    words = sequence.words(layout, captions)
    generators = [torch.Generator().manual_seed(seed + index * stride) for index in range(batch)]
    turns = _turns(generators, tokens) if sampling.order == "halton" else None
    # How sure each token was when it was settled; no sequence masks again what was given or is not known.
    chances = torch.full(unknown.shape, math.inf, device=tokens.device)
    # Draws of one sentence differ by their random numbers alone: the first pass is one for all.
    alike = all(bool((one == one[:1]).all()) for one in (words, tokens, unknown))
    memory: list[Kept] | None = None
    also, before = None, 0.0
    for step in range(sampling.passes):
        count = places.shape[1]
        if count == 0:
            break
        guidance = sampling.guidance_at(step)
        some = slice(1 if step == 0 and alike else batch)
        if whole(step, sampling.refresh) or guidance != before:
            memory, also = [Kept() for _ in model.blocks] if sampling.refresh > 1 else None, None
        seen = (tokens[some], unknown.view_as(tokens)[some], masked[some], guidance, places[some])
        prediction = predict(model, layout, words[some], *seen, memory, also)
        prediction, before = prediction.repeated(batch // len(tokens[some])), guidance
        draw = _draws(generators, count, prediction, sampling, tokens.device)
        decided = decide(prediction, draw, sampling, model.config.bits)
        codes, mean, sure = (value.unflatten(0, (batch, count)) for value in decided)
        left = unknown_after(step, sampling.steps, sampling.schedule, total, sampling.loop)
        again = min(math.ceil(sampling.remask * (total - count) - 1e-9), left)
        if turns is None:
            noise = sampling.noise * (1 - (step + 1) / sampling.passes) * gumbel(draw.order)
            first = (sure.flatten() + noise).view_as(sure)
        else:
            first = -turns.gather(1, places)
        chosen = first.topk(count - left + again, dim=1).indices
        known = places.gather(1, chosen)
        done = torch.zeros_like(places, dtype=torch.uint8).scatter_(1, chosen, 1)
        places = places.gather(1, done.sort(dim=1, stable=True).indices[:, : left - again])
        if again:
            lots = _uniform(generators, tokens.device, chances.shape[1]).view_as(chances)
            masked_again = least_sure(chances, lots, again)
            places = torch.cat([places, masked_again], dim=1).sort(dim=1).values
            unknown.scatter_(1, masked_again, True)
            chances.scatter_(1, masked_again, math.inf)
            tokens.flatten(1).scatter_(1, masked_again, 0)
            soft.flatten(1, 3).scatter_(1, _wide(masked_again, soft), -1.0)
        unknown.scatter_(1, known, False)
        chances.scatter_(1, known, sure.gather(1, chosen).exp())
        tokens.flatten(1).scatter_(1, known, codes.gather(1, chosen))
        soft.flatten(1, 3).scatter_(1, _wide(known, soft), mean.gather(1, _wide(chosen, mean)))
        also = known
        if progress:
            progress(step + 1, sampling.passes)
        if watch:
            watch(Unmasked(tokens, soft), unknown.view_as(tokens))
    return Unmasked(tokens, soft)


def whole(step: int, refresh: int) -> bool:
    """Whether a step computes all positions anew. The first two do: in between everything changes."""
    return step == 0 or (step - 1) % refresh == 0


def predict(
    model: Filler,
    layout: Layout,
    words: Tensor,
    tokens: Tensor,
    unknown: Tensor,
    masked: Tensor,
    guidance: float,
    places: Tensor,
    memory: list[Kept] | None = None,
    also: Tensor | None = None,
) -> Prediction:
    """Predictions for all unknown tokens [n], in the order of the batch; guided if asked.

    Without its condition the model sees no text, and no token that was given at the start. Both passes are one batch.

    Args:
        places: where the unknown tokens of each sequence stand, int64 [batch, count].
        memory: keys and values of earlier steps; takes up this one's.
        also: nothing but the unknown tokens and these is computed, int64 [batch, count].
    """
    if guidance > 0:
        blank = words.clone()
        blank[:, sequence.text_slice(layout)] = vocabulary.PAD
        words, unknown = torch.cat([words, blank]), torch.cat([unknown, unknown | ~masked])
        tokens, places = torch.cat([tokens, tokens]), torch.cat([places, places])
        also = also if also is None else torch.cat([also, also])
    features = model.features(layout, words, tokens, unknown, places, memory, also)
    said = model.predict(features.flatten(0, 1))
    if guidance == 0:
        return said

    def guided(both: Tensor) -> Tensor:
        with_condition, without = both.chunk(2)
        return (1 + guidance) * with_condition - guidance * without

    return Prediction(None if said.empty is None else guided(said.empty), guided(said.codes))


def decide(prediction: Prediction, draw: Draw, sampling: Sampling, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Draw a code for every predicted token and say how sure the model is.

    Args:
        prediction: of n tokens.
        draw: its uniform numbers.
        sampling: temperatures.
        width: bits of a code.

    Returns:
        codes int64 [n], expected bits [n, width], confidence [n]: logarithms of chances.
    """
    lots, coins = draw.lots, draw.coins
    logits = prediction.codes
    if sampling.temperature == 0:
        picks = logits.argmax(dim=-1)
    elif prediction.empty is None:
        picks = drawn(logits / sampling.temperature, lots)
    else:
        picks = (logits / sampling.temperature + gumbel(lots)).argmax(dim=-1)
    groups, size = logits.shape[1:]
    codes = joined(picks, width)
    table = bits(torch.arange(size, device=picks.device), width // groups)
    mean = (logits.softmax(dim=-1) @ table.float()).flatten(1)
    if prediction.empty is None:
        confidence = (logits.gather(-1, picks[..., None])[..., 0] - logits.logsumexp(dim=-1)).sum(dim=1)
    else:
        empty = prediction.empty + sampling.occupancy * coins.clamp(1e-7, 1 - 1e-7).logit() > 0
        # A token that is not empty takes the nearest other code.
        codes = torch.where(empty, EMPTY, torch.where(codes == EMPTY, 1, codes))
        mean = torch.where(empty[:, None], -1.0, mean)
        confidence = torch.nn.functional.logsigmoid(torch.where(empty, prediction.empty, -prediction.empty))
    return codes, mean, confidence


def least_sure(chances: Tensor, lots: Tensor, count: int) -> Tensor:
    """Draw tokens that are masked again without putting any back, by weights exp(-chance), as ReMDM has them.

    Args:
        chances: of each token when it was settled, infinite where none may be taken, [batch, tokens].
        lots: uniform numbers, same shape.
        count: how many of each sequence.

    Returns:
        int64 [batch, count].
    """
    return (gumbel(lots) - chances).topk(count, dim=1).indices


def gumbel(uniform: Tensor) -> Tensor:
    """Standard Gumbel numbers from uniform ones."""
    return -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))


def drawn(logits: Tensor, lots: Tensor) -> Tensor:
    """Draw from distributions with one uniform number each: logits [..., codes], lots [...], picks int64 [...]."""
    reached = logits.softmax(dim=-1).cumsum(dim=-1)
    # Sums of many small chances do not end at exactly 1.
    return torch.searchsorted(reached, (lots[..., None] * reached[..., -1:]), right=True)[..., 0].clamp(
        max=logits.shape[-1] - 1
    )


def _draws(
    generators: list[torch.Generator], count: int, prediction: Prediction, sampling: Sampling, device: torch.device
) -> Draw:
    """Numbers for every sequence, from generators on the CPU: a seed means the same on every device."""

    def uniform(*shape: int) -> Tensor:
        return _uniform(generators, device, count, *shape)

    if prediction.empty is None:  # a table of 2^18 codes: one number a token, and none that goes unused
        nothing = torch.full((), 0.5, device=device)
        order = uniform() if sampling.noise > 0 else nothing
        return Draw(order, uniform(1) if sampling.temperature > 0 else nothing, nothing)
    return Draw(uniform(), uniform(*prediction.codes.shape[1:]), uniform())


def _uniform(generators: list[torch.Generator], device: torch.device, *shape: int) -> Tensor:
    """Numbers in [0, 1) of this shape for every sequence, one after the other."""
    numbers = torch.cat([torch.rand(*shape, generator=generator) for generator in generators])
    # From pinned memory they are copied while the device goes on with its work.
    return numbers.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else numbers.to(device)


def _turns(generators: list[torch.Generator], tokens: Tensor) -> Tensor:
    """When every token has its turn by Halton's sequence, int64 [batch, views * grid * grid]."""
    _, views, grid, _ = tokens.shape
    turns = [halton.ranks(torch.rand(views, 2, generator=generator), grid) for generator in generators]
    return torch.stack(turns).to(tokens.device)


def _wide(places: Tensor, of: Tensor) -> Tensor:
    """Indices [batch, count] as indices of all bits there, [batch, count, bits]."""
    return places[..., None].expand(-1, -1, of.shape[-1])
