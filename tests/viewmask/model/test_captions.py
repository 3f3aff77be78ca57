"""What a caption says."""

import pytest

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
    ("caption", "names"),
    [("two round tables", {"round", "tables", "table"}), ("boxes", {"boxes", "box"}), ("the", set()), ("", set())],
)
def test_a_thing_may_have_several_names(caption, names):
    assert names <= set(captions.names(caption))


def test_things_are_counted_once_an_object_the_most_frequent_first():
    objects = [["a blue seat", "a seat"], ["a red chair", "a chair"], ["a blue chair", "a bench"]]
    assert list(captions.things(objects).items()) == [("chair", 2), ("bench", 1), ("seat", 1)]


def test_spelling_is_that_of_the_training_sets():
    assert captions.british("A Gray, colorful cup") == "A grey, colourful cup"


@pytest.mark.parametrize(
    ("words", "rest"),
    [
        (set(), "a steel bin with a chrome lid"),
        ({"chrome"}, "a steel bin with a lid"),
        ({"lid"}, "a steel bin"),
        ({"steel", "bin"}, "a bin with a chrome lid"),
    ],
)
def test_words_are_left_out_but_for_the_thing(words, rest):
    assert captions.without("a steel bin with a chrome lid", words) == rest


def test_the_article_follows():
    assert captions.without("an orange umbrella", {"orange"}) == "an umbrella"
    assert captions.without("an orange chair", {"orange"}) == "a chair"
