"""The reranker: what it reads, against plain sums; what sentences and views become; and what the shipped one tells."""

import pytest
import torch

from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model import sequence
from viewmask.model.reranker import DEPTHS, Reranker, Towers, TowersConfig, describe, features
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import PAD
from viewmask.model.weights import RERANKER, SHIPPED, TRANSFORMER, lexicon_of

VOCABULARY = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary

CONFIG = TransformerConfig(width=64, layers=9, heads=2, hidden=96, words=len(VOCABULARY), grid=4)


@pytest.fixture(scope="module")
def transformer():
    torch.manual_seed(3)
    model = Transformer(CONFIG).eval()
    for parameter in model.parameters():  # far from its start, so that layers differ
        parameter.data.mul_(3)
    return model


@pytest.fixture
def tokens():
    tokens = torch.randint(1, 2**18, (2, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    tokens[0, :, 0] = 0
    return tokens


@pytest.fixture
def towers():
    torch.manual_seed(4)
    return Towers(TowersConfig(features(CONFIG), len(VOCABULARY), hidden=32, dimension=16)).eval()


@torch.no_grad()
def test_what_it_reads_is_the_mean_inside_the_transformer_over_what_is_not_empty(transformer, tokens):
    found = describe(transformer, tokens)
    assert found.shape == (2, features(CONFIG))
    layout = sequence.t2mv(sequence.azimuths(3))
    words = sequence.words(layout, torch.full((2, layout.text), PAD))
    stream = list(transformer.stream(layout, words, tokens, torch.zeros_like(tokens, dtype=torch.bool)))
    first_view = 1 + layout.text
    for number, depth in enumerate((3, 5, 7)):
        assert round(DEPTHS[number] * 9) == depth
        inside = [
            stream[depth][0, first_view + view * 18 + 1 + place]
            for view in range(3)
            for place in range(16)
            if tokens[0, view].flatten()[place] != 0
        ]
        mine = found[0, number * 64 : (number + 1) * 64]
        torch.testing.assert_close(mine, torch.stack(inside).mean(0), atol=1e-4, rtol=1e-4)
    # The upper left quarter at the middle depth, empty tokens too.
    quarter = [
        stream[5][1, first_view + view * 18 + 1 + row * 4 + column]
        for view in range(3)
        for row in (0, 1)
        for column in (0, 1)
    ]
    torch.testing.assert_close(found[1, 3 * 64 : 7 * 64].view(64, 2, 2)[:, 0, 0], torch.stack(quarter).mean(0))
    assert found[:, 7 * 64 :].tolist() == [[0.0] * 4 + [1.0] * 12, [1.0] * 16]


def test_views_that_show_nothing_are_described_too(transformer):
    assert describe(transformer, torch.zeros(1, 4, 4, 4, dtype=torch.long)).isfinite().all()


def test_the_stream_ends_where_the_transformer_does(transformer, tokens):
    layout = sequence.t2mv(sequence.azimuths(3))
    words = sequence.words(layout, torch.full((2, layout.text), PAD))
    masked = tokens % 3 == 0
    *_, last = transformer.stream(layout, words, tokens, masked)
    seen = transformer(layout, words, tokens, masked)[1]
    visual = transformer.places(layout, last.device).visual
    torch.testing.assert_close(transformer.norm(last)[:, visual].unflatten(1, tokens.shape[1:]), seen)


def test_vectors_have_length_one_and_sentences_no_order(towers, transformer, tokens):
    said = torch.tensor([VOCABULARY.encode(words) for words in ("a red chair", "chair a red", "a red table")])
    first, turned, other = vectors = towers.sentences(said)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    torch.testing.assert_close(first, turned)
    assert (first - other).abs().max() > 0.01
    torch.testing.assert_close(towers.views(describe(transformer, tokens)).norm(dim=1), torch.ones(2))


def test_samples_are_scored_each_for_itself(towers, transformer, tokens):
    rank = Reranker(transformer, towers, VOCABULARY)
    together = rank("a red chair", tokens)
    assert together == pytest.approx([rank("a red chair", each[None])[0] for each in tokens], abs=1e-5)
    assert all(-1 <= value <= 1 for value in together)
    with pytest.raises(ViewmaskError, match="empty"):
        rank(" ", tokens)


def test_it_belongs_to_the_transformer_that_it_learnt_with(towers, transformer, tmp_path):
    about = {"transformer": checkpoint.fingerprint(transformer)}
    checkpoint.save(tmp_path / "towers", towers, towers.config, about, half=True)
    loaded = Reranker.load(tmp_path / "towers", transformer, VOCABULARY)
    assert loaded.towers.config == towers.config
    with pytest.raises(ViewmaskError, match=r"not with \w+: viewmask train reranker --init makes one for it"):
        Reranker.load(tmp_path / "towers", Transformer(CONFIG), VOCABULARY)


@pytest.mark.skipif(not (SHIPPED / RERANKER).exists(), reason="this tree ships no reranker")
def test_the_shipped_one_tells_which_sentence_views_were_made_of():
    generator, sentences = Generator.load(), ("a red chair", "a blue sofa", "a green tree")
    made = [generator.from_text(caption, steps=6, draws=1) for caption in sentences]
    for number, caption in enumerate(sentences):
        fits = [generator.fit(caption, views) for views in made]
        assert fits.index(max(fits)) == number


@pytest.mark.skipif(not (SHIPPED / RERANKER).exists(), reason="this tree ships no reranker")
def test_the_shipped_one_reads_with_the_shipped_transformer():
    known = checkpoint.load(SHIPPED / TRANSFORMER, Transformer, TransformerConfig)[0]
    Reranker.load(SHIPPED / RERANKER, known, VOCABULARY)
