"""The precision that a machine is faster in."""

import pytest
import torch

from viewmask.learning import precision


@pytest.mark.parametrize(
    ("single", "half", "expected"), [(3.0, 1.0, "bfloat16"), (1.2, 1.0, "float32"), (1.0, 5.0, "float32")]
)
def test_bfloat16_must_pay(monkeypatch, single, half, expected):
    monkeypatch.setattr(precision, "_seconds", lambda kind: single if kind == torch.float32 else half)
    precision.fastest.cache_clear()
    assert precision.fastest("cpu") == expected
    precision.fastest.cache_clear()


def test_accelerators_take_bfloat16(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", lambda _: pytest.fail("nothing is measured there"))
    assert precision.fastest("cuda") == "bfloat16"


def test_products_are_timed():
    assert all(0 < precision._seconds(kind) < 60 for kind in (torch.float32, torch.bfloat16))
