"""`viewmask generate --again`, with small random weights: the same bytes, or a reason."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.viewmask.test_generator import random_weights
from viewmask.views.making import KEY


@pytest.fixture
def weights(tmp_path):
    return random_weights(tmp_path / "weights", {"mixture": {"photo": 0.5}})


def contents(folder):
    return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def photo(name):
    random = np.random.default_rng(0)
    picture = np.full((90, 120, 3), 220, np.uint8)
    picture[20:70, 30:90] = random.integers(0, 200, (50, 60, 3))
    Image.fromarray(picture).save(name)


@pytest.mark.parametrize(
    "words",
    [
        ["--text", "a red zebra", "--draws", 2, "--views", 3],
        ["--text", "a red zebra", "--draws", 2, "--order", "halton", "--remask", 0.2],
        ["--text", "a red zebra", "--draws", 2, "--speed", "exact"],
        ["--image", "p.png"],
    ],
)
def test_a_result_is_made_again_to_the_byte(shell, weights, words):
    photo("p.png")
    how = ("--weights", weights, "--steps", 3, "--seed", 5, "--temperature", 0.9, "--out", "first")
    assert shell("generate", *words, *how).code == 0
    Path("p.png").unlink()
    done = shell("generate", "--again", "first", "--weights", weights)
    assert (done.code, contents("first-again")) == (0, contents("first"))
    assert done.out.endswith(f"({len(contents('first'))} files, the same bytes as in first)\n")
    text = Path("first/transforms.json").read_text()
    assert str(Path.cwd()) not in text
    making = json.loads(text)[KEY]
    assert (making["seed"], making["sampling"]["steps"], making["sampling"]["temperature"]) == (5, 3, 0.9)
    assert ("cutout" in making) == ("--image" in words)
    how = ("halton", 0.2) if "--remask" in words else ("confidence", 0.0)
    assert (making["sampling"]["order"], making["sampling"]["remask"]) == how
    if how[1]:  # and it is another result than without them
        shell(
            "generate", *words[:4], "--weights", weights, "--steps", 3, "--seed", 5, "--temperature", 0.9, "--out", "b"
        )
        assert Path("b/001.png").read_bytes() != Path("first/001.png").read_bytes()


@pytest.mark.parametrize("words", [["--text", "a red zebra", "--draws", 2], ["--image", "p.png"]])
def test_what_an_older_version_made_is_made_again_as_it_was(shell, weights, words):
    """It had one speed, the exact one, and not all of today's settings in its record."""
    photo("p.png")
    shell("generate", *words, "--weights", weights, "--speed", "exact", "--steps", 4, "--out", "first")
    shell("generate", *words, "--weights", weights, "--steps", 4, "--out", "today")
    views = [f"{number:03d}.png" for number in range(4)]
    assert any(Path("first", view).read_bytes() != Path("today", view).read_bytes() for view in views)
    transforms = Path("first/transforms.json")
    content = json.loads(transforms.read_text())
    names = ("steps", "temperature", "noise", "guidance", "occupancy")
    content[KEY]["sampling"] = {name: content[KEY]["sampling"][name] for name in names}
    transforms.write_text(json.dumps(content))
    done = shell("generate", "--again", "first", "--weights", weights, "--json")
    assert json.loads(done.out)["changed"] == ["transforms.json"]


def test_the_number_of_threads_is_taken_from_the_record(shell, weights):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        shell("generate", "--text", "a cup", "--weights", weights, "--steps", 1, "--draws", 1, "--out", "first")
        torch.set_num_threads(1)
        assert shell("generate", "--again", "first", "--weights", weights).code == 0
        assert torch.get_num_threads() == 2
        assert json.loads(Path("first-again/transforms.json").read_text())[KEY]["threads"] == 2
    finally:
        torch.set_num_threads(before)


def test_what_differs_is_named_with_exit_code_1(shell, weights):
    shell("generate", "--text", "a cup", "--weights", weights, "--steps", 2, "--out", "first")
    Image.new("RGBA", (256, 256)).save("first/001.png")
    done = shell("generate", "--again", "first", "--weights", weights, "--json")
    assert (done.code, json.loads(done.out)["changed"]) == (1, ["001.png"])


def test_why_a_result_cannot_be_made_again_is_said(shell, weights):
    photo("p.png")
    shell("generate", "--image", "p.png", "--weights", weights, "--steps", 2, "--out", "first")
    again = ("generate", "--again", "first")
    assert "leave out --text" in shell(*again, "--text", "a cup").error
    assert "holds no views" in shell("generate", "--again", "nowhere").error
    assert "these are" in shell(*again).error  # the shipped weights
    assert "choose another --out" in shell(*again, "--out", "first").error
    cutout = Path("first/cutout.png")
    Image.open(cutout).rotate(90).save(cutout)
    assert "its picture was changed since" in shell(*again, "--weights", weights).error
    cutout.unlink()
    assert "no picture at" in shell(*again, "--weights", weights).error
    record = json.loads(Path("first/transforms.json").read_text())
    del record[KEY]
    Path("first/transforms.json").write_text(json.dumps(record))
    assert "does not say how it was made" in shell(*again, "--weights", weights).error
    Path("deep").mkdir()
    shutil.move("first", "deep")
    assert "name one of its folders, as deep/first" in shell("generate", "--again", "deep").error
