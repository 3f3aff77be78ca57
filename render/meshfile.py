"""Mesh files: which reader takes which, and how a file lies by its format's own rule."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside
from render.formats import collada, gltf, obj, off, ply, stl, threemf
from render.formats.patch import Patch, Reading
from viewmask.errors import ViewmaskError

KINDS = ("glb", "gltf", "obj", "ply", "stl", "off", "3mf", "dae")
NAMES = "GLB, glTF, OBJ, PLY, STL, OFF, 3MF, DAE"

# 3MF lies as the world does: +Z is up, its front +X (glTF's +Z).
_3MF_UP = np.array([[0.0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])


def read(
    data: bytes, kind: str, reading: Reading, beside: Beside, stem: str = ""
) -> tuple[list[Patch], NDArray[np.float64] | None]:
    """The patches of a mesh file.

    Args:
        kind: one of `KINDS`.
        stem: of the file's name, or "".

    Returns:
        them, and the turn [4, 4] that brings the file's up axis to +Y and its front to +Z, where the format rules it.

    Raises:
        ViewmaskError: damaged, cut off, or it lacks a part and the reading is not lenient.
    """
    try:
        if kind in ("glb", "gltf"):
            return gltf.read(data, reading, beside), None
        if kind == "obj":
            return obj.read(data, reading, beside, stem), None
        if kind == "ply":
            return ply.read(data, reading, beside), None
        if kind == "stl":
            return stl.read(data, reading), None
        if kind == "off":
            return off.read(data, reading), None
        if kind == "3mf":
            return threemf.read(data, reading), _3MF_UP
        return collada.read(data, reading, beside)
    except (ViewmaskError, MemoryError):
        raise
    except Exception as error:  # readers meet every kind of damage
        reason = " ".join(str(error).split()) or type(error).__name__
        raise reading.broken(f"{reason[:200]} ({type(error).__name__})") from error
