"""Occupancy on shapes whose inside is known."""

import numpy as np
import pytest
import trimesh

from eval.metrics.occupancy import occupancy

AXIS = (np.arange(-32, 32) + 0.5) / 48  # a grid of 64^3, from -2/3 to 2/3


def points() -> np.ndarray:
    return np.stack(np.meshgrid(AXIS, AXIS, AXIS, indexing="ij"), axis=-1)


def inside(mesh: trimesh.Trimesh) -> np.ndarray:
    return occupancy(mesh, AXIS, AXIS, AXIS)


def sphere(radius: float = 0.5, subdivisions: int = 4) -> trimesh.Trimesh:
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)


def joined(*parts: trimesh.Trimesh) -> trimesh.Trimesh:
    mesh = trimesh.util.concatenate(parts)
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def winding_number(mesh: trimesh.Trimesh, at: np.ndarray) -> np.ndarray:
    """The generalised winding number by solid angles (van Oosterom and Strackee 1983)."""
    a, b, c = (mesh.triangles[None, :, k] - at[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    dot = lambda u, v: (u * v).sum(axis=-1)  # noqa: E731
    below = la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb
    return np.arctan2(dot(a, np.cross(b, c)), below).sum(axis=1) / (2 * np.pi)


def test_box_is_exact() -> None:
    box = trimesh.creation.box(bounds=[(-0.3, -0.5, -0.1), (0.4, 0.2, 0.6)])
    truth = ((points() > (-0.3, -0.5, -0.1)) & (points() < (0.4, 0.2, 0.6))).all(axis=-1)
    assert np.array_equal(inside(box), truth)


def test_faces_and_edges_on_grid_points_leak_nothing() -> None:
    # Corners, edges and diagonals run through grid points: each column is still counted once.
    box = trimesh.creation.box(bounds=[(AXIS[10],) * 3, (AXIS[50],) * 3])
    filled = inside(box)
    assert filled[11:50, 11:50, 11:50].all()
    assert not filled[:10].any()
    assert not filled[:, :, 51:].any()
    assert filled.sum() == 40**3


def test_sphere() -> None:
    truth = np.linalg.norm(points(), axis=-1) < 0.5
    assert (inside(sphere()) != truth).mean() < 0.002


@pytest.mark.parametrize("seed", range(2))
def test_agrees_with_solid_angles_on_tangled_closed_meshes(seed: int) -> None:
    # Three shells in each other: winding numbers up to 3, exact everywhere.
    rng = np.random.default_rng(seed)
    parts = [trimesh.creation.icosphere(subdivisions=1, radius=r) for r in (0.3, 0.4, 0.25)]
    for part in parts:
        part.vertices += rng.uniform(-0.2, 0.2, 3)
    mesh = joined(*parts)
    chosen = rng.integers(0, 64, (400, 3))
    exact = winding_number(mesh, AXIS[chosen])
    assert set(np.unique(np.round(exact))) >= {0, 1, 2}
    assert np.array_equal(inside(mesh)[tuple(chosen.T)], exact > 0.5)


def test_a_cavity_is_empty() -> None:
    hollow = sphere(0.3)
    hollow.invert()
    shell = joined(sphere(0.5), hollow)
    radius = np.linalg.norm(points(), axis=-1)
    assert (inside(shell) != ((radius < 0.5) & (radius > 0.3))).mean() < 0.003


def test_inside_out_meshes_are_turned() -> None:
    turned = sphere()
    turned.invert()
    assert np.array_equal(inside(turned), inside(sphere()))


def test_seams_do_not_open_a_mesh() -> None:
    # Every face with corners of its own, as files with textures and flat normals have it.
    whole = sphere(subdivisions=2)
    split = trimesh.Trimesh(
        whole.triangles.reshape(-1, 3), np.arange(3 * len(whole.faces)).reshape(-1, 3), process=False
    )
    assert np.array_equal(inside(split), inside(whole))


def test_open_mesh_is_filled_as_its_solid_angle_says() -> None:
    whole = sphere(subdivisions=3)
    bowl = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] < 0.25], process=False)
    chosen = np.random.default_rng(0).integers(0, 64, (1500, 3))
    exact = winding_number(bowl, AXIS[chosen])
    clear = np.abs(exact - 0.5) > 0.15
    agree = inside(bowl)[tuple(chosen.T)] == (exact > 0.5)
    assert agree[clear].mean() > 0.995
    assert agree.mean() > 0.96


def test_a_few_missing_faces_change_little() -> None:
    whole = sphere()
    torn = trimesh.Trimesh(whole.vertices, np.delete(whole.faces, np.arange(0, 5000, 500), axis=0), process=False)
    assert (inside(torn) != inside(whole)).mean() < 0.001


def test_a_single_sheet_holds_nothing() -> None:
    sheet = trimesh.Trimesh([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)], [(0, 1, 2), (0, 2, 3)])
    assert not inside(sheet).any()


def test_sheets_hold_nothing_however_many() -> None:
    square = trimesh.Trimesh([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)], [(0, 1, 2), (0, 2, 3)])
    bent = trimesh.Trimesh([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0.01), (-0.5, 0.5, 0)], [(0, 1, 2), (0, 2, 3)])
    for sheets in (square, bent, joined(square, square.copy().apply_translation((0, 0, 0.3)))):
        assert not inside(sheets).any()


def test_doubled_and_flipped_faces_hold_what_they_surround() -> None:
    whole = sphere(subdivisions=3)
    flip = np.random.default_rng(0).random(len(whole.faces)) < 0.5
    doubled = np.concatenate([whole.faces, whole.faces[:, ::-1]])
    flipped = np.where(flip[:, None], whole.faces[:, ::-1], whole.faces)
    for faces in (doubled, flipped):
        assert np.array_equal(inside(trimesh.Trimesh(whole.vertices, faces, process=False)), inside(whole))


def test_thin_closed_things_hold_what_they_hold() -> None:
    board = trimesh.creation.box(bounds=[(-0.5, -0.5, AXIS[30] - 0.005), (0.5, 0.5, AXIS[30] + 0.005)])
    assert inside(board).sum() == inside(board)[:, :, 30].sum() == 48**2


def test_a_grid_beside_the_mesh_is_empty() -> None:
    far = sphere()
    far.vertices += 3
    assert not inside(far).any()
    assert occupancy(sphere(), AXIS, AXIS, AXIS[:0]).shape == (64, 64, 0)


def test_a_part_of_a_grid_is_a_part_of_the_answer() -> None:
    whole = sphere(subdivisions=2)
    bowl = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] < 0.25], process=False)
    part = slice(10, 31), slice(20, 47), slice(3, 40)
    expected = inside(bowl)[part]
    assert expected.any()
    assert not expected.all()
    assert np.array_equal(occupancy(bowl, *(AXIS[axis] for axis in part)), expected)


def test_one_point_along_an_axis_will_do() -> None:
    for axis in range(3):
        axes = [AXIS] * 3
        axes[axis] = AXIS[30:31]
        assert np.array_equal(occupancy(sphere(), *axes), np.take(inside(sphere()), [30], axis))
    assert occupancy(sphere(), *[np.array([0.1])] * 3).tolist() == [[[True]]]
    assert occupancy(sphere(), *[np.array([0.4])] * 3).tolist() == [[[False]]]
