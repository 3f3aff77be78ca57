from __future__ import annotations

import json
import shutil
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.hull import Grid
from recon.mesh import TexturedMesh
from recon.meshing import is_closed
from recon.reconstructor import METHODS, reconstruct
from viewmask.errors import ViewmaskError
from viewmask.version import VERSION
from viewmask.views.camera import orbit
from viewmask.views.making import KEY, Making
from viewmask.views.viewset import ViewSet

# From the file's axes (+Y up, front +Z) to the world's (+Z up, front +X): the project's load rule.
FILE_TO_WORLD = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]])


@pytest.fixture
def mesh():
    """A box of three different sides whose faces towards +X are red, the rest blue, each a chart."""
    box = trimesh.creation.box([0.2, 0.5, 1.0])
    texture = np.zeros((8, 8, 3), np.uint8)
    texture[:, :4], texture[:, 4:] = [200, 0, 0], [0, 0, 200]
    front = box.face_normals[:, 0] > 0.5
    uv = np.array([[0.1, 0.1], [0.3, 0.1], [0.1, 0.9], [0.7, 0.1], [0.9, 0.1], [0.7, 0.9]])
    uv_faces = np.where(front[:, None], [0, 1, 2], [3, 4, 5])
    # Corners of charts are not shared between vertices: one place a corner.
    return TexturedMesh(box.vertices, box.faces, uv[uv_faces].reshape(-1, 2), np.arange(36).reshape(-1, 3), texture)


def test_glb_comes_back_as_it_was(mesh, tmp_path):
    (path,) = mesh.save(tmp_path / "box.glb")
    (part,) = trimesh.load_scene(path, process=False).geometry.values()
    world = part.vertices @ FILE_TO_WORLD.T
    np.testing.assert_allclose(world, mesh.split()[0], atol=1e-6)
    np.testing.assert_allclose(part.vertex_normals @ FILE_TO_WORLD.T, mesh.split()[1], atol=1e-5)
    np.testing.assert_allclose(part.visual.uv, mesh.uv, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(part.visual.material.baseColorTexture)[..., :3], mesh.texture)
    assert part.visual.material.metallicFactor == 0


def test_glb_is_up_along_y_with_its_front_on_z(mesh, tmp_path):
    (path,) = mesh.save(tmp_path / "box.glb")
    (part,) = trimesh.load_scene(path, process=False).geometry.values()
    np.testing.assert_allclose(part.extents, [0.5, 1.0, 0.2], atol=1e-6)
    red = part.visual.uv[:, 0] < 0.5
    assert (part.vertices[red, 2] > 0.09).all()


def test_obj_names_files_that_are_there(mesh, tmp_path):
    files = mesh.save(tmp_path / "my box.obj")
    assert [file.name for file in files] == ["my box.obj", "my box.mtl", "my box.png"]
    assert all(file.exists() for file in files)
    loaded = trimesh.load(files[0], process=False, force="mesh")
    assert loaded.visual.material.image is not None
    np.testing.assert_array_equal(np.asarray(Image.open(files[2])), mesh.texture)
    np.testing.assert_allclose(loaded.extents, [0.5, 1.0, 0.2], atol=1e-6)
    assert loaded.volume == pytest.approx(0.1, rel=1e-5)
    red = loaded.visual.uv[:, 0] < 0.5
    assert (loaded.vertices[red, 2] > 0.09).all()


def test_ply_is_closed_and_coloured(mesh, tmp_path):
    (path,) = mesh.save(tmp_path / "box.ply")
    loaded = trimesh.load(path, process=False)
    assert loaded.is_watertight
    np.testing.assert_allclose(loaded.extents, [0.5, 1.0, 0.2], atol=1e-6)
    colours = loaded.visual.vertex_colors
    assert (colours[loaded.vertices[:, 2] > 0, 0] > 0).all()
    assert (colours[loaded.vertices[:, 2] < 0, :3] == [0, 0, 200]).all()


def test_stl_holds_the_shape(mesh, tmp_path):
    (path,) = mesh.save(tmp_path / "box.STL")
    loaded = trimesh.load(path)
    assert loaded.is_watertight
    assert loaded.volume == pytest.approx(0.1, rel=1e-5)


def test_3mf_is_closed_coloured_up_along_z_and_stands_on_the_plate(mesh, tmp_path):
    (path,) = mesh.save(tmp_path / "box.3mf")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        model = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
        start = ElementTree.fromstring(archive.read("_rels/.rels"))
    assert start[0].get("Target") == "/3D/3dmodel.model"
    core = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
    vertices = np.array([[float(one.get(axis)) for axis in "xyz"] for one in model.iter(f"{core}vertex")])
    triangles = list(model.iter(f"{core}triangle"))
    loaded = trimesh.Trimesh(vertices, [[int(one.get(f"v{i}")) for i in (1, 2, 3)] for one in triangles], process=False)
    assert is_closed(loaded)
    assert model.get("unit") == "meter"
    np.testing.assert_allclose(loaded.extents, [0.2, 0.5, 1.0], atol=1e-6)
    (item,) = model.iter(f"{core}item")
    moved = vertices + [float(word) for word in item.get("transform").split()[9:]]
    np.testing.assert_allclose(moved.min(0), 0, atol=1e-6)
    colours = [one.get("color") for one in model.iter() if one.tag.endswith("}color")]
    back = vertices[:, 0] < 0
    for triangle, corners in zip(triangles, loaded.faces, strict=True):
        for i, corner in enumerate(corners):
            colour = colours[int(triangle.get(f"p{i + 1}"))]
            assert colour == "#0000C8" if back[corner] else colour[1:3] != "00"


def test_a_print_has_its_size_in_millimetres_and_stands_on_the_plate(mesh, tmp_path):
    """The box is 0.2 deep, 0.5 wide and 1 high."""
    solid = trimesh.load(mesh.save_print(tmp_path / "box.stl", 80))
    np.testing.assert_allclose(solid.bounds, [[0, 0, 0], [16, 40, 80]], atol=1e-4)
    assert solid.is_watertight
    assert solid.volume == pytest.approx(0.1 * 80**3, rel=1e-4)
    with zipfile.ZipFile(mesh.save_print(tmp_path / "box.3mf", 80)) as archive:
        model = ElementTree.fromstring(archive.read("3D/3dmodel.model"))
    assert model.get("unit") == "millimeter"
    core = "{http://schemas.microsoft.com/3dmanufacturing/core/2015/02}"
    vertices = np.array([[float(one.get(axis)) for axis in "xyz"] for one in model.iter(f"{core}vertex")])
    np.testing.assert_allclose([vertices.min(0), vertices.max(0)], [[0, 0, 0], [16, 40, 80]], atol=1e-4)
    (item,) = model.iter(f"{core}item")
    assert [float(word) for word in item.get("transform").split()[9:]] == [0, 0, 0]
    assert len([one for one in model.iter() if one.tag.endswith("}color")]) > 1


def test_a_print_is_3mf_or_stl(mesh, tmp_path):
    with pytest.raises(ViewmaskError, match=r"box\.glb: a print is written as \.3mf or \.stl"):
        mesh.save_print(tmp_path / "box.glb", 80)
    assert not list(tmp_path.iterdir())


def test_unknown_suffix_writes_nothing(mesh, tmp_path):
    for name in ("box.fbx", "box"):
        with pytest.raises(ViewmaskError, match=r"\.glb, \.obj, \.ply, \.stl, \.3mf"):
            mesh.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl", ".3mf"])
def test_same_mesh_gives_the_same_bytes(mesh, tmp_path, suffix):
    first = [file.read_bytes() for file in mesh.save(tmp_path / f"box{suffix}")]
    assert [file.read_bytes() for file in mesh.save(tmp_path / f"box{suffix}")] == first


def test_folder_that_is_a_file(mesh, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ViewmaskError, match="cannot write"):
        mesh.save(tmp_path / "taken" / "box.glb")


def test_summary(mesh):
    assert mesh.summary() == {
        "watertight": True, "components": 1, "faces": 12, "vertices": 8,
        "size": [0.2, 0.5, 1.0], "volume": 0.1, "texture": 8,
    }  # fmt: skip
    mesh.faces = mesh.faces[1:]
    mesh.uv_faces = mesh.uv_faces[1:]
    assert not mesh.summary()["watertight"]


def _validator() -> Path | None:
    """Where Khronos' gltf-validator is installed (npm), if it is: beside the checkout or globally."""
    if not shutil.which("node") or not shutil.which("npm"):
        return None
    found = subprocess.run(["npm", "root", "-g"], capture_output=True, text=True, check=False).stdout.strip()
    for folder in (Path(found), Path(__file__).parents[2] / "node_modules"):
        if (folder / "gltf-validator").is_dir():
            return folder / "gltf-validator"
    return None


@pytest.mark.skipif(_validator() is None, reason="needs node and npm's gltf-validator")
@pytest.mark.parametrize("made", ["by hand", *METHODS])
def test_glb_passes_khronos_validator(mesh, bar_views, tmp_path, made):
    if made in METHODS:
        mesh = reconstruct(bar_views, made, faces=2000, texture=128, resolution=48)
    (path,) = mesh.save(tmp_path / "box.glb")
    script = (
        "const [, validator, file] = process.argv;"
        "require(validator).validateBytes(new Uint8Array(require('fs').readFileSync(file)))"
        ".then(report => console.log(JSON.stringify(report)))"
    )
    report = json.loads(subprocess.check_output(["node", "-e", script, str(_validator()), str(path)]))
    assert report["issues"]["numErrors"] == 0, report["issues"]
    assert report["issues"]["numWarnings"] == 0, report["issues"]
    assert report["info"]["totalTriangleCount"] == len(mesh.faces)


def test_numbers_that_are_none_never_reach_a_file(mesh, tmp_path):
    mesh.vertices = mesh.vertices.copy()
    mesh.vertices[3, 1] = np.nan
    for suffix in (".glb", ".obj", ".ply", ".stl", ".3mf"):
        with pytest.raises(ViewmaskError, match="no finite numbers"):
            mesh.save(tmp_path / f"box{suffix}")
    grid = Grid(np.zeros(3), 0.1, (2, 2, 2))
    mesh.raw = (np.full((2, 2, 2), np.nan, np.float32), grid)
    with pytest.raises(ViewmaskError, match="numbers that are none"):
        mesh.save_raw(tmp_path / "box.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["obj", "3mf", "glb"])
def test_a_tiny_object_keeps_its_shape_in_a_file(mesh, tmp_path, suffix):
    mesh.vertices = mesh.vertices * 1e-5
    assert mesh.summary()["size"] == [2e-6, 5e-6, 1e-5]
    path = mesh.save(tmp_path / f"box.{suffix}")[0]
    if suffix == "3mf":
        text = zipfile.ZipFile(path).read("3D/3dmodel.model").decode()
        assert 'x="0.0000010000"' in text
        return
    extents = trimesh.load(path, process=False, force="mesh").extents
    np.testing.assert_allclose(extents, [5e-6, 1e-5, 2e-6], rtol=1e-4)


def test_a_3mf_and_a_glb_lie_alike_where_render_reads_them(mesh, tmp_path):
    from render.surface import Surface

    glb, solid = (Surface.load(mesh.save(tmp_path / f"box{suffix}")[0]) for suffix in (".glb", ".3mf"))
    np.testing.assert_allclose(solid.box, glb.box, atol=1e-6)
    front = solid.vertices[solid.faces].mean(1)[:, 0] > 0.09
    assert (solid.colours[front, :, 0] > 0).all()


def test_every_format_that_can_says_how_it_was_made(mesh, tmp_path):
    making = {"method": "hull", "views": {"making": {"text": 'a "red" grün <chair>\nwith --> legs', "seed": 7}}}
    made = replace(mesh, making=making)
    glb, obj, ply, model = (made.save(tmp_path / f"m.{suffix}")[0] for suffix in ("glb", "obj", "ply", "3mf"))
    data = glb.read_bytes()
    length = int.from_bytes(data[12:16], "little")
    extras = json.loads(data[20 : 20 + length])["asset"]["extras"]
    assert extras == {"made_by": f"viewmask {VERSION}", "making": making}
    for text in (obj.read_text(), ply.read_bytes().split(b"end_header")[0].decode("ascii")):
        (line,) = (line for line in text.splitlines() if f"viewmask {VERSION} " in line)
        assert json.loads(line.split(VERSION, 1)[1]) == making
    root = ElementTree.fromstring(zipfile.ZipFile(model).read("3D/3dmodel.model"))
    told = {node.get("name"): node.text for node in root if node.tag.endswith("metadata")}
    assert json.loads(str(told["Description"])) == making
    for path in (glb, obj, ply):
        assert len(trimesh.load(path, force="mesh").faces) == len(mesh.faces)


def test_a_mesh_tells_its_settings_and_the_views_that_it_was_made_of(bar_views):
    quick = {"faces": 300, "texture": 32, "resolution": 20}
    known = ViewSet(bar_views.images, bar_views.cameras, {KEY: Making(text="a bar", seed=3, weights="w").record()})
    made = reconstruct(known, "hull", **quick).making
    assert made | quick == made
    assert (made["method"], made["version"], made["views"]["count"]) == ("hull", VERSION, 4)
    assert made["views"]["making"]["seed"] == 3
    strange = ViewSet(bar_views.images, bar_views.cameras, {KEY: {"weights": [float("nan")]}})
    assert "making" not in reconstruct(strange, "hull", **quick).making["views"]
    assert reconstruct(strange, "hull", **quick).making["views"]["digest"] == made["views"]["digest"]


def test_a_mesh_in_pieces_says_so(pictures):
    def balls(camera):
        """Two bars, one above the other."""
        picture = np.zeros((camera.height, camera.width, 4), np.uint8)
        half = pictures(camera)
        for up in (-1, 1):
            small = np.asarray(Image.fromarray(half).resize((camera.width // 4, camera.height // 4)))
            top, left = camera.height // 2 + up * camera.height // 4 - camera.height // 8, camera.width * 3 // 8
            picture[top : top + small.shape[0], left : left + small.shape[1]] = small
        return picture

    cameras = orbit(4, elevation=0.0, size=96)
    mesh = reconstruct(ViewSet([balls(camera) for camera in cameras], cameras), "hull", faces=600, texture=32)
    assert mesh.summary()["components"] == 2
    assert "the mesh is in 2 pieces: the views show parts that do not meet" in mesh.notes
