"""Logs of runs in one figure: a plot a run, a line a layout."""

import pytest

from studies.curves import curves
from viewmask.errors import ViewmaskError
from viewmask.learning import log


def test_a_plot_for_each_run_and_a_line_for_each_layout(tmp_path):
    for name, layouts in (("align", ("t2i", "mmu")), ("i2mv", ("photo",))):
        (tmp_path / name).mkdir()
        for step in (50, 100):
            log.append(tmp_path / name, {"step": step, "loss": 1.0} | dict.fromkeys(layouts, step / 100))
    plots = curves([tmp_path / "align", tmp_path / "i2mv"]).axes
    assert [plot.get_title() for plot in plots] == ["align", "i2mv"]
    assert [[line.get_label() for line in plot.lines] for plot in plots] == [["t2i", "mmu"], ["photo"]]
    assert plots[1].lines[0].get_xydata().tolist() == [[50, 0.5], [100, 1]]
    with pytest.raises(ViewmaskError, match="holds no log"):
        curves([tmp_path])
