from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.field import best_level, collate, inputs, upright
from viewmask.views.camera import Camera


def test_distances_are_told_apart_far_away_and_within_a_thin_wall():
    from recon.field import _NEAR, _near

    distances = torch.tensor([-9.0, -0.2, -0.01, 0.0, 0.002, 0.004, 0.1, 0.2, 9.0])
    shares = _near(distances)
    assert shares.shape == (9, len(_NEAR))
    assert shares.abs().max() == 1
    assert (shares[1:] >= shares[:-1]).all()
    assert ((shares[1:] - shares[:-1]).amax(-1) > 0.1).all()  # some scale sees every step


def test_no_level_has_a_greater_expected_iou():
    random = np.random.default_rng(0)
    for spread in (0.3, 2.0, 8.0):
        logits = random.normal(-0.5, spread, 400).astype(np.float32)
        level, expected = best_level(logits)
        # The plain rule, point by point and over many throws of what is inside.
        chances = 1 / (1 + np.exp(-logits.astype(np.float64)))
        inside = random.random((4000, 400)) < chances

        def iou(filled, inside=inside):
            return ((inside & filled).sum(1) / np.maximum((inside | filled).sum(1), 1)).mean()

        mine = iou(logits > level)
        assert mine == pytest.approx(expected, abs=0.01)
        assert all(iou(logits > other) < mine + 0.003 for other in np.linspace(-4, 4, 41))


def test_a_sure_field_fills_what_it_is_sure_of():
    level, expected = best_level(np.array([9, 9, -9, 9, -9], np.float32))
    assert -9 < level < 9
    assert expected > 0.999
    level, _ = best_level(np.array([3, 3.5], np.float32))
    assert level < 3


def test_points_project_where_the_camera_says():
    camera = Camera.on_sphere(70.0, 20.0, size=50)
    turn = upright(camera)
    one = inputs(np.zeros((1, 32, 32, 4), np.float32), np.zeros((1, 32, 32), np.float32), [camera], turn)
    point = np.array([0.1, -0.2, 0.3])
    at = one.projection[0] @ np.append(point @ turn, 1)
    pixels, depth = camera.project(point)
    np.testing.assert_allclose(at[:2] / at[2] * 50, pixels, atol=1e-4)
    assert at[2] == pytest.approx(depth, abs=1e-5)
    assert collate([one], torch.device("cpu")).pictures.shape == (1, 1, 5, 32, 32)
