"""The log of a run that is resumed: what came after its checkpoint is told anew."""

import pytest

from viewmask.errors import ViewmaskError
from viewmask.learning import log


def test_what_came_after_the_checkpoint_is_left_out(tmp_path):
    log.cut(tmp_path, 50)
    assert log.read(tmp_path) == []
    for step in (50, 100, 150):
        log.append(tmp_path, {"step": step, "loss": 1.0})
    with (tmp_path / log.LOG).open("a") as file:
        file.write('{"step": 200, "lo')  # killed while it was written
    log.cut(tmp_path, 100)
    assert [line["step"] for line in log.read(tmp_path)] == [50, 100]
    log.append(tmp_path, {"step": 150, "loss": 2.0})
    log.cut(tmp_path, 150)
    assert log.read(tmp_path)[-1] == {"step": 150, "loss": 2.0}


@pytest.mark.parametrize("line", ["garbage", "7", '{"loss": 1.0}'])
def test_a_line_that_is_none_is_named(tmp_path, line):
    log.append(tmp_path, {"step": 50, "loss": 1.0})
    with (tmp_path / log.LOG).open("a") as file:
        file.write(line + "\n")
    for reads in (log.read, lambda folder: log.cut(folder, 50)):
        with pytest.raises(ViewmaskError, match=r"log\.jsonl is damaged: .* is no line of a log"):
            reads(tmp_path)
