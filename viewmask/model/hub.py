"""The hub: released weights by their name there, fetched once into its own cache."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

from viewmask.errors import ViewmaskError
from viewmask.learning.shards import PICKLES

INSTALL = "pip install huggingface_hub"
_NAME = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(?:/(?P<file>[\w./-]+))?(?:@(?P<revision>[\w./-]+))?")


def place(source: str) -> Path:
    """Where weights lie: a path as it is, or the cached copy of `OWNER/NAME`, `OWNER/NAME/FILE` or either `@REVISION`.

    Raises:
        ViewmaskError: neither a path nor a name; the client is not installed, the hub does not answer, or a repository
            holds several models.
    """
    if Path(source).exists():
        return Path(source)
    match = _NAME.fullmatch(source)
    if match is None or source.startswith((".", "/", "~")):
        raise ViewmaskError(f"there is no {source}: name a file, a folder, or weights of the hub (OWNER/NAME)")
    if find_spec("huggingface_hub") is None:
        raise ViewmaskError(f"there is no {source} here, and to fetch it from the hub takes its client: {INSTALL}")
    import huggingface_hub

    repository, file, revision = match["repository"], match["file"], match["revision"]
    try:
        if file:
            return Path(huggingface_hub.hf_hub_download(repository, file, revision=revision))
        names = huggingface_hub.HfApi().list_repo_files(repository, revision=revision)
        patterns = ["*.json", *_weights(names, repository)]
        return Path(huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except ViewmaskError:
        raise
    except Exception as error:  # the hub's client lets its transport's errors through
        reason = " ".join(str(error).split())[:120]
        raise ViewmaskError(
            f"cannot fetch {source} from the hub: {reason}; copy it here from a machine that can, and name the folder"
        ) from error


def _weights(names: list[str], repository: str) -> list[str]:
    """The files of the one model of a repository, safetensors before pickles."""
    top = [name for name in names if "/" not in name]
    for suffixes in ((".safetensors",), PICKLES):
        files = [name for name in top if name.endswith(suffixes)]
        if len(files) == 1 or (files and any(name.endswith(".index.json") for name in top)):
            return files
        if files:
            raise ViewmaskError(f"{repository} holds several models: name one, such as {repository}/{files[0]}")
    raise ViewmaskError(f"{repository} holds no weights at its top: name a file, as in {repository}/FILE")
