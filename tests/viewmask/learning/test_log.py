"""The log of a run that is resumed: what came after its checkpoint is told anew."""

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
