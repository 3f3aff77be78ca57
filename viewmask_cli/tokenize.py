"""`viewmask tokenize`: every view to discrete tokens, captions kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewmask.errors import ViewmaskError
from viewmask_cli import output
from viewmask_cli.progress import note, progress


def tokenize(
    folders: Annotated[
        list[str],
        typer.Argument(metavar="VIEWS...", help="Folders that viewmask render wrote, or shards (files or URLs)."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Parquet file to write.")] = Path("tokens.parquet"),
    tokenizer: Annotated[
        Path | None,
        typer.Option(exists=True, help="Folder of the tokenizer's weights.", show_default="the shipped one"),
    ] = None,
    photos: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR", help="Photos of the same objects, from viewmask render --photos; may stand more than once."
        ),
    ] = None,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs", help="VIEWS are pictures with a sentence each: jpg and txt in shards or folders, or Parquet."
        ),
    ] = False,
    augment: Annotated[
        int,
        typer.Option(
            min=0, max=100, help="Add so many variants of each training object: one mirrored, the others recoloured."
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the variants.")] = 0,
    force: Annotated[bool, typer.Option("--force", "-f", help="Overwrite a file that viewmask did not make.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> Path:
    """Turn views into tokens to train on: one row per object, with its captions.

    --pairs reads pictures with a sentence each, for the stage align: WebDataset shards (a.jpg, a.txt), folders of such
    files, Parquet files with the columns caption and url.

    Example: viewmask tokenize views --out tokens.parquet
    """
    output.check_file(out, force)

    from viewmask.learning import checkpoint
    from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
    from viewmask.model.weights import SHIPPED, TOKENIZER
    from viewmask.train.tokens import tokenize as write_tokens
    from viewmask.train.tokens import tokenize_pairs
    from viewmask.views import collection

    if pairs and (photos or augment):
        raise ViewmaskError("pairs have neither photos nor variants: leave out --photos and --augment")
    if not pairs:
        collection.find(folders)  # refused before the model is loaded
    objects = 0
    model = checkpoint.load(tokenizer or SHIPPED / TOKENIZER, Tokenizer, TokenizerConfig)[0]
    with progress("tokenizing", "pairs" if pairs else "objects") as report:

        def count(done: int, total: int) -> None:
            nonlocal objects
            objects = done
            report(done, total)

        if pairs:
            tokenize_pairs(folders, out, model, count, note)
        else:
            write_tokens(folders, out, model, augment, seed, count, photos or (), note)
    output.remember([out])
    record = {"file": str(out), "objects": objects, "tokenizer": checkpoint.fingerprint(model.encoder)}
    output.say(as_json, record, [out])
    return out
