"""Captions to words: a byte-level BPE vocabulary (the `tokenizers` library), shipped with the package.

Made once from the captions of the training sets:
`python -m viewmask.text captions.jsonl... --out viewmask/vocabulary.json`
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from viewmask import atomic, colour
from viewmask.errors import ViewmaskError

VOCABULARY = Path(__file__).with_name("vocabulary.json")
LENGTH = 24
SPECIALS = ("<pad>", "<mask>", "<t2i>", "<mmu>", "<i2mv>", "<t2mv>", "<soi>", "<eoi>")
PAD, MASK, T2I, MMU, I2MV, T2MV, SOI, EOI = range(len(SPECIALS))

# What follows says more of the thing, and no longer what it is.
_AFTER = re.compile(r",| (?:with|on|of|in|and|for|from|that|at|by|holding|wearing|lying)\b")
_CLAUSE = re.compile(r" (?:with|on|of|in|for|from|that|at|by|holding|wearing|lying)\b")
_COLOUR = "(?:" + "|".join(sorted(colour.WORDS)) + ")"
_COLOURS = re.compile(rf"\b(?:{_COLOUR}, )*{_COLOUR},? and (?={_COLOUR}\b)")  # all but the last of several
_SPELLINGS = {"gray": "grey", "colored": "coloured", "colorful": "colourful"}  # captions are in British English
_SPELLING = re.compile(r"\b(?:" + "|".join(_SPELLINGS) + r")\b", re.IGNORECASE)
_ARTICLE = re.compile(r"\ban? (?=([aeiou])?)")
_FORM = re.compile(r"\b(?:model|asset) of (?=an?\b)")  # "a simple 3D model of a chair" is a chair


@cache
def vocabulary(path: Path = VOCABULARY) -> Tokenizer:
    """The shipped vocabulary; its first ids are SPECIALS.

    Raises:
        ViewmaskError: the file is missing or damaged.
    """
    try:
        return Tokenizer.from_str(path.read_text())
    except Exception as error:  # the library raises bare Exceptions
        raise ViewmaskError(f"cannot read the vocabulary {path}: {error}") from error


def encode(text: str, length: int = LENGTH, cut: bool = False) -> list[int]:
    """Text to `length` word ids, filled with PAD.

    Args:
        text: any text; case and surplus space do not matter.
        length: size of the text field.
        cut: drop what does not fit (training) instead of refusing it.

    Raises:
        ViewmaskError: an empty or too long text.
    """
    words: list[int] = vocabulary().encode(" ".join(text.split()), add_special_tokens=False).ids
    if not words and not cut:
        raise ViewmaskError('the text is empty: say what to make, as in --text "a red chair"')
    if len(words) > length and not cut:
        fitting = vocabulary().decode(words[:length]).strip()
        raise ViewmaskError(
            f'the text is too long ({len(words)} of {length} word pieces): it would end after "{fitting}"'
        )
    return words[:length] + [PAD] * (length - len(words[:length]))


def decode(words: Iterable[int]) -> str:
    """Word ids back to text, specials left out."""
    return str(vocabulary().decode([int(word) for word in words if word >= len(SPECIALS)])).strip()


def unfamiliar(text: str) -> list[str]:
    """The words that the vocabulary has in pieces alone, as captions of the training sets had them seldom or never."""
    text = " ".join(text.split())
    read = vocabulary().encode(text, add_special_tokens=False)
    spans: dict[int | None, list[tuple[int, int]]] = {}
    for word, span in zip(read.word_ids, read.offsets, strict=True):
        spans.setdefault(word, []).append(span)
    words = [text[parts[0][0] : parts[-1][1]].strip() for parts in spans.values() if len(parts) > 1]
    return [word for word in dict.fromkeys(words) if word.isalpha()]


def familiar(caption: str) -> str:
    """A caption as captions of the training sets would say it: in their spelling, without the words that are
    `unfamiliar`, for these mislead more than they tell. "A gray recycling bin with a chrome lid" becomes "a grey bin
    with a lid".

    The thing itself stays, whatever it is called; what is said of it goes as a whole where its last word is unfamiliar.
    """
    caption = _SPELLING.sub(lambda match: _SPELLINGS[match[0].lower()], caption)
    strange = {word.lower() for word in unfamiliar(caption)}
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


def thing(caption: str) -> str:
    """The noun that a caption is about, its case aside: "a red and white chair with a cushion" is a chair."""
    phrase = _AFTER.split(_COLOURS.sub("", caption.lower()))[0].split()
    return phrase[-1] if phrase else ""


def shortened(caption: str, random: np.random.Generator) -> str:
    """A caption that says less of the same thing: of "a low-poly wine bottle with a cork" perhaps "a wine bottle".

    What follows the noun goes or stays with even chances, and so does each word before it, several colours being one;
    the word right before the noun, often a part of the name, stays three times of four.
    """
    said = _FORM.split(caption.lower())[-1]
    named = _COLOURS.sub(lambda match: match[0].replace(" ", "\0"), said)  # several colours are one word
    end = _AFTER.search(named)
    phrase, rest = (named[: end.start()], named[end.start() :]) if end else (named, "")
    words = phrase.split(" ")
    if len(words) < 2 or words[0] not in ("a", "an") or rest.startswith((" of", " and")):
        return said
    stays = random.random(len(words)) < 0.5
    stays[-2] |= random.random() < 0.5
    words = [word for word, stay in zip(words[1:-1], stays[1:-1], strict=True) if stay] + words[-1:]
    article = "an" if words[0][:1] in "aeiou" else "a"
    return " ".join([article, *words]).replace("\0", " ") + (rest if random.random() < 0.5 else "")


def size() -> int:
    """Number of words, specials included."""
    return int(vocabulary().get_vocab_size())


def parts() -> list[tuple[int, int]]:
    """The two words that each of the last `len(parts())` words of the vocabulary is put together from."""
    model = json.loads(vocabulary().to_str())["model"]
    ids = model["vocab"]
    pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    return [(ids[first], ids[second]) for first, second in pairs]


def learn(captions: Iterable[str], words: int = 4096) -> Tokenizer:
    """Learn a byte-level BPE vocabulary of `words` entries from captions."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=words,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return tokenizer


def main() -> None:
    """Learn the vocabulary from the train split of index.jsonl files."""
    *indices, flag, out = sys.argv[1:]
    if flag != "--out" or not indices:
        raise SystemExit("usage: python -m viewmask.text index.jsonl... --out vocabulary.json")
    records = [json.loads(line) for index in indices for line in Path(index).read_text().splitlines()]
    captions = [caption for record in records if record["split"] == "train" for caption in record["captions"]]
    atomic.write(out, learn(captions).to_str(pretty=False))
    print(f"{len(captions)} captions -> {out}")


if __name__ == "__main__":
    main()
