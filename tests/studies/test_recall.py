"""Does the bench see which object a made picture shows?"""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from studies import recall
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

CAPTIONS = ["a pizza", "a saw", "a kite"]


class Network:
    """One layer: the picture itself."""

    def features(self, pictures):
        return [pictures - 0.5]


def views(number):
    """A bar that stands the further right, the greater its number."""
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[:, 8 * number : 8 * number + 8] = (60 * number, 40, 40, 255)
    return [picture] * 4


@pytest.mark.parametrize(("order", "row"), [((0, 1, 2), "1.00 | 1.00 | 1.000 | 0.000"), ((1, 1, 0), "0.33 | 1.00")])
def test_the_table(monkeypatch, capsys, order, row):
    shown = dict(zip(CAPTIONS, order, strict=True))
    generator = SimpleNamespace(
        fingerprint="none", from_text=lambda caption, draws, speed: ViewSet(views(shown[caption]), orbit(4, size=32))
    )
    monkeypatch.setattr(recall.Generator, "load", lambda weights: generator)
    monkeypatch.setattr(recall.Lpips, "load", Network)
    monkeypatch.setattr(recall, "described", lambda data, split, count: [(None, caption) for caption in CAPTIONS])
    monkeypatch.setattr(recall, "true_views", lambda generator, objects: [views(number) for number in range(3)])
    monkeypatch.setattr(sys, "argv", ["recall.py", "--data", "."])
    recall.main()
    assert f"| none, the best of 4 | {row}" in capsys.readouterr().out


def test_on_val_the_most_alike_of_train_is_the_first_row(monkeypatch, capsys):
    generator = SimpleNamespace(
        fingerprint="none", from_text=lambda caption, draws, speed: ViewSet(views(0), orbit(4, size=32))
    )
    order = {"a pizza": 0, "a saw": 1, "a kite": 2}
    monkeypatch.setattr(recall.Generator, "load", lambda weights: generator)
    monkeypatch.setattr(recall.Lpips, "load", Network)
    monkeypatch.setattr(recall, "described", lambda data, split, count: [(None, caption) for caption in CAPTIONS])
    monkeypatch.setattr(
        recall, "true_views", lambda generator, objects: [views(order[caption]) for _, caption in objects]
    )
    about = [SimpleNamespace(about={"captions": [each]}) for each in ("a saw", "a kite")]
    monkeypatch.setattr(
        recall, "find", lambda folder, split: about if (folder.name, split) == ("scans", "train") else []
    )
    monkeypatch.setattr(sys, "argv", ["recall.py", "--data", ".", "--split", "val"])
    recall.main()
    rows = capsys.readouterr().out.splitlines()
    assert rows[2].startswith("| `train`, most alike caption | 0.67 |")
    assert rows[3].startswith("| none, the best of 4 | 0.33 |")


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red chair", "a chair"),
        ("a low-poly wooden table", "a low-poly table"),
        ("a kayak", "a chair"),  # nothing in common: the first
        ("A Kite", "a blue kite"),
        ("a low-poly kite", "a blue kite"),  # the rarer word tells more
    ],
)
def test_the_most_alike_caption(caption, expected):
    shown = ["a chair", "a low-poly table", "a blue kite", "a low-poly bed"]
    assert shown[recall.likeness([caption], shown)[0].argmax()] == expected


def test_rare_things_are_chosen_evenly(monkeypatch):
    captions = ["a red chair", "a pizza", "a blue chair", "a saw", "a chair", "a low-poly saw", "a kite"]
    objects = {"objects": captions[:4], "furniture": captions[4:], "scans": []}
    about = {name: [SimpleNamespace(about={"captions": [each]}) for each in those] for name, those in objects.items()}
    monkeypatch.setattr(recall, "find", lambda folder, split: about[folder.name])
    assert [caption for _, caption in recall.described(recall.Path("data"), "train", 9)] == [
        "a pizza", "a saw", "a low-poly saw", "a kite",
    ]  # fmt: skip
    assert [caption for _, caption in recall.described(recall.Path("data"), "train", 2)] == [
        "a pizza",
        "a low-poly saw",
    ]


def test_of_val_every_thing_is_asked_for(monkeypatch):
    about = [SimpleNamespace(about={"captions": [f"a {colour} chair"]}) for colour in ("red", "blue", "green", "grey")]
    monkeypatch.setattr(recall, "find", lambda folder, split: about if (folder.name, split) == ("scans", "val") else [])
    assert [caption for _, caption in recall.described(recall.Path("data"), "val", 2)] == [
        "a red chair",
        "a green chair",
    ]
