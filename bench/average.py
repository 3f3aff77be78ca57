"""The mean of several weights of one model, which may be better than each (Wortsman et al., "Model soups", ICML 2022).

    python bench/average.py viewmask/weights/transformer runs/t2mv/weights --out soup

Worth trying for runs of which one began where the other ended; whether it is better, `viewmask eval` on `val` tells.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from viewmask import ViewmaskError, checkpoint
from viewmask.transformer import Transformer, TransformerConfig


def average(folders: list[Path], out: Path) -> Path:
    """Write the mean of transformers' weights, in half precision.

    Raises:
        ViewmaskError: weights that are missing or damaged, or that differ in architecture or tokenizer.
    """
    loaded = [checkpoint.load(folder, Transformer, TransformerConfig) for folder in folders]
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
    parser.add_argument("weights", nargs="+", type=Path, help="folders of transformers")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    print(average(asked.weights, asked.out))


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
