"""Codes: their bits, and groups of them, by hand."""

import pytest
import torch

from viewmask.model.code import EMPTY, bits, groups, joined

CODES = torch.tensor([[0b110_101, 0b000_011], [0b111_000, EMPTY], [0b000_001, 0b100_000]])


def test_bits_are_signs_lowest_first():
    assert bits(torch.tensor([5, EMPTY]), 4).tolist() == [[1, -1, 1, -1], [-1, -1, -1, -1]]
    assert EMPTY == 0


def test_groups_are_numbers_lowest_first():
    assert groups(CODES, 6, 2).tolist() == [[[5, 6], [3, 0]], [[0, 7], [0, 0]], [[1, 0], [0, 4]]]
    assert groups(CODES, 6, 3).tolist() == [[[1, 1, 3], [3, 0, 0]], [[0, 2, 3], [0, 0, 0]], [[1, 0, 0], [0, 0, 2]]]
    assert groups(CODES, 6, 1)[..., 0].tolist() == CODES.tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_joining_undoes_grouping(count):
    assert torch.equal(joined(groups(CODES, 6, count), 6), CODES)


def test_everything_is_made_where_its_inputs_are():
    with torch.device("meta"):  # where tensors go that name no device
        parts = groups(CODES, 6, 2)
        assert {bits(CODES, 6).device.type, parts.device.type, joined(parts, 6).device.type} == {"cpu"}
