"""The trainer: steps, learning rates, moving average, validation, checkpoints and exact resume.

Every batch and every random choice is a pure function of (seed, step). So a resumed run repeats what an uninterrupted
one would have done, and no random state needs to be stored.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, log
from viewmask.learning.average import Average
from viewmask.learning.interruption import patience
from viewmask.learning.optimizers import optimizers
from viewmask.learning.precision import fastest
from viewmask.learning.schedule import Schedule, rate
from viewmask.learning.task import Figures, Task

CHECKPOINT, EXPORT = "checkpoint", "weights"
_LOGGED = 50  # steps a line of the log

Progress = Callable[[int, int, Figures], None]
Validation = Callable[[Any], Figures]
"""Figures of a model in evaluation mode on objects that it does not learn from."""


class Trainer:
    """Trains a model on a task, into a run folder: `checkpoint/` (resumable), `log.jsonl`, `loss.png`, and `weights/`.

    `weights/` is the moving average in half precision, as it was at the end. With `keep_best` it is the best one, as
    `validation` sees it.

    Args:
        model: what learns.
        task: its loss.
        out: the run folder.
        schedule: how long and how fast.
        about: how the network is made; written into config.json with the schedule.
        network: the part of the model that is averaged, saved and exported; the model itself by default. Its `config`,
            a frozen dataclass, builds it. What else learns (a discriminator) is kept in checkpoints alone.
        validation: figures of the moving average for the log, on objects that the model does not learn from.
        files: text files that belong to the weights, by name.
        time_limit: seconds of training, earlier sittings included. The learning rate falls with the larger of the two
            shares, steps and time, so that a run cut by time still ends annealed.
        save_every: seconds between checkpoints.
        validate_every: steps between two validations.
        keep_best: export where the first figure of `validation` was greatest, not the end.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        out: str | Path,
        schedule: Schedule,
        about: dict[str, Any],
        *,
        network: nn.Module | None = None,
        validation: Validation | None = None,
        files: Mapping[str, str] | None = None,
        time_limit: float | None = None,
        save_every: float = 120.0,
        validate_every: int = 250,
        keep_best: bool = False,
    ) -> None:
        self.model, self.task, self.out, self.schedule, self.about = model, task, Path(out), schedule, about
        self.network = model if network is None else network
        self.config: Any = self.network.config
        self.validation, self.files = validation, dict(files or {})
        self.time_limit, self.save_every = time_limit, save_every
        self.validate_every, self.keep_best = validate_every, keep_best and validation is not None
        self.average = Average(self.network, schedule.average)
        self.optimizers = optimizers(model, schedule)
        self.peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.device = next(model.parameters()).device.type
        if schedule.precision == "auto":
            self.schedule = replace(schedule, precision=fastest(self.device))
        self.step, self.best = 0, -math.inf
        self._started, self._saved = time.monotonic(), time.monotonic()

    def run(self, resume: bool = False, progress: Progress | None = None) -> Path:
        """Train until `schedule.steps` or the time limit, whichever comes first.

        Args:
            resume: continue from `out/checkpoint`, with the seed and the rates that the run began with. The network's
                own weights are loaded by whoever made the model.
            progress: called with the step, all steps and the figures of the step; "share" tells how much is done.

        Returns:
            The folder of exported weights.

        Raises:
            ViewmaskError: nothing to resume, a run that already stands there, or a loss that is not finite.
            KeyboardInterrupt: the user or the system (SIGTERM) wants an end: a checkpoint is written first.
        """
        if resume:
            self._restore()
        elif (self.out / CHECKPOINT).exists():
            raise ViewmaskError(
                f"{self.out} holds a run already: pass --resume to continue it, or choose another --out"
            )
        self.out.mkdir(parents=True, exist_ok=True)
        recent: list[Figures] = []
        with patience() as interrupted:
            while (share := self._share()) < 1:
                figures = self._step(share)
                if self.validation and self.step % self.validate_every == 0:
                    figures |= self._validate()
                recent.append(figures)
                if progress:
                    progress(self.step, self.schedule.steps, figures | {"share": share})
                if self.step % _LOGGED == 0 or self.step == self.schedule.steps:
                    self._log(recent)
                    recent = []
                if time.monotonic() - self._saved > self.save_every:
                    self.save()
                if interrupted():
                    self.save()
                    raise KeyboardInterrupt
        if self.keep_best and (self.step % self.validate_every or self.best == -math.inf):
            self._validate()
        self.save()
        return self.out / EXPORT if self.keep_best else self._export()

    def save(self) -> None:
        """Write the checkpoint, and draw the loss curve."""
        record = {"step": self.step, "seconds": self._seconds(), "peaks": self.peaks, "schedule": asdict(self.schedule)}
        record |= {"best": self.best} if self.best > -math.inf else {}
        training = (self._state(), record)
        checkpoint.save(self.out / CHECKPOINT, self.network, self.config, self._about(), self.files, training=training)
        log.plot(self.out)
        self._saved = time.monotonic()

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _share(self) -> float:
        """How much of the run is done, by steps or by time."""
        share = self.step / self.schedule.steps
        return max(share, self._seconds() / self.time_limit) if self.time_limit else share

    def _step(self, share: float) -> Figures:
        schedule = self.schedule
        for optimizer, rates in zip(self.optimizers, self.peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak * rate(share, self.step, schedule.warmup)
        random = np.random.default_rng([schedule.seed, self.step])
        torch.manual_seed(int(random.integers(2**62)))
        self.model.train()
        with torch.autocast(self.device, torch.bfloat16, enabled=schedule.precision == "bfloat16"):
            loss, figures = self.task.loss(self.model, self.step, random, schedule.batch)
        if not math.isfinite(loss.item()):
            raise ViewmaskError(f"the loss is {loss.item()} at step {self.step}: lower the learning rate, or --resume")
        self.model.zero_grad(set_to_none=True)
        loss.backward()
        for parameters in self._parts():
            nn.utils.clip_grad_norm_(parameters, schedule.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.network, self.step)
        self.step += 1
        return {"loss": loss.item()} | figures

    def _parts(self) -> list[list[nn.Parameter]]:
        """The network's parameters and, apart, those of what learns with it: each has a gradient of its own size."""
        network = list(self.network.parameters())
        inside = {id(parameter) for parameter in network}
        beside = [parameter for parameter in self.model.parameters() if id(parameter) not in inside]
        return [network, beside] if beside else [network]

    def _validate(self) -> Figures:
        assert self.validation is not None
        figures = self.validation(self.average.model.eval())
        if self.keep_best and (first := next(iter(figures.values()))) > self.best:
            self.best = first
            self._export()
        return figures

    def _about(self) -> dict[str, Any]:
        return self.about | {"schedule": asdict(self.schedule)}

    def _export(self) -> Path:
        about = self._about() | {"steps": self.step, "seconds": round(self._seconds())}
        return checkpoint.save(self.out / EXPORT, self.average.model, self.config, about, self.files, half=True)

    def _log(self, recent: list[Figures]) -> None:
        names = dict.fromkeys(name for figures in recent for name in figures)  # steps of other layouts have others
        means = {name: float(np.mean([figures[name] for figures in recent if name in figures])) for name in names}
        log.append(self.out, {"step": self.step, "seconds": round(self._seconds(), 1)} | means)

    def _state(self) -> dict[str, Tensor]:
        """All that learns but the network itself."""
        tensors: dict[str, Tensor] = {f"average.{name}": p for name, p in self.average.model.named_parameters()}
        tensors |= {f"beside.{name}": tensor.detach() for name, tensor in self._beside().items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
        return tensors

    def _beside(self) -> dict[str, Tensor]:
        """The tensors of the model that are none of the network's."""
        inside = {id(tensor) for tensor in self.network.state_dict(keep_vars=True).values()}
        state = self.model.state_dict(keep_vars=True)
        return {name: tensor for name, tensor in state.items() if id(tensor) not in inside}

    @torch.no_grad()
    def _restore(self) -> None:
        """Put back what `save` wrote."""
        tensors, record = checkpoint.load_training(self.out / CHECKPOINT)
        self.step, self.best = int(record["step"]), float(record.get("best", -math.inf))
        self._started = time.monotonic() - float(record["seconds"])
        self.schedule = replace(
            self.schedule, **{name: record["schedule"][name] for name in ("seed", "rate", "muon", "precision")}
        )
        self.peaks = record["peaks"]
        places: dict[str, Tensor] = {f"average.{name}": p for name, p in self.average.model.named_parameters()}
        places |= {f"beside.{name}": tensor for name, tensor in self._beside().items()}
        states: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
        for name, tensor in tensors.items():
            if name in places:
                places[name].copy_(tensor)
            elif name.startswith("optimizer."):
                _, number, index, key = name.split(".", 3)
                states[int(number)].setdefault(int(index), {})[key] = tensor
        for optimizer, rates, state in zip(self.optimizers, self.peaks, states, strict=True):
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak
