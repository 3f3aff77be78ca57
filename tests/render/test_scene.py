"""Scenes: rays meet what is solid, pass holes, and lose their light layer by layer to what blends."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from render.scene import LAYERS, Scene
from render.surface import Opacity, Surface
from render.texture import Texture

PANE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
DOWN, ABOVE = np.array([[0, 0, -1]], np.float32), np.array([[0.3, 0.2, 5]], np.float32)


def panes(*parts):
    """Squares across the z axis: height, alpha and cutoff each."""
    surfaces = []
    for height, alpha, cutoff in parts:
        mesh = trimesh.Trimesh(PANE + np.array([0, 0, height]), [[0, 1, 2], [0, 2, 3]], process=False)
        surface = Surface.of_scene(trimesh.Scene(mesh), transform=np.eye(4))
        opacity = Opacity(np.full((2, 3), alpha, np.float32), np.full(2, cutoff, np.float32))
        surfaces.append(replace(surface, opacity=opacity))
    return Surface.joined(surfaces)


def layers(surface, origin=ABOVE):
    return [(hits.distance.tolist(), None if share is None else share.tolist())
            for hits, share in Scene.of(surface).layers(origin, DOWN)]  # fmt: skip


def test_rays_end_at_what_is_solid():
    for solid in (panes((0, 0.1, 0), (1, 0.1, 0)), panes((0, 1, -1), (1, 1, 0.5)).visible()):
        assert layers(solid) == [([pytest.approx(4)], None)]


def test_light_is_lost_layer_by_layer():
    surface = panes((0, 1, 0), (2, 0.5, -1), (1, 0.25, -1))
    assert layers(surface) == [
        ([pytest.approx(3)], [0.5]),
        ([pytest.approx(4)], [0.125]),
        ([pytest.approx(5)], [0.375]),
    ]


def test_holes_are_passed_within_a_layer():
    surface = panes((0, 1, 0), (2, 0.3, 0.5), (1, 0.7, 0.5), (3, 0, -1))
    assert layers(surface) == [([pytest.approx(4)], [1])]


def test_more_panes_than_can_be_looked_through_end_the_ray():
    surface = panes(*((0.01 * height, 0.01, -1) for height in range(2 * LAYERS)))
    found = layers(surface)
    assert len(found) == LAYERS
    assert [distance for (distance,), _ in found] == sorted(distance for (distance,), _ in found)


def test_the_first_place_is_where_half_of_the_light_is_lost():
    scene = Scene.of(panes((0, 1, 0), (1, 0.4, -1), (2, 0.4, -1)))
    assert scene.first(ABOVE, DOWN).distance == pytest.approx([4])  # 0.4, then 0.24 more
    thin = Scene.of(panes((1, 0.4, -1)))
    assert len(thin.first(ABOVE, DOWN).ray) == 0
    assert len(thin.first(ABOVE + np.float32([9, 0, 0]), DOWN).ray) == 0
    with_solid = Scene.of(panes((1, 1, 0)).visible())
    assert with_solid.first(ABOVE, DOWN).distance == pytest.approx([4])


def test_what_is_stopped_on_the_way_to_a_light():
    surface = panes((0, 1, 0), (1, 0.25, -1), (2, 0.5, -1), (3, 0.1, 0.5))
    scene, up = Scene.of(surface), np.array([[0, 0, 1]], np.float32)
    for height, share in ((-1, 1), (0.1, 0.625), (1.5, 0.5), (2.5, 0)):
        assert scene.stopped(np.array([[0.3, 0.2, height]], np.float32), up) == pytest.approx([share])
    assert Scene.of(panes((1, 0.25, -1))).stopped(np.zeros((1, 3), np.float32), up) == pytest.approx([0.25])


def test_rays_keep_their_numbers_when_others_end():
    surface = panes((1, 0.5, -1), (0, 1, 0))
    origins = np.concatenate([ABOVE + np.float32([9, 0, 0]), ABOVE, ABOVE + np.float32([0, 9, 0]), ABOVE])
    found = list(Scene.of(surface).layers(origins, np.repeat(DOWN, 4, axis=0)))
    assert [hits.ray.tolist() for hits, _ in found] == [[1, 3], [1, 3]]


def test_a_texture_s_alpha_counts_at_the_place_that_is_met():
    surface = panes((0, 1, 0.5))
    picture = np.full((1, 2, 4), 255, np.uint8)
    picture[0, 0, 3] = 0  # the left half is a hole
    uv = (PANE[:, :2] / 2 + 0.5).astype(np.float32)[surface.faces]
    texture = Texture.of(picture, ("clamp", "clamp"))
    holed = replace(surface, uv=uv, texture=np.zeros(2, np.int32), textures=[texture])
    sides = np.array([[-0.5, 0.2, 5], [0.5, 0.2, 5]], np.float32)
    (found,) = Scene.of(holed).layers(sides, np.repeat(DOWN, 2, axis=0))
    assert found.hits.ray.tolist() == [1]
