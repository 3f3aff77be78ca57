"""The layouts."""

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.model import sequence, vocabulary

LAYOUTS = {
    "t2i": sequence.t2i(),
    "mmu": sequence.mmu(),
    "i2mv": sequence.i2mv(),
    "i2mv with text": sequence.i2mv(with_text=True),
    "t2mv": sequence.t2mv(sequence.azimuths(8)),
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
    assert words[:, sequence.text_slice(layout)].shape == captions.shape
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
    assert sequence.azimuths(4) == (0.0, 90.0, 180.0, 270.0)
    with pytest.raises(ViewmaskError, match="at least one"):
        sequence.azimuths(0)


def test_the_layouts_hold_what_their_tasks_need():
    length, four = vocabulary.LENGTH, (0.0, 90.0, 180.0, 270.0)
    layout = sequence.Layout
    assert LAYOUTS["t2i"] == layout(vocabulary.T2I, (0.0,), given=0, text=length, text_last=False)
    assert LAYOUTS["mmu"] == layout(vocabulary.MMU, (0.0,), given=1, text=length, text_last=True)
    assert LAYOUTS["i2mv"] == layout(vocabulary.I2MV, four, given=1, text=0, text_last=False)
    assert LAYOUTS["i2mv with text"] == layout(vocabulary.I2MV, four, given=1, text=length, text_last=False)
    assert sequence.t2mv() == layout(vocabulary.T2MV, four, given=0, text=length, text_last=False)
    assert sequence.azimuths(1) == (0.0,)


@pytest.mark.parametrize("text_last", [False, True])
def test_places_of_two_views_and_a_text_of_two_words(text_last):
    where = sequence.places(sequence.Layout(vocabulary.T2MV, (30.0, 60.0), text=2, text_last=text_last), grid=2)
    off, view = sequence.NOWHERE, [False, True, True, True, True, False]

    def whole(task, field, one, other):
        return [task, *one, *other, *field] if text_last else [task, *field, *one, *other]

    assert off == -1
    assert where.visual.tolist() == whole(False, [False] * 2, view, view)
    assert where.index.tolist() == list(range(15))
    assert where.azimuth.tolist() == whole(0, [0, 0], [30] * 6, [60] * 6)
    assert where.row.tolist() == whole(off, [off] * 2, [off, 0, 0, 1, 1, off], [off, 0, 0, 1, 1, off])
    assert where.column.tolist() == whole(off, [off] * 2, [off, 0, 1, 0, 1, off], [off, 0, 1, 0, 1, off])
    assert where.in_view.tolist() == whole(False, [False] * 2, [True] * 6, [True] * 6)


def test_everything_is_made_where_its_inputs_are():
    captions = torch.ones(2, vocabulary.LENGTH, dtype=torch.long)
    with torch.device("meta"):  # where tensors go that name no device
        assert sequence.words(sequence.t2i(), captions).device.type == "cpu"
        where = sequence.places(sequence.t2i(), 2)
    assert {tensor.device.type for tensor in vars(where).values()} == {"cpu"}
