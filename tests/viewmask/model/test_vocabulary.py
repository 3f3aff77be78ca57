"""Captions to words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viewmask.errors import ViewmaskError
from viewmask.model import vocabulary


def test_specials_come_first():
    assert [vocabulary.vocabulary().token_to_id(word) for word in vocabulary.SPECIALS] == list(
        range(len(vocabulary.SPECIALS))
    )
    assert vocabulary.size() == 4096


def test_known_words_are_single_pieces():
    assert sum(word != vocabulary.PAD for word in vocabulary.encode("a red chair")) == 3


@given(st.text(min_size=1, max_size=20).filter(lambda t: t.split()))
def test_any_text_of_any_script_is_encoded(sentence):
    words = vocabulary.encode(sentence, length=200)
    assert len(words) == 200
    assert all(0 <= word < vocabulary.size() for word in words)


@given(st.lists(st.sampled_from(["a", "red", "wooden", "chair", "with", "four", "legs"]), min_size=1, max_size=12))
def test_plain_sentences_come_back(words):
    sentence = " ".join(words)
    assert vocabulary.decode(vocabulary.encode(sentence)) == sentence


@pytest.mark.parametrize("word", ["screwdriver", "pizza", "sunglasses", "wrench"])
def test_a_thing_that_a_caption_names_once_is_one_word(word):
    assert sum(each != vocabulary.PAD for each in vocabulary.encode(word)) == 1


def test_words_are_put_together_from_their_parts():
    parts = vocabulary.parts()
    known = vocabulary.vocabulary()
    first = vocabulary.size() - len(parts)
    for word, (left, right) in enumerate(parts, start=first):
        assert max(left, right) < word
        assert known.id_to_token(word) == known.id_to_token(left) + known.id_to_token(right)


def test_case_and_space_do_not_matter():
    assert vocabulary.encode("  A   Red\nchair ") == vocabulary.encode("a red chair")


def test_long_text_is_refused_or_cut():
    sentence = "a very long chair " * 20
    with pytest.raises(ViewmaskError, match="too long"):
        vocabulary.encode(sentence)
    assert len(vocabulary.encode(sentence, cut=True)) == vocabulary.LENGTH


def test_empty_text_is_refused():
    with pytest.raises(ViewmaskError, match="empty"):
        vocabulary.encode("  ")


def test_a_vocabulary_is_learnt_from_captions():
    learnt = vocabulary.learn(["a red chair", "a blue chair"] * 10, words=300)
    assert learnt.encode("a blue chair").tokens == ["Ġa", "Ġblue", "Ġchair"]


def test_damaged_vocabulary_is_refused(tmp_path):
    (tmp_path / "v.json").write_text("{}")
    with pytest.raises(ViewmaskError, match="vocabulary"):
        vocabulary.vocabulary(tmp_path / "v.json")
