"""viewmask in Blender: a sentence or a picture -> a textured mesh at the 3D cursor. An add-on in one file.

Blender 4.2: Edit > Preferences > Add-ons > Install from Disk, then press N in the 3D view and choose viewmask.
It calls the installed `viewmask` as a program of its own, so that Blender's Python needs no package.
"""

import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import bpy

bl_info = {
    "name": "viewmask",
    "description": "A sentence or a picture -> a textured mesh",
    "blender": (4, 2, 0),
    "version": (0, 1, 0),
    "location": "3D view > Sidebar > viewmask",
    "category": "Add Mesh",
}


def arguments(command, text, picture, seed):
    """The command line that makes a mesh and tells in JSON where it is."""
    subject = [*(["--text", text] if text else []), *(["--image", picture] if picture else [])]
    return [command, "generate", *subject, "--seed", str(seed), "--mesh", "--json"]


class Preferences(bpy.types.AddonPreferences):
    bl_idname = __name__
    command: bpy.props.StringProperty(
        name="Command", subtype="FILE_PATH", description="Empty: the viewmask on the path, as in .venv/bin/viewmask"
    )
    folder: bpy.props.StringProperty(name="Results", subtype="DIR_PATH", default=str(Path.home() / "viewmask"))

    def draw(self, context):
        self.layout.prop(self, "command")
        self.layout.prop(self, "folder")


class Subject(bpy.types.PropertyGroup):
    text: bpy.props.StringProperty(name="Sentence", description='As in "a red chair"; of a picture, what it shows')
    picture: bpy.props.StringProperty(name="Picture", subtype="FILE_PATH", description="A photo of one object")
    seed: bpy.props.IntProperty(name="Seed", min=0, description="Another seed, another object")


class Generate(bpy.types.Operator):
    bl_idname = "viewmask.generate"
    bl_label = "Generate"
    bl_description = "Make a mesh at the 3D cursor; Esc stops it"
    bl_options = {"REGISTER", "UNDO"}  # noqa: RUF012
    said = ""  # by the command, its last line
    process = None  # one at a time

    @classmethod
    def poll(cls, context):
        return cls.process is None

    def execute(self, context):
        """Blender waits: for scripts."""
        if not self.start(context):
            return {"CANCELLED"}
        Generate.process.wait()
        return self.finish(context)

    def invoke(self, context, event):
        """Blender goes on."""
        if not self.start(context):
            return {"CANCELLED"}
        self.timer = context.window_manager.event_timer_add(0.3, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context, event):
        if event.type == "ESC":
            Generate.process.terminate()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        self.listen(context)
        if Generate.process.poll() is None:
            return {"PASS_THROUGH"}
        context.window_manager.event_timer_remove(self.timer)
        return self.finish(context)

    def cancel(self, context):
        """Blender ends it: another file is opened."""
        Generate.process.terminate()
        Generate.process, Generate.said = None, ""

    def start(self, context):
        preferences, subject = context.preferences.addons[__name__].preferences, context.scene.viewmask
        command = bpy.path.abspath(preferences.command) or shutil.which("viewmask")
        if not command or not Path(command).is_file():
            self.report({"ERROR"}, "There is no viewmask here: name its file in this add-on's preferences")
            return False
        if not subject.text.strip() and not subject.picture:
            self.report({"ERROR"}, "Say what to show: a sentence or a picture")
            return False
        folder = Path(bpy.path.abspath(preferences.folder))
        line = arguments(command, subject.text.strip(), bpy.path.abspath(subject.picture), subject.seed)
        self.printed, self.told = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        try:
            folder.mkdir(parents=True, exist_ok=True)
            Generate.process = subprocess.Popen(
                line, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.printed, stderr=self.told
            )
        except OSError as error:
            self.report({"ERROR"}, str(error))
            return False
        self.folder, Generate.said = folder, "starting"
        return True

    def listen(self, context):
        self.told.seek(0)
        lines = self.told.read().decode(errors="replace").split("\n")
        Generate.said = next((line for line in reversed(lines) if line.strip()), Generate.said)
        for area in context.screen.areas if context.screen else ():
            area.tag_redraw()

    def finish(self, context):
        self.listen(context)
        said, code, Generate.process, Generate.said = Generate.said, Generate.process.returncode, None, ""
        if code:
            self.report({"WARNING" if code < 0 else "ERROR"}, "Stopped" if code < 0 else said)
            return {"CANCELLED"}
        self.printed.seek(0)
        result = json.load(self.printed)["samples"][0]
        mesh = next(self.folder / file for file in result["files"] if file.endswith(".glb"))
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        bpy.ops.import_scene.gltf(filepath=str(mesh))
        for each in context.selected_objects:
            each.location += context.scene.cursor.location
            each.name = Path(result["folder"]).name
        for line in result["notes"]:
            self.report({"WARNING"}, line)
        self.report({"INFO"}, f"Made {mesh}")
        return {"FINISHED"}


class Panel(bpy.types.Panel):
    bl_idname = "VIEW3D_PT_viewmask"
    bl_label = "viewmask"
    bl_space_type, bl_region_type, bl_category = "VIEW_3D", "UI", "viewmask"

    def draw(self, context):
        for name in ("text", "picture", "seed"):
            self.layout.prop(context.scene.viewmask, name)
        self.layout.operator(Generate.bl_idname)
        if Generate.said:
            self.layout.label(text=Generate.said)


CLASSES = (Preferences, Subject, Generate, Panel)


def register():
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.viewmask = bpy.props.PointerProperty(type=Subject)


def unregister():
    if Generate.process:
        Generate.process.terminate()
    del bpy.types.Scene.viewmask
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
