"""A file of random tokens, as `viewmask tokenize` writes it with the shipped tokenizer."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from viewmask.learning import checkpoint
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.model.weights import SHIPPED, TOKENIZER
from viewmask.train import tokens


def write_tokens(path: Path, objects: int = 4, split: str = "train") -> str:
    """Write some objects, each with a caption; gives the name of the encoder that is said to have made them."""
    name = checkpoint.fingerprint(checkpoint.load(SHIPPED / TOKENIZER, Tokenizer, TokenizerConfig)[0].encoder)
    random = np.random.default_rng(0)
    rows = [
        {
            "id": f"object{number}", "split": split, "variant": "", "captions": [f"a {colour} chair"],
            "azimuths": (45.0 * np.arange(8)).tolist(), "tokens": random.integers(0, 2**18, 8 * 64).astype(np.int32),
            "photos": [], "photo_views": [],
        }
        for number, colour in zip(range(objects), ["red", "blue", "green", "grey"] * objects, strict=False)
    ]  # fmt: skip
    about = {"tokenizer": name, "grid": 8}
    table = pa.Table.from_pylist(rows, tokens.SCHEMA.with_metadata({tokens.META: json.dumps(about).encode()}))
    pq.write_table(table, path)
    return name
