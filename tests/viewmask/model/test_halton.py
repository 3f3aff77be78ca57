"""Halton's order against scipy's points, and how even it is."""

import math

import pytest
import torch
from scipy.stats import qmc

from viewmask.model.halton import radical_inverse, ranks


@pytest.mark.parametrize("base", [2, 3])
def test_radical_inverses_are_scipy_s(base):
    expected = qmc.van_der_corput(500, base, scramble=False) if hasattr(qmc, "van_der_corput") else None
    if expected is None:
        expected = qmc.Halton(2, scramble=False).random(500)[:, base - 2]
    torch.testing.assert_close(radical_inverse(500, base), torch.from_numpy(expected))


@pytest.mark.parametrize("grid", [1, 2, 3, 5, 8, 9, 16, 32])
@pytest.mark.parametrize("views", [1, 4])
def test_every_place_has_its_turn_whatever_the_shift(grid, views):
    generator = torch.Generator().manual_seed(grid)
    for _ in range(20):
        turns = ranks(torch.rand(views, 2, generator=generator), grid)
        assert turns.sort().values.tolist() == list(range(views * grid * grid))
    for edge in (0.0, 1 - 2**-24):  # as far as 32-bit numbers go
        assert len(ranks(torch.full((views, 2), edge), grid).unique()) == views * grid * grid


def test_views_take_turns():
    turns = ranks(torch.rand(4, 2, generator=torch.Generator().manual_seed(0)), 8).view(4, 64)
    for view in range(4):
        assert (turns[view] % 4 == view).all()


def test_the_first_places_lie_farther_apart_than_random_ones():
    generator = torch.Generator().manual_seed(3)

    def nearest(turns):
        first = turns.topk(8, largest=False).indices
        places = torch.stack([first // 8, first % 8], 1).float()
        return (torch.cdist(places, places) + torch.eye(8) * 99).min(1).values.mean().item()

    even = [nearest(ranks(torch.rand(1, 2, generator=generator), 8)) for _ in range(50)]
    random = [nearest(torch.randperm(64, generator=generator)) for _ in range(50)]
    assert sum(even) / 50 > 1.2 * sum(random) / 50
    assert math.isfinite(sum(even))
