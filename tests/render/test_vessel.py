"""Vessels: closed, hollow, open at one end, coloured inside as outside or not, the same for the same seed."""

import numpy as np
import pytest
import trimesh

from render import points
from render.vessel import Vessel

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_vessel_is_closed_faces_outward_and_is_normalised(seed):
    surface = Vessel.of(seed).surface()
    mesh = trimesh.Trimesh(surface.vertices, surface.faces)
    mesh.merge_vertices()
    mesh.update_faces(mesh.nondegenerate_faces())
    assert mesh.is_watertight
    assert mesh.volume > 0
    assert np.ptp(surface.vertices, 0).max() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_hollow_and_open_at_one_end(seed):
    surface = Vessel.of(seed).surface()
    sample = points.sample(surface, 40_000)
    at, inside = sample["points"].astype(np.float64), sample["inside"]
    low, high = surface.box
    axis = np.hypot(at[:, 0], at[:, 1]) < 0.03
    along = np.sort(at[axis & inside, 2])
    # On its axis it is filled at one end alone: by the floor.
    end = min(along.min() - low[2], high[2] - along.max())
    assert end < 0.05
    assert np.ptp(along) < 0.7 * (high[2] - low[2])


def test_outside_and_inside_are_coloured_alike_or_not():
    kinds = set()
    for seed in range(40):
        surface = Vessel.of(seed).surface()
        middle, normal = surface.vertices[surface.faces].mean(1), surface.face_normals
        walls = np.hypot(normal[:, 0], normal[:, 1]) > 0.9  # neither floor nor rim
        outward = (normal[:, :2] * middle[:, :2]).sum(1) > 0
        sides = [surface.colours[walls & here].mean(1).round(3) for here in (outward, ~outward)]
        plain = [len(np.unique(side, axis=0)) == 1 for side in sides]
        kinds.add("patterned" if not all(plain) else "alike" if (sides[0][0] == sides[1][0]).all() else "unlike")
    assert kinds == {"patterned", "alike", "unlike"}
