"""What all tests share: where the optional data stands, and a stand-in of Objaverse's cache."""

import gzip
import json
from pathlib import Path

import pytest

from render.demo import write

SHARED = Path(__file__).parents[2] / "shared" / "data"

# Uids of Objaverse; the last is in its index, but not in the cache.
CHAIR, MUG, GONE = "8476c4170df24cf5bbe6967222d1a42d", "c4dfafb02a0d4c5e8a1b6d6b0e1f2a3b", "f" * 32


@pytest.fixture
def objaverse_cache(tmp_path, monkeypatch):
    """The cache of the `objaverse` package as it lies on disk: index, annotations, two meshes; and no network."""
    objaverse = pytest.importorskip("objaverse")
    folder = tmp_path / "hf-objaverse-v1"
    monkeypatch.setattr(objaverse, "_VERSIONED_PATH", str(folder))

    def no_network(url, path):
        raise OSError("no network")

    monkeypatch.setattr(objaverse.urllib.request, "urlretrieve", no_network)
    paths = {CHAIR: f"glbs/000-023/{CHAIR}.glb", MUG: f"glbs/000-023/{MUG}.glb", GONE: f"glbs/000-101/{GONE}.glb"}
    (folder / "glbs" / "000-023").mkdir(parents=True)
    (folder / "metadata").mkdir()
    write(tmp_path / "meshes", ["chair", "mug"])
    (tmp_path / "meshes" / "chair.glb").rename(folder / paths[CHAIR])
    (tmp_path / "meshes" / "mug.glb").rename(folder / paths[MUG])
    annotations = {
        CHAIR: {"uid": CHAIR, "name": "Old chair", "license": "by", "user": {"username": "ann"}},
        MUG: {"uid": MUG, "name": "Mug", "license": "by-nc-sa", "user": {"username": "bob"}},
        GONE: {"uid": GONE, "name": "Gone", "license": "cc0", "user": {"username": "eve"}},
    }
    _gzip(folder / "object-paths.json.gz", paths)
    _gzip(folder / "metadata" / "000-023.json.gz", {uid: annotations[uid] for uid in (CHAIR, MUG)})
    _gzip(folder / "metadata" / "000-101.json.gz", {GONE: annotations[GONE]})
    (tmp_path / "uids.txt").write_text(f"# two that are here\n{CHAIR}\n{MUG}.glb\n\n{GONE}  # and one that is not\n")
    return tmp_path


def _gzip(path, content):
    with gzip.open(path, "wt") as file:
        json.dump(content, file)


def cap3d(path):
    """As published: no header, uid and caption, quoted where it must be."""
    path.write_text(f'{CHAIR},"a wooden chair, ""old"", with arms"\n{"0" * 32},a thing that is not here\n')
    return path
