"""The vocabulary: captions to words by byte-level BPE (the `tokenizers` library).

It lies with the weights that learnt it. The shipped one was learnt from the captions of the training sets:
`python -m viewmask.model.vocabulary index.jsonl... --out vocabulary.json`
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from viewmask.errors import ViewmaskError
from viewmask.files import atomic

FILE = "vocabulary.json"
LENGTH = 24  # words of the text field
SPECIALS = ("<pad>", "<mask>", "<t2i>", "<mmu>", "<i2mv>", "<t2mv>", "<soi>", "<eoi>")
PAD, MASK, T2I, MMU, I2MV, T2MV, SOI, EOI = range(len(SPECIALS))


class Vocabulary:
    """Words and word pieces with their ids; the first ids are SPECIALS."""

    def __init__(self, bpe: Tokenizer) -> None:
        self._bpe = bpe

    @classmethod
    def load(cls, path: str | Path) -> Vocabulary:
        """Read a vocabulary file.

        Raises:
            ViewmaskError: the file is missing or damaged.
        """
        try:
            return cls(Tokenizer.from_str(Path(path).read_text()))
        except Exception as error:  # the library raises bare Exceptions
            raise ViewmaskError(f"cannot read the vocabulary {path}: {error}") from error

    @classmethod
    def learn(cls, captions: Iterable[str], words: int = 4096) -> Vocabulary:
        """Learn a vocabulary of `words` entries from captions."""
        bpe = Tokenizer(models.BPE())
        bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
        bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        bpe.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=words,
            special_tokens=list(SPECIALS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        bpe.train_from_iterator(captions, trainer)
        return cls(bpe)

    def __len__(self) -> int:
        return int(self._bpe.get_vocab_size())

    def __getitem__(self, word: int) -> str:
        """How the vocabulary writes a word."""
        return str(self._bpe.id_to_token(word))

    def to_json(self) -> str:
        """The content of its file."""
        return str(self._bpe.to_str(pretty=False))

    def encode(self, text: str, length: int = LENGTH, cut: bool = False) -> list[int]:
        """Text to `length` word ids, filled with PAD.

        Args:
            text: any text; case and surplus space do not matter.
            length: size of the text field.
            cut: drop what does not fit (training) instead of refusing it.

        Raises:
            ViewmaskError: an empty or too long text.
        """
        words: list[int] = self._bpe.encode(" ".join(text.split()), add_special_tokens=False).ids
        if not words and not cut:
            raise ViewmaskError('the text is empty: say what to make, as in --text "a red chair"')
        if len(words) > length and not cut:
            fitting = self._bpe.decode(words[:length]).strip()
            raise ViewmaskError(
                f'the text is too long ({len(words)} of {length} word pieces): it would end after "{fitting}"'
            )
        return words[:length] + [PAD] * (length - len(words[:length]))

    def fitting(self, text: str, length: int = LENGTH) -> str:
        """As many whole words of a text as the text field holds; the text as it is if it fits."""
        words = text.split()
        if not words or len(self._bpe.encode(" ".join(words), add_special_tokens=False).ids) <= length:
            return text
        while len(words) > 1 and len(self._bpe.encode(" ".join(words), add_special_tokens=False).ids) > length:
            words.pop()
        return " ".join(words)

    def decode(self, words: Iterable[int]) -> str:
        """Word ids back to text, specials left out."""
        return str(self._bpe.decode([int(word) for word in words if word >= len(SPECIALS)])).strip()

    def in_pieces(self, text: str) -> list[str]:
        """The words of a text that the vocabulary has in pieces alone, in their order, each once."""
        text = " ".join(text.split())
        encoding = self._bpe.encode(text, add_special_tokens=False)
        spans: dict[int | None, list[tuple[int, int]]] = {}
        for word, span in zip(encoding.word_ids, encoding.offsets, strict=True):
            spans.setdefault(word, []).append(span)
        words = [text[pieces[0][0] : pieces[-1][1]].strip() for pieces in spans.values() if len(pieces) > 1]
        return list(dict.fromkeys(words))

    def parts(self) -> list[tuple[int, int]]:
        """The two words that each of the last `len(parts())` words is put together from."""
        model = json.loads(self.to_json())["model"]
        ids = model["vocab"]
        pairs = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
        return [(ids[first], ids[second]) for first, second in pairs]


def main() -> None:
    """Learn a vocabulary from the train split of index.jsonl files."""
    *indices, flag, out = sys.argv[1:]
    if flag != "--out" or not indices:
        raise SystemExit("usage: python -m viewmask.model.vocabulary index.jsonl... --out vocabulary.json")
    records = [json.loads(line) for index in indices for line in Path(index).read_text().splitlines()]
    captions = [caption for record in records if record["split"] == "train" for caption in record["captions"]]
    atomic.write(out, Vocabulary.learn(captions).to_json())
    print(f"{len(captions)} captions -> {out}")


if __name__ == "__main__":
    main()
