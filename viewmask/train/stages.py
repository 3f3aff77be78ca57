"""The stages: what can be trained, and from what it learns. Each has its training in a file of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from viewmask.errors import ViewmaskError
from viewmask.train import codes, field, framing, masked, ranking, refining
from viewmask.train.budget import RECIPES
from viewmask.train.run import Run


@dataclass(frozen=True)
class Stage:
    """One thing that is trained.

    Attributes:
        data: "views" (folders of view sets, or shards) or "tokens" (Parquet files).
        train: trains it from the data, as a run says, and returns the folder of exported weights.
    """

    data: str
    train: Callable[[Sequence[str | Path], Run], Path]


STAGES = {
    "tokenizer": Stage("views", codes.train_tokenizer),
    "decoder": Stage("views", codes.train_decoder),
    "align": Stage("tokens", partial(masked.train, "align")),
    "i2mv": Stage("tokens", partial(masked.train, "i2mv")),
    "t2mv": Stage("tokens", partial(masked.train, "t2mv")),
    "reranker": Stage("tokens", ranking.train),
    "refiner": Stage("views", refining.train),
    "framing": Stage("views", framing.train),
    "recon": Stage("views", field.train),
}


def train(stage: str, data: Sequence[str | Path], run: Run) -> Path:
    """Train one of STAGES.

    Args:
        stage: its name.
        data: what to train on. Only what belongs to the split "train", or to no split, is learnt from. Of rows of the
            split "val", if token files hold some, the log tells the loss; the end is kept all the same, for a network
            that is surer than they warrant draws no worse (docs/notebook.md).
        run: where it goes, what it starts from, how long it takes.

    Returns:
        The folder of exported weights.

    Raises:
        ViewmaskError: an unknown stage or preset, no data, nothing to resume, weights of another size.
    """
    if stage not in STAGES:
        raise ViewmaskError(f"no stage '{stage}': choose one of {', '.join(STAGES)}")
    if run.preset not in ("nano", "small", *RECIPES):
        raise ViewmaskError(f"no preset '{run.preset}': choose nano, small, {', '.join(RECIPES)}")
    if run.preset in RECIPES and stage != RECIPES[run.preset].stage:
        raise ViewmaskError(f"{run.preset} is the stage {RECIPES[run.preset].stage}, not {stage}")
    torch.manual_seed(run.seed)  # what weights begin as
    return STAGES[stage].train(data, run)
