"""Sheets from elsewhere: their cameras, and views put into a grid and taken out again."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

from recon.formats import SheetFormat
from recon.reconstructor import reconstruct
from recon.sheet import SHEETS, read, tiles
from viewmask.errors import ViewmaskError


def test_the_formats_by_name_are_those_that_are_read() -> None:
    assert get_args(SheetFormat) == tuple(SHEETS)


def test_cameras_are_those_of_the_papers() -> None:
    plus = SHEETS["zero123plus"].cameras
    assert [camera.azimuth for camera in plus] == pytest.approx([30, 90, 150, 210, 270, 330])
    assert [camera.elevation for camera in plus] == pytest.approx([20, -10, 20, -10, 20, -10])
    assert {round(camera.field_of_view, 6) for camera in plus} == {30}
    flat = SHEETS["mvadapter"].cameras
    assert [camera.azimuth for camera in flat] == pytest.approx([0, 45, 90, 180, 270, 315])
    # Near and far sides of the object look equally large, 1.1 units to the picture's width.
    for x in (-0.5, 0.5):
        pixels, _ = flat[0].project(np.array([[x, -0.55, 0.0], [x, 0.55, 0.0]]))
        assert pixels[:, 0] == pytest.approx([0, 768], abs=0.05)


def test_a_grid_is_read_row_by_row() -> None:
    grid = np.zeros((6, 4, 3), np.uint8)
    for index in range(6):
        row, column = divmod(index, 2)
        grid[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = index
    apart = tiles(grid, columns=2, rows=3)
    assert apart is not None
    assert [int(tile[0, 0, 0]) for tile in apart] == list(range(6))
    assert tiles(grid, columns=3, rows=2) is None
    assert tiles(np.zeros((4, 60, 3), np.uint8), columns=16, rows=1) is None


@pytest.mark.parametrize(("name", "grey"), [("zero123plus", 127), ("mvadapter", 255), ("syncdreamer", 255)])
def test_views_in_a_grid_become_the_shape_that_they_show(tmp_path: Path, pictures, name: str, grey: int) -> None:
    sheet = SHEETS[name]
    picture = Image.new("RGB", (sheet.columns * 48, sheet.rows * 48), (grey,) * 3)
    for index, camera in enumerate(sheet.cameras):
        tile = Image.fromarray(pictures(camera.resized(48, 48)), "RGBA")
        picture.paste(tile, (index % sheet.columns * 48, index // sheet.columns * 48), tile)
    picture.save(tmp_path / "grid.png")
    mesh = reconstruct(read(tmp_path / "grid.png", name), faces=1000, texture=32, resolution=40)
    low, high = mesh.geometry().bounds
    assert mesh.summary()["watertight"]
    np.testing.assert_allclose(low[:2], [-0.15, -0.4], atol=0.06)
    np.testing.assert_allclose(high[:2], [0.1, 0.3], atol=0.06)
    np.testing.assert_allclose([low[2], high[2]], [-0.3, 0.05], atol=0.15)  # nothing looks straight along z


def test_what_is_no_such_grid_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    with pytest.raises(ViewmaskError, match=r"is not a strip of 16 views .* but 60 x 40"):
        read(tmp_path / "a.png", "syncdreamer")
    with pytest.raises(ViewmaskError, match="choose zero123plus, mvadapter, syncdreamer"):
        read(tmp_path / "a.png", "wonder3d")
