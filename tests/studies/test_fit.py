"""Does the bench tell the sample that is ranked first from the truly best?"""

import sys
from types import SimpleNamespace

import numpy as np

from studies import fit
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet


def disc(radius: float) -> ViewSet:
    y, x = np.mgrid[:32, :32] - 15.5
    picture = np.zeros((32, 32, 4), np.uint8)
    picture[np.hypot(x, y) < radius] = (200, 30, 30, 255)
    return ViewSet([picture] * 4, orbit(4, size=32))


class Generator:
    """Makes discs of other sizes; the middle one fits best."""

    fingerprint = "none"

    def samples(self, caption, count, speed):
        return [disc(radius) for radius in (8, 6, 10)[:count]]


def test_the_rows_of_the_table(monkeypatch, capsys):
    subjects = [SimpleNamespace(caption="a disc", views=lambda n: disc(10))]
    monkeypatch.setattr(fit, "open_bench", lambda name, data, limit: SimpleNamespace(subjects=subjects))
    monkeypatch.setattr(fit.Generator, "load", lambda weights: Generator())
    monkeypatch.setattr(sys, "argv", ["fit.py", "--data", "nowhere", "--samples", "3"])
    fit.main()
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if "|" in line}
    area = {radius: (disc(radius).images[0][..., 3] > 0).sum() for radius in (6, 8, 10)}
    first, mean = area[8] / area[10], (area[6] + area[8] + area[10]) / 3 / area[10]
    assert f"{first:.3f} [{first - mean:+.3f}" in rows["ranked first"]
    assert f"{mean:.3f} |" in rows["the mean sample"]
    assert "1.000" in rows["ranked last"]
    assert "58.92" in rows["truly best"]
