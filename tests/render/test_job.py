"""One object: jitter as a pure function of seed and id, and a record whatever happens to the mesh."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from render import demo, job
from render.job import Variation, failure, render_one, save_one
from render.settings import Settings
from render.source import Source, find
from viewmask.errors import ViewmaskError

SMALL = Settings(views=2, size=16)


@pytest.fixture(scope="module")
def objects(tmp_path_factory):
    return find(demo.write(tmp_path_factory.mktemp("meshes"), ["chair", "house"]))


def test_jitter_depends_on_seed_and_id_alone(objects):
    first, second = objects
    settings = Settings(views=2, size=16, jitter=True, start="random", seed=5)
    once, again = render_one(first, settings), render_one(first, settings)
    assert np.array_equal(once.images, again.images)
    assert once.extra == again.extra
    assert once.cameras[0].azimuth == again.cameras[0].azimuth
    others = [
        render_one(second, settings),
        render_one(first, Settings(2, size=16, jitter=True, start="random", seed=6)),
    ]
    for other in others:
        assert other.cameras[0].azimuth != once.cameras[0].azimuth
        assert other.extra["stretch"] != once.extra["stretch"]


def test_jitter_stays_within_its_bounds_and_keeps_the_box_normalised(objects):
    chair = objects[0]
    lights = set()
    for seed in range(24):
        views = render_one(chair, Settings(views=1, size=8, jitter=True, seed=seed))
        assert all(0.8 <= factor <= 1.25 for factor in views.extra["stretch"])
        assert views.cameras[0].azimuth == 0
        light, strength = views.extra["light"], views.extra["strength"]
        low, high = (0.4, 0.8) if light == "uniform" else (0.5, 1.0)
        assert low <= strength <= high
        lights.add(light)
        corners = np.array(views.extra["mesh_to_world"])
        assert np.linalg.det(corners[:3, :3]) > 0
    assert lights == {"none", "uniform", "studio"}


def test_a_variation_is_what_it_was_when_the_first_sets_were_rendered():
    """Golden values: a run that was begun before must go on with the same pictures."""
    chair = Variation.of(3, "chair")
    assert (chair.light, chair.light_seed) == ("studio", 1761646790)
    assert [chair.start, chair.strength, chair.lamp] == pytest.approx([105.3336038, 0.9508830, 38.2516545], abs=1e-6)
    assert chair.stretch == pytest.approx([1.1903887, 1.0457775, 1.2123388], abs=1e-6)


def test_without_jitter_the_settings_light_stands_and_the_mesh_keeps_its_shape(objects):
    views = render_one(objects[0], Settings(views=1, size=8, light="uniform", strength=0.7, seed=5))
    assert (views.extra["light"], views.extra["strength"], views.extra["lamp"]) == ("uniform", 0.7, None)
    assert "stretch" not in views.extra


def test_the_record_of_an_object_counts_views_and_bytes(objects, tmp_path):
    record = save_one(objects[0], tmp_path, SMALL)
    files = list((tmp_path / "chair").iterdir())
    assert record.pop("seconds") > 0
    assert record == {
        "id": "chair", "status": "ok", "views": 2, "bytes": sum(file.stat().st_size for file in files),
        "settings": SMALL.digest,
    }  # fmt: skip


def test_a_failure_is_recorded_with_its_reason_and_the_notes_of_the_error(tmp_path):
    class Broken(Source):
        def read(self):
            error = ViewmaskError("it broke")
            error.add_note("the last words")
            raise error

    class Odd(Source):
        def read(self):
            raise IndexError("no such corner")

    broken, odd = save_one(Broken("a", tmp_path), tmp_path, SMALL), save_one(Odd("b", tmp_path), tmp_path, SMALL)
    assert (broken["status"], broken["reason"], broken["stderr"]) == ("failed", "it broke", "the last words")
    assert (odd["status"], odd["reason"]) == ("failed", "IndexError: no such corner")
    assert "stderr" not in odd
    assert odd["settings"] == SMALL.digest
    assert failure(odd_source := Odd("b", tmp_path), SMALL, "why") == {
        "id": odd_source.id, "status": "failed", "reason": "why", "settings": SMALL.digest,
    }  # fmt: skip


def test_a_failure_on_a_full_disk_is_not_laid_on_the_mesh(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(2**30, 2**30, job.DISK_MARGIN - 1))
    with pytest.raises(ViewmaskError, match="is full"):
        save_one(Source("gone", tmp_path / "gone.glb"), tmp_path, SMALL)


def test_what_an_object_lacks_is_a_failure_or_a_note_of_its_record(tmp_path):
    (tmp_path / "a.obj").write_text("mtllib gone.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    (source,) = find(tmp_path / "a.obj")
    record = save_one(source, tmp_path, SMALL)
    assert (record["status"], "gone.mtl is missing" in record["reason"]) == ("failed", True)
    record = save_one(source, tmp_path, Settings(views=2, size=16, lenient=True))
    assert record["status"] == "ok"
    assert "gone.mtl is missing" in record["notes"][0]
    assert render_one(source, Settings(views=2, size=16, lenient=True)).extra["notes"] == record["notes"]
