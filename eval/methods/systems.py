"""Other people's systems: each run by its own command in its own environment, and what it wrote read from a folder.

Nothing of theirs is imported, so their pins cannot disturb ours. What each writes, and from which cameras, was read in
its own repository (named with it); docs/baselines.md tells how to run them.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import trimesh
from PIL import Image

from eval.benches.bench import digest
from eval.methods.fitting import fitted
from eval.methods.method import Method
from eval.methods.outputs import RENDERED, about_z, matched, rendered
from recon.sheet import SHEETS, Sheet, read
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.views.background import from_white
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:
    from render.surface import Surface


@dataclass(frozen=True)
class System:
    """What a system writes for one picture.

    Attributes:
        writes: glob of its picture or mesh in the object's folder; of several the first in order, never the best.
        form: what that is, in words.
        command: an example of how to start it, in its own checkout.
        note: which of its output a bench can score, a line.
        layout: of a picture: its grid and cameras.
        scored: whether those cameras are a bench's. Where not, only a mesh made of its views is measured.
        surface: of a mesh file: how to read it into the world, from the file and the true view set.
    """

    writes: str
    form: str
    command: str
    note: str
    layout: Sheet | None = None
    scored: bool = False
    surface: Callable[[Path, ViewSet], Surface] | None = None


def _trellis(path: Path, truth: ViewSet) -> Surface:
    """+Y up in the object's own pose (microsoft/TRELLIS, postprocessing_utils.to_glb)."""
    from render.surface import Surface

    return fitted(Surface.load(path), truth.images[0], truth.cameras[0], turn=True)


def _instantmesh(path: Path, truth: ViewSet) -> Surface:
    """+Z up with the given view at azimuth 0 (TencentARC/InstantMesh, camera_util.py); run.py's plain OBJ is mirrored
    in z (mesh_util.save_obj, issue 170), the one with a texture is not."""
    from render.surface import Surface

    with path.open(errors="replace") as file:
        textured = file.read(7) == "mtllib "
    mirror = np.diag([1.0, 1.0, 1.0 if textured else -1.0, 1.0])
    surface = Surface.load(path, transform=about_z(truth.cameras[0].azimuth) @ mirror)
    return fitted(surface, truth.images[0], truth.cameras[0], turn=False)


SYSTEMS = {
    "syncdreamer": System(  # liuyuan-pal/SyncDreamer: generate.py, meta_info/camera-16.pkl
        writes="*.png",
        form=SHEETS["syncdreamer"].form,
        command="cd SyncDreamer && python generate.py --ckpt ckpt/syncdreamer-pretrain.ckpt --input {image} "
        "--output {out} --sample_num 1 --cfg_scale 2.0 --elevation 30 --crop_size -1 --seed {seed}",
        note="its 16 views, every 22.5 degrees at elevation 30, are the bench's for 2, 4, 8 and 16 views",
        layout=SHEETS["syncdreamer"],
        scored=True,
    ),
    "zero123plus": System(  # SUDO-AI-3D/zero123plus: README, camera poses of v1.2
        writes="*.png",
        form=SHEETS["zero123plus"].form,
        command="python your_zero123plus.py {image} {out}/output.png",
        note="its views stand at elevations 20 and -10, never where a bench's do: no image columns; its mesh is our "
        "reconstruction from its six views, scaled to the given view",
        layout=SHEETS["zero123plus"],
    ),
    "mvadapter": System(  # huanngzh/MV-Adapter: scripts/inference_i2mv_sdxl.py
        writes="output.png",
        form=SHEETS["mvadapter"].form,
        command="cd MV-Adapter && python -m scripts.inference_i2mv_sdxl --image {image} --seed {seed} "
        "--output {out}/output.png",
        note="its views are orthographic at elevation 0, a bench's are not: no image columns; its mesh is our "
        "reconstruction from its six views, scaled to the given view",
        layout=SHEETS["mvadapter"],
    ),
    "instantmesh": System(  # TencentARC/InstantMesh: run.py
        writes="**/*.obj",
        form="a mesh, instant-mesh-large/meshes/given.obj",
        command="cd InstantMesh && python run.py configs/instant-mesh-large.yaml {image} --output_path {out} "
        "--seed {seed}",
        note="its mesh faces the given view by its own cameras and is scaled to it",
        surface=_instantmesh,
    ),
    "trellis": System(  # microsoft/TRELLIS: example.py
        writes="*.glb",
        form="a mesh, sample.glb",
        command="cd TRELLIS && python your_trellis.py {image} {out}/sample.glb",
        note="its mesh lies in the object's own pose: turned about the vertical and scaled to look most like the given "
        "view",
        surface=_trellis,
    ),
}

GIVEN = "given.png"  # the picture that a command starts from, kept beside what it made of it


def open_system(name: str, folder: Path, command: str | None = None, seed: int = 0) -> Method:
    """A system by its name, its output for an object in `folder`/ID.

    Args:
        command: started by the shell for an object that `folder` lacks, with {image} (the given view, RGBA with a
            transparent background), {out} (an empty folder to write into), {id} and {seed} filled in and quoted. Its
            folder takes its place when the command has ended well, and what it printed stands in ID.log.

    Raises:
        ViewmaskError: no such folder and no command; from the method, an object's output is missing or of another form.
    """
    system = SYSTEMS[name]
    if command is not None and not ("{image}" in command and "{out}" in command):
        raise ViewmaskError(f"--command must say where the picture and the output go, as in: {system.command}")
    if command is None and not folder.is_dir():
        raise ViewmaskError(_absent(name, folder))

    def file(subject: str, truth: ViewSet) -> Path:
        place = folder / subject
        if not _written(system, place):
            if command is None:
                raise ViewmaskError(_absent(name, place, subject))
            _start(name, command, folder, subject, truth.images[0], seed)
        return _written(system, place)[0]

    last: list[tuple[str, ViewSet, Surface]] = []  # views and mesh are asked for in turn: fit once

    def views(subject: str, truth: ViewSet) -> list[Picture]:
        if system.surface is not None:
            return rendered(mesh(subject, truth), truth)
        if not system.scored:
            raise ViewmaskError(f"{name}: {system.note}")
        grid = read(file(subject, truth), name)
        whole = ViewSet([from_white(image[..., :3]) for image in grid.images], grid.cameras)
        return matched(whole, truth, str(folder / subject))

    def mesh(subject: str, truth: ViewSet) -> Surface:
        latest = last[0] if last else None  # held here: another thread may put its own object in `last`
        if latest is not None and latest[0] == subject and latest[1] is truth:
            return latest[2]
        path = file(subject, truth)
        surface = system.surface(path, truth) if system.surface else _reconstruction(read(path, name), truth)
        last[:] = [(subject, truth, surface)]
        return surface

    return Method(
        name,
        views,
        {"folder": folder.name} | ({"command": command, "seed": seed} if command else {}),
        mesh=None if system.scored else mesh,
        has_views=system.scored or system.surface is not None,
        content=lambda subject, truth: digest(file(subject, truth)),
        notes=(f"{name}: {system.note}", *((RENDERED,) if system.surface is not None else ())),
    )


def _reconstruction(views: ViewSet, truth: ViewSet) -> Surface:
    """Our reconstruction from a system's own views, turned to the given view's azimuth and scaled to it."""
    from recon.reconstructor import reconstruct
    from render.surface import Surface

    shape = reconstruct(views, texture=16).geometry()  # its colours are not measured
    surface = Surface.of_scene(trimesh.Scene(shape), transform=about_z(truth.cameras[0].azimuth))
    return fitted(surface, truth.images[0], truth.cameras[0], turn=False)


def _written(system: System, place: Path) -> list[Path]:
    return sorted(path for path in place.glob(system.writes) if path.name != GIVEN)


def _absent(name: str, place: Path, subject: str = "") -> str:
    system = SYSTEMS[name]
    what = f"no output of {name} for {subject} in {place}" if subject else f"no folder {place} of {name}'s output"
    where = place if subject else place / "ID"
    return f"{what}: put {system.form} into {where}, or let it be made: --command '{system.command}'"


def _start(name: str, command: str, folder: Path, subject: str, reference: Picture, seed: int) -> None:
    """Run a command for one object; its folder appears when all is well."""
    log = folder.absolute() / f"{subject}.log"
    with atomic.folder(folder.absolute() / subject, ours=GIVEN) as temporary:
        Image.fromarray(reference, "RGBA").save(temporary / GIVEN)
        line = command
        for word, value in {"image": temporary / GIVEN, "out": temporary, "id": subject, "seed": seed}.items():
            line = line.replace(f"{{{word}}}", shlex.quote(str(value)))
        try:
            with log.open("wb") as output:
                code = subprocess.run(line, shell=True, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
        except OSError as error:
            raise ViewmaskError(f"cannot write {log}: {error.strerror or error}") from error
        if code:
            lines = log.read_text(errors="replace").split("\n")
            last = next((text.strip() for text in reversed(lines) if text.strip()), "it said nothing")
            raise ViewmaskError(f"{name} failed on {subject} with exit code {code}: {last[:200]} (all of it: {log})")
        if not _written(SYSTEMS[name], temporary):
            raise ViewmaskError(f"{name} ended well on {subject} but wrote no {SYSTEMS[name].form} (see {log})")
