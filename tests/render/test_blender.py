"""The Blender engine draws what ray casting draws; without it, one line says how to get it."""

import importlib.util
import json
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from render import blender, raycast
from render.demo import demo_objects, write
from render.job import render_one
from render.run import render_orbits
from render.settings import Settings
from render.source import Source, find
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
@pytest.mark.parametrize("suffix", ["glb", "obj", "ply", "stl", "fbx", "blend", "usdc"])
def test_a_file_of_any_format_is_drawn_upright_and_in_its_colours(suffix, tmp_path):
    """Files that trimesh writes; those that only Blender reads by Blender itself."""
    box, roof = trimesh.creation.box((1, 0.5, 2)), trimesh.creation.cone(0.4, 0.8)
    roof.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0), (0, 0, 0)))  # +Z to +Y
    mesh = trimesh.util.concatenate([box, roof])
    mesh.visual = trimesh.visual.TextureVisuals(material=trimesh.visual.material.SimpleMaterial(diffuse=(200, 40, 40)))
    mesh.export(tmp_path / "house.glb")
    file = tmp_path / f"house.{suffix}"
    if suffix in ("fbx", "blend", "usdc"):
        blender.start().ask({"convert": str(tmp_path / "house.glb"), "kind": "gltf", "to": str(file)})
    elif suffix != "glb":
        mesh.export(file)
    true = raycast.render(Surface.load(tmp_path / "house.glb"), orbit(2, size=96, start=30))
    drawing = blender.draw(file, orbit(2, size=96, start=30))
    for ours, theirs in zip(true, drawing.images, strict=True):
        assert silhouette_iou(ours, theirs) >= 0.99
        if suffix in ("glb", "fbx", "blend", "usdc"):  # PLY and STL have no colour, and an OBJ's is sRGB
            assert colour_psnr(ours, theirs) > 34
        if suffix == "obj":
            assert np.abs(theirs[theirs[..., 3] == 255] - np.array([200, 40, 40, 255])).max() <= 2
    by_ray_casting = Source("house", file).surface().file_to_world
    assert np.allclose(drawing.file_to_world, by_ray_casting, atol=1e-5)


@pytest.fixture
def corner():
    """An object without any symmetry: +X red, +Y green, +Z blue, of lengths 1, 2 and 3."""
    arms = []
    for axis, colour in enumerate(np.eye(3)):
        size = np.full(3, 0.5)
        size[axis] = axis + 1
        arm = trimesh.creation.box(size)
        arm.apply_translation(np.eye(3)[axis] * (axis + 1) / 2)
        arm.visual.face_colors = (255 * colour).astype(np.uint8)
        arms.append(arm)
    return trimesh.util.concatenate(arms)


@with_blender
@pytest.mark.parametrize("suffix", ["glb", "ply"])
@pytest.mark.parametrize("up", ["y", "z"])
def test_frame_turn_and_stretch_are_ray_casting_s(corner, suffix, up, tmp_path):
    corner.export(tmp_path / f"corner.{suffix}")
    source = Source("corner", tmp_path / f"corner.{suffix}", turn=70.0)
    options = {"views": 1, "size": 128, "elevation": 20, "up": up, "jitter": True, "seed": 1}
    ours = render_one(source, Settings(samples=8, **options))  # with 4, edges along pixel centres fall on either side
    theirs = render_one(source, Settings(engine="blender", spp=36, **options))
    assert np.allclose(ours.extra["mesh_to_world"], theirs.extra["mesh_to_world"], atol=1e-5)
    for one, other in zip(ours.images, theirs.images, strict=True):
        assert silhouette_iou(one, other) >= 0.99


@with_blender
def test_a_mesh_in_a_zip_finds_what_lies_beside_it_there(tmp_path, square_uv):
    picture = np.full((4, 4, 3), (10, 200, 90), np.uint8)
    Image.fromarray(picture).save(tmp_path / "Paint.PNG")
    corners = "".join(f"v {x} {y} 0\nvt {x} {y}\n" for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("a/model.obj", "mtllib Model.mtl\nusemtl m\n" + corners + "f 1/1 2/2 3/3 4/4\n")
        archive.writestr("a/model.mtl", "newmtl m\nmap_Kd C:\\work\\paint.png\n")
        archive.write(tmp_path / "Paint.PNG", "a/Paint.PNG")
    view = render_one(find(tmp_path / "set.zip")[0], Settings(views=1, size=48, engine="blender"))
    assert np.abs(view.images[0][24, 24].astype(int) - (10, 200, 90, 255)).max() <= 1


@with_blender
@pytest.mark.parametrize("what", ["picture", "materials"])
def test_what_is_missing_is_a_failure_or_a_note(what, tmp_path):
    file = tmp_path / "model.obj"
    file.write_text("mtllib model.mtl\nusemtl m\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    if what == "picture":
        (tmp_path / "model.mtl").write_text("newmtl m\nmap_Kd gone.png\n")
    name = "gone.png" if what == "picture" else "model.mtl"
    with pytest.raises(ViewmaskError, match=f"{name} is missing"):
        blender.draw(file, orbit(1, size=32))
    drawing = blender.draw(file, orbit(1, size=32), lenient=True)
    assert any(name in note for note in drawing.notes)
    assert (drawing.images[0][drawing.images[0][..., 3] == 255][:, :3] == 255).all()


@with_blender
def test_transparent_is_seen_through_and_does_not_count_for_the_box(make_glb):
    """An invisible floor around a green square: as without the floor."""
    floor = trimesh.creation.box((20, 0.1, 20))
    clear = trimesh.visual.material.PBRMaterial(baseColorFactor=(255, 0, 0, 0), alphaMode="BLEND")
    floor.visual = trimesh.visual.TextureVisuals(material=clear)
    cube = trimesh.creation.box((2, 2, 2))
    half = trimesh.visual.material.PBRMaterial(baseColorFactor=(0, 255, 0, 128), alphaMode="BLEND")
    cube.visual = trimesh.visual.TextureVisuals(material=half)
    scene = trimesh.Scene([floor, cube])
    data = scene.export(file_type="glb")
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "cube.glb"
        file.write_bytes(data)
        drawing = blender.draw(file, orbit(1, size=64, start=0), spp=256)
        surface = Surface.load(file)
    (ours,) = raycast.render(surface, orbit(1, size=64, start=0))
    assert np.allclose(drawing.file_to_world, surface.file_to_world, atol=1e-6)
    middle = drawing.images[0][28:36, 28:36].reshape(-1, 4).mean(0)
    assert np.abs(middle - ours[28:36, 28:36].reshape(-1, 4).mean(0)).max() < 8
    assert middle[1] > 240
    assert 180 < middle[3] < 200  # two walls of a half: three quarters


@with_blender
def test_an_animation_s_first_frame_and_other_scenes_do_not_count(make_glb, tmp_path):
    data = make_glb()
    length = struct.unpack_from("<I", data, 12)[0]
    document, rest = json.loads(data[20 : 20 + length]), data[20 + length :]
    document["nodes"].append({"mesh": 0, "translation": [5, 0, 0]})
    document["scenes"].append({"nodes": [1]})
    view = len(document["bufferViews"])
    numbers = np.array([0, 1, 0, 7, 0, 0, 7, 0], np.float32).tobytes()
    document["bufferViews"].append({"buffer": 0, "byteOffset": len(rest) - 8, "byteLength": len(numbers)})
    document["buffers"][0]["byteLength"] += len(numbers)
    document["accessors"] += [
        {"bufferView": view, "componentType": 5126, "count": 2, "type": "SCALAR", "min": [0], "max": [1]},
        {"bufferView": view, "byteOffset": 8, "componentType": 5126, "count": 2, "type": "VEC3"},
    ]
    count = len(document["accessors"])
    document["animations"] = [{
        "samplers": [{"input": count - 2, "output": count - 1}],
        "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
    }]  # fmt: skip
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    body += struct.pack("<II", len(rest) - 8 + len(numbers), 0x004E4942) + rest[8:] + numbers
    (tmp_path / "moving.glb").write_bytes(struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body)
    (tmp_path / "still.glb").write_bytes(make_glb())
    moving, still = (blender.draw(tmp_path / f"{name}.glb", orbit(1, size=32)) for name in ("moving", "still"))
    assert np.allclose(moving.file_to_world, still.file_to_world)
    assert (moving.images[0] == still.images[0]).all()


@with_blender
@pytest.mark.parametrize("name", ["a.glb", "a.obj", "a.ply", "a.stl", "a.fbx", "a.blend", "a.usdz"])
def test_a_file_that_blender_cannot_read_is_one_line_and_the_next_is_drawn(name, tmp_path, make_glb):
    worker = blender.start()
    (tmp_path / name).write_bytes(b"this is no mesh\n" * 9)
    with pytest.raises(ViewmaskError) as error:
        blender.draw(tmp_path / name, orbit(1, size=16))
    assert "\n" not in str(error.value)
    (tmp_path / "right.glb").write_bytes(make_glb())
    assert blender.draw(tmp_path / "right.glb", orbit(1, size=16)).images[0][..., 3].any()
    assert blender.start() is worker


@with_blender
def test_what_lies_too_far_for_single_precision_is_refused(tmp_path):
    (tmp_path / "far.obj").write_text("v 1e8 0 0\nv 100000001 0 0\nv 1e8 1 0\nf 1 2 3\n")
    with pytest.raises(ViewmaskError, match="far from the origin"):
        blender.draw(tmp_path / "far.obj", orbit(1, size=16))


@with_blender
def test_a_file_leaves_nothing_to_the_next_one(tmp_path, make_glb, square_uv):
    picture = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    (tmp_path / "first.glb").write_bytes(make_glb(uv=square_uv, picture=picture))
    (tmp_path / "second.glb").write_bytes(make_glb(factor=(1, 0, 0)))
    drawn = [
        np.stack(blender.draw(tmp_path / f"{name}.glb", orbit(2, size=48), light).images).tobytes()
        for name, light in (("first", "none"), ("second", "studio"), ("first", "none"))
    ]
    assert drawn[0] == drawn[2] != drawn[1]


@with_blender
@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is absent")
def test_twenty_objects_of_the_training_sets_are_ray_casting_s():
    sources = [*find(SHARED / "scans", "val")[:7], *find(SHARED / "furniture", "val")[:7]]
    sources += find(SHARED / "objects", "val")[:6]
    for source in sources:
        ours, theirs = (
            render_one(source, Settings(views=1, size=256, start=40, samples=4, engine=engine))
            for engine in ("raycast", "blender")
        )
        assert silhouette_iou(ours.images[0], theirs.images[0]) >= 0.99, source.id
        assert np.allclose(ours.extra["mesh_to_world"], theirs.extra["mesh_to_world"], atol=1e-4), source.id
