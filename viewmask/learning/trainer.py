"""The trainer: steps, learning rates, moving average, validation, checkpoints and exact resume.

Every batch and every random choice is a pure function of (seed, step). So a resumed run repeats what an uninterrupted
one would have done, and no random state needs to be stored. Several processes split the batch of one: each draws all of
it, and keeps its rows.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, log, lora
from viewmask.learning.average import Average
from viewmask.learning.interruption import patience
from viewmask.learning.optimizers import optimizers
from viewmask.learning.precision import fastest
from viewmask.learning.processes import Processes
from viewmask.learning.schedule import Schedule, rate
from viewmask.learning.task import WHOLE, Divisible, Figures, Part, Task

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
        processes: that train together; this one alone by default.
        accumulate: parts that each process cuts its share of a batch into, one after the other, to save memory.

    Raises:
        ViewmaskError: a task that cannot be split over processes or parts.
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
        processes: Processes | None = None,
        accumulate: int = 1,
    ) -> None:
        self.model, self.task, self.out, self.schedule, self.about = model, task, Path(out), schedule, about
        self.network = model if network is None else network
        self.config: Any = self.network.config
        self.validation, self.files = validation, dict(files or {})
        self.time_limit, self.save_every = time_limit, save_every
        self.validate_every, self.keep_best = validate_every, keep_best and validation is not None
        self.processes, self.accumulate = processes or Processes(), accumulate
        if self._parts > 1 and not isinstance(task, Divisible):
            raise ViewmaskError("this stage learns from batches in one piece: train it on one process, not accumulated")
        self.average = Average(self.network, schedule.average)
        self.call, self.optimizers = self.processes.place(model, optimizers(model, schedule))
        self.judge = self.processes.shard(self.average.model)
        self.peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        self.device = next(model.parameters()).device.type
        asked: Any = self.processes.precision or (schedule.precision == "auto" and fastest(self.device))
        if asked:
            self.schedule = replace(schedule, precision=self.processes.first(asked))
        self.step, self.best = 0, -math.inf
        self.recent: list[Figures] = []  # since the last line of the log
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
            ViewmaskError: nothing to resume, a run that already stands there, a batch of fewer rows than parts, or a
                loss that is not finite.
            KeyboardInterrupt: the user or the system (SIGTERM) wants an end, of whichever process: a checkpoint is
                written first.
        """
        if resume:
            try:
                self._restore()
            except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
                raise ViewmaskError(f"{self.out / CHECKPOINT} is damaged, or of another run: {error!r}") from error
        elif (self.out / CHECKPOINT).exists():
            raise ViewmaskError(
                f"{self.out} holds a run already: pass --resume to continue it, or choose another --out"
            )
        if self._parts > self.schedule.batch:
            raise ViewmaskError(f"a batch of {self.schedule.batch} cannot be split into {self._parts} parts: --batch")
        self.out.mkdir(parents=True, exist_ok=True)
        with patience(again=self.processes.count == 1) as interrupted:
            while (share := self._share()) < 1:
                figures = self._step(share)
                if self.validation and self.step % self.validate_every == 0:
                    figures |= self._validate()
                self.recent.append(figures)
                if progress:
                    progress(self.step, self.schedule.steps, figures | {"share": share})
                if self.step % _LOGGED == 0 or self.step == self.schedule.steps:
                    self._log()
                late = time.monotonic() - self._saved > self.save_every
                stop, late = map(bool, self.processes.total([interrupted(), late and self.processes.main]))
                if stop and self.recent:
                    self._log(whole=False)
                if late or stop:
                    self.save()
                if stop:
                    self.processes.end()
                    raise KeyboardInterrupt
        if self.keep_best and (self.step % self.validate_every or self.best == -math.inf):
            self._validate()
        if self.recent:
            self._log()
        self.save()
        if not self.keep_best:
            self._export()
        self.processes.end()
        return self.out / EXPORT

    def save(self) -> None:
        """Write the checkpoint, and draw the loss curve. All processes must call it, and wait until it is written."""
        record = {"step": self.step, "seconds": self._seconds(), "peaks": self.peaks, "schedule": asdict(self.schedule)}
        record |= {"recent": self.recent} | ({"best": self.best} if self.best > -math.inf else {})
        record |= {"processes": self.processes.count, "sharded": self.processes.sharded}
        if position := getattr(self.task, "position", None):
            record["position"] = position
        tensors, state = self._whole(lora.plain(self.network.state_dict())), self._whole(self._state())
        if self.processes.main:
            checkpoint.save(
                self.out / CHECKPOINT, self.network, self.config, self._about(), self.files, tensors=tensors,
                training=(state, record),
            )  # fmt: skip
            log.plot(self.out)
        self.processes.wait()
        self._saved = time.monotonic()

    @property
    def _parts(self) -> int:
        """Into how many parts a batch is split."""
        return self.processes.count * self.accumulate

    def _whole(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors as they are in files, for the process that writes them."""
        whole = {name: self.processes.whole(tensor) for name, tensor in tensors.items()}
        return whole if self.processes.main else {}

    def _seconds(self) -> float:
        return time.monotonic() - self._started

    def _share(self) -> float:
        """How much of the run is done, by steps or by time."""
        share = self.step / self.schedule.steps
        if not self.time_limit:
            return share
        (seconds,) = self.processes.total([self._seconds() if self.processes.main else 0.0])  # rates must be the same
        return max(share, seconds / self.time_limit)

    def _step(self, share: float) -> Figures:
        schedule = self.schedule
        for optimizer, rates in zip(self.optimizers, self.peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak * rate(share, self.step, schedule.warmup)
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        figures = self._gradients()
        if not math.isfinite(figures["loss"]):
            raise ViewmaskError(
                f"the loss is {figures['loss']} at step {self.step}: lower the learning rate, or --resume"
            )
        for parameters in self._groups():
            nn.utils.clip_grad_norm_(parameters, schedule.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update(self.network, self.step)
        self.step += 1
        return figures

    def _gradients(self) -> Figures:
        """Gradients of the loss of a step's batch, which all processes work out together; the loss and its figures."""
        sums: Figures = {}
        for number in range(self.accumulate):
            last = number == self.accumulate - 1
            part = Part(self.processes.rank * self.accumulate + number, self._parts)
            with nullcontext() if last else self.processes.quiet():
                loss, figures = self._loss(part)
                self.processes.backward(loss)
            for name, figure in ({"loss": loss.item()} | figures).items():
                sums[name] = sums.get(name, 0.0) + figure
        return dict(zip(sums, self.processes.total(list(sums.values())), strict=True))

    def _loss(self, part: Part) -> tuple[Tensor, Figures]:
        random = np.random.default_rng([self.schedule.seed, self.step])
        torch.manual_seed(int(random.integers(2**62)))
        arguments = (self.step, random, self.schedule.batch)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.schedule.precision == "bfloat16"):
            if part == WHOLE:
                loss, figures = self.call(self.task.loss, *arguments)
            else:
                assert isinstance(self.task, Divisible)
                loss, figures = self.call(self.task.part_loss, *arguments, part)
        return loss, figures

    def _groups(self) -> list[list[nn.Parameter]]:
        """The network's parameters and, apart, those of what learns with it: each has a gradient of its own size."""
        network = list(self.network.parameters())
        inside = {id(parameter) for parameter in network}
        beside = [parameter for parameter in self.model.parameters() if id(parameter) not in inside]
        return [network, beside] if beside else [network]

    def _validate(self) -> Figures:
        assert self.validation is not None
        self.average.model.eval()
        figures: Figures = self.judge(self.validation)
        if self.keep_best and (first := next(iter(figures.values()))) > self.best:
            self.best = first
            self._export()
        return figures

    def _about(self) -> dict[str, Any]:
        return self.about | {"schedule": asdict(self.schedule)}

    def _export(self) -> Path:
        about = self._about() | {"steps": self.step, "seconds": round(self._seconds())}
        model = self.average.model
        tensors = lora.merged(self._whole(model.state_dict()))
        if self.processes.main:
            checkpoint.save(self.out / EXPORT, model, self.config, about, self.files, half=True, tensors=tensors)
        self.processes.wait()
        return self.out / EXPORT

    def _log(self, whole: bool = True) -> None:
        """Add a line about the steps since the last one; if these are not the `whole` of a line, a resumed run does."""
        recent, self.recent = self.recent, [] if whole else self.recent
        names = dict.fromkeys(name for figures in recent for name in figures)  # steps of other layouts have others
        means = {name: float(np.mean([figures[name] for figures in recent if name in figures])) for name in names}
        if self.processes.main:
            log.append(self.out, {"step": self.step, "seconds": round(self._seconds(), 1)} | means)
        self.processes.track(means, self.step)

    def _state(self) -> dict[str, Tensor]:
        """All that learns but the network itself."""
        tensors = {name: tensor.detach() for name, tensor in self._places().items()}
        for number, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                for key, value in state.items():
                    tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
        return tensors

    def _places(self) -> dict[str, Tensor]:
        """What learns, by its names in checkpoints; optimizers and the network in its plain form stand apart."""
        learnt = [parameter.requires_grad for parameter in self.network.parameters()]
        average = zip(self.average.model.named_parameters(), learnt, strict=True)
        places: dict[str, Tensor] = {f"average.{name}": parameter for (name, parameter), learns in average if learns}
        added = lora.additions(self.network.state_dict(keep_vars=True))
        return places | {f"beside.{name}": tensor for name, tensor in (self._beside() | added).items()}

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
        self.recent = record.get("recent", [])
        if hasattr(self.task, "position"):
            self.task.position = record.get("position", {})
        if self.processes.main:
            log.cut(self.out, self.step - len(self.recent))  # what was lost since will be told anew
        self._started = time.monotonic() - float(record["seconds"])
        self.schedule = replace(
            self.schedule, **{name: record["schedule"][name] for name in ("seed", "batch", "rate", "muon", "precision")}
        )
        self.peaks = record["peaks"]
        places = self._places()
        states: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.optimizers]
        for name, tensor in tensors.items():
            if name in places:
                places[name].copy_(self.processes.share(tensor, places[name]))
            elif name.startswith("optimizer."):
                _, number, index, key = name.split(".", 3)
                states[int(number)].setdefault(int(index), {})[key] = tensor
        for optimizer, rates, state in zip(self.optimizers, self.peaks, states, strict=True):
            learnt = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            for place, kept in state.items():
                for key, whole in kept.items():
                    if whole.shape == learnt[place].shape:
                        kept[key] = self.processes.share(whole, learnt[place])
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
            for group, peak in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = peak
