"""The mean of several weights of one model, which may be better than each (Wortsman et al., "Model soups", ICML 2022).

    python studies/average.py viewmask/weights/transformer runs/t2mv/weights --out soup

Worth trying for runs of which one began where the other ended, or that began at the same place with other seeds. A
transformer with fewer words than the other gets those that it lacks, as the other did when it began.
Whether it is better, `viewmask eval` on `val` tells, for a field `studies/field.py`.
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

KINDS: dict[str, tuple[Any, Any]] = {"Transformer": (Transformer, TransformerConfig), "Field": (Field, FieldConfig)}


def average(folders: list[Path], out: Path) -> Path:
    """Write the mean of weights of transformers or of fields, in half precision.

    Raises:
        ViewmaskError: missing, damaged or of another kind, or different in architecture or tokenizer.
    """
    kind = checkpoint.kind_of(folders[0])
    if kind not in KINDS:
        raise ViewmaskError(f"{folders[0]} holds a {kind}, not one of {', '.join(KINDS)}")
    loaded: list[tuple[Any, Any, dict[str, Any]]] = [checkpoint.load(folder, *KINDS[kind]) for folder in folders]
    if kind == "Transformer":
        most = max(config.words for _, config, _ in loaded)
        loaded = [(grown := worded(model, most), grown.config, about) for model, _, about in loaded]
    model, config, about = loaded[0]
    for folder, (_, other, theirs) in zip(folders, loaded, strict=True):
        if other != config or theirs.get("tokenizer") != about.get("tokenizer"):
            raise ViewmaskError(f"{folder} and {folders[0]} differ in architecture or tokenizer: they have no mean")
    states = [each.state_dict() for each, _, _ in loaded]
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    means = [{"steps": each.get("steps"), "seconds": each.get("seconds")} for _, _, each in loaded]
    return checkpoint.save(out, model, config, about | {"mean_of": means}, half=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="folders of transformers, or of fields")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    print(average(asked.weights, asked.out))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
