"""Settings: impossible ones are refused, and a hash of them that no later version may change."""

import pytest

from render.settings import Limits, Settings
from viewmask.errors import ViewmaskError


def test_the_digest_is_what_it_was_when_the_first_sets_were_rendered():
    """Golden values: by them a resumed run finds the views that an earlier version has rendered."""
    assert Settings().digest == "db910594d1f2"
    assert Settings(size=48, start=15, passes=("points",)).digest == "f3e95df17db2"
    everything = Settings(
        views=4, elevation=10.0, distance=2.0, fov=40.0, size=48, start="random", engine="blender", light="studio",
        strength=0.7, samples=3, seed=11, jitter=True, up="z", spp=9, denoise=True,
        passes=("depth", "normal", "points"),
    )  # fmt: skip
    assert everything.digest == "8d26fe0f05ee"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"views": 0}, "at least one view"), ({"size": 0}, "size"), ({"elevation": 90}, "elevation"),
        ({"distance": -1}, "distance must be positive"), ({"fov": 0}, "field of view"),
        ({"light": "disco"}, "light must be one of none, uniform, studio"),
        ({"samples": 0}, "samples must be at least 1, not 0"),
        ({"engine": "blender", "spp": 0}, "spp must be at least 1, not 0"),
        ({"engine": "pencil"}, "engine must be raycast or blender"), ({"up": "x"}, "up must be y or z"),
        ({"passes": ("depth", "smell")}, "passes are depth, normal, points, not 'smell'"),
        ({"spp": 4}, "for the blender engine"), ({"denoise": True}, "for the blender engine"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(values, reason):
    with pytest.raises(ViewmaskError, match=reason):
        Settings(**values)


@pytest.mark.parametrize("values", [{"seconds": 0}, {"seconds": float("nan")}, {"jobs": 0}, {"mebibytes": 0}])
def test_impossible_limits_are_refused(values):
    with pytest.raises(ViewmaskError, match="must be positive"):
        Limits(**values)


def test_the_cameras_are_the_orbit_from_the_start():
    first, second = Settings(views=2, elevation=10, distance=2, fov=40, size=32).cameras(15)
    assert [first.azimuth, second.azimuth] == pytest.approx([15, 195])
    assert (first.elevation, first.distance, first.width) == pytest.approx((10, 2, 32))
