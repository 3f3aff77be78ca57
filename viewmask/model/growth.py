"""Growth: a transformer with more layers or more words that begins where a smaller one ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from viewmask.errors import ViewmaskError
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.vocabulary import Vocabulary


def grown(model: Transformer, config: TransformerConfig, vocabulary: Vocabulary) -> Transformer:
    """With the layers and words that it lacks. What it has more than `config` stays."""
    if model.config.layers < config.layers:
        model = deepened(model, config.layers)
    return worded(model, config.words, vocabulary)


def worded(model: Transformer, words: int, vocabulary: Vocabulary) -> Transformer:
    """With the words of the vocabulary that it lacks up to `words`, if the vocabulary tells what they begin as."""
    parts = vocabulary.parts()
    first = len(vocabulary) - len(parts)  # the words before are put together from no others
    if not first <= model.config.words < words <= len(vocabulary):
        return model
    return reworded(model, parts[model.config.words - first : words - first])


def reworded(model: Transformer, parts: Sequence[tuple[int, int]]) -> Transformer:
    """The same network with more words, each beginning as the mean of the two that it is put together from."""
    larger = Transformer(replace(model.config, words=model.config.words + len(parts)))
    state = dict(model.state_dict())
    for name in ("word.weight", "word_head.weight"):
        rows = list(state[name])
        for first, second in parts:
            rows.append((rows[first] + rows[second]) / 2)
        state[name] = torch.stack(rows)
    larger.load_state_dict(state)
    return larger


def deepened(model: Transformer, layers: int) -> Transformer:
    """The same function with more layers: copies stand among the blocks, their outputs zero.

    What the copies add has to be learnt, their inputs need not be (compare Chen et al., "Net2Net", ICLR 2016).

    Raises:
        ViewmaskError: fewer layers than the model has.
    """
    have = model.config.layers
    if layers < have:
        raise ViewmaskError(f"a transformer of {have} layers cannot be made one of {layers}")
    deeper = Transformer(replace(model.config, layers=layers))
    sources = [layer * have // layers for layer in range(layers)]
    state = {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("blocks.")}
    for layer, source in enumerate(sources):
        copied = source in sources[:layer]
        for name, tensor in model.blocks[source].state_dict().items():
            adds = name in ("attn_out.weight", "ff_out.weight")
            state[f"blocks.{layer}.{name}"] = torch.zeros_like(tensor) if copied and adds else tensor
    deeper.load_state_dict(state)
    return deeper
