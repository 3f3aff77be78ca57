"""Orders: bounds, and the command that makes the same files."""

import pytest

from viewmask.app.order import Edit, Order
from viewmask.errors import ViewmaskError
from viewmask.model.sampling import FROM_IMAGE, FROM_TEXT, at_speed


def test_what_is_usual_is_not_in_the_command():
    assert Order("a red chair").words() == ["viewmask", "generate", "--text", "a red chair", "--seed", "0", "--mesh"]
    order = Order.of_record({"text": "a cup", "guidance": 2.5, "seed": 7, "views": 8, "draws": 2, "schedule": "linear"})
    assert " ".join(order.words()[4:]) == "--views 8 --schedule linear --guidance 2.5 --draws 2 --seed 7 --mesh"


def test_a_speed_sets_what_is_not_chosen():
    order = Order("a cup", speed="exact")
    assert order.words()[4:6] == ["--speed", "exact"]
    assert order.settings == at_speed(FROM_TEXT, "exact")
    assert Order("", "key", speed="balanced", steps=7).settings == at_speed(FROM_IMAGE, "balanced", steps=7)
    assert Order("a cup").settings == at_speed(FROM_TEXT)


def test_a_picture_is_named_and_has_no_draws():
    words = Order("a box", "key", draws=2).words("photo.jpg", "grabcut")
    assert words[2:] == ["--image", "photo.jpg", "--cutout", "grabcut", "--text", "a box", "--seed", "0", "--mesh"]
    assert Order("", "key").words("photo.jpg")[2:] == ["--image", "photo.jpg", "--seed", "0", "--mesh"]


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({}, "say what to show"),
        ({"text": "  "}, "say what to show"),
        ({"text": "a" * 501}, "too long"),
        ({"text": "a\0cup"}, "one line"),
        ({"text": 3}, "text has no sensible value"),
        ({"text": "a cup", "steps": 0}, "steps must lie between 1 and 200"),
        ({"text": "a cup", "steps": True}, "steps has no sensible value"),
        ({"text": "a cup", "seed": -1}, "seed must lie"),
        ({"text": "a cup", "seed": 1.5}, "seed has no sensible value"),
        ({"text": "a cup", "seed": None}, "seed has no sensible value"),
        ({"text": "a cup", "draws": 10**9}, "draws must lie"),
        ({"text": "a cup", "views": 5}, "4 or 8"),
        ({"text": "a cup", "schedule": "__class__"}, "no such schedule"),
        ({"text": "a cup", "speed": "ludicrous"}, "no such speed"),
        ({"text": "a cup", "guidance": float("nan")}, "guidance must lie"),
        ({"text": "a cup", "out": "/etc"}, "no order"),
        ([], "no order"),
        ("x", "no order"),
    ],
)
def test_what_makes_no_sense_is_one_line(record, says):
    with pytest.raises(ViewmaskError, match=says):
        Order.of_record(record)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({}, "--seed 0 --mesh"),
        ({"view": 0, "everywhere": False}, "--view 0 --seed 0 --mesh"),
        ({"view": 2, "everywhere": False, "mesh": False}, "--view 2 --seed 0"),
        (
            {"view": 2, "text": "a cup", "guidance": 2},
            "--view 2 --everywhere --text a cup --guidance 2 --seed 0 --mesh",
        ),
    ],
)
def test_an_edit_as_the_command_takes_it(record, words):
    edit = Edit.of_record(record, 4)
    assert " ".join(edit.words("chair", "mask.png")) == f"viewmask edit chair --region mask.png {words}"
    assert edit.words("chair", "mask.png", "new")[-4 + (not edit.mesh) - 1 :][:2] == ["--out", "new"]


def test_an_edit_is_sampled_as_the_command_does_it():
    assert Edit("a cup").settings == at_speed(FROM_TEXT, "exact")
    assert Edit(guidance=3.0).settings == at_speed(FROM_IMAGE, "exact", guidance=3.0)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"view": 4}, "there is no view 4"),
        ({"view": -1}, "there is no view -1"),
        ({"view": "0"}, "view has no sensible value"),
        ({"everywhere": 1}, "everywhere has no sensible value"),
        ({"mesh": "no"}, "mesh has no sensible value"),
        ({"seed": True}, "seed has no sensible value"),
        ({"seed": -1}, "seed must lie"),
        ({"guidance": 99}, "guidance must lie"),
        ({"text": "a" * 501}, "too long"),
        ({"views": 16}, "no order"),
        (None, "no order"),
    ],
)
def test_an_edit_that_makes_no_sense_is_one_line(record, says):
    with pytest.raises(ViewmaskError, match=says):
        Edit.of_record(record, 4)
