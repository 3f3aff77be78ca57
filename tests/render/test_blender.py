"""The Blender engine draws what ray casting draws; without it, one line says how to get it."""

import importlib.util

import numpy as np
import pytest

from render import blender, raycast
from render.demo import demo_objects, write
from render.orbit import render_orbits
from render.surface import Surface
from tests.conftest import SHARED
from viewmask.camera import Camera, orbit
from viewmask.errors import ViewmaskError

with_blender = pytest.mark.skipif(not blender.available(), reason="bpy or BlenderProc is absent (extra `blender`)")


def silhouette_iou(a, b):
    inside_a, inside_b = a[..., 3] >= 128, b[..., 3] >= 128
    return (inside_a & inside_b).sum() / (inside_a | inside_b).sum()


def colour_psnr(a, b):
    both = (a[..., 3] == 255) & (b[..., 3] == 255)
    return -10 * np.log10((((a[both].astype(float) - b[both]) / 255) ** 2).mean())


def test_without_it_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "bpy" else find_spec(name))
    with pytest.raises(ViewmaskError, match=r"source tree: pip install torch==2.13.0 '\.\[blender\]'"):
        render_orbits(write(tmp_path, ["car"]), tmp_path / "out", engine="blender")
    assert not (tmp_path / "out").exists()


def test_cameras_of_several_sizes_are_refused(monkeypatch):
    monkeypatch.setattr(blender, "available", lambda: True)
    with pytest.raises(ViewmaskError, match="one size"):
        blender.render(demo_objects()["car"].surface(), [Camera.on_sphere(0, size=16), Camera.on_sphere(0, size=8)])


@with_blender
@pytest.mark.parametrize("name", ["chair", "mug", "car", "lamp", "rocket"])
def test_silhouettes_and_base_colours_are_ray_casting_s(name):
    surface, cameras = demo_objects()[name].surface(), orbit(2, size=128, start=30)
    for ours, theirs in zip(
        raycast.render(surface, cameras, samples=3), blender.render(surface, cameras, samples=2), strict=True
    ):
        assert silhouette_iou(ours, theirs) >= 0.99
        assert colour_psnr(ours, theirs) > 34  # the rest is edges between colours


@with_blender
def test_a_texture_lies_as_in_ray_casting(make_glb, square_uv):
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    surface = Surface.load(make_glb(uv=square_uv * 1.5 - 0.3, picture=picture, factor=(0.5, 1, 1)))
    camera = [Camera(72, 48, 50, 50, 30, 20, Camera.on_sphere(10, 20).camera_to_world)]
    (ours,), (theirs,) = raycast.render(surface, camera, samples=4), blender.render(surface, camera)
    assert silhouette_iou(ours, theirs) >= 0.99
    assert colour_psnr(ours, theirs) > 34


@with_blender
def test_the_lights_are_ray_casting_s():
    surface, camera = demo_objects()["car"].surface(), orbit(1, size=64, start=30)
    for light, least in (("uniform", 30), ("studio", 24)):
        (ours,), (theirs,) = (engine.render(surface, camera, light, 2, seed=4) for engine in (raycast, blender))
        assert colour_psnr(ours, theirs) > least


@with_blender
def test_a_job_that_fails_is_told_and_the_next_one_is_drawn(tmp_path):
    worker = blender._worker()
    with pytest.raises(ViewmaskError, match="could not render"):
        worker.draw(tmp_path / "no such job")
    assert blender._worker() is worker
    (picture,) = blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    assert picture[..., 3].any()


@with_blender
def test_a_child_that_dies_is_told_and_replaced():
    worker = blender._worker()
    worker.process.kill()
    with pytest.raises(ViewmaskError, match="ended without an answer"):
        blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    (picture,) = blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    assert picture[..., 3].any()


@with_blender
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_ten_objects_of_the_training_sets_have_ray_casting_s_silhouettes():
    from render.source import find

    sources = [*find(SHARED / "scans", "val")[:4], *find(SHARED / "furniture", "val")[:3]]
    sources += find(SHARED / "objects", "val")[:3]
    cameras = orbit(1, size=256, start=40)
    for source in sources:
        surface = Surface.load(source.read())
        (ours,), (theirs,) = raycast.render(surface, cameras, samples=3), blender.render(surface, cameras)
        assert silhouette_iou(ours, theirs) >= 0.99, source.id
