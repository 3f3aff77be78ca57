"""Points that know the inside: of a closed mesh, an open one, one that is inside out."""

import numpy as np
import trimesh

from render import points
from render.surface import Surface


def ball(mesh: trimesh.Trimesh) -> Surface:
    return Surface.of_scene(trimesh.Scene(mesh), np.eye(4))


def test_inside_is_inside_also_of_an_open_mesh_and_of_one_turned_inside_out():
    whole = trimesh.creation.icosphere(3, radius=0.5)
    opened = trimesh.Trimesh(whole.vertices, whole.faces[10:], process=False)
    turned = trimesh.Trimesh(whole.vertices, whole.faces[:, ::-1], process=False)
    for mesh, right in ((whole, 1.0), (turned, 1.0), (opened, 0.99)):
        found = points.sample(ball(mesh), 4000)
        radius = np.linalg.norm(found["points"].astype(np.float64), axis=1)
        sure = np.abs(radius - 0.5) > 0.01
        assert (found["inside"] == (radius < 0.5))[sure].mean() >= right


def test_the_first_half_is_near_the_surface_and_knows_its_colour():
    mesh = trimesh.creation.box((1, 0.5, 0.25))
    mesh.visual.face_colors = [255, 0, 0, 255]
    found = points.sample(ball(mesh), 3000)
    assert (found["colours"] == [255, 0, 0]).all()
    assert found["points"].shape == (3000, 3)
    assert len(found["colours"]) == 1500
    apart = np.abs(found["points"][:1500].astype(np.float64)) - [0.5, 0.25, 0.125]
    away = np.where(apart.max(1) < 0, -apart.max(1), np.linalg.norm(apart.clip(0), axis=1))
    assert np.median(away) < 0.03
    assert (np.abs(found["points"][1500:]) > [0.5, 0.25, 0.125]).any(1).mean() > 0.3
