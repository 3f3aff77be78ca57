"""Slugs: names of files and folders, made of sentences."""

from __future__ import annotations

import re


def slug(sentence: str) -> str:
    """A folder name for a sentence: `A red chair!` gives `a-red-chair`."""
    words = re.findall(r"\w+", sentence.lower())
    return "-".join(words)[:60].strip("-") or "views"
