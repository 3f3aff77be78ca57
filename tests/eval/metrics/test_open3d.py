"""open3d as an independent witness: our distances, normals' faces and fillings against its own ray caster's."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from bench.open3d_peer import loaded
from eval.metrics import geometry
from eval.metrics.occupancy import occupancy

o3d = loaded()
pytestmark = pytest.mark.skipif(o3d is None, reason="open3d is not installed (pip install open3d-cpu libusb-package)")


def scene(mesh: trimesh.Trimesh):
    witness = o3d.t.geometry.RaycastingScene(nthreads=1)
    witness.add_triangles(np.asarray(mesh.vertices, np.float32), np.asarray(mesh.faces, np.uint32))
    return witness


def bent(seed: int) -> trimesh.Trimesh:
    """A closed shape without symmetry, about as large as objects are."""
    mesh = trimesh.creation.torus(0.3, 0.12, major_sections=64, minor_sections=32)
    waves = np.random.default_rng(seed).normal(0, 0.03, (3, 3))
    mesh.vertices += np.sin(9 * mesh.vertices) @ waves
    return mesh


@pytest.mark.parametrize("seed", [0, 1])
def test_chamfer_distance_is_that_of_open3d(seed):
    one, other = bent(seed), bent(seed + 5)
    there, back = (
        scene(target)
        .compute_distance(trimesh.sample.sample_surface(mesh, 20_000, seed=0)[0].astype(np.float32))
        .numpy()
        for mesh, target in ((one, other), (other, one))
    )
    ours = geometry.chamfer(one, other)
    assert ours > 0.003
    # Points are other random ones of the same surfaces.
    assert ours == pytest.approx((there.mean() + back.mean()) / 2, rel=0.02)


@pytest.mark.parametrize("seed", [0, 1])
def test_what_a_mesh_fills_is_what_open3d_says(seed):
    axis = -0.6 + (np.arange(48) + 0.5) / 40
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).astype(np.float32)
    mesh = bent(seed)
    theirs = scene(mesh).compute_occupancy(points).numpy() > 0.5
    assert 1000 < theirs.sum() < theirs.size / 2
    assert (occupancy(mesh, axis, axis, axis) != theirs).sum() <= 2


def test_volume_iou_is_that_of_open3d():
    one, other = bent(0), bent(1)
    reach = np.ceil(np.abs(np.concatenate([one.bounds, other.bounds])).max() * geometry.RESOLUTION)
    axis = (np.arange(-reach, reach) + 0.5) / geometry.RESOLUTION
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).astype(np.float32)
    a, b = (scene(mesh).compute_occupancy(points).numpy() > 0.5 for mesh in (one, other))
    assert geometry.volume_iou(one, other) == pytest.approx((a & b).sum() / (a | b).sum(), abs=1e-4)
