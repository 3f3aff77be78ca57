"""A Ray cluster of two local nodes, one of them killed in the middle: every object is there, once."""

import importlib.util
import json
import time

import pytest

from render import demo, ray_cluster
from render.run import MANIFEST, render_orbits
from render.settings import Settings
from tests.render.deadly import Deadly
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import ViewSet

SMALL = Settings(views=2, size=16)
with_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is absent (extra `ray`)")


def test_without_ray_one_line_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    mesh = demo.write(tmp_path / "in", ["mug"])
    with pytest.raises(ViewmaskError, match="ray is not installed: pip install ray"):
        render_orbits(mesh, tmp_path / "out", ray="auto")
    assert ray_cluster.INSTALL


@with_ray
def test_a_node_that_is_lost_in_the_middle_costs_nothing(tmp_path):
    import ray
    from ray.cluster_utils import Cluster

    demo.write(tmp_path / "in", ["chair"])
    log, out = tmp_path / "log", tmp_path / "out"
    log.touch()
    does = {"bomb": "crash"}
    names = [*(f"o{number:02d}" for number in range(14)), "bomb"]
    sources = [
        Deadly(name, tmp_path / "in" / "chair.glb", about={"does": does.get(name, "wait"), "log": str(log)})
        for name in names
    ]
    size = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    nodes = Cluster(initialize_head=True, head_node_args=size | {"include_dashboard": False})
    try:
        lost = nodes.add_node(**size)
        nodes.wait_for_nodes()

        def progress(done, total):
            if done == 5:
                assert _nodes(ray) == 2
                nodes.remove_node(lost, allow_graceful=False)

        records = render_orbits(sources, out, SMALL, ray=nodes.address, progress=progress)
    finally:
        ray.shutdown()
        nodes.shutdown()
    assert {record["id"]: record["status"] for record in records} == {
        name: "failed" if name == "bomb" else "ok" for name in names
    }
    assert "died (SIGSEGV" in records[-1]["reason"]
    lines = [json.loads(line)["id"] for line in (out / MANIFEST).read_text().splitlines()]
    assert sorted(lines) == sorted(names)  # each recorded once
    local = render_orbits(sources[:1], tmp_path / "local", SMALL)
    assert local[0]["status"] == "ok"
    for file in sorted((tmp_path / "local" / "o00").iterdir()):
        assert (out / "o00" / file.name).read_bytes() == file.read_bytes()
    assert all(len(ViewSet.load(out / name)) == 2 for name in names if name != "bomb")
    begun = len(log.read_text().split())
    again = render_orbits(sources, out, SMALL)  # what a cluster did, one machine takes over
    assert [record["status"] for record in again] == [record["status"] for record in records]
    assert len(log.read_text().split()) == begun


def _nodes(ray):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        alive = sum(node["Alive"] for node in ray.nodes())
        if alive == 2:
            return 2
        time.sleep(0.1)
    return alive


@with_ray
def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    mesh = demo.write(tmp_path / "in", ["mug"])
    with pytest.raises(ViewmaskError, match="cannot reach a Ray cluster at auto"):
        render_orbits(mesh, tmp_path / "out", ray="auto")
