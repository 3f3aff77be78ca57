"""External systems, with stand-in commands that write what the real ones write."""

import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from eval.methods import SYSTEMS as NAMES
from eval.methods import open_method
from eval.methods.method import Method
from eval.methods.systems import SYSTEMS
from eval.metrics.geometry import volume_iou
from recon.reconstructor import reconstruct
from recon.sheet import SHEETS
from render.demo import demo_objects
from render.raycast import render
from render.surface import GLTF_TO_WORLD, Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet, composite, read_picture

# What a stand-in does: copy a prepared file to where the real system writes.
COPY = """
import pathlib, shutil, sys
given, out, made, name = sys.argv[1:]
assert pathlib.Path(given).read_bytes()[:4] == b"\\x89PNG"
target = pathlib.Path(out, name)
target.parent.mkdir(parents=True, exist_ok=True)
shutil.copy(made, target)
print("done")
"""


@pytest.fixture(scope="module")
def car() -> Surface:
    return demo_objects()["car"].surface()


@pytest.fixture(scope="module")
def truth(car: Surface) -> ViewSet:
    cameras = orbit(4, size=128)
    return ViewSet(render(car, cameras), cameras)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "a stand-in.py"  # the space must survive the shell
    path.write_text(COPY)
    return path


def grid(pictures: list[np.ndarray], columns: int, background: float = 1.0) -> Image.Image:
    side = pictures[0].shape[0]
    sheet = Image.new("RGB", (columns * side, len(pictures) // columns * side))
    for index, picture in enumerate(pictures):
        tile = Image.fromarray(np.round(composite(picture, background) * 255).astype(np.uint8))
        sheet.paste(tile, (index % columns * side, index // columns * side))
    return sheet


def started(name: str, made: Path, written: str, script: Path, folder: Path) -> Method:
    command = f"{sys.executable} '{script}' {{image}} {{out}} '{made}' {written}"
    return open_method(f"{name}:{folder}", command=command)


def test_every_system_is_described() -> None:
    assert set(SYSTEMS) == set(NAMES)
    for system in SYSTEMS.values():
        assert "{image}" in system.command
        assert "{out}" in system.command
        assert (system.layout is None) == (system.surface is not None)


def test_syncdreamers_strip_is_scored(car: Surface, truth: ViewSet, script: Path, tmp_path: Path) -> None:
    grid(render(car, orbit(16, size=64)), columns=16).save(tmp_path / "strip.png")
    method = started("syncdreamer", tmp_path / "strip.png", "0.png", script, tmp_path / "out")
    made = method.views("my car", truth)
    assert method.has_views
    assert method.mesh is None
    for picture, true in zip(made, render(car, orbit(4, size=64)[1:]), strict=True):
        assert np.abs(composite(picture) - composite(true)).max() < 2 / 255
        assert ((picture[..., 3] > 127) == (true[..., 3] > 127)).mean() > 0.98
    # All of it stands whole under its name, with what it was made from and what it said.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["my car", "my car.log"]
    assert np.array_equal(read_picture(tmp_path / "out" / "my car" / "given.png"), truth.images[0])
    assert (tmp_path / "out" / "my car.log").read_text() == "done\n"
    # Read again it needs no command, and its content is known.
    again = open_method(f"syncdreamer:{tmp_path / 'out'}")
    assert all(np.array_equal(a, b) for a, b in zip(again.views("my car", truth), made, strict=True))
    assert method.content is not None
    assert again.content is not None
    assert again.content("my car", truth) == method.content("my car", truth)


def test_other_numbers_of_views_than_syncdreamer_has(car: Surface, tmp_path: Path) -> None:
    (tmp_path / "car").mkdir()
    grid(render(car, orbit(16, size=32)), columns=16).save(tmp_path / "car" / "0.png")
    method = open_method(f"syncdreamer:{tmp_path}")
    assert len(method.views("car", ViewSet(render(car, orbit(8, size=32)), orbit(8, size=32)))) == 7
    with pytest.raises(ViewmaskError, match="no view from azimuth 120"):
        method.views("car", ViewSet(render(car, orbit(3, size=32)), orbit(3, size=32)))


@pytest.mark.parametrize(
    ("name", "written", "background"), [("zero123plus", "output.png", 0.5), ("mvadapter", "output.png", 1.0)]
)
def test_views_from_elsewhere_are_only_reconstructed(
    name: str, written: str, background: float, car: Surface, truth: ViewSet, script: Path, tmp_path: Path
) -> None:
    layout = SHEETS[name]
    cameras = [camera.resized(160, 160) for camera in layout.cameras]
    grid(render(car, cameras), layout.columns, background).save(tmp_path / "made.png")
    method = started(name, tmp_path / "made.png", written, script, tmp_path / "out")
    assert not method.has_views
    with pytest.raises(ViewmaskError, match=f"{name}: its views .*no image columns"):
        method.views("car", truth)
    assert "no image columns" in method.notes[0]
    assert method.mesh is not None
    direct = reconstruct(ViewSet(render(car, cameras), cameras), texture=16)
    # Keyed edges lie a pixel elsewhere, which a network minds; cameras of another layout would cost far more.
    made, best = (volume_iou(car, mesh, 64) for mesh in (method.mesh("car", truth), direct))
    assert made is not None
    assert best is not None
    assert made > best - 0.1


def test_trellis_is_turned_to_the_given_view(car: Surface, truth: ViewSet, script: Path, tmp_path: Path) -> None:
    # Its own pose and scale: +Y up, turned by 200 degrees, half as large.
    angle = np.radians(200)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    file = (car.vertices @ turn.T) @ np.linalg.inv(GLTF_TO_WORLD[:3, :3]).T / 2
    colours = (np.repeat(car.colours.mean(axis=1), 3, axis=0) ** (1 / 2.2) * 255).astype(np.uint8)
    mesh = trimesh.Trimesh(
        file[car.faces].reshape(-1, 3), np.arange(car.faces.size).reshape(-1, 3), vertex_colors=colours, process=False
    )
    mesh.export(tmp_path / "made.glb")
    method = started("trellis", tmp_path / "made.glb", "sample.glb", script, tmp_path / "out")
    assert method.mesh is not None
    assert (volume_iou(car, method.mesh("car", truth), 64) or 0) > 0.9
    for picture, true in zip(method.views("car", truth), truth.images[1:], strict=True):
        assert ((picture[..., 3] > 127) == (true[..., 3] > 127)).mean() > 0.98


@pytest.mark.parametrize("textured", [False, True])
def test_instantmesh_plain_obj_is_mirrored_back(
    textured: bool, car: Surface, truth: ViewSet, script: Path, tmp_path: Path
) -> None:
    points = car.vertices * 1.9 * ([1, 1, 1] if textured else [1, 1, -1])
    lines = ["mtllib given.mtl"] if textured else []
    lines += ["v {:.6f} {:.6f} {:.6f}".format(*point) for point in points]
    lines += ["f {} {} {}".format(*face) for face in car.faces + 1]
    (tmp_path / "made.obj").write_text("\n".join(lines))
    written = "instant-mesh-large/meshes/given.obj"
    method = started("instantmesh", tmp_path / "made.obj", written, script, tmp_path / "out")
    assert method.mesh is not None
    mesh = method.mesh("car", truth)
    assert mesh.vertices == pytest.approx(car.vertices, abs=0.01)
    moved = ViewSet([truth.images[0]] * 2, [Camera.on_sphere(90, size=128)] * 2)
    assert method.mesh("car", moved).vertices[:, 1] == pytest.approx(car.vertices[:, 0], abs=0.01)


def test_what_is_absent_is_said_in_one_line(truth: ViewSet, tmp_path: Path) -> None:
    for name, system in SYSTEMS.items():
        with pytest.raises(ViewmaskError) as told:
            open_method(f"{name}:{tmp_path / 'nowhere'}")
        assert "\n" not in str(told.value)
        assert system.form in str(told.value)
        assert system.command in str(told.value)
    with pytest.raises(ViewmaskError, match=r"no output of trellis for car in .*sample.glb into .*car, or let it"):
        open_method(f"trellis:{tmp_path}").views("car", truth)
    with pytest.raises(ViewmaskError, match="must say where the picture and the output go"):
        open_method(f"trellis:{tmp_path}", command="python run.py")


def test_a_failing_command_leaves_nothing_half_made(truth: ViewSet, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    failing = "touch {out}/0.png; echo {image} >/dev/null; echo out of memory; exit 3"
    with pytest.raises(ViewmaskError, match=r"syncdreamer failed on car with exit code 3: out of memory \(all of it: "):
        open_method(f"syncdreamer:{folder}", command=failing).views("car", truth)
    assert [path.name for path in folder.iterdir()] == ["car.log"]
    with pytest.raises(ViewmaskError, match="ended well on car but wrote no a strip of 16"):
        open_method(f"syncdreamer:{folder}", command="true {image} {out}").views("car", truth)
    (folder / "car").mkdir()
    Image.new("RGB", (100, 60)).save(folder / "car" / "0.png")
    with pytest.raises(ViewmaskError, match="is not a strip of 16 views"):
        open_method(f"syncdreamer:{folder}").views("car", truth)


def test_the_seed_reaches_the_command(truth: ViewSet, tmp_path: Path) -> None:
    command = "echo {seed} {id} > {out}/0.png; test -s {image}"
    method = open_method(f"syncdreamer:{tmp_path}", seed=7, command=command)
    with pytest.raises(ViewmaskError, match="no picture that can be read"):
        method.views("my car", truth)
    assert (tmp_path / "my car" / "0.png").read_text() == "7 my car\n"
    assert method.about["seed"] == 7
