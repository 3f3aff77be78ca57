"""Fitting a mesh to the given view: heading and scale are found again, by that view alone."""

import numpy as np
import pytest

from eval.methods.fitting import fitted
from eval.methods.outputs import about_z
from render.demo import demo_objects
from render.raycast import render
from viewmask.views.camera import Camera


@pytest.mark.parametrize(("name", "degrees", "scale"), [("car", 137, 1.0), ("mug", 270, 1.9), ("chair", 180, 0.03)])
def test_turn_and_scale_are_found_again(name: str, degrees: int, scale: float) -> None:
    surface = demo_objects()[name].surface()
    camera = Camera.on_sphere(0)
    given = render(surface, [camera])[0]
    moved = surface.transformed(about_z(-degrees) @ np.diag([scale, scale, scale, 1]))
    back = fitted(moved, given, camera, turn=True)
    # At 137 degrees the box is another one, so its centre, and with it the mesh, stays a little off.
    assert np.abs(back.vertices - surface.vertices).max() < 0.06


def test_a_smaller_object_than_the_unit_box_stays_smaller() -> None:
    surface = demo_objects()["car"].surface()
    camera = Camera.on_sphere(75, 10)
    smaller = surface.transformed(np.diag([0.8, 0.8, 0.8, 1]))
    back = fitted(surface, render(smaller, [camera])[0], camera, turn=False)
    assert np.ptp(back.vertices, axis=0).max() == pytest.approx(0.8, abs=0.015)


def test_without_turning_the_heading_is_kept() -> None:
    surface = demo_objects()["car"].surface()
    back = fitted(surface, render(surface, [Camera.on_sphere(30)])[0], Camera.on_sphere(0), turn=False)
    assert np.ptp(back.vertices, axis=0).argmax() == 0
