"""Trivial methods: what each makes of a true view set."""

import numpy as np
import pytest

from eval.methods.trivial import COPY, MIRROR, TRUE_VIEWS, WHITE
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture
def truth() -> ViewSet:
    rng = np.random.default_rng(0)
    return ViewSet([rng.integers(0, 256, (32, 32, 4)).astype(np.uint8) for _ in range(4)], orbit(4, size=32))


def test_trivial_methods(truth: ViewSet) -> None:
    first = truth.images[0]
    for method, expected in ((COPY, first), (MIRROR, first[:, ::-1]), (WHITE, np.zeros_like(first))):
        views = method.views("any", truth)
        assert len(views) == 3
        assert all(np.array_equal(image, expected) for image in views)


def test_the_true_views(truth: ViewSet) -> None:
    views = TRUE_VIEWS.views("any", truth)
    assert all(np.array_equal(a, b) for a, b in zip(views, truth.images[1:], strict=True))
