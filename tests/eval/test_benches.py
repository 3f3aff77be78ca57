"""Benches: where data is looked for, what is said when it is missing, what the true views are."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh

from eval.benches import BENCHES, open_bench
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


def test_any_folder_of_meshes(tmp_path: Path, scans: Path) -> None:
    for i in range(3):
        (tmp_path / "mine" / "deep").mkdir(parents=True, exist_ok=True)
        trimesh.creation.icosphere(radius=1 + i).export(tmp_path / "mine" / "deep" / f"ball_{i}.ply")
    bench = open_bench(str(tmp_path / "mine"))
    assert [subject.id for subject in bench.subjects] == ["ball_0", "ball_1", "ball_2"]
    assert "our own renderings" in bench.truth
    assert len(open_bench(str(scans)).subjects) == 4  # an index: every split
    assert [subject.id for subject in open_bench(str(scans), split="train").subjects] == ["box_1"]
    with pytest.raises(ViewmaskError, match="no object of the split 'val'"):
        open_bench(str(tmp_path / "mine"), split="val")


@pytest.mark.parametrize("name", [name for name in BENCHES if name != "demo"])
def test_missing_data_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(ViewmaskError, match=f"no {name} data") as error:
        open_bench(name, tmp_path)
    assert "\n" not in str(error.value)
    assert "--data" in str(error.value)


def test_unknown_words() -> None:
    with pytest.raises(ViewmaskError, match=r"choose gso, 3d-future.*or name a folder"):
        open_bench("shapenet")
