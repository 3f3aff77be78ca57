"""Counting: numbers of things in words."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """`1 view`, `20,000 faces`; `things` where its plural is not made with an s."""
    return f"{number:,} {thing if number == 1 else things or thing + 's'}"
