"""Published lists of objects, in small stand-ins of the real formats."""

import json

import pytest

from render import catalogue
from render.source import Source, find
from tests.conftest import CHAIR, MUG, cap3d
from viewmask.errors import ViewmaskError


def some(*names, **about):
    return [Source(name, name, about=dict(about)) for name in names]


def test_captions_of_a_csv_without_header_replace_those_of_the_source(tmp_path):
    chair, mug = catalogue.captioned(some(CHAIR, MUG, captions=["old"]), cap3d(tmp_path / "cap3d.csv"))
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
    ("names", "kept"),
    [
        (["cc0"], ["CC0-1.0", "cc0"]), (["cc-by"], ["CC-BY-4.0", "by"]),
        (["CC-BY-3.0", "mit"], ["CC-BY-4.0", "by", "MIT"]),
        (["by-nc"], ["CC-BY-NC-4.0"]), (["gpl"], []),
    ],
)  # fmt: skip
def test_licences_are_one_whatever_their_spelling_and_version(names, kept):
    spellings = ["CC0-1.0", "cc0", "CC-BY-4.0", "by", "CC-BY-NC-4.0", "by-nc-sa", "MIT", None]
    sources = [Source(str(number), None, about={"license": name}) for number, name in enumerate(spellings)]
    assert [source.about["license"] for source in catalogue.licensed(sources, names)] == kept
