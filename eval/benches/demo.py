"""The demo bench: objects that the package makes itself, so that a first run needs no data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.benches.bench import Bench, Subject, digest, drawn, rendered_words
from render.demo import demo_objects

if TYPE_CHECKING:
    from render.settings import Light


def open_demo(light: Light) -> Bench:
    """All demo objects."""
    objects = demo_objects()

    def subject(name: str) -> Subject:
        surface = objects[name].surface()
        sha256 = digest(surface.vertices.tobytes(), surface.faces.tobytes(), surface.colours.tobytes())
        return drawn(name, sha256, lambda: surface, light, objects[name].caption)

    title = f"demo, {len(objects)} objects that the package makes itself"
    return Bench("demo", title, rendered_words(light), [subject(name) for name in objects])
