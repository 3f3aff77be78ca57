"""Captions to words: a byte-level BPE vocabulary (the `tokenizers` library), shipped with the package.

Made once from the captions of the training sets:
`python -m viewmask.model.vocabulary captions.jsonl... --out viewmask/vocabulary.json`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from viewmask.errors import ViewmaskError
from viewmask.files import atomic

VOCABULARY = Path(__file__).parents[1] / "vocabulary.json"
LENGTH = 24
SPECIALS = ("<pad>", "<mask>", "<t2i>", "<mmu>", "<i2mv>", "<t2mv>", "<soi>", "<eoi>")
PAD, MASK, T2I, MMU, I2MV, T2MV, SOI, EOI = range(len(SPECIALS))


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


def learnt_from(indices: Iterable[str]) -> list[list[str]]:
    """The captions of each object of the train split of index.jsonl files."""
    records = [json.loads(line) for index in indices for line in Path(index).read_text().splitlines()]
    return [record["captions"] for record in records if record["split"] == "train"]


def main() -> None:
    """Learn the vocabulary from the train split of index.jsonl files."""
    *indices, flag, out = sys.argv[1:]
    if flag != "--out" or not indices:
        raise SystemExit("usage: python -m viewmask.model.vocabulary index.jsonl... --out vocabulary.json")
    captions = [caption for each in learnt_from(indices) for caption in each]
    atomic.write(out, learn(captions).to_str(pretty=False))
    print(f"{len(captions)} captions -> {out}")


if __name__ == "__main__":
    main()
