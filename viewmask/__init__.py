"""ViewMask-1-to-3: a sentence or a photo in, consistent views of an object and a textured mesh out.

`Generator` loads the weights once and makes any number of view sets; `ViewSet` and `Camera` are what comes out.
`reconstruct` makes a mesh of views, `render` views of a mesh, `evaluate` measures any method. Nothing is imported
before it is asked for, so that the command line starts at once.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eval.measure import run as evaluate
    from recon.mesh import TexturedMesh
    from recon.reconstructor import reconstruct
    from render.views import render
    from viewmask.errors import ViewmaskError
    from viewmask.generator import Generator
    from viewmask.views.camera import Camera, orbit
    from viewmask.views.viewset import ViewSet

    __version__: str

__all__ = [
    "Camera", "Generator", "TexturedMesh", "ViewSet", "ViewmaskError", "__version__", "evaluate", "orbit",
    "reconstruct", "render",
]  # fmt: skip

_HOMES = {
    "Camera": ("viewmask.views.camera", "Camera"),
    "Generator": ("viewmask.generator", "Generator"),
    "TexturedMesh": ("recon.mesh", "TexturedMesh"),
    "ViewSet": ("viewmask.views.viewset", "ViewSet"),
    "ViewmaskError": ("viewmask.errors", "ViewmaskError"),
    "__version__": ("viewmask.version", "VERSION"),
    "evaluate": ("eval.measure", "run"),
    "orbit": ("viewmask.views.camera", "orbit"),
    "pipeline": ("viewmask.pipeline", ""),
    "reconstruct": ("recon.reconstructor", "reconstruct"),
    "render": ("render.views", "render"),
}
_ROOMS = ("render", "recon", "eval")
_ALONE = ("viewmask.views", "viewmask.errors", "viewmask.version")  # what needs none of these rooms


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'viewmask' has no attribute '{name}'")
    home, attribute = _HOMES[name]
    if not home.startswith(_ALONE):
        for room in _ROOMS:
            _check_room(room)
    module = import_module(home)
    return getattr(module, attribute) if attribute else module


def __dir__() -> list[str]:
    return sorted({*_HOMES, *(name for name in globals() if name.startswith("__"))})


def _check_room(room: str) -> None:
    """Whether Python finds our package of this name, and not a stranger's that lies beside a script.

    Raises:
        ViewmaskError: it finds another.
    """
    own = Path(__file__).parents[1] / room / "__init__.py"
    module = sys.modules.get(room)
    spec = module.__spec__ if module else find_spec(room)
    found = getattr(module, "__file__", None) or (spec.origin if spec else None)
    if found is None or Path(found).resolve() != own.resolve():
        from viewmask.errors import ViewmaskError

        raise ViewmaskError(f"{found or 'another module'} hides viewmask's own package '{room}': rename it or move it")
