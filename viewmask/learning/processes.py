"""Processes: one training on one process or on many.

`torchrun` and `accelerate launch` say by environment variables which of how many processes this one is. Where they did,
Hugging Face Accelerate joins the processes, and its own configuration chooses between DDP and FSDP2. Plain
`viewmask train` needs no Accelerate, and goes through the same trainer.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from viewmask.errors import ViewmaskError

if TYPE_CHECKING:  # the command line asks for the rank, and torch takes a second to load
    import torch
    from torch import Tensor, nn

INSTALL = "pip install 'viewmask-1-to-3[cluster]'"

T = TypeVar("T")


def rank() -> int:
    """The number of this process, by its environment; 0 writes files and speaks to people."""
    return int(os.environ.get("RANK") or 0)


def launched() -> bool:
    """Whether torchrun or `accelerate launch` started this process."""
    return int(os.environ.get("WORLD_SIZE") or 1) > 1 or "ACCELERATE_MIXED_PRECISION" in os.environ


def device() -> torch.device:
    """Where this process computes."""
    import torch

    if launched():
        place: torch.device = _accelerate().PartialState(cpu=not torch.cuda.is_available()).device
        return place
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@contextmanager
def first_before_others() -> Iterator[None]:
    """The first process goes through the block before the others do: what it writes to disk is there for them."""
    import torch

    if launched():
        with _accelerate().PartialState(cpu=not torch.cuda.is_available()).main_process_first():
            yield
    else:
        yield


def joined(tracker: str | None = None, out: Path | None = None, about: dict[str, Any] | None = None) -> Processes:
    """This process and those that were started with it.

    Args:
        tracker: name of an experiment tracker that Accelerate knows.
        out: folder of the run, for trackers that write files.
        about: the record of the run, for the tracker.

    Raises:
        ViewmaskError: Accelerate or the tracker is missing, or a configuration that cannot train here.
    """
    if launched() or tracker is not None:
        return Accelerated(tracker, out, about or {})
    return Processes()


class Processes:
    """One process: there is nobody to agree with.

    Attributes:
        rank: number of this process.
        count: of processes.
        precision: that the launcher asks for, if it does.
        sharded: whether each process holds a share of the weights alone.
    """

    rank, count, sharded = 0, 1, False
    precision: str | None = None

    @property
    def main(self) -> bool:
        """Whether this process writes files."""
        return self.rank == 0

    def place(
        self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
    ) -> tuple[Callable[..., Any], list[torch.optim.Optimizer]]:
        """Get a model and its optimizers ready.

        Returns:
            what calls a function with the model, `call(function, *arguments)`, so that gradients are exchanged; and the
            optimizers.
        """
        return lambda function, *arguments: function(model, *arguments), list(optimizers)

    def shard(self, model: nn.Module) -> Callable[..., Any]:
        """The same for a model that does not learn."""
        return lambda function, *arguments: function(model, *arguments)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While it lasts, gradients add up here and are not exchanged."""
        yield

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss, which is what this process adds to that of all."""
        loss.backward()

    def total(self, figures: Sequence[float]) -> list[float]:
        """Sums of figures over all processes."""
        return list(figures)

    def first(self, value: T) -> T:
        """The value that the first process has."""
        return value

    def any(self, value: bool) -> bool:
        """Whether it is true in some process."""
        return value

    def whole(self, tensor: Tensor) -> Tensor:
        """A tensor of which this process may hold a share, as a whole. All processes must ask."""
        return tensor

    def share(self, whole: Tensor, like: Tensor) -> Tensor:
        """The other way: what this process holds of a whole tensor, given another that is shared likewise."""
        return whole

    def wait(self) -> None:
        """Until all processes are here."""

    def track(self, figures: dict[str, float], step: int) -> None:
        """Tell the tracker."""

    def end(self) -> None:
        """Part with the other processes."""


class Accelerated(Processes):
    """Processes that Accelerate joins: DDP, or FSDP2 where its configuration says so."""

    def __init__(self, tracker: str | None, out: Path | None, about: dict[str, Any]) -> None:
        import torch

        accelerate = _accelerate()
        if tracker is not None:
            _check_tracker(tracker)
        # A batch of one layout leaves the heads of others without gradients.
        unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = accelerate.Accelerator(
            kwargs_handlers=[unused], log_with=tracker, project_dir=str(out) if out else None,
            cpu=not torch.cuda.is_available(),
        )  # fmt: skip
        if self.accelerator.distributed_type.value == "MULTI_CPU" and os.environ.get("ACCELERATE_USE_FSDP") == "true":
            # Accelerate hears of FSDP on GPUs alone; torch can do it on CPUs, too.
            self.accelerator.state.fsdp_plugin = accelerate.FullyShardedDataParallelPlugin()
            self.accelerator.state.distributed_type = accelerate.DistributedType.FSDP
        kind = self.accelerator.distributed_type.value
        if kind == "FSDP" and not self.accelerator.is_fsdp2:
            raise ViewmaskError("FSDP of version 1 is not supported: set fsdp_version: 2 in Accelerate's configuration")
        if kind not in ("NO", "MULTI_GPU", "MULTI_CPU", "FSDP"):
            raise ViewmaskError(f"training under {kind} is not supported: use DDP or FSDP2 (docs/cluster.md)")
        if self.accelerator.mixed_precision not in ("no", "bf16"):
            raise ViewmaskError(f"precision {self.accelerator.mixed_precision} is not supported: choose bf16 or no")
        self.rank, self.count = self.accelerator.process_index, self.accelerator.num_processes
        self.sharded = kind == "FSDP"
        self.precision = "bfloat16" if self.accelerator.mixed_precision == "bf16" else None
        if tracker is not None:
            self.accelerator.init_trackers("viewmask", config=_flat(about))

    def place(
        self, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
    ) -> tuple[Callable[..., Any], list[torch.optim.Optimizer]]:
        self.model, *placed = self.accelerator.prepare(_caller(model), *optimizers)
        return self.model, placed

    def shard(self, model: nn.Module) -> Callable[..., Any]:
        if not self.sharded:
            return super().shard(model)
        from accelerate.utils.fsdp_utils import fsdp2_prepare_model

        caller: Any = fsdp2_prepare_model(self.accelerator, _caller(model))

        def call(function: Callable[..., Any], *arguments: Any) -> Any:
            result = caller(function, *arguments)
            for module in caller.modules():  # no way back follows, after which shares would be let go of
                if hasattr(module, "reshard"):
                    module.reshard()
            return result

        return call

    @contextmanager
    def quiet(self) -> Iterator[None]:
        with self.accelerator.no_sync(self.model):
            yield

    def backward(self, loss: Tensor) -> None:
        self.accelerator.backward(loss * self.count)  # DDP and FSDP take the mean over processes

    def total(self, figures: Sequence[float]) -> list[float]:
        import torch

        # In double precision, so that the sum does not depend on how many parts there are.
        kind = torch.float32 if self.accelerator.device.type == "mps" else torch.float64
        parts = torch.tensor(list(figures), dtype=kind, device=self.accelerator.device)
        summed: list[float] = self.accelerator.reduce(parts, "sum").tolist()
        return summed

    def first(self, value: T) -> T:
        from accelerate.utils import broadcast_object_list

        held = [value]
        if self.count > 1:
            broadcast_object_list(held)
        return held[0]

    def any(self, value: bool) -> bool:
        return self.total([float(value)])[0] > 0

    def whole(self, tensor: Tensor) -> Tensor:
        full = getattr(tensor, "full_tensor", None)
        return tensor if full is None else full().cpu()

    def share(self, whole: Tensor, like: Tensor) -> Tensor:
        if not hasattr(like, "full_tensor"):
            return whole
        from torch.distributed.tensor import distribute_tensor

        mesh: Any = like.device_mesh  # type: ignore[attr-defined]
        placed = whole.to(like.device)
        return distribute_tensor(placed, mesh, like.placements, src_data_rank=None)  # type: ignore[attr-defined]

    def wait(self) -> None:
        self.accelerator.wait_for_everyone()

    def track(self, figures: dict[str, float], step: int) -> None:
        self.accelerator.log(figures, step=step)

    def end(self) -> None:
        self.accelerator.end_training()


def _caller(model: nn.Module) -> nn.Module:
    """A module whose forward pass is any function of a model: exchange of gradients hangs on forward passes, and a loss
    uses more of a model than its own."""
    from torch import nn

    class Caller(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self._no_split_modules = ["Block"]  # what FSDP's policy TRANSFORMER_BASED_WRAP wraps

        def forward(self, function: Callable[..., Any], *arguments: Any) -> Any:
            return function(self.model, *arguments)

    return Caller()


def _accelerate() -> Any:
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":
        raise ViewmaskError("DeepSpeed is not supported: FSDP2 shares the same among processes (docs/cluster.md)")
    try:
        import accelerate
    except ImportError as error:
        raise ViewmaskError(f"several processes and trackers need Hugging Face Accelerate: {INSTALL}") from error
    return accelerate


def _check_tracker(name: str) -> None:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers

    if name not in LOGGER_TYPE_TO_CLASS:
        raise ViewmaskError(f"Accelerate knows no tracker '{name}': choose one of {', '.join(LOGGER_TYPE_TO_CLASS)}")
    if name not in [str(getattr(each, "value", each)) for each in get_available_trackers()]:
        raise ViewmaskError(f"the tracker {name} is not installed: pip install {name.replace('_', '-')}")


def _flat(about: dict[str, Any], before: str = "") -> dict[str, Any]:
    """A record without levels, of values that every tracker takes."""
    flat: dict[str, Any] = {}
    for name, value in about.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        elif isinstance(value, str | int | float | bool):
            flat[before + name] = value
    return flat
