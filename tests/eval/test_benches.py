"""Benches: where data is looked for, what is said when it is missing, what the true views are."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from eval.benches import BENCHES, open_bench
from viewmask.errors import ViewmaskError


def picture(value: int) -> Image.Image:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[100:150, 90:140] = (value, 20, 30, 255)
    return Image.fromarray(pixels, "RGBA")


@pytest.fixture
def gso(tmp_path: Path) -> Path:
    """Two objects laid out as the real bench: `cup` with true views, `brick` with a mesh only."""
    folder = tmp_path / "gso"
    (folder / "cup" / "views").mkdir(parents=True)
    (folder / "brick").mkdir()
    views = []
    for i in range(16):
        name = f"cup/views/{i:03d}.png"
        picture(10 * i).save(folder / name)
        views.append({"file": name, "azimuth": 22.5 * i, "elevation": 30.0})
    # As the scans: metres, +Z up; twice as high as wide once in the world.
    mesh = trimesh.creation.box((0.1, 0.1, 0.2))
    mesh.export(folder / "brick" / "mesh.glb")
    to_world = np.diag([5.0, 5.0, 5.0, 1.0]).tolist()
    objects = {
        "cup": {"mesh": None, "mesh_to_world": None, "in_gso30": True, "views": views},
        "brick": {"mesh": "brick/mesh.glb", "mesh_to_world": to_world, "in_gso30": False, "views": []},
    }
    cameras = {
        "width": 256,
        "height": 256,
        "focal_px": 280.0,
        "cx": 128.0,
        "cy": 128.0,
        "distance": 1.5,
        "elevation": 30.0,
    }
    (folder / "cameras.json").write_text(json.dumps({"cameras": cameras, "objects": objects}))
    return folder


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Four boxes in a zip, three of them in `val`."""
    folder = tmp_path / "scans"
    folder.mkdir()
    lines = []
    with zipfile.ZipFile(folder / "boxes.zip", "w") as archive:
        for i, split in enumerate(["val", "train", "val", "val"]):
            content = io.BytesIO(trimesh.creation.box((1, 0.2 + 0.2 * i, 0.5)).export(file_type="glb"))
            archive.writestr(f"box_{i}.glb", content.getvalue())
            lines.append(
                {"id": f"box_{i}", "zip": "boxes.zip", "file": f"box_{i}.glb", "split": split, "captions": ["a box"]}
            )
    (folder / "index.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_true_views_of_gso(gso: Path) -> None:
    bench = open_bench("gso", gso)
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


def test_other_objects_of_gso_are_rendered_in_their_own_frame(gso: Path) -> None:
    bench = open_bench("gso", gso, subset="others")
    assert "renderings, unlit" in bench.truth
    brick = bench.subjects[0]
    assert brick.mesh is not None
    # The scan's own +Z stays up: no glTF turn, the matrix as it stands.
    assert np.ptp(np.asarray(brick.mesh().vertices), axis=0) == pytest.approx([0.5, 0.5, 1.0])
    front = brick.views(4).images[0][..., 3] > 127
    assert np.ptp(np.flatnonzero(front.any(axis=1))) > 1.5 * np.ptp(np.flatnonzero(front.any(axis=0)))


def test_only_the_split_asked_for(scans: Path) -> None:
    bench = open_bench("scans", scans)
    assert [subject.id for subject in bench.subjects] == ["box_0", "box_2", "box_3"]
    assert bench.subjects[0].caption == "a box"
    assert [subject.id for subject in open_bench("scans", scans, split="train").subjects] == ["box_1"]
    views = bench.subjects[0].views(4)
    assert all(image.shape == (256, 256, 4) and image[128, 128, 3] == 255 for image in views.images)
    with pytest.raises(ViewmaskError, match="no object of the split 'test'"):
        open_bench("scans", scans, split="test")


def test_light_changes_the_pictures_and_is_said(scans: Path) -> None:
    unlit, lit = (open_bench("scans", scans, light=light) for light in ("none", "uniform"))
    assert "unlit" in unlit.truth
    assert "uniform light" in lit.truth
    a, b = (bench.subjects[0].views(2).images[0] for bench in (unlit, lit))
    assert np.array_equal(a[..., 3], b[..., 3])
    assert a[128, 128, 0] > b[128, 128, 0]


def test_limit_spreads_evenly(scans: Path) -> None:
    bench = open_bench("scans", scans, limit=2)
    assert [subject.id for subject in bench.subjects] == ["box_0", "box_2"]
    assert "2 of 3" in bench.title
    assert len(open_bench("scans", scans, limit=9).subjects) == 3
    with pytest.raises(ViewmaskError, match="at least one"):
        open_bench("scans", scans, limit=0)


def test_hashes_follow_the_content(scans: Path, gso: Path) -> None:
    before = [subject.sha256 for subject in open_bench("scans", scans).subjects]
    assert len(set(before)) == 3
    assert before == [subject.sha256 for subject in open_bench("scans", scans).subjects]
    cup = open_bench("gso", gso).subjects[0].sha256
    picture(255).save(gso / "cup" / "views" / "004.png")
    assert open_bench("gso", gso).subjects[0].sha256 != cup


def test_where_data_is_looked_for(gso: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIEWMASK_DATA", raising=False)
    with pytest.raises(ViewmaskError, match=r"no gso data in data/gso: put there cameras.json.*HarmonyView.*--data"):
        open_bench("gso")
    assert open_bench("gso", tmp_path).subjects  # the folder that holds it
    monkeypatch.setenv("VIEWMASK_DATA", str(tmp_path))
    assert open_bench("gso").subjects
    monkeypatch.delenv("VIEWMASK_DATA")
    (tmp_path / "data").mkdir()
    gso.rename(tmp_path / "data" / "gso")
    assert open_bench("gso").subjects


@pytest.mark.parametrize("name", [name for name in BENCHES if name != "demo"])
def test_missing_data_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ViewmaskError, match=f"no {name} data") as error:
        open_bench(name, tmp_path)
    assert "\n" not in str(error.value)
    assert "--data" in str(error.value)


def test_unknown_words(gso: Path) -> None:
    with pytest.raises(ViewmaskError, match="choose gso, objects"):
        open_bench("shapenet")
    with pytest.raises(ViewmaskError, match="gso30, others, meshes"):
        open_bench("gso", gso, subset="all")


@pytest.mark.parametrize("content", ["", "[]", '{"cameras": {}, "objects": {"a": {}}}'])
def test_a_damaged_list_is_said(content: str, tmp_path: Path) -> None:
    (tmp_path / "cameras.json").write_text(content)
    with pytest.raises(ViewmaskError, match="fetch the folder again"):
        open_bench("gso", tmp_path)


def test_demo_needs_no_data() -> None:
    bench = open_bench("demo", limit=2)
    assert len(bench.subjects) == 2
    for subject in bench.subjects:
        assert subject.caption
        assert subject.mesh is not None
        assert np.ptp(np.asarray(subject.mesh().vertices), axis=0).max() == pytest.approx(1, abs=1e-5)
        assert all((image[..., 3] > 127).mean() > 0.03 for image in subject.views(2).images)
    assert [a.sha256 for a in bench.subjects] == [b.sha256 for b in open_bench("demo", limit=2).subjects]
