"""A stand-alone program, run by `render.blender` as a child process: draws jobs with BlenderProc on the `bpy` wheel.

BlenderProc is GPL: nothing of viewmask is imported here, this folder is never imported, and jobs and pictures pass as
files. It reads lines of JSON from standard input and answers each with one line: "ok", "unreadable" and what is wrong
with the mesh file, or "failed" and what went wrong here.

    {"draw": DIR}               DIR holds `job.json` (and `surface.npz` if it names no mesh file), and gets
                                `rgb_0000.png` ... and `drawn.json`
    {"convert": FILE, "to": GLB}  any mesh file that Blender imports, to GLB

    python render/cycles TEMPORARY-DIR THREADS PARENT

THREADS 0 means all. If PARENT is the number of the process that started it, it dies with that process.
"""

import ctypes
import faulthandler
import json
import os
import signal
import sys
from pathlib import Path

PARENT_DEATH = 1  # Linux's prctl(PR_SET_PDEATHSIG)

if sys.platform == "linux" and int(sys.argv[3]):
    ctypes.CDLL(None).prctl(PARENT_DEATH, signal.SIGKILL)
    if os.getppid() != int(sys.argv[3]):
        os._exit(1)
faulthandler.enable()  # before bpy: its own handler would write crash reports into the temporary folder

# BlenderProc wants to be started by its own launcher, which downloads Blender; this says that it has been.
os.environ["OUTSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT_BUT_IN_RUN_SCRIPT"] = "1"

# Blender chats on standard output: keep that for answers, send the chat to standard error.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

try:
    import arrays
    import bpy  # bpy before blenderproc
    import files
    import numpy as np
    from blenderproc.python.camera import CameraUtility
    from blenderproc.python.renderer import RendererUtility
    from blenderproc.python.utility.GlobalStorage import GlobalStorage
    from blenderproc.python.utility.Initializer import _Initializer, clean_up
    from blenderproc.python.utility.SetupUtility import SetupUtility
    from mathutils import Matrix
except ImportError as error:  # on a bare machine, a system library
    answers.write(f"failed to start: {' '.join(str(error).split())}\n")
    answers.flush()
    os._exit(1)


def start(temporary: str, threads: int) -> None:
    """What `blenderproc.init()` does, less what fails on the pip wheel (its language files are absent)."""
    SetupUtility.setup_utility_paths(temporary)
    clean_up(clean_up_camera=True)
    bpy.context.scene.render.engine = "CYCLES"
    _Initializer.set_default_parameters()
    GlobalStorage.add("bproc_init_complete", True)
    RendererUtility.set_render_devices()  # a GPU where there is one
    RendererUtility.set_cpu_threads(threads)
    RendererUtility.set_denoiser(None)
    RendererUtility.set_noise_threshold(0)
    render = bpy.context.scene.render
    render.use_persistent_data = True  # between the views of an object
    render.use_border, render.use_crop_to_border = True, False
    render.image_settings.compression = 0


def draw(folder: Path) -> None:
    """Render one job into its folder."""
    job = json.loads((folder / "job.json").read_text())
    empty()
    if "mesh" in job:
        mesh = Path(job["mesh"])
        notes = files.read(mesh, job["kind"], job["lenient"])
        found, more = files.parts(job, mesh)
        drawn = {"matrix": files.place(found, np.array(job["upright"])).tolist(), "notes": notes + more}
    else:
        with np.load(folder / "surface.npz") as stored:
            found = [arrays.place({name: stored[name] for name in stored.files}, job)]
        drawn = {"matrix": np.eye(4).tolist(), "notes": []}
    windows = seen_through(job, found, np.array(drawn["matrix"]))
    drawn["seen"] = [index for index, (left, top, right, bottom) in enumerate(windows) if left < right and top < bottom]
    place_lights(job)
    scene = bpy.context.scene
    scene.cycles.pixel_filter_type = "BOX"
    scene.cycles.filter_width = 1.0
    scene.cycles.seed = job["seed"] % 2**31
    scene.cycles.transparent_max_bounces = 128
    RendererUtility.set_max_amount_of_samples(job["samples"])
    view_transform = "Filmic" if job["light"] == "uniform" else "Standard"
    RendererUtility.set_output_format("PNG", 8, enable_transparency=True, view_transform=view_transform)
    intrinsics = np.array(job["intrinsics"], dtype=float)
    intrinsics[:2, 2] -= 0.5  # BlenderProc counts pixel centres as whole numbers
    CameraUtility.set_intrinsics_from_K_matrix(intrinsics, job["width"], job["height"], clip_start=0.01, clip_end=100)
    for pose in job["poses"]:
        CameraUtility.add_camera_pose(np.array(pose))
    scene.cycles.use_denoising = bpy.context.view_layer.cycles.use_denoising = job["denoise"]
    if job["denoise"]:
        scene.cycles.denoiser = "OPENIMAGEDENOISE"
    for frame in drawn["seen"]:
        # Empty pixels cost as much as full ones: only the object's part of each picture is traced.
        left, top, right, bottom = windows[frame]
        scene.render.border_min_x, scene.render.border_max_x = left / job["width"], right / job["width"]
        scene.render.border_min_y = 1 - bottom / job["height"]
        scene.render.border_max_y = 1 - top / job["height"]
        scene.frame_start, scene.frame_end = frame, frame + 1
        RendererUtility.render(output_dir=str(folder), return_data=False, verbose=True)
    (folder / "drawn.json").write_text(json.dumps(drawn))


def seen_through(job: dict, found: list, matrix: np.ndarray) -> list[tuple[int, int, int, int]]:
    """The part of each picture that the object can cover: left, top, right, bottom in pixels."""
    intrinsics = np.array(job["intrinsics"])
    clouds = [files.moved(part.points, matrix @ part.matrix) for part in found if len(part.points)]
    windows = []
    for pose in job["poses"]:
        low, high = np.full(2, np.inf), np.full(2, -np.inf)
        for cloud in clouds:
            local = files.moved(cloud, np.linalg.inv(np.array(pose))) * (1, -1, -1)  # OpenGL to OpenCV
            if local[:, 2].min() <= 1e-6:  # some of it lies beside or behind the camera
                low, high = np.zeros(2), np.array([job["width"], job["height"]])
                break
            pixels = local @ intrinsics.T
            pixels = pixels[:, :2] / pixels[:, 2:]
            low, high = np.minimum(low, pixels.min(0)), np.maximum(high, pixels.max(0))
        left, top = np.floor(low - 1).astype(int).tolist()
        right, bottom = np.ceil(high + 1).astype(int).tolist()
        windows.append((max(left, 0), max(top, 0), min(right, job["width"]), min(bottom, job["height"])))
    return windows


def empty() -> None:
    """Leave nothing of the object before: neither its data nor the scene that Cycles keeps between views."""
    scene = bpy.context.scene
    scene.render.use_persistent_data = False
    GlobalStorage.set("output", [])  # BlenderProc refuses a second folder otherwise
    clean_up(clean_up_camera=True)
    bpy.data.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)
    for image in list(bpy.data.images):
        bpy.data.images.remove(image)
    scene.render.use_persistent_data = True


def convert(source: str, kind: str, target: str) -> None:
    """Import a mesh file and write it as GLB (or, for tests, another format), everything in place and +Y up."""
    empty()
    files.read(Path(source), kind)
    suffix = Path(target).suffix
    if suffix == ".fbx":
        bpy.ops.export_scene.fbx(filepath=target, path_mode="COPY", embed_textures=True)
    elif suffix == ".blend":
        bpy.ops.file.pack_all()
        bpy.ops.wm.save_as_mainfile(filepath=target, copy=True)
    elif suffix in (".usdc", ".usda", ".usdz"):
        bpy.ops.wm.usd_export(filepath=target)
    else:
        bpy.ops.export_scene.gltf(filepath=target, export_format="GLB", export_apply=True, export_animations=False)
    empty()


def place_lights(job: dict) -> None:
    """A sky of even grey, then lamps; levels are what a white surface gives back."""
    RendererUtility.set_world_background([1, 1, 1], job["sky"])
    for lamp in job["lamps"]:
        light = bpy.data.lights.new("lamp", lamp["kind"])
        light.energy = lamp["energy"]
        light.use_shadow = lamp["shadow"]
        if lamp["kind"] == "AREA":
            light.shape, light.size = "DISK", 2 * lamp["radius"]
        else:
            light.shadow_soft_size = lamp["radius"]
        stand = bpy.data.objects.new("lamp", light)
        bpy.context.collection.objects.link(stand)
        pose = np.eye(4)
        pose[:3, :3] = CameraUtility.rotation_from_forward_vec(-np.array(lamp["position"]))
        pose[:3, 3] = lamp["position"]
        stand.matrix_world = Matrix(pose)


def main() -> None:
    """Answer jobs until standard input ends."""
    start(sys.argv[1], int(sys.argv[2]))
    answers.write("ready\n")
    for line in sys.stdin:
        try:
            request = json.loads(line)
            if "draw" in request:
                draw(Path(request["draw"]))
            else:
                convert(request["convert"], request["kind"], request["to"])
            answers.write("ok\n")
        except files.UnreadableError as error:
            answers.write("unreadable " + " ".join(str(error).split()) + "\n")
        except Exception as error:
            answers.write("failed " + " ".join(f"{type(error).__name__}: {error}".split()) + "\n")


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stderr.flush()
        answers.flush()
        os._exit(0)  # bpy ends in a segmentation fault otherwise
