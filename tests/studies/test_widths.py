"""Side views too wide or too narrow are told by their silhouettes' boxes."""

import numpy as np
import pytest

from studies import widths


def test_the_box_of_what_a_picture_shows():
    picture = np.zeros((64, 64, 4), np.uint8)
    assert widths.box(picture) == (1, 1)
    picture[10:30, 5:45, 3] = 255
    assert widths.box(picture) == (40, 20)
    assert widths.proportion(picture) == 2


@pytest.mark.parametrize(("ratio", "wrong"), [(1.0, False), (1.24, False), (0.81, False), (1.26, True), (0.79, True)])
def test_a_quarter_more_or_a_fifth_less_is_wrong(ratio, wrong):
    assert widths.wide(ratio) is wrong
