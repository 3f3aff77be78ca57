"""Peers: released weights that are of our networks' forms, and which of their rows go where.

    open-magvit2  tokenizer, a Lightning `.ckpt`: the moving average (`model_ema.`, names without dots) is taken
    showlab       tokenizer of Show-o and MMaDA: names as ours, but the first channel is the highest bit of a code
    llada         transformer of words: LLaDA's own names; visual tokens are added
    mmada         LLaDA with 8192 visual tokens among its rows

A plan lists every tensor to be written, and of which rows of which others it is made. Nothing is read for it but names
and shapes. Ours and theirs hold the same numbers, so plans lead in both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from viewmask.errors import ViewmaskError
from viewmask.learning.shards import Entry
from viewmask.model import vocabulary
from viewmask.model.tokenizer import OPEN_MAGVIT2, SHOW_O, Tokenizer, TokenizerConfig
from viewmask.model.transformer import PAPER, Transformer, TransformerConfig

Entries = Mapping[str, Entry]
Settings = Mapping[str, Any]

OPEN, SHOWLAB, LLADA, MMADA = "open-magvit2", "showlab", "llada", "mmada"

WORDS = 126464  # rows of LLaDA's tables
TEXT = 126349  # of which its tokenizer uses so many; MMaDA's visual tokens begin here
MASK = 126336  # [MASK], of words and of MMaDA's visual tokens
SPARE = WORDS - 1  # a row that nothing uses
MMADA_BITS = 13
GRID = 16  # tokens along a side of a view of 256 pixels

# Which of LLaDA's reserved rows our special words change places with. MMaDA taught those of <pad>, <t2i>, <mmu>, <soi>
# and <eoi>; <i2mv> and <t2mv> take those of its videos. A special word that is not named here has a row behind MMaDA's.
_RESERVED = {
    "<pad>": 126093, "<mask>": MASK, "<t2i>": 126088, "<mmu>": 126089, "<i2mv>": 126091, "<t2mv>": 126090,
    "<soi>": 126084, "<eoi>": 126085,
}  # fmt: skip
_FREE = 126100

_TABLE, _HEAD = "model.transformer.wte.weight", "model.transformer.ff_out.weight"

# What LLaDA's configuration may say of things that our network has in one form alone.
_FIXED: dict[str, tuple[Any, ...]] = {
    "block_type": ("llama",), "activation_type": ("silu", "swiglu"), "layer_norm_type": ("rms",), "rope": (True,),
    "alibi": (False,), "include_bias": (False,), "include_qkv_bias": (False, None), "bias_for_layer_norm": (False,),
    "weight_tying": (False,), "attention_layer_norm": (False,), "input_emb_norm": (False,), "scale_logits": (False,),
    "rms_norm_eps": (1e-5,), "multi_query_attention": (False, None),
}  # fmt: skip


@dataclass(frozen=True)
class Part:
    """Rows [start, stop) of a tensor of the source, along its first axis; `flipped` is an axis that is turned round."""

    source: str
    start: int
    stop: int
    flipped: int | None = None

    def __str__(self) -> str:
        return f"{self.source}[{self.start}:{self.stop}]" + ("" if self.flipped is None else " reversed")


@dataclass(frozen=True)
class Fresh:
    """Rows that the source lacks, one a code, which begin near the words of a table of the source.

    A row is the mean of the first `words` rows of `like`, plus or minus one random direction for each bit of its code:
    codes that share bits begin alike. The directions are normal, and scaled so that the rows vary as the words do.
    """

    bits: int
    like: str
    words: int
    seed: int

    def __str__(self) -> str:
        return f"new: mean of {self.like}[:{self.words}], +- a random direction a bit (seed {self.seed})"


@dataclass(frozen=True)
class Constant:
    """Numbers that follow from the form of the network alone."""

    values: torch.Tensor

    def __str__(self) -> str:
        return "constant"


@dataclass(frozen=True)
class Target:
    """A tensor to be written, and what it is made of, in the order of its rows."""

    name: str
    entry: Entry
    parts: tuple[Part | Fresh | Constant, ...]


@dataclass(frozen=True)
class Plan:
    """A conversion.

    Attributes:
        peer: whose weights these are.
        config: our configuration.
        targets: tensors to be written.
        left: tensors of the source that go nowhere.
        notes: what people should know.
        settings: the peer's `config.json`, in the way back.
    """

    peer: str
    config: TokenizerConfig | TransformerConfig
    targets: tuple[Target, ...]
    left: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes to be written."""
        return sum(target.entry.size for target in self.targets)


# -- from a peer ---------------------------------------------------------------------------------------------


def arriving(entries: Entries, settings: Settings, bits: int = PAPER.bits, seed: int = 0) -> Plan:
    """How a peer's tensors become ours.

    Args:
        entries: what the source holds.
        settings: its `config.json`; empty where there is none.
        bits: of the visual codes that LLaDA is given.
        seed: of their rows.

    Raises:
        ViewmaskError: weights of none of the peers, of another form, or with tensors that miss.
    """
    if _TABLE in entries:
        return _arriving_transformer(entries, settings, bits, seed)
    if "encoder.quant_conv.weight" in entries and "encoder.mid.block_1.conv1.weight" in entries:
        return _arriving_showlab(entries)
    if "encoder.mid_block.0.conv1.weight" in entries and "decoder.adaptive.0.gamma.weight" in entries:
        return _arriving_open(entries)
    some = ", ".join(list(entries)[:3])
    raise ViewmaskError(
        f"these are no weights of Open-MAGVIT2, showlab/magvitv2, LLaDA or MMaDA: there are {len(entries)} tensors, "
        f"such as {some}"
    )


def _arriving_open(entries: Entries) -> Plan:
    config = replace(
        OPEN_MAGVIT2,
        bits=_rows(entries, "encoder.conv_out.weight"),
        widths=_widths(entries, "encoder.down"),
        blocks=_blocks(entries, "encoder.down"),
        mid_blocks=_count(entries, "encoder.mid_block.{}.conv1.weight"),
    )
    names = tensors(config)
    average = {name: _averaged(name) for name in names}
    has_average = all(theirs in entries for theirs in average.values())
    source = average if has_average else {name: name for name in names}
    targets = tuple(_copied(name, theirs, entries, names[name]) for name, theirs in source.items())
    _none_foreign(OPEN, entries, names, ("loss.", "quantize.", "model_ema."))
    left = tuple(name for name in entries if name not in set(source.values()))
    note = "the moving average of the weights is taken" if has_average else "there is no moving average: plain weights"
    return Plan(OPEN, config, targets, left, (note,))


def _arriving_showlab(entries: Entries) -> Plan:
    config = replace(
        SHOW_O,
        bits=_rows(entries, "encoder.quant_conv.weight"),
        widths=_widths(entries, "encoder.down"),
        blocks=_blocks(entries, "encoder.down"),
        decoder_widths=_widths(entries, "decoder.up"),
        decoder_blocks=_blocks(entries, "decoder.up"),
    )
    names = tensors(config)
    targets = tuple(_copied(name, name, entries, entry, _FLIPPED.get(name)) for name, entry in names.items())
    _none_foreign(SHOWLAB, entries, names, ("quantize.",))
    left = tuple(name for name in entries if name not in names)
    return Plan(SHOWLAB, config, targets, left, ("the order of the bits is turned round: tokens stay the same",))


def _arriving_transformer(entries: Entries, settings: Settings, bits: int, seed: int) -> Plan:
    rows, width = entries[_TABLE].shape
    own = settings.get("viewmask", {})
    if rows == WORDS:
        peer, offset, count = LLADA, WORDS, 0
    elif rows == WORDS + 2**MMADA_BITS and int(own.get("visual_offset", TEXT)) == TEXT:
        peer, offset, count = MMADA, TEXT, 2**MMADA_BITS
    elif own and rows == WORDS + int(own.get("visual_tokens", 0)):  # what `leaving` made
        peer, offset, count = LLADA, WORDS, rows - WORDS
    else:
        raise ViewmaskError(
            f"a table of {rows} rows is neither LLaDA's ({WORDS}) nor MMaDA's ({WORDS + 2**MMADA_BITS})"
        )
    config = _transformer(entries, settings, count.bit_length() - 1 if count else bits)
    names = tensors(config)
    targets = []
    for name, entry in names.items():
        table = _TABLE if name in ("word.weight", "code.weight", "mask") else _HEAD
        if name == "mask":
            row = int(own.get("visual_mask_token_id", MASK))
            parts: tuple[Part | Fresh, ...] = (Part(_TABLE, row, row + 1),)
        elif name in ("word.weight", "word_head.weight"):
            # The words from the offset on lie behind the visual tokens there.
            parts = tuple(
                Part(table, start, stop) if stop <= offset else Part(table, start + count, stop + count)
                for start, stop in _order(offset)
            )
        elif name in ("code.weight", "code_head.weight"):
            new = Fresh(config.bits, table, TEXT, seed + (table == _HEAD))
            parts = (Part(table, offset, offset + count),) if count else (new,)
        else:
            targets.append(_copied(name, _theirs(name), entries, entry))
            continue
        _fits(table, entries, (rows, width))
        targets.append(Target(name, replace(entry, dtype=entries[table].dtype), parts))
    _none_foreign(peer, entries, {_TABLE, _HEAD, *(_theirs(name) for name in names)})
    note = (
        f"{2**config.bits} visual tokens: rows {offset} to {offset + count - 1} of the tables"
        if count
        else (f"{2**config.bits} visual tokens are new: each begins at the mean of the words, shifted by its bits")
    )
    return Plan(peer, config, tuple(targets), (), (note,))


def _transformer(entries: Entries, settings: Settings, bits: int) -> TransformerConfig:
    for name, allowed in _FIXED.items():
        if name in settings and settings[name] not in allowed:
            raise ViewmaskError(f"config.json says {name} = {settings[name]}, and this network has {allowed[0]}")
    if not isinstance(heads := settings.get("n_heads"), int) or heads < 1:
        raise ViewmaskError("the number of heads is unknown: config.json, with n_heads, must lie beside the weights")
    if (settings.get("n_kv_heads") or heads) != heads:
        raise ViewmaskError(
            f"only {settings['n_kv_heads']} of {heads} heads have keys: this network has as many of both"
        )
    return replace(
        PAPER,
        width=entries[_TABLE].shape[1],
        layers=_count(entries, "model.transformer.blocks.{}.attn_norm.weight"),
        heads=heads,
        hidden=_rows(entries, "model.transformer.blocks.0.ff_proj.weight"),
        words=WORDS,
        grid=GRID,
        bits=bits,
        groups=1,
        theta=float(settings.get("rope_theta") or PAPER.theta),
    )


# -- to a peer -----------------------------------------------------------------------------------------------


def leaving(
    entries: Entries,
    config: TokenizerConfig | TransformerConfig,
    settings: Settings,
    words_only: bool = False,
    one_mask: bool = True,
) -> Plan:
    """How our tensors become a peer's.

    Args:
        entries: what our checkpoint holds.
        config: of our network.
        settings: `config.json` of the peer where it is known from the way here, else empty.
        words_only: leave out what is visual: LLaDA as it was released.
        one_mask: the mask of visual tokens equals the row of [MASK]; else it takes a spare row.

    Raises:
        ViewmaskError: a network of a form that no peer has.
    """
    if isinstance(config, TransformerConfig):
        return _leaving_transformer(entries, config, settings, words_only, one_mask)
    if words_only:
        raise ViewmaskError("a tokenizer has no words: leave out --words-only")
    return _leaving_showlab(entries, config, settings) if config.form == "show-o" else _leaving_open(entries, config)


def _leaving_open(entries: Entries, config: TokenizerConfig) -> Plan:
    if config.channels != 3 or config.stem != 1 or config.empty_code or config.decoder_widths:
        reasons = [
            f"{config.channels} channels" if config.channels != 3 else "",
            f"pixels folded by {config.stem}" if config.stem != 1 else "",
            "a code of its own for emptiness" if config.empty_code else "",
            "a decoder of another size" if config.decoder_widths else "",
        ]
        raise ViewmaskError(f"no peer has such a tokenizer: it has {', '.join(filter(None, reasons))}")
    targets = [_copied(name, name, entries, entry) for name, entry in tensors(config).items()]
    # Some programs take the moving average, some the plain weights: both are the same here.
    targets += [replace(target, name=_averaged(target.name)) for target in targets]
    targets += [_constant("model_ema.decay", torch.tensor(0.999))]
    targets += [_constant("model_ema.num_updates", torch.tensor(0, dtype=torch.int32))]
    return Plan(OPEN, config, tuple(targets))


def _leaving_showlab(entries: Entries, config: TokenizerConfig, settings: Settings) -> Plan:
    names = tensors(config)
    targets = [_copied(name, name, entries, entry, _FLIPPED.get(name)) for name, entry in names.items()]
    powers = 2 ** torch.arange(config.bits - 1, -1, -1)
    signs = ((torch.arange(config.vocabulary)[:, None] & powers) > 0).float() * 2 - 1
    targets += [_constant("quantize.embedding", signs), _constant("quantize.power_vals", powers)]
    return Plan(SHOWLAB, config, tuple(targets), settings={"_class_name": "MAGVITv2", **settings})


def _leaving_transformer(
    entries: Entries, config: TransformerConfig, settings: Settings, words_only: bool, one_mask: bool
) -> Plan:
    if (config.codes, config.positions, config.query_norm, config.words) != ("table", "sequence", False, WORDS):
        raise ViewmaskError(
            f"no peer has such a transformer: codes={config.codes}, positions={config.positions}, {config.words} words"
        )
    peer = MMADA if config.bits == MMADA_BITS and not words_only else LLADA
    count = 0 if words_only else 2**config.bits
    offset = TEXT if peer == MMADA else WORDS
    names = tensors(config)
    own: dict[str, Any] = {"visual_offset": offset, "visual_tokens": count} if peer == LLADA and count else {}
    targets, notes = [], []
    for name, entry in names.items():
        if name in ("code.weight", "code_head.weight", "mask"):
            continue
        if name not in ("word.weight", "word_head.weight"):
            targets.append(replace(_copied(name, name, entries, entry), name=_theirs(name)))
            continue
        code = name.replace("word", "code")
        for table in (name, code):
            _fits(table, entries, names[table].shape)
        before = [Part(name, start, stop) for start, stop in _order(offset) if stop <= offset]
        after = [Part(name, start, stop) for start, stop in _order(offset) if start >= offset]
        parts = [*before, *([Part(code, 0, count)] if count else []), *after]
        if name == "word.weight" and count and not one_mask:
            mine = next(part for part in parts if part.source == name and part.stop == WORDS)
            at = parts.index(mine)
            parts[at : at + 1] = [replace(mine, stop=SPARE), Part("mask", 0, config.width)]
            own |= {"visual_offset": offset, "visual_tokens": count}
            own["visual_mask_token_id"] = SPARE + (count if peer == MMADA else 0)
            notes.append(f"visual tokens learnt a mask of their own: spare row {own['visual_mask_token_id']}")
        whole = Entry((WORDS + count, config.width), entries[name].dtype)
        targets.append(Target(_TABLE if name == "word.weight" else _HEAD, whole, tuple(parts)))
    left = ("code.weight", "code_head.weight", "mask") if words_only else ()
    return Plan(peer, config, tuple(targets), left, tuple(notes), _config(peer, config, settings, count, own))


def _config(
    peer: str, config: TransformerConfig, settings: Settings, count: int, own: dict[str, Any]
) -> dict[str, Any]:
    """`config.json` of a peer's transformer: as it came, or from what we know."""
    known = {name: allowed[0] for name, allowed in _FIXED.items()}
    known |= {
        "model_type": peer, "architectures": ["LLaDAModelLM" if peer == LLADA else "MMadaModelLM"],
        "d_model": config.width, "n_layers": config.layers, "n_heads": config.heads, "n_kv_heads": config.heads,
        "mlp_hidden_size": config.hidden, "rope_theta": config.theta, "rope_full_precision": True,
        "max_sequence_length": 4096, "mask_token_id": MASK, "pad_token_id": 126081, "eos_token_id": 126081,
        "layer_norm_with_affine": True, "use_cache": False,
    }  # fmt: skip
    rows = {"vocab_size": WORDS + count, "embedding_size": WORDS + count}
    came = {name: value for name, value in settings.items() if name != "viewmask"}
    return known | came | rows | ({"viewmask": own} if own else {})


# -- names and rows ------------------------------------------------------------------------------------------

# The first channel of a code is the highest bit of showlab's tokens, and the lowest of ours.
_FLIPPED = {"encoder.quant_conv.weight": 0, "encoder.quant_conv.bias": 0, "decoder.post_quant_conv.weight": 1}


def tensors(config: TokenizerConfig | TransformerConfig) -> dict[str, Entry]:
    """The tensors of a network of ours, without making it."""
    with torch.device("meta"):
        model = Transformer(config) if isinstance(config, TransformerConfig) else Tokenizer(config)
    return {name: Entry(tuple(tensor.shape), tensor.dtype) for name, tensor in model.state_dict().items()}


def swaps() -> dict[int, int]:
    """Which words change places on the way here, in both directions: ours by LLaDA's, LLaDA's by ours."""
    theirs = [_RESERVED.get(name, _FREE + index) for index, name in enumerate(vocabulary.SPECIALS)]
    return dict(enumerate(theirs)) | {row: index for index, row in enumerate(theirs)}


def _order(cut: int) -> list[tuple[int, int]]:
    """All words [start, stop) in the order of the other side; no stretch crosses `cut`."""
    moved, stretches, at = swaps(), [], 0
    for row in [*sorted(moved), WORDS]:
        ends = [cut, row] if at < cut < row else [row]
        for end in ends:
            stretches += [(at, end)] if at < end else []
            at = end
        if row < WORDS:
            stretches.append((moved[row], moved[row] + 1))
            at = row + 1
    return stretches


def _theirs(name: str) -> str:
    """LLaDA's name of a tensor of ours that it has, too."""
    return f"model.transformer.{'ln_f.weight' if name == 'norm.weight' else name}"


def _averaged(name: str) -> str:
    """How Open-MAGVIT2 calls the moving average of a tensor."""
    return f"model_ema.{name.replace('.', '')}"


def _copied(name: str, theirs: str, entries: Entries, entry: Entry, flipped: int | None = None) -> Target:
    _fits(theirs, entries, entry.shape)
    part = Part(theirs, 0, entry.shape[0], flipped)
    return Target(name, replace(entry, dtype=entries[theirs].dtype), (part,))


def _constant(name: str, values: torch.Tensor) -> Target:
    return Target(name, Entry(tuple(values.shape), values.dtype), (Constant(values),))


def _fits(name: str, entries: Entries, shape: tuple[int, ...]) -> None:
    if name not in entries:
        raise ViewmaskError(f"the tensor {name} is missing: the file is cut, or of another model")
    if entries[name].shape != shape:
        have, want = ("x".join(map(str, each)) for each in (entries[name].shape, shape))
        raise ViewmaskError(f"{name} is {have}, and should be {want}: this is another model")


def _none_foreign(peer: str, entries: Entries, known: Iterable[str], allowed: tuple[str, ...] = ()) -> None:
    names = set(known)
    foreign = [name for name in entries if name not in names and not name.startswith(allowed or "\0")]
    if foreign:
        raise ViewmaskError(f"{peer} has no {foreign[0]}, nor {len(foreign) - 1} other tensors: this is another model")


def _rows(entries: Entries, name: str) -> int:
    if name not in entries or not entries[name].shape:
        raise ViewmaskError(f"the tensor {name} is missing: the file is cut, or of another model")
    return entries[name].shape[0]


def _count(entries: Entries, pattern: str) -> int:
    """How many tensors there are, numbered from 0."""
    count = 0
    while pattern.format(count) in entries:
        count += 1
    return count


def _widths(entries: Entries, levels: str) -> tuple[int, ...]:
    count = _count(entries, levels + ".{}.block.0.conv1.weight")
    return tuple(_rows(entries, f"{levels}.{level}.block.0.conv1.weight") for level in range(count))


def _blocks(entries: Entries, levels: str) -> tuple[int, ...]:
    count = _count(entries, levels + ".{}.block.0.conv1.weight")
    return tuple(_count(entries, f"{levels}.{level}.block.{{}}.conv1.weight") for level in range(count))
