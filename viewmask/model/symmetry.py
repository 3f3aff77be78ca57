"""Symmetry: what looks the same from another side need not pass through the tokenizer to be seen there.

Many objects look alike from several sides: a bottle from all, a door from two. The model learns that, but can only say
it in tokens, and a small tokenizer blurs. Where a generated view is what the tokenizer would make of the reference, or
of its mirror image, it is replaced by that picture, with all its detail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from viewmask.views.viewset import Picture, premultiplied

# The greatest difference, root mean square of premultiplied RGBA from 0 to 1 over both silhouettes, that still counts
# as the same; chosen on `val` (docs/notebook.md).
ALIKE = 0.13


def reused(
    views: Sequence[Picture], reference: Picture, round_trip: Callable[[list[Picture]], list[Picture]]
) -> list[Picture]:
    """Generated views, those that look like the reference or its mirror image replaced by it.

    Args:
        views: uint8 RGBA, straight alpha, all of one size.
        reference: the reference view in their size.
        round_trip: pictures through the tokenizer and back, in that size too.
    """
    candidates = [reference, np.ascontiguousarray(reference[:, ::-1])]
    blurred = round_trip(candidates)
    result = []
    for view in views:
        apart = [difference(view, candidate) for candidate in blurred]
        nearest = int(np.argmin(apart))
        result.append(candidates[nearest] if apart[nearest] < ALIKE else view)
    return result


def difference(a: Picture, b: Picture) -> float:
    """Root mean square difference of two pictures where either shows something; infinite where neither does."""
    x, y = premultiplied(a), premultiplied(b)
    covered = np.maximum(x[..., 3], y[..., 3]) > 0.1
    return float(np.sqrt(((x - y)[covered] ** 2).mean())) if covered.any() else float("inf")
