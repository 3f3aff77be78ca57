"""Conventions: the numbers and names that all views agree on. Loads nothing, so that the command line can ask."""

from __future__ import annotations

# Zero123's and SyncDreamer's numbers: no conversion is needed for their views.
ELEVATION = 30.0  # degrees above the horizon
DISTANCE = 1.5  # from the object, whose longest side is 1
FIELD_OF_VIEW = 49.13  # degrees, vertical and horizontal
SIZE = 256  # side of a picture in pixels

TRANSFORMS = "transforms.json"
MADE_BY = "viewmask generate"
"""Marks our own transforms.json: somebody's own capture may have the same file names."""
