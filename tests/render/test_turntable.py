"""The turntable: once around, the light beside the camera."""

import numpy as np

from render.demo import demo_objects
from render.turntable import frames


def test_frames_go_once_around_before_white():
    made = list(frames(demo_objects()["chair"].surface(), count=8, size=48))
    assert [frame.shape for frame in made] == [(48, 48, 3)] * 8
    assert all((frame[0, 0] == 255).all() for frame in made)
    shown = [(frame.min(axis=-1) < 250).mean() for frame in made]
    assert min(shown) > 0.05
    assert len({frame.tobytes() for frame in made}) == 8


def test_it_is_shaded_and_from_above_brighter():
    from render.raycast import render
    from viewmask.views.camera import orbit

    surface = demo_objects()["chair"].surface()
    (frame,) = frames(surface, count=1, size=64)
    (plain,) = render(surface, orbit(1, elevation=20.0, size=64))
    solid = plain[..., 3] == 255
    assert len(np.unique(frame[solid], axis=0)) > len(np.unique(plain[solid], axis=0))
