"""Epochs: no row twice, none left out; the position tells how to go on."""

import numpy as np

from viewmask.train.epochs import Epochs

ROWS = {"front": np.arange(100, 110), "any": np.arange(7)}
STEPS = [("front", 4), ("any", 5), ("front", 9), ("front", 25), ("any", 9), ("front", 2)]


def drawn(epochs, first=0, last=6):
    taken = []
    for step in range(first, last):
        epochs.begin(step)
        kind, count = STEPS[step]
        taken.append(epochs.take(kind, ROWS[kind], count).tolist())
    return taken


def test_every_row_comes_once_before_any_comes_again():
    taken = drawn(Epochs(3))
    for kind, rows in ROWS.items():
        all_of_it = [row for (each, _), some in zip(STEPS, taken, strict=True) if each == kind for row in some]
        epochs = [all_of_it[start : start + len(rows)] for start in range(0, len(all_of_it), len(rows))]
        assert all(sorted(epoch) == rows.tolist() for epoch in epochs[:-1])
        assert len(set(epochs[-1])) == len(epochs[-1])
        assert epochs[0] != epochs[1]
    assert taken != drawn(Epochs(4))


def test_a_position_is_all_that_it_takes_to_go_on():
    first, again = Epochs(3), Epochs(0)
    drawn(first, 0, 3)
    again.position = first.position
    assert drawn(again, 3) == drawn(Epochs(3))[3:]


def test_parts_of_a_step_draw_the_same():
    epochs = Epochs(3)
    epochs.begin(0)
    one, two = (epochs.take("front", ROWS["front"], 4).tolist() for _ in range(2))
    assert one == two
    assert epochs.position == {"seed": 3, "rows front": 4}
