"""Turning a mesh by the given view alone."""

import pytest

from eval.facing import facing
from eval.outputs import about_z
from render.demo import demo_objects
from render.raycast import render
from viewmask.camera import Camera


@pytest.mark.parametrize(("name", "degrees"), [("car", 137), ("mug", 291), ("rocket", 14)])
def test_the_turn_is_found_again(name: str, degrees: int) -> None:
    surface = demo_objects()[name].surface()
    camera = Camera.on_sphere(0)
    given = render(surface, [camera])[0]
    back, found = facing(surface.transformed(about_z(-degrees)), given, camera)
    assert abs(found - degrees) <= 2
    assert back.vertices == pytest.approx(surface.vertices, abs=0.04)


def test_the_given_view_may_stand_anywhere() -> None:
    surface = demo_objects()["car"].surface()
    camera = Camera.on_sphere(75, 10)
    _, found = facing(surface, render(surface, [camera])[0], camera)
    assert min(found, 360 - found) <= 2
