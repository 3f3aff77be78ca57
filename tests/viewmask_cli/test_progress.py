"""Progress: rates, times left, and a log that is not a flood."""

import pytest

from viewmask_cli import progress


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

    monkeypatch.setattr(progress.time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left(clock, capsys):
    with progress.progress("training") as report:
        for step in range(1, 101):
            clock.now += 1.0
            report(step, 200, loss=0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "training 30/200 steps, 1/s, 3 min left loss 0.5",
        "training 60/200 steps, 1/s, 2 min left loss 0.5",
        "training 90/200 steps, 1/s, 2 min left loss 0.5",
    ]


def test_a_resumed_run_does_not_count_what_an_earlier_one_did(clock, capsys):
    with progress.progress("training") as report:
        report(1000, 2000)
        clock.now += 50.0
        report(1099, 2000)
    assert "training 1099/2000 steps, 2/s, 8 min left" in capsys.readouterr().err


def test_nothing_is_said_on_standard_output(clock, capsys):
    with progress.progress("training") as report:
        clock.now += 60
        report(3, 4)
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.progress("painting", "views") as report:
        report(1, 4, loss=0.25)
    assert "painting" in capsys.readouterr().err


def test_work_in_one_piece_has_a_line_in_a_log_and_a_clock_on_a_terminal(monkeypatch, capsys):
    with progress.working("carving"):
        assert capsys.readouterr().err == "carving\n"
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.working("carving"):
        pass
    shown = capsys.readouterr().err
    assert "carving" in shown
    assert "0:00:00" in shown


def test_named_steps_are_a_line_in_a_log_and_a_bar_with_time_left_on_a_terminal(monkeypatch, capsys):
    with progress.steps("building") as report:
        report("carving", 0.5)
    assert capsys.readouterr().err == "building\n"
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    with progress.steps("building") as report:
        report("cutting", 0.0)
        report("carving", 0.5)
    shown = capsys.readouterr().err
    assert "building: " in shown
    assert "carving  0 s left" in shown


def test_an_error_inside_passes_through():
    with pytest.raises(ZeroDivisionError), progress.progress("x") as report:
        report(1 // 0, 1)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (89, "89 s"), (240, "4 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_are_words(seconds, words):
    assert progress.duration(seconds) == words
