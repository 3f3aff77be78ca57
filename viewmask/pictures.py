"""Folders of view sets as one array, for training the tokenizer and for tokenizing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.viewset import TRANSFORMS, Picture, ViewSet, resize


def find(paths: list[Path]) -> list[Path]:
    """All view-set folders at or below `paths`, in the order of their names.

    Raises:
        ViewmaskError: there is none.
    """
    folders = []
    for path in paths:
        if (path / TRANSFORMS).exists():
            folders.append(path)
        elif path.is_dir():
            folders += sorted(child for child in path.iterdir() if (child / TRANSFORMS).exists())
    if not folders:
        names = ", ".join(str(path) for path in paths)
        raise ViewmaskError(f"no view sets in {names}: render some first (viewmask render MESH... --out DIR)")
    return folders


def read(folders: list[Path], split: str | None = None) -> Iterator[ViewSet]:
    """The view sets, one after the other; with `split`, those that name it or name none."""
    for folder in folders:
        views = ViewSet.load(folder)
        if split is None or views.extra.get("split", split) == split:
            yield views


def stack(
    paths: list[Path], size: int, split: str | None, progress: Callable[[int, int], None] | None = None
) -> Picture:
    """All pictures of all view sets, uint8 [n, size, size, 4]."""
    folders = find(paths)
    images: list[Picture] = []
    for index, views in enumerate(read(folders, split)):
        images += [resize(image, size) for image in views.images]
        if progress:
            progress(index + 1, len(folders))
    if not images:
        raise ViewmaskError(f"no view set of the split '{split}' in {', '.join(map(str, paths))}")
    return np.stack(images)
