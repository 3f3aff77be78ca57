from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recon import hull, meshing, silhouette
from recon.agreement import agreement, complaint, disagreement
from recon.reconstructor import reconstruct
from tests.recon.conftest import views_of
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet


def crooked(points):
    """A bar with a foot: no view of it looks like another."""
    low = (np.array([-0.15, -0.4, -0.3]), np.array([-0.15, 0.1, -0.3]))
    high = (np.array([0.1, 0.3, -0.1]), np.array([0.4, 0.3, 0.35]))
    return np.any([((points > a) & (points < b)).all(-1) for a, b in zip(low, high, strict=True)], axis=0)


@pytest.fixture(scope="module")
def views():
    return views_of(crooked)


def said(images, cameras):
    return complaint(ViewSet(images, cameras), [silhouette.signed_distance(image[..., 3]) for image in images])


def test_cameras_that_belong_to_their_pictures(views, ball_views):
    assert said(views.images, views.cameras) is None
    grey = [np.dstack([np.full_like(image[..., :3], 128), image[..., 3]]) for image in ball_views.images]
    assert said(grey, ball_views.cameras[::-1]) is None  # nothing tells, nothing is harmed


def test_how_far_views_agree(views):
    assert agreement(views) > 0.98
    moved = [*views.images[:3], np.roll(views.images[3], 20, axis=0)]
    assert 0.2 < agreement(ViewSet(moved, views.cameras)) < 0.9
    empty = [*views.images[:3], np.zeros_like(views.images[3])]
    assert agreement(ViewSet(empty, views.cameras)) < 0.1


def test_colours_tell_what_silhouettes_do_not(ball_views):
    assert said(ball_views.images, ball_views.cameras) is None
    a, b, c, d = ball_views.cameras
    assert "views 0 and 1 look to have each other's camera: colours would" in said(ball_views.images, [b, a, c, d])
    mirrored = [*ball_views.images[:2], ball_views.images[2][:, ::-1], ball_views.images[3]]
    assert said(mirrored, ball_views.cameras).startswith("view 2 looks mirrored left to right: colours would")


def test_mirrored_pictures(views):
    line = said([image[:, ::-1] for image in views.images], views.cameras)
    assert line.startswith("the pictures look mirrored")


def test_exchanged_cameras_are_named(views):
    a, b, c, d = views.cameras
    assert said(views.images, [a, b, d, c]).startswith("views 2 and 3 look to have each other's camera")


@pytest.mark.parametrize(
    ("signs", "inverted", "says"),
    [
        ((1, -1, -1), False, "the poses look like OpenCV's .*negate the second and third column of every"),
        ((1, 1, -1), False, "the poses look like left-handed .*negate the third column"),
        ((-1, 1, -1), False, "the poses look like PyTorch3D's .*negate the first and third column"),
        ((1, 1, 1), True, "the poses look like world-to-camera matrices: write the inverse"),
        ((1, -1, -1), True, "world-to-camera matrices, their axes OpenCV's .*take the inverse .*then negate"),
    ],
)
@pytest.mark.parametrize("place", [(0, 0, 0), (5e5, 2e6, 300)])
def test_the_convention_of_poses_is_named(views, signs, inverted, says, place):
    cameras = []
    for camera in views.cameras:
        pose = camera.camera_to_world.copy()
        pose[:3, 3] += place
        pose = pose @ np.diag([*signs, 1.0])
        cameras.append(replace(camera, camera_to_world=np.linalg.inv(pose) if inverted else pose))
    with pytest.raises(ViewmaskError, match=says):
        reconstruct(ViewSet(views.images, cameras), "hull", faces=500, texture=64, resolution=24)


def test_left_handed_poses_are_told(views):
    cameras = []
    for camera in views.cameras:
        mirrored = camera.camera_to_world.copy()
        mirrored[1] *= -1
        cameras.append(replace(camera, camera_to_world=mirrored))
    mesh = reconstruct(ViewSet(views.images, cameras), "hull", faces=500, texture=64, resolution=24)
    assert "the poses are left-handed" in mesh.notes[0]


def test_upside_down(views):
    assert "upside down" in said([image[::-1] for image in views.images], views.cameras)


def test_a_view_of_something_else(ball_views):
    images = [*ball_views.images]
    images[2] = np.roll(images[2], 26, axis=1)
    assert "view 2 contradicts the others" in said(images, ball_views.cameras)


def test_the_mesh_carries_the_warning_and_the_numbers_of_the_views_as_given(views):
    a, b, c, d = views.cameras
    empty = np.zeros_like(views.images[0])
    given = ViewSet([empty, *views.images], [a, b, a, c, d])
    first, second, *_ = reconstruct(given, faces=500, texture=64, resolution=24).notes
    assert first == "nothing is on view 0: left out"
    assert second.startswith("views 1 and 2 look to have each other's camera")
    given.extra["source"] = "viewmask"  # whose cameras are right, whatever its pictures show
    assert not any("camera" in line for line in reconstruct(given, faces=500, texture=64, resolution=24).notes)


def test_a_worse_surface_disagrees_more(ball_views):
    distances = [silhouette.signed_distance(image[..., 3]) for image in ball_views.images]
    volume, grid = hull.carve(ball_views.cameras, distances, 40)
    true = disagreement(meshing.surface(volume, grid), ball_views, distances)
    moved = meshing.surface(volume, hull.Grid(grid.origin + np.array([0.1, 0, 0]), grid.pitch, grid.shape))
    assert true < 0.5 * disagreement(moved, ball_views, distances)
