"""Objects an hour: one BlenderProc process an object, as its own documentation has it, against workers that live on.

    python bench/scale.py MESHES [--objects 12] [--spp 16] [--views 8] [--size 256] [--rounds 2]

Both render the same objects, views, samples and light (a grey world and a lamp) on the same cores. They take turns:
in each round first a process an object, then the workers of `viewmask render`. The workers' time is given with their
start and without it, as in a run of hundreds of objects. At the end stands where the time of one object in a warm
worker goes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from render import blender
from render.run import cores, render_orbits
from render.settings import Settings
from render.source import Source, find
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet, read_picture

# What a program without viewmask would write: the recipe of BlenderProc's examples, on the `bpy` wheel.
ALONE = """
import json, os, sys
os.environ["OUTSIDE_OF_THE_INTERNAL_BLENDER_PYTHON_ENVIRONMENT_BUT_IN_RUN_SCRIPT"] = "1"
import bpy
import numpy as np
from PIL import Image
from blenderproc.python.camera import CameraUtility as camera
from blenderproc.python.loader.ObjectLoader import load_obj
from blenderproc.python.renderer import RendererUtility as renderer
from blenderproc.python.utility.GlobalStorage import GlobalStorage
from blenderproc.python.utility.Initializer import _Initializer, clean_up
from blenderproc.python.utility.SetupUtility import SetupUtility

job = json.loads(sys.argv[1])
SetupUtility.setup_utility_paths(job["out"])
clean_up(clean_up_camera=True)
bpy.context.scene.render.engine = "CYCLES"
_Initializer.set_default_parameters()
GlobalStorage.add("bproc_init_complete", True)
renderer.set_render_devices()
renderer.set_cpu_threads(job["threads"])
renderer.set_denoiser(None)
renderer.set_noise_threshold(0)
renderer.set_max_amount_of_samples(job["spp"])
renderer.set_output_format(enable_transparency=True, view_transform="Filmic")
renderer.set_world_background([1, 1, 1], 0.5)
lamp = bpy.data.lights.new("lamp", "POINT")
lamp.energy, lamp.shadow_soft_size = 1000, 0.1
stand = bpy.data.objects.new("lamp", lamp)
stand.location = 4.0762, 1.0055, 5.9039
bpy.context.collection.objects.link(stand)
camera.set_intrinsics_from_blender_params(np.radians(49.13), job["size"], job["size"], lens_unit="FOV")
parts = load_obj(job["mesh"])
box = np.concatenate([part.get_bound_box() for part in parts])
low, high = box.min(0), box.max(0)
scale = 1 / (high - low).max()
placed = np.eye(4)  # the front, which Blender's importer brings to -Y, goes to +X
placed[:3, :3] = scale * np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
placed[:3, 3] = -placed[:3, :3] @ (low + high) / 2
for part in parts:
    part.set_local2world_mat(placed @ part.get_local2world_mat())
for pose in job["poses"]:
    camera.add_camera_pose(np.array(pose))
for index, picture in enumerate(renderer.render(output_dir=job["out"])["colors"]):
    Image.fromarray(picture).save(os.path.join(job["out"], f"{index:03d}.png"))
sys.stdout.flush()
os._exit(0)
"""


def main() -> None:
    """Print a row a way, their ratio, and where the time of a warm object goes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("meshes", type=Path)
    parser.add_argument("--objects", type=int, default=12)
    parser.add_argument("--spp", type=int, default=16)
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    sources = find(options.meshes)
    sources = sources[:: max(1, len(sources) // options.objects)][: options.objects]
    print(f"{len(sources)} objects x {options.views} views of {options.size}, {options.spp} samples, {cores()} cores")
    settings = Settings(options.views, size=options.size, engine="blender", light="uniform", spp=options.spp)
    seconds = {"a process an object": 0.0, "viewmask render": 0.0, "  its start not counted": 0.0}
    ious: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        for number in range(options.rounds):
            part = sources[number :: options.rounds]
            start = time.perf_counter()
            for source in part:
                one_process(source, Path(scratch), options)
            seconds["a process an object"] += time.perf_counter() - start
            start = time.perf_counter()
            records = render_orbits(part, Path(scratch) / f"out{number}", settings)
            seconds["viewmask render"] += time.perf_counter() - start
            assert all(record["status"] == "ok" for record in records), records
            ious += [agreement(Path(scratch) / f"alone-{s.id}", Path(scratch) / f"out{number}" / s.id) for s in part]
            workers = min(cores(), len(part))
            seconds["  its start not counted"] += sum(record["seconds"] for record in records) / workers
        for name, taken in seconds.items():
            print(f"{name:24} {taken / len(sources):6.2f} s an object {3600 * len(sources) / taken:8.0f} objects/h")
        alone_seconds, ours, warm = seconds.values()
        print(f"ratio {alone_seconds / ours:.2f}, start not counted {alone_seconds / warm:.2f}")
        print(f"silhouettes of the two ways: mean IoU {np.mean(ious):.4f}, worst object {min(ious):.4f}")
        time_of_steps(sources[:4], options)


def one_process(source: Source, scratch: Path, options: argparse.Namespace) -> None:
    """One object by a BlenderProc process of its own."""
    mesh = scratch / f"{source.id}.glb"
    content = source.read()
    mesh.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    out = scratch / f"alone-{source.id}"
    out.mkdir()
    poses = [camera.camera_to_world.tolist() for camera in orbit(options.views)]
    job = {"mesh": str(mesh), "out": str(out), "threads": cores(), "spp": options.spp, "size": options.size}
    subprocess.run(
        [sys.executable, "-c", ALONE, json.dumps(job | {"poses": poses})], check=True, capture_output=True,
        env=os.environ | {"BLENDER_PROC_RANDOM_SEED": "0"},
    )  # fmt: skip
    assert len(list(out.glob("[0-9]*.png"))) == options.views


def agreement(theirs: Path, ours: Path) -> float:
    """Mean IoU of an object's silhouettes in two folders of views, which shows that both ways render the same."""
    ious = []
    for file in sorted(ours.glob("*.png")):
        a, b = read_picture(ours / file.name)[..., 3] >= 128, read_picture(theirs / file.name)[..., 3] >= 128
        ious.append((a & b).sum() / (a | b).sum())
    return float(np.mean(ious))


def time_of_steps(sources: list[Source], options: argparse.Namespace) -> None:
    """Where a warm object's time goes: reading, Blender at one sample, what the samples add, saving."""
    cameras = orbit(options.views, size=options.size)
    spent = np.zeros(4)
    with tempfile.TemporaryDirectory() as scratch:
        start = time.perf_counter()
        blender.start(cores())
        start = time.perf_counter() - start
        for number, source in enumerate([sources[0], *sources]):  # the first to warm up
            times = [time.perf_counter()]
            surface = source.surface()
            _ = surface.corner_normals
            times.append(time.perf_counter())
            blender.render(surface, cameras, "uniform", spp=1)
            times.append(time.perf_counter())
            pictures = blender.render(surface, cameras, "uniform", spp=options.spp)
            times.append(time.perf_counter())
            ViewSet(pictures, cameras).save(Path(scratch) / f"{number}")
            times.append(time.perf_counter())
            if number:
                spent += np.diff(times)
    read, single, full, save = spent / len(sources)
    whole = read + full + save
    print(f"start of Blender {start:.2f} s; a warm object {whole:.2f} s, one after the other:")
    for name, share in (
        ("reading", read), ("Blender, all but samples", single), ("path tracing", full - single), ("saving", save),
    ):  # fmt: skip
        print(f"  {name:26} {share:6.2f} s {100 * share / whole:4.0f} %")


if __name__ == "__main__":
    main()
