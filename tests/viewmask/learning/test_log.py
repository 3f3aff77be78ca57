"""The log of a run and its curve."""

from pathlib import Path

import matplotlib.figure
import numpy as np
from PIL import Image

from viewmask.learning import log


def test_lines_are_added_and_read_back(tmp_path: Path) -> None:
    assert log.read(tmp_path) == []
    log.append(tmp_path, {"step": 1, "loss": 0.5})
    log.append(tmp_path, {"step": 2})
    assert log.read(tmp_path) == [{"step": 1, "loss": 0.5}, {"step": 2}]
    assert (tmp_path / log.LOG).read_text() == '{"step": 1, "loss": 0.5}\n{"step": 2}\n'
    assert (log.LOG, log.CURVE) == ("log.jsonl", "loss.png")


def test_the_curve_shows_both_losses_and_no_outlier(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    figures = []
    real = matplotlib.figure.Figure.savefig

    def savefig(figure, *rest, **more):  # type: ignore[no-untyped-def]
        figures.append(figure)
        real(figure, *rest, **more)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", savefig)
    log.append(tmp_path, {"step": 0, "loss": 2.0})
    log.plot(tmp_path)
    assert not (tmp_path / log.CURVE).exists()  # one point is no curve
    for step in range(1, 100):
        log.append(tmp_path, {"step": step, "loss": 2 - step / 100} | ({"val": 2.5} if step % 50 == 0 else {}))
    log.append(tmp_path, {"step": 100, "loss": 90.0})
    log.plot(tmp_path)
    assert Image.open(tmp_path / log.CURVE).size == (800, 400)
    (axes,) = figures[0].axes
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    assert list(lines) == ["loss", "val"]
    assert lines["loss"].tolist()[:2] == [[0, 2], [1, 1.99]]
    assert lines["val"].tolist() == [[50, 2.5]]
    assert len(lines["loss"]) == 101
    low, high = 1.01, float(np.quantile([2 - step / 100 for step in range(100)] + [90], 0.98))
    assert np.allclose(axes.get_ylim(), (low - 0.05 * (high - low), high + 0.05 * (high - low)))
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("loss 90.0000", "step", "loss")


def test_a_flat_curve_is_drawn_too(tmp_path: Path) -> None:
    for step in range(3):
        log.append(tmp_path, {"step": step, "loss": 1.0})
    log.plot(tmp_path)
    assert (tmp_path / log.CURVE).exists()
