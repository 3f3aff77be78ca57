"""Objects of Objaverse, through its real package and a small cache of the real form."""

import importlib.util

import pytest

from render import catalogue
from render.objaverse import from_uids
from render.run import render_orbits
from render.settings import Settings
from tests.conftest import CHAIR, GONE, cap3d
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet


def test_uids_of_objaverse_are_read_from_its_cache_with_licence_and_author(objaverse_cache):
    chair, mug, gone = from_uids(objaverse_cache / "uids.txt")
    assert (chair.id, chair.about["license"], chair.about["author"]) == (CHAIR, "by", "ann")
    assert chair.about["captions"] == ["Old chair"]
    sources = catalogue.captioned([chair, mug, gone], cap3d(objaverse_cache / "cap3d.csv"))
    records = render_orbits(sources, objaverse_cache / "out", Settings(views=1, size=16))
    assert [record["status"] for record in records] == ["ok", "ok", "failed"]
    assert "no network" in records[2]["reason"]
    views = ViewSet.load(objaverse_cache / "out" / CHAIR)
    assert views.extra["captions"] == ['a wooden chair, "old", with arms']
    assert views.extra["license"] == "by"
    assert [source.id for source in catalogue.licensed(sources, ["cc0", "cc-by"])] == [CHAIR, GONE]


def test_unknown_uids_and_a_missing_package_are_told(objaverse_cache, monkeypatch):
    (objaverse_cache / "uids.txt").write_text("no-such-uid\n")
    with pytest.raises(ViewmaskError, match="1 uids are not in Objaverse, the first is no-such-uid"):
        from_uids(objaverse_cache / "uids.txt")
    (objaverse_cache / "hf-objaverse-v1" / "object-paths.json.gz").unlink()
    with pytest.raises(ViewmaskError, match="cannot get Objaverse's index: no network"):
        from_uids(objaverse_cache / "uids.txt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ViewmaskError, match="pip install objaverse"):
        from_uids(objaverse_cache / "uids.txt")
