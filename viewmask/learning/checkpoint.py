"""Checkpoints: a folder with `model.safetensors` and `config.json`, read without executing anything.

Training adds `optimizer.safetensors` and `trainer.json`, from which it resumes exactly.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from viewmask.errors import ViewmaskError
from viewmask.files import atomic

CONFIG, MODEL = "config.json", "model.safetensors"
OPTIMIZER, TRAINER = "optimizer.safetensors", "trainer.json"
LARGEST = 2**18  # number in an architecture: a damaged one could ask for layers without end
OURS = r"(config|trainer|vocabulary|things)\.json|(model|optimizer)\.safetensors"

Config = TypeVar("Config")
Module = TypeVar("Module", bound=nn.Module)


def save(
    path: str | Path,
    model: nn.Module,
    config: Any,
    about: dict[str, Any],
    files: Mapping[str, str] | None = None,
    *,
    half: bool = False,
    training: tuple[dict[str, Tensor], dict[str, Any]] | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Path:
    """Write a checkpoint folder atomically.

    Args:
        path: the folder.
        model: its parameters are written; in half precision if `half`.
        config: the frozen dataclass that builds the model.
        about: how it was made (kept under "about").
        files: text files that belong to the weights, by name (`vocabulary.json`, `things.json`).
        training: optimizer tensors and the trainer's record, for exact resume.
        tensors: what is written in place of the model's own state, of which this process may hold a share alone.
    """
    state = model.state_dict() if tensors is None else tensors
    stored = {name: _stored(tensor, half) for name, tensor in state.items()}
    with atomic.folder(path, ours=OURS) as folder:
        (folder / MODEL).write_bytes(save_tensors(stored))
        if training is not None:
            optimizer, record = training
            (folder / OPTIMIZER).write_bytes(save_tensors({k: v.contiguous() for k, v in optimizer.items()}))
            (folder / TRAINER).write_text(json.dumps(record, indent=1))
        for name, text in (files or {}).items():
            (folder / name).write_text(text)
        (folder / CONFIG).write_text(describe(type(model).__name__, config, about, files or ()))
    return Path(path)


def describe(kind: str, config: Any, about: dict[str, Any], files: Iterable[str] = ()) -> str:
    """The content of `config.json`.

    Args:
        kind: name of the model's class.
        config: the frozen dataclass that builds it.
        about: how it was made.
        files: names of further files that the weights cannot do without.
    """
    record = {"kind": kind, "architecture": dataclasses.asdict(config), "files": sorted(files), "about": about}
    return json.dumps(record, indent=1)


def load(
    path: str | Path, kind: type[Module], config: type[Config], dtype: torch.dtype | None = torch.float32
) -> tuple[Module, Config, dict[str, Any]]:
    """Build the model of a checkpoint folder and fill it.

    Args:
        path: the folder.
        kind: class of the model.
        config: class of its configuration.
        dtype: of its numbers; None keeps them as they are stored, and reads the file only as they are used.

    Returns:
        the model in evaluation mode, its configuration and the "about" record.

    Raises:
        ViewmaskError: missing, truncated, of another kind, or of another shape.
    """
    path = Path(path)
    architecture, claimed, record = _described(path, kind, config)
    tensors = read_tensors(path / MODEL) if dtype == torch.float32 else _mapped(path / MODEL, dtype)
    wrong = [name for name in claimed.keys() & tensors.keys() if claimed[name] != tensors[name].shape]
    if wrong:
        shapes = f"{min(wrong)} is {tuple(tensors[min(wrong)].shape)}, not {tuple(claimed[min(wrong)])}"
        raise ViewmaskError(f"the tensors of {path / MODEL} do not fit its {CONFIG}: {shapes}")
    if absent := claimed.keys() - tensors.keys():
        raise ViewmaskError(f"the tensors of {path / MODEL} do not fit its {CONFIG}: {min(absent)} is missing")
    try:
        if dtype == torch.float32:
            with _Unfilled():
                model = kind(architecture)
            model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        else:
            with torch.device("meta"), _Unfilled():
                model = kind(architecture)
            model.load_state_dict(tensors, assign=True)  # no second copy of what may be most of the memory
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise ViewmaskError(f"the tensors of {path / MODEL} do not fit its {CONFIG}: {reason}") from error
    return model.eval(), architecture, record.get("about", {})


class _Unfilled(TorchFunctionMode):
    """Networks without their first, random numbers, which a checkpoint replaces.

    On the meta device torch would load its compiler to draw them, which takes longer than all the rest of loading.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return kwargs["tensor"] if kwargs and "tensor" in kwargs else args[0]
        return func(*args, **(kwargs or {}))


def configuration(path: str | Path, kind: type[nn.Module], config: type[Config]) -> Config:
    """The configuration of a checkpoint folder, without its weights.

    Raises:
        ViewmaskError: missing, damaged or of another kind.
    """
    return _described(Path(path), kind, config)[0]


def _described(
    path: Path, kind: type[Module], config: type[Config]
) -> tuple[Config, dict[str, torch.Size], dict[str, Any]]:
    """The configuration of a folder, the shapes of the tensors that it claims, and the whole record."""
    record = _read_json(path / CONFIG)
    if record.get("kind") != kind.__name__:
        raise ViewmaskError(f"{path} holds a {record.get('kind', 'nameless model')}, not a {kind.__name__}")
    beside = record.get("files", [])
    if absent := [
        str(name) for name in (beside if isinstance(beside, list) else []) if not (path / str(name)).exists()
    ]:
        raise ViewmaskError(f"{path} lacks {', '.join(absent)}: copy the whole folder")
    try:
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in record["architecture"].items()}
        for name, value in fields.items():
            if any(
                isinstance(one, int) and abs(one) > LARGEST for one in (value if isinstance(value, tuple) else [value])
            ):
                raise ValueError(f"{name} is {value}")
        architecture = config(**fields)
        with torch.device("meta"), _Unfilled():  # takes no memory, whatever size is claimed
            claimed = {name: tensor.shape for name, tensor in kind(architecture).state_dict().items()}
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, IndexError) as error:
        raise ViewmaskError(
            f"{path / CONFIG} does not describe a {kind.__name__} that this version knows: {error}"
        ) from error
    return architecture, claimed, record


def about(path: str | Path) -> dict[str, Any]:
    """How the model of a checkpoint folder was made.

    Raises:
        ViewmaskError: missing or damaged.
    """
    record = _read_json(Path(path) / CONFIG).get("about", {})
    return record if isinstance(record, dict) else {}


def kind_of(path: str | Path) -> str:
    """Name of the class whose weights a checkpoint folder holds.

    Raises:
        ViewmaskError: missing or damaged.
    """
    return str(_read_json(Path(path) / CONFIG).get("kind", "nameless model"))


def load_training(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The optimizer tensors and the trainer's record of a training checkpoint.

    Raises:
        ViewmaskError: the folder holds exported weights only, or is damaged.
    """
    path = Path(path)
    return read_tensors(path / OPTIMIZER), _read_json(path / TRAINER)


def fingerprint(model: nn.Module) -> str:
    """Sixteen hexadecimal digits that name the weights, as half precision stores them."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(_stored(tensor, half=True).cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    Raises:
        ViewmaskError: missing or truncated.
    """
    try:
        return load_tensors(path.read_bytes())
    except FileNotFoundError as error:
        raise ViewmaskError(f"no checkpoint at {path.parent}: {path.name} is missing") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise ViewmaskError(f"{path} is damaged or truncated: {error}") from error


def _mapped(path: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The tensors of a safetensors file one by one, mapped into memory where their numbers need no change."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).to(dtype) for name in file.keys()}  # noqa: SIM118, it is no mapping
    except FileNotFoundError as error:
        raise ViewmaskError(f"no checkpoint at {path.parent}: {path.name} is missing") from error
    except (OSError, SafetensorError, ValueError) as error:
        raise ViewmaskError(f"{path} is damaged or truncated: {error}") from error


def _stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ViewmaskError(f"no checkpoint at {path.parent}: {path.name} is missing") from error
    except (OSError, ValueError) as error:
        raise ViewmaskError(f"{path} is damaged or truncated: {error}") from error
    if not isinstance(record, dict):
        raise ViewmaskError(f"{path} is damaged: it holds no record")
    return record
