from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from recon import hull, meshing
from recon.silhouette import signed_distance
from viewmask.errors import ViewmaskError


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


def ball_field(grid: hull.Grid, radius: float, at=(0, 0, 0)) -> np.ndarray:
    points = grid.origin + grid.pitch * np.moveaxis(np.indices(grid.shape), 0, -1)
    return (radius - np.linalg.norm(points - at, axis=-1)).astype(np.float32)


def test_a_surface_has_the_field_s_place_and_size():
    grid = hull.Grid(np.array([1.0, 2.0, 3.0]), 0.05, (30, 32, 34))
    mesh = meshing.surface(ball_field(grid, 0.4, (1.7, 2.8, 3.9)), grid, 10**6, smooth=0)
    assert mesh.bounds == pytest.approx(np.array([[1.3, 2.4, 3.5], [2.1, 3.2, 4.3]]), abs=2e-3)
    assert mesh.volume > 0


def test_twenty_thousand_faces_and_ten_rounds_unless_told():
    grid = hull.Grid.around(np.full(3, -0.5), np.full(3, 0.5), 72)
    field = ball_field(grid, 0.45)
    field += np.random.default_rng(0).normal(0, 0.15 * grid.pitch, field.shape).astype(np.float32)
    whole, plain = meshing.surface(field, grid, 10**6), meshing.surface(field, grid)
    assert len(whole.faces) > 20_000
    assert 19_000 < len(plain.faces) <= 20_000
    np.testing.assert_array_equal(whole.vertices, meshing.surface(field, grid, 10**6, 10).vertices)


def test_a_field_of_whole_numbers_has_no_triangle_that_is_a_point():
    grid = hull.Grid(np.zeros(3), 1.0, (8, 8, 8))
    field = np.round(ball_field(grid, 3, (4, 4, 4)))
    assert (field == 0).any()
    mesh = meshing.surface(field, grid, 10**6, smooth=0)
    assert meshing.is_closed(mesh)
    assert mesh.area_faces.min() > 1e-9
    # What is almost nought counts as outside, by a thousandth of a cell: the surface ends that far from a point.
    tips = mesh.bounds - np.array([4, 4, 4])
    assert tips == pytest.approx(np.array([[-3] * 3, [3] * 3]), abs=1.01e-3)
    assert np.abs(tips).max() < 3


def test_far_values_count_as_two_cells():
    grid = hull.Grid(np.zeros(3), 0.5, (3, 3, 3))
    field = np.full(grid.shape, -100, np.float32)
    field[1, 1, 1] = 50
    mesh = meshing.surface(field, grid, smooth=0)
    assert mesh.bounds == pytest.approx(np.array([[0.25] * 3, [0.75] * 3]))
    full = meshing.surface(np.full(grid.shape, 7, np.float32), grid, smooth=0)
    assert full.bounds == pytest.approx(np.array([[-0.25] * 3, [1.25] * 3]))


@pytest.mark.parametrize("value", [-1.0, 0.0, 0.9e-4])
def test_nothing_inside_is_no_surface(value):
    grid = hull.Grid(np.zeros(3), 0.1, (4, 4, 4))
    with pytest.raises(ViewmaskError, match="no volume in common"):
        meshing.surface(np.full(grid.shape, value, np.float32), grid)
    assert meshing.surface(np.full(grid.shape, 1.1e-4, np.float32), grid).volume > 0
    whole = hull.Grid(np.zeros(3), 1.0, (4, 4, 4))
    assert meshing.surface(np.full(grid.shape, 1e-3, np.float32), whole).volume > 0


def test_floaters_are_below_a_fiftieth_of_the_largest_part():
    field = np.full((40, 12, 12), -0.5, np.float32)
    field[1:11, 1:11, 1:11] = 2  # a thousand cells
    field[14:18, 1:6, 1] = 1  # twenty
    field[20:39, 1, 1] = 1  # nineteen
    field[20:39, 5, 5] = -3
    kept = meshing.without_floaters(field)
    expected = field.copy()
    expected[20:39, 1, 1] = -1
    np.testing.assert_array_equal(kept, expected)
    np.testing.assert_array_equal(meshing.without_floaters(field, 0.019), field)
    for crumb, part in ((0, slice(3, 11)), (11, slice(1, 9))):  # before the largest part, and behind it
        two = np.full((12, 12, 12), -0.5, np.float32)
        two[part, 1:11, 1:11] = 2
        two[crumb, 5, 5] = 1
        two[crumb, 6, 5:] = 0  # what is nought joins nothing
        two[1:11, 6, 11] = two[2 if crumb == 0 else 9, 5, 5] = two[1 if crumb == 0 else 10, 5, 5] = 0
        expected = two.copy()
        expected[crumb, 5, 5] = -1
        np.testing.assert_array_equal(meshing.without_floaters(two), expected)
    alone = np.full((3, 3, 3), -1, np.float32)
    alone[1, 1, 1] = 1
    np.testing.assert_array_equal(meshing.without_floaters(alone), alone)


def test_smoothing_by_hand():
    # A strip of two triangles: corners 0 and 3 have two neighbours, 1 and 2 three.
    corners = np.array([(0.0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1)])
    faces = np.array([(0, 1, 2), (1, 3, 2)])
    neighbours = [[1, 2], [0, 2, 3], [0, 1, 3], [1, 2]]

    def moved(vertices, step):
        return np.array([v + step * (vertices[near].mean(0) - v) for v, near in zip(vertices, neighbours, strict=True)])

    once = moved(moved(corners, 0.5), -0.52)
    assert meshing.taubin(corners, faces, 1) == pytest.approx(once)
    assert meshing.taubin(corners, faces, 2) == pytest.approx(moved(moved(once, 0.5), -0.52))
    assert meshing.taubin(corners, faces, 1, 0.1) == pytest.approx(moved(moved(corners, 0.1), -0.104))
    lonely = np.vstack([corners, [(9, 9, 9)]])
    assert np.isfinite(meshing.taubin(lonely, faces, 1)).all()


def test_few_faces_stay_as_they_are():
    box = trimesh.creation.box()
    assert meshing.simplify(box, 12) is box


def test_closed_means_watertight_and_outward():
    ball = trimesh.creation.icosphere(2)
    assert meshing.is_closed(ball)
    inverted = ball.copy()
    inverted.invert()
    assert not meshing.is_closed(inverted)
    torn = trimesh.Trimesh(ball.vertices, ball.faces[1:], process=False)
    assert not meshing.is_closed(torn)
    cross = trimesh.Trimesh(ball.vertices, np.vstack([ball.faces[1:], ball.faces[:1, ::-1]]), process=False)
    assert not meshing.is_closed(cross)


def test_crumbs_go_and_pieces_stay():
    big, small = trimesh.creation.icosphere(2, 1.0), trimesh.creation.icosphere(1, 0.2)
    crumb, hollow = trimesh.creation.icosphere(1, 0.05), trimesh.creation.icosphere(1, 0.05)
    hollow.invert()
    small.apply_translation((2, 0, 0))
    crumb.apply_translation((0, 2, 0))
    together = trimesh.util.concatenate([crumb, big, hollow, small])
    left = meshing.without_crumbs(together)
    assert left.body_count == 2
    assert meshing.is_closed(left)
    assert left.volume == pytest.approx(big.volume + small.volume)
    assert meshing.without_crumbs(big) is big
    pair = trimesh.util.concatenate([big, small])
    assert meshing.without_crumbs(pair) is pair
    assert meshing.without_crumbs(pair, 0.1).body_count == 1
