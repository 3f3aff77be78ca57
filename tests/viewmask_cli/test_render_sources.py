"""`viewmask render` from the shell on every kind of source and format, each in its true form."""

import json
import zipfile

import numpy as np
import pytest
import trimesh
from PIL import Image

from render import demo
from tests.conftest import CHAIR, GONE, MUG, cap3d
from viewmask.views.viewset import ViewSet

SMALL = ("--size", 24, "--views", 2)


def rendered(done):
    """The ids that a run has rendered, by its --json; nothing went wrong on the way."""
    assert done.code == 0, done
    return sorted(item["id"] for item in json.loads(done.out)["objects"] if item["status"] == "ok")


@pytest.fixture
def meshes(tmp_path):
    folder = tmp_path / "here" / "meshes"
    demo.write(folder, ["chair", "mug"])
    (folder / "index.jsonl").unlink()
    return folder


def test_files_folders_globs_and_an_index(shell, meshes):
    assert rendered(shell("render", meshes / "mug.glb", *SMALL, "--json", "-o", "file")) == ["mug"]
    assert rendered(shell("render", meshes, *SMALL, "--json", "-o", "folder")) == ["chair", "mug"]
    assert rendered(shell("render", "meshes/c*.glb", *SMALL, "--json", "-o", "glob")) == ["chair"]
    records = [
        {"id": "seat", "file": "chair.glb", "split": "train", "license": "CC0-1.0", "captions": ["a seat"]},
        {"id": "cup", "file": "mug.glb", "split": "val", "license": "CC-BY-NC-4.0"},
    ]
    (meshes / "index.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    index = meshes / "index.jsonl"
    assert rendered(shell("render", index, *SMALL, "--json", "-o", "index")) == ["cup", "seat"]
    assert ViewSet.load("index/seat").caption == "a seat"
    assert rendered(shell("render", index, "--split", "val", *SMALL, "--json", "-o", "split")) == ["cup"]
    assert rendered(shell("render", index, "--license", "cc0,cc-by", *SMALL, "--json", "-o", "free")) == ["seat"]
    assert "no object is in split 'test'" in shell("render", index, "--split", "test", *SMALL, "-o", "none").error
    assert (
        "leaves none of 2 objects; they have: "
        in shell("render", index, "--license", "mit", *SMALL, "-o", "none").error
    )


def test_objaverse_with_captions_quality_and_licence(shell, objaverse_cache):
    folder = objaverse_cache
    cap3d(folder / "cap3d.csv")
    flags = {"is_multi_object": "false", "is_scene": "false", "is_transparent": "false"}
    (folder / "good.json").write_text(json.dumps([
        {"UID": CHAIR, "score": 3} | flags, {"UID": MUG, "score": 3} | flags, {"UID": GONE, "score": 0} | flags,
    ]))  # fmt: skip
    words = ["--objaverse", folder / "uids.txt", "--captions", folder / "cap3d.csv", "--quality", folder / "good.json"]
    assert rendered(shell("render", *words, *SMALL, "--json", "-o", "good")) == sorted([CHAIR, MUG])
    assert ViewSet.load(f"good/{CHAIR}").extra["captions"] == ['a wooden chair, "old", with arms']
    free = shell("render", *words, "--license", "cc-by", *SMALL, "--json", "-o", "free")
    assert rendered(free) == [CHAIR]
    lost = shell("render", "--objaverse", folder / "uids.txt", *SMALL, "-o", "all")
    assert f"left out {GONE}: cannot get {GONE} of Objaverse: no network" in lost.err


def test_captions_and_quality_by_the_names_of_plain_files(shell, meshes):
    """The lists need no Objaverse: ids are names of files, too."""
    (meshes / "captions.csv").write_text('chair,"a chair, red"\nother,thing\n')
    (meshes / "good.json").write_text(json.dumps([
        {"UID": "chair", "score": 2, "is_scene": "false"}, {"UID": "mug", "score": 3, "is_scene": "true"},
    ]))  # fmt: skip
    words = ["--captions", meshes / "captions.csv", "--quality", meshes / "good.json"]
    assert rendered(shell("render", "meshes", *words, *SMALL, "--json")) == ["chair"]
    assert ViewSet.load("views/chair").caption == "a chair, red"
    (meshes / "bad.json").write_text("{}")
    assert "bad.json is not a list" in shell("render", "meshes", "--quality", meshes / "bad.json", *SMALL).error


def test_hssd_s_folder_with_its_semantics(shell, meshes, tmp_path):
    for name in ("objects/0/0a1b.glb", "objects/0/0a1b.collider.glb", "objects/decomposed/0a1b/0a1b_part_1.glb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((meshes / "chair.glb").read_bytes())
    (tmp_path / "objects.csv").write_text("id,name,main_category\n0a1b,Red panel,panel\n")
    words = [tmp_path / "objects", "--semantics", tmp_path / "objects.csv"]
    assert rendered(shell("render", *words, *SMALL, "--json")) == ["0a1b"]
    about = ViewSet.load("views/0a1b").extra
    assert (about["captions"], about["category"], about["license"]) == (["Red panel"], "panel", "CC-BY-NC-4.0")
    assert "nothing to render" in shell("render", *words, "--license", "cc-by", *SMALL, "-o", "free").error


@pytest.fixture
def painted(tmp_path):
    """A box with a picture on it, as GLB, glTF with its buffer, OBJ with MTL and PNG; as plain PLY and STL."""
    folder = tmp_path / "here" / "painted"
    folder.mkdir()
    box = trimesh.creation.box((1, 0.8, 0.6))
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8))
    uv = np.random.default_rng(1).random((len(box.vertices), 2))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture, metallicFactor=0.0)
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    box.export(folder / "box.glb")
    (folder / "gltf").mkdir()
    for name, content in box.export(file_type="gltf").items():
        (folder / "gltf" / name.replace("model", "box")).write_bytes(content)
    (folder / "obj" / "maps").mkdir(parents=True)
    picture.save(folder / "obj" / "maps" / "paint.png")
    (folder / "obj" / "box.mtl").write_text("newmtl paint\nKd 1 1 1\nmap_Kd maps/paint.png\n")
    lines = ["mtllib box.mtl", *(f"v {x} {y} {z}" for x, y, z in box.vertices), *(f"vt {u} {v}" for u, v in uv)]
    lines += ["usemtl paint", *("f " + " ".join(f"{k + 1}/{k + 1}" for k in face) for face in box.faces)]
    (folder / "obj" / "box.obj").write_text("\n".join(lines) + "\n")
    for suffix in ("ply", "stl"):
        trimesh.Trimesh(box.vertices, box.faces).export(folder / f"box.{suffix}")
    return folder


def test_every_format_gives_the_same_views(shell, painted):
    files = {"glb": "box.glb", "gltf": "gltf/box.gltf", "obj": "obj/box.obj", "ply": "box.ply", "stl": "box.stl"}
    pictures = {}
    for kind, file in files.items():
        assert rendered(shell("render", painted / file, *SMALL, "--json", "-o", kind)) == ["box"]
        pictures[kind] = np.stack(ViewSet.load(f"{kind}/box").images).astype(int)
    assert pictures["glb"][..., :3].std() > 20
    for kind, views in pictures.items():
        assert np.abs(views[..., 3] - pictures["glb"][..., 3]).max() <= 2
        if kind in ("gltf", "obj"):
            assert np.abs(views - pictures["glb"]).max() <= 2


def test_meshes_in_a_zip_keep_their_materials_and_textures(shell, painted, tmp_path):
    with zipfile.ZipFile(tmp_path / "here" / "boxes.zip", "w") as archive:
        for file in sorted(path for kind in ("obj", "gltf") for path in (painted / kind).rglob("*.*")):
            archive.write(file, file.relative_to(painted))
        archive.write(painted / "box.glb", "box.glb")
    assert rendered(shell("render", "boxes.zip", *SMALL, "--json", "-o", "zip")) == ["box", "gltf_box", "obj_box"]
    true = np.stack(ViewSet.load("zip/box").images).astype(int)
    for name in ("gltf_box", "obj_box"):
        assert np.abs(np.stack(ViewSet.load(f"zip/{name}").images).astype(int) - true).max() <= 2
    (tmp_path / "here" / "index.jsonl").write_text('{"id": "one", "zip": "boxes.zip", "file": "obj/box.obj"}\n')
    assert rendered(shell("render", "index.jsonl", *SMALL, "--json", "-o", "index")) == ["one"]
    assert np.abs(np.stack(ViewSet.load("index/one").images).astype(int) - true).max() <= 2
    (tmp_path / "here" / "papers.zip").write_bytes((tmp_path / "here" / "boxes.zip").read_bytes()[:100])
    assert "cannot read papers.zip" in shell("render", "papers.zip", *SMALL).error
    with zipfile.ZipFile(tmp_path / "here" / "papers.zip", "w") as archive:
        archive.writestr("thesis.tex", "mine")
    assert "no mesh in papers.zip" in shell("render", "papers.zip", *SMALL).error


def test_fbx_by_blender_or_the_line_that_says_what_it_needs(shell, painted):
    from render import blender

    file = painted / "box.fbx"
    if not blender.available():
        file.write_bytes(b"Kaydara FBX Binary  \x00")
        assert "the blender engine is not installed" in shell("render", file, *SMALL).error
        return
    blender.start().ask({"convert": str(painted / "box.glb"), "kind": "gltf", "to": str(file)})
    with zipfile.ZipFile(painted / "box.zip", "w") as archive:
        archive.write(file, "deep/box.fbx")
    true = shell("render", painted / "box.glb", *SMALL, "--json", "-o", "glb")
    assert rendered(true) == ["box"]
    for place, name in ((file, "box"), (painted / "box.zip", "deep_box")):
        assert rendered(shell("render", place, *SMALL, "--json", "-o", name)) == [name]
        views, same = ViewSet.load(f"{name}/{name}").images, ViewSet.load("glb/box").images
        for ours, theirs in zip(views, same, strict=True):
            assert np.abs(ours[..., 3].astype(int) - theirs[..., 3]).max() <= 2


def test_lines_say_a_way_out(shell, tmp_path):
    (tmp_path / "note.txt").write_text("hello")
    assert "convert others to GLB" in shell("render", tmp_path / "note.txt", "-o", "none").error
    assert "look for a slip in the name" in shell("render", tmp_path / "gone.glb", "-o", "none").error
    (tmp_path / "empty").mkdir()
    error = shell("render", "--status", tmp_path / "empty").error
    assert error.endswith("give the folder that --out named")
    assert "Errno" not in error
    assert "does not exist" in shell("render", "--status", tmp_path / "nowhere").error


def test_lenient_renders_what_is_there_and_says_what_is_not(shell, tmp_path):
    (tmp_path / "a.obj").write_text("mtllib gone.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    assert "gone.mtl is missing" in shell("render", tmp_path / "a.obj", *SMALL, "-o", tmp_path / "out").error
    done = shell("render", tmp_path / "a.obj", "--lenient", *SMALL, "-o", tmp_path / "out")
    assert done.code == 0
    assert "gone.mtl is missing" in done.err
    record = json.loads((tmp_path / "out" / "manifest.jsonl").read_text().splitlines()[-1])
    assert "gone.mtl is missing" in record["notes"][0]
