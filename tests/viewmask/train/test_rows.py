"""Token files read part by part: from folders, ranges and URLs, in memory and mapped from disk, in bounded memory."""

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.viewmask.train.parquet import write_tokens
from viewmask.errors import ViewmaskError
from viewmask.train import tokens
from viewmask.train.rows import META, find

ROOT = Path(__file__).parents[3]


def same(one, two):
    for each in fields(tokens.Tokens):
        first, second = (getattr(rows, each.name) for rows in (one, two))
        assert list(first) == list(second) if each.name in ("ids", "captions") else np.array_equal(first, second)


@pytest.fixture
def name(tmp_path):
    names = {write_tokens(tmp_path / f"{number}.parquet", 3 + number, "train") for number in range(2)}
    write_tokens(tmp_path / "2.parquet", 2, "val")
    return names.pop()


def test_what_lies_on_disk_is_what_is_kept_in_memory(name, tmp_path, monkeypatch):
    held = tokens.read([tmp_path], name, "train")
    assert len(held.ids) == 7
    monkeypatch.setattr(tokens, "HELD", 0)
    notes: list[str] = []
    laid = tokens.read([tmp_path], name, "train", tmp_path / "laid", notes.append)
    assert isinstance(laid.tokens, np.memmap)
    same(held, laid)
    assert notes == [f"7 rows of tokens, 0.0 GB, are laid out in {tmp_path / 'laid'}"]
    # It stays for the next sitting, and is made anew for other files.
    tokens.read([tmp_path], name, "train", tmp_path / "laid", notes.append)
    assert len(notes) == 1
    more = tokens.read([tmp_path / "0.parquet"], name, "train", tmp_path / "laid", notes.append)
    assert (len(more.ids), len(notes)) == (3, 2)


def test_places(name, tmp_path, monkeypatch):
    files = [str(tmp_path / f"{number}.parquet") for number in range(3)]
    assert find([tmp_path]) == files
    assert find([f"{tmp_path}/{{0..2}}.parquet"]) == files
    url = f"file://{files[1]}"
    assert find([url]) == [url]
    same(tokens.read([url], name), tokens.read([files[1]], name))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ViewmaskError, match="no tokens in"):
        find([tmp_path / "empty"])
    with pytest.raises(ViewmaskError, match="cannot read nowhere://"):
        tokens.read(["nowhere://tokens.parquet"], name)
    with pytest.raises(ViewmaskError, match=r"cannot read file:///.*absent.parquet: .*No such file"):
        tokens.read([f"file://{tmp_path}/absent.parquet"], name)
    # What a kind of URL needs is said, here of a machine without it.
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(ViewmaskError, match=r"cannot read https://.*aiohttp.*; pip install 'viewmask-1-to-3\[urls\]'"):
        tokens.read(["https://127.0.0.1:1/tokens.parquet"], name)


ROWS = 200_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Many objects of four views of 8 x 8 tokens, 205 MB of them, in two shards."""
    folder = tmp_path_factory.mktemp("many")
    about = {META: json.dumps({"tokenizer": "t", "grid": 8}).encode()}
    for shard in range(2):
        with pq.ParquetWriter(folder / f"{shard}.parquet", tokens.SCHEMA.with_metadata(about)) as writer:
            for start in range(shard * ROWS // 2, (shard + 1) * ROWS // 2, 5000):
                rows = np.arange(start, start + 5000, dtype=np.int32)

                def column(numbers, length, kind):
                    return pa.ListArray.from_arrays(
                        np.arange(0, 5001, dtype=np.int32) * length, pa.array(numbers, kind)
                    )

                values = {
                    "id": pa.array([f"object-{row:06d}" for row in rows]),
                    "split": pa.array(["train"] * 5000),
                    "variant": pa.array([""] * 5000),
                    "captions": column([f"a red chair, {row}" for row in rows], 1, pa.string()),
                    "azimuths": column(np.tile(np.float32([0, 90, 180, 270]), 5000), 4, pa.float32()),
                    "tokens": column(np.repeat(rows, 256), 256, pa.int32()),
                    "photos": column([], 0, pa.int32()),
                    "photo_views": column([], 0, pa.int32()),
                }
                writer.write_table(pa.table(values, schema=tokens.SCHEMA))
    return folder


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
def test_memory_does_not_grow_with_the_data(many, tmp_path):
    # In a process of its own: this one has memory at hand that it took before.
    code = f"from tests.viewmask.train.memory import main; main({str(many)!r}, {str(tmp_path / 'laid')!r})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    rows, objects, drawn, peak = map(int, done.stdout.split())
    assert (rows, objects, drawn) == (ROWS, ROWS, 64)
    assert 1e6 < peak < 100e6  # the tokens are 205 MB, and names and captions as much in Python's form
