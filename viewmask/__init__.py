"""ViewMask-1-to-3: a sentence or a photo in, consistent views of an object out.

`Generator` loads the weights once and makes any number of view sets; `ViewSet` and `Camera` are what
comes out. Nothing is imported before it is asked for, so that the command line starts at once.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from viewmask.errors import ViewmaskError
    from viewmask.generator import Generator
    from viewmask.views.camera import Camera, orbit
    from viewmask.views.viewset import ViewSet

__all__ = ["Camera", "Generator", "ViewSet", "ViewmaskError", "orbit"]

_HOMES = {
    "Camera": "viewmask.views.camera",
    "Generator": "viewmask.generator",
    "ViewSet": "viewmask.views.viewset",
    "ViewmaskError": "viewmask.errors",
    "orbit": "viewmask.views.camera",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'viewmask' has no attribute '{name}'")
