"""The lexicon: what words and things training had. It lies with the weights, and tells how they read a sentence."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from viewmask.errors import ViewmaskError
from viewmask.model import captions
from viewmask.model.vocabulary import FILE as VOCABULARY
from viewmask.model.vocabulary import Vocabulary

THINGS = "things.json"


@dataclass(frozen=True)
class Lexicon:
    """What the captions of training said.

    Attributes:
        vocabulary: the words that the transformer knows.
        things: how many objects of training were called what; empty where nobody counted.
        words: those that the vocabulary has in pieces, but training had more than once (small letters).
    """

    vocabulary: Vocabulary
    things: Mapping[str, int] = field(default_factory=dict)
    words: Collection[str] = ()

    @classmethod
    def load(cls, folder: str | Path, words: Collection[str] = ()) -> Lexicon:
        """Read the files that lie with weights.

        Raises:
            ViewmaskError: a file is damaged, or the vocabulary is missing.
        """
        things = Path(folder) / THINGS
        try:
            record = json.loads(things.read_text()) if things.exists() else {}
            counts = {str(name): int(count) for name, count in record.items()}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise ViewmaskError(f"{things} is damaged: {error}") from error
        return cls(Vocabulary.load(Path(folder) / VOCABULARY), counts, frozenset(words))

    def files(self) -> dict[str, str]:
        """Contents of the files that lie with weights, by name; `words` stand in the checkpoint's record."""
        return {VOCABULARY: self.vocabulary.to_json(), THINGS: json.dumps(dict(self.things), indent=0)}

    def taught(self, objects: Iterable[Iterable[str]]) -> Lexicon:
        """The same after training with objects of these captions, too. What was known stays known.

        A word is known once the captions of two objects say it.
        """
        counts, strange = Counter[str](), Counter[str]()
        for each in map(list, objects):  # one after the other: there may be millions
            counts.update({captions.thing(caption) for caption in each})
            strange.update({word.lower() for caption in each for word in self.unfamiliar(caption)})
        things = {name: max(counts.get(name, 0), self.things.get(name, 0)) for name in {**counts, **self.things}}
        repeated = [word for word, count in strange.items() if count > 1]
        ordered = dict(sorted(things.items(), key=lambda each: (-each[1], each[0])))
        return Lexicon(self.vocabulary, ordered, frozenset({*self.words, *repeated}))

    def unfamiliar(self, caption: str) -> list[str]:
        """The words of a caption that training had seldom or never: those that the vocabulary has in pieces."""
        words = self.vocabulary.in_pieces(caption)
        return [word for word in words if word.isalpha() and word.lower() not in self.words]

    def familiar(self, caption: str) -> str:
        """A caption as training would say it, without the words that are `unfamiliar`, for these mislead.

        "A gray recycling bin with a chrome lid" becomes "a grey bin with a lid". The thing itself stays, whatever it is
        called.
        """
        caption = captions.british(caption)
        strange = {word.lower() for word in self.unfamiliar(caption)}
        return captions.without(caption, strange) if strange else caption

    def count(self, caption: str) -> int:
        """How many objects of training are called what a caption is about; of "two round tables" the tables."""
        return max((self.things.get(name, 0) for name in captions.names(caption)), default=0)
