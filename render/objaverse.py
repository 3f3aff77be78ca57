"""Objects of Objaverse, by the `objaverse` package: its cache, its annotations, and its downloads in turn.

Each object has a licence and an author of its own.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from render.source import Source
from viewmask.errors import ViewmaskError


class ObjaverseSource(Source):
    """One object, whose `id` is its uid; the mesh is downloaded when it is read, unless `path` is there."""

    def read(self) -> bytes | Path:
        """See `Source.read`.

        Raises:
            ViewmaskError: no network, or the object is gone.
        """
        if not self.path.is_file():
            with _quiet(), _download(f"{self.id} of Objaverse"):
                _package().load_objects([self.id])
        return super().read()


def from_uids(file: str | Path) -> list[Source]:
    """The objects of a text file of Objaverse uids, one a line; `#` begins a comment.

    Objaverse's index is downloaded at once if the package's cache lacks it; a mesh only when its turn comes.

    Raises:
        ViewmaskError: the package is absent, the file or Objaverse's index cannot be read, an unknown uid.
    """
    package = _package()
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ViewmaskError(f"cannot read {file}: {error}") from error
    names = [line.split("#")[0].strip().removesuffix(".glb") for line in lines]
    uids = list(dict.fromkeys(name for name in names if name))
    with _quiet(), _download("Objaverse's index"):
        paths = package._load_object_paths()
    strange = [uid for uid in uids if uid not in paths]
    if strange:
        raise ViewmaskError(f"{len(strange)} uids are not in Objaverse, the first is {strange[0]}")
    with _quiet(), _download("Objaverse's annotations"):
        annotations = package.load_annotations(uids)
    cache = Path(package._VERSIONED_PATH)
    return [ObjaverseSource(uid, cache / paths[uid], about=_about(annotations.get(uid, {}))) for uid in uids]


def _about(annotation: dict[str, Any]) -> dict[str, Any]:
    about: dict[str, Any] = {"source": "Objaverse"}
    if annotation.get("license"):
        about["license"] = annotation["license"]
    if isinstance(annotation.get("user"), dict) and annotation["user"].get("username"):
        about["author"] = annotation["user"]["username"]
    if annotation.get("name"):
        about["captions"] = [annotation["name"]]
    return about


def _package() -> Any:
    if importlib.util.find_spec("objaverse") is None:
        raise ViewmaskError("uids of Objaverse need its package: pip install objaverse (the extra `objaverse`)")
    import objaverse

    return objaverse


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The package reports on standard output, which is ours for results."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _download(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, ValueError) as error:  # urllib's errors are OSErrors, a cut file is one of the others
        raise ViewmaskError(f"cannot get {what}: {error}") from error
