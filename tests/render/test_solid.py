"""Solids: closed, normalised, the same for the same seed, as coloured as their captions say."""

import numpy as np
import pytest
import trimesh

from render import solid
from render.job import render_one
from render.settings import Settings
from render.solid import PALETTE, PATTERNS, SHAPES, Solid


def of(shape=None, pattern=None):
    """The first solid of a shape and a pattern."""
    return next(
        one
        for one in map(Solid.of, range(5000))
        if (shape is None or one._kinds[0] == shape) and (pattern is None or one._kinds[1] == pattern)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_closed_faces_outward_and_is_normalised(shape):
    for seed in range(8):
        mesh = SHAPES[shape](np.random.default_rng(seed))
        mesh.merge_vertices()
        assert mesh.is_watertight
    surface = of(shape).surface()
    joined = trimesh.Trimesh(surface.vertices, surface.faces)
    joined.merge_vertices()
    assert joined.volume > 0
    assert np.ptp(surface.vertices, 0).max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_a_share_of_the_second_colour_that_goes_on_beyond_its_borders(pattern):
    for seed in range(8):
        share = PATTERNS[pattern](np.random.default_rng(seed))
        assert share.shape == (solid.TEXELS, solid.TEXELS)
        assert share.min() >= 0
        assert share.max() <= 1
        # Across a border it changes about as much as somewhere inside.
        changes = np.abs(np.diff(share, axis=1)).mean(axis=0)
        assert np.abs(share[:, 0] - share[:, -1]).mean() <= 2 * changes.max() + 1e-9
    assert (share.std() > 0.01) == (pattern != "plain")


def test_captions_say_what_is_seen():
    for seed in range(40):
        one = Solid.of(seed)
        shape, pattern, first, second = one._kinds
        assert one.caption.endswith(shape)
        assert first in one.caption
        assert (pattern in one.caption and second in one.caption) == (pattern != "plain")
    plain = [one for one in map(Solid.of, range(400)) if one._kinds[1] == "plain"]
    for one in plain[:12]:
        picture = render_one(one, Settings(views=1, size=32, light="none")).images[0]
        seen = np.median(picture[picture[..., 3] == 255][:, :3], axis=0)
        assert np.abs(seen - PALETTE[one._kinds[2]]).max() < 3 * solid._SPREAD


def test_a_hole_goes_through():
    surface = of("box with a hole").surface()
    mesh = trimesh.Trimesh(surface.vertices, surface.faces)
    mesh.merge_vertices()
    assert mesh.euler_number == 0  # of a torus
