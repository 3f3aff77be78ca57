"""Methods: what each makes of a true view set, and that only the ceilings look beyond view 0."""

import sys
import types
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from eval.methods.method import METHODS, Sampling, open_method
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture
def truth() -> ViewSet:
    rng = np.random.default_rng(0)
    return ViewSet([rng.integers(0, 256, (32, 32, 4)).astype(np.uint8) for _ in range(4)], orbit(4, size=32))


@dataclass
class ModelsOwn:
    steps: int = 20
    temperature: float = 0.7
    guidance: float = 0.0


class FakeGenerator:
    """Stands for the model: remembers how it was asked."""

    calls: list[tuple] = []  # noqa: RUF012

    def __init__(self, weights: Path | None) -> None:
        self.fingerprint = "shipped" if weights is None else "trained"

    @classmethod
    def load(cls, weights: Path | None = None) -> "FakeGenerator":
        return cls(weights)

    def from_image(self, image: np.ndarray, views: int, **options: object) -> ViewSet:
        self.calls.append((image, options))
        return ViewSet([image] + [image // 2] * (views - 1), orbit(views, size=32))

    def round_trip(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        return [picture // 4 for picture in pictures]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> type[FakeGenerator]:
    module = types.ModuleType("viewmask.generator")
    module.Generator = FakeGenerator  # type: ignore[attr-defined]
    module.FROM_IMAGE = ModelsOwn()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "viewmask.generator", module)
    FakeGenerator.calls.clear()
    return FakeGenerator


def test_trivial_methods(truth: ViewSet) -> None:
    first = truth.images[0]
    for name, expected in {"copy": first, "mirror": first[:, ::-1], "white": np.zeros_like(first)}.items():
        made = open_method(name).views("any", truth)
        assert len(made) == 3
        assert all(np.array_equal(image, expected) for image in made)


def test_gt_views(truth: ViewSet) -> None:
    assert all(
        np.array_equal(a, b) for a, b in zip(open_method("gt-views").views("any", truth), truth.images[1:], strict=True)
    )


def test_the_model_sees_view_0_only(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    method = open_method("viewmask", Sampling(steps=7, schedule="linear", guidance=2.0), seed=5)
    made = method.views("any", truth)
    assert [np.array_equal(image, truth.images[0] // 2) for image in made] == [True] * 3
    (image, options), *more = generator.calls
    assert not more
    assert np.array_equal(image, truth.images[0])
    assert options == {
        "steps": 7,
        "schedule": "linear",
        "temperature": None,
        "guidance": 2.0,
        "symmetry": True,
        "seed": 5,
    }
    # The report says what was used: the model's own values where none were given.
    assert method.about == {
        "steps": 7, "schedule": "linear", "temperature": 0.7, "guidance": 2.0, "symmetry": True, "seed": 5,
        "model": "shipped",
    }  # fmt: skip


def test_the_tokenizer_is_given_the_true_views(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    made = open_method("tokenizer").views("any", truth)
    assert all(np.array_equal(a, b // 4) for a, b in zip(made, truth.images[1:], strict=True))


def test_the_model_is_named_by_its_weights_not_by_their_place(generator: type[FakeGenerator], tmp_path: Path) -> None:
    one, moved = (open_method("viewmask", Sampling(weights=tmp_path / name)) for name in ("a", "b"))
    assert one.about == moved.about
    assert one.about["model"] == "trained"


def test_unknown_method() -> None:
    with pytest.raises(ViewmaskError, match="choose viewmask, copy, mirror, white, gt-views, tokenizer"):
        open_method("magic")
    with pytest.raises(ViewmaskError, match="'copy' takes no folder: only views, meshes"):
        open_method("copy:somewhere")
    with pytest.raises(ViewmaskError, match="'viewmask' has no command"):
        open_method("viewmask", command="python other.py")
    assert METHODS[0] == "viewmask"
