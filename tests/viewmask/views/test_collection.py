"""View sets from folders, WebDataset tars and URLs: the same pictures and the same tokens."""

import io
import re
import shutil
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from viewmask.errors import ViewmaskError
from viewmask.learning.checkpoint import fingerprint
from viewmask.model.tokenizer import Tokenizer, TokenizerConfig
from viewmask.train import tokens
from viewmask.views import collection
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

NAMES = ["a", "b", "c"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three view sets as folders in `sets`, and as two tars in `shards`."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "shards").mkdir()
    random = np.random.default_rng(0)
    for name in NAMES:
        images = [random.integers(1, 256, (32, 32, 4), dtype=np.uint8) for _ in range(4)]
        about = {"id": name, "captions": [f"thing {name}"], "split": "val" if name == "b" else "train"}
        ViewSet(images, orbit(4, size=32), about).save(folder / "sets" / name)
    for number, names in enumerate((["a", "b"], ["c"])):
        with tarfile.open(folder / "shards" / f"{number:06d}.tar", "w") as tar:
            for name in names:
                for file in sorted((folder / "sets" / name).iterdir()):
                    tar.add(file, f"./deep/{name}.{file.name}")
                text = tarfile.TarInfo(f"./deep/{name}.txt")
                tar.addfile(text, io.BytesIO())
    return folder


@pytest.fixture(scope="module")
def url(data):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=data / "shards"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def places(data, url):
    return {
        "folder of tars": [data / "shards"],
        "tars": [data / "shards" / "000000.tar", str(data / "shards" / "000001.tar")],
        "range": [str(data / "shards" / "{000000..000001}.tar")],
        "urls": [url + "/{000000..000001}.tar"],
        "mixed": [data / "sets" / "a", data / "sets" / "b", url + "/000001.tar"],
    }


def test_what_a_killed_run_left_half_written_is_no_view_set(data, tmp_path):
    for name in ("a", ".b-x1"):
        shutil.copytree(data / "sets" / "a", tmp_path / name)
    assert collection.find([tmp_path]) == [tmp_path / "a"]


def test_shards_hold_what_the_folders_hold(data, url, tmp_path):
    plain = list(collection.read(collection.find([data / "sets"])))
    assert [views.extra["id"] for views in plain] == NAMES
    kept = [image for views in plain if views.extra["split"] == "train" for image in views.images]
    for number, paths in enumerate(places(data, url).values()):
        read = list(collection.read(collection.find(paths)))
        assert [views.extra for views in read] == [views.extra for views in plain]
        for ours, theirs in zip(read, plain, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(ours.images, theirs.images, strict=True))
            assert ours.cameras[1].azimuth == theirs.cameras[1].azimuth
        laid = collection.pictures(paths, 32, "train", tmp_path / str(number))
        assert isinstance(laid, np.memmap)
        assert np.array_equal(laid, np.stack(kept))


def test_the_side_of_pictures_is_the_smallest_of_all_paths(data, tmp_path):
    assert collection.side([data / "sets"], "train") == 32
    small = [np.full((16, 16, 4), 9, np.uint8)] * 4
    ViewSet(small, orbit(4, size=16), {"id": "small"}).save(tmp_path / "small")
    assert collection.side([data / "sets", tmp_path / "small"], "train") == 16
    with pytest.raises(ViewmaskError, match="no view set of the split 'test'"):
        collection.side([data / "sets"], "test")


def test_pictures_are_laid_out_once_and_anew_when_they_change(data, tmp_path):
    views, place, notes = shutil.copytree(data / "sets", tmp_path / "views"), tmp_path / "laid", []
    first = collection.pictures([views], 16, "train", place, notes.append)
    assert first.shape == (8, 16, 16, 4)
    assert len(notes) == 1
    assert str(place) in notes[0]
    (place / "about.json").touch()
    assert np.array_equal(collection.pictures([views], 16, "train", place, notes.append), first)
    assert len(notes) == 1
    large = []
    collection.pictures([views], 48, "train", tmp_path / "large", large.append)
    assert large[0] == "8 pictures have fewer than 48 pixels a side, and are enlarged"
    assert collection.pictures([views], 16, "val", place, notes.append).shape == (4, 16, 16, 4)
    (place / "about.json").write_text("{")  # damaged
    shutil.rmtree(views / "a")
    assert collection.pictures([views], 16, "train", place, notes.append).shape == (4, 16, 16, 4)
    assert len(notes) == 3
    with pytest.raises(ViewmaskError, match="no view set of the split 'test'"):
        collection.pictures([views], 16, "test", place)
    assert collection.pictures([views], 16, "train", place, notes.append).shape == (4, 16, 16, 4)
    assert len(notes) == 3  # what was there stayed
    (place / "thesis.tex").write_text("mine")
    with pytest.raises(ViewmaskError, match="thesis"):
        collection.pictures([views], 16, "val", place)


def taken() -> int:
    """Bytes that are this process's own, as in `tests.viewmask.train.memory`: mapped files do not count."""
    return 1024 * int(re.findall(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is looked up in /proc")
def test_memory_does_not_grow_with_the_pictures(tmp_path, monkeypatch):
    """3,000 view sets of 8 pictures, 393 MB in all."""
    random, peak, before = np.random.default_rng(0), 0, taken()

    def sets(places, split):
        nonlocal peak
        for _ in range(3000):
            image = random.integers(0, 256, (64, 64, 4), dtype=np.uint8)
            yield ViewSet([image] * 8, orbit(8, size=64))
            peak = max(peak, taken() - before)

    monkeypatch.setattr(collection, "find", lambda paths: [])
    monkeypatch.setattr(collection, "read", sets)
    laid = collection.pictures([], 64, "train", tmp_path / "laid")
    assert len(laid) == 24_000
    drawn = laid[random.integers(len(laid), size=64)]
    assert len(np.unique(drawn[:, 0, 0].view(np.uint32))) > 32
    assert max(peak, taken() - before) < 40e6


def test_tokens_of_shards_are_the_folders_tokens(data, url, tmp_path):
    torch.manual_seed(0)
    tokenizer = Tokenizer(TokenizerConfig(size=32, stem=8, widths=(8, 16), blocks=(1, 1), mid_blocks=1)).eval()
    seen = []
    tokens.tokenize([data / "sets"], tmp_path / "a.parquet", tokenizer)
    tokens.tokenize(
        [url + "/{000000..000001}.tar"], tmp_path / "b.parquet", tokenizer, progress=lambda *each: seen.append(each)
    )
    one, two = (tokens.read([tmp_path / name], fingerprint(tokenizer.encoder)) for name in ("a.parquet", "b.parquet"))
    assert one.ids == two.ids == NAMES
    assert one.captions == two.captions
    assert np.array_equal(one.tokens, two.tokens)
    assert seen[-1] == (3, 3)


def test_what_is_missing_cut_or_no_view_set_is_named(data, url, tmp_path):
    with pytest.raises(ViewmaskError, match=r"no view sets in .*nothing.tar"):
        collection.find([tmp_path / "nothing.tar"])
    (tmp_path / "empty").mkdir()
    for absent in ("nowhere", "empty"):  # beside one that is there: a typo must not halve the data
        with pytest.raises(ViewmaskError, match=f"no view sets in .*{absent}"):
            collection.find([data / "shards", tmp_path / absent])
    with pytest.raises(ViewmaskError, match=r"cannot read the shard .*000009.tar.*404"):
        list(collection.read(collection.find([url + "/000009.tar"])))
    whole = (data / "shards" / "000000.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[: len(whole) // 2 - 300])
    with pytest.raises(ViewmaskError, match=r"cut.tar"):
        list(collection.read(collection.find([tmp_path / "cut.tar"])))
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("x.png"), io.BytesIO())
    with pytest.raises(ViewmaskError, match=r"sample x in .* is no view set"):
        list(collection.read(collection.find([tmp_path / "other.tar"])))
