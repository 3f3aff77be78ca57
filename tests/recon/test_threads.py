from __future__ import annotations

import threading
import time

import pytest

from recon import threads


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_results_come_in_order_whatever_the_cores(monkeypatch, cores):
    monkeypatch.setattr(threads, "cores", lambda: cores)

    def slowly(number: int, word: str) -> str:
        time.sleep(0.002 * (5 - number))
        return f"{number}{word}"

    assert list(threads.each(slowly, range(5), "abcde")) == ["0a", "1b", "2c", "3d", "4e"]
    assert list(threads.each(slowly, [], "")) == []


def test_one_core_needs_no_thread(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 1)
    assert set(threads.each(lambda _: threading.get_ident(), range(3))) == {threading.get_ident()}
    monkeypatch.setattr(threads, "cores", lambda: 2)
    assert threading.get_ident() not in set(threads.each(lambda _: threading.get_ident(), range(3)))


def test_no_more_results_wait_than_there_are_cores(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)
    begun: list[int] = []
    results = threads.each(begun.append, range(10))
    next(results)
    assert len(begun) <= 2


@pytest.mark.parametrize("cores", [1, 2])
def test_an_error_is_raised_and_lists_must_be_of_one_length(monkeypatch, cores):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    with pytest.raises(ZeroDivisionError):
        list(threads.each(lambda number: 1 / number, [1, 0]))
    with pytest.raises(ValueError, match=r"shorter|longer"):
        list(threads.each(max, [1, 2], [3]))


def test_the_ceiling_of_torch_is_one_here_too(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert threads.cores() == 1
    for without in ("", "many", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", without)
        assert threads.cores() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert threads.cores() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads.cores() == 2
