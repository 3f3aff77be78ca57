"""Photos: they show the whole object, from the azimuths of the orbit, as people frame them."""

import numpy as np
import pytest

from render import demo, photo
from render.job import render_one
from render.settings import Settings
from render.source import find
from viewmask.errors import ViewmaskError


@pytest.fixture(scope="module")
def chair(tmp_path_factory):
    return find(demo.write(tmp_path_factory.mktemp("meshes"), ["chair"]))[0]


def test_cameras_stand_on_the_azimuths_of_the_orbit_and_see_all(chair):
    vertices = chair.surface().vertices
    cameras = photo.cameras(vertices, 40, 8, 10.0, 64, np.random.default_rng(0))
    turns = np.array([(camera.azimuth - 10) / 45 for camera in cameras])
    assert np.abs(turns - np.round(turns)).max() < 1e-6
    assert len(set(np.round(turns).astype(int) % 8)) == 8
    for camera in cameras:
        pixels, depth = camera.project(vertices)
        reach = np.abs(pixels - 32).max() / 32
        assert depth.min() > 0
        assert photo.FILL[0] * 0.9 < reach < photo.FILL[1] * 1.06  # the roll comes last
    elevations = [camera.elevation for camera in cameras]
    lenses = [camera.field_of_view for camera in cameras]
    assert -10 <= min(elevations) < 5
    assert 45 < max(elevations) <= 60
    assert 14 <= min(lenses) < 25
    assert 50 < max(lenses) <= 68


def test_photos_are_a_pure_function_of_seed_and_object(chair):
    settings = Settings(size=24, jitter=True, start="random", seed=5, photos=3)
    once, again, other = (
        render_one(chair, each) for each in (settings, settings, Settings(**vars(settings) | {"seed": 6}))
    )
    assert len(once) == 3
    assert np.array_equal(once.images, again.images)
    assert not np.array_equal(once.images, other.images)
    assert all(image[..., 3].any() for image in once.images)


def test_photos_show_the_object_of_their_orbit(chair):
    settings = Settings(size=24, jitter=True, start="random", seed=5)
    orbit, photos = render_one(chair, settings), render_one(chair, Settings(**vars(settings) | {"photos": 3}))
    assert photos.extra["mesh_to_world"] == orbit.extra["mesh_to_world"]
    turns = [(camera.azimuth - orbit.cameras[0].azimuth) / 45 for camera in photos.cameras]
    assert np.abs(np.array(turns) - np.round(turns)).max() < 1e-6


def test_some_photos_have_a_light_of_their_own(chair):
    settings = Settings(size=16, seed=5, photos=12, jitter=True)
    plain = Settings(size=16, seed=5, photos=12)
    colours = [image[image[..., 3] > 0][:, :3].mean() for image in render_one(chair, settings).images]
    assert np.std(colours) > 5
    assert np.std([image[image[..., 3] > 0][:, :3].mean() for image in render_one(chair, plain).images]) < np.std(
        colours
    )


def test_runs_begun_before_there_were_photos_go_on():
    assert Settings().digest == "db910594d1f2"
    assert Settings(photos=2).digest != Settings().digest
    with pytest.raises(ViewmaskError, match="photos must be at least 0"):
        Settings(photos=-1)
