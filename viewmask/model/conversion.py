"""Conversion: released weights into our form and back, a few rows at a time.

    conversion = arrival("LLaDA-8B-Base")
    conversion.write("weights/transformer")

Numbers stay as they are stored. In memory there is never more than a piece of a tensor, whatever the size of the model.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning import checkpoint, shards
from viewmask.learning.shards import Shards
from viewmask.model import peers, vocabulary
from viewmask.model.code import bits
from viewmask.model.peers import Constant, Fresh, Part, Plan, Target
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.transformer import PAPER, Transformer, TransformerConfig

PIECE = 32 * 2**20  # bytes read at once
SHARD = 5 * 10**9  # bytes of one file of a peer's, as the hub likes them
CODES = 4096  # fresh rows made at once

_TOKENIZER = "tokenizer.json"
_UNUSED = "<unused "  # names of rows that no word has
_PICKLED = {peers.OPEN: "model.ckpt", peers.SHOWLAB: "pytorch_model.bin"}  # the names that their programs read

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Conversion:
    """A plan, and the tensors that it is about.

    Attributes:
        plan: which rows go where.
        source: the tensors read.
        to_peer: writes the peer's layout in place of ours.
        files: text files that go with the weights, by name.
    """

    plan: Plan
    source: Shards
    to_peer: bool
    files: Mapping[str, str]

    def write(self, out: str | Path, force: bool = False, progress: Progress | None = None) -> list[Path]:
        """Write a folder; it stands under its name once it is whole.

        Args:
            out: the folder.
            force: replace what stands there.
            progress: called with bytes written and bytes in all.

        Returns:
            The files written.

        Raises:
            ViewmaskError: a folder that is not empty, too little space, or weights that end before they should.
        """
        out = Path(out)
        self._check(out, force)
        done = 0

        def written(count: int) -> None:
            nonlocal done
            done += count
            if progress:
                progress(done, self.plan.size)

        with atomic.folder(out, ours="", force=force) as folder:
            if not self.to_peer:
                self._stream(folder / checkpoint.MODEL, self.plan.targets, written)
                (folder / checkpoint.CONFIG).write_text(self._record())
            elif self.plan.peer in _PICKLED:
                state = {target.name: self._whole(target, written) for target in self.plan.targets}
                content = {"state_dict": state} if self.plan.peer == peers.OPEN else state
                torch.save(content, folder / _PICKLED[self.plan.peer])
            else:
                self._write_shards(folder, written)
            if self.to_peer and self.plan.settings:
                (folder / checkpoint.CONFIG).write_text(json.dumps(self.plan.settings, indent=2))
            for name, text in self.files.items():
                (folder / name).write_text(text)
        return sorted(file for file in out.iterdir() if file.is_file())

    def _check(self, out: Path, force: bool) -> None:
        place = out.resolve()
        if any(file.resolve().is_relative_to(place) for file in self.source.files):
            raise ViewmaskError(f"{out} holds the weights to be converted: write to another folder with --to")
        if out.exists() and not force and not (out.is_dir() and not any(out.iterdir())):
            raise ViewmaskError(f"{out} exists: choose another --to, or pass --force to replace it")
        around = next(folder for folder in place.parents if folder.exists())
        free = shutil.disk_usage(around).free
        if free < self.plan.size:
            raise ViewmaskError(
                f"{self.plan.size / 1e9:.1f} GB are to be written, and {free / 1e9:.1f} GB are free at {around}: "
                "free some space, or choose another --to"
            )

    def _record(self) -> str:
        kind = Transformer if isinstance(self.plan.config, TransformerConfig) else Tokenizer
        about = {
            "peer": {"name": self.plan.peer, "settings": self.plan.settings},
            "notes": list(self.plan.notes),
            "fresh": [f"{each.name}: {part}" for each in self.plan.targets for part in each.parts if _is_fresh(part)],
        }
        return checkpoint.describe(kind.__name__, self.plan.config, about, self.files)

    def _write_shards(self, folder: Path, written: Callable[[int], None]) -> None:
        files = shards.split({target.name: target.entry for target in self.plan.targets}, SHARD)
        targets = {target.name: target for target in self.plan.targets}
        if len(files) == 1:
            self._stream(folder / checkpoint.MODEL, self.plan.targets, written)
            return
        index: dict[str, Any] = {"metadata": {"total_size": self.plan.size}, "weight_map": {}}
        for number, entries in enumerate(files, 1):
            name = f"model-{number:05d}-of-{len(files):05d}.safetensors"
            self._stream(folder / name, [targets[each] for each in entries], written)
            index["weight_map"] |= dict.fromkeys(entries, name)
        (folder / f"{checkpoint.MODEL}{shards.INDEX}").write_text(json.dumps(index, indent=2))

    def _stream(self, file: Path, targets: Any, written: Callable[[int], None]) -> None:
        named = {target.name: target for target in targets}
        entries = {name: target.entry for name, target in named.items()}
        shards.write(file, entries, lambda name: self._pieces(named[name]), written)

    def _whole(self, target: Target, written: Callable[[int], None]) -> Tensor:
        tensor = torch.cat([piece.flatten() for piece in self._pieces(target)]).view(target.entry.shape)
        written(target.entry.size)
        return tensor

    def _pieces(self, target: Target) -> Iterator[Tensor]:
        for part in target.parts:
            match part:
                case Part():
                    yield from self._rows(part)
                case Fresh():
                    yield from self._fresh(part, target.entry.dtype)
                case Constant():
                    yield part.values

    def _rows(self, part: Part) -> Iterator[Tensor]:
        if part.flipped is not None:
            yield self.source.read(part.source, part.start, part.stop).flip(part.flipped)
            return
        entry = self.source.entries[part.source]
        step = max(1, PIECE * entry.shape[0] // max(entry.size, 1))
        for start in range(part.start, part.stop, step):
            yield self.source.read(part.source, start, min(start + step, part.stop))

    def _fresh(self, part: Fresh, dtype: torch.dtype) -> Iterator[Tensor]:
        """New rows, near the words of a table: see `Fresh`."""
        total, squares = torch.zeros(()), torch.zeros(())
        for rows in self._rows(Part(part.like, 0, part.words)):
            total = total + rows.double().sum(dim=0)
            squares = squares + rows.double().square().sum(dim=0)
        mean = total / part.words
        spread = (squares / part.words - mean.square()).clamp(min=0).sqrt()
        random = torch.Generator().manual_seed(part.seed)
        directions = torch.randn(part.bits, len(mean), generator=random) * (spread / part.bits**0.5).float()
        for start in range(0, 2**part.bits, CODES):
            codes = torch.arange(start, min(start + CODES, 2**part.bits))
            yield (mean.float() + bits(codes, part.bits).float() @ directions).to(dtype)


def arrival(place: str | Path, width: int = PAPER.bits, seed: int = 0) -> Conversion:
    """A peer's weights into our form.

    Args:
        place: a file, or a folder with one model as the hub has it.
        width: bits of the visual codes that a transformer without any is given.
        seed: of their rows.

    Raises:
        ViewmaskError: see `shards.find` and `peers.arriving`.
    """
    source = shards.find(place)
    beside = source.place if source.place.is_dir() else source.place.parent
    settings = _json(beside / checkpoint.CONFIG)
    if "kind" in settings and "architecture" in settings:
        raise ViewmaskError(f"{place} holds weights of ours already: --to-peer gives them the layout of a peer")
    plan = peers.arriving(source.entries, settings, width, seed)
    files = {}
    if isinstance(plan.config, TransformerConfig) and (beside / _TOKENIZER).exists():
        files[vocabulary.FILE] = json.dumps(reworded(_json(beside / _TOKENIZER)), ensure_ascii=False)
    kept = {name: value for name, value in settings.items() if name != "viewmask"}
    return Conversion(replace(plan, settings=kept), source, False, files)


def departure(folder: str | Path, words_only: bool = False) -> Conversion:
    """Our weights into the layout of the peer whose form they have.

    Args:
        folder: a checkpoint folder.
        words_only: leave out what is visual: LLaDA as it was released.

    Raises:
        ViewmaskError: no checkpoint, or a network of a form that no peer has.
    """
    folder = Path(folder)
    if not folder.is_dir() or "kind" not in _json(folder / checkpoint.CONFIG):
        raise ViewmaskError(f"{folder} is no folder of our weights (config.json and model.safetensors)")
    kind = checkpoint.kind_of(folder)
    config: TokenizerConfig | TransformerConfig
    match kind:
        case "Tokenizer":
            config = checkpoint.configuration(folder, Tokenizer, TokenizerConfig)
        case "Transformer":
            config = checkpoint.configuration(folder, Transformer, TransformerConfig)
        case _:
            raise ViewmaskError(f"{folder} holds a {kind}: no peer has one")
    source = shards.find(folder / checkpoint.MODEL)
    came = checkpoint.about(folder).get("peer", {})
    settings = came.get("settings", {}) if isinstance(came, dict) else {}
    plan = peers.leaving(source.entries, config, settings, words_only, _one_mask(source))
    files = {}
    if plan.peer in (peers.LLADA, peers.MMADA) and (folder / vocabulary.FILE).exists():
        files[_TOKENIZER] = json.dumps(reworded(_json(folder / vocabulary.FILE), fill=False), ensure_ascii=False)
    return Conversion(plan, source, True, files)


def reworded(tokenizer: dict[str, Any], fill: bool = True) -> dict[str, Any]:
    """LLaDA's `tokenizer.json` with the ids that our special words need, or the other way round.

    Nothing is added to a text by it (no <bos>).

    Args:
        tokenizer: the content of the file.
        fill: give every row of the tables a name; False takes such names out.

    Raises:
        ViewmaskError: a tokenizer of another form.
    """
    try:
        model, added = tokenizer["model"], tokenizer.get("added_tokens", [])
        ids: dict[str, int] = model["vocab"] | {token["content"]: token["id"] for token in added}
        moved = peers.swaps()
        ids = {name: moved.get(row, row) for name, row in ids.items() if not name.startswith(_UNUSED)}
        free = sorted(set(range(peers.WORDS)) - set(ids.values())) if fill else []
        ids |= {f"{_UNUSED}{row}>": row for row in free}
        if max(ids.values()) >= peers.WORDS or len(set(ids.values())) != len(ids):
            raise ViewmaskError(f"{_TOKENIZER} names {len(ids)} words, and LLaDA has at most {peers.WORDS}")
        added = [token | {"id": ids[token["content"]]} for token in added]
    except (KeyError, TypeError, AttributeError) as error:
        raise ViewmaskError(f"{_TOKENIZER} is not as LLaDA's: {error!r}") from error
    ordered = dict(sorted(ids.items(), key=lambda each: each[1]))
    return tokenizer | {"model": model | {"vocab": ordered}, "added_tokens": added, "post_processor": None}


def _one_mask(source: Shards) -> bool:
    """Whether hidden words and hidden visual tokens look the same."""
    if not {"mask", "word.weight"} <= set(source.entries) or not source.entries["word.weight"].shape:
        return True
    row = source.read("word.weight", vocabulary.MASK, vocabulary.MASK + 1)[0]
    return torch.equal(row, source.whole("mask").to(row.dtype))


def _is_fresh(part: Part | Fresh | Constant) -> bool:
    return isinstance(part, Fresh)


def _json(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {}
    try:
        record = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ViewmaskError(f"{file} is damaged: {error}") from error
    return record if isinstance(record, dict) else {}
