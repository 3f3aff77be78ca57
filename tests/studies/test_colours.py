"""Does the bench tell the colour that was asked for from another?"""

import json
import sys

import numpy as np
import pytest

from studies import colours
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


def plain(colour):
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[8:24, 8:24] = (*colour, 255)
    picture[:4] = (255, 0, 0, 90)  # too faint to count
    return picture


@pytest.mark.parametrize("name", colours.COLOURS)
def test_every_colour_is_nearest_to_itself_also_in_less_light(name):
    assert colours.nearest([plain(colours.COLOURS[name])] * 4) == name
    darker = tuple(round(0.9 * value) for value in colours.COLOURS[name])
    assert colours.nearest([plain(darker)]) == name


def test_nothing_has_no_colour():
    assert colours.nearest([np.zeros((8, 8, 4), np.uint8)]) == ""


class Generator:
    """Paints everything blue, and purple things red."""

    fingerprint = "none"

    def from_text(self, sentence, draws, speed):
        colour = colours.COLOURS["red" if "purple" in sentence else "blue"]
        return ViewSet([plain(colour)] * 4, orbit(4, size=32))


def test_the_table(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(colours.Generator, "load", lambda weights: Generator())
    monkeypatch.setattr(sys, "argv", ["colours.py", "--out", str(tmp_path / "colours.jsonl")])
    colours.main()
    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    cells = dict(zip(header.split("|"), row.split("|"), strict=True))
    assert {name: cells[f" {name} "].strip() for name in ("blue", "red", "purple")} == {
        "blue": "8", "red": "0", "purple": "0",
    }  # fmt: skip
    assert cells[" all "].strip() == "8 of 80"
    records = [json.loads(line) for line in (tmp_path / "colours.jsonl").read_text().splitlines()]
    assert len(records) == 80
    assert sum(record["asked"] == record["shown"] for record in records) == 8
