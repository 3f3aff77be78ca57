"""Captions to words."""

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


def test_words_are_put_together_from_their_parts():
    parts = text.parts()
    known = text.vocabulary()
    first = text.size() - len(parts)
    for word, (left, right) in enumerate(parts, start=first):
        assert max(left, right) < word
        assert known.id_to_token(word) == known.id_to_token(left) + known.id_to_token(right)


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
