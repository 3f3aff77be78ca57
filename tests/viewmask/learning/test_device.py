"""Devices and precisions by name; nothing is taken for another in silence."""

from typing import get_args

import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning import device
from viewmask.learning.device import chosen


@pytest.fixture
def gpu(monkeypatch):
    """A machine with one GPU, as far as questions go."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: "a card")
    return monkeypatch


@pytest.fixture
def bare(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_a_machine_without_a_gpu(bare):
    assert str(chosen()) == "cpu, float32"
    assert str(chosen("cpu", "bfloat16")) == "cpu, bfloat16"
    for name in ("cuda", "mps"):
        with pytest.raises(ViewmaskError, match=f"torch finds no {name} device"):
            chosen(name)


def test_a_gpu_is_taken_and_computes_in_bfloat16(gpu):
    assert str(chosen()) == "cuda (a card), bfloat16"
    assert chosen("cuda", "float32").dtype == torch.float32
    assert str(chosen("cpu")) == "cpu, float32"
    gpu.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert chosen("cuda").dtype == torch.float32
    with pytest.raises(ViewmaskError, match="finds 1 GPU"):
        chosen("cuda:1")


@pytest.mark.parametrize(("name", "precision"), [("tpu", "auto"), ("meta", "auto"), ("cpu", "float16")])
def test_other_names_are_refused(name, precision):
    with pytest.raises(ViewmaskError, match=f"no (device '{name}'|precision '{precision}')"):
        chosen(name, precision)


def test_every_name_that_the_command_line_offers_is_known(gpu):
    gpu.setattr(torch.backends.mps, "is_available", lambda: True)
    for name in get_args(device.DeviceName):
        for precision in get_args(device.Precision):
            assert chosen(name, precision).dtype in (torch.float32, torch.bfloat16)
