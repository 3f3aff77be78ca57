"""Does the study ask every caption of everybody once, show every source equally often, and count what was answered?"""

import json
import sys
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from studies import study
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

THINGS = ["chair", "table", "saw", "kite", "pizza", "car", "bed", "door", "lamp", "cup", "fish", "tree"]
CAPTIONS = [f"a {colour} {thing}" for thing in THINGS for colour in ("red", "blue")]
SOURCES = ["true", "near", "made"]


def test_every_booklet_asks_every_caption_once_and_shows_sources_equally_often():
    booklets = study.booklets(CAPTIONS, SOURCES, CAPTIONS)
    assert len(booklets) == 3
    for booklet in booklets:
        assert sorted(item["number"] for item in booklet) == list(range(24))
        assert Counter(item["source"] for item in booklet) == dict.fromkeys(SOURCES, 8)
    pairs = {(item["number"], item["source"]) for booklet in booklets for item in booklet}
    assert len(pairs) == 3 * 24


def test_the_right_choice_is_the_caption_and_the_others_name_other_things():
    for item in study.booklets(CAPTIONS, SOURCES, CAPTIONS)[1]:
        caption = CAPTIONS[item["number"]]
        assert len(set(item["choices"])) == 10
        assert item["choices"][study.CHOICES.index(item["right"])] == caption
        assert [choice.split()[-1] for choice in item["choices"]].count(caption.split()[-1]) == 1
    rights = Counter(item["right"] for item in study.booklets(CAPTIONS, SOURCES, CAPTIONS)[0])
    assert max(rights.values()) < 12  # letters tell nothing


def test_too_few_things_to_choose_from_are_refused():
    with pytest.raises(ViewmaskError, match="only 6 captions of other things"):
        study.booklets(CAPTIONS[:8], SOURCES, CAPTIONS[:8])


def test_the_others_are_most_alike():
    for item in study.booklets(CAPTIONS, SOURCES, CAPTIONS)[0]:
        colours = {choice.split()[1] for choice in item["choices"]}
        assert colours == {CAPTIONS[item["number"]].split()[1]}  # eleven others have the same colour


@pytest.mark.parametrize("line", ["1.01", "1.01 k", "9.01 a", "1.25 a", "one a", "1.01 a b"])
def test_what_is_no_answer_is_refused(line):
    with pytest.raises(ViewmaskError, match="no answer"):
        study.marks(study.booklets(CAPTIONS, SOURCES, CAPTIONS), line)


def test_written_answered_and_counted(monkeypatch, capsys, tmp_path):
    """Somebody who knows true views alone: what others show is answered wrongly."""
    views = [np.full((32, 32, 4), 255, np.uint8)] * 4
    generator = SimpleNamespace(
        fingerprint="none", from_text=lambda caption, speed: ViewSet(views, orbit(4, size=32)), round_trip=None
    )
    monkeypatch.setattr(study.Generator, "load", lambda weights: generator)
    monkeypatch.setattr(study, "described", lambda data, split, count: [(None, caption) for caption in CAPTIONS])
    monkeypatch.setattr(study, "most_alike", lambda data, captions: [(None, caption) for caption in captions])
    monkeypatch.setattr(study, "true_views", lambda generator, objects: [views for _ in objects])
    lexicon = SimpleNamespace(things={"chair": 10, "kite": 1})
    monkeypatch.setattr(study, "lexicon_of", lambda folder, about: lexicon)
    out = tmp_path / "study"
    monkeypatch.setattr(sys, "argv", ["study.py", "--data", str(tmp_path), "--out", str(out)])
    study.main()
    assert len(list(out.glob("booklet-*/sheet-*.png"))) == 3 * 4
    with Image.open(out / "booklet-1" / "sheet-01.png") as page:
        assert page.size == (4 * study.TILE + 480, study.A_SHEET * study.HEIGHT)
    key = json.loads((out / "key.json").read_text())
    lines = []
    for number, booklet in enumerate(key, 1):
        for place, item in enumerate(booklet, 1):
            wrong = "b" if item["right"] == "a" else "a"
            letter = item["right"] if item["source"] == "true views" else wrong
            lines.append(f"{study.label(number, place)} {letter.upper()}")
    answers = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for file, part in zip(answers, (lines[:20], lines[20:]), strict=True):
        file.write_text("\n".join(part) + "\n")
    monkeypatch.setattr(sys, "argv", ["study.py", "--out", str(out), "--answers", *map(str, answers)])
    study.main()
    shown = capsys.readouterr().out.partition("\n")[2]
    assert shown.splitlines()[0].endswith("| no object | 1 to 9 | 10 or more |")
    assert "| true views | 24 | 1.00 | 1.00 to 1.00 | 1.00 of 20 | 1.00 of 2 | 1.00 of 2 |" in shown
    assert "| none | 24 | 0.00 | 0.00 to 0.00 | 0.00 of 20 | 0.00 of 2 | 0.00 of 2 |" in shown
    assert "| none, a guess by the captions | 24 |" in shown


def test_a_guess_without_views_is_what_is_most_like_the_others():
    choices = ["a red chair", "a tall tree", "a red table", "a blue table", "a round kite"]
    assert study.guess(choices) == "c"  # shares red with the first and table with the fourth


def test_answers_without_a_study_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["study.py", "--out", str(tmp_path), "--answers", str(tmp_path / "none.txt")])
    with pytest.raises(ViewmaskError, match="no study"):
        study.main()
