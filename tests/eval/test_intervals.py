"""Intervals are what statistics says, and pairs see through the difficulty of objects."""

import numpy as np
import pytest

from eval.intervals import Interval, bootstrap, compare


def test_two_values_have_a_known_interval():
    # Means of resamples are 0, 1/2 and 1 with probabilities 1/4, 1/2, 1/4.
    wide, narrow = bootstrap([0.0, 1.0], level=0.95), bootstrap([0.0, 1.0], level=0.4)
    assert (wide.mean, wide.low, wide.high) == (0.5, 0.0, 1.0)
    assert (narrow.low, narrow.high) == (0.5, 0.5)


def test_many_values_have_the_normal_interval():
    values = np.random.default_rng(3).normal(2.0, 0.5, 400)
    interval = bootstrap(values)
    reach = 1.96 * values.std() / 20
    assert interval.low == pytest.approx(values.mean() - reach, abs=0.004)
    assert interval.high == pytest.approx(values.mean() + reach, abs=0.004)
    assert bootstrap(values) == interval


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.exponential(1.0, 50) - 1.0, resamples=1000) for _ in range(600)]
    covered = np.mean([interval.low < 0 < interval.high for interval in intervals])
    # Percentile intervals of 50 skewed values cover a little less than 95 %; far less or more is a mistake.
    assert 0.90 < covered < 0.965


def test_one_object_has_no_interval():
    interval = bootstrap([0.3])
    assert (interval.low, interval.high, interval.sure) == (None, None, False)
    assert interval.ends(2) == ""


def test_pairs_are_of_the_same_object_and_see_through_its_difficulty():
    rng = np.random.default_rng(1)
    difficulty = rng.normal(0, 5, 40)  # far larger than the difference
    first = [{"id": str(i), "psnr": 15 + d} for i, d in enumerate(difficulty)]
    second = [{"id": str(i), "psnr": 15.2 + d + rng.normal(0, 0.1)} for i, d in enumerate(difficulty)][::-1]
    interval = compare(first, second, ["psnr", "iou"])["psnr"]
    assert interval.low < 0.2 < interval.high
    assert interval.high - interval.low < 0.1
    assert interval.sure
    assert not compare(first, first, ["psnr"])["psnr"].sure
    # Only objects that both have a figure of count.
    second[0] = {"id": second[0]["id"], "psnr": None}
    assert compare(first, second, ["psnr"])["psnr"].objects == 39


def test_the_ends_are_written_with_their_signs() -> None:
    interval = Interval(0.5, -0.125, 1.0, 4)
    assert interval.ends(2) == "-0.12…+1.00"
    assert interval.ends(1, " to ") == "-0.1 to +1.0"
