"""Consistency without a truth: true views rank above shuffled and above perturbed ones, each view by its own chance."""

import io
import json
from functools import cache

import numpy as np
import pytest
from rich.console import Console

from eval.consistency import NAMES, measure, score, table, to_csv, to_json
from render.demo import demo_objects
from render.raycast import render
from studies.consistency import variants
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

NAMED = ("car", "robot", "house")


@cache
def versions(index: int) -> dict[str, ViewSet]:
    """The true views of an object of `NAMED`, and what the bench makes of them."""
    cameras = orbit(4, size=128)
    return variants([ViewSet(render(demo_objects()[name].surface(), cameras), cameras) for name in NAMED], index)


@cache
def scores(version: str) -> list[dict[str, float]]:
    return [score(versions(index)[version]) for index in range(len(NAMED))]


def test_true_views_agree() -> None:
    for figures in scores("true views"):
        assert tuple(figures) == NAMES
        assert figures["silhouette_iou"] > 0.95
        assert figures["photo_psnr"] > 11


@pytest.mark.parametrize(
    ("version", "tells"),
    [
        ("views of other objects", NAMES[:2]),
        ("wrong order", NAMES[:2]),
        ("each shifted", NAMES[:2]),
        ("each recoloured", NAMES[1:2]),
        ("each blurred", NAMES[2:]),
    ],
)
def test_shuffled_and_perturbed_views_rank_below(version: str, tells: tuple[str, ...]) -> None:
    for figure in tells:
        true, other = ([figures[figure] for figures in scores(name)] for name in ("true views", version))
        assert sum(a > b for a, b in zip(true, other, strict=True)) >= 2, figure
        assert np.mean(true) > np.mean(other), figure


def test_views_with_nothing_in_common() -> None:
    pictures = [np.zeros((64, 64, 4), np.uint8) for _ in range(4)]
    for index, picture in enumerate(pictures):  # high in one, low in the other
        picture[slice(2, 12) if index % 2 else slice(52, 62), 20:40] = 255
    figures = score(ViewSet(pictures, orbit(4, size=64)))
    assert figures["silhouette_iou"] < 0.1
    assert figures["photo_psnr"] < 3  # white as they are: no hull is not as good as a white background


def test_folders_are_compared(tmp_path) -> None:
    for index, name in enumerate(NAMED[:2]):
        versions(index)["true views"].save(tmp_path / "true" / name)
        versions(index)["each shifted"].save(tmp_path / "shifted" / name)
    versions(0)["true views"].save(tmp_path / "elsewhere" / "deep" / "car")
    seen: list[tuple[int, int]] = []
    groups = measure(
        [tmp_path / "true", tmp_path / "shifted", tmp_path / "elsewhere"],
        lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (5, 5)
    assert groups[2].records[0] == groups[0].records[0] | {"id": "deep/car"}
    record = json.loads(json.dumps(to_json(groups)))["folders"]
    assert record[1]["differences"]["silhouette_iou"]["high"] < 0
    assert record[2]["differences"] == {}  # another name: nothing to pair
    lines = to_csv(groups).splitlines()
    assert len(lines) == 6
    assert lines[1].startswith(f"{tmp_path / 'true'},car,4,0.9")
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(table(groups))
    text = console.export_text()
    assert f"{groups[0].means['photo_psnr']:.2f}" in text
    assert f"{record[1]['differences']['photo_psnr']['low']:+.2f}…" in text


def test_an_empty_folder_is_said(tmp_path) -> None:
    with pytest.raises(ViewmaskError, match="no view set in"):
        measure([tmp_path])
    blank = ViewSet([np.zeros((32, 32, 4), np.uint8)] * 3, orbit(3, size=32))
    blank.save(tmp_path / "blank")
    with pytest.raises(ViewmaskError, match="blank: every view is empty"):
        measure([tmp_path])
