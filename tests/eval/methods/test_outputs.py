"""Another system's folders: views matched by their cameras, meshes read as they lie, and what is missing named."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eval import measure
from eval.benches import open_bench
from eval.measure import run
from eval.methods import open_method
from eval.methods.outputs import matched
from eval.scoring import Scoring
from recon.mesh import TexturedMesh
from render.demo import demo_objects
from render.raycast import render
from render.surface import Surface
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera, orbit
from viewmask.views.viewset import ViewSet


def numbered(cameras: list[Camera], **extra: object) -> ViewSet:
    """Pictures that tell which camera took them."""
    return ViewSet([np.full((c.height, c.width, 4), i + 1, np.uint8) for i, c in enumerate(cameras)], cameras, extra)


def numbers(pictures: list[np.ndarray]) -> list[int]:
    return [int(picture[0, 0, 0]) - 1 for picture in pictures]


@pytest.fixture
def truth() -> ViewSet:
    return numbered(orbit(4, size=32))


@pytest.fixture(scope="module")
def chair() -> Surface:
    return next(iter(demo_objects().values())).surface()


def test_views_are_found_by_their_cameras_not_by_their_order(truth: ViewSet, tmp_path: Path) -> None:
    cameras = orbit(16, size=64)[::-1]  # more of them, larger, and in another order
    numbered(cameras).save(tmp_path / "mario")
    method = open_method(f"views:{tmp_path}")
    made = method.views("mario", truth)
    assert [cameras[i].azimuth for i in numbers(made)] == pytest.approx([90, 180, 270])
    assert made[0].shape == (64, 64, 4)
    assert method.has_views
    assert method.mesh is None


def test_the_given_view_may_stand_elsewhere(truth: ViewSet) -> None:
    made = numbered(orbit(8, size=32), given_azimuth=45)
    assert [made.cameras[i].azimuth for i in numbers(matched(made, truth, "it"))] == pytest.approx([135, 225, 315])
    moved = replace(truth, cameras=orbit(4, size=32, start=45))
    plain = numbered(orbit(8, size=32))
    assert [plain.cameras[i].azimuth for i in numbers(matched(plain, moved, "it"))] == pytest.approx([90, 180, 270])


@pytest.mark.parametrize(
    ("cameras", "words"),
    [
        (orbit(4, elevation=20, size=32), "elevation 20"),
        (orbit(4, start=5, size=32), "azimuth 95"),
        (orbit(4, distance=2, size=32), "distance 2"),
        (orbit(4, distance=2, fov=37.8, size=32), "field of view 37.8"),  # same size, another perspective
    ],
)
def test_other_cameras_are_not_scored(cameras: list[Camera], words: str, truth: ViewSet) -> None:
    with pytest.raises(ViewmaskError, match=f"no view from azimuth 90, elevation 30 .*nearest is from .*{words}"):
        matched(numbered(cameras), truth, "it")


def test_what_cannot_be_matched_is_said(truth: ViewSet) -> None:
    with pytest.raises(ViewmaskError, match="it: given_azimuth is 'north', not degrees"):
        matched(numbered(orbit(4, size=32), given_azimuth="north"), truth, "it")
    wide = [replace(camera, width=48) for camera in orbit(4, size=32)]
    with pytest.raises(ViewmaskError, match="it has pictures of 48 x 32: the bench's are square"):
        matched(numbered(wide), truth, "it")


def test_nearly_the_same_camera_is(truth: ViewSet) -> None:
    cameras = orbit(4, elevation=30.5, distance=1.51, fov=49, start=0.5, size=32)
    assert numbers(matched(numbered(cameras), truth, "it")) == [1, 2, 3]


def test_what_is_missing_is_named(truth: ViewSet, tmp_path: Path) -> None:
    numbered(orbit(2, size=32)).save(tmp_path / "mario")
    method = open_method(f"views:{tmp_path}")
    with pytest.raises(ViewmaskError, match=r"no views of luigi in .*transforms.json into .*luigi"):
        method.views("luigi", truth)
    with pytest.raises(ViewmaskError, match="mario has no view from azimuth 90"):
        method.views("mario", truth)
    with pytest.raises(ViewmaskError, match="no folder"):
        open_method(f"views:{tmp_path / 'nothing'}")
    with pytest.raises(ViewmaskError, match="Write views:DIR"):
        open_method("views")


def test_content_tells_outputs_apart(truth: ViewSet, tmp_path: Path) -> None:
    views = numbered(orbit(4, size=32))
    for name in ("a", "b", "c"):
        views.save(tmp_path / name)
    record = json.loads((tmp_path / "c" / "transforms.json").read_text())
    (tmp_path / "c" / "transforms.json").write_text(json.dumps(record | {"given_azimuth": 90}))
    method = open_method(f"views:{tmp_path}")
    assert method.content is not None
    a, b, c = (method.content(name, truth) for name in "abc")
    assert a == b != c


def test_an_objs_texture_counts_as_its_content(chair: Surface, truth: ViewSet, tmp_path: Path) -> None:
    write(chair, tmp_path / "one.obj")
    write(chair, tmp_path / "two" / "mesh.obj")
    method = open_method(f"meshes:{tmp_path}")
    assert method.content is not None
    before = [method.content(name, truth) for name in ("one", "two")]
    (tmp_path / "one.png").write_bytes(b"other colours")
    assert method.content("one", truth) != before[0]
    assert method.content("two", truth) == before[1]
    (tmp_path / "two" / "texture.png").write_bytes(b"other colours")
    assert method.content("two", truth) != before[1]


def test_through_the_bench_they_score_as_the_same_pictures_made_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measure, "_lpips", lambda net, weights: (None, []))
    bench = open_bench("demo", limit=2)
    for subject in bench.subjects:
        truth = subject.views(4)
        made = open_method("mirror").views(subject.id, truth)
        ViewSet([truth.images[0], *made], truth.cameras).save(tmp_path / "theirs" / subject.id)
    result = run(bench, f"views:{tmp_path / 'theirs'}", Scoring(meshes=False))
    assert result.method == "views:theirs"
    assert result.means == result.beside["mirror"]


def write(surface: Surface, path: Path, scale: float = 1.0) -> None:
    mesh = TexturedMesh(
        surface.vertices.astype(np.float64) * scale, surface.faces.astype(np.int64),
        np.zeros((surface.faces.size, 2)), np.arange(surface.faces.size).reshape(-1, 3),
        np.full((16, 16, 3), 200, np.uint8),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    mesh.save(path)


def test_meshes_lie_in_the_world_and_are_rendered(chair: Surface, tmp_path: Path) -> None:
    write(chair, tmp_path / "one.glb")
    write(chair, tmp_path / "two" / "mesh.ply")
    truth = ViewSet(render(chair, orbit(4, size=48)), orbit(4, size=48))
    method = open_method(f"meshes:{tmp_path}")
    assert method.mesh is not None
    for name in ("one", "two"):
        mesh = method.mesh(name, truth)
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert low == pytest.approx(chair.vertices.min(axis=0), abs=1e-5)
        assert high == pytest.approx(chair.vertices.max(axis=0), abs=1e-5)
        for made, true in zip(method.views(name, truth), truth.images[1:], strict=True):
            assert np.array_equal(made[..., 3] > 127, true[..., 3] > 127)
    assert "base colour" in method.notes[0]
    with pytest.raises(ViewmaskError, match=r"no mesh of three in .*three.glb"):
        method.mesh("three", truth)


def test_meshes_of_another_scale_are_refused(chair: Surface, tmp_path: Path) -> None:
    write(chair, tmp_path / "one.glb", scale=2)
    with pytest.raises(ViewmaskError, match=r"are 2 long .* scale them first"):
        open_method(f"meshes:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ViewmaskError, match="no meshes in"):
        open_method(f"meshes:{tmp_path / 'empty'}")
