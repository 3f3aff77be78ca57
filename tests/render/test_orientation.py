"""Which side is out: meshes whose faces are doubled, flipped, loose or inside out hold what their shape holds."""

import igl
import numpy as np
import pytest
import trimesh

from render.orientation import closed, oriented, weld

WHOLE = trimesh.creation.icosphere(3, radius=0.5)
BOX = trimesh.creation.box((0.6, 0.6, 0.6))
QUADS = np.array([(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)])
CORNERS = np.array([(x, y, z) for x in (-0.3, 0.3) for y in (-0.3, 0.3) for z in (-0.3, 0.3)])
PLACES = np.random.default_rng(1).uniform(-0.55, 0.55, (4000, 3))


def mesh(vertices: np.ndarray, faces: np.ndarray) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, faces, process=False)


def some(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count) < 0.5


def flipped(faces: np.ndarray, which: np.ndarray) -> np.ndarray:
    return np.where(which[:, None], faces[:, ::-1], faces)


def joined(*parts: trimesh.Trimesh) -> trimesh.Trimesh:
    whole = trimesh.util.concatenate(parts)
    assert isinstance(whole, trimesh.Trimesh)
    return whole


def moved(part: trimesh.Trimesh, scale: float, by: tuple[float, float, float], turned: bool = False) -> trimesh.Trimesh:
    return mesh(part.vertices * scale + by, part.faces[:, ::-1] if turned else part.faces)


def inside(shape: trimesh.Trimesh) -> np.ndarray:
    """Which places it holds."""
    vertices, faces = oriented(shape.vertices, shape.faces)
    return igl.winding_number(vertices, faces, PLACES) > 0.5


def agreement(shape: trimesh.Trimesh, truth: trimesh.Trimesh) -> float:
    a, b = inside(shape), igl.winding_number(np.array(truth.vertices), np.array(truth.faces), PLACES) > 0.5
    return float((a & b).sum() / (a | b).sum())


def doubled(shape: trimesh.Trimesh, which: np.ndarray | None = None) -> trimesh.Trimesh:
    again = shape.faces if which is None else shape.faces[which]
    return mesh(shape.vertices, np.concatenate([shape.faces, again[:, ::-1]]))


FLIP = some(len(WHOLE.faces))
SOUP = mesh(WHOLE.triangles.reshape(-1, 3), np.arange(WHOLE.faces.size).reshape(-1, 3))
APART = mesh((WHOLE.triangles * 0.99 + WHOLE.triangles.mean(1, keepdims=True) * 0.01).reshape(-1, 3), SOUP.faces)
# A quad and its back, each cut along another diagonal: no two triangles are the same.
CROSSED = mesh(
    CORNERS, np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]], QUADS[:, [3, 2, 1]], QUADS[:, [3, 1, 0]]])
)
LOOSE = mesh(
    (CORNERS[QUADS] * 0.99 + CORNERS[QUADS].mean(1, keepdims=True) * 0.01).reshape(-1, 3),
    flipped(
        np.concatenate([np.arange(24).reshape(-1, 4)[:, [0, 1, 2]], np.arange(24).reshape(-1, 4)[:, [0, 2, 3]]]),
        np.array([0, 1, 0, 0, 1, 0] * 2) == 1,
    ),
)
SAME = {
    "as it is": WHOLE,
    "inside out": moved(WHOLE, 1, (0, 0, 0), turned=True),
    "doubled": doubled(WHOLE),
    "twice the same way": mesh(WHOLE.vertices, np.concatenate([WHOLE.faces, WHOLE.faces])),
    "half of it doubled": doubled(WHOLE, FLIP),
    "half of it flipped": mesh(WHOLE.vertices, flipped(WHOLE.faces, FLIP)),
    "half flipped, half doubled": doubled(mesh(WHOLE.vertices, flipped(WHOLE.faces, FLIP)), some(len(FLIP), 1)),
    "corners of its own for every face, half flipped": mesh(SOUP.vertices, flipped(SOUP.faces, FLIP)),
    "gaps around every face, half flipped": mesh(APART.vertices, flipped(APART.faces, FLIP)),
}


@pytest.mark.parametrize("name", SAME)
def test_a_sphere_is_a_sphere_however_its_faces_lie(name: str) -> None:
    assert agreement(SAME[name], WHOLE) > 0.99


@pytest.mark.parametrize("shape", [CROSSED, LOOSE], ids=["quads doubled along other diagonals", "six loose sides"])
def test_a_box_of_sides_that_share_nothing(shape: trimesh.Trimesh) -> None:
    assert agreement(shape, BOX) > 0.97


def test_an_open_sphere_holds_the_same_doubled_and_flipped() -> None:
    faces = WHOLE.faces[WHOLE.triangles_center[:, 2] < 0.35]
    bowl = mesh(WHOLE.vertices, faces)
    assert 0.85 < agreement(bowl, WHOLE) < 1
    for shape in (doubled(bowl), mesh(bowl.vertices, flipped(faces, some(len(faces))))):
        assert np.array_equal(inside(shape), inside(bowl))


def test_a_cavity_stays_and_a_part_inside_out_is_turned() -> None:
    hollow = joined(WHOLE, moved(WHOLE, 0.6, (0, 0, 0), turned=True))
    radius = np.linalg.norm(PLACES, axis=1)
    clear = np.abs(np.abs(radius - 0.4) - 0.1) > 0.01
    for shape in (hollow, moved(hollow, 1, (0, 0, 0), turned=True)):
        assert np.array_equal(inside(shape)[clear], ((radius > 0.3) & (radius < 0.5))[clear])
    left, right = (-0.25, 0.0, 0.0), (0.25, 0.0, 0.0)
    good = joined(moved(WHOLE, 0.4, left), moved(WHOLE, 0.4, right))
    assert agreement(joined(moved(WHOLE, 0.4, left), moved(WHOLE, 0.4, right, turned=True)), good) == 1


def test_a_wall_within_and_a_leaf_beside_add_nothing() -> None:
    stacked = joined(moved(BOX, 0.5, (0, 0, -0.15)), moved(BOX, 0.5, (0, 0, 0.15)))
    assert agreement(stacked, trimesh.creation.box((0.3, 0.3, 0.6))) == 1
    quad = mesh(
        np.array([(0.35, -0.2, 0), (0.55, -0.2, 0), (0.55, 0.2, 0), (0.35, 0.2, 0)]), np.array([(0, 1, 2), (0, 2, 3)])
    )
    assert agreement(joined(BOX, doubled(quad)), BOX) == 1
    beside = joined(BOX, doubled(quad))
    assert len(oriented(beside.vertices, beside.faces)[1]) == len(BOX.faces)


def test_things_that_touch_back_to_front_stay_as_the_file_has_them() -> None:
    """Two boxes share one edge of their openings, one opens upward and one downward: there, faces need not agree."""
    quads = np.concatenate([QUADS[:, [0, 1, 2]], QUADS[:, [0, 2, 3]]])
    corners = CORNERS / 2
    upward = mesh(corners - 0.15, quads[(corners[quads][..., 2] < 0.1).any(1)])
    downward = mesh(corners + np.array([0.15, -0.15, 0.15]), quads[(corners[quads][..., 2] > -0.1).any(1)])
    both = joined(upward, downward)
    assert len(both.faces) == 20
    faces = oriented(both.vertices, both.faces)[1]
    assert np.array_equal(faces, weld(both.vertices, both.faces)[1])


def test_a_mesh_that_agrees_is_left_alone() -> None:
    for shape in (WHOLE, joined(moved(WHOLE, 0.4, (-0.25, 0, 0)), moved(WHOLE, 0.4, (0.25, 0, 0)))):
        corners, faces = weld(shape.vertices, shape.faces)
        vertices, same = oriented(shape.vertices, shape.faces)
        assert np.array_equal(vertices, corners)
        assert np.array_equal(same, faces)


def test_faces_without_corners_or_area_and_none_at_all() -> None:
    line = np.array([(0, 0, 0), (1, 0, 0), (2, 0, 0)], float)
    assert oriented(line, np.array([(0, 0, 1), (1, 1, 1)]))[1].shape == (0, 3)
    assert oriented(line, np.zeros((0, 3), int))[1].shape == (0, 3)
    assert closed(np.zeros((0, 3), np.int64))
    assert len(oriented(np.concatenate([line, line + 5]), np.array([(0, 1, 2), (3, 4, 5), (5, 4, 3)]))[1]) <= 2


def test_a_strip_with_one_side_has_no_outside_and_does_no_harm() -> None:
    around = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across = np.stack([np.cos(around / 2) * np.cos(around), np.cos(around / 2) * np.sin(around), np.sin(around / 2)], 1)
    middle = 0.4 * np.stack([np.cos(around), np.sin(around), 0 * around], 1)
    vertices = np.concatenate([middle - 0.1 * across, middle + 0.1 * across])
    here, there = np.arange(40), np.roll(np.arange(40), -1)
    low, high = there.copy(), there + 40
    low[-1], high[-1] = 40, 0  # it closes with a half turn
    faces = np.concatenate([np.stack([here, low, high], 1), np.stack([here, high, here + 40], 1)])
    assert inside(mesh(vertices, faces)).mean() < 0.05
