"""Released weights in diffusers' layout: a folder a part, each with its config.json and its safetensors.

Nothing that could run code is read: no pickles (.bin, .ckpt), and no Python that lies beside the weights.
"""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from viewmask.errors import ViewmaskError

PACKAGES = ("diffusers", "transformers", "accelerate")
INSTALL = "pip install torch==2.13.0 '.[baselines]' in viewmask's source tree"
FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")  # diffusers' name, transformers' name


def find(weights: Path | None, repository: str, revision: str = "main") -> Path:
    """The folder with the weights: `weights`, or else the hub's copy in its cache, fetched once.

    Raises:
        ViewmaskError: the extra `baselines` is not installed, there is no such folder, or the hub cannot be reached.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ViewmaskError(f"this method needs {', '.join(missing)}: {INSTALL}")
    if weights is not None:
        if not weights.is_dir():
            raise ViewmaskError(f"no folder {weights}: it should hold {repository} of the hub, as it lies there")
        return weights
    import huggingface_hub

    patterns = ["*.json", "*.txt", *(f"*/{name}" for name in FILES)]
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except Exception as error:  # the hub's client lets its transport's errors through
        reason = " ".join(str(error).split())[:120]
        raise ViewmaskError(
            f"cannot fetch {repository} (revision {revision}) from the hub: {reason}; copy it here from a machine that "
            "can, and name its folder with --weights"
        ) from error


def part(folder: Path, name: str, kind: Any) -> Any:
    """One model of the layout, in evaluation mode.

    Args:
        kind: its class, of diffusers or transformers.

    Raises:
        ViewmaskError: no safetensors, other tensors than the config asks for, or an unreadable file.
    """
    file(folder, name)
    quiet()
    try:
        model, about = kind.from_pretrained(
            str(folder / name), use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except Exception as error:
        raise ViewmaskError(f"cannot read {folder / name}: {' '.join(str(error).split())[:200]}") from error
    wrong = [*about["missing_keys"], *about["mismatched_keys"]]
    if wrong:
        raise ViewmaskError(f"{folder / name} is another model: {len(wrong)} tensors are missing, such as {wrong[0]}")
    return model.eval().requires_grad_(False)


def file(folder: Path, name: str) -> Path:
    """A part's safetensors.

    Raises:
        ViewmaskError: there is none.
    """
    for candidate in FILES:
        if (folder / name / candidate).is_file():
            return folder / name / candidate
    pickles = [path.name for suffix in ("bin", "ckpt", "pt") for path in sorted((folder / name).glob(f"*.{suffix}"))]
    raise ViewmaskError(
        f"no {' or '.join(FILES)} in {folder / name}"
        + (
            f"; {pickles[0]} is a pickle, which may run code and is not read: convert it to safetensors"
            if pickles
            else ""
        )
    )


def scheduler(folder: Path, kind: Any) -> Any:
    """The scheduler of the layout, as a `kind` of diffusers' schedulers.

    Raises:
        ViewmaskError: missing or unreadable.
    """
    try:
        return kind.from_config(kind.load_config(str(folder / "scheduler"), local_files_only=True))
    except Exception as error:
        raise ViewmaskError(f"cannot read {folder / 'scheduler'}: {' '.join(str(error).split())[:200]}") from error


def fingerprint(folder: Path, *names: str) -> str:
    """sha256 over the weights of the parts, whatever the folder's place."""
    total = hashlib.sha256()
    for name in names:
        with file(folder, name).open("rb") as stream:
            total.update(hashlib.file_digest(stream, "sha256").digest())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Of the packages that compute the figures."""
    return {name: version(name) for name in ("torch", *PACKAGES)}


def quiet() -> None:
    """No progress bars or advice of the libraries' own: the command line has its own."""
    import diffusers
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
