"""What words and things training had, and how a sentence is read."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask.errors import ViewmaskError
from viewmask.model.lexicon import Lexicon
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of

LEXICON = lexicon_of(SHIPPED / TRANSFORMER, {})


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
    assert LEXICON.unfamiliar(sentence) == words


@given(st.text(max_size=30))
def test_unfamiliar_words_are_words_of_the_text(sentence):
    assert all(word in sentence for word in LEXICON.unfamiliar(sentence))


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
    assert LEXICON.familiar(said) == read


def test_words_that_two_objects_have_are_known_from_then_on():
    objects = [["a fedora"], ["a big Fedora"], ["a kangaroo", "a grey kangaroo"], ["a chair"], ["a chair"]]
    lexicon = LEXICON.taught(objects)
    assert set(lexicon.words) == {"fedora"}
    assert lexicon.unfamiliar("a Fedora kangaroo") == ["kangaroo"]
    assert lexicon.familiar("a Fedora chair with a kangaroo") == "a Fedora chair"
    assert set(lexicon.taught([["a kangaroo"], ["a kangaroo"]]).words) == {"fedora", "kangaroo"}


def test_things_that_were_known_stay_known():
    some = replace(LEXICON, things={"chair": 3, "dog": 1})
    assert dict(some.taught([["a chair"], ["a cat"], ["a cat"]]).things) == {"chair": 3, "cat": 2, "dog": 1}


def test_a_lexicon_lies_with_weights(tmp_path):
    lexicon = LEXICON.taught([["a fedora"], ["a fedora"]])
    for name, text in lexicon.files().items():
        (tmp_path / name).write_text(text)
    again = Lexicon.load(tmp_path, lexicon.words)
    assert (again.things, again.words) == (lexicon.things, lexicon.words)
    assert again.familiar("a fedora kangaroo") == lexicon.familiar("a fedora kangaroo")
    (tmp_path / "things.json").unlink()
    assert Lexicon.load(tmp_path).things == {}
    for damaged in ("{", "[1]", "7", '{"chair": "many"}', '{"chair": [3]}'):
        (tmp_path / "things.json").write_text(damaged)
        with pytest.raises(ViewmaskError, match=r"things\.json is damaged"):
            Lexicon.load(tmp_path)


@pytest.mark.parametrize("words", ["fedora", 7, [1], {"fedora": 1}])
def test_words_of_a_stranger_are_a_list(words):
    with pytest.raises(ViewmaskError, match="its words are no list of words"):
        lexicon_of(SHIPPED / TRANSFORMER, {"words": words})


@given(st.text(max_size=40))
def test_something_is_read_of_every_text(sentence):
    read = LEXICON.familiar(sentence)
    assert bool(read.split()) == bool(sentence.split())
    assert len(LEXICON.unfamiliar(read)) <= len(LEXICON.unfamiliar(sentence))


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
    assert LEXICON.count(caption) == LEXICON.things[like] > 50


@pytest.mark.parametrize("caption", ["a red zyx", "some of those", "", "with arms"])
def test_what_training_did_not_show_counts_nothing(caption):
    assert LEXICON.count(caption) == 0


def test_things_come_with_the_most_frequent_first():
    counts = list(LEXICON.things.values())
    assert counts == sorted(counts, reverse=True)
    assert min(counts) == 1
