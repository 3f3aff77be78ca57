"""What there is to measure on: objects with their true views and, where known, their true mesh.

True views are scored against true views and renderings against renderings: a bench says which it holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.conventions import SIZE
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh
    from render.settings import Light
    from render.surface import Surface


@dataclass(frozen=True)
class Subject:
    """One object of a bench.

    Attributes:
        id: its name.
        sha256: of the files that it is made of.
        views: the true view set at `n` even azimuths from 0, elevation 30, 256 x 256.
        mesh: the true mesh in the world, or None where there is none.
        caption: what it is, if known.
        photo: a picture of it from azimuth 0 by a camera of unknown elevation, lens and framing, 256 x 256 and the same
            each time; None where no mesh can be seen.
    """

    id: str
    sha256: str
    views: Callable[[int], ViewSet]
    mesh: Callable[[], Mesh] | None
    caption: str = ""
    photo: Callable[[], Picture] | None = None


@dataclass(frozen=True)
class Bench:
    """Objects to measure on.

    Attributes:
        name: `gso`, `scans` ...
        title: which objects these are.
        truth: whether the true views are an outside renderer's or ours, in words for the report.
        subjects: the objects.
        notes: what a reader should know of the data.
        asked: the words that `open_bench` opens it again with; None for a bench that a program built itself.
    """

    name: str
    title: str
    truth: str
    subjects: list[Subject]
    notes: tuple[str, ...] = ()
    asked: dict[str, Any] | None = None


def rendered(surface: Surface, n: int, light: Light) -> ViewSet:
    """Our own views of a surface at `n` even azimuths."""
    from render.raycast import render

    cameras = orbit(n, size=SIZE)
    return ViewSet(render(surface, cameras, light=light), cameras)


def photographed(name: str, surface: Surface, light: Light) -> Picture:
    """A picture of a surface from azimuth 0 as people take them (`render.photo`); the name decides the camera."""
    from render import photo
    from render.raycast import render

    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    cameras = photo.cameras(surface.vertices, 1, 1, 0.0, SIZE, np.random.default_rng(seed))
    return render(surface, cameras, light=light)[0]


def drawn(name: str, sha256: str, surface: Callable[[], Surface], light: Light, caption: str = "") -> Subject:
    """A subject whose true views and photo are our own renderings of its mesh."""
    return Subject(
        name,
        sha256,
        lambda n: rendered(surface(), n, light),
        surface,
        caption,
        lambda: photographed(name, surface(), light),
    )


def rendered_words(light: Light) -> str:
    """What `rendered` gives, in words for the report."""
    return "our own renderings, unlit" if light == "none" else f"our own renderings, {light} light"


def digest(*parts: Path | bytes) -> str:
    """sha256 over files or bytes, in order.

    Raises:
        ViewmaskError: a file is missing or unreadable.
    """
    total = hashlib.sha256()
    for part in parts:
        try:
            total.update(part if isinstance(part, bytes) else part.read_bytes())
        except OSError as error:
            raise ViewmaskError(f"cannot read {part!s}: {error.strerror or error}") from error
    return total.hexdigest()
