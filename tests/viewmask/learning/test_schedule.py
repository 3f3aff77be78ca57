"""Schedules: what nobody states, and learning rates by hand."""

from dataclasses import replace

import pytest

from viewmask.learning.schedule import Schedule, gently, rate


def test_what_nobody_states():
    assert Schedule(7) == Schedule(7, 32, 1e-3, 0.0, 100, 0.01, 0.999, 1.0, "float32", 0)


def test_going_on_gently_lowers_both_rates_and_nothing_else():
    schedule = Schedule(7, rate=0.1, muon=0.2, seed=3)
    assert gently(schedule) == replace(schedule, rate=pytest.approx(0.03), muon=pytest.approx(0.06))


@pytest.mark.parametrize(
    ("progress", "step", "warmup", "expected"),
    [
        (0.0, 0, 10, 0.1), (0.0, 4, 10, 0.5), (0.0, 9, 10, 1.0), (0.0, 50, 10, 1.0), (0.5, 50, 10, 0.505),
        (1.0, 50, 10, 0.01), (1.5, 50, 10, 0.01), (1 / 3, 50, 10, 0.01 + 0.99 * 0.75), (0.5, 1, 4, 0.2525),
        (0.0, 0, 0, 1.0), (0.0, 0, 1, 1.0), (0.0, 0, 2, 0.5),
    ],
)  # fmt: skip
def test_rates_by_hand(progress, step, warmup, expected):
    assert rate(progress, step, warmup) == pytest.approx(expected)
