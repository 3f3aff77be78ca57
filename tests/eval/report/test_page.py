"""The report: everything in one file, figures as in the table, pictures of the right objects, meshes that unpack."""

import base64
import io
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from eval import measure
from eval.benches import open_bench
from eval.measure import run
from eval.report.page import FACES, SIZE, Shown, error_map, of_result, of_sweep, write_report
from eval.result import Result
from eval.scoring import Scoring
from eval.sweep import run_sweep


@pytest.fixture(autouse=True)
def without_weights(monkeypatch):
    monkeypatch.setattr(measure, "_lpips", lambda net, weights: (None, ["no LPIPS <here>"]))


def test_error_map_is_white_where_right_and_darker_the_worse():
    truth = np.full((8, 8, 4), 255, np.uint8)
    view = truth.copy()
    view[:, 4:, :3] = 200
    view[:, 6:, :3] = 0
    shown = error_map(truth, view)[0, :, :3].astype(int).sum(-1)
    assert shown[0] == 765
    assert shown[0] > shown[4] > shown[6]


def test_a_report_holds_everything(tmp_path):
    bench = open_bench("demo", limit=1)
    (subject,) = bench.subjects
    result = run(replace(bench, name="gso"), "gt-views", out=tmp_path)  # a name that has quoted rows
    seen: list[tuple[int, int]] = []
    shown = of_result(result, tmp_path)
    path = write_report(
        tmp_path / "report.html", shown, published=True, progress=lambda done, of: seen.append((done, of))
    )
    page = path.read_text(encoding="utf-8")
    assert seen == [(1, 1)]
    assert not re.findall(r"https?://|@import|url\(", page)
    assert "{{title}}" not in page.split('<script id="viewer"')[0]
    assert "no LPIPS &lt;here&gt;" in page
    assert "ViewMask-1-to-3 (quoted)" in page
    assert result.protocol["object_hashes"][subject.id] in page
    assert f"{result.means['iou']:.3f}" in page
    # Truth, ours and the error: four pictures each, the true ones equal to ours.
    pictures = re.findall(r'data-elevation="30" src="data:image/webp;base64,([^"]+)"', page)
    assert len(pictures) == 12
    assert pictures[:4] == pictures[4:8]
    shown_picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[0]))).convert("RGB"))
    assert shown_picture.shape == (SIZE, SIZE, 3)
    assert (shown_picture < 240).any()
    error = np.asarray(Image.open(io.BytesIO(base64.b64decode(pictures[8]))).convert("RGB"))
    assert (error > 250).all()
    # Both meshes are there, asleep.
    meshes = re.findall(r'<script type="text/plain">([^<]+)</script>', page)
    assert len(meshes) == 2
    data = json.loads(zlib.decompress(base64.b64decode(meshes[0])))
    positions = np.frombuffer(base64.b64decode(data["positions"]), "<f4").reshape(-1, 3)
    faces = np.frombuffer(base64.b64decode(data["faces"]), "<u4").reshape(-1, 3)
    assert len(faces) <= FACES
    assert trimesh.Trimesh(positions, faces).extents == pytest.approx(np.ptp(subject.mesh().vertices, axis=0), abs=0.01)
    assert len(json.loads(re.findall(r'<script id="viewer" type="application/json">(.*?)</script>', page)[0])) > 1000


def test_names_cannot_break_the_page(tmp_path: Path):
    record = {"id": "</script><b>&", "psnr": 12.0, "beside": {}}
    protocol = {"bench": "<i>", "objects": "&", "truth": "drawn", "definitions": {"images": "a < b"}}
    protocol |= {"object_hashes": {"a_lamp": "0"}}
    result = Result("m", {"psnr": 12.0}, {"psnr": 1}, {}, [record], protocol, [])
    page = write_report(tmp_path / "r.html", [Shown("<m>", result)]).read_text()
    assert "<b>" not in page.split('<script id="viewer"')[0]
    assert "a &lt; b" in page
    assert "<dt>object hashes</dt><dd><dl><dt>a_lamp</dt>" in page


def test_a_sweep_has_a_report(tmp_path: Path):
    bench = open_bench("demo", limit=2)
    swept = run_sweep({"method": ["copy", "mirror"]}, bench, scoring=Scoring(meshes=False), out=tmp_path)
    page = write_report(tmp_path / "r.html", of_sweep(swept, tmp_path), swept).read_text()
    assert page.count("<article") == 2
    assert len(re.findall(r'src="data:image/webp', page)) == 2 * 3 * 4
    assert "method=mirror</th>" in page
    assert "of method=copy; the others differ" in page
    assert "paired" in page or "in pairs" in page
