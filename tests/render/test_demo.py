"""The demo objects: closed, coloured, upright, the same every time, and rendered from their files as from memory."""

import numpy as np
import pytest

from render.demo import demo_objects, write
from render.raycast import render
from render.source import find
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit


@pytest.mark.parametrize("name", demo_objects())
def test_an_object_is_made_of_closed_parts_and_fits_the_picture(name):
    thing = demo_objects()[name]
    for part in thing.scene.geometry.values():
        assert part.is_watertight
        assert part.volume > 0
    surface = thing.surface()
    assert np.ptp(surface.vertices, axis=0).max() == pytest.approx(1)
    assert len(np.unique(surface.colours.reshape(-1, 3), axis=0)) >= 2
    for picture in render(surface, orbit(8, size=64), samples=1):
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert picture[..., 3].mean() > 15
        assert (border[:, 3] > 0).mean() < 0.1


def test_every_object_has_its_own_caption_and_the_same_shape_twice():
    once, again = demo_objects(), demo_objects()
    assert len({thing.caption for thing in once.values()}) == len(once) >= 6
    for name in once:
        assert once[name].surface().vertices.tobytes() == again[name].surface().vertices.tobytes()


def test_the_chair_s_back_is_behind_and_above_its_seat():
    chair = demo_objects()["chair"].surface()
    assert chair.vertices[chair.vertices[:, 2] > 0.3][:, 0].max() < 0


def test_files_are_written_with_an_index_and_look_the_same(tmp_path):
    write(tmp_path, ["car", "mug"])
    car, mug = find(tmp_path)
    assert mug.about["captions"] == ["a blue mug with a white band"]
    (from_file,), (from_memory,) = (
        render(surface, orbit(1, size=48)) for surface in (Surface.load(car.read()), demo_objects()["car"].surface())
    )
    assert np.abs(from_file.astype(int) - from_memory).max() <= 4  # glTF readers keep factors in 8 bits


def test_an_unknown_object_is_refused_with_the_names(tmp_path):
    with pytest.raises(ViewmaskError, match="choose among chair"):
        write(tmp_path, ["unicorn"])
