"""Depth and normals: the geometry of theory on a square and a ball, and the same for every engine."""

import numpy as np
import trimesh

from render import passes
from render.demo import write
from render.orbit import render_orbits
from render.surface import Surface
from viewmask.camera import Camera, orbit
from viewmask.viewset import ViewSet


def test_a_square_that_faces_the_camera_has_one_depth_and_one_normal(make_glb):
    surface = Surface.load(make_glb())
    found = passes.render(surface, [Camera.on_sphere(0, 0, size=32)])
    seen = found["depth"][0] > 0
    assert seen.mean() > 0.3
    assert np.allclose(found["depth"][0][seen], 1.5, atol=1e-5)  # along the axis, not along the ray
    assert np.allclose(found["normal"][0][seen], [1, 0, 0], atol=1e-3)
    assert not found["normal"][0][~seen].any()
    assert (found["depth"].dtype, found["normal"].dtype) == (np.float32, np.float16)


def test_depth_leads_back_to_the_surface_and_normals_point_outwards():
    surface = Surface.of_scene(trimesh.Scene(trimesh.creation.icosphere(4, radius=0.5)), np.eye(4))
    cameras = orbit(3, size=40)
    found = passes.render(surface, cameras)
    for camera, depth, normal in zip(cameras, found["depth"], found["normal"], strict=True):
        rows, columns = np.nonzero(depth)
        x, y = (columns + 0.5 - camera.cx) / camera.fl_x, (rows + 0.5 - camera.cy) / camera.fl_y
        local = np.stack([x, -y, -np.ones_like(x)], axis=-1) * depth[rows, columns][:, None]
        world = local @ camera.camera_to_world[:3, :3].T + camera.camera_to_world[:3, 3]
        assert np.allclose(np.linalg.norm(world, axis=1), 0.5, atol=3e-3)
        assert ((world / 0.5 * normal[rows, columns]).sum(-1) > 0.99).all()


def test_they_lie_beside_the_pictures_with_their_units(tmp_path):
    mesh = write(tmp_path / "in", ["mug"])
    render_orbits(mesh, tmp_path / "out", views=2, size=24, passes=["normal", "depth"])
    views = ViewSet.load(tmp_path / "out" / "mug")
    assert "longest side being 1" in views.extra["passes"]["depth"]
    with np.load(tmp_path / "out" / "mug" / passes.FILE) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == {"depth": (2, 24, 24), "normal": (2, 24, 24, 3)}
        for image, depth in zip(views.images, arrays["depth"], strict=True):
            inside = image[..., 3] == 255
            assert (depth[inside] > 0).all()
            assert not depth[image[..., 3] == 0].any()
    render_orbits(mesh, tmp_path / "out", views=2, size=24)  # without passes the old ones go
    assert not (tmp_path / "out" / "mug" / passes.FILE).exists()
