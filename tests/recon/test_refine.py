from __future__ import annotations

import numpy as np
import pytest

from recon import field_grid, hull, silhouette
from recon.reconstructor import METHODS, reconstruct
from recon.refine import fit, refine


@pytest.fixture(scope="module")
def carved(ball_views):
    distances = [silhouette.signed_distance(image[..., 3]) for image in ball_views.images]
    volume, grid = hull.carve(ball_views.cameras, distances, 40)
    return volume, grid, ball_views, distances


@pytest.fixture(scope="module")
def fitted(carved):
    return fit(*carved, seconds=1e9)


def test_silhouettes_stay_where_the_shape_moves(carved, fitted):
    volume, grid, views, distances = carved
    assert np.abs(fitted - volume).max() > 0.1 * grid.pitch
    assert hull.missing(grid, fitted, views.cameras, distances) is None


@pytest.mark.parametrize("likely", [True, False])
def test_what_the_field_finds_more_likely_is_kept(carved, fitted, likely, monkeypatch):
    volume, grid, *_ = carved

    class Judge:
        """A field that is sure of the fitted shape, or of the one before."""

        def __init__(self, views, distances, weights):
            pass

        def logits(self, points):
            at = tuple(np.round((points - grid.origin) / grid.pitch).astype(int).T)
            inside = (fitted if likely else volume)[at] > 0
            return np.where(inside, 5, -5).astype(np.float32)

    monkeypatch.setattr(field_grid, "Predictor", Judge)
    result = refine(*carved, seconds=1e9)
    assert result.kept == likely == (result.after > result.before)
    np.testing.assert_array_equal(result.volume, fitted if likely else volume)
    assert ("did not help" in result.words()) != likely


def test_no_time_changes_nothing(carved):
    np.testing.assert_allclose(fit(*carved, seconds=1e-9), carved[0], atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_mesh_says_what_became_of_it(ball_views, method):
    shares = []
    mesh = reconstruct(
        ball_views, method, faces=500, texture=64, resolution=24, refine=1,
        progress=lambda step, share: shares.append(share),
    )  # fmt: skip
    assert mesh.summary()["watertight"]
    assert "expected IoU" in mesh.notes[-1]
    assert shares == sorted(shares)
    assert shares[-1] < 1
