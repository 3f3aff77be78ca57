"""The table of cases: what is right, what is wrong, and what is skipped."""

import sys

import numpy as np
import pytest
from PIL import Image

from studies import cases


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["cases", *map(str, arguments)])
        return cases.main(), capsys.readouterr().out

    return call


def test_absent_folders_are_skipped_with_a_line(run, tmp_path):
    code, text = run(tmp_path)
    assert code == 0
    assert text.count("skipped") == 3


def test_a_table_counts_and_a_wrong_row_is_exit_code_1(run, tmp_path, monkeypatch):
    (tmp_path / "meshes").mkdir()
    rows = [cases.Row("a", "red", "red", True), cases.Row("b", "red", "blue", False)]
    monkeypatch.setitem(cases.TABLES, "meshes", lambda folder: iter(rows))
    code, text = run(tmp_path, "--only", "meshes")
    assert (code, "1 of 2 right" in text, "WRONG b" in text) == (1, True, True)


def test_colours_are_looked_up_on_the_unit_square(tmp_path):
    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 0]]], np.uint8)
    Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(tmp_path / "a.png")
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd a.png\n")
    corners = "v -1 -1 0\nv 1 -1 0\nv 1 1 0\nv -1 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
    (tmp_path / "a.obj").write_text(f"mtllib a.mtl\n{corners}usemtl m\nf 1/1 2/2 3/3 4/4\n")
    (result,) = cases._rendered([tmp_path / "a.obj"]).values()
    samples = [[[0.3, 0.3], [255, 0, 0]], [[0.7, 0.3], [0, 255, 0]], [[0.3, 0.7], [0, 0, 255]], [[1.2, 0.5], None]]
    row = cases._by_samples("a", samples, "", result)
    assert row.right, row
    assert not cases._by_samples("a", [[[0.3, 0.3], [0, 255, 0]]], "", result).right


def test_a_refused_file_is_right_only_where_it_must_be(tmp_path):
    (tmp_path / "a.glb").write_bytes(b"rubbish")
    (result,) = cases._rendered([tmp_path / "a.glb"]).values()
    assert cases._by_samples("a", [["error"]], "", result).right
    assert not cases._by_samples("a", [[[0.5, 0.5], [255, 0, 0]]], "", result).right
