"""The training loop: optimizers, learning rate, moving average, checkpoints and exact resume.

Every batch and every random choice is a pure function of (seed, step), so a resumed run repeats
what an uninterrupted one would have done, and no random state needs to be stored.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning import checkpoint
from viewmask.learning.muon import Muon

LOG, CURVE, LAST, WEIGHTS = "log.jsonl", "loss.png", "checkpoint", "weights"


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    Attributes:
        steps: optimizer steps of the whole run.
        batch: sequences or pictures a step.
        rate: peak learning rate of AdamW.
        muon: peak learning rate of Muon for the hidden matrices; 0 trains all with AdamW.
        warmup: steps until the peak.
        decay: weight decay.
        average: decay of the moving average of the weights, which is what is exported.
        clip: largest norm of the gradient.
        precision: "float32", or "bfloat16" for autocast.
        seed: of everything.
    """

    steps: int
    batch: int = 32
    rate: float = 1e-3
    muon: float = 0.0
    warmup: int = 100
    decay: float = 0.01
    average: float = 0.999
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 0


# Share of the rates with which a run goes on from weights of its own stage: full ones lose at first what a falling rate
# had gained.
GENTLY = 0.3


def gently(schedule: Schedule) -> Schedule:
    """The schedule for going on from weights that were trained to the end."""
    return replace(schedule, rate=GENTLY * schedule.rate, muon=GENTLY * schedule.muon)


class Task(Protocol):
    """What is trained: a model, its companion (a discriminator) if it has one, and the loss of one batch."""

    @property
    def model(self) -> nn.Module: ...

    @property
    def config(self) -> Any: ...

    @property
    def companion(self) -> nn.Module | None: ...

    def loss(self, step: int, random: np.random.Generator, batch: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of the batch of this step, and figures to print."""
        ...


Progress = Callable[[int, int, dict[str, float]], None]


def optimizers(model: nn.Module, schedule: Schedule, companion: nn.Module | None = None) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the hidden matrices and AdamW for the rest."""
    named = [*model.named_parameters(), *(companion.named_parameters("companion") if companion else [])]
    # Muon takes convolutions and the matrices inside the blocks, not embeddings or heads.
    chosen = {name for name, p in named if schedule.muon and (p.ndim > 2 or (p.ndim == 2 and ".blocks." in f".{name}"))}
    hidden = [p for name, p in named if name in chosen]
    rest = [p for name, p in named if name not in chosen]
    matrices = [p for p in rest if p.ndim >= 2]
    vectors = [p for p in rest if p.ndim < 2]
    groups = [{"params": matrices, "weight_decay": schedule.decay}, {"params": vectors, "weight_decay": 0.0}]
    made: list[torch.optim.Optimizer] = [torch.optim.AdamW(groups, lr=schedule.rate, betas=(0.9, 0.98))]
    if hidden:
        made.append(Muon(hidden, lr=schedule.muon, weight_decay=schedule.decay))
    return made


def rate(progress: float, step: int, warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to a hundredth."""
    return min(1.0, (step + 1) / max(warmup, 1)) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def run(
    task: Task,
    out: str | Path,
    schedule: Schedule,
    about: dict[str, Any],
    time_limit: float | None = None,
    resume: bool = False,
    save_every: float = 120.0,
    progress: Progress | None = None,
    score: Callable[[], dict[str, float]] | None = None,
    score_every: int = 250,
    keep_best: bool = True,
) -> Path:
    """Train until `schedule.steps` or the time limit, whichever comes first.

    Args:
        task: the model and its loss.
        out: run folder; holds `checkpoint/` (resumable), `log.jsonl`, `loss.png`, and `weights/`, the
            exported moving average in half precision, at the end or, with `keep_best`, where it scored best.
        about: how the model is made; written into config.json, the schedule beside it.
        time_limit: seconds of training, earlier sittings included. The learning rate falls with the
            larger of the two shares, steps and time, so that a run cut by time still ends annealed.
        resume: continue from `out/checkpoint`, with the seed and the rates that the run began with.
        save_every: seconds between checkpoints.
        score: figures of the task's model as it stands, on objects that it does not learn from, for the log. Asked of
            the moving average, as that is what is exported.
        score_every: steps between two scores.
        keep_best: export where the first figure of `score` was greatest, not the end.

    Raises:
        ViewmaskError: nothing to resume, a run that already stands there, or a loss that is not finite.
        KeyboardInterrupt: the user or the system (SIGTERM) wants an end: a checkpoint is written first.
    """
    out = Path(out)
    last = out / LAST
    model, averaged = task.model, _Average(task.model, schedule.average)
    made = optimizers(model, schedule, task.companion)
    step, elapsed, best = 0, 0.0, -math.inf
    if resume:
        tensors, record = checkpoint.load_training(last)
        step, elapsed, best = int(record["step"]), float(record["seconds"]), float(record.get("best", -math.inf))
        schedule = replace(schedule, **{name: record["schedule"][name] for name in ("seed", "rate", "muon")})
        _restore(task, averaged, made, tensors)
    elif last.exists():
        raise ViewmaskError(f"{out} holds a run already: pass --resume to continue it, or choose another --out")
    about = about | {"schedule": asdict(schedule)}
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in made]
    device = next(model.parameters()).device.type
    started, saved = time.monotonic() - elapsed, time.monotonic()
    if resume:
        for optimizer, rates in zip(made, record["peaks"], strict=True):
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak
        peaks = record["peaks"]

    def save() -> None:
        record = {"step": step, "seconds": time.monotonic() - started, "peaks": peaks, "schedule": asdict(schedule)}
        record |= {"best": best} if best > -math.inf else {}
        checkpoint.save(last, model, task.config, about, training=(_state(task, averaged, made), record))
        plot(out)

    def export() -> Path:
        now = {"steps": step, "seconds": round(time.monotonic() - started)}
        with averaged.in_place_of(model):
            return checkpoint.save(out / WEIGHTS, model, task.config, about | now, half=True)

    def judge() -> dict[str, float]:
        nonlocal best
        assert score is not None
        with averaged.in_place_of(model):
            figures = score()
        if keep_best and (mine := next(iter(figures.values()))) > best:
            best = mine
            export()
        return figures

    out.mkdir(parents=True, exist_ok=True)
    recent: list[dict[str, float]] = []
    with _patience() as asked:
        while step < schedule.steps:
            share = step / schedule.steps
            if time_limit:
                share = max(share, (time.monotonic() - started) / time_limit)
                if share >= 1:
                    break
            for optimizer, rates in zip(made, peaks, strict=True):
                for group, peak in zip(optimizer.param_groups, rates, strict=True):
                    group["lr"] = peak * rate(share, step, schedule.warmup)
            random = np.random.default_rng([schedule.seed, step])
            torch.manual_seed(int(random.integers(2**62)))
            model.train()
            with torch.autocast(device, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
                loss, figures = task.loss(step, random, schedule.batch)
            if not math.isfinite(loss.item()):
                raise ViewmaskError(f"the loss is {loss.item()} at step {step}: lower the learning rate, or --resume")
            model.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
            for optimizer in made:
                optimizer.step()
            averaged.update(model, step)
            step += 1
            figures = {"loss": loss.item()} | figures
            if score and step % score_every == 0:
                figures |= judge()
            recent.append(figures)
            if progress:
                progress(step, schedule.steps, figures | {"share": share})
            if step % 50 == 0 or step == schedule.steps:
                keys = dict.fromkeys(key for f in recent for key in f)  # steps of other layouts have others
                means = {key: float(np.mean([f[key] for f in recent if key in f])) for key in keys}
                _log(out / LOG, {"step": step, "seconds": round(time.monotonic() - started, 1)} | means)
                recent = []
            if time.monotonic() - saved > save_every:
                save()
                saved = time.monotonic()
            if asked():
                save()
                raise KeyboardInterrupt
    chosen = score and keep_best
    if chosen and (step % score_every or best == -math.inf):
        judge()
    save()
    return out / WEIGHTS if chosen else export()


def plot(out: Path) -> None:
    """Draw the loss curve of a run as `loss.png`, from its log."""
    from PIL import Image, ImageDraw

    path = out / LOG
    if not path.exists():
        return
    records = [json.loads(line) for line in path.read_text().splitlines()]
    values = np.array([record["loss"] for record in records])
    steps = np.array([record["step"] for record in records])
    if len(values) < 2:
        return
    width, height, margin = 800, 400, 50
    low, high = float(values.min()), float(np.quantile(values, 0.98))
    x = margin + (steps - steps[0]) / max(steps[-1] - steps[0], 1) * (width - 2 * margin)
    y = height - margin - (np.minimum(values, high) - low) / max(high - low, 1e-9) * (height - 2 * margin)
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture)
    for share in (0.0, 0.5, 1.0):
        level = height - margin - share * (height - 2 * margin)
        draw.line([(margin, level), (width - margin, level)], fill="#dddddd")
        draw.text((4, level - 6), f"{low + share * (high - low):.3f}", fill="#555555")
        draw.text((margin + share * (width - 2 * margin) - 12, height - margin + 8),
                  f"{steps[0] + share * (steps[-1] - steps[0]):.0f}", fill="#555555")  # fmt: skip
    draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill="#1f6fb2", width=2)
    draw.text((margin, 14), f"loss, {records[-1]['loss']:.4f} at step {steps[-1]}", fill="#222222")
    atomic.write_with(out / CURVE, lambda temporary: picture.save(temporary, "PNG"))


@contextmanager
def _patience() -> Iterator[Callable[[], bool]]:
    """While it lasts, Ctrl-C and SIGTERM wait for the step to end, which looks here whether it was asked to stop; a
    second one does not wait."""
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    here = threading.current_thread() is threading.main_thread()  # no other thread may handle signals
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM) if here}
    # What was ignored, as Ctrl-C is in the background, stays ignored; what is not Python's own is None.
    before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Average:
    """An exponential moving average of a model's parameters, bias-free from the first step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = list(self.tensors.values()), [p.detach() for p in model.parameters()]
        torch._foreach_lerp_(mine, theirs, 1 - decay)

    @contextmanager
    def in_place_of(self, model: nn.Module) -> Iterator[None]:
        """The model with the averaged parameters, for as long as the context lasts."""
        own = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
        self._give(model, self.tensors)
        try:
            yield
        finally:
            self._give(model, own)

    @torch.no_grad()
    def _give(self, model: nn.Module, tensors: dict[str, Tensor]) -> None:
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[name])


def _state(task: Task, averaged: _Average, made: list[torch.optim.Optimizer]) -> dict[str, Tensor]:
    tensors = {f"average.{name}": tensor for name, tensor in averaged.tensors.items()}
    if task.companion is not None:
        tensors |= {f"companion.{name}": tensor.detach() for name, tensor in task.companion.state_dict().items()}
    for number, optimizer in enumerate(made):
        for index, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
    return tensors


def _restore(task: Task, averaged: _Average, made: list[torch.optim.Optimizer], tensors: dict[str, Tensor]) -> None:
    """Put back what `_state` took; the model's own weights are loaded by whoever built the task."""
    device = next(task.model.parameters()).device
    if task.companion is not None:
        prefix = "companion."
        task.companion.load_state_dict({k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)})
    states: list[dict[int, dict[str, Tensor]]] = [{} for _ in made]
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "average":
            averaged.tensors[rest] = tensor.to(device)
        elif kind == "optimizer":
            number, index, key = rest.split(".", 2)
            states[int(number)].setdefault(int(index), {})[key] = tensor
    for optimizer, state in zip(made, states, strict=True):
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _log(path: Path, record: dict[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")
