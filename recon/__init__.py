"""Reconstruction: a view set to a closed, textured mesh.

from recon import reconstruct
reconstruct(ViewSet.load("views")).save("mesh.glb")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recon.mesh import TexturedMesh
    from recon.reconstructor import reconstruct

__all__ = ["TexturedMesh", "reconstruct"]

_HOMES = {"TexturedMesh": "recon.mesh", "reconstruct": "recon.reconstructor"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'recon' has no attribute '{name}'")
