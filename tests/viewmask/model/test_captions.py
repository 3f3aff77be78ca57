"""What a caption says."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask.model import captions


@pytest.mark.parametrize(
    ("caption", "thing"),
    [
        ("a red chair", "chair"),
        ("a white tulip chair with a dark green cushion", "chair"),
        ("a red and white metal oil barrel", "barrel"),
        ("a blue, white and red jar, nearly full", "jar"),
        ("a table and a chair", "table"),
        ("Make me a chair!", "chair"),
        ('"a T-shirt."', "t-shirt"),
        ("A low-poly grey post with a lantern", "post"),
        ("a tall, narrow box", "tall"),  # what it makes of such captions is no thing
        ("", ""),
        (",", ""),
    ],
)
def test_the_thing_of_a_caption(caption, thing):
    assert captions.thing(caption) == thing


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("a red chair with four legs", []),
        ("A low-poly Kangaroo, a kangaroo\n and a fedora", ["Kangaroo", "kangaroo", "fedora"]),
        ("ein rotes Stühlchen", ["ein", "rotes", "Stühlchen"]),
        ("  ", []),
        ("3x2 !!", []),
    ],
)
def test_words_that_captions_hardly_had_are_unfamiliar(sentence, words):
    assert captions.unfamiliar(sentence) == words


@given(st.text(max_size=30))
def test_unfamiliar_words_are_words_of_the_text(sentence):
    assert all(word in sentence for word in captions.unfamiliar(sentence))


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("a red chair with four legs", "a red chair with four legs"),
        ("a GRAY recycling bin with a chrome lid", "a grey bin with a lid"),
        ("an exterior door", "a door"),
        ("a one-eyed alien", "an alien"),
        ("a white soccer ball with black marks on a box", "a white soccer ball on a box"),
        ("a pile of sacks", "a pile of sacks"),  # of nothing tells less
        ("a kangaroo with a fedora", "a kangaroo"),
        ("", ""),
    ],
)
def test_unfamiliar_words_are_not_read(said, read):
    assert captions.familiar(said) == read


def test_words_that_were_learnt_are_read():
    objects = [["a fedora"], ["a big Fedora"], ["a kangaroo", "a grey kangaroo"], ["a chair"], ["a chair"]]
    assert captions.repeated(objects) == ["fedora"]
    assert captions.unfamiliar("a Fedora kangaroo", ["fedora"]) == ["kangaroo"]
    assert captions.familiar("a Fedora chair with a kangaroo", ["fedora"]) == "a Fedora chair"


@given(st.text(max_size=40))
def test_something_is_read_of_every_text(sentence):
    read = captions.familiar(sentence)
    assert bool(read.split()) == bool(sentence.split())
    assert len(captions.unfamiliar(read)) <= len(captions.unfamiliar(sentence))


@pytest.mark.parametrize(
    ("caption", "like"),
    [
        ("a red chair with arms", "chair"),
        ("two round tables", "table"),
        ("boxes", "box"),
        ("A chair.", "chair"),
        ("a chair made of wood", "chair"),
        ("a simple 3D model of a house", "house"),
    ],
)
def test_things_that_training_showed_are_counted(caption, like):
    assert captions.shown(caption) == captions.things()[like] > 50


@pytest.mark.parametrize("caption", ["a red zyx", "some of those", "", "with arms"])
def test_what_training_did_not_show_counts_nothing(caption):
    assert captions.shown(caption) == 0


def test_things_are_counted_once_an_object(tmp_path, monkeypatch):
    records = [
        {"split": "train", "captions": ["a red chair", "a chair"]},
        {"split": "train", "captions": ["a blue chair", "a blue seat"]},
        {"split": "val", "captions": ["a dog"]},
    ]
    index = tmp_path / "index.jsonl"
    index.write_text("\n".join(map(json.dumps, records)))
    monkeypatch.setattr(sys, "argv", ["wording", str(index), "--out", str(tmp_path / "things.json")])
    captions.main()
    assert json.loads((tmp_path / "things.json").read_text()) == {"chair": 2, "seat": 1}


def test_things_come_with_the_most_frequent_first():
    counts = list(captions.things().values())
    assert counts == sorted(counts, reverse=True)
    assert min(counts) == 1
