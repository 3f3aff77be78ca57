"""`viewmask caption` as a shell sees it, with the shipped weights: that it answers, not how well."""

import numpy as np
from PIL import Image

from viewmask import Generator
from viewmask.model.reference import reference_view


def test_a_picture_gives_words_and_the_weights_doubts(shell):
    picture = np.zeros((64, 64, 4), np.uint8)
    picture[16:48, 20:44] = 30, 60, 200, 255
    Image.fromarray(picture).save("cup.png")
    done = shell("caption", "cup.png")
    assert done.code == 0, done.err
    generator = Generator.load()
    assert done.out.strip() == generator.caption(reference_view(picture))
    assert ("hardly taught to caption" in done.err) is not generator.weights.captions


def test_what_is_no_picture_is_one_line(shell):
    assert "no picture at nothing.png" in shell("caption", "nothing.png").error
