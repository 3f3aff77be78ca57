"""Methods that need no model: three that tell what a figure is worth, and the true views themselves."""

from __future__ import annotations

import numpy as np

from eval.methods.method import Method
from viewmask.views.viewset import Picture, ViewSet


def _copy(_: str, truth: ViewSet) -> list[Picture]:
    return [truth.images[0]] * (len(truth) - 1)


def _mirror(_: str, truth: ViewSet) -> list[Picture]:
    return [np.ascontiguousarray(truth.images[0][:, ::-1])] * (len(truth) - 1)


def _white(_: str, truth: ViewSet) -> list[Picture]:
    return [np.zeros_like(image) for image in truth.images[1:]]


def _truth(_: str, truth: ViewSet) -> list[Picture]:
    return truth.images[1:]


COPY = Method("copy", _copy)  # view 0 again
MIRROR = Method("mirror", _mirror)  # view 0 flipped left to right
WHITE = Method("white", _white)  # nothing
TRUE_VIEWS = Method("gt-views", _truth)  # the ceiling of the mesh columns
