"""The Blender engine draws what ray casting draws; without it, one line says how to get it."""

import importlib.util

import numpy as np
import pytest

from render import blender, raycast
from render.demo import demo_objects, write
from render.run import render_orbits
from render.settings import Settings
from render.surface import Surface
from tests.conftest import SHARED
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit

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
        render_orbits(write(tmp_path, ["car"]), tmp_path / "out", Settings(engine="blender"))
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
    for light, least in (("uniform", 32), ("studio", 32)):
        (ours,), (theirs,) = (engine.render(surface, camera, light, 2, seed=4) for engine in (raycast, blender))
        assert colour_psnr(ours, theirs) > least


@with_blender
def test_an_object_leaves_nothing_to_the_next_one(make_glb, square_uv):
    """A, B, A gives A's bytes again, whatever B was."""
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    first, second = demo_objects()["car"].surface(), Surface.load(make_glb(uv=square_uv, picture=picture))
    cameras = orbit(2, size=48, start=30)
    for light in ("none", "uniform", "studio"):
        pictures = [
            np.stack(blender.render(surface, cameras, other, spp=spp, seed=seed, denoise=denoise)).tobytes()
            for surface, other, spp, seed, denoise in (
                (first, light, 4, 1, False), (second, "studio", 9, 2, True), (first, light, 4, 1, False),
            )
        ]  # fmt: skip
        assert pictures[0] == pictures[2] != pictures[1]


@with_blender
def test_the_denoiser_takes_noise_away():
    surface, camera = demo_objects()["mug"].surface(), orbit(1, size=96, start=30)
    fine = blender.render(surface, camera, "studio", spp=512)[0]
    raw, clean = (blender.render(surface, camera, "studio", spp=8, denoise=denoise)[0] for denoise in (False, True))
    assert colour_psnr(clean, fine) > colour_psnr(raw, fine) + 2
    assert silhouette_iou(clean, fine) > 0.98


@with_blender
def test_a_job_that_fails_is_told_and_the_next_one_is_drawn(tmp_path):
    worker = blender.start()
    with pytest.raises(ViewmaskError, match="could not do it"):
        worker.ask({"draw": str(tmp_path / "no such job")})
    assert blender.start() is worker
    (picture,) = blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    assert picture[..., 3].any()


@with_blender
def test_a_child_that_dies_is_told_and_replaced():
    worker = blender.start()
    worker.process.kill()
    with pytest.raises(ViewmaskError, match=r"Blender died .SIGKILL"):
        blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    (picture,) = blender.render(demo_objects()["tree"].surface(), orbit(1, size=16))
    assert picture[..., 3].any()


@with_blender
@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "stl", "fbx"])
def test_a_file_of_any_format_is_drawn_upright_and_in_its_colours(suffix, tmp_path):
    """Files that trimesh writes; the FBX by Blender itself."""
    import trimesh

    box, roof = trimesh.creation.box((1, 0.5, 2)), trimesh.creation.cone(0.4, 0.8)
    roof.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0), (0, 0, 0)))  # +Z to +Y
    mesh = trimesh.util.concatenate([box, roof])
    mesh.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.SimpleMaterial(diffuse=(200, 40, 40)))
    mesh.export(tmp_path / "house.glb")
    if suffix == "fbx":
        blender.start().ask({"convert": str(tmp_path / "house.glb"), "kind": "gltf", "to": str(tmp_path / "house.fbx")})
    elif suffix != "glb":
        mesh.export(tmp_path / f"house.{suffix}")
    from render.source import Source

    surface = Source("house", tmp_path / f"house.{suffix}").surface()
    true = raycast.render(Surface.load(tmp_path / "house.glb"), orbit(2, size=96, start=30))
    pictures = blender.render(surface, orbit(2, size=96, start=30))
    for ours, theirs in zip(true, pictures, strict=True):
        assert silhouette_iou(ours, theirs) >= 0.99
        if suffix in ("glb", "fbx"):  # PLY and STL have no colour, and an OBJ's is sRGB
            assert colour_psnr(ours, theirs) > 34
        if suffix == "obj":
            assert np.abs(theirs[theirs[..., 3] == 255] - np.array([200, 40, 40, 255])).max() <= 2


@with_blender
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_twenty_objects_of_the_training_sets_have_ray_casting_s_silhouettes():
    from render.source import find

    sources = [*find(SHARED / "scans", "val")[:7], *find(SHARED / "furniture", "val")[:7]]
    sources += find(SHARED / "objects", "val")[:6]
    cameras = orbit(1, size=256, start=40)
    for source in sources:
        surface = Surface.load(source.read())
        (ours,), (theirs,) = raycast.render(surface, cameras, samples=4), blender.render(surface, cameras)
        assert silhouette_iou(ours, theirs) >= 0.99, source.id
