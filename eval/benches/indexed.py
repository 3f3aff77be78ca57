"""Benches of meshes in a folder: those with an `index.jsonl` and its zips, or any folder of mesh files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eval.benches.bench import Bench, Subject, digest, drawn, rendered_words
from viewmask.errors import ViewmaskError

if TYPE_CHECKING:
    from render.settings import Light
    from render.source import Source
    from render.surface import Surface

INDEX = "index.jsonl"


def holds(folder: Path) -> bool:
    """Whether a folder has an index."""
    return (folder / INDEX).is_file()


def layout(name: str) -> str:
    """What such a bench's folder holds, in words for an error."""
    return (
        f"{INDEX} (a line an object: id, file, zip, split, captions) and its zips of GLB files, gathered from "
        f"the sources that docs/credits/{name}.md lists; any folder of meshes serves as well: --bench FOLDER"
    )


def open_indexed(name: str, folder: Path, split: str | None, light: Light) -> Bench:
    """Open a bench over a folder of meshes.

    Args:
        split: only the objects that the index puts into this split; None takes all.

    Raises:
        ViewmaskError: there is no object, or none of the split.
    """
    from render.source import find

    sources = find(folder, split=split)
    if not sources:
        raise ViewmaskError(f"{folder} holds no object of the split {split!r}")
    title = f"{name}, the {len(sources)} objects of the split {split}" if split else f"{len(sources)} objects of {name}"
    return Bench(name, title, rendered_words(light), [_subject(source, light) for source in sources])


def _subject(source: Source, light: Light) -> Subject:
    def surface() -> Surface:
        return source.surface()

    captions = source.about.get("captions") or [""]
    return drawn(source.id, digest(source.read()), surface, light, str(captions[0]))
