"""Captions to words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask import text
from viewmask.errors import ViewmaskError


def test_specials_come_first():
    assert [text.vocabulary().token_to_id(word) for word in text.SPECIALS] == list(range(len(text.SPECIALS)))
    assert text.size() == 4096


def test_known_words_are_single_pieces():
    assert sum(word != text.PAD for word in text.encode("a red chair")) == 3


@given(st.text(min_size=1, max_size=20).filter(lambda t: t.split()))
def test_any_text_of_any_script_is_encoded(sentence):
    words = text.encode(sentence, length=200)
    assert len(words) == 200
    assert all(0 <= word < text.size() for word in words)


@given(st.lists(st.sampled_from(["a", "red", "wooden", "chair", "with", "four", "legs"]), min_size=1, max_size=12))
def test_plain_sentences_come_back(words):
    sentence = " ".join(words)
    assert text.decode(text.encode(sentence)) == sentence


@pytest.mark.parametrize("word", ["screwdriver", "pizza", "sunglasses", "wrench"])
def test_a_thing_that_a_caption_names_once_is_one_word(word):
    assert sum(each != text.PAD for each in text.encode(word)) == 1


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
    assert text.unfamiliar(sentence) == words


@given(st.text(max_size=30))
def test_unfamiliar_words_are_words_of_the_text(sentence):
    assert all(word in sentence for word in text.unfamiliar(sentence))


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
    assert text.familiar(said) == read


@given(st.text(max_size=40))
def test_something_is_read_of_every_text(sentence):
    read = text.familiar(sentence)
    assert bool(read.split()) == bool(sentence.split())
    assert len(text.unfamiliar(read)) <= len(text.unfamiliar(sentence))


def test_words_are_put_together_from_their_parts():
    parts = text.parts()
    known = text.vocabulary()
    first = text.size() - len(parts)
    for word, (left, right) in enumerate(parts, start=first):
        assert max(left, right) < word
        assert known.id_to_token(word) == known.id_to_token(left) + known.id_to_token(right)


@pytest.mark.parametrize(
    ("caption", "thing"),
    [
        ("a red chair", "chair"),
        ("a white tulip chair with a dark green cushion", "chair"),
        ("a red and white metal oil barrel", "barrel"),
        ("a blue, white and red jar, nearly full", "jar"),
        ("a table and a chair", "table"),
        ("A low-poly grey post with a lantern", "post"),
        ("a tall, narrow box", "tall"),  # what it makes of such captions is no thing
        ("", ""),
        (",", ""),
    ],
)
def test_the_thing_of_a_caption(caption, thing):
    assert text.thing(caption) == thing


def test_case_and_space_do_not_matter():
    assert text.encode("  A   Red\nchair ") == text.encode("a red chair")


def test_long_text_is_refused_or_cut():
    sentence = "a very long chair " * 20
    with pytest.raises(ViewmaskError, match="too long"):
        text.encode(sentence)
    assert len(text.encode(sentence, cut=True)) == text.LENGTH


def test_empty_text_is_refused():
    with pytest.raises(ViewmaskError, match="empty"):
        text.encode("  ")


def test_a_vocabulary_is_learnt_from_captions():
    learnt = text.learn(["a red chair", "a blue chair"] * 10, words=300)
    assert learnt.encode("a blue chair").tokens == ["Ġa", "Ġblue", "Ġchair"]


def test_damaged_vocabulary_is_refused(tmp_path):
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(ViewmaskError, match="vocabulary"):
        text.vocabulary(tmp_path / "v.json")


def test_a_shortened_caption_keeps_its_thing_and_its_order():
    random = np.random.default_rng(0)
    long = "a low-poly red and white wine bottle with a cork"
    short = [text.shortened(long, random) for _ in range(400)]
    assert {text.thing(each) for each in short} == {"bottle"}
    assert {"a bottle", long, "a wine bottle", "a red and white wine bottle"} <= set(short)
    assert not any("a red wine" in each or "a white" in each for each in short)  # both colours or none
    for each in short:
        words = iter(long.split())
        assert all(word in words for word in each.split())
    shares = [
        np.mean([word in each for each in short]) for word in ("low-poly", "red and white", "wine", "with a cork")
    ]
    assert shares == pytest.approx([0.5, 0.5, 0.75, 0.5], abs=0.08)


@pytest.mark.parametrize(
    ("said", "least"),
    [
        ("a simple 3D model of an igloo", "an igloo"),
        ("a red igloo", "an igloo"),
        ("an old chair", "a chair"),
        ("a pair of red shoes with white soles", "a pair of red shoes with white soles"),
        ("a table and a red chair", "a table and a red chair"),
        ("white metal stairs", "white metal stairs"),
        ("", ""),
    ],
)
def test_the_least_that_is_left_of_a_caption(said, least):
    random = np.random.default_rng(0)
    assert min((text.shortened(said, random) for _ in range(50)), key=len) == least


@given(st.text(max_size=40))
def test_no_caption_is_shortened_to_nothing(caption):
    short = text.shortened(caption, np.random.default_rng(0))
    assert bool(short.split()) == bool(caption.split())
