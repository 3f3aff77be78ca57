"""Depth and normals: the geometry of theory on a square and a ball, the same for every engine, and BlenderProc's."""

import json
import subprocess
import sys

import numpy as np
import pytest
import trimesh

from render import blender, passes
from render.demo import write
from render.run import render_orbits
from render.settings import Settings
from render.surface import Surface
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


def test_a_square_that_faces_the_camera_has_one_depth_and_one_normal(make_glb):
    surface = Surface.load(make_glb())
    arrays = passes.render(surface, [Camera.on_sphere(0, 0, size=32)])
    seen = arrays["depth"][0] > 0
    assert seen.mean() > 0.3
    assert np.allclose(arrays["depth"][0][seen], 1.5, atol=1e-5)  # along the axis, not along the ray
    assert np.allclose(arrays["normal"][0][seen], [1, 0, 0], atol=1e-3)
    assert not arrays["normal"][0][~seen].any()
    assert (arrays["depth"].dtype, arrays["normal"].dtype) == (np.float32, np.float16)


def test_depth_leads_back_to_the_surface_and_normals_point_outwards():
    surface = Surface.of_scene(trimesh.Scene(trimesh.creation.icosphere(4, radius=0.5)), np.eye(4))
    cameras = orbit(3, size=40)
    arrays = passes.render(surface, cameras)
    for camera, depth, normal in zip(cameras, arrays["depth"], arrays["normal"], strict=True):
        rows, columns = np.nonzero(depth)
        x, y = (columns + 0.5 - camera.cx) / camera.fl_x, (rows + 0.5 - camera.cy) / camera.fl_y
        local = np.stack([x, -y, -np.ones_like(x)], axis=-1) * depth[rows, columns][:, None]
        world = local @ camera.camera_to_world[:3, :3].T + camera.camera_to_world[:3, 3]
        assert np.allclose(np.linalg.norm(world, axis=1), 0.5, atol=3e-3)
        assert ((world / 0.5 * normal[rows, columns]).sum(-1) > 0.99).all()


def test_they_lie_beside_the_pictures_with_their_units(tmp_path):
    mesh = write(tmp_path / "in", ["mug"])
    render_orbits(mesh, tmp_path / "out", Settings(views=2, size=24, passes=("normal", "depth")))
    views = ViewSet.load(tmp_path / "out" / "mug")
    assert "longest side being 1" in views.extra["passes"]["depth"]
    with np.load(tmp_path / "out" / "mug" / passes.FILE) as arrays:
        assert {name: arrays[name].shape for name in arrays.files} == {"depth": (2, 24, 24), "normal": (2, 24, 24, 3)}
        for image, depth in zip(views.images, arrays["depth"], strict=True):
            inside = image[..., 3] == 255
            assert (depth[inside] > 0).all()
            assert not depth[image[..., 3] == 0].any()
    render_orbits(mesh, tmp_path / "out", Settings(views=2, size=24))  # without passes the old ones go
    assert not (tmp_path / "out" / "mug" / passes.FILE).exists()


# What BlenderProc's manual has for depth and normals; the file is read by Blender's own importer.
BY_BLENDERPROC = """
import json, os, sys
os.environ["OUTSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT_BUT_IN_RUN_SCRIPT"] = "1"
import bpy
import numpy as np
from blenderproc.python.camera import CameraUtility as camera
from blenderproc.python.loader.ObjectLoader import load_obj
from blenderproc.python.renderer import RendererUtility as renderer
from blenderproc.python.utility.GlobalStorage import GlobalStorage
from blenderproc.python.utility.Initializer import _Initializer, clean_up
from blenderproc.python.utility.SetupUtility import SetupUtility

mesh, out, size, poses = json.loads(sys.argv[1])
SetupUtility.setup_utility_paths(out)
clean_up(clean_up_camera=True)
bpy.context.scene.render.engine = "CYCLES"
_Initializer.set_default_parameters()
GlobalStorage.add("bproc_init_complete", True)
renderer.set_denoiser(None)
renderer.set_max_amount_of_samples(1)
bpy.context.scene.cycles.pixel_filter_type = "BOX"
bpy.context.scene.cycles.filter_width = 0.01  # through the pixels' centres
camera.set_intrinsics_from_blender_params(np.radians(49.13), size, size, lens_unit="FOV")
load_obj(mesh)
for pose in poses:
    camera.add_camera_pose(np.array(pose))
renderer.enable_depth_output(activate_antialiasing=False)
renderer.enable_normals_output()
renderer.render(output_dir=out, return_data=False)  # BlenderProc reads EXR by OpenCV, whose wheels no longer can


def read(name):
    image = bpy.data.images.load(os.path.join(out, name))
    image.colorspace_settings.name = "Non-Color"
    return np.array(image.pixels[:]).reshape(size, size, 4)[::-1, :, :3]


depth, normal = (
    np.stack([read(f"{name}_{frame:04d}.exr") for frame in range(len(poses))]) for name in ("depth", "normals")
)
np.savez(os.path.join(out, "arrays.npz"), depth=depth[..., 0], normal=normal)
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(not blender.available(), reason="bpy or BlenderProc is absent (extra `blender`)")
def test_they_are_what_blenderproc_s_own_outputs_hold(tmp_path):
    ring = trimesh.creation.torus(0.35, 0.15, major_sections=48, minor_sections=24)
    ring.apply_transform(trimesh.transformations.rotation_matrix(0.7, (1, 0.3, 0)))
    (tmp_path / "ring.glb").write_bytes(trimesh.exchange.gltf.export_glb(ring.scene(), include_normals=True))
    cameras = orbit(2, size=64, start=20)
    poses = [camera.camera_to_world.tolist() for camera in cameras]
    job = json.dumps([str(tmp_path / "ring.glb"), str(tmp_path), 64, poses])
    subprocess.run([sys.executable, "-c", BY_BLENDERPROC, job], check=True, capture_output=True)
    importers = [[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]  # Blender's: the front goes to -Y
    ours = passes.render(Surface.load(tmp_path / "ring.glb", transform=importers), cameras)
    with np.load(tmp_path / "arrays.npz") as arrays:
        for index, camera in enumerate(cameras):
            depth, normal = arrays["depth"][index], arrays["normal"][index]
            seen = (depth < 100) & (ours["depth"][index] > 0)
            assert ((depth < 100) ^ (ours["depth"][index] > 0)).mean() < 0.01
            assert np.quantile(np.abs(depth - ours["depth"][index])[seen], 0.99) < 0.005
            # BlenderProc's normals: the camera's axes (x right, y up, z back), 0 to 1.
            world = (2 * normal[seen] - 1) @ camera.camera_to_world[:3, :3].T
            assert np.quantile((world * ours["normal"][index][seen]).sum(-1), 0.01) > 0.99
