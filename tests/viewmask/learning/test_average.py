"""The moving average, worked out by hand."""

import pytest
import torch

from viewmask.learning.average import Average


class Number(torch.nn.Module):
    """A model of one number, which counts in a buffer."""

    def __init__(self, value):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value))
        self.register_buffer("count", torch.tensor(value))


def test_the_average_stays_by_its_decay_and_moves_by_the_rest():
    average = Average(Number(1.0), decay=0.75)
    average.update(Number(3.0), step=1000)
    assert float(average.model.value) == pytest.approx(0.75 * 1 + 0.25 * 3)
    average.update(Number(0.0), step=1001)
    assert float(average.model.value) == pytest.approx(0.75 * 1.5)


@pytest.mark.parametrize(("step", "stays"), [(0, 1 / 10), (1, 2 / 11), (80, 81 / 90), (81, 0.9), (9999, 0.9)])
def test_early_steps_keep_less(step, stays):
    average = Average(Number(1.0), decay=0.9)
    average.update(Number(0.0), step)
    assert float(average.model.value) == pytest.approx(min(stays, 0.9))


def test_the_average_is_a_model_of_its_own():
    model = Number(1.0).train()
    average = Average(model, decay=0.5)
    assert not average.model.training
    assert not average.model.value.requires_grad
    model.value.data.fill_(9.0)
    assert float(average.model.value) == 1
    average.update(Number(5.0), step=1000)
    assert float(average.model.count) == 5  # buffers are not averaged
    assert (float(model.value), model.training, model.value.requires_grad) == (9, True, True)
