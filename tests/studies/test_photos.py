"""A sheet of photos: what the command left, the lines that it told, and refusals."""

import json
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from PIL import Image

from studies import photos
from viewmask import ViewSet
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit

RED, GREEN, BLUE = (200, 30, 30, 255), (30, 160, 30, 255), (30, 30, 200, 255)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGBA", (40, 30), RED).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no photo")
    return tmp_path / "in"


def command(words, **_):
    """Stands for `viewmask generate`: a is made, b gets views but no mesh, c is refused."""
    photo, out = words[words.index("--image") + 1], words[words.index("--out") + 1]
    if photo.stem == "c":
        return subprocess.CompletedProcess(words, 2, "", "loading\nerror: the picture shows thin fragments\n")
    views = [np.full((32, 32, 4), GREEN, np.uint8)] * 4
    extra = {"making": {"cutout": "grabcut"}, "notes": ["views may repeat"]}
    ViewSet(views, orbit(4, size=32), extra).save(out)
    Image.new("RGBA", (40, 30), BLUE).save(out / "cutout.png")
    if photo.stem == "b":
        return subprocess.CompletedProcess(words, 2, "", "error: no mesh: the views are empty\n")
    box = trimesh.creation.box()
    box.visual.face_colors = RED
    box.export(out / "mesh.glb")
    record = {"samples": [{"notes": ["views may repeat", "the mesh is a guess"]}]}
    return subprocess.CompletedProcess(words, 0, json.dumps(record), "")


def test_a_sheet_and_its_table(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", command)
    monkeypatch.setattr(sys, "argv", ["photos", str(folder), "--out", str(tmp_path / "out")])
    photos.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    assert lines == [
        "| a | grabcut | views may repeat; the mesh is a guess |",
        "| b | grabcut | views may repeat; error: no mesh: the views are empty |",
        "| c | refused | error: the picture shows thin fragments |",
    ]
    sheet = np.asarray(Image.open(tmp_path / "out" / "photos.jpg")).astype(int)
    tile, columns = photos.TILE, len(photos.COLUMNS)
    rows = sheet[-3 * tile :, : tile * columns].reshape(3, tile, columns, tile, 3)
    middles = rows[:, tile // 2, :, tile // 2]
    for row, filled in ((0, 8), (1, 6), (2, 1)):
        for column, colour in enumerate([RED, BLUE, GREEN, GREEN, GREEN, GREEN][:filled]):
            assert np.abs(middles[row, column] - colour[:3]).max() < 25
        shown = (np.abs(rows[row] - 255) > 30).any(axis=(0, 2, 3))
        assert shown.tolist() == [column < filled for column in range(columns)]


def test_a_folder_that_is_not_empty_is_left_alone(folder, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("keep")
    monkeypatch.setattr(sys, "argv", ["photos", str(folder), "--out", str(tmp_path / "out")])
    with pytest.raises(ViewmaskError, match="not empty"):
        photos.main()


def test_folders_without_photos_and_names_twice(folder, tmp_path):
    with pytest.raises(ViewmaskError, match="no photo in"):
        photos.pictures(tmp_path)
    Image.new("RGB", (4, 4)).save(folder / "a.jpg")
    with pytest.raises(ViewmaskError, match="have one name"):
        photos.pictures(folder)


def test_a_crash_is_no_refusal(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda words, **_: subprocess.CompletedProcess(words, 1, "", "Traceback"))
    with pytest.raises(ViewmaskError, match="Traceback"):
        photos.Result.of(folder / "a.png", tmp_path / "out")
