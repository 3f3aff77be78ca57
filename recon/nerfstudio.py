"""Nerfstudio's methods (nerfacto, splatfacto ...) as a source of a signed field: `ns-train`, then `ns-export`.

Both run as child processes in nerfstudio's own environment, which pins numpy 1 and 3.5 GB of other packages. The
views go out scaled to nerfstudio's box [-1, 1], with its own turning, centring and scaling switched off. What it did
all the same stands in its dataparser_transforms.json, and is undone with ours when the surface comes back.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from recon.hull import Grid, Volume, frame, resampled
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

INSTALL = (
    "python3.11 -m venv nerf && nerf/bin/pip install torch==2.13.0 && nerf/bin/pip install torch==2.13.0 nerfstudio, "
    "then name nerf/bin/python by --nerfstudio or $VIEWMASK_NERFSTUDIO"
)
NO_SURFACE = "nerfstudio's method found no surface: train longer (--steps)"
TIME_LIMIT = 24 * 3600.0  # seconds; nerfstudio has been seen to hang for ever when one of its workers died
_START = 600  # seconds

_LAUNCHER = Path(__file__).with_name("nerfstudio_launch.py")
_STEPS = {True: 30_000, False: 2_000}  # with and without CUDA
_RAYS = 512  # a step, without CUDA
# Small enough that a step takes a fraction of a second on a CPU.
_SMALL = {
    "num-levels": 8, "log2-hashmap-size": 15, "max-res": 256, "hidden-dim": 32, "hidden-dim-color": 32,
    "num-proposal-samples-per-ray": (48, 24), "num-nerf-samples-per-ray": 24, "implementation": "torch",
}  # fmt: skip

Matrix = NDArray[np.float64]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Installation:
    """A nerfstudio: its Python, its version, whether it has CUDA, and its methods."""

    python: str
    version: str
    cuda: bool
    methods: tuple[str, ...]


def find(python: str | Path | None = None) -> Installation:
    """The nerfstudio of an environment's Python; else of $VIEWMASK_NERFSTUDIO; else of this environment.

    Raises:
        ViewmaskError: there is none, or it does not start.
    """
    python = str(python or os.environ.get("VIEWMASK_NERFSTUDIO") or "")
    if not python:
        # Not `recon.nerfstudio`, which is found under another name.
        if importlib.util.find_spec("nerfstudio") is None:
            raise ViewmaskError(f"nerfstudio is not installed; it needs an environment of its own: {INSTALL}")
        python = sys.executable
    if shutil.which(python) is None:
        raise ViewmaskError(f"{python} is no Python: name the one of nerfstudio's environment ({INSTALL})")
    return _about(python)


@cache
def _about(python: str) -> Installation:
    output: list[str] = []
    for line in _lines([python, str(_LAUNCHER), "about"], _START, output):
        if line.startswith("@about "):
            about = json.loads(line.removeprefix("@about "))
            return Installation(python, about["nerfstudio"], about["cuda"], tuple(about["methods"]))
    if output[-1:] == ["@late"]:
        raise ViewmaskError(f"nerfstudio of {python} did not start within {_START} s: try again on a machine less busy")
    raise ViewmaskError(f"{python} has no nerfstudio that starts ({_last(output)}): {INSTALL}")


def find_method(method: str, python: str | Path | None = None) -> Installation:
    """The nerfstudio that has a method and can run it.

    Args:
        python: see `find`.

    Raises:
        ViewmaskError: no nerfstudio, no such method, or it needs CUDA.
    """
    try:
        installed = find(python)
    except ViewmaskError as error:
        raise ViewmaskError(
            f"there is no method {method!r} here: choose field or hull; nerfstudio's (nerfacto ...) are absent: {error}"
        ) from error
    if method not in installed.methods:
        raise ViewmaskError(
            f"there is no method {method!r}: choose field or hull, or one of nerfstudio {installed.version}: "
            f"{', '.join(installed.methods)}"
        )
    if method.startswith("splat") and not installed.cuda:
        raise ViewmaskError(
            f"{method} needs an NVIDIA GPU (its rasteriser gsplat is CUDA code), and {installed.python} sees none: "
            "try --method nerfacto, or field or hull, which need none"
        )
    return installed


def volume(
    views: ViewSet,
    method: str,
    resolution: int = 128,
    python: str | Path | None = None,
    steps: int | None = None,
    time_limit: float = TIME_LIMIT,
    progress: Progress = lambda step, share: None,
) -> tuple[Volume, Grid]:
    """The surface that a nerfstudio method finds, as a signed field (world units, positive inside) on a grid.

    Args:
        views: cut out (`silhouette.cut_out`).
        method: one of nerfstudio's own names. Gaussian methods come back as their splats, all others as a TSDF.
        resolution: grid points along the longest side.
        python: of nerfstudio's environment, see `find`.
        steps: of training; 30,000 with CUDA, 2,000 of a small model without.
        time_limit: seconds for training, and again for exporting.
        progress: called with what is done, and the share of it that lies behind.

    Raises:
        ViewmaskError: no nerfstudio, no such method, it needs CUDA, it failed or took too long, or found no surface.
    """
    progress("starting nerfstudio", 0.0)
    installed = find_method(method, python)
    splats = method.startswith("splat")
    steps = steps or _STEPS[installed.cuda]
    with tempfile.TemporaryDirectory(prefix="viewmask-nerfstudio-") as name:
        folder = Path(name)
        to_box = write_views(views, folder / "views")
        launch = [installed.python, str(_LAUNCHER)]
        for done in _steps([*launch, *_train(method, folder, steps, installed.cuda)], time_limit, method):
            progress(f"training {method}, step {done} of {steps}", 0.02 + 0.9 * done / steps)
        run = folder / "runs" / "views" / method / "run"
        progress("exporting the surface", 0.92)
        kind = "gaussian-splat" if splats else "tsdf"
        for _ in _steps([*launch, *_export(kind, run, folder, max(resolution, 32))], time_limit, f"exporting {method}"):
            pass
        try:
            parsed = json.loads((run / "dataparser_transforms.json").read_text())
            box_to_world = np.linalg.inv(normalisation(parsed) @ to_box).astype(np.float64)
            ply = folder / ("splat.ply" if splats else "tsdf_mesh.ply")
            return splat_field(ply, box_to_world, resolution) if splats else mesh_field(ply, box_to_world, resolution)
        except (OSError, KeyError, ValueError) as error:
            raise ViewmaskError(
                f"{method} left nothing that can be read ({error!r}): train longer (--steps)"
            ) from error


# -- there and back --------------------------------------------------------------------------------------


def write_views(views: ViewSet, folder: Path) -> Matrix:
    """Views as nerfstudio wants them, what they look at scaled into [-1, 1]; world to that box, [4, 4]."""
    around = frame(views.cameras, 2)
    half = around.pitch * (np.array(around.shape) - 1) / 2
    scale = 1 / float(half.max())
    centre = around.origin + half
    to_box = np.diag([scale, scale, scale, 1.0])
    to_box[:3, 3] = -scale * centre
    cameras = []
    for camera in views.cameras:
        pose = camera.camera_to_world.copy()
        pose[:3, 3] = scale * (pose[:3, 3] - centre)
        cameras.append(replace(camera, camera_to_world=pose))
    ViewSet(views.images, cameras).save(folder)
    return to_box


def normalisation(parsed: dict[str, Any]) -> Matrix:
    """What nerfstudio did to the world, [4, 4], by its dataparser_transforms.json: a turn and shift, then a scale."""
    moved = np.vstack([np.asarray(parsed["transform"], np.float64).reshape(3, 4), [0, 0, 0, 1]])
    scale = float(parsed["scale"])
    return np.diag([scale, scale, scale, 1.0]) @ moved


def mesh_field(path: Path, to_world: Matrix, resolution: int) -> tuple[Volume, Grid]:
    """A mesh file, open or self-intersecting as it may be, as a signed field: signs by winding number."""
    import igl

    mesh = trimesh.load_mesh(path, process=False)
    if not isinstance(mesh, trimesh.Trimesh) or len(mesh.faces) < 4:
        raise ViewmaskError(NO_SURFACE)
    mesh.apply_transform(to_world)
    grid = _around(mesh.vertices, resolution)
    corners, faces = np.ascontiguousarray(mesh.vertices, np.float64), np.ascontiguousarray(mesh.faces, np.int64)
    coarse = Grid.around(grid.origin, grid.origin + grid.pitch * (np.array(grid.shape) - 1), min(resolution, 64))
    winding = igl.fast_winding_number(corners, faces, _points(coarse)).reshape(coarse.shape)
    # TSDFs of nerfstudio face inward, other files outward: either way counts.
    inside = np.abs(winding) > 0.5
    unsigned = np.sqrt(igl.point_mesh_squared_distance(_points(coarse), corners, faces)[0]).reshape(coarse.shape)
    signed = np.where(inside, unsigned, -unsigned).astype(np.float32)
    return resampled(signed, coarse, grid), grid


def splat_field(path: Path, to_world: Matrix, resolution: int) -> tuple[Volume, Grid]:
    """Gaussians as a signed field: where their opacities add up to more than one half, and what that encloses.

    Attributes as nerfstudio writes them: x y z, scale_0..2 (logarithms), rot_0..3 (w x y z), opacity (a logit).
    """
    cloud = trimesh.load(path, process=False).metadata["_ply_raw"]["vertex"]["data"]  # type: ignore[union-attr]
    mean = np.stack([cloud[axis] for axis in "xyz"], 1).reshape(-1, 3).astype(np.float64)
    spread = np.exp(np.stack([cloud[f"scale_{i}"] for i in range(3)], 1).reshape(-1, 3).astype(np.float64))
    turn = np.stack([cloud[f"rot_{i}"] for i in range(4)], 1).reshape(-1, 4).astype(np.float64)
    opacity = 1 / (1 + np.exp(-np.asarray(cloud["opacity"], np.float64).ravel()))
    scale = np.cbrt(np.linalg.det(to_world[:3, :3]))
    solid = opacity > 0.05
    if solid.sum() < 4:
        raise ViewmaskError(NO_SURFACE)
    mean, spread, opacity = mean[solid] @ to_world[:3, :3].T + to_world[:3, 3], spread[solid] * scale, opacity[solid]
    axes = to_world[:3, :3] / scale @ Rotation.from_quat(turn[solid][:, [1, 2, 3, 0]]).as_matrix()
    grid = _around(mean, resolution)
    density = np.zeros(grid.shape, np.float32)
    for centre, frame_, size, share in zip(mean, axes, np.maximum(spread, grid.pitch / 2), opacity, strict=True):
        low = np.maximum(np.ceil((centre - 3 * size.max() - grid.origin) / grid.pitch).astype(int), 0)
        high = np.minimum((centre + 3 * size.max() - grid.origin) // grid.pitch + 1, grid.shape).astype(int)
        if (low >= high).any():
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        offset = np.stack(np.meshgrid(*(np.arange(a, b) for a, b in zip(low, high, strict=True)), indexing="ij"), -1)
        local = (grid.origin + grid.pitch * offset - centre) @ frame_ / size
        density[box] += share * np.exp(-0.5 * (local**2).sum(-1))
    inside = ndimage.binary_fill_holes(density > 0.5)
    distance = ndimage.distance_transform_edt(inside) - ndimage.distance_transform_edt(~inside)
    return (grid.pitch * ndimage.gaussian_filter(distance, 0.7)).astype(np.float32), grid


def _around(points: Matrix, resolution: int) -> Grid:
    low, high = points.min(0), points.max(0)
    margin = 0.02 * float((high - low).max())
    return Grid.around(low - margin, high + margin, resolution)


def _points(grid: Grid) -> Matrix:
    return np.ascontiguousarray(grid.origin + grid.pitch * np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3))


# -- commands --------------------------------------------------------------------------------------------


def _train(method: str, folder: Path, steps: int, cuda: bool) -> list[str]:
    words = {
        "--data": folder / "views", "--output-dir": folder / "runs", "--experiment-name": "views", "--timestamp": "run",
        "--max-num-iterations": steps, "--steps-per-save": steps, "--vis": "tensorboard",
        "--steps-per-eval-image": 0, "--steps-per-eval-batch": 0, "--steps-per-eval-all-images": 0,
    }  # fmt: skip
    if "nerfacto" in method:
        # The object alone: no background is learnt, and none of the hundreds of samples lies beyond the box.
        words |= {"--pipeline.model.background-color": "random", "--pipeline.model.camera-optimizer.mode": "off"}
        words |= {"--pipeline.model.disable-scene-contraction": True}
    if not cuda:
        words |= {"--machine.device-type": "cpu", "--machine.num-devices": 1, "--mixed-precision": False}
        words |= {"--pipeline.datamanager.train-num-rays-per-batch": _RAYS}
        if "nerfacto" in method:
            words |= {f"--pipeline.model.{option}": value for option, value in _SMALL.items()}
    parser = {
        "--orientation-method": "none", "--center-method": "none", "--auto-scale-poses": False,
        "--train-split-fraction": 1.0, "--downscale-factor": 1,
    }  # fmt: skip
    return ["train", method, *_words(words), "nerfstudio-data", *_words(parser)]


def _export(kind: str, run: Path, folder: Path, resolution: int) -> list[str]:
    words: dict[str, Any] = {"--load-config": run / "config.yml", "--output-dir": folder}
    if kind == "tsdf":
        words |= {"--resolution": resolution, "--texture-method": "tsdf", "--downscale-factor": 1}
    return ["exporter", kind, *_words(words)]


def _words(options: dict[str, Any]) -> list[str]:
    return [
        str(word)
        for name, value in options.items()
        for word in (name, *(value if isinstance(value, tuple) else (value,)))
    ]


def _steps(command: list[str], limit: float, what: str) -> Iterator[int]:
    """Run a command of the launcher; the numbers of its steps as they begin.

    Raises:
        ViewmaskError: it failed, or took longer than `limit` seconds.
    """
    output: list[str] = []
    for line in _lines(command, limit, output):
        if line.startswith("@step "):
            yield int(line.split()[1])
    if output[-1:] == ["@late"]:
        raise ViewmaskError(f"{what} took longer than {limit:.0f} s: ask for fewer --steps")
    if any("Surface level must be within volume data range" in line for line in output):
        raise ViewmaskError(NO_SURFACE)
    if output[-1:] != ["@done"]:
        error = ViewmaskError(f"{what} failed: {_last(output)}")
        error.add_note("\n".join(output[-60:]))
        raise error


def _lines(command: list[str], limit: float, output: list[str]) -> Iterator[str]:
    """What a child says, line by line, kept in `output`, which ends in @done, @late or @failed.

    The child and all that it started are gone when this ends, whichever way: by Ctrl-C, too.
    """
    end = time.monotonic() + limit
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=environment | {"TERM": "dumb", "COLUMNS": "200"},
    ) as child:  # fmt: skip
        assert child.stdout is not None
        try:
            pending = b""
            while time.monotonic() < end:
                if not select.select([child.stdout], [], [], 0.5)[0]:
                    continue
                chunk = os.read(child.stdout.fileno(), 65536)
                if not chunk:
                    output.append("@done" if child.wait() == 0 else "@failed")
                    return
                *whole, pending = (pending + chunk).split(b"\n")
                for raw in whole:
                    line = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", raw.decode(errors="replace")).strip()
                    if line:
                        output.append(line)
                        yield line
            output.append("@late")
        finally:
            # Its data workers outlive their parent otherwise.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)


def _last(output: list[str]) -> str:
    """The line that says most about a failure: the last one that names an error."""
    lines = [line.strip("│╭╰─╮╯ ") for line in output if not line.startswith("@")]
    errors = [line for line in lines if re.search(r"\b\w*(Error|Exception)\b", line)]
    return (errors or lines or ["it said nothing"])[-1][:200]
