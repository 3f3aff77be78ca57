"""How views were made: what is recorded, read back, and refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from viewmask.errors import ViewmaskError
from viewmask.version import VERSION
from viewmask.views.making import Making, digest

FULL = Making(
    text="a red chair", picture="0f", cutout="plain", views=8, seed=7, draws=4, as_view=True, symmetry=True,
    repeats=(0, 2), sampling={"steps": 20, "schedule": "cosine", "temperature": 0.4}, weights="ab-cd",
    runs_on="cpu, float32",
)  # fmt: skip


def test_a_record_comes_back_as_it_was():
    for making in (FULL, Making(text="a cup"), Making()):
        assert Making.of(json.loads(json.dumps(making.record()))) == making
    assert Making(text="a cup").record() == {"text": "a cup", "views": 4, "seed": 0, "sampling": {}, "version": VERSION}


def test_what_came_of_it_does_not_count_when_two_are_compared():
    assert FULL.asks_as(Making.of(FULL.record() | {"repeats": [0]}))
    for name, value in (("seed", 8), ("weights", "other"), ("sampling", {"steps": 21}), ("version", "0.0.1")):
        assert not FULL.asks_as(Making.of(FULL.record() | {name: value}))


def test_two_that_sound_alike_are_told_apart():
    chair = replace(FULL, picture="", cutout="")
    assert chair.told_from(chair) == "'a red chair', seed 7"
    assert chair.told_from(replace(chair, text="a cup", draws=1)) == "'a red chair', seed 7"
    other = replace(chair, draws=1, symmetry=False, sampling=chair.sampling | {"steps": 9}, repeats=())
    assert chair.told_from(other) == "'a red chair', seed 7; draws 4, not 1; symmetry on, not off; steps 20, not 9"
    photo = replace(FULL, text="")
    assert photo.told_from(replace(photo, picture="1e")) == "another picture, seed 7"
    assert replace(FULL, picture="").told_from(FULL) == "no picture, seed 7"
    assert Making("a cup").told_from(replace(chair, text="a cup", seed=0)).endswith("; symmetry off, not on; ...")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (None, "does not say how it was made"),
        ([], "does not say how it was made"),
        ({"seed": "7"}, "seed is '7'"),
        ({"seed": True}, "seed is True"),
        ({"sampling": {"steps": [1]}}, "sampling holds more"),
        ({"sampling": {"steps": float("nan")}}, "sampling holds more"),
        (
            {"speed": "fast", "version": "9.0"},
            f"{VERSION} does not know 'speed' in the record of how it was made, by 9.0",
        ),
    ],
)
def test_what_is_no_record_is_refused(record, says):
    with pytest.raises(ViewmaskError, match=says):
        Making.of(record)


def test_a_picture_is_named_by_its_pixels_and_its_shape():
    picture = np.zeros((2, 8, 4), np.uint8)
    other = picture.copy()
    other[1, 3, 2] = 1
    assert digest(picture) == digest(picture.copy())
    assert len({digest(picture), digest(other), digest(picture.reshape(4, 4, 4))}) == 3
