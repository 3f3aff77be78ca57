"""What the tests of the diffusion baselines share."""

import pytest
import torch

from render.demo import demo_objects
from render.raycast import render
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture(scope="module")
def truth() -> ViewSet:
    """Four small true views of the demo car."""
    cameras = orbit(4, size=64)
    return ViewSet(render(demo_objects()["car"].surface(), cameras), cameras)


@pytest.fixture
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers on every machine."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
