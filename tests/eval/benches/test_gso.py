"""The GSO bench: both layouts give the same objects in the same frame; the packaged manifest is the data's."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from eval.benches import gso, open_bench
from tests.conftest import SHARED
from viewmask.errors import ViewmaskError

DATA = SHARED / "gso"
TURN = np.array([[0.0, -5, 0, 0], [5, 0, 0, 0], [0, 0, 5, -0.5], [0, 0, 0, 1]])  # yaw 90, 5 units a metre


def picture(value: int) -> Image.Image:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[100:150, 90:140] = (value, 20, 30, 255)
    return Image.fromarray(pixels, "RGBA")


def brick() -> trimesh.Trimesh:
    """A scan as Google ships it: metres, +Z up, standing on the ground; red towards its front, -Y."""
    mesh = trimesh.creation.box((0.05, 0.1, 0.2)).apply_translation((0, 0, 0.1))
    uv = np.zeros((len(mesh.vertices), 2))
    image = Image.new("RGB", (8, 8), (250, 40, 40))
    material = trimesh.visual.material.SimpleMaterial(image=image, diffuse=(255, 255, 255))
    mesh.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    return mesh


@pytest.fixture(autouse=True)
def small_manifest(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Two objects: `cup`, one of the thirty, and `brick`."""
    if "real" in request.node.name:
        return
    views = [[f"views/{i:03d}.png", 22.5 * i] for i in range(16)]
    content = gso.manifest() | {
        "objects": {
            "cup": {"gso_id": "A_Cup", "gso30": True, "yaw": 90.0, "mesh_to_world": TURN.tolist(), "views": views,
                    "sha256": {}},
            "brick": {"gso_id": "A_Brick", "gso30": False, "yaw": 90.0, "mesh_to_world": TURN.tolist(), "views": [],
                      "sha256": {}},
        },
        "vivid100": ["A_Brick"],
    }  # fmt: skip
    monkeypatch.setattr(gso, "manifest", lambda: content)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "gso"
    (folder / "cup" / "views").mkdir(parents=True)
    (folder / "brick").mkdir()
    for i in range(16):
        picture(10 * i).save(folder / "cup" / "views" / f"{i:03d}.png")
    brick().export(folder / "brick" / "mesh.glb")
    return folder


@pytest.fixture
def googles(tmp_path: Path) -> Path:
    folder = tmp_path / "download"
    for name in ("A_Cup", "A_Brick"):
        (folder / name / "meshes").mkdir(parents=True)
        (folder / name / "materials" / "textures").mkdir(parents=True)
        text, files = trimesh.exchange.obj.export_obj(brick(), return_texture=True, mtl_name="model.mtl")
        (folder / name / "meshes" / "model.obj").write_text(text)
        for file, content in files.items():
            # As in Google's download, the texture does not lie where the MTL looks for it.
            place = "meshes" if file.endswith(".mtl") else "materials/textures"
            (folder / name / place / file).write_bytes(content)
    return folder


def test_true_views(ours: Path) -> None:
    bench = open_bench("gso", ours)
    assert [subject.id for subject in bench.subjects] == ["cup"]
    assert "SyncDreamer" in bench.truth
    cup = bench.subjects[0]
    assert cup.mesh is None
    four = cup.views(4)
    assert [round(camera.azimuth, 6) for camera in four.cameras] == [0, 90, 180, 270]
    assert [int(image[120, 120, 0]) for image in four.images] == [0, 40, 80, 120]
    camera = four.cameras[1]
    assert (camera.fl_x, camera.fl_y, camera.cx, camera.cy) == (280, 280, 128, 128)
    assert camera.elevation == pytest.approx(30)
    assert camera.distance == pytest.approx(1.5)
    assert len(cup.views(8)) == 8
    with pytest.raises(ViewmaskError, match="2, 4, 8 or 16"):
        cup.views(3)
    before = cup.sha256
    picture(255).save(ours / "cup" / "views" / "004.png")
    assert open_bench("gso", ours).subjects[0].sha256 != before


def test_both_layouts_give_the_same_object_in_the_same_frame(ours: Path, googles: Path) -> None:
    a = open_bench("gso", ours, subset="others").subjects
    b = open_bench("gso", googles, subset="others").subjects
    assert [subject.id for subject in a] == [subject.id for subject in b] == ["brick"]
    assert a[0].mesh is not None
    assert b[0].mesh is not None
    # The scan's own +Z stays up and the yaw is the manifest's: 0.1 m of the scan's y lie along the world's x.
    for mesh in (a[0].mesh(), b[0].mesh()):
        assert np.ptp(np.asarray(mesh.vertices), axis=0) == pytest.approx([0.5, 0.25, 1.0], abs=1e-5)
    views = [subjects[0].views(2).images[0].astype(int) for subjects in (a, b)]
    assert np.abs(views[0] - views[1]).max() <= 2  # JPEG or PNG, glTF or OBJ
    assert tuple(views[1][128, 128, :3]) == pytest.approx((250, 40, 40), abs=4)  # the texture was found


def test_another_texture_is_another_object(googles: Path) -> None:
    def hashes() -> list[str]:
        return [open_bench("gso", googles, subset=subset).subjects[0].sha256 for subset in ("others", "vivid100")]

    before = hashes()
    [texture] = (googles / "A_Brick" / "materials" / "textures").iterdir()
    texture.write_bytes(texture.read_bytes() + b" ")
    assert not set(before) & set(hashes())


def test_googles_layout_has_no_true_views(googles: Path) -> None:
    bench = open_bench("gso", googles)
    assert "our own renderings" in bench.truth
    assert "no true views" in bench.title
    assert [subject.id for subject in bench.subjects] == ["cup"]


def test_lists_of_names(googles: Path) -> None:
    listed = open_bench("gso", googles, subset="vivid100").subjects
    assert [subject.id for subject in listed] == ["A_Brick"]
    everything = open_bench("gso", googles, subset="all").subjects
    assert [subject.id for subject in everything] == ["A_Brick", "A_Cup"]
    # Seen from the scan's own front, which faces -Y: 0.05 m wide, 0.1 m deep, 0.2 m high.
    assert everything[0].mesh is not None
    assert np.ptp(np.asarray(everything[0].mesh().vertices), axis=0) == pytest.approx([0.5, 0.25, 1.0], abs=1e-5)


def test_missing_objects_are_named(ours: Path, googles: Path, tmp_path: Path) -> None:
    (ours / "cup" / "views" / "015.png").unlink()
    with pytest.raises(ViewmaskError, match=r"the bench lacks 1 object in .*\(cup\).*HarmonyView"):
        open_bench("gso", ours)
    with pytest.raises(ViewmaskError, match=r"\(A_Brick\)"):
        open_bench("gso", ours, subset="vivid100")
    with pytest.raises(ViewmaskError, match="no object in Google's own layout"):
        open_bench("gso", ours, subset="all")
    with pytest.raises(ViewmaskError, match="no gso data in"):
        open_bench("gso", tmp_path / "nowhere")
    with pytest.raises(ViewmaskError, match="gso30, others, meshes, vivid100, all"):
        open_bench("gso", googles, subset="100")


def test_another_scan_under_the_same_name_is_refused(googles: Path) -> None:
    model = googles / "A_Brick" / "meshes" / "model.obj"
    trimesh.creation.box((0.5, 0.5, 0.5)).export(model)
    subject = open_bench("gso", googles, subset="others").subjects[0]
    with pytest.raises(ViewmaskError, match="not the scan that the bench means"):
        subject.views(2)


def test_changed_files_are_noted(ours: Path) -> None:
    file = ours / "brick" / "mesh.glb"
    gso.manifest()["objects"]["brick"]["sha256"]["mesh.glb"] = hashlib.sha256(file.read_bytes()).hexdigest()
    assert open_bench("gso", ours, subset="others").notes == ()
    file.write_bytes(file.read_bytes() + b" ")
    assert "brick/mesh.glb" in open_bench("gso", ours, subset="others").notes[0]


def test_real_manifest_is_complete() -> None:
    content = gso.manifest()
    objects = content["objects"]
    assert sum(about["gso30"] for about in objects.values()) == 30
    assert sum(about["mesh_to_world"] is not None for about in objects.values()) == 48
    assert len(objects) == 50
    assert len(set(content["vivid100"])) == 100
    for about in objects.values():
        assert len(about["views"]) == (16 if about["gso30"] else 0)
        if about["mesh_to_world"]:
            matrix = np.array(about["mesh_to_world"])[:3, :3]
            scale = np.linalg.det(matrix) ** (1 / 3)
            assert matrix @ matrix.T / scale**2 == pytest.approx(np.eye(3), abs=1e-6)
            turn = np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])) % 360
            assert abs((turn - about["yaw"] + 180) % 360 - 180) < 1e-3


@pytest.mark.skipif(not (DATA / "cameras.json").is_file(), reason="needs ../shared/data/gso")
def test_real_manifest_is_the_datas() -> None:
    assert gso.differing_files(DATA) == []
    objects = json.loads((DATA / "cameras.json").read_text())["objects"]
    assert set(objects) == set(gso.manifest()["objects"])
    for name, about in objects.items():
        assert gso.manifest()["objects"][name]["gso_id"] == about["gso_id"]
        assert gso.manifest()["objects"][name]["mesh_to_world"] == about["mesh_to_world"]
