"""Views that the generator made: view 0 and the points stay, what fits no orbit is left out, nothing is made twice."""

import sys

import numpy as np
import pytest

from studies import synthetic
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


@pytest.fixture
def views(tmp_path):
    """Two view sets with points: eight views of an even orbit, and the same too far away."""
    rows, columns = np.mgrid[:64, :64]
    disc = (rows - 32) ** 2 + (columns - 32) ** 2 < 300
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[disc] = (200, 60, 40, 255)
    for name, distance, split in (("ball", 1.5, "train"), ("far", 3.0, "train"), ("kept", 1.5, "val")):
        cameras = orbit(8, size=64, distance=distance, start=20)
        folder = ViewSet([picture] * 8, cameras, {"split": split}).save(tmp_path / "views" / name)
        points = np.zeros((4, 3), np.float16)
        np.savez(folder / "passes.npz", points=points, inside=points[:, 0] > 0, colours=np.zeros((2, 3), np.uint8))
    return tmp_path / "views"


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["synthetic.py", *map(str, arguments)])
    synthetic.main()


def test_view_0_and_the_points_stay_and_the_others_are_made(views, tmp_path, monkeypatch, capsys):
    out = tmp_path / "synthetic"
    run(monkeypatch, views, "--out", out, "--split", "train", "--steps", 2)
    assert sorted(place.name for place in out.iterdir()) == ["ball"]
    assert "left out far" in capsys.readouterr().err
    before, after = ViewSet.load(views / "ball"), ViewSet.load(out / "ball")
    assert len(after) == 4
    assert np.array_equal(after.images[0], before.images[0])
    assert any(not np.array_equal(after.images[i], before.images[2 * i]) for i in (1, 2, 3))
    assert [round(camera.azimuth) for camera in after.cameras] == [20, 110, 200, 290]
    assert after.extra["weights"]
    with np.load(out / "ball" / "passes.npz") as arrays:
        assert sorted(arrays) == ["colours", "inside", "points"]
    before = {place: place.stat().st_mtime_ns for place in out.rglob("*")}
    run(monkeypatch, views, "--out", out, "--split", "train", "--steps", 2)
    assert "0 objects made" in capsys.readouterr().out
    assert before == {place: place.stat().st_mtime_ns for place in out.rglob("*")}
