from __future__ import annotations

import numpy as np
import pytest

from recon import METHODS, hull, reconstruct, silhouette
from recon.refine import disagreement, fit, refine


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


def test_what_is_kept_agrees_better(carved):
    result = refine(*carved, seconds=1)
    assert result.kept == (result.after < result.before)
    surface = hull.surface(result.volume, carved[1])
    assert hull.is_closed(surface)
    assert disagreement(surface, *carved[2:]) == pytest.approx(min(result.before, result.after))


def test_no_time_changes_nothing(carved):
    np.testing.assert_allclose(fit(*carved, seconds=1e-9), carved[0], atol=1e-6)


def test_a_worse_surface_disagrees_more(carved):
    volume, grid, views, distances = carved
    true = disagreement(hull.surface(volume, grid), views, distances)
    moved = hull.surface(volume, hull.Grid(grid.origin + np.array([0.1, 0, 0]), grid.pitch, grid.shape))
    assert true < 0.5 * disagreement(moved, views, distances)


@pytest.mark.parametrize("method", METHODS)
def test_the_mesh_says_what_became_of_it(ball_views, method):
    shares = []
    mesh = reconstruct(
        ball_views, method, faces=500, texture=64, resolution=24, refine=1,
        progress=lambda step, share: shares.append(share),
    )  # fmt: skip
    assert mesh.summary()["watertight"]
    assert "views disagree by" in mesh.notes[-1]
    assert shares == sorted(shares)
    assert shares[-1] < 1
