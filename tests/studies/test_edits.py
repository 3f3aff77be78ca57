"""A sheet of edits: two rows each, the box where it was drawn."""

import sys

import numpy as np
import pytest
from PIL import Image

from studies import edits
from viewmask import ViewSet
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit


def test_a_sheet_of_an_edit(tmp_path, monkeypatch):
    for name, shade in (("before", 200), ("after", 90)):
        images = [np.full((64, 64, 4), (shade, shade, shade, 255), np.uint8)] * 4
        ViewSet(images, orbit(4, size=64), {"caption": f"a {name} thing"}).save(tmp_path / name)
    words = ["edits", "--edit", str(tmp_path / "before"), str(tmp_path / "after"), "2:16,16,32,16"]
    monkeypatch.setattr(sys, "argv", [*words, "--out", str(tmp_path / "sheet.jpg")])
    edits.main()
    sheet = np.asarray(Image.open(tmp_path / "sheet.jpg")).astype(int)
    assert sheet.shape == (2 * edits.TILE, 5 * edits.TILE, 3)
    tiles = sheet.reshape(2, edits.TILE, 5, edits.TILE, 3).swapaxes(1, 2)[:, 1:]
    assert np.allclose(tiles.mean(axis=(2, 3, 4)), [[200, 200, 200, 200], [90] * 4], atol=12)
    blue = (tiles[..., 2] - tiles[..., 0] > 100).any(axis=(2, 3))
    assert blue.tolist() == [[False, False, True, False], [False] * 4]
    edge = np.flatnonzero((tiles[0, 2, ..., 2] - tiles[0, 2, ..., 0] > 100).any(axis=0))
    assert abs(edge[0] - 32) <= 2
    assert abs(edge[-1] - 95) <= 2


def test_what_is_no_region():
    assert edits.box_of("1,2,3,4") == (0, 1, 2, 3, 4)
    for wrong in ("1,2,3", "x:1,2,3,4", "mask.png"):
        with pytest.raises(ViewmaskError, match="is no region"):
            edits.box_of(wrong)
