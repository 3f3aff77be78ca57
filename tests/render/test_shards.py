"""Shards: what WebDataset reads, packed once whatever is killed between two steps."""

import json
import shutil
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from render import demo
from render.run import render_orbits
from render.settings import Settings
from render.shards import INDEX, Shards
from viewmask.errors import ViewmaskError
from viewmask.views import collection
from viewmask.views.viewset import ViewSet

SMALL = Settings(views=2, size=16)
DEEP = replace(SMALL, passes=("depth",))
NAMES = ["car", "chair", "house", "mug", "tree"]


@pytest.fixture(scope="module")
def meshes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes")
    demo.write(folder, NAMES)
    return folder


def members(file):
    with tarfile.open(file) as tar:
        return tar.getnames()


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.images, b.images, strict=True)) and a.extra == b.extra


def test_finished_objects_are_packed_and_their_folders_go(meshes, tmp_path):
    render_orbits(meshes, tmp_path / "folders", DEEP)
    records = render_orbits(meshes, tmp_path / "out", DEEP, shards=2)
    assert [record["status"] for record in records] == ["ok"] * 5
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_dir()]
    tars = sorted((tmp_path / "out").glob("*.tar"))
    assert [len(members(tar)) for tar in tars] == [10, 10, 5]
    assert members(tars[0])[:5] == [
        "car.000.png", "car.001.png", "car.passes.npz", "car.transforms.json", "car.txt",
    ]  # fmt: skip
    read = {views.extra["id"]: views for views in collection.read(collection.find(tars))}
    assert list(read) == NAMES
    assert all(same(views, ViewSet.load(tmp_path / "folders" / name)) for name, views in read.items())
    before = [tar.read_bytes() for tar in tars]
    assert render_orbits(meshes, tmp_path / "out", DEEP, shards=2) == records
    assert [tar.read_bytes() for tar in sorted((tmp_path / "out").glob("*.tar"))] == before


def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(meshes, tmp_path):
    render_orbits(meshes, tmp_path / "folders", SMALL)
    for step in ("tar without a line", "folders not yet removed", "temporary"):
        out = tmp_path / step
        shutil.copytree(tmp_path / "folders", out)
        if step == "tar without a line":
            Shards(out, 2)._pack(out / "000000.tar", ["car", "chair"])
        elif step == "folders not yet removed":
            shards = Shards(out, 2)
            shards._remove = lambda name: None
            for name in ("car", "chair"):
                shards.add({"id": name, "status": "ok"})
            shards._index.close()
        else:
            (out / ".000000-abcdefgh.tar").write_bytes(b"half")
        render_orbits(meshes, out, SMALL, shards=2)
        packed = [name for line in (out / INDEX).read_text().splitlines() for name in json.loads(line)["objects"]]
        assert sorted(packed) == NAMES
        inside = [name.split(".")[0] for tar in out.glob("*.tar") for name in members(tar) if name.endswith(".json")]
        assert sorted(inside) == NAMES
        assert not [path for path in out.iterdir() if path.is_dir() or path.name.startswith(".")]


def test_shards_of_other_settings_are_not_mixed(meshes, tmp_path):
    render_orbits(meshes, tmp_path, SMALL, shards=3)
    with pytest.raises(ViewmaskError, match="other settings"):
        render_orbits(meshes, tmp_path, replace(SMALL, views=3), shards=3)


def test_webdataset_reads_ours_and_we_read_webdataset_s(meshes, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is absent: pip install webdataset")

    render_orbits(meshes, tmp_path, SMALL, shards=3)
    samples = list(webdataset.WebDataset(str(tmp_path / "{000000..000001}.tar"), shardshuffle=False).decode("pil"))
    assert [sample["__key__"] for sample in samples] == NAMES
    assert samples[0]["000.png"].size == (16, 16)
    assert samples[0]["transforms.json"]["id"] == "car"
    assert samples[0]["txt"] == next(collection.read([tmp_path / "000000.tar"])).caption
    with webdataset.TarWriter(str(tmp_path / "theirs.tar")) as writer:
        for sample in webdataset.WebDataset(str(tmp_path / "000000.tar"), shardshuffle=False):
            writer.write(sample)
    ours, theirs = (list(collection.read(collection.find([tmp_path / name]))) for name in ("000000.tar", "theirs.tar"))
    assert len(ours) == len(theirs) == 3
    assert all(same(a, b) for a, b in zip(ours, theirs, strict=True))
