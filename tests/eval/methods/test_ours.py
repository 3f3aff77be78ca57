"""The model is asked as the options say and sees view 0 only; the tokenizer sees the true views."""

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

from eval.methods import open_method, ours
from eval.methods.method import Options
from viewmask.errors import ViewmaskError
from viewmask.model.reference import reference_view
from viewmask.model.sampling import FROM_IMAGE, SPEED, Speed, at_speed
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture
def truth() -> ViewSet:
    rng = np.random.default_rng(0)
    return ViewSet([rng.integers(0, 256, (32, 32, 4)).astype(np.uint8) for _ in range(4)], orbit(4, size=32))


class FakeGenerator:
    """Stands for the model: remembers how it was asked."""

    calls: list[tuple] = []  # noqa: RUF012

    def __init__(self, weights: Path | None) -> None:
        self.fingerprint = "shipped" if weights is None else "trained"
        self.weights = SimpleNamespace(photos=weights is None, framing=None, refiner=None, runs_on="cpu, float32")

    @classmethod
    def load(
        cls, weights: Path | None = None, device: str | None = None, precision: str | None = None
    ) -> "FakeGenerator":
        return cls(weights)

    def from_reference(self, image: np.ndarray, views: int, **options: object) -> ViewSet:
        self.calls.append((image, options))
        return ViewSet([image] + [image // 2] * (views - 1), orbit(views, size=len(image)))

    def round_trip(self, pictures: list[np.ndarray]) -> list[np.ndarray]:
        return [picture // 4 for picture in pictures]


@pytest.fixture
def generator(monkeypatch: pytest.MonkeyPatch) -> type[FakeGenerator]:
    monkeypatch.setattr(ours, "Generator", FakeGenerator)
    FakeGenerator.calls.clear()
    return FakeGenerator


def test_the_model_sees_view_0_only(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    method = open_method("viewmask", Options(steps=7, schedule="linear", guidance=2.0), seed=5)
    views = method.views("any", truth)
    assert [np.array_equal(image, truth.images[0] // 2) for image in views] == [True] * 3
    (image, options), *more = generator.calls
    assert not more
    assert np.array_equal(image, truth.images[0])
    assert options == {
        "steps": 7,
        "schedule": "linear",
        "temperature": None,
        "guidance": 2.0,
        "refine": None,
        "symmetry": False,
        "speed": SPEED,
        "seed": 5,
        "as_view": True,
        "caption": "",
    }
    # The report says what was used: the model's own values where none were given.
    used = asdict(at_speed(FROM_IMAGE, steps=7, schedule="linear", guidance=2.0))
    del used["refine"]  # these weights have no refiner
    assert method.about == used | {
        "symmetry": False, "seed": 5, "given": "view", "captions": False, "model": "shipped",
    }  # fmt: skip


@pytest.mark.parametrize("speed", get_args(Speed))
def test_a_speed_is_what_the_report_says(truth: ViewSet, generator: type[FakeGenerator], speed: Speed) -> None:
    method = open_method("viewmask", Options(speed=speed))
    method.views("any", truth)
    asked = {name: value for name, value in generator.calls[0][1].items() if name in ("speed", *asdict(FROM_IMAGE))}
    assert at_speed(FROM_IMAGE, **asked) == at_speed(FROM_IMAGE, speed)
    used = asdict(at_speed(FROM_IMAGE, speed))
    del used["refine"]  # these weights have no refiner
    assert used.items() <= method.about.items()
    with pytest.raises(ViewmaskError, match="no refiner"):
        open_method("viewmask", Options(speed=speed, refine=4))


def test_the_model_is_told_what_an_object_is_if_that_is_wanted(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    truth.extra["caption"] = "a red chair"
    method = open_method("viewmask", Options(captions=True))
    assert method.captions
    method.views("any", truth)
    assert generator.calls[0][1]["caption"] == "a red chair"


def test_a_photo_is_cut_out_and_framed_as_the_command_does(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    truth.images[0][..., 3] = 0
    truth.images[0][4:12, 6:10] = 90, 40, 20, 255
    method = open_method("viewmask", Options(given="photo"), seed=5)
    assert method.given == "photo"
    assert len(method.views("any", truth)) == 4  # view 0 is made, too
    (image, options), *_ = generator.calls
    assert np.array_equal(image, reference_view(truth.images[0]))
    assert options["as_view"] is False
    assert method.notes == ()
    (note,) = open_method("viewmask", Options(given="photo", weights=Path("old"))).notes
    assert note.startswith("these weights were not taught photos")


def test_the_tokenizer_is_given_the_true_views(truth: ViewSet, generator: type[FakeGenerator]) -> None:
    views = open_method("tokenizer").views("any", truth)
    assert all(np.array_equal(a, b // 4) for a, b in zip(views, truth.images[1:], strict=True))


def test_the_model_is_named_by_its_weights_not_by_their_place(generator: type[FakeGenerator], tmp_path: Path) -> None:
    one, moved = (open_method("viewmask", Options(weights=tmp_path / name)) for name in ("a", "b"))
    assert one.about == moved.about
    assert one.about["model"] == "trained"
