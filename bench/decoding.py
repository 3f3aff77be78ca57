"""How fast tokens are decoded: our sampler beside the loops of MaskGIT, MMaDA and Lumina-DiMOO, with our weights.

    python bench/decoding.py [--draws 4] [--rounds 5] [--text "a red chair"] [--costs] [--write]

The peers' loops are written anew here from their descriptions: what they compute in every step is theirs; weights,
emptiness rule, guidance, temperature and 20 steps are ours. All take turns in one process on one thread, in another
order each round, and processor time counts. So a ratio is of neighbours in time, and its spread is that of the rounds.

- `plain`: this sampler without its savings: every draw, with and without the condition, one after the other, in full.
- MaskGIT (Chang et al. 2022): no guidance, all tokens predicted anew, noise that falls from its start.
- MMaDA (Yang et al. 2025): both passes in one batch, the whole head at every position, words included.
- Lumina-DiMOO (2025): two passes one after the other, one draw at a time; after 30 % of the steps all is computed every
  fifth step, and between them only the tenth of the tokens that are least sure (its ML-Cache).

--costs adds what views, draws and steps cost. --write puts the tables into docs/results/speed.md.
"""

from __future__ import annotations

import argparse
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.model import sequence, vocabulary
from viewmask.model.sampler import Draw, decide, gumbel, unmask
from viewmask.model.sampling import FROM_IMAGE, FROM_TEXT, Sampling, at_speed
from viewmask.model.sequence import Layout
from viewmask.model.transformer import Kept, Prediction, Transformer

PAGE = Path(__file__).parents[1] / "docs/results/speed.md"
WARM_UP, REFRESH, RECOMPUTED = 0.3, 5, 0.1  # Lumina-DiMOO's


@dataclass(frozen=True)
class Task:
    """Draws of one sentence, all of whose views are made."""

    model: Transformer
    layout: Layout
    caption: Tensor
    draws: int

    @property
    def words(self) -> tuple[Tensor, Tensor]:
        """With the sentence and without it, [draws, words]."""
        said = sequence.words(self.layout, self.caption.expand(self.draws, -1))
        blank = said.clone()
        blank[:, sequence.text_slice(self.layout)] = vocabulary.PAD
        return said, blank

    @property
    def grid(self) -> tuple[int, int, int, int]:
        """Shape of the tokens."""
        side = self.model.config.grid
        return self.draws, self.layout.views, side, side

    @property
    def tokens(self) -> int:
        """How many tokens are decoded."""
        return math.prod(self.grid)


def uniform(count: int, prediction: Prediction) -> Draw:
    """Random numbers for so many tokens."""
    return Draw(torch.rand(count), torch.rand(count, *prediction.codes.shape[1:]), torch.rand(count))


def split(prediction: Prediction, draws: int) -> list[Prediction]:
    """Of a batch in two halves, with and without the condition."""
    assert prediction.empty is not None
    return [Prediction(*both) for both in zip(prediction.empty.chunk(2), prediction.codes.chunk(2), strict=True)]


def guided(one: Prediction, other: Prediction, weight: float) -> Prediction:
    """(1 + w) with the condition - w without it."""
    assert one.empty is not None
    assert other.empty is not None
    return Prediction((1 + weight) * one.empty - weight * other.empty, (1 + weight) * one.codes - weight * other.codes)


def remasked(
    tokens: Tensor, hidden: Tensor, said: Prediction, left: int, noise: float, sampling: Sampling, width: int
) -> tuple[Tensor, Tensor]:
    """MaskGIT's rule: draw every token, keep what was known, mask the least sure again."""
    draws = len(tokens)
    draw = uniform(len(said.codes), said)
    codes, _, sure = decide(said, draw, sampling, width)
    sure = sure + noise * gumbel(draw.order)
    flat = hidden.flatten(1)
    made = torch.where(flat, codes.view(draws, -1), tokens.flatten(1))
    sure = torch.where(flat, sure.view(draws, -1), torch.inf)
    again = torch.zeros_like(flat)
    if left:
        again.scatter_(1, sure.topk(left, dim=1, largest=False).indices, True)
    return made.view_as(tokens), again.view_as(hidden)


# -- the loops --------------------------------------------------------------------------------------------


def maskgit(task: Task, sampling: Sampling) -> Tensor:
    tokens, (words, _) = torch.zeros(task.grid, dtype=torch.long), task.words
    hidden, total = torch.ones_like(tokens, dtype=torch.bool), tokens[0].numel()
    for step in range(sampling.steps):
        said = task.model.predict(task.model(task.layout, words, tokens, hidden)[1].flatten(0, 3))
        ratio = (step + 1) / sampling.steps
        left = math.floor(total * math.cos(math.pi / 2 * ratio) + 1e-9) if ratio < 1 else 0
        noise = sampling.noise * (1 - ratio)
        tokens, hidden = remasked(tokens, hidden, said, left, noise, sampling, task.model.config.bits)
    return tokens


def mmada(task: Task, sampling: Sampling) -> Tensor:
    tokens, words, model = torch.zeros(task.grid, dtype=torch.long), torch.cat(task.words), task.model
    hidden, total, noise = torch.ones_like(tokens, dtype=torch.bool), tokens[0].numel(), sampling.noise
    for step in range(sampling.steps):
        of_words, seen = model(task.layout, words, tokens.repeat(2, 1, 1, 1), hidden.repeat(2, 1, 1, 1))
        for features in (of_words.flatten(0, 1), seen.flatten(0, 3)):  # one head for all, sliced afterwards
            model.word_head(features)
            said = model.predict(features)
        ratio = (step + 1) / sampling.steps
        left = 0 if ratio >= 1 else max(1, math.floor(total * math.cos(math.pi / 2 * ratio)))
        noise *= 1 - ratio  # a running product: the paper's code
        both = guided(*split(said, task.draws), sampling.guidance)
        tokens, hidden = remasked(tokens, hidden, both, left, noise, sampling, model.config.bits)
    return tokens


def lumina(task: Task, sampling: Sampling) -> Tensor:
    model, made = task.model, []
    for _ in range(task.draws):
        one = replace(task, draws=1)
        tokens = torch.zeros(one.grid, dtype=torch.long)
        hidden, total = torch.ones_like(tokens, dtype=torch.bool), tokens.numel()
        memories = [[Kept() for _ in model.blocks] for _ in range(2)]
        places, said = torch.arange(total)[None], None
        for step in range(sampling.steps):
            start = math.ceil(WARM_UP * sampling.steps)
            full = said is None or step < start or (step - start) % REFRESH == 0
            if not full:
                assert said is not None
                assert said.empty is not None
                places = said.empty.abs().topk(int(RECOMPUTED * total), largest=False).indices[None]
            parts = []
            for words, memory in zip(one.words, memories, strict=True):  # one after the other
                if full:
                    features = model.features(one.layout, words, tokens, hidden, torch.arange(total)[None], memory)
                else:
                    features = model.features(one.layout, words, tokens, hidden, places, memory, places[:, :0])
                parts.append(model.predict(features[0]))
            fresh = guided(*parts, sampling.guidance)
            if full:
                said = fresh
            else:
                said.empty.scatter_(0, places[0], fresh.empty)
                said.codes[places[0]] = fresh.codes
            ratio = (step + 1) / sampling.steps
            left = math.floor(total * math.cos(math.pi / 2 * ratio) + 1e-9) if ratio < 1 else 0
            noise = sampling.noise * (1 - ratio)
            tokens, hidden = remasked(tokens, hidden, said, left, noise, sampling, model.config.bits)
        made.append(tokens)
    return torch.cat(made)


def plain(task: Task, sampling: Sampling) -> Tensor:
    tokens, model = torch.zeros(task.grid, dtype=torch.long), task.model
    hidden, total = torch.ones_like(tokens, dtype=torch.bool), tokens[0].numel()
    for step in range(sampling.steps):
        parts = [model.predict(model(task.layout, words, tokens, hidden)[1][hidden]) for words in task.words]
        said = guided(*parts, sampling.guidance)
        ratio = (step + 1) / sampling.steps
        draw = uniform(len(said.codes), said)
        codes, _, sure = decide(said, draw, sampling, model.config.bits)
        sure = sure + sampling.noise * (1 - ratio) * gumbel(draw.order)
        left = math.floor(total * math.cos(math.pi / 2 * ratio) + 1e-9) if ratio < 1 else 0
        order = sure.view(task.draws, -1).argsort(dim=1)
        flat, seen = tokens.flatten(1), hidden.flatten(1)
        places = seen.nonzero()[:, 1].view(task.draws, -1)
        known = places.gather(1, order[:, left:])
        flat.scatter_(1, known, codes.view(task.draws, -1).gather(1, order[:, left:]))
        seen.scatter_(1, known, False)
    return tokens


def ours(task: Task, sampling: Sampling) -> Tensor:
    tokens = torch.zeros(task.grid, dtype=torch.long)
    masked = torch.ones_like(tokens, dtype=torch.bool)
    return unmask(task.model, task.layout, task.caption.expand(task.draws, -1), tokens, masked, sampling).tokens


# -- measuring --------------------------------------------------------------------------------------------

Run = Callable[[], object]


def turns(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds of processor time of every run in every round; the order turns."""
    names = list(runs)
    for name in names:
        runs[name]()  # what is made once
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            start = time.process_time()
            runs[name]()
            seconds[name].append(time.process_time() - start)
    return seconds


def ratio(theirs: list[float], mine: list[float], digits: int = 2) -> str:
    """The median over rounds, and its spread."""
    each = np.array(theirs) / np.array(mine)
    return f"{np.median(each):.{digits}f} ({each.min():.{digits}f} to {each.max():.{digits}f})"


def peak(side: int = 1024) -> float:
    """Floating-point operations a second of a large product, the best of many."""
    a, b = torch.randn(side, side), torch.randn(side, side)
    best = math.inf
    for _ in range(12):
        start = time.process_time()
        a @ b
        best = min(best, time.process_time() - start)
    return 2 * side**3 / best


def work(model: Transformer, layout: Layout) -> float:
    """Floating-point operations of the products of one pass over one sequence, attention included."""
    config, length = model.config, layout.words + layout.views * model.config.grid**2
    block = 2 * length * (4 * config.width**2 + 3 * config.width * config.hidden) + 4 * length**2 * config.width
    return config.layers * block


def loops(task: Task, rounds: int) -> list[str]:
    """The table of loops."""
    exact, balanced = (at_speed(FROM_TEXT, speed) for speed in ("exact", "balanced"))
    runs: dict[str, Run] = {
        "**viewmask, exact**": lambda: ours(task, exact),
        "**viewmask, balanced**": lambda: ours(task, balanced),
        "plain": lambda: plain(task, exact),
        "MaskGIT's, without guidance": lambda: maskgit(task, exact),
        "MMaDA's": lambda: mmada(task, exact),
        "Lumina-DiMOO's, ML-Cache": lambda: lumina(task, exact),
    }
    seconds = turns(runs, rounds)
    first, second = list(runs)[:2]
    lines = ["| loop | tokens a second | time by exact | time by balanced |", "|---|---|---|---|"]
    for name, each in seconds.items():
        speed = task.tokens / float(np.median(each))
        lines.append(f"| {name} | {speed:.0f} | {ratio(each, seconds[first])} | {ratio(each, seconds[second])} |")
    return lines


def share(task: Task, rounds: int) -> str:
    """How near a pass comes to the peak of products."""
    words = task.words[0][:1]
    tokens = torch.zeros((1, *task.grid[1:]), dtype=torch.long)
    hidden = torch.ones_like(tokens, dtype=torch.bool)
    best = min(turns({"pass": lambda: task.model(task.layout, words, tokens, hidden)}, 4 * rounds)["pass"])
    most = peak()
    done = work(task.model, task.layout) / best
    figures = f"{done / 1e9:.0f} of {most / 1e9:.0f} GFLOP a second"
    return f"A pass over one sequence does {figures}, {done / most:.0%} of what a large product reaches."


def costs(task: Task, rounds: int) -> list[str]:
    """The table of views, draws and steps: times by the first of its row."""
    model = task.model
    pictures = at_speed(FROM_IMAGE, "exact")

    def around(views: int, steps: int) -> Run:
        layout = sequence.i2mv(sequence.azimuths(views))
        tokens = torch.zeros(1, views, model.config.grid, model.config.grid, dtype=torch.long)
        masked = torch.ones_like(tokens, dtype=torch.bool)
        masked[:, 0] = False
        nothing = torch.zeros(1, 0, dtype=torch.long)
        return lambda: unmask(model, layout, nothing, tokens, masked, pictures.changed(steps=steps))

    once = FROM_TEXT.changed(steps=8)  # draws cost the same at any number of steps
    rows = {
        "views of a picture": {str(views): around(views, 20) for views in (4, 8, 16)},
        "steps of a picture": {str(steps): around(4, steps) for steps in (20, 12, 8, 4)},
        "draws of a sentence": {
            str(draws): (lambda draws=draws: ours(replace(task, draws=draws), once)) for draws in (1, 2, 4)
        },
    }
    lines = ["| what | times by the first |", "|---|---|"]
    for name, runs in rows.items():
        seconds = turns(runs, rounds)
        first = next(iter(seconds.values()))
        cells = [f"{number}: {ratio(each, first)}" for number, each in seconds.items()]
        cells[0] = f"{next(iter(seconds))}: 1"
        lines.append(f"| {name} | {', '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="a red chair")
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--costs", action="store_true", help="also what views, draws and steps cost")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/results/speed.md")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    generator = Generator.load(arguments.weights, "cpu", "float32")
    layout = sequence.t2mv()
    caption = torch.tensor([generator.weights.lexicon.vocabulary.encode(arguments.text, layout.text)])
    task = Task(generator.weights.transformer, layout, caption, arguments.draws)
    with torch.inference_mode():
        lines = [f"Draws: {arguments.draws}. Rounds: {arguments.rounds}.", "", *loops(task, arguments.rounds)]
        lines += ["", share(task, arguments.rounds)]
        if arguments.costs:
            lines += ["", *costs(task, arguments.rounds)]
    text = "\n".join(lines)
    print(text)
    if arguments.write:
        marked = re.compile(r"(<!-- bench: decoding -->\n).*?(<!-- end -->)", re.S)
        page = PAGE.read_text()
        if not marked.search(page):
            raise ViewmaskError(f"{PAGE} has no place marked <!-- bench: decoding -->")
        atomic.write(PAGE, marked.sub(lambda place: place[1] + text + "\n" + place[2], page))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
