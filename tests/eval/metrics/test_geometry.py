"""Mesh metrics on shapes with known answers."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from eval.metrics import geometry
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit


def box(low: tuple[float, ...] = (-0.5, -0.5, -0.5), high: tuple[float, ...] = (0.5, 0.5, 0.5)) -> trimesh.Trimesh:
    return trimesh.creation.box(bounds=[low, high])


def sphere(radius: float) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=4, radius=radius)


def test_iou_of_two_boxes_is_exact() -> None:
    assert geometry.volume_iou(box(), box((0, -0.5, -0.5), (1, 0.5, 0.5))) == pytest.approx(1 / 3)
    assert geometry.volume_iou(box(), box((-0.25, -0.25, -0.25), (0.25, 0.25, 0.25))) == pytest.approx(1 / 8)
    assert geometry.volume_iou(box(), box((0.75, 0.75, 0.75), (1, 1, 1))) == 0


def test_iou_of_two_spheres() -> None:
    assert geometry.volume_iou(sphere(0.5), sphere(0.4)) == pytest.approx(0.8**3, abs=0.003)


def test_iou_agrees_with_an_exact_intersection() -> None:
    a, b = sphere(0.5), box((0, 0, -0.4), (0.6, 0.3, 0.4))
    shared = trimesh.boolean.intersection([a, b], engine="manifold").volume
    assert geometry.volume_iou(a, b) == pytest.approx(shared / (a.volume + b.volume - shared), abs=0.003)


def test_chamfer_of_two_spheres_is_their_gap() -> None:
    assert geometry.chamfer(sphere(0.5), sphere(0.4), samples=4000) == pytest.approx(0.1, abs=0.001)


def test_chamfer_of_two_sheets_is_their_distance_not_its_square() -> None:
    def sheet(z: float) -> trimesh.Trimesh:
        corners = [(-0.5, -0.5, z), (0.5, -0.5, z), (0.5, 0.5, z), (-0.5, 0.5, z)]
        return trimesh.Trimesh(corners, [(0, 1, 2), (0, 2, 3)], process=False)

    assert geometry.chamfer(sheet(0), sheet(0.2), samples=4000) == pytest.approx(0.2, abs=1e-6)


def test_chamfer_of_a_part_counts_one_direction() -> None:
    # The small sheet lies in the large one: no distance there; back, the mean distance to a strip from a square.
    wide = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)], [(0, 1, 2), (0, 2, 3)], process=False)
    half = trimesh.Trimesh([(0, 0, 0), (0.5, 0, 0), (0.5, 1, 0), (0, 1, 0)], [(0, 1, 2), (0, 2, 3)], process=False)
    # Points of the far half are uniformly 0 to 0.5 away: 0.25 on average, half of all points; then halved.
    assert geometry.chamfer(wide, half) == pytest.approx(0.125 / 2, abs=0.001)


def test_chamfer_agrees_with_plain_nearest_neighbours() -> None:
    a, b = box(), sphere(0.6)
    points = [trimesh.sample.sample_surface(mesh, 60_000, seed=1)[0] for mesh in (a, b)]
    there, back = cKDTree(points[1]).query(points[0])[0].mean(), cKDTree(points[0]).query(points[1])[0].mean()
    assert geometry.chamfer(a, b) == pytest.approx((there + back) / 2, rel=0.02)


def test_a_mesh_agrees_with_itself() -> None:
    scores = geometry.score(sphere(0.5), sphere(0.5))
    assert scores["iou"] == 1
    assert scores["chamfer"] is not None
    assert scores["chamfer"] < 0.0005


def test_iou_is_undefined_where_the_truth_holds_nothing() -> None:
    sheet = trimesh.Trimesh([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)], [(0, 1, 2), (0, 2, 3)])
    higher = sheet.copy().apply_translation((0, 0, 0.4))
    assert geometry.volume_iou(sheet, higher) is None
    assert geometry.volume_iou(sheet, box()) is None
    assert geometry.volume_iou(box(), sheet) == 0
    assert geometry.grid_iou(sheet, box()) is None
    score = geometry.score(sheet, higher)
    assert score["iou"] is None
    assert score["chamfer"] == pytest.approx(0.4)


def test_the_seed_fixes_the_figures() -> None:
    a, b = sphere(0.5), box()
    assert geometry.score(a, b, seed=3) == geometry.score(a, b, seed=3)
    assert geometry.chamfer(a, b, 2000, seed=3) != geometry.chamfer(a, b, 2000, seed=4)


def test_refuses_meshes_without_a_surface() -> None:
    empty = trimesh.Trimesh()
    flat = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (2, 0, 0)], [(0, 1, 2)], process=False)
    lost = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (0, np.nan, 0)], [(0, 1, 2)], process=False)
    for broken in (empty, flat, lost):
        with pytest.raises(ViewmaskError):
            geometry.score(box(), broken)
    with pytest.raises(ViewmaskError, match="four units"):
        geometry.volume_iou(box(), sphere(50))


def sheet(normal: tuple[float, ...] = (0, 0, 1)) -> trimesh.Trimesh:
    """A unit square through the origin, 2 triangles."""
    corners = np.array([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)])
    turn = trimesh.geometry.align_vectors([0, 0, 1], normal)[:3, :3]
    return trimesh.Trimesh(corners @ turn.T, [(0, 1, 2), (0, 2, 3)], process=False)


def test_fscore_by_hand() -> None:
    there, back = np.array([0.01, 0.03]), np.array([0.01, 0.015, 0.019, 0.05])
    assert geometry.fscore(there, back) == pytest.approx(2 * 0.5 * 0.75 / 1.25)
    assert geometry.fscore(there, back, near=0.04) == pytest.approx(2 * 1 * 0.75 / 1.75)
    assert geometry.fscore(np.array([0.02]), np.array([0.02])) == 0
    assert geometry.fscore(np.array([0.5]), np.array([0.5]), near=1) == 1
    at, within = np.array([0.02]), np.array([0.01])
    assert geometry.fscore(at, within) == geometry.fscore(within, at) == 0


def test_normals_agree_by_the_cosine_whichever_way_they_point() -> None:
    tilted = sheet((0, np.sqrt(3) / 2, 0.5))
    assert geometry.surface_score(sheet(), tilted)["normals"] == pytest.approx(0.5)
    tilted.invert()
    assert geometry.surface_score(sheet(), tilted)["normals"] == pytest.approx(0.5)


def test_a_score_holds_its_four_figures_from_seed_0() -> None:
    near = box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.51))
    score, plain = geometry.score(box(), near), geometry.surface_score(box(), near, seed=0)
    assert tuple(sorted(score)) == tuple(sorted(geometry.NAMES))
    assert {name: score[name] for name in plain} == plain
    assert plain == geometry.surface_score(box(), near)
    assert plain["chamfer"] == geometry.chamfer(box(), near) == geometry.chamfer(box(), near, 20_000, 0)
    assert plain["fscore"] == 1
    assert score["iou"] == geometry.volume_iou(box(), near, 128)


def test_four_units_are_the_widest() -> None:
    wide = box((-2, -0.5, -0.5), (2, 0.5, 0.5))
    assert geometry.volume_iou(wide, wide, 8) == 1
    with pytest.raises(ViewmaskError, match="four units"):
        geometry.volume_iou(wide, box((-0.5, -0.5, -0.5), (2.01, 0.5, 0.5)), 8)


@pytest.mark.parametrize("size", [64, 10])
def test_the_grid_of_syncdreamer(size: int) -> None:
    low = np.array([[-0.51, -0.61, -0.31], [-0.23, -0.93, -0.31]])
    high = np.array([[0.51, 0.41, 0.47], [0.99, 0.33, 0.77]])
    nodes = np.stack(np.meshgrid(*[-1 + 2 * np.arange(size) / size] * 3, indexing="ij"), axis=-1)
    a, b = (((nodes > low[i]) & (nodes < high[i])).all(-1) for i in range(2))
    a_box, b_box = (box(tuple(low[i]), tuple(high[i])) for i in range(2))
    value = geometry.grid_iou(a_box, b_box) if size == 64 else geometry.grid_iou(a_box, b_box, size)
    assert value == (a & b).sum() / (a | b).sum()


def test_the_grid_refuses_what_has_no_surface() -> None:
    for pair in ((box(), trimesh.Trimesh()), (trimesh.Trimesh(), box())):
        with pytest.raises(ViewmaskError):
            geometry.grid_iou(*pair)


def test_points_of_a_ball_are_those_that_the_orbit_sees() -> None:
    points = geometry.visible_points(sphere(0.4))
    assert np.linalg.norm(points, axis=1) == pytest.approx(0.4, abs=2e-3)
    # The lowest place that a camera at elevation 30 and distance 1.5 sees lies 74.5 degrees from its own direction.
    assert points[:, 2].min() == pytest.approx(0.4 * np.sin(np.radians(30 - 74.5)), abs=0.02)
    assert points[:, 2].max() > 0.399
    azimuths = np.histogram(np.degrees(np.arctan2(points[:, 1], points[:, 0])), 16, (-180, 180))[0]
    assert azimuths.min() > 0.8 * azimuths.max()
    coarse = geometry.visible_points(sphere(0.4), voxel=0.02)
    assert len(points) == pytest.approx(4 * len(coarse), rel=0.1)


def test_points_seen_by_cameras_of_one_s_own() -> None:
    one = orbit(1, elevation=0, size=4)
    x, y, z = geometry.visible_points(box((-0.5, -2, -2), (0.5, 2, 2)), one, voxel=1e-3).T
    assert x == pytest.approx(0.5, abs=1e-6)
    reach = np.tan(np.radians(49.13 / 2)) * np.array([-0.75, -0.25, 0.25, 0.75])  # pixel centres at distance 1
    assert sorted(y) == pytest.approx(np.repeat(reach, 4), abs=1e-6)
    assert sorted(z) == pytest.approx(np.repeat(reach, 4), abs=1e-6)
    corners = [(0, -9, -9), (0, 9, -9), (0, 0, 9)]
    alone = trimesh.Trimesh(corners, [(0, 1, 2)], process=False)
    assert len(geometry.visible_points(alone, one, voxel=1e-3)) == 16
    with pytest.raises(ViewmaskError, match="no camera"):
        geometry.visible_points(box((5, 5, 5), (6, 6, 6)), one)


def test_thinning_by_hand() -> None:
    points = np.array([(0.0, 0, 0), (0.004, 0, 0), (0.006, 0, 0), (0.02, 0, 0.5), (0.02, 0, 0.503)])
    expected = [(0.002, 0, 0), (0.006, 0, 0), (0.02, 0, 0.5015)]
    assert geometry.thinned(points, 0.01) == pytest.approx(np.array(expected))


def test_point_chamfer_by_hand() -> None:
    a, b = np.array([(0.0, 0, 0)]), np.array([(1.0, 0, 0), (3.0, 0, 0)])
    assert geometry.point_chamfer(a, b) == pytest.approx((1 + 2) / 2)


def test_unit_box() -> None:
    moved = geometry.unit_box(box((1, 2, 3), (3, 3, 4)))
    assert moved.bounds.tolist() == [[-0.5, -0.25, -0.25], [0.5, 0.25, 0.25]]
    assert np.array_equal(moved.faces, box().faces)
    seamed = trimesh.Trimesh(box().triangles.reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    assert len(geometry.unit_box(seamed).vertices) == 36  # seams stay


def test_faces_without_area_have_no_normal() -> None:
    flat = np.array([[(0, 0, 0), (1, 0, 0), (2, 0, 0)], [(0, 0, 0), (0, 2, 0), (0, 0, 2)]], dtype=float)
    assert geometry._normals(flat).tolist() == [[0, 0, 0], [1, 0, 0]]
    assert geometry._normals(flat / 16).tolist() == [[0, 0, 0], [1, 0, 0]]


def test_points_lie_where_their_weights_say() -> None:
    # Measured from the near triangle to a far plane of one's own: distances are the points' heights.
    steep = trimesh.Trimesh([(0, 0, 1), (1, 0, 2), (0, 1, 4)], [(0, 1, 2)], process=False)
    ground = trimesh.Trimesh([(-99, -99, 0), (99, -99, 0), (0, 99, 0)], [(0, 1, 2)], process=False)
    (there, _), _ = geometry._both_ways(steep, ground, 5000, 0)
    assert there.mean() == pytest.approx((1 + 2 + 4) / 3, abs=0.05)
    assert there.min() == pytest.approx(1, abs=0.1)
    assert there.max() == pytest.approx(4, abs=0.15)
