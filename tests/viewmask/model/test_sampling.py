"""Sampling: what nobody states, the schedules, and the settings of the shipped weights."""

from typing import get_args

import pytest

from viewmask.errors import ViewmaskError
from viewmask.model.sampling import (
    DRAWS,
    FROM_IMAGE,
    FROM_TEXT,
    MASK_SCHEDULES,
    SPEED,
    MaskSchedule,
    Sampling,
    at_speed,
)


def test_what_nobody_states():
    assert Sampling() == Sampling(20, "cosine", 0.7, 0.5, 0.0, 0.0, (0.0, 1.0), 1, "confidence", 0.0, 0)


def test_the_settings_that_were_chosen_for_pictures_and_sentences():
    assert Sampling(20, "cosine", temperature=0, noise=0.5, guidance=0, occupancy=0) == FROM_IMAGE
    assert Sampling(20, "cosine", temperature=0.4, noise=0.5, guidance=4, occupancy=0.8, refine=2) == FROM_TEXT
    assert DRAWS == 4


@pytest.mark.parametrize(("name", "half"), [("cosine", 0.5**0.5), ("linear", 0.5), ("quadratic", 0.75)])
def test_schedules_fall_from_all_to_none(name, half):
    assert [MASK_SCHEDULES[name](share) for share in (0, 0.5, 1)] == pytest.approx([1, half, 0], abs=1e-12)
    assert tuple(MASK_SCHEDULES) == get_args(MaskSchedule)


@pytest.mark.parametrize("name", ["temperature", "noise", "guidance", "occupancy"])
def test_no_setting_is_negative_or_endless(name):
    assert getattr(Sampling(**{name: 0}), name) == 0
    for value in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ViewmaskError, match=f"{name} must not be negative"):
            Sampling(**{name: value})


def test_steps_and_schedules_that_are_none():
    assert Sampling(steps=1).steps == 1
    with pytest.raises(ViewmaskError, match="at least one step"):
        Sampling(steps=0)
    with pytest.raises(ViewmaskError, match="no schedule 'sine': choose one of cosine, linear, quadratic"):
        Sampling(schedule="sine")


def test_changes_leave_the_rest():
    before = Sampling(steps=7, noise=0.2)
    assert before.changed(steps=9, noise=None, guidance=0.0) == Sampling(steps=9, noise=0.2)
    assert before.changed() == before


@pytest.mark.parametrize("exact", [FROM_IMAGE, FROM_TEXT])
def test_a_speed_sets_what_nobody_says(exact):
    assert at_speed(exact, "exact") == exact
    assert at_speed(exact, "exact", steps=5, schedule=None) == exact.changed(steps=5)
    faster = at_speed(exact, "balanced")
    assert faster.steps < exact.steps
    assert (faster.temperature, faster.guidance) == (exact.temperature, exact.guidance)
    assert at_speed(exact, "balanced", steps=30, temperature=None) == faster.changed(steps=30)
    assert at_speed(exact) == at_speed(exact, SPEED)
    with pytest.raises(ViewmaskError, match="no speed 'fast': choose exact or balanced"):
        at_speed(exact, "fast")


def test_guidance_within_its_interval():
    sampling = Sampling(4, guidance=2, interval=(0.25, 0.75))
    assert [sampling.guidance_at(step) for step in range(4)] == [0, 2, 2, 0]
    for interval in ((0.5, 0.2), (-0.1, 1), (0, 1.1), (float("nan"), 1)):
        with pytest.raises(ViewmaskError, match="within 0 to 1"):
            Sampling(interval=interval)
    with pytest.raises(ViewmaskError, match="every 1 or more"):
        Sampling(refresh=0)


def test_orders_and_masking_again():
    assert Sampling(order="halton", remask=0.99, steps=2, loop=3).passes == 5
    with pytest.raises(ViewmaskError, match="no order 'raster': choose confidence or halton"):
        Sampling(order="raster")  # type: ignore[arg-type]
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(ViewmaskError, match="masked again is at least 0 and below 1"):
            Sampling(remask=share)
    for settings in ({"loop": -1}, {"loop": 2}, {"steps": 1, "loop": 2, "remask": 0.1}):
        with pytest.raises(ViewmaskError, match="steps of a loop"):
            Sampling(**settings)


def test_guidance_counts_the_steps_of_the_loop():
    sampling = Sampling(4, guidance=2, interval=(0.0, 0.5), remask=0.1, loop=4)
    assert [sampling.guidance_at(step) for step in range(8)] == [2, 2, 2, 2, 0, 0, 0, 0]
