"""The four layouts."""

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, vocabulary

LAYOUTS = {
    "t2i": sequence.t2i(),
    "mmu": sequence.mmu(),
    "i2mv": sequence.i2mv(),
    "i2mv with text": sequence.i2mv(with_text=True),
    "t2mv": sequence.t2mv(sequence.orbit(8)),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_words_and_places_agree(name):
    layout = LAYOUTS[name]
    where = sequence.places(layout, grid=2)
    captions = torch.full((3, layout.text), 100)
    words = sequence.words(layout, captions)
    assert words.shape == (3, layout.words)
    assert int((~where.visual).sum()) == layout.words
    assert int(where.visual.sum()) == 4 * layout.views
    assert (words[:, sequence.text_slice(layout)] == 100).all()
    assert int((words == 100).sum()) == 3 * layout.text


def test_order_of_i2mv():
    layout = sequence.i2mv((0.0, 90.0))
    where = sequence.places(layout, grid=1)
    assert where.visual.tolist() == [False, False, True, False, False, True, False]
    assert where.azimuth.tolist() == [0, 0, 0, 0, 90, 90, 90]
    assert sequence.words(layout, torch.zeros(1, 0, dtype=torch.long)).tolist() == [
        [vocabulary.I2MV, vocabulary.SOI, vocabulary.EOI, vocabulary.SOI, vocabulary.EOI]
    ]


def test_captions_stand_behind_the_view_in_mmu():
    layout = sequence.mmu()
    words = sequence.words(layout, torch.full((1, vocabulary.LENGTH), 9))[0].tolist()
    assert words == [vocabulary.MMU, vocabulary.SOI, vocabulary.EOI] + [9] * vocabulary.LENGTH
    assert layout.given == 1


def test_orbits():
    assert sequence.orbit(4) == (0.0, 90.0, 180.0, 270.0)
    with pytest.raises(ViewmaskError, match="at least one"):
        sequence.orbit(0)
