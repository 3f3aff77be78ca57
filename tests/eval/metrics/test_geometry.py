"""Mesh metrics on shapes with known answers."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from eval.metrics import geometry
from viewmask.errors import ViewmaskError


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
    assert scores["chamfer"] < 0.0005


def test_the_seed_fixes_the_figures() -> None:
    a, b = sphere(0.5), box()
    assert geometry.score(a, b, seed=3) == geometry.score(a, b, seed=3)
    assert geometry.chamfer(a, b, 2000, seed=3) != geometry.chamfer(a, b, 2000, seed=4)


def test_samples_are_uniform_in_area() -> None:
    # A large and a small triangle of areas 9 : 1.
    triangles = np.array([[(0, 0, 0), (3, 0, 0), (0, 3, 0)], [(0, 0, 1), (1, 0, 1), (0, 1, 1)]], dtype=float)
    face, u, v = geometry.area_uniform(triangles, 20_000, np.random.default_rng(0))
    assert (face == 0).mean() == pytest.approx(0.9, abs=0.01)
    assert (u + v).max() <= 1
    assert (u[face == 0].mean(), v[face == 0].mean()) == pytest.approx((1 / 3, 1 / 3), abs=0.01)


def test_refuses_meshes_without_a_surface() -> None:
    empty = trimesh.Trimesh()
    flat = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (2, 0, 0)], [(0, 1, 2)], process=False)
    lost = trimesh.Trimesh([(0, 0, 0), (1, 0, 0), (0, np.nan, 0)], [(0, 1, 2)], process=False)
    for broken in (empty, flat, lost):
        with pytest.raises(ViewmaskError):
            geometry.score(box(), broken)
    with pytest.raises(ViewmaskError, match="four units"):
        geometry.volume_iou(box(), sphere(50))
