"""Published lists of objects, in small stand-ins of the real formats; Objaverse through its real package and cache."""

import gzip
import importlib.util
import json

import pytest

from render import catalogue
from render.demo import write
from render.orbit import render_orbits
from render.source import Source, find
from viewmask.errors import ViewmaskError
from viewmask.viewset import ViewSet

CHAIR, MUG, GONE = "8476c4170df24cf5bbe6967222d1a42d", "c4dfafb02a0d4c5e8a1b6d6b0e1f2a3b", "f" * 32


@pytest.fixture
def cache(tmp_path, monkeypatch):
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


def test_uids_of_objaverse_are_read_from_its_cache_with_licence_and_author(cache):
    chair, mug, gone = catalogue.objaverse(cache / "uids.txt")
    assert (chair.id, chair.about["license"], chair.about["author"]) == (CHAIR, "by", "ann")
    assert chair.about["captions"] == ["Old chair"]
    sources = catalogue.captioned([chair, mug, gone], _cap3d(cache / "cap3d.csv"))
    records = render_orbits(sources, cache / "out", views=1, size=16)
    assert [record["status"] for record in records] == ["ok", "ok", "failed"]
    assert "no network" in records[2]["reason"]
    views = ViewSet.load(cache / "out" / CHAIR)
    assert views.extra["captions"] == ['a wooden chair, "old", with arms']
    assert views.extra["license"] == "by"
    assert [source.id for source in catalogue.licensed(sources, ["cc0", "cc-by"])] == [CHAIR, GONE]


def test_unknown_uids_and_a_missing_package_are_told(cache, monkeypatch):
    (cache / "uids.txt").write_text("no-such-uid\n")
    with pytest.raises(ViewmaskError, match="1 uids are not in Objaverse, the first is no-such-uid"):
        catalogue.objaverse(cache / "uids.txt")
    (cache / "hf-objaverse-v1" / "object-paths.json.gz").unlink()
    with pytest.raises(ViewmaskError, match="cannot get Objaverse's index: no network"):
        catalogue.objaverse(cache / "uids.txt")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ViewmaskError, match="pip install objaverse"):
        catalogue.objaverse(cache / "uids.txt")


def _cap3d(path):
    """As published: no header, uid and caption, quoted where it must be."""
    path.write_text(f'{CHAIR},"a wooden chair, ""old"", with arms"\n{"0" * 32},a thing that is not here\n')
    return path


def some(*names, **about):
    return [Source(name, name, about=dict(about)) for name in names]


def test_captions_of_a_csv_without_header_replace_what_is_known(tmp_path):
    chair, mug = catalogue.captioned(some(CHAIR, MUG, captions=["old"]), _cap3d(tmp_path / "cap3d.csv"))
    assert (chair.about["captions"], mug.about["captions"]) == (['a wooden chair, "old", with arms'], ["old"])
    (tmp_path / "bad.csv").write_text("only one column\n")
    with pytest.raises(ViewmaskError, match="line 1: not an id and a caption"):
        catalogue.captioned(some(CHAIR), tmp_path / "bad.csv")


def test_objaverse_plus_plus_flags_are_strings_and_the_string_false_is_false(tmp_path):
    flags = {"is_multi_object": "false", "is_scene": "false", "is_transparent": "false", "style": "realistic"}
    records = [
        {"UID": "good", "score": 3} | flags,
        {"UID": "fair", "score": "2"} | flags,
        {"UID": "poor", "score": 1} | flags,
        {"UID": "scene", "score": 3} | flags | {"is_scene": "true"},
        {"UID": "pair", "score": 3} | flags | {"is_multi_object": "true"},
    ]
    (tmp_path / "annotated.json").write_text(json.dumps(records))
    sources = some("good", "fair", "poor", "scene", "pair", "unknown")
    kept = catalogue.rated(sources, tmp_path / "annotated.json")
    assert [(source.id, source.about) for source in kept] == [
        ("good", {"score": 3, "style": "realistic"}), ("fair", {"score": 2, "style": "realistic"}),
    ]  # fmt: skip
    (tmp_path / "annotated.json").write_text('{"UID": "good"}')
    with pytest.raises(ViewmaskError, match="not a list of Objaverse"):
        catalogue.rated(sources, tmp_path / "annotated.json")


def test_hssd_s_objects_are_named_turned_to_their_front_and_rid_of_their_parts(tmp_path, make_glb):
    name = "0a1b2c3d4e"
    for file in (
        f"objects/0/{name}.glb",
        f"objects/0/{name}.collider.glb",
        f"objects/decomposed/{name}/{name}_part_1.glb",
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(make_glb(factor=(1, 0, 0)))
    (tmp_path / "objects.csv").write_text(
        f"id,name,wnsynsetkey,main_wnsynsetkey,main_category,super_category\n{name},Red panel,x,y,panel,decor\n"
    )
    (source,) = catalogue.hssd(find(tmp_path / "objects"), tmp_path / "objects.csv")
    assert source.about["captions"] == ["Red panel"]
    assert (source.about["license"], source.about["category"]) == ("CC-BY-NC-4.0", "panel")
    # The square faces the file's +Z; HSSD says that fronts are -Z, so its back is what azimuth 0 sees.
    assert source.surface().face_normals[0] @ [-1, 0, 0] > 0.99
    assert find(tmp_path / "objects" / "0" / f"{name}.glb")[0].surface().face_normals[0] @ [1, 0, 0] > 0.99
    (tmp_path / "objects.csv").write_text("uid,title\nx,y\n")
    with pytest.raises(ViewmaskError, match="no columns id and name"):
        catalogue.hssd([source], tmp_path / "objects.csv")


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (["cc0"], ["CC0-1.0", "cc0"]), (["cc-by"], ["CC-BY-4.0", "by"]),
        (["CC-BY-3.0", "mit"], ["CC-BY-4.0", "by", "MIT"]),
        (["by-nc"], ["CC-BY-NC-4.0"]), (["gpl"], []),
    ],
)  # fmt: skip
def test_licences_are_one_whatever_their_spelling_and_version(wanted, kept):
    known = ["CC0-1.0", "cc0", "CC-BY-4.0", "by", "CC-BY-NC-4.0", "by-nc-sa", "MIT", None]
    sources = [Source(str(number), None, about={"license": name}) for number, name in enumerate(known)]
    assert [source.about["license"] for source in catalogue.licensed(sources, wanted)] == kept
