"""Triangles of polygons: they fill the same area, whatever the notches, and turn as the polygon does."""

import numpy as np
import pytest

from render.formats.polygons import triangles


def areas(points, faces):
    corners = points[faces]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


L_SHAPE = np.array([[0, 0], [2, 0], [2, 1], [1, 1], [1, 2], [0, 2]], float)
ARROW = np.array([[0, 0], [2, -1], [0.5, 0], [2, 1]], float)  # a quad with a notch
PENTAGON = np.array([[np.cos(a), np.sin(a)] for a in np.arange(5) * 2 * np.pi / 5])


@pytest.mark.parametrize("shape", [L_SHAPE, ARROW, PENTAGON, PENTAGON[:4]])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("plane", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_area_is_the_polygon_s(shape, turned, plane):
    flat = shape[::-1] if turned else shape
    points = np.concatenate([flat, np.full((len(flat), 1), 7.0)], axis=1)[:, plane]
    for start in range(len(points)):
        rolled = np.roll(points, start, axis=0)
        faces, owner = triangles(rolled, np.array([len(rolled)]))
        found = areas(rolled, faces)
        whole = np.cross(rolled, np.roll(rolled, -1, axis=0)).sum(0) / 2
        assert len(faces) == len(points) - 2
        assert found.sum(0) == pytest.approx(whole)
        assert (found @ whole >= 0).all()  # none lies outside and is taken back by another
        assert owner.tolist() == [0] * len(faces)


def test_many_polygons_keep_their_order_and_small_ones_give_nothing():
    points = np.random.default_rng(0).normal(size=(12, 3))
    faces, owner = triangles(points, np.array([3, 2, 4, 0, 3]))
    assert owner.tolist() == [0, 2, 2, 4]
    assert faces[0].tolist() == [0, 1, 2]
    assert set(faces[1:3].ravel().tolist()) == {5, 6, 7, 8}
    assert faces[3].tolist() == [9, 10, 11]


def test_no_polygons_no_triangles():
    faces, owner = triangles(np.zeros((0, 3)), np.zeros(0, int))
    assert (faces.shape, owner.shape) == ((0, 3), (0,))


def test_a_polygon_in_one_line_has_triangles_without_area():
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    faces, _ = triangles(points, np.array([4]))
    assert len(faces) == 2
