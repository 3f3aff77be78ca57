"""Where views stand in the world, and how large it is there, changes nothing."""

from dataclasses import replace

import numpy as np
import pytest

from recon.placement import Placement
from recon.reconstructor import reconstruct
from recon.sheet import SHEETS
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


def moved(views, shift, scale=1.0):
    cameras = []
    for camera in views.cameras:
        pose = camera.camera_to_world.copy()
        pose[:3, 3] = pose[:3, 3] * scale + shift
        cameras.append(replace(camera, camera_to_world=pose))
    return ViewSet(views.images, cameras)


@pytest.mark.parametrize("count", [1, 2, 4, 16])
def test_the_project_s_cameras_pass_through_unchanged(count):
    cameras = orbit(count)
    place = Placement.of(cameras)
    assert (place.origin.tolist(), place.unit) == ([0, 0, 0], 1)
    for before, after in zip(cameras, place.inward(cameras), strict=True):
        np.testing.assert_array_equal(before.camera_to_world, after.camera_to_world)
    assert Placement.of(list(SHEETS["mvadapter"].cameras)).unit == 1  # far away, and long lenses


@pytest.mark.parametrize(
    ("shift", "scale"), [((447123.5, 5412345.25, 312), 1), ((0, 0, 0), 1e-5), ((-3e4, 2, 1e5), 800.0), ((3, 4, 5), 1)]
)
def test_a_mesh_is_the_same_at_any_place_and_scale(bar_views, shift, scale):
    options = {"method": "hull", "faces": 400, "texture": 64, "resolution": 24}
    here, there = reconstruct(bar_views, **options), reconstruct(moved(bar_views, shift, scale), **options)
    size, other = here.geometry().extents, there.geometry().extents / scale
    np.testing.assert_allclose(other, size, rtol=0.06)
    assert np.abs(there.texture.mean((0, 1)) - here.texture.mean((0, 1))).max() < 12
    middle = there.geometry().bounds.mean(0) - here.geometry().bounds.mean(0) * scale
    far = np.linalg.norm(shift) > 1000 * scale
    np.testing.assert_allclose(middle, (0, 0, 0) if far else shift, atol=0.05 * scale)
    assert len(there.notes) == int(far)
    if far:
        assert "is written around 0 0 0, and belongs at (" in there.notes[0]
        belongs = [float(number) for number in there.notes[0].rsplit("(", 1)[1].rstrip(")").split(", ")]
        np.testing.assert_allclose(belongs, shift, atol=0.1 * scale)


def test_the_raw_field_stands_where_the_mesh_does(bar_views):
    mesh = reconstruct(moved(bar_views, (3, 4, 5), 8.0), "hull", faces=400, texture=64, resolution=24)
    assert mesh.raw is not None
    volume, grid = mesh.raw
    inside = grid.origin + grid.pitch * np.argwhere(volume > 0)
    np.testing.assert_allclose(inside.mean(0), mesh.geometry().centroid, atol=0.3)
    assert np.isclose(
        volume.max(), 8 * reconstruct(bar_views, "hull", faces=400, texture=64, resolution=24).raw[0].max(), rtol=0.1
    )


def test_cameras_that_look_apart_from_one_place_are_refused():
    cameras = [Camera.on_sphere(30 * i) for i in range(4)]
    for camera in cameras:
        camera.camera_to_world[:3, 3] = 0
    with pytest.raises(ViewmaskError, match="look apart from one place"):
        Placement.of(cameras)
