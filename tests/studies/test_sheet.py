"""The README's picture is of objects that a rank chose, and every strip has its place in a sheet."""

import json

import numpy as np
from PIL import Image

from studies import sheet, tables


def test_a_set_stands_for_its_middle_and_its_third_quartile():
    result = json.loads((tables.FIGURES / "views/scans.json").read_text())
    scores = {f"scans/{record['id']}": record["silhouette_iou"] for record in result["objects"]}
    middle, upper = (scores[name] for name in sheet.quartiles("scans"))
    assert sum(score < middle for score in scores.values()) == len(scores) // 2
    assert sum(score < upper for score in scores.values()) == len(scores) * 3 // 4


def test_strips_are_stacked_from_the_top():
    strips = [Image.new("RGB", (4, height), colour) for height, colour in ((2, "red"), (3, "blue"))]
    pixels = np.asarray(sheet.stacked(strips))
    assert pixels.shape == (5, 4, 3)
    assert (pixels[:2] == (255, 0, 0)).all()
    assert (pixels[2:] == (0, 0, 255)).all()
