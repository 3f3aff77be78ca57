"""Composed objects: the same every time, all parts in them, inside where either part is, whichever way it faces."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from render import points
from render.composed import compose, invent
from render.demo import write
from render.job import render_one
from render.settings import Settings
from render.solid import Solid
from render.source import Source, find
from render.surface import Surface
from render.vessel import Vessel
from viewmask.errors import ViewmaskError


def surface(mesh: trimesh.Trimesh) -> Surface:
    return Surface.of_scene(trimesh.Scene(mesh), np.eye(4))


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return find(write(tmp_path_factory.mktemp("demo")))


def test_composed_objects_follow_from_sources_count_and_seed(sources):
    first, again, other = compose(sources, 12, 1), compose(sources, 12, 1), compose(sources, 12, 2)
    assert first == again
    assert [one.parts for one in first] != [one.parts for one in other]
    assert not {one.id for one in first} & {one.id for one in other}
    assert {len(one.parts) for one in first} == {1, 2, 3}
    assert {isinstance(part, Vessel) for one in first for part in one.parts} == {False, True}
    assert np.array_equal(first[0].surface().vertices, again[0].surface().vertices)
    # More of them begin with the same ones.
    assert compose(sources, 20, 1)[:12] == first


def test_they_hold_all_parts_and_are_normalised(sources):
    for one in compose(sources, 12, 3):
        whole = one.surface()
        assert len(whole.faces) == sum(len(part.surface().faces) for part in one.parts)
        used = whole.vertices[whole.faces.ravel()]
        assert np.ptp(used, 0).max() == pytest.approx(1, abs=1e-5)
        assert whole.faces.max() < len(whole.vertices)
        assert whole.texture.max() < len(whole.textures)


def test_they_are_rendered_as_any_source_is(sources):
    one = compose(sources, 1, 5)[0]
    views = render_one(one, Settings(views=2, size=32))
    assert all(image[..., 3].any() for image in views.images)
    assert views.extra["parts"] == [part.id for part in one.parts]


def test_inside_is_inside_either_part_also_where_one_was_inside_out():
    box = trimesh.creation.box((1, 1, 1))
    turned = trimesh.creation.box((1, 1, 1), transform=trimesh.transformations.translation_matrix((0.5, 0, 0)))
    turned.invert()
    whole = Surface.joined([surface(box).outward(), surface(turned).outward()])
    sample = points.sample(whole, 4000)
    at = sample["points"].astype(np.float64)
    true = (np.abs(at - [0.25, 0, 0]) < [0.75, 0.5, 0.5]).all(1)
    sure = (np.abs(np.abs(at - [0.25, 0, 0]) - [0.75, 0.5, 0.5]) > 0.01).all(1)
    assert (sample["inside"] == true)[sure].all()


def test_turning_faces_over_keeps_every_corner_its_colour():
    mesh = trimesh.creation.box((1, 1, 1))
    mesh.invert()
    before = surface(mesh)
    colours = np.random.default_rng(0).random(before.colours.shape).astype(np.float32)
    before = replace(before, colours=colours)
    after = before.outward()
    third = np.full(len(before.faces), 0.2, np.float32), np.full(len(before.faces), 0.5, np.float32)
    face = np.arange(len(before.faces), dtype=np.int32)
    # The corners' order is turned round: the weights of the first and the last change places.
    assert np.allclose(before.albedo(face, *third), after.albedo(face, third[0], 1 - third[0] - third[1]), atol=1e-6)
    assert np.allclose(before.face_normals, -after.face_normals)


def test_only_what_is_of_train_parts_alone_is_to_train_on():
    def source(name, split):
        return Source(name, Path("x.glb"), about={"split": split})

    assert {one.about["split"] for one in compose([source("a", "train"), source("b", "train")], 9)} == {"train"}
    assert "train" not in {one.about["split"] for one in compose([source("a", "val")], 9)}
    both = compose([source("a", "train"), source("b", "val")], 20)
    splits = [(one.about["split"], {part for part in one.about["parts"] if part in "ab"}) for one in both]
    assert all(split == {"a": "train", "b": "val"}.get("".join(sorted(parts)), "mixed") for split, parts in splits)
    assert {split for split, _ in splits} == {"train", "val", "mixed"}


def test_nothing_to_compose_from_is_said():
    with pytest.raises(ViewmaskError, match="nothing to compose"):
        compose([], 3)


def test_procedural_objects_need_no_meshes_and_say_what_they_are():
    first, again, other = invent(30, 1), invent(30, 1), invent(30, 2)
    assert first == again
    assert not {one.id for one in first} & {one.id for one in other}
    assert {type(part) for one in first for part in one.parts} == {Solid, Vessel}
    for one in first:
        (caption,) = one.about["captions"]
        assert caption.count(" and a") >= len(one.parts) - 1
        assert all(part.caption in caption for part in one.parts if isinstance(part, Solid))
    assert "split" not in first[0].about
    views = render_one(first[0], Settings(views=2, size=32))
    assert all(image[..., 3].any() for image in views.images)
