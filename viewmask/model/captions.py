"""Captions: the thing that a caption names, in which spelling and clauses it says what it says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Iterable
from itertools import pairwise

from viewmask.model import colour

# What follows says more of the thing, and no longer what it is.
_SAYS_MORE = "with|on|of|in|for|from|that|at|by|holding|wearing|lying(?= (?:on|in|down))|made(?= )|built(?= )"
_CLAUSE = re.compile(rf" (?:{_SAYS_MORE})\b")
_AFTER = re.compile(rf",| (?:and|{_SAYS_MORE})\b")
_COLOUR = "(?:" + "|".join(sorted(colour.WORDS)) + ")"
_COLOURS = re.compile(rf"\b(?:{_COLOUR}, )*{_COLOUR},? and (?={_COLOUR}\b)")  # all but the last of several
_SPELLINGS = {"gray": "grey", "colored": "coloured", "colorful": "colourful"}  # captions are in British English
_SPELLING = re.compile(r"\b(?:" + "|".join(_SPELLINGS) + r")\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban? (?=([aeiou])?)")
_PUNCTUATION = ".,;:!?\"'()"
_FORM = re.compile(r"\b(?:model|asset) of ")  # "a simple 3D model of a chair" is a chair


def thing(caption: str) -> str:
    """The noun that a caption is about: "a red and white chair with a cushion" is a chair."""
    phrase = _phrase(caption)
    return phrase[-1] if phrase else ""


def names(caption: str) -> list[str]:
    """What an index of things may call the thing of a caption: of "two round tables" table, too.

    The word before the noun counts, for in "a chair made of wood" it may be the thing.
    """
    words = [word for word in _phrase(caption)[-2:] if word not in ("a", "an", "the")]
    return [form for word in words for form in (word, word.removesuffix("s"), word.removesuffix("es"))]


def things(objects: Iterable[Iterable[str]]) -> dict[str, int]:
    """How many objects are called what, the most frequent first.

    Args:
        objects: the captions of each object.
    """
    counts = Counter(name for captions in objects for name in {thing(caption) for caption in captions})
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def british(caption: str) -> str:
    """A caption in the spelling of the training sets: "gray" -> "grey"."""
    return _SPELLING.sub(lambda match: _SPELLINGS[match[0].lower()], caption)


def without(caption: str, words: Container[str]) -> str:
    """A caption without some words (in small letters), but for the name of its thing.

    A clause goes as a whole where its last word goes: "a bin with a chrome lid" without "chrome" is "a bin with a lid",
    without "lid" it is "a bin".
    """
    starts = [0, *(match.start() for match in _CLAUSE.finditer(caption.lower())), len(caption)]
    kept: list[str] = []
    for start, end in pairwise(starts):
        *others, last = caption[start:end].split() or [""]
        if start == 0 or others[:1] == ["of"] or not _any(last, words):
            kept += [*(word for word in others if not _any(word, words)), last]
    return _ARTICLE.sub(lambda match: "an " if match[1] else "a ", " ".join(kept))


def _phrase(caption: str) -> list[str]:
    """The words up to the noun, without punctuation around them."""
    start = _FORM.split(caption.lower())[-1]
    words = _AFTER.split(_COLOURS.sub("", start))[0].split()
    return [bare for word in words if (bare := word.strip(_PUNCTUATION))]


def _any(word: str, words: Container[str]) -> bool:
    """Whether a word or a part of it ("one-eyed": one and eyed) is among others."""
    return any(part in words for part in re.findall(r"\w+", word.lower()))
