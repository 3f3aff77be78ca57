"""A run: where a training goes, what it starts from, how long it may take. One list of settings for all stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint, lora, processes
from viewmask.learning.schedule import Schedule, gently
from viewmask.learning.task import Task
from viewmask.learning.trainer import CHECKPOINT, Progress, Trainer, Validation
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.weights import SHIPPED, TOKENIZER

Preset = Literal["nano", "small", "paper-stage1", "paper-stage2", "paper-stage3"]

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Run:
    """How one training goes.

    Attributes:
        out: the run folder; see `Trainer`.
        preset: "nano" (two CPU cores), "small" (a data-centre GPU), or a stage of the paper's (a cluster).
        time_limit: seconds, earlier sittings included.
        steps: optimizer steps, in place of the preset's.
        resume: continue the run in `out`.
        init: weights to start from: the stage before; or this one, then the rates are lower (`gently`) unless the
            network grows. For the reranker the transformer that it reads with, the shipped one by default.
        tokenizer: weights of the tokenizer that made the tokens, or whose codes a decoder learns; the shipped one by
            default.
        seed: of everything.
        gentle: False goes on with weights of this stage at the full rates, too.
        progress: called with step, steps and figures.
        note: called with what people should know, a line each.
        batch: sequences, pictures or objects a step over all processes, in place of the preset's.
        accumulate: parts of it that each process works out one after the other.
        each_once: every row of tokens comes once before any comes again, in place of by source and thing.
        checkpointing: the transformer's blocks keep their input alone, and are worked out again on the way back.
        compiled: the transformer's blocks are compiled.
        tracker: experiment tracker that Accelerate knows.
        lora: rank of additions that learn in place of the transformer's weights, which `init` must name.
    """

    out: Path
    preset: Preset = "nano"
    time_limit: float | None = None
    steps: int | None = None
    resume: bool = False
    init: Path | None = None
    tokenizer: Path | None = None
    seed: int = 0
    gentle: bool = True
    progress: Progress | None = None
    note: Callable[[str], None] = lambda line: None
    batch: int | None = None
    accumulate: int = 1
    each_once: bool = False
    checkpointing: bool = False
    compiled: bool = False
    tracker: str | None = None
    lora: int | None = None

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return processes.device()

    @property
    def start(self) -> Path | None:
        """The weights that the network begins with, if not with random ones."""
        return self.out / CHECKPOINT if self.resume else self.init

    @property
    def codes(self) -> Path:
        """The folder of the tokenizer whose codes are learnt."""
        return self.tokenizer or SHIPPED / TOKENIZER

    def load_tokenizer(self) -> Tokenizer:
        """The tokenizer whose codes are learnt.

        Raises:
            ViewmaskError: missing or damaged.
        """
        return checkpoint.load(self.codes, Tokenizer, TokenizerConfig)[0]

    def schedule(self, preset: Schedule) -> Schedule:
        """A preset's schedule with the steps, the batch and the seed of this run."""
        return replace(preset, steps=self.steps or preset.steps, batch=self.batch or preset.batch, seed=self.seed)

    def begin(
        self,
        network: Network,
        schedule: Schedule,
        stage: str,
        grow: Callable[[Network], Network] | None = None,
        tokenizer: str | None = None,
    ) -> Schedule:
        """Give a network the weights that the run starts from.

        Args:
            network: of its final size; filled.
            schedule: for starting from nothing, or from another stage.
            stage: its name, as the records of its weights have it.
            grow: makes weights of a smaller network (`init` alone) fit.
            tokenizer: name of the one whose codes are learnt, if any are.

        Returns:
            The schedule, gentler where the weights are of the same stage and size.

        Raises:
            ViewmaskError: weights that are missing, damaged, or of another size; or a run that was begun otherwise.
        """
        if self.start is None:
            return schedule
        weights, size, about = checkpoint.load(self.start, type(network), type(network.config))
        self._check(about, stage, tokenizer)
        again = about.get("stage") == stage and size == network.config
        if grow is not None and not self.resume:
            weights = grow(weights)
        if weights.config != network.config:
            raise ViewmaskError(
                f"{self.start} is of another size than the preset '{self.preset}': only --init adds layers and words"
            )
        network.load_state_dict(weights.state_dict())
        return gently(schedule) if again and self.gentle else schedule

    def adapted(
        self, kind: type[Network], config: type[Any], schedule: Schedule, stage: str, tokenizer: str
    ) -> tuple[Network, Schedule]:
        """The network that the run starts from, of whatever size it is, tuned by additions of rank `lora`.

        Args:
            kind, config: its class and that of its configuration.
            schedule: for training it whole; the additions are no matrices for Muon.
            stage: its name.
            tokenizer: name of the one whose codes are learnt.

        Raises:
            ViewmaskError: nothing to start from, or a run that went on otherwise.
        """
        assert self.lora is not None
        if self.start is None:
            raise ViewmaskError("--lora tunes weights that are there: name them by --init")
        network, _, about = checkpoint.load(self.start, kind, config, dtype=None)
        self._check(about, stage, tokenizer)
        torch.manual_seed(self.seed)
        lora.adapt(network.to(self.device), self.lora)
        gentle = about.get("stage") == stage and self.gentle
        return network, replace(gently(schedule) if gentle else schedule, muon=0.0)

    def _check(self, about: dict[str, Any], stage: str, tokenizer: str | None) -> None:
        """Refuse to go on with a run of another stage or other codes; tell of weights that learnt other codes.

        Raises:
            ViewmaskError: see above.
        """
        if self.resume and (begun := about.get("stage", stage)) != stage:
            raise ViewmaskError(
                f"{self.out} was begun as {begun}: train {begun} to go on, or {stage} into another --out, with --init"
            )
        learnt = about.get("tokenizer", tokenizer)
        if tokenizer is not None and learnt != tokenizer:
            told = f"{self.start} learnt the codes of the tokenizer {learnt}, and {self.codes} is {tokenizer}"
            if self.resume:
                raise ViewmaskError(f"{told}: name the same --tokenizer to go on")
            self.note(f"{told}: what was learnt of codes has to be learnt anew")

    def check_lora(self) -> None:
        """Refuse to go on with a run that learns other things.

        Raises:
            ViewmaskError: it was begun with another rank, or without one.
        """
        if self.resume and (rank := checkpoint.about(self.out / CHECKPOINT).get("lora")) != self.lora:
            raise ViewmaskError(
                f"{self.out} was begun {f'with --lora {rank}' if rank else 'without --lora'}: go on likewise"
            )

    def train(
        self,
        model: nn.Module,
        task: Task,
        schedule: Schedule,
        about: dict[str, Any],
        *,
        network: nn.Module | None = None,
        validation: Validation | None = None,
        files: Mapping[str, str] | None = None,
        keep_best: bool = False,
    ) -> Path:
        """Train a model on a task as this run says; arguments as of `Trainer`. Returns the exported weights."""
        together = processes.joined(self.tracker, self.out, about | {"schedule": asdict(schedule)})
        if processes.launched():  # a launcher may start fewer than one thinks
            self.note(f"training on {together}")
        trainer = Trainer(
            model, task, self.out, schedule, about, network=network, validation=validation, files=files,
            time_limit=self.time_limit, keep_best=keep_best, accumulate=self.accumulate,
            processes=together,
        )  # fmt: skip
        return trainer.run(self.resume, self.progress)
