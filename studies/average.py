"""Is the mean of several weights of one model better than each (Wortsman et al., "Model soups", ICML 2022)?

    python studies/average.py viewmask/weights/transformer runs/t2mv/weights --out soup

Writes the mean. `viewmask eval` on `val` tells whether it is better, for a field `studies/field.py`. It is worth a try
where one run began at the other's end, or where both began at one place with other seeds. A transformer with fewer
words than the other gets the words that it lacks, as the other did when it began.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from recon.field import Field, FieldConfig
from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.growth import worded
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import lexicon_of

KINDS: dict[str, tuple[Any, Any]] = {"Transformer": (Transformer, TransformerConfig), "Field": (Field, FieldConfig)}


def average(folders: list[Path], out: Path) -> Path:
    """Write the mean of weights of transformers or of fields, in half precision.

    Raises:
        ViewmaskError: missing, damaged or of another kind, or different in architecture or tokenizer.
    """
    kind = checkpoint.kind_of(folders[0])
    if kind not in KINDS:
        raise ViewmaskError(f"{folders[0]} holds a {kind}, not one of {', '.join(KINDS)}")
    files: dict[str, str] = {}
    models: list[tuple[Any, Any, dict[str, Any]]] = [checkpoint.load(folder, *KINDS[kind]) for folder in folders]
    if kind == "Transformer":
        lexicons = [lexicon_of(folder, about) for folder, (_, _, about) in zip(folders, models, strict=True)]
        lexicon = max(lexicons, key=lambda each: (len(each.vocabulary), len(each.things)))
        most, files = max(config.words for _, config, _ in models), lexicon.files()
        models = [(grown := worded(model, most, lexicon.vocabulary), grown.config, about) for model, _, about in models]
    model, config, about = models[0]
    for folder, (_, other, theirs) in zip(folders, models, strict=True):
        if other != config or theirs.get("tokenizer") != about.get("tokenizer"):
            raise ViewmaskError(f"{folder} and {folders[0]} differ in architecture or tokenizer: they have no mean")
    states = [each.state_dict() for each, _, _ in models]
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    means = [{"steps": each.get("steps"), "seconds": each.get("seconds")} for _, _, each in models]
    return checkpoint.save(out, model, config, about | {"mean_of": means}, files, half=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="folders of transformers, or of fields")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    print(average(arguments.weights, arguments.out))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
