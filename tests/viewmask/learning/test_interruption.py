"""Interruption: whose handlers are replaced for how long."""

import signal

import pytest

from viewmask.learning.interruption import patience


@pytest.fixture
def handlers():
    """Puts back the handlers of both signals."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_told_of_and_the_handlers_come_back(handlers, number):
    mine = [lambda *_: None, lambda *_: None]
    signal.signal(signal.SIGINT, mine[0])
    signal.signal(signal.SIGTERM, mine[1])
    with patience() as stop:
        assert stop() is False
        signal.raise_signal(number)
        assert stop() is True
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == mine


def test_what_is_ignored_stays_ignored(handlers):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with patience() as stop:
        signal.raise_signal(signal.SIGINT)
        assert not stop()
        signal.raise_signal(signal.SIGTERM)
        assert stop()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
