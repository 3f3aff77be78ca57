"""The plot of a sweep."""

import re

import numpy as np

from eval.report import plot
from eval.result import Means, Result
from eval.sweep import Sweep


def test_the_plot_shows_every_setting_where_it_belongs():
    def result(psnr: list[float]) -> Result:
        records = [{"id": str(i), "psnr": value, "chamfer": 1 - value / 100} for i, value in enumerate(psnr)]
        means: Means = {"psnr": float(np.mean(psnr)), "chamfer": 1 - float(np.mean(psnr)) / 100}
        return Result("m", means, {}, {}, records, {}, [])

    settings = [{"schedule": s, "steps": n} for s in ("cosine", "linear") for n in (4, 8, 20)]
    panels = plot.panels(Sweep(settings, [result([10 + k, 11 + 1.5 * k, 12 + k]) for k in range(6)]))
    psnr, chamfer = re.findall(r"<svg.*?</svg>", panels)
    for panel in (psnr, chamfer):
        heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', panel)]
        assert len(heights) == 6
        assert heights == sorted(heights, reverse=True)  # up is better, for Chamfer distance too
    assert "schedule=linear steps=20: 16.83 (+5.00 to +7.50)" in psnr
    assert panels.count('class="key ') == 2
