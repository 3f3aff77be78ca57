"""Making: how views were made, in full, so that the same command makes the same bytes again.

It stands in transforms.json under `making`, and in what is made of the views. It holds no path and no clock time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from viewmask.errors import ViewmaskError
from viewmask.version import VERSION

if TYPE_CHECKING:  # the command line compares records, and numpy takes a while to load
    from viewmask.views.picture import Picture

KEY = "making"
"""Of transforms.json."""

_KINDS: dict[str, type | tuple[type, ...]] = {
    "str": str, "int": int, "bool": bool, "Mapping[str, Any]": Mapping, "tuple[int, ...]": (list, tuple),
}  # fmt: skip

_TOLD = 4  # differences that are told


@dataclass(frozen=True)
class Making:
    """How one set of views was made.

    Attributes:
        text: the sentence, or what the picture was said to show.
        picture: `digest` of the reference view; empty for a sentence alone.
        cutout: what told the picture's object, a name of `viewmask.views.cutout`; empty for a ready reference view.
        views: how many.
        seed: of everything random.
        draws: of a sentence, of which one was kept; 0 for a picture.
        as_view: the picture was taken as a view of the orbit.
        symmetry: views that look like the picture were replaced by it.
        repeats: which views are the given picture, or its mirror image.
        sampling: every setting of the sampler, those that nobody chose included.
        weights: fingerprint of the networks.
        runs_on: device and precision; others may round differently.
        threads: of the CPU, for sums depend on how they are split; 0 on a GPU.
        version: of this program.
    """

    text: str = ""
    picture: str = ""
    cutout: str = ""
    views: int = 4
    seed: int = 0
    draws: int = 0
    as_view: bool = False
    symmetry: bool = False
    repeats: tuple[int, ...] = ()
    sampling: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    runs_on: str = ""
    threads: int = 0
    version: str = VERSION

    def record(self) -> dict[str, Any]:
        """As it stands in JSON; what says nothing is left out."""
        values = asdict(self) | {"repeats": list(self.repeats)}
        return {name: value for name, value in values.items() if value not in ("", [], False) or name == "seed"}

    @classmethod
    def of(cls, record: Any) -> Making:
        """Read what `record` wrote.

        Raises:
            ViewmaskError: it is something else, or a newer version's.
        """
        if not isinstance(record, Mapping):
            raise ViewmaskError("it does not say how it was made: an earlier version made it, or another program")
        kinds = {each.name: _KINDS[str(each.type)] for each in fields(cls)}
        for name, value in record.items():
            if name not in kinds:
                made = record.get("version", "another version")
                raise ViewmaskError(f"{VERSION} does not know {name!r} in the record of how it was made, by {made}")
            if not isinstance(value, kinds[name]) or (isinstance(value, bool) and kinds[name] is int):
                raise ViewmaskError(f"its record of how it was made is damaged: {name} is {value!r}")
        if not all(_plain(value) for value in record.get("sampling", {}).values()):
            raise ViewmaskError("its record of how it was made is damaged: sampling holds more than numbers and names")
        sampling = {name: tuple(value) if isinstance(value, list) else value
                    for name, value in record.get("sampling", {}).items()}  # fmt: skip
        return cls(**{**record, "repeats": tuple(record.get("repeats", ())), "sampling": sampling})

    def asks_as(self, other: Making) -> bool:
        """Whether both were asked for alike; what came of it (`repeats`) does not count."""
        return replace(self, repeats=()) == replace(other, repeats=())

    def told_from(self, other: Making) -> str:
        """In a few words, and where `other` has the same, what differs: `'a red chair', seed 7; draws 4, not 1`."""
        if str(self) != str(other):
            return str(self)
        if self.picture != other.picture:
            return f"{'another' if self.picture else 'no'} picture, seed {self.seed}"
        mine, theirs = ({**each.record(), **each.sampling} for each in (self, other))
        changed = [
            f"{name} {_word(mine.get(name, False))}, not {_word(theirs.get(name, False))}"
            for name in {**mine, **theirs}
            if name not in ("sampling", "repeats") and mine.get(name) != theirs.get(name)
        ]
        return "; ".join([str(self), *changed[:_TOLD], *(["..."] if len(changed) > _TOLD else [])])

    def __str__(self) -> str:
        """In a few words: `'a red chair', seed 7`."""
        return f"{repr(self.text) if self.text else 'a picture'}, seed {self.seed}"


def _word(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)


def _plain(value: Any) -> bool:
    """Numbers, words, and pairs of numbers."""
    if isinstance(value, list | tuple):
        return len(value) == 2 and all(isinstance(each, int | float) and math.isfinite(each) for each in value)
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def digest(picture: Picture) -> str:
    """Names a picture by its pixels, uint8 [height, width, channels]."""
    return hashlib.sha256(repr(picture.shape).encode() + picture.tobytes()).hexdigest()[:16]
