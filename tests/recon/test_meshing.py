from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from recon import hull, meshing
from recon.silhouette import signed_distance


def test_surface_is_closed_faces_outward_and_has_the_hulls_volume(ball_views):
    distances = [signed_distance(image[..., 3]) for image in ball_views.images]
    field, grid = hull.carve(ball_views.cameras, distances, 64)
    mesh = meshing.surface(field, grid, faces=4000)
    assert meshing.is_closed(mesh)
    assert len(mesh.faces) <= 4000
    assert mesh.body_count == 1
    # Sub-voxel: the sum of voxels is off by far less than the surface has voxels.
    assert mesh.volume == pytest.approx((field > 0).sum() * grid.pitch**3, rel=0.02)
    outward = ((mesh.triangles_center - mesh.center_mass) * mesh.face_normals).sum(1)
    assert (outward > 0).mean() > 0.99


def test_surface_is_finer_than_its_voxels():
    grid = hull.Grid.around(np.full(3, -0.5), np.full(3, 0.5), 48)
    points = grid.origin + grid.pitch * np.moveaxis(np.indices(grid.shape), 0, -1)
    field = (0.4 - np.linalg.norm(points, axis=-1)).astype(np.float32)
    mesh = meshing.surface(field, grid, faces=10**6)
    off = np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.4)
    assert off.max() < 0.2 * grid.pitch


def test_smoothing_does_not_shrink():
    sphere = trimesh.creation.icosphere(4)
    smooth = trimesh.Trimesh(meshing.taubin(sphere.vertices, sphere.faces, 10), sphere.faces, process=False)
    assert smooth.volume == pytest.approx(sphere.volume, rel=5e-3)
    noise = np.random.default_rng(0).normal(0, 0.01, sphere.vertices.shape)
    calmed = meshing.taubin(sphere.vertices + noise, sphere.faces, 10)
    assert np.linalg.norm(calmed, axis=1).std() < 0.5 * np.linalg.norm(sphere.vertices + noise, axis=1).std()


def test_floaters_go_and_parts_stay():
    grid = hull.Grid(np.zeros(3), 1.0, (40, 20, 20))
    points = np.moveaxis(np.indices(grid.shape), 0, -1)
    large = 7 - np.linalg.norm(points - [9, 9, 9], axis=-1)
    part = 3 - np.linalg.norm(points - [22, 9, 9], axis=-1)
    crumb = 1.2 - np.linalg.norm(points - [32, 9, 9], axis=-1)
    mesh = meshing.surface(np.maximum(np.maximum(large, part), crumb).astype(np.float32), grid)
    assert mesh.body_count == 2
    assert mesh.bounds[1, 0] < 27


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), side=st.integers(4, 14), blur=st.floats(0, 1.2), faces=st.sampled_from([100, 1000])
)
def test_any_field_becomes_a_closed_manifold(seed, side, blur, faces):
    noise = np.random.default_rng(seed).normal(size=(side,) * 3)
    field = 0.1 * ndimage.gaussian_filter(noise, blur).astype(np.float32)
    assume((field > 1e-4).any())
    assert meshing.is_closed(meshing.surface(field, hull.Grid(np.zeros(3), 0.1, field.shape), faces))


def test_parts_that_few_triangles_cannot_hold_stay():
    parts = [trimesh.creation.icosphere(2).apply_translation([3 * i, 0, 0]) for i in range(30)]
    few = meshing.simplify(trimesh.util.concatenate(parts), 100)
    assert meshing.is_closed(few)
    assert few.body_count == 30


def test_crumbs_and_holes_keep_to_the_budget():
    """As views that contradict each other leave them: the quadric error alone tangles here, or stops early."""
    noise = np.random.default_rng(0).normal(size=(40, 40, 40))
    field = (ndimage.gaussian_filter(noise, 2.0) - 0.01).astype(np.float32)
    grid = hull.Grid(np.zeros(3), 1.0, field.shape)
    assert meshing.surface(field, grid, 10**6).euler_number < 0
    mesh = meshing.surface(field, grid, 1500)
    assert meshing.is_closed(mesh)
    assert len(mesh.faces) <= 1500


def test_shape_that_fills_its_grid_is_closed():
    grid = hull.Grid(np.zeros(3), 0.1, (8, 9, 10))
    mesh = meshing.surface(np.ones(grid.shape, np.float32), grid)
    assert meshing.is_closed(mesh)
    np.testing.assert_allclose(mesh.extents, [0.8, 0.9, 1.0], atol=0.05)


@pytest.mark.parametrize("faces", [200, 1000, 3000])
def test_simplified_torus_stays_a_closed_torus(faces):
    torus = trimesh.creation.torus(1.0, 0.3, 96, 48)
    simple = meshing.simplify(torus, faces)
    assert len(simple.faces) <= faces
    assert meshing.is_closed(simple)
    assert simple.euler_number == 0
