"""Growth: more layers and words, and the function that a smaller transformer had."""

from dataclasses import replace

import pytest
import torch

from tests.viewmask.model.test_transformer import TINY, inputs
from viewmask.errors import ViewmaskError
from viewmask.model import sequence
from viewmask.model.growth import deepened, grown, reworded, worded
from viewmask.model.transformer import Transformer
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of

VOCABULARY = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Transformer(TINY).eval()


@pytest.mark.parametrize("layers", [2, 3, 5])
def test_deepened_is_the_same_function_and_can_learn(model, layers):
    layout = sequence.t2mv()
    words, tokens, masked = inputs(layout)
    deeper = deepened(model, layers)
    assert deeper.config.layers == len(deeper.blocks) == layers
    torch.testing.assert_close(deeper(layout, words, tokens, masked), model(layout, words, tokens, masked))
    deeper(layout, words, tokens, masked)[1].square().mean().backward()
    outputs = [block.ff_out.weight for block in deeper.blocks]
    assert sum(not weight.any() for weight in outputs) == layers - 2  # only what was put in adds nothing yet
    assert all(weight.grad.any() for weight in outputs)


def test_shallower_is_refused(model):
    with pytest.raises(ViewmaskError, match="2 layers cannot be made one of 1"):
        deepened(model, 1)


def test_new_words_begin_as_the_mean_of_their_parts(model):
    words = model.config.words
    larger = reworded(model, [(3, 5), (words, 7)])
    assert larger.config == replace(model.config, words=words + 2)
    for name, before in model.state_dict().items():
        after = larger.state_dict()[name]
        torch.testing.assert_close(after[: len(before)] if before.ndim else after, before)
    for rows in (larger.word.weight, larger.word_head.weight):
        torch.testing.assert_close(rows[words], (rows[3] + rows[5]) / 2)
        torch.testing.assert_close(rows[words + 1], (rows[words] + rows[7]) / 2)


@pytest.mark.parametrize(("have", "wanted"), [(40, 4096), (4000, 5000), (4096, 4000), (5000, 6000)])
def test_words_that_the_vocabulary_does_not_tell_of_are_not_made_up(have, wanted):
    known = Transformer(replace(TINY, words=have))
    assert worded(known, wanted, VOCABULARY) is known


def test_layers_and_words_grow_together():
    small = Transformer(replace(TINY, words=len(VOCABULARY) - 2))
    larger = grown(small, replace(TINY, layers=3, words=len(VOCABULARY)), VOCABULARY)
    assert (larger.config.layers, larger.config.words) == (3, len(VOCABULARY))
