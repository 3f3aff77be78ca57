"""Formats by name, light to import: meshes that are written, and pictures of several views that are read."""

from __future__ import annotations

from typing import Literal

UP = {".glb": "+Y", ".obj": "+Y", ".ply": "+Y", ".stl": "+Y", ".3mf": "+Z"}
"""The formats of meshes, and which axis points up in each. glTF and 3MF rule it; the others go with glTF."""

SUFFIXES = tuple(UP)

PRINTED = (".3mf", ".stl")
"""What programs for printers read."""

SheetFormat = Literal["zero123plus", "mvadapter", "syncdreamer"]
"""The generators whose pictures of several views are read; see `recon.sheet.SHEETS`."""
