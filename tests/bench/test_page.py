"""What benches print becomes the tables of docs/results/speed.md."""

from __future__ import annotations

import re

import pytest

from bench import page

PRINTED = """two objects
| a | b |
|---|---|
| 1 | 2 |

and the rest, which is no table
| c |
|---|
"""


def test_tables_are_taken_and_words_are_left():
    assert page.tables(PRINTED) == "| a | b |\n|---|---|\n| 1 | 2 |\n\n| c |\n|---|\n"
    assert page.tables("nothing") == ""


def test_a_bench_fills_its_own_place_alone():
    text = "# Speed\n<!-- bench: one -->\nold\n<!-- end -->\nwords\n<!-- bench: two -->\nstays\n<!-- end -->\n"
    assert page.filled(text, "one", "| new \\1 |\n") == text.replace("old\n", "| new \\1 |\n")
    with pytest.raises(ValueError, match="no place for three"):
        page.filled(text, "three", "| new |\n")


def test_every_bench_is_there_and_has_its_place(tmp_path):
    places = re.findall(r"<!-- bench: (\S+) -->", page.PAGE.read_text())
    commands = page.commands(tmp_path)
    assert set(commands) <= set(places)
    assert all((page.ROOT / command[0]).exists() for command in commands.values())
    assert "metrics" not in page.commands(None)
