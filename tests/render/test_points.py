"""Points on surfaces, uniform in area; points in and around them: of closed meshes, open ones, ones inside out."""

import numpy as np
import pytest
import trimesh

from render import points
from render.demo import demo_objects
from render.surface import Surface

TRIANGLES = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[5, 0, 0], [5, 2, 0], [5, 0, 3]]], np.float64)


def ball(mesh: trimesh.Trimesh) -> Surface:
    return Surface.of_scene(trimesh.Scene(mesh), np.eye(4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_on_triangles_are_uniform_in_area(dtype):
    on = points.by_area(TRIANGLES, 40_000, np.random.default_rng(0), dtype)
    assert (on.u.dtype, on.v.dtype) == (dtype, dtype)
    assert (on.u.min() >= 0, on.v.min() >= 0, (on.u + on.v).max() <= 1) == (True, True, True)
    assert np.mean(on.face == 1) == pytest.approx(6 / 7, abs=0.01)
    weights = np.stack([1 - on.u - on.v, on.u, on.v], axis=1).astype(np.float64)
    assert np.allclose(on.points, (TRIANGLES[on.face] * weights[..., None]).sum(1), atol=1e-6)
    # Uniform: each corner has a third of the weight, and each of the four middle triangles a quarter of the points.
    for face in (0, 1):
        inside = weights[on.face == face]
        assert inside.mean(0) == pytest.approx([1 / 3] * 3, abs=0.01)
        assert (inside > 0.5).mean(0) == pytest.approx([1 / 4] * 3, abs=0.015)


def test_triangles_without_area_are_hit_equally_often():
    on = points.by_area(np.zeros((4, 3, 3)), 4000, np.random.default_rng(0))
    assert np.bincount(on.face) / 4000 == pytest.approx([0.25] * 4, abs=0.03)


def test_the_points_of_an_object_are_what_they_were():
    """Golden values: views that were rendered before and those that are rendered now are learnt from together."""
    mug = points.sample(demo_objects()["mug"].surface(), 400, 7)
    first, last_near, first_even, last = mug["points"][[0, 199, 200, 399]].astype(float)
    assert first == pytest.approx([-0.19348, 0.05325, -0.16223], abs=2e-4)
    assert last_near == pytest.approx([0.12421, 0.08649, 0.08258], abs=2e-4)
    assert first_even == pytest.approx([-0.04608, -0.49365, 0.0136], abs=3e-4)
    assert last == pytest.approx([0.30713, -0.34302, -0.41235], abs=3e-4)
    assert mug["inside"].sum() == 134
    assert mug["colours"].astype(int).sum(0).tolist() == [29190, 33645, 42545]


def test_inside_is_inside_also_of_an_open_mesh_and_of_one_turned_inside_out():
    whole = trimesh.creation.icosphere(3, radius=0.5)
    opened = trimesh.Trimesh(whole.vertices, whole.faces[10:], process=False)
    turned = trimesh.Trimesh(whole.vertices, whole.faces[:, ::-1], process=False)
    for mesh, right in ((whole, 1.0), (turned, 1.0), (opened, 0.99)):
        sample = points.sample(ball(mesh), 4000)
        radius = np.linalg.norm(sample["points"].astype(np.float64), axis=1)
        sure = np.abs(radius - 0.5) > 0.01
        assert (sample["inside"] == (radius < 0.5))[sure].mean() >= right


def test_inside_is_inside_of_doubled_and_flipped_faces_too():
    whole = trimesh.creation.icosphere(3, radius=0.5)
    flip = np.random.default_rng(0).random(len(whole.faces)) < 0.5
    doubled = np.concatenate([whole.faces, whole.faces[:, ::-1]])
    flipped = np.where(flip[:, None], whole.faces[:, ::-1], whole.faces)
    for faces in (doubled, flipped):
        sample = points.sample(ball(trimesh.Trimesh(whole.vertices, faces, process=False)), 4000)
        radius = np.linalg.norm(sample["points"].astype(np.float64), axis=1)
        sure = np.abs(radius - 0.5) > 0.01
        assert (sample["inside"] == (radius < 0.5))[sure].all()


def test_sheets_and_lines_have_no_inside():
    square = [(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0.01), (-0.5, 0.5, 0)]
    for faces in ([(0, 1, 2), (0, 2, 3)], [(0, 1, 1)]):
        assert not points.sample(ball(trimesh.Trimesh(square, faces, process=False)), 4000)["inside"].any()


def test_the_first_half_is_near_the_surface_and_knows_its_colour():
    mesh = trimesh.creation.box((1, 0.5, 0.25))
    mesh.visual.face_colors = [255, 0, 0, 255]
    sample = points.sample(ball(mesh), 3000)
    assert (sample["colours"] == [255, 0, 0]).all()
    assert sample["points"].shape == (3000, 3)
    assert len(sample["colours"]) == 1500
    apart = np.abs(sample["points"][:1500].astype(np.float64)) - [0.5, 0.25, 0.125]
    away = np.where(apart.max(1) < 0, -apart.max(1), np.linalg.norm(apart.clip(0), axis=1))
    assert np.median(away) < 0.03
    assert (np.abs(sample["points"][1500:]) > [0.5, 0.25, 0.125]).any(1).mean() > 0.3


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_a_place_s_face_and_weights_by_hand(kind: type) -> None:
    class Numbers:
        """Stands in for a generator: the faces' numbers, then u and v."""

        def random(self, size: object, dtype: object = np.float64) -> np.ndarray:
            if size == 4:
                return np.array([0.0, 0.89, 0.9, 1.0])
            assert (size, dtype) == ((2, 4), kind)
            return np.array([[0.25, 0.5, 0.9, 0.5], [0.5, 0.25, 0.2, 0.5]], dtype=kind)

    flat = [(0, 0, 0), (1, 0, 0), (2, 0, 0)]
    areas_0_9_1 = [flat, [(0, 0, 0), (3, 0, 0), (0, 3, 0)], [(0, 0, 1), (1, 0, 1), (0, 1, 1)]]
    face, u, v = points.by_area(np.array(areas_0_9_1, dtype=kind), 4, Numbers(), kind)[1:]  # type: ignore[arg-type]
    assert face.tolist() == [1, 1, 2, 2]  # none on the face without area; areas are 9 to 1
    # The third lies beyond the diagonal, and is turned back; the fourth lies on it, and stays.
    assert u == pytest.approx([0.25, 0.5, 0.1, 0.5])
    assert v == pytest.approx([0.5, 0.25, 0.8, 0.5])
