"""Photos made as a phone makes them: the object where the camera looks, the faults that the scene asks for."""

import io
import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from render.demo import demo_objects, write
from studies import snapshots
from studies.snapshots import SNAPSHOTS, Snapshot
from viewmask.files import atomic

PLAIN = Snapshot("", 0, "paper", "paper", 25, 0, noise=0)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(snapshots, "LONG", 128)
    monkeypatch.setattr(snapshots, "SHORT", 96)


def taken(snapshot, others=()):
    objects = demo_objects()
    return snapshots.taken(snapshot, objects["car"].surface(), [objects[name].surface() for name in others], 0)


def test_an_object_stands_in_the_middle_of_the_paper():
    picture = taken(PLAIN).astype(int)
    assert picture.shape == (96, 128, 3)
    coloured = np.ptp(picture, axis=-1) > 60  # paper is grey
    rows, columns = np.nonzero(coloured)
    assert 0.02 < coloured.mean() < 0.5
    assert abs(rows.mean() / 96 - 0.5) < 0.2
    assert abs(columns.mean() / 128 - 0.5) < 0.2


def test_others_stand_behind():
    alone, among = taken(PLAIN).astype(int), taken(PLAIN, ["tree", "house"]).astype(int)
    changed = np.abs(among - alone).max(axis=-1) > 40
    assert changed[:48].mean() > 0.05
    assert changed[72:].mean() < 0.01


def test_light_is_warm_dark_and_noisy_where_the_scene_asks_for_it():
    usual = taken(PLAIN).astype(float)
    warm = taken(replace(PLAIN, warmth=0.4)).astype(float)
    assert (warm[..., 0] / warm[..., 2].clip(1)).mean() > 1.1 * (usual[..., 0] / usual[..., 2].clip(1)).mean()
    assert taken(replace(PLAIN, exposure=0.4)).mean() < 0.8 * usual.mean()
    corner = (slice(84, 96), slice(0, 12))
    assert taken(replace(PLAIN, noise=8))[corner].std() > usual[corner].std() + 3


def test_a_photo_held_upright_lies_on_its_side_and_says_so():
    picture = np.zeros((40, 30, 3), np.uint8)
    picture[:20] = 255
    with Image.open(io.BytesIO(snapshots.jpeg(picture, upright=True))) as opened:
        assert opened.size == (40, 30)
        turned = np.asarray(ImageOps.exif_transpose(opened)).astype(int)
    assert np.abs(turned - picture).mean() < 5


@pytest.mark.parametrize("name", snapshots.MATERIALS)
def test_materials_go_on_beyond_their_borders(name):
    texture = snapshots.MATERIALS[name](np.random.default_rng(0)).astype(float)
    between = np.abs(np.diff(texture.mean(axis=-1), axis=0)).mean(axis=1)
    seam = np.abs(texture[0] - texture[-1]).mean()
    assert seam <= between.max() + 4


def test_ten_photos_and_where_they_come_from(tmp_path, monkeypatch, capsys):
    for bench in {each.bench for each in SNAPSHOTS.values()}:
        index = write(tmp_path / bench)
        records = [json.loads(line) for line in index.read_text().splitlines()]
        records = [
            record | {"split": "val", "license": "CC0-1.0", "author": "us", "coloured": True} for record in records
        ]
        records[0]["license"] = "GPL-3.0"
        atomic.write(index, "\n".join(map(json.dumps, records)) + "\n")
        assert len(snapshots.objects(tmp_path / bench)) == len(records) - 1
    monkeypatch.setattr(sys, "argv", ["snapshots", "--data", str(tmp_path), "--out", str(tmp_path / "photos")])
    snapshots.main()
    told = json.loads((tmp_path / "photos" / snapshots.RECORD).read_text())
    assert len(told) == 10
    for name, record in told.items():
        assert record["licence"] in (*snapshots.FREE, "public domain")
        with Image.open(tmp_path / "photos" / name) as picture:
            assert min(picture.size) >= 96
