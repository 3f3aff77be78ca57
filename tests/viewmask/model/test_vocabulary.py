"""Captions to words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask.errors import ViewmaskError
from viewmask.model.vocabulary import LENGTH, PAD, SPECIALS, Vocabulary
from viewmask.model.weights import SHIPPED, TRANSFORMER

VOCABULARY = Vocabulary.load(SHIPPED / TRANSFORMER / "vocabulary.json")


def test_specials_come_first():
    assert [VOCABULARY[word] for word in range(len(SPECIALS))] == list(SPECIALS)
    assert len(VOCABULARY) == 4096


def test_known_words_are_single_pieces():
    assert sum(word != PAD for word in VOCABULARY.encode("a red chair")) == 3


@given(st.text(min_size=1, max_size=20).filter(lambda t: t.split()))
def test_any_text_of_any_script_is_encoded(sentence):
    words = VOCABULARY.encode(sentence, length=200)
    assert len(words) == 200
    assert all(0 <= word < len(VOCABULARY) for word in words)


@given(st.lists(st.sampled_from(["a", "red", "wooden", "chair", "with", "four", "legs"]), min_size=1, max_size=12))
def test_plain_sentences_come_back(words):
    sentence = " ".join(words)
    assert VOCABULARY.decode(VOCABULARY.encode(sentence)) == sentence


@pytest.mark.parametrize("word", ["screwdriver", "pizza", "sunglasses", "wrench"])
def test_a_thing_that_a_caption_names_once_is_one_word(word):
    assert sum(each != PAD for each in VOCABULARY.encode(word)) == 1


def test_words_are_put_together_from_their_parts():
    parts = VOCABULARY.parts()
    first = len(VOCABULARY) - len(parts)
    for word, (left, right) in enumerate(parts, start=first):
        assert max(left, right) < word
        assert VOCABULARY[word] == VOCABULARY[left] + VOCABULARY[right]


def test_case_and_space_do_not_matter():
    assert VOCABULARY.encode("  A   Red\nchair ") == VOCABULARY.encode("a red chair")


def test_long_text_is_refused_or_cut():
    sentence = "a very long chair " * 20
    with pytest.raises(ViewmaskError, match="too long"):
        VOCABULARY.encode(sentence)
    assert len(VOCABULARY.encode(sentence, cut=True)) == LENGTH


def test_empty_text_is_refused():
    with pytest.raises(ViewmaskError, match="empty"):
        VOCABULARY.encode("  ")


def test_a_vocabulary_is_learnt_from_captions():
    learnt = Vocabulary.learn(["a red chair", "a blue chair"] * 10, words=300)
    assert [learnt[word] for word in learnt.encode("a blue chair", length=3)] == ["Ġa", "Ġblue", "Ġchair"]


def test_a_vocabulary_lies_with_weights(tmp_path):
    (tmp_path / "vocabulary.json").write_text(VOCABULARY.to_json())
    again = Vocabulary.load(tmp_path / "vocabulary.json")
    assert again.encode("a kangaroo with a fedora") == VOCABULARY.encode("a kangaroo with a fedora")


def test_words_in_pieces_are_named_once():
    assert VOCABULARY.in_pieces("a  fedora on a\nfedora and a chair") == ["fedora"]


def test_damaged_vocabulary_is_refused(tmp_path):
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(ViewmaskError, match="vocabulary"):
        Vocabulary.load(tmp_path / "v.json")
