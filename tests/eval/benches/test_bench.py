"""Benches: where data is looked for, what is said when it is missing, what the true views are."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from eval.benches.bench import BENCHES, open_bench
from viewmask.errors import ViewmaskError


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


def test_hashes_follow_the_content(scans: Path) -> None:
    before = [subject.sha256 for subject in open_bench("scans", scans).subjects]
    assert len(set(before)) == 3
    assert before == [subject.sha256 for subject in open_bench("scans", scans).subjects]


def test_where_data_is_looked_for(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VIEWMASK_DATA", raising=False)
    with pytest.raises(ViewmaskError, match=r"no scans data in data/scans: put there index.jsonl.*--data"):
        open_bench("scans")
    assert open_bench("scans", tmp_path).subjects  # the folder that holds it
    monkeypatch.setenv("VIEWMASK_DATA", str(tmp_path))
    assert open_bench("scans").subjects
    monkeypatch.delenv("VIEWMASK_DATA")
    (tmp_path / "data").mkdir()
    scans.rename(tmp_path / "data" / "scans")
    assert open_bench("scans").subjects


def test_3d_future_in_its_own_layout(tmp_path: Path) -> None:
    folder = tmp_path / "3D-FUTURE-model"
    listed = []
    for i, (name, file) in enumerate([("b-02", "normalized_model.obj"), ("a-01", "raw_model.obj"), ("c-03", "")]):
        listed.append({"model_id": name, "super-category": "Chair", "category": "Lounge Chair" if i == 0 else None})
        if file:
            (folder / name).mkdir(parents=True)
            mesh = trimesh.creation.box((1, 2, 0.5))  # twice as high as wide: +Y is up
            mesh.export(folder / name / file)
    (folder / "model_info.json").write_text(json.dumps(listed))
    bench = open_bench("3d-future", folder)
    assert [subject.id for subject in bench.subjects] == ["a-01", "b-02"]
    assert [subject.caption for subject in bench.subjects] == ["chair", "lounge chair"]
    assert bench.notes == ("1 of the 3 models that model_info.json lists are not there",)
    (folder / "a-01" / "texture.png").write_bytes(b"another texture is another object")
    again = open_bench("3d-future", folder).subjects
    assert [a.sha256 == b.sha256 for a, b in zip(bench.subjects, again, strict=True)] == [False, True]
    front = bench.subjects[1].views(2).images[0][..., 3] > 127
    assert np.ptp(np.flatnonzero(front.any(axis=1))) > 1.4 * np.ptp(np.flatnonzero(front.any(axis=0)))
    (folder / "model_info.json").write_text("{")
    with pytest.raises(ViewmaskError, match="fetch it again"):
        open_bench("3d-future", folder)
    (folder / "model_info.json").write_text(json.dumps([{"model_id": "d-04"}]))
    with pytest.raises(ViewmaskError, match="holds none"):
        open_bench("3d-future", folder)


def test_any_folder_of_meshes(tmp_path: Path, scans: Path) -> None:
    for i in range(3):
        (tmp_path / "mine" / "deep").mkdir(parents=True, exist_ok=True)
        trimesh.creation.icosphere(radius=1 + i).export(tmp_path / "mine" / "deep" / f"ball_{i}.ply")
    bench = open_bench(str(tmp_path / "mine"))
    assert [subject.id for subject in bench.subjects] == ["ball_0", "ball_1", "ball_2"]
    assert "our own renderings" in bench.truth
    assert len(open_bench(str(scans)).subjects) == 4  # an index: every split


@pytest.mark.parametrize("name", [name for name in BENCHES if name != "demo"])
def test_missing_data_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ViewmaskError, match=f"no {name} data") as error:
        open_bench(name, tmp_path)
    assert "\n" not in str(error.value)
    assert "--data" in str(error.value)


def test_unknown_words() -> None:
    with pytest.raises(ViewmaskError, match=r"choose gso, 3d-future.*or name a folder"):
        open_bench("shapenet")


def test_demo_needs_no_data() -> None:
    bench = open_bench("demo", limit=2)
    assert len(bench.subjects) == 2
    for subject in bench.subjects:
        assert subject.caption
        assert subject.mesh is not None
        assert np.ptp(np.asarray(subject.mesh().vertices), axis=0).max() == pytest.approx(1, abs=1e-5)
        assert all((image[..., 3] > 127).mean() > 0.03 for image in subject.views(2).images)
    assert [a.sha256 for a in bench.subjects] == [b.sha256 for b in open_bench("demo", limit=2).subjects]
