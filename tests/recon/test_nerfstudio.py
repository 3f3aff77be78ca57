"""Nerfstudio itself is run where $VIEWMASK_NERFSTUDIO names the Python of its environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import trimesh

from recon import meshing, nerfstudio
from recon.reconstructor import reconstruct
from tests.recon.conftest import bar, views_of
from viewmask.errors import ViewmaskError
from viewmask.views.camera import Camera
from viewmask.views.viewset import ViewSet

needs_nerfstudio = pytest.mark.skipif(
    not os.environ.get("VIEWMASK_NERFSTUDIO"), reason="needs nerfstudio: $VIEWMASK_NERFSTUDIO names its Python"
)
TURN = np.array([[0.0, -1, 0, 0.3], [1, 0, 0, -2], [0, 0, 1, 5], [0, 0, 0, 1]])


@needs_nerfstudio
def test_nerfacto_finds_the_bar_where_it_is():
    told = []
    mesh = reconstruct(
        views_of(bar, 8, 48), "nerfacto", steps=60, resolution=32, texture=64,
        progress=lambda step, share: told.append(step),
    )  # fmt: skip
    assert mesh.summary()["watertight"]
    assert "training nerfacto, step 59 of 60" in told
    low, high = mesh.geometry().bounds
    np.testing.assert_allclose(low, [-0.15, -0.4, -0.3], atol=0.15)
    np.testing.assert_allclose(high, [0.1, 0.3, 0.05], atol=0.15)


@needs_nerfstudio
def test_what_cannot_be_had_is_one_line(bar_views):
    if not nerfstudio.find().cuda:
        with pytest.raises(ViewmaskError, match="splatfacto needs an NVIDIA GPU"):
            nerfstudio.volume(bar_views, "splatfacto")
    with pytest.raises(
        ViewmaskError, match=r"no method 'nosuch': choose field or hull, or one of nerfstudio .*nerfacto"
    ):
        nerfstudio.volume(bar_views, "nosuch")
    with pytest.raises(ViewmaskError, match="took longer than 5 s"):
        nerfstudio.volume(bar_views, "nerfacto", time_limit=5)


def test_absent_or_broken(bar_views, tmp_path, monkeypatch):
    monkeypatch.delenv("VIEWMASK_NERFSTUDIO", raising=False)
    monkeypatch.setattr(nerfstudio.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ViewmaskError, match=r"choose field or hull; .*torch==2.13.0 nerfstudio"):
        reconstruct(bar_views, "nerfacto")
    with pytest.raises(ViewmaskError, match="is no Python"):
        reconstruct(bar_views, "nerfacto", nerfstudio=tmp_path / "python")
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'ImportError: no such thing'\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(ViewmaskError, match="ImportError: no such thing"):
        reconstruct(bar_views, "nerfacto", nerfstudio=broken)
    broken.write_text("#!/bin/sh\nsleep 60\n")
    monkeypatch.setattr(nerfstudio, "_START", 1)
    with pytest.raises(ViewmaskError, match="did not start within 1 s"):
        reconstruct(bar_views, "nerfacto", nerfstudio=broken)


def test_the_world_comes_back(tmp_path, bar_views):
    """A world elsewhere and of another size, and a nerfstudio that turned, moved and scaled what it got."""
    far = [
        Camera(c.width, c.height, c.fl_x, c.fl_y, c.cx, c.cy, _moved(c.camera_to_world, 20, [100, -50, 7]))
        for c in bar_views.cameras
    ]
    to_box = nerfstudio.write_views(ViewSet(bar_views.images, far), tmp_path / "views")
    sent = ViewSet.load(tmp_path / "views")
    pixels, _ = far[1].project(np.array([101.0, -49, 8]))
    there = to_box @ [101, -49, 8, 1]
    assert np.abs(there[:3]).max() < 1
    np.testing.assert_allclose(sent.cameras[1].project(there[:3])[0], pixels)
    parsed = {"transform": TURN[:3].tolist(), "scale": 0.7}
    shape = trimesh.creation.box(bounds=[[98, -51, 5], [104, -45, 9]]).subdivide().subdivide()
    shape.apply_transform(nerfstudio.normalisation(parsed) @ to_box)
    shape.invert()  # as nerfstudio's TSDF meshes are
    shape.export(tmp_path / "mesh.ply")
    back = np.linalg.inv(nerfstudio.normalisation(json.loads(json.dumps(parsed))) @ to_box)
    mesh = meshing.surface(*nerfstudio.mesh_field(tmp_path / "mesh.ply", back, 32))
    np.testing.assert_allclose(mesh.bounds, [[98, -51, 5], [104, -45, 9]], atol=0.15)


def test_splats_become_a_closed_surface(tmp_path):
    """Gaussians on a sphere, flat and turned along it: what they enclose is inside."""
    normals = trimesh.creation.icosphere(4).vertices
    from scipy.spatial.transform import Rotation

    turns = np.array([Rotation.align_vectors([n], [[0, 0, 1]])[0].as_quat() for n in normals])[:, [3, 0, 1, 2]]
    columns = {"x": 0.4 * normals[:, 0], "y": 0.4 * normals[:, 1], "z": 0.4 * normals[:, 2]}
    columns |= {"opacity": np.full(len(normals), 4.0)}
    columns |= {f"scale_{i}": np.full(len(normals), np.log((0.02, 0.02, 0.004)[i])) for i in range(3)}
    columns |= {f"rot_{i}": turns[:, i] for i in range(4)}
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(normals)}"]
    header += [f"property float {name}" for name in columns] + ["end_header", ""]
    body = np.stack([*columns.values()], 1).astype("<f4").tobytes()
    (tmp_path / "splat.ply").write_bytes("\n".join(header).encode() + body)
    mesh = meshing.surface(*nerfstudio.splat_field(tmp_path / "splat.ply", np.diag([2.0, 2, 2, 1]), 40))
    assert meshing.is_closed(mesh)
    assert np.linalg.norm(mesh.vertices, axis=1).mean() == pytest.approx(0.8, abs=0.06)


def test_children_die_with_their_parent(tmp_path):
    """A child that started a child of its own, both gone when the reader stops."""
    inner = f"import time, pathlib; pathlib.Path({str(tmp_path / 'alive')!r}).write_text('x'); time.sleep(60)"
    outer = f"import subprocess, sys; print('@step 0', flush=True); subprocess.run([sys.executable, '-c', {inner!r}])"
    lines = nerfstudio._lines([sys.executable, "-c", outer], 60, [])
    assert next(lines) == "@step 0"
    end = time.monotonic() + 20
    while not (tmp_path / "alive").exists() and time.monotonic() < end:
        time.sleep(0.05)
    lines.close()
    time.sleep(0.2)
    assert str(tmp_path) not in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout


def _moved(pose, scale, shift):
    moved = pose.copy()
    moved[:3, 3] = scale * pose[:3, 3] + shift
    return moved
