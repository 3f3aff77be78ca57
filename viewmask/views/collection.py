"""View sets from folders and from WebDataset shards, one after the other or as one array of pictures."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.array import ArrayFile, mapped
from viewmask.views import shard
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.picture import Picture, read_mask, read_picture, resize
from viewmask.views.viewset import ViewSet

Place = str | Path
"""A folder, a tar, or the URL of a tar."""

_PICTURES, _ABOUT = "pictures.npy", "about.json"


def find(paths: Sequence[Place]) -> list[Place]:
    """All view-set folders and tars at or below `paths`, in the order of their names.

    Args:
        paths: view sets, folders of them, WebDataset tars or folders of those, URLs of tars; a range in braces
            (`{000000..000041}.tar`) stands for its numbers.

    Raises:
        ViewmaskError: a path is absent, or holds none.
    """
    places: list[Place] = []
    for place in (each for path in paths for each in shard.unfolded(str(path))):
        path, before = Path(place), len(places)
        if shard.is_url(place) or (path.suffix == ".tar" and path.is_file()):
            places.append(place)
        elif (path / TRANSFORMS).exists():
            places.append(path)
        elif path.is_dir():
            places += sorted(
                child for child in path.glob("[!.]*") if (child / TRANSFORMS).exists()
            )  # . is half-written
            places += sorted(path.glob("[!.]*.tar"))
        elif not path.exists():
            raise ViewmaskError(f"no view sets in {place}: there is no such folder or file")
        if len(places) == before:
            raise ViewmaskError(f"no view sets in {place}: render some first (viewmask render MESH... --out DIR)")
    return places


def read(places: Sequence[Place], split: str | None = None) -> Iterator[ViewSet]:
    """The view sets, one after the other; with `split`, those that name it or name none. Each knows its `id`.

    Raises:
        ViewmaskError: a folder or shard is damaged or missing.
    """
    for place in places:
        tar = str(place).endswith(".tar") or shard.is_url(str(place))
        for views in _shard(str(place)) if tar else [_folder(place)]:
            if split is None or views.extra.get("split", split) == split:
                yield views


def side(paths: Sequence[Place], split: str | None = None) -> int:
    """The fewest pixels along a side of the pictures: of the first view set of each of the paths alone.

    Raises:
        ViewmaskError: nothing to read, or something damaged.
    """
    firsts = (next(read(find([path]), split), None) for path in paths)
    sides = [min(image.shape[:2]) for views in firsts if views is not None for image in views.images]
    if not sides:
        raise ViewmaskError(f"no view set of the split '{split}' in {', '.join(map(str, paths))}")
    return min(sides)


def pictures(
    paths: Sequence[Place],
    size: int,
    split: str | None,
    folder: Path,
    note: Callable[[str], None] = lambda line: None,
) -> Picture:
    """All pictures of all view sets, uint8 [n, size, size, 4], mapped into memory from `folder`.

    They are laid out there as they are read, once; a folder that holds them already is taken as it is.

    Args:
        paths: see `find`.
        size: side of the pictures.
        split: of the view sets; those that name none belong to it.
        folder: where they lie. Anything else in it is left alone, and refused.
        note: called with what people should know, a line each.

    Raises:
        ViewmaskError: nothing to read, something damaged, or a folder of somebody else's.
    """
    places = find(paths)
    record = {"places": [stamp(place) for place in places], "size": size, "split": split}
    file, about = folder / _PICTURES, folder / _ABOUT
    if _record(about) != record:
        small = 0
        with atomic.folder(folder, ours=rf"{_PICTURES}|{_ABOUT}") as temporary:
            laid = ArrayFile(temporary / _PICTURES, np.zeros((size, size, 4), np.uint8))
            for views in read(places, split):
                for image in views.images:
                    small += min(image.shape[:2]) < size
                    laid.add(resize(image, size))
            laid.close()
            if not len(mapped(temporary / _PICTURES)):
                raise ViewmaskError(f"no view set of the split '{split}' in {', '.join(map(str, paths))}")
            (temporary / _ABOUT).write_text(json.dumps(record))
        if small:
            note(f"{small} pictures have fewer than {size} pixels a side, and are enlarged")
        note(f"the pictures lie in {folder} ({file.stat().st_size / 1e9:.2f} GB), and are read from there")
    laid_out: Picture = mapped(file)
    return laid_out


def _record(file: Path) -> Any:
    """What was laid out, if anything was."""
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        return None


def stamp(place: Place) -> list[Any]:
    """What changes when a place does, as far as one can tell without reading it."""
    if shard.is_url(str(place)):
        return [str(place)]
    path = Path(place).absolute()
    status = (path if path.is_file() else path / TRANSFORMS).stat()
    return [str(path), status.st_size, status.st_mtime_ns]


def _folder(place: Place) -> ViewSet:
    views = ViewSet.load(place)
    views.extra["id"] = Path(place).name
    return views


def _shard(place: str) -> Iterator[ViewSet]:
    return (_sample(place, name, files) for name, files in shard.samples(place))


def _sample(place: str, key: str, files: dict[str, bytes]) -> ViewSet:
    try:
        record = json.loads(files[TRANSFORMS])
        views = ViewSet.of_record(
            record,
            lambda name: read_picture(io.BytesIO(files[name])),
            mask=lambda name: read_mask(io.BytesIO(files[name])),
        )
    except (ViewmaskError, KeyError, ValueError) as error:
        raise ViewmaskError(f"the sample {key} in {place} is no view set: {error!r}") from error
    views.extra.setdefault("id", key)
    return views
