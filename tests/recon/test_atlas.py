from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon import atlas


def spiral() -> trimesh.Trimesh:
    """A ramp that turns twice about its axis: all of it faces up, and it lies above itself."""
    turn = np.linspace(0, 4 * np.pi, 160)
    rims = [np.column_stack([r * np.cos(turn), r * np.sin(turn), 0.05 * turn]) for r in (0.3, 0.5)]
    vertices = np.concatenate(rims)
    i = np.arange(159)
    faces = np.concatenate([np.column_stack([i, i + 160, i + 161]), np.column_stack([i, i + 161, i + 1])])
    return trimesh.Trimesh(vertices, faces, process=False)


@pytest.mark.parametrize("surface", [trimesh.creation.icosphere(4), trimesh.creation.torus(0.4, 0.15), spiral()])
def test_every_place_has_its_own_texels(surface):
    """What a texel shows lies where its chart says, and no two faces share a texel."""
    places = atlas.unwrap(surface, 512)
    assert places.uv_faces.shape == surface.faces.shape
    assert places.uv.min() >= 0
    assert places.uv.max() <= 1
    # A chart is an axis-aligned view: corners of a face that are one vertex have one place on the surface.
    source = np.full(len(places.uv), -1)
    source[places.uv_faces.ravel()] = surface.faces.ravel()
    np.testing.assert_array_equal(source[places.uv_faces], surface.faces)
    # Texels of the middle of every face give back the middle of that face: nothing lies over it.
    middle = places.uv[places.uv_faces].mean(1) * 512
    column, row = np.floor(middle[:, 0]).astype(int), np.floor(512 - middle[:, 1]).astype(int)
    shown = np.full((512, 512, 3), np.nan)
    shown[places.rows, places.columns] = places.points
    away = np.linalg.norm(shown[row, column] - surface.triangles_center, axis=1)
    assert np.nanmax(away) < 0.02
    assert np.isnan(away).mean() < 0.05


def test_charts_are_little_stretched():
    surface = trimesh.creation.icosphere(4)
    places = atlas.unwrap(surface, 512)
    a, b, c = places.uv[places.uv_faces].transpose(1, 0, 2)
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2
    share = area / surface.area_faces
    assert np.percentile(share, 95) / np.percentile(share, 5) < 2.5


def test_texels_carry_unit_normals():
    places = atlas.unwrap(trimesh.creation.icosphere(3), 128)
    np.testing.assert_allclose(np.linalg.norm(places.normals, axis=1), 1, atol=1e-4)
    assert ((places.normals * places.points).sum(1) > 0.95).all()


def test_same_surface_gives_the_same_atlas():
    surface = trimesh.creation.torus(0.4, 0.15)
    first, second = (atlas.unwrap(surface, 128) for _ in range(2))
    np.testing.assert_array_equal(first.uv, second.uv)
    np.testing.assert_array_equal(first.points, second.points)
