"""A region of a view, and its place in the other views."""

import numpy as np
import pytest
from PIL import Image

from recon import region
from viewmask.errors import ViewmaskError


def test_a_box_is_x_y_width_height():
    box = region.read("3,5,10,20", 64, 48)
    assert box.shape == (48, 64)
    assert box.sum() == 200
    assert box[5:25, 3:13].all()


def test_a_mask_is_white_where_it_is_made_anew(tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[4:8, 30:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(region.read(str(tmp_path / "mask.png"), 64, 48), mask > 0)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("1,2,3,x", "a region is a mask's file or x,y,w,h"),
        ("60,0,10,10", "leaves the view, which is 64x48"),
        ("-1,0,10,10", "leaves the view"),
        ("1,1,0,5", "holds no pixel"),
        ("nothing.png", "no mask at nothing.png"),
    ],
)
def test_what_is_no_region_is_one_line(text, says):
    with pytest.raises(ViewmaskError, match=says):
        region.read(text, 64, 48)


def test_a_mask_of_another_size_is_refused(tmp_path):
    Image.new("L", (32, 32), 255).save(tmp_path / "mask.png")
    with pytest.raises(ViewmaskError, match="is 32x32, the view 64x48"):
        region.read(str(tmp_path / "mask.png"), 64, 48)


def test_the_place_of_an_objects_side_is_where_the_other_views_show_that_side(bar_views):
    """The bar reaches from y -0.4 to 0.3; view 0 looks from +x, so its left half is the side of negative y."""
    drawn = np.zeros((64, 64), bool)
    drawn[:, :20] = True
    places = region.places(drawn, 0, bar_views)
    np.testing.assert_array_equal(places[0], drawn)
    shown = [image[..., 3] > 127 for image in bar_views.images]
    back = places[2] & shown[2]
    assert back.any()
    assert np.argwhere(back)[:, 1].min() > 32  # the same side, seen from behind, is on the right
    # From the sides it is a part of the bar: no view knows how deep it reaches.
    for view in (1, 3):
        assert 0.2 < (places[view] & shown[view]).sum() / shown[view].sum() < 0.8


def test_every_point_of_the_region_is_found_again(bar_views):
    """The whole picture as a region is the whole object in every view."""
    places = region.places(np.ones((64, 64), bool), 0, bar_views)
    for place, image in zip(places, bar_views.images, strict=True):
        assert place[image[..., 3] > 127].all()


def test_where_the_region_shows_no_object_there_is_room_for_something_new(ball_views):
    drawn = np.zeros((64, 64), bool)
    drawn[2:8, 28:36] = True  # above the ball
    places = region.places(drawn, 0, ball_views)
    for place in places[1:]:
        assert place.any()
        assert np.argwhere(place)[:, 0].mean() < 24  # above, too, from all around
