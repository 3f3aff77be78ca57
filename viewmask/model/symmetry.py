"""Symmetry: what looks the same from another side need not pass through the tokenizer to be seen there.

Many objects look alike from several sides: a bottle from all of them, a table, a door or a cupboard's two cheeks from
two, as they are or mirrored. The model finds that out by itself, but can only say it in tokens, and a small tokenizer
blurs. Where a made view is what the tokenizer would make of the given picture, or of its mirror image, it is that
picture, with all its detail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from viewmask.views.viewset import Picture, premultiplied

# The greatest difference, root mean square of premultiplied RGBA from 0 to 1 over both silhouettes, that still counts
# as the same; chosen on `val` (docs/notebook.md).
ALIKE = 0.13


def reused(
    made: Sequence[Picture], given: Picture, round_trip: Callable[[list[Picture]], list[Picture]]
) -> list[Picture]:
    """Made views, those that look like the given one or its mirror image in its place.

    Args:
        made: uint8 RGBA, straight alpha, all of one size.
        given: the given view in their size.
        round_trip: pictures through the tokenizer and back, in that size too.
    """
    candidates = [given, np.ascontiguousarray(given[:, ::-1])]
    blurred = round_trip(candidates)
    result = []
    for view in made:
        apart = [difference(view, seen) for seen in blurred]
        nearest = int(np.argmin(apart))
        result.append(candidates[nearest] if apart[nearest] < ALIKE else view)
    return result


def difference(a: Picture, b: Picture) -> float:
    """Root mean square difference of two pictures where either shows something; infinite where neither does."""
    x, y = premultiplied(a), premultiplied(b)
    shown = np.maximum(x[..., 3], y[..., 3]) > 0.1
    return float(np.sqrt(((x - y)[shown] ** 2).mean())) if shown.any() else float("inf")
