from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from recon.page import page, write_page
from recon.reconstructor import reconstruct
from viewmask.views.viewset import ViewSet


@pytest.fixture(scope="module")
def mesh(bar_views):
    return reconstruct(bar_views, faces=600, texture=64, resolution=24)


def _data(page: str):
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_page_holds_everything(mesh, bar_views, tmp_path):
    page = write_page(mesh, bar_views, tmp_path / "page.html", title="A bar").read_text(encoding="utf-8")
    assert not re.findall(r"https?://|src=|@import|url\(", page)
    assert "{{" not in page
    assert "<title>A bar</title>" in page
    data = _data(page)
    assert len(data["views"]) == 4
    assert [view["azimuth"] for view in data["views"]] == [0, 90, 180, 270]
    assert all(view["picture"].startswith("data:image/webp;base64,") for view in data["views"])


def test_page_holds_the_mesh(mesh, bar_views, tmp_path):
    data = _data(write_page(mesh, bar_views, tmp_path / "page.html").read_text(encoding="utf-8"))

    def array(name, kind, columns):
        return np.frombuffer(base64.b64decode(data[name]), kind).reshape(-1, columns)

    positions, faces = array("positions", "<f4", 3), array("faces", "<u4", 3)
    shown = trimesh.Trimesh(positions, faces, process=True, merge_tex=True)
    assert shown.volume == pytest.approx(mesh.geometry().volume, rel=1e-4)
    assert len(array("uv", "<f4", 2)) == len(array("normals", "<i1", 3)) == len(positions)


def test_texts_cannot_break_the_page(mesh, bar_views, tmp_path):
    views = ViewSet(bar_views.images, bar_views.cameras, {"caption": "</script><b>&"})
    page = write_page(mesh, views, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>&lt;/script&gt;&lt;b&gt;&amp;</title>" in page
    assert page.count("</script>") == 2


def test_what_people_should_know_stands_on_the_page(mesh, bar_views):
    told = ViewSet(bar_views.images, bar_views.cameras, {"notes": ["the views agree to 40% </script>", "both"]})
    page_text = page(replace(mesh, notes=("the mesh is in 3 pieces", "both")), told)
    assert _data(page_text)["notes"] == ["the views agree to 40% </script>", "both", "the mesh is in 3 pieces"]
    assert page_text.count("</script>") == 2
    odd = ViewSet(bar_views.images, bar_views.cameras, {"notes": "no list"})
    assert _data(page(mesh, odd))["notes"] == list(mesh.notes)
    assert _data(page(mesh))["views"] == []
