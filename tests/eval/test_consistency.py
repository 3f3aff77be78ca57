"""Consistency without a truth: true views rank above shuffled and above perturbed ones, each view by its own chance."""

import io
import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from rich.console import Console
from scipy.ndimage import gaussian_filter

from eval.consistency import NAMES, measure, score, table, to_csv, to_json
from render.demo import demo_objects
from render.raycast import render
from viewmask.camera import orbit
from viewmask.errors import ViewmaskError
from viewmask.viewset import Picture, ViewSet

Perturb = Callable[[Picture, np.random.Generator], Picture]


@cache
def true_views(name: str) -> ViewSet:
    cameras = orbit(4, size=128)
    return ViewSet(render(demo_objects()[name].surface(), cameras), cameras)


def shifted(picture: Picture, rng: np.random.Generator) -> Picture:
    return np.roll(picture, rng.choice([-8, -5, 5, 8], 2), (0, 1))


def recoloured(picture: Picture, rng: np.random.Generator) -> Picture:
    gain = np.append(rng.uniform(0.4, 1.4, 3), 1)
    return np.clip(picture * gain, 0, 255).astype(np.uint8)


def blurred(picture: Picture, rng: np.random.Generator) -> Picture:
    sigma = rng.uniform(0.5, 4)
    alpha = picture[..., 3:] / 255
    wide = gaussian_filter(alpha, (sigma, sigma, 0))
    colour = gaussian_filter(picture[..., :3] * alpha, (sigma, sigma, 0)) / np.maximum(wide, 1e-3)
    return np.concatenate([np.clip(colour, 0, 255), 255 * wide], axis=-1).round().astype(np.uint8)


def each(views: ViewSet, change: Perturb) -> ViewSet:
    rng = np.random.default_rng(0)
    return ViewSet([change(picture, rng) for picture in views.images], views.cameras)


NAMED = ("car", "robot", "house")


@cache
def true_scores() -> list[dict[str, float]]:
    return [score(true_views(name)) for name in NAMED]


def test_true_views_agree() -> None:
    for figures in true_scores():
        assert tuple(figures) == NAMES
        assert figures["silhouette_iou"] > 0.95
        assert figures["photo_psnr"] > 11


@pytest.mark.parametrize(("change", "tells"), [(shifted, NAMES[:2]), (recoloured, NAMES[1:2]), (blurred, NAMES[2:])])
def test_perturbed_views_rank_below(change: Perturb, tells: tuple[str, ...]) -> None:
    perturbed = [score(each(true_views(name), change)) for name in NAMED]
    for figure in tells:
        wins = [true[figure] > other[figure] for true, other in zip(true_scores(), perturbed, strict=True)]
        assert sum(wins) >= 2, figure
        assert np.mean([true[figure] for true in true_scores()]) > np.mean([other[figure] for other in perturbed])
    assert all(other["silhouette_iou"] < 1.0 for other in perturbed)


def test_shuffled_views_rank_below() -> None:
    for index, name in enumerate(NAMED):
        views = true_views(name)
        strangers = [true_views(NAMED[(index + k) % 3]).images[k] for k in range(4)]
        wrong = [views.images[k] for k in (0, 3, 1, 2)]
        for pictures in (strangers, wrong):
            shuffled = score(ViewSet(pictures, views.cameras))
            for figure in NAMES[:2]:
                assert shuffled[figure] < true_scores()[index][figure], (name, figure)


def test_views_with_nothing_in_common() -> None:
    pictures = [np.zeros((64, 64, 4), np.uint8) for _ in range(4)]
    for index, picture in enumerate(pictures):  # high in one, low in the other
        picture[slice(2, 12) if index % 2 else slice(52, 62), 20:40] = 255
    figures = score(ViewSet(pictures, orbit(4, size=64)))
    assert figures["silhouette_iou"] < 0.1
    assert figures["photo_psnr"] < 3  # white as they are: no hull is not as good as a white background


def test_folders_are_compared(tmp_path) -> None:
    for name in NAMED[:2]:
        true_views(name).save(tmp_path / "true" / name)
        each(true_views(name), shifted).save(tmp_path / "shifted" / name)
    true_views("car").save(tmp_path / "elsewhere" / "deep" / "car")
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
