"""The Blender add-on: the command that it runs is one of ours; in Blender, a sentence becomes a textured object."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
import typer

from viewmask_cli.main import app

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "examples" / "viewmask_blender.py"

with_blender = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="bpy is absent (extra `blender`)")

# Blender's module ends in a segmentation fault at times: the process leaves by itself.
SESSION = """
import json, os, sys
import bpy
import addon_utils  # it comes with bpy
bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
bpy.ops.preferences.addon_enable(module="io_scene_gltf2")
sys.path.append(sys.argv[1])
addon_utils.enable("viewmask_blender", default_set=True)
preferences = bpy.context.preferences.addons["viewmask_blender"].preferences
preferences.command, preferences.folder = sys.argv[2:4]
subject = bpy.context.scene.viewmask
subject.text, subject.picture, subject.seed = sys.argv[4:6] + [2]
bpy.context.scene.cursor.location = 1, 2, 3
try:
    done, error = sorted(bpy.ops.viewmask.generate()), ""
except RuntimeError as failed:
    done, error = [], str(failed)
objects = [
    (each.name, list(each.location), [list(node.image.size) for slot in each.material_slots
     for node in slot.material.node_tree.nodes if node.type == "TEX_IMAGE"])
    for each in bpy.data.objects if each.type == "MESH"
]
session = {"done": done, "error": error, "objects": objects, "again": bpy.ops.viewmask.generate.poll()}
addon_utils.disable("viewmask_blender")
print(json.dumps(session | {"left": hasattr(bpy.types.Scene, "viewmask")}))
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture
def addon(monkeypatch):
    """The add-on beside a stand-in for Blender that knows the names alone."""
    bpy = types.ModuleType("bpy")
    kinds = ("AddonPreferences", "Operator", "Panel", "PropertyGroup")
    bpy.types = types.SimpleNamespace(**{name: type(name, (), {}) for name in kinds})
    bpy.path = types.SimpleNamespace(abspath=lambda path: path)
    bpy.props = types.SimpleNamespace(
        **{name: lambda **about: None for name in ("IntProperty", "PointerProperty", "StringProperty")}
    )
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    spec = importlib.util.spec_from_file_location("viewmask_blender", ADDON)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "picture"), [("a red chair", ""), ("", "mug.png"), ("a blue mug", "mug.png"), ("--help", "-x.png")]
)
def test_our_command_line_understands_it(addon, text, picture):
    command, name, *words = addon.arguments("viewmask", text, picture, 7)
    assert (command, name) == ("viewmask", "generate")
    asked = typer.main.get_command(app).commands[name].make_context(name, words).params
    assert asked["text"] == (text or None)
    assert [str(path) for path in asked["image"] or []] == ([picture] if picture else [])
    assert (asked["seed"], asked["mesh"], asked["as_json"], asked["out"]) == (7, True, True, None)


class Window:
    """As much of Blender's context as the operator asks for."""

    def __init__(self, command, folder, text):
        preferences = types.SimpleNamespace(command=str(command), folder=str(folder))
        self.preferences = types.SimpleNamespace(
            addons={"viewmask_blender": types.SimpleNamespace(preferences=preferences)}
        )
        self.scene = types.SimpleNamespace(viewmask=types.SimpleNamespace(text=text, picture="", seed=0))
        self.screen, self.window, self.timers, self.handlers = None, None, [], []
        self.window_manager = types.SimpleNamespace(
            event_timer_add=lambda seconds, window: self.timers.append(seconds),
            event_timer_remove=lambda timer: self.timers.pop(),
            modal_handler_add=self.handlers.append,
        )

    def events(self, operator, kind="TIMER"):
        """Send events until the operator is done; what it answered, and what the panel said meanwhile."""
        said = set()
        while (answer := operator.modal(self, types.SimpleNamespace(type=kind))) == {"PASS_THROUGH"}:
            said.add(operator.said)
            time.sleep(0.02)
        return answer, said


@pytest.fixture
def operator(addon):
    operator = addon.Generate()
    operator.reports = []
    operator.report = lambda kind, line: operator.reports.append((*kind, line))
    return operator


def program(tmp_path, body):
    command = tmp_path / "viewmask"
    command.write_text(f"#!/bin/sh\n{body}\n")
    command.chmod(0o755)
    return command


def test_the_window_goes_on_while_the_command_works(operator, tmp_path):
    command = program(tmp_path, "echo loading >&2; sleep 1; echo 'error: no disk' >&2; exit 2")
    window = Window(command, tmp_path / "results", "a red chair")
    assert operator.invoke(window, None) == {"RUNNING_MODAL"}
    assert (window.handlers, len(window.timers)) == ([operator], 1)
    assert not operator.poll(window)
    answer, said = window.events(operator)
    assert (answer, window.timers) == ({"CANCELLED"}, [])
    assert said >= {"loading"}
    assert operator.reports == [("ERROR", "error: no disk")]
    assert operator.poll(window)


def test_escape_stops_the_command(operator, tmp_path):
    window = Window(program(tmp_path, "exec sleep 60"), tmp_path / "results", "a red chair")
    operator.invoke(window, None)
    assert window.events(operator, "ESC")[0] == {"CANCELLED"}
    assert operator.reports == [("WARNING", "Stopped")]


@pytest.mark.parametrize(
    ("command", "text", "why"), [("gone", "a chair", "preferences"), ("viewmask", " ", "sentence")]
)
def test_nothing_starts_without_a_command_or_a_subject(operator, tmp_path, command, text, why):
    program(tmp_path, "exit 0")
    assert operator.invoke(Window(tmp_path / command, tmp_path / "results", text), None) == {"CANCELLED"}
    assert why in operator.reports[0][1]
    assert not (tmp_path / "results").exists()


def in_blender(tmp_path, text, picture, *options):
    command = program(tmp_path, f'exec "{sys.executable}" -m viewmask_cli "$@" {" ".join(options)}')
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state")}
    environment |= {f"BLENDER_USER_{name}": str(tmp_path / name) for name in ("CONFIG", "SCRIPTS", "RESOURCES")}
    run = subprocess.run(
        [sys.executable, "-c", SESSION, ADDON.parent, command, tmp_path / "results", text, picture],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@with_blender
def test_a_sentence_becomes_a_textured_object_at_the_cursor(tmp_path):
    session = in_blender(tmp_path, "a red chair", "", "--draws", "1", "--steps", "4")
    assert session == {
        "done": ["FINISHED"], "error": "", "objects": [["a-red-chair-2", [1, 2, 3], [[1024, 1024]]]],
        "again": True, "left": False,
    }  # fmt: skip
    assert (tmp_path / "results" / "a-red-chair-2" / "mesh.glb").exists()


@with_blender
def test_blender_shows_the_one_line_of_a_failure(tmp_path):
    session = in_blender(tmp_path, "", "gone.png")
    assert "no picture at" in session["error"]
    assert (session["objects"], session["again"]) == ([], True)
