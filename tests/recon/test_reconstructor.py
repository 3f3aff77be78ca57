from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree
from skimage import measure

from recon import meshing, silhouette
from recon.meshing import is_closed
from recon.reconstructor import METHODS, reconstruct
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet


def test_views_to_a_closed_coloured_mesh(bar_views):
    mesh = reconstruct(bar_views, faces=2000, texture=128, resolution=64)
    summary = mesh.summary()
    assert summary["watertight"]
    assert summary["components"] == 1
    assert summary["faces"] <= 2000
    assert is_closed(mesh.geometry())
    assert mesh.texture.shape == (128, 128, 3)
    # The bar lies in its hull: the hull's box holds the bar's, and not much more across.
    low, high = mesh.geometry().bounds
    assert (low < np.array([-0.15, -0.4, -0.3]) + 0.02).all()
    assert (high > np.array([0.1, 0.3, 0.05]) - 0.02).all()
    assert (high - low < np.array([0.25, 0.7, 0.35]) + 0.25).all()
    # Pictures show places in the colour of their coordinates.
    seen = mesh.normals()[:, 2] > 0.3
    wrong = np.abs(mesh.vertex_colours()[seen] / 255 - 0.5 - mesh.vertices[seen])
    assert np.median(wrong) < 0.05


def test_same_views_give_the_same_mesh(bar_views):
    first, second = (reconstruct(bar_views, faces=500, texture=64, resolution=24) for _ in range(2))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.texture, second.texture)


def test_the_raw_field_is_zero_where_the_mesh_was_before_it_was_simplified(bar_views, tmp_path):
    mesh = reconstruct(bar_views, "hull", faces=10**6, texture=64, resolution=40)
    with np.load(mesh.save_raw(tmp_path / "bar.npz"), allow_pickle=False) as field:
        values, origin, pitch = (field[name] for name in ("values", "origin", "pitch"))
    assert values.dtype == origin.dtype == pitch.dtype == np.float32
    assert np.isfinite(values).all()
    corners, triangles, _, _ = measure.marching_cubes(values, 0.0)
    assert len(triangles) == len(mesh.faces)
    off = cKDTree(origin + pitch * corners).query(mesh.vertices)[0]
    assert off.max() < pitch  # the mesh has been smoothed
    assert off.mean() < 0.3 * pitch
    middle = np.round((mesh.geometry().center_mass - origin) / pitch).astype(int)
    assert values[tuple(middle)] > 3 * pitch


def test_views_of_several_sizes(bar_views, ball_views):
    del ball_views
    small = bar_views.resized(40)
    mixed = ViewSet([*bar_views.images[:2], *small.images[2:]], [*bar_views.cameras[:2], *small.cameras[2:]])
    assert reconstruct(mixed, faces=500, texture=64, resolution=24).summary()["watertight"]


def test_two_views_are_enough_for_a_shape(bar_views):
    pair = ViewSet(bar_views.images[:2], bar_views.cameras[:2])
    assert reconstruct(pair, faces=500, texture=64, resolution=24).summary()["watertight"]


@pytest.mark.parametrize("method", METHODS)
def test_one_view_gives_a_shape_as_deep_as_wide_and_says_so(bar_views, method):
    alone = ViewSet(bar_views.images[1:2], bar_views.cameras[1:2])
    mesh = reconstruct(alone, method, faces=500, texture=64, resolution=32)
    assert mesh.summary()["watertight"]
    assert mesh.notes[-1].startswith("one view tells nothing of depth")
    low, high = mesh.geometry().bounds
    assert (high - low < 1).all()
    assert np.abs((low + high) / 2).max() < 0.3  # where the camera looks
    with pytest.raises(ViewmaskError, match="nerfacto needs more than one view"):
        reconstruct(alone, "nerfacto")


def test_a_budget_that_cannot_be_held_is_told(bar_views, monkeypatch):
    monkeypatch.setattr(meshing, "simplify", lambda mesh, faces: mesh)
    mesh = reconstruct(bar_views, faces=100, texture=64, resolution=24)
    said = f"100 triangles cannot hold so many parts and holes: there are {len(mesh.faces):,}"
    assert mesh.notes == (said,)


def test_pictures_larger_than_the_texture_are_shrunk_first(bar_views, monkeypatch):
    seen = []
    keep = silhouette.cut_out
    monkeypatch.setattr(silhouette, "cut_out", lambda views: seen.append(views.images[0].shape) or keep(views))
    large = [np.repeat(np.repeat(image, 20, axis=0), 20, axis=1) for image in bar_views.images]
    cameras = [camera.resized(1280, 1280) for camera in bar_views.cameras]
    mesh = reconstruct(ViewSet(large, cameras), "hull", faces=500, texture=64, resolution=24)
    assert seen == [(1024, 1024, 4)]
    small = reconstruct(bar_views, "hull", faces=500, texture=64, resolution=24)
    np.testing.assert_allclose(mesh.geometry().extents, small.geometry().extents, atol=0.03)


@pytest.mark.parametrize("option", [{"faces": 0}, {"texture": -1}, {"resolution": 2}])
def test_numbers_that_make_no_sense(bar_views, option):
    with pytest.raises(ViewmaskError, match="must be at least"):
        reconstruct(bar_views, **option)
