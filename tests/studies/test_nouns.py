"""Does the bench know the named thing when it sees it, and not when it does not?"""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from studies import nouns
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


class Network:
    """One layer: the picture itself."""

    def features(self, pictures):
        return [pictures - 0.5]


def shape(thing, random=None):
    """A picture of a thing: a spot whose place is its number; noise if asked."""
    row, column = divmod(nouns.THINGS.index(thing), 4)
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = (40, 40, 40, 255)
    if random is not None:
        picture[..., :3] = np.clip(picture[..., :3] + random.integers(0, 40, (32, 32, 3)), 0, 255)
    return [picture] * 4


@pytest.fixture
def classifier():
    random = np.random.default_rng(0)
    # Chairs are fifty times as common as others, and must not be seen everywhere for that.
    names = [*nouns.THINGS, *["chair"] * 50]
    return nouns.Classifier.learn(Network(), [shape(name, random) for name in names], names)


def test_things_are_told_apart_also_rare_ones(classifier):
    random = np.random.default_rng(1)
    right = [classifier(shape(name, random)) == name for name in nouns.THINGS]
    assert np.mean(right) > 0.9


def test_features_are_one_vector_of_unit_layers():
    features = nouns.describe(Network(), shape("car"))
    assert features.shape == (3 * 4 * 4,)
    assert np.linalg.norm(features) == pytest.approx(1)
    assert torch.is_grad_enabled()


class Generator:
    """Makes a chair of everything that is not a car."""

    fingerprint = "none"

    def __init__(self):
        self.asked = []

    def from_text(self, sentence, **options):
        self.asked.append((sentence, options))
        return ViewSet(shape("car" if sentence.endswith(" car") else "chair"), orbit(4, size=32))


def test_the_table(monkeypatch, capsys, tmp_path):
    generator = Generator()
    monkeypatch.setattr(nouns.Generator, "load", lambda weights: generator)
    monkeypatch.setattr(nouns.Lpips, "load", Network)
    monkeypatch.setattr(
        nouns, "named", lambda data, split: [(SimpleNamespace(id=f"a-{name}"), name) for name in nouns.THINGS]
    )
    monkeypatch.setattr(nouns, "true_views", lambda generator, objects: [shape(name) for _, name in objects])
    out = tmp_path / "nouns.jsonl"
    words = [
        "--guidance", "2", "4", "--temperature", "0.5", "--draws", "2", "--colours", "orange", "grey", "--seed", "3",
        "--out", str(out),
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["nouns.py", "--data", str(tmp_path), *words])
    nouns.main()
    header, _, truth, row, other = capsys.readouterr().out.splitlines()
    cells = [dict(zip(header.split("|"), line.split("|"), strict=True)) for line in (truth, row)]
    assert cells[0][" all "].strip() == "1.00"
    assert {name: cells[1][f" {name} "].strip() for name in ("car", "chair", "table")} == {
        "car": "2/2", "chair": "2/2", "table": "0/2",
    }  # fmt: skip
    assert cells[1][" all "].strip() == "0.12"
    assert "guidance 2, temperature 0.5, draws 2" in row
    assert "guidance 4, temperature 0.5, draws 2" in other
    assert generator.asked[1] == (
        "a grey table",
        {"guidance": 2, "temperature": 0.5, "draws": 2, "seed": 3, "speed": "balanced"},
    )
    assert generator.asked[-2] == (
        "an orange fish",
        {"guidance": 4, "temperature": 0.5, "draws": 2, "seed": 3, "speed": "balanced"},
    )
    records = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(records) == len(nouns.THINGS) * (1 + 2 * 2)
    assert records[0] == {"row": "true views of `val`", "subject": "a-table", "asked": "table", "shown": "table"}
    assert records[16] | {"row": ""} == {"row": "", "subject": "an orange table", "asked": "table", "shown": "chair"}
