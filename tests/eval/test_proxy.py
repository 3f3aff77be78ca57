"""Stand-ins for meshes: few triangles, the same shape and colours."""

import numpy as np
import pytest
import trimesh

from eval.proxy import proxy, surface
from render.surface import Surface


def red_and_blue() -> Surface:
    """A unit cube, red where x < 0 and blue elsewhere, of many triangles."""
    cube = trimesh.creation.box((1, 1, 1))
    for _ in range(5):
        cube = cube.subdivide()
    colours = np.where(cube.triangles_center[:, :1] < 0, [[1.0, 0, 0]], [[0, 0, 1.0]]).astype(np.float32)
    blank = np.zeros((len(cube.faces), 3, 3), np.float32)
    return Surface(
        cube.vertices.astype(np.float32), cube.faces.astype(np.int32), np.repeat(colours[:, None], 3, axis=1),
        blank[..., :2], np.full(len(cube.faces), -1, np.int32), [], blank,
    )  # fmt: skip


def test_any_mesh_becomes_light_and_keeps_its_shape_and_colours() -> None:
    mesh = proxy(red_and_blue(), faces=400, texture=128)
    assert len(mesh.faces) <= 400
    assert mesh.texture.shape == (128, 128, 3)
    assert mesh.geometry().volume == pytest.approx(1, rel=0.02)
    colours, side = mesh.vertex_colours().astype(int), mesh.vertices[:, 0]
    assert (colours[side < -0.1] == [255, 0, 0]).mean() > 0.97
    assert (colours[side > 0.1] == [0, 0, 255]).mean() > 0.97
    assert proxy(mesh, faces=400, texture=128) is mesh
    # And once more, now from its texture.
    again = proxy(mesh, faces=400, texture=64)
    assert (again.vertex_colours()[again.vertices[:, 0] > 0.1] == [0, 0, 255]).mean() > 0.97


def test_bare_triangles_are_grey() -> None:
    assert np.ptp(proxy(trimesh.creation.icosphere(), faces=400, texture=32).texture) == 0
    assert isinstance(surface(trimesh.creation.icosphere()), Surface)
