"""What a caption says: the thing that it names, and the words that training told nothing of.

The things of the training sets are counted once, as their captions are read for the vocabulary:
`python -m viewmask.model.captions index.jsonl... --out viewmask/things.json`
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

from viewmask.files import atomic
from viewmask.model import colour, vocabulary

THINGS = Path(__file__).parents[1] / "things.json"

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
    """The noun that a caption is about, its case aside: "a red and white chair with a cushion" is a chair."""
    phrase = _phrase(caption)
    return phrase[-1] if phrase else ""


def _phrase(caption: str) -> list[str]:
    """The words up to the noun, without punctuation around them."""
    said = _FORM.split(caption.lower())[-1]
    words = _AFTER.split(_COLOURS.sub("", said))[0].split()
    return [bare for word in words if (bare := word.strip(_PUNCTUATION))]


@cache
def things() -> dict[str, int]:
    """What the captions of the training sets name, and how many objects of each there are, the most frequent first."""
    counts: dict[str, int] = json.loads(THINGS.read_text())
    return counts


def shown(caption: str) -> int:
    """How many objects of the training sets are called what a caption is about; of "two round tables" the tables.

    The word before the name counts, too, where it is the more frequent: of "a chair made of wood" the chairs.
    """
    words = [word for word in _phrase(caption)[-2:] if word not in ("a", "an", "the")]
    forms = [form for word in words for form in (word, word.removesuffix("s"), word.removesuffix("es"))]
    return max((things().get(form, 0) for form in forms), default=0)


def repeated(objects: Iterable[Iterable[str]]) -> list[str]:
    """The words that the vocabulary has in pieces alone, but captions of more than one object say, so that who learns
    from them knows these. None in the captions that the vocabulary was learnt from.

    Args:
        objects: the captions of each.
    """
    said = ({word.lower() for caption in captions for word in unfamiliar(caption)} for captions in objects)
    counts = Counter(word for words in said for word in words)
    return sorted(word for word, count in counts.items() if count > 1)


def unfamiliar(caption: str, known: Collection[str] = ()) -> list[str]:
    """The words that the vocabulary has in pieces alone, as captions of the training sets had them seldom or never.

    Args:
        caption: any text.
        known: words, in small letters, that are familiar all the same (`repeated`).
    """
    caption = " ".join(caption.split())
    read = vocabulary.vocabulary().encode(caption, add_special_tokens=False)
    spans: dict[int | None, list[tuple[int, int]]] = {}
    for word, span in zip(read.word_ids, read.offsets, strict=True):
        spans.setdefault(word, []).append(span)
    words = [caption[parts[0][0] : parts[-1][1]].strip() for parts in spans.values() if len(parts) > 1]
    return [word for word in dict.fromkeys(words) if word.isalpha() and word.lower() not in known]


def familiar(caption: str, known: Collection[str] = ()) -> str:
    """A caption as captions of the training sets would say it: in their spelling, without the words that are
    `unfamiliar`, for these mislead more than they tell. "A gray recycling bin with a chrome lid" becomes "a grey bin
    with a lid".

    The thing itself stays, whatever it is called; what is said of it goes as a whole where its last word is unfamiliar.
    Arguments as of `unfamiliar`.
    """
    caption = _SPELLING.sub(lambda match: _SPELLINGS[match[0].lower()], caption)
    strange = {word.lower() for word in unfamiliar(caption, known)}
    if not strange:
        return caption
    starts = [0, *(match.start() for match in _CLAUSE.finditer(caption.lower())), len(caption)]
    kept: list[str] = []
    for start, end in pairwise(starts):
        *others, last = caption[start:end].split() or [""]
        if start == 0 or others[:1] == ["of"] or strange.isdisjoint(_parts(last)):
            kept += [*(word for word in others if strange.isdisjoint(_parts(word))), last]
    return _ARTICLE.sub(lambda match: "an " if match[1] else "a ", " ".join(kept))


def _parts(word: str) -> list[str]:
    """Of "one-eyed" one and eyed."""
    return re.findall(r"\w+", word.lower())


def main() -> None:
    """Count the things of the train split of index.jsonl files."""
    *indices, flag, out = sys.argv[1:]
    if flag != "--out" or not indices:
        raise SystemExit("usage: python -m viewmask.model.captions index.jsonl... --out things.json")
    named = [{thing(caption) for caption in captions} for captions in vocabulary.learnt_from(indices)]
    counts = Counter(name for names in named for name in names)
    atomic.write(Path(out), json.dumps(dict(sorted(counts.items(), key=lambda each: (-each[1], each[0]))), indent=0))
    print(f"{len(counts)} things -> {out}")


if __name__ == "__main__":
    main()
