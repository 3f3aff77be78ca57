"""The fit of views to a sentence, against a plain reference; and what it must rank first."""

import math

import pytest
import torch

from viewmask import Generator, sequence, text
from viewmask.fit import SHARES, fit
from viewmask.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(width=64, layers=2, heads=2, hidden=96, words=text.size(), grid=3)
LAYOUT = sequence.t2mv(sequence.orbit(2))
SHAPE = (1, 2, 3, 3)
NOTHING = torch.full((1, LAYOUT.text), text.PAD)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    model = Transformer(CONFIG).eval()
    for parameter in model.parameters():  # far from its start, so that the sentence matters
        parameter.data.mul_(4)
    return model


@pytest.fixture
def tokens():
    tokens = torch.randint(1, 2**18, SHAPE, generator=torch.Generator().manual_seed(0))
    tokens[0, :, 0] = 0
    return tokens


def sentence(words: str) -> torch.Tensor:
    return torch.tensor([text.encode(words, LAYOUT.text)])


def likelihood(model, captions, tokens, hidden):
    """Of the hidden tokens, one at a time, in nats."""
    features = model(LAYOUT, sequence.words(LAYOUT, captions), tokens, hidden)[1]
    total = 0.0
    for place in hidden.nonzero().tolist():
        said, token = model.predict(features[tuple(place)][None]), tokens[tuple(place)]
        empty = 1 / (1 + math.exp(-float(said.empty)))
        if token == 0:
            total += math.log(empty)
            continue
        total += math.log(1 - empty)
        for group, start in zip(said.codes[0].softmax(-1), (0, 9), strict=True):
            total += math.log(group[(int(token) >> start) % 512])
    return total


@torch.inference_mode()
def test_it_is_what_the_sentence_adds_to_the_likelihood(model, tokens):
    asked = sentence("a red chair")
    random, gained = torch.Generator().manual_seed(0), []
    for share in SHARES:
        hidden = torch.rand(SHAPE, generator=random) < share
        with_it, without = (likelihood(model, words, tokens, hidden) for words in (asked, NOTHING))
        gained.append((with_it - without) / share)
    found = fit(model, LAYOUT, asked, tokens)
    assert found == pytest.approx(sum(gained) / len(gained), rel=1e-4)
    assert abs(found) > 0.1  # nothing would equal nothing


def test_no_sentence_adds_nothing(model, tokens):
    assert fit(model, LAYOUT, NOTHING, tokens) == 0


def test_the_shipped_weights_tell_which_sentence_views_were_made_of():
    generator, sentences = Generator.load(), ("a red chair", "a blue sofa")
    made = [generator.from_text(caption, steps=6) for caption in sentences]
    table = [[generator.fit(caption, views) for views in made] for caption in sentences]
    assert table[0][0] > max(0, table[0][1])
    assert table[1][1] > max(0, table[1][0])
