"""Orbits of many objects: layout, resume, broken meshes, workers, a kill in the middle."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from render import demo
from render.run import MANIFEST, RUN, render_orbits
from render.settings import Settings
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

ROOT = Path(__file__).parents[2]
SMALL = Settings(views=2, size=16)


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    demo.write(folder, ["chair", "house", "tree"])
    return folder


def times(out):
    return {path.name: (path / "transforms.json").stat().st_mtime_ns for path in out.iterdir() if path.is_dir()}


def test_an_object_becomes_a_folder_of_posed_views_with_its_description(meshes, tmp_path):
    seen = []
    settings = Settings(views=3, size=20, elevation=10, start=15)
    records = render_orbits(meshes, tmp_path / "out", settings, progress=lambda done, total: seen.append((done, total)))
    assert [(record["id"], record["status"], record["views"]) for record in records] == [
        ("chair", "ok", 3), ("house", "ok", 3), ("tree", "ok", 3),
    ]  # fmt: skip
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    views = ViewSet.load(tmp_path / "out" / "chair")
    assert [camera.azimuth for camera in views.cameras] == pytest.approx([15, 135, 255])
    assert [camera.elevation for camera in views.cameras] == pytest.approx([10] * 3)
    assert views.caption == "a red wooden chair with brown legs"
    assert views.extra["base"] == "demo-chair"
    assert (views.extra["light"], views.extra["engine"]) == ("none", "raycast")
    assert np.shape(views.extra["mesh_to_world"]) == (4, 4)
    assert all(image[..., 3].max() == 255 for image in views.images)
    lines = [json.loads(line) for line in (tmp_path / "out" / MANIFEST).read_text().splitlines()]
    assert lines == records
    assert all(0 < record["bytes"] < 10_000 and record["at"] > 1e9 for record in records)


def test_a_second_run_does_nothing_again(meshes, tmp_path):
    first = render_orbits(meshes, tmp_path, SMALL)
    before = times(tmp_path)
    assert render_orbits(meshes, tmp_path, SMALL) == first
    assert times(tmp_path) == before


def test_a_lost_folder_and_other_settings_are_rendered_again(meshes, tmp_path):
    render_orbits(meshes, tmp_path, SMALL)
    before = times(tmp_path)
    shutil.rmtree(tmp_path / "house")
    render_orbits(meshes, tmp_path, SMALL)
    after = times(tmp_path)
    assert [name for name in after if after[name] != before[name]] == ["house"]
    render_orbits(meshes, tmp_path, replace(SMALL, views=3))
    assert all(len(ViewSet.load(tmp_path / name)) == 3 for name in before)


def test_a_folder_that_is_not_ours_is_never_replaced(meshes, tmp_path):
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "diary.txt").write_text("dear")
    with pytest.raises(ViewmaskError, match="not made by viewmask"):
        render_orbits(meshes, tmp_path, SMALL)
    assert (tmp_path / "house" / "diary.txt").read_text() == "dear"


def test_broken_meshes_are_recorded_and_do_not_stop_the_run(meshes, tmp_path, make_glb):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "good.glb").write_bytes((meshes / "chair.glb").read_bytes())
    (folder / "nan.glb").write_bytes(make_glb([(0, 0, 0), (1, 0, float("nan")), (0, 1, 0)], [(0, 1, 2)]))
    (folder / "point.glb").write_bytes(make_glb([(1, 1, 1)] * 3, [(0, 1, 2)]))
    (folder / "line.glb").write_bytes(make_glb([(0, 0, 0), (0, 1, 0), (0, 2, 0)], [(0, 1, 2)]))
    (folder / "rubbish.glb").write_bytes(b"glTF rubbish")
    (folder / "empty.obj").write_text("v 0 0 0\n")
    records = {record["id"]: record for record in render_orbits(folder, tmp_path / "out", SMALL)}
    assert records.pop("good")["status"] == "ok"
    assert {record["status"] for record in records.values()} == {"failed"}
    reasons = {"nan": "not finite", "point": "no extent", "line": "nothing is seen", "rubbish": "cannot read"}
    for name, reason in reasons.items():
        assert reason in records[name]["reason"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good", MANIFEST, RUN]


def test_workers_render_the_same_bytes(meshes, tmp_path):
    settings = replace(SMALL, light="studio", seed=4, jitter=True)
    alone = render_orbits(meshes, tmp_path / "one", settings)
    many = render_orbits(meshes, tmp_path / "two", settings, workers=2)
    assert [record["id"] for record in many] == [record["id"] for record in alone]
    for file in sorted((tmp_path / "one").rglob("*.*")):
        if file.name not in (MANIFEST, RUN):
            assert file.read_bytes() == (tmp_path / "two" / file.relative_to(tmp_path / "one")).read_bytes()


def test_a_killed_run_goes_on_where_it_was_and_renders_nothing_twice(meshes, tmp_path):
    out = tmp_path / "out"
    program = textwrap.dedent(f"""
        from render import run
        from tests.render import deadly
        run.save_one = deadly.save_and_sleep
        run.render_orbits({str(meshes)!r}, {str(out)!r}, run.Settings(views=2, size=16))
    """)
    child = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    deadline = time.monotonic() + 300
    while not (out / "house" / "transforms.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    before = times(out)
    assert set(before) == {"chair", "house"}
    assert len((out / MANIFEST).read_text().splitlines()) == 1  # the house was drawn but not yet recorded
    records = render_orbits(meshes, out, SMALL)
    assert [(record["status"], record["views"]) for record in records] == [("ok", 2)] * 3
    assert before.items() <= times(out).items()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("sources", "options", "reason"),
    [
        (None, {"workers": 0}, "workers must be at least 1"),
        (None, {"shards": 0}, "a shard must hold at least 1 object"),
        ([], {}, "nothing to render"),
    ],
)
def test_an_impossible_run_is_refused_before_anything_is_written(meshes, tmp_path, sources, options, reason):
    with pytest.raises(ViewmaskError, match=reason):
        render_orbits(meshes if sources is None else sources, tmp_path / "out", SMALL, **options)
    assert not (tmp_path / "out").exists()
