"""Faults: what crashes, hangs or swells costs its object alone; what is killed goes on; nothing is rendered twice."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from render import blender, demo
from render.run import MANIFEST, render_orbits
from render.settings import Limits, Settings
from render.status import Status
from render.workers import Workers
from tests.render.deadly import Deadly
from viewmask.errors import ViewmaskError
from viewmask.views.camera import orbit
from viewmask.views.viewset import ViewSet

ROOT = Path(__file__).parents[2]
SMALL = Settings(views=2, size=16)
with_blender = pytest.mark.skipif(not blender.available(), reason="bpy or BlenderProc is absent (extra `blender`)")
needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mesh")
    demo.write(folder, ["chair"])
    return folder / "chair.glb"


def objects(mesh, log, **does):
    return [Deadly(name, mesh, about={"does": what, "log": str(log)}) for name, what in does.items()]


def read(log):
    return log.read_text().split()


def whole(out, names):
    """Every object is complete or recorded as failed, and nothing else lies about."""
    lines = [json.loads(line) for line in (out / MANIFEST).read_text().splitlines()]
    records = {record["id"]: record for record in lines}
    assert set(records) == set(names)
    for name, record in records.items():
        if record["status"] == "ok":
            assert len(ViewSet.load(out / name)) == record["views"]
        else:
            assert record["reason"]
            assert not (out / name).exists()
    assert not [path.name for path in out.iterdir() if path.name.startswith(".")]
    return records


def test_what_crashes_hangs_or_swells_costs_its_object_alone(mesh, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    sources = objects(
        mesh, log, a="nothing", bomb="crash", b="nothing", sleeper="hang", c="nothing", hog="swell", d="nothing"
    )
    render_orbits(sources, out, SMALL, workers=2, limits=Limits(seconds=6, mebibytes=600))
    records = whole(out, [source.id for source in sources])
    assert {name for name, record in records.items() if record["status"] == "ok"} == {"a", "b", "c", "d"}
    assert "died (SIGSEGV" in records["bomb"]["reason"]
    assert "the last words" in records["bomb"]["stderr"]
    assert records["sleeper"]["reason"] == "took longer than 6 s"
    assert "MiB of memory, more than 600" in records["hog"]["reason"]
    assert sorted(read(log)) == sorted(source.id for source in sources)
    before = len(read(log))
    render_orbits(sources, out, SMALL, workers=2)  # failed ones are not tried again
    assert len(read(log)) == before
    state = Status.read(out)
    assert (state.done, sum(state.failed.values()), state.left, state.running) == (4, 3, 0, False)
    assert "took longer than … s" in state.failed


def test_a_failed_object_is_tried_again_when_asked(mesh, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    (tmp_path / "late.glb").write_bytes(b"rubbish")
    sources = [*objects(mesh, log, a="nothing"), *objects(tmp_path / "late.glb", log, late="nothing")]
    assert [record["status"] for record in render_orbits(sources, out, SMALL)] == ["ok", "failed"]
    (tmp_path / "late.glb").write_bytes(mesh.read_bytes())
    assert [record["status"] for record in render_orbits(sources, out, SMALL, retry=True)] == ["ok", "ok"]
    assert read(log) == ["a", "late", "late"]


def test_a_worker_is_replaced_after_so_many_objects(mesh, tmp_path):
    with Workers(_pid, _nothing, 1, Limits(jobs=2)) as workers:
        pids = [record["pid"] for _, record in workers.run([1, 2, 3, 4, 5])]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


@needs_proc
def test_a_worker_that_has_grown_is_replaced_after_its_object():
    with Workers(_grow, _nothing, 1, Limits(mebibytes=800)) as workers:  # more than half of that, and it goes
        records = [record for _, record in workers.run([0, 500, 0, "child", 0])]
    assert not [record for record in records if "lost" in record]
    pids = [record["pid"] for record in records]
    assert pids[0] == pids[1] != pids[2] == pids[3] != pids[4]


def test_a_worker_that_cannot_start_ends_the_run(tmp_path):
    with (
        Workers(_pid, _fails, 1, Limits()) as workers,
        pytest.raises(ViewmaskError, match=r"could not start: .*no engine"),
    ):
        list(workers.run([1]))


def _pid(job):
    return {"pid": os.getpid()}


def _grow(job):
    """Keep so many MiB; or start a child that does, as Blender is one."""
    if job == "child":
        program = "held = b'x' * 500 * 2**20; print(len(held), flush=True); import time; time.sleep(60)"
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        _held.append(child)
    else:
        _held.append(b"x" * job * 2**20)
    return {"pid": os.getpid()}


_held: list[object] = []


def _nothing():
    pass


def _fails():
    raise RuntimeError("no engine")


RUN = """
    import signal
    import sys
    from pathlib import Path
    from render.run import render_orbits
    from render.settings import Settings
    from tests.render.deadly import Deadly

    if __name__ == "__main__":
        # A shell that starts the tests in the background has Ctrl-C ignored in all that comes after it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        mesh, log, out = map(Path, sys.argv[1:])
        sources = [Deadly(f"o{i}", mesh, about={"does": "wait", "log": str(log)}) for i in range(24)]
        render_orbits(sources, out, Settings(views=2, size=16), workers=2)
"""


@pytest.fixture
def run(mesh, tmp_path):
    """Start a run of 24 slow objects in a process of its own, and wait until some are done."""
    program, log, out = tmp_path / "program.py", tmp_path / "log", tmp_path / "out"
    program.write_text(textwrap.dedent(RUN))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def begin():
        child = subprocess.Popen([sys.executable, program, mesh, log, out], cwd=ROOT, env=environment, stderr=-3)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if (out / MANIFEST).exists() and len((out / MANIFEST).read_text().splitlines()) >= 2:
                return child
            time.sleep(0.02)
        raise AssertionError("no progress")

    return begin, log, out


def workers_of(pid):
    """Processes that the run has started."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pids):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.05)
    return False


@needs_proc
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_or_interrupted_takes_its_workers_along_and_goes_on(run, blow):
    begin, log, out = run
    child = begin()
    workers = workers_of(child.pid)
    assert len(workers) >= 2
    assert Status.read(out).running
    with pytest.raises(ViewmaskError, match="another run is writing"):
        render_orbits(objects(out, log, a="nothing"), out, SMALL)
    child.send_signal(blow)
    assert child.wait(20) != 0
    assert gone(workers)
    state = Status.read(out)
    assert not state.running
    assert 0 < state.left < 24
    done = {path.parent.name: path.stat().st_mtime_ns for path in out.glob("[!.]*/transforms.json")}
    begin().wait(60)
    whole(out, [f"o{number}" for number in range(24)])
    for name, when in done.items():
        assert (out / name / "transforms.json").stat().st_mtime_ns == when  # not rendered twice


@needs_proc
def test_a_killed_worker_costs_what_it_held_and_the_rest_is_done(run):
    begin, _, out = run
    child = begin()
    for pid in workers_of(child.pid):
        if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)
            break
    assert child.wait(60) == 0
    records = whole(out, [f"o{number}" for number in range(24)])
    failed = [record for record in records.values() if record["status"] == "failed"]
    assert len(failed) <= 1  # none, if it was between two objects
    assert all("SIGKILL" in record["reason"] for record in failed)


def test_a_full_disk_stops_the_run_and_lays_nothing_on_the_objects(mesh, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("may not mount a small disk here")
    try:
        sources = objects(mesh, tmp_path / "log", **{f"o{number}": "nothing" for number in range(6)})
        (disk / "ballast").write_bytes(bytes(9 * 2**20 - 96 * 2**10))
        for workers in (1, 2):
            with pytest.raises(ViewmaskError, match=r"No space left|is full"):
                render_orbits(sources, disk / "out", Settings(views=4), workers=workers)
        lines = [json.loads(line) for line in (disk / "out" / MANIFEST).read_text().splitlines()]
        assert all(record["status"] == "ok" for record in lines)
        (disk / "ballast").unlink()
        render_orbits(sources, disk / "out", Settings(views=4))
        whole(disk / "out", [source.id for source in sources])
    finally:
        subprocess.run(["umount", disk], check=True)


@with_blender
def test_a_mesh_that_crashes_blender_costs_itself_and_its_last_words_are_kept(mesh, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"
    sources = objects(mesh, log, a="nothing", bomb="break blender", b="nothing")
    sources[1].about["cameras"] = orbit(1, size=16)
    render_orbits(sources, out, replace(SMALL, engine="blender"))
    records = whole(out, ["a", "bomb", "b"])
    assert [records[name]["status"] for name in ("a", "bomb", "b")] == ["ok", "failed", "ok"]
    assert "Blender died (SIG" in records["bomb"]["reason"]
    assert "Fatal Python error" in records["bomb"]["stderr"]


@with_blender
def test_blender_s_time_limit_ends_blender_too(mesh, tmp_path):
    out = tmp_path / "out"
    sources = objects(mesh, tmp_path / "log", a="nothing")
    settings = Settings(views=1, size=4096, engine="blender", spp=4096)
    (record,) = render_orbits(sources, out, settings, limits=Limits(seconds=4))
    assert record["reason"] == "took longer than 4 s"
    assert not [path for path in Path("/proc").glob("[0-9]*") if _is_blender(path)]


def _is_blender(process):
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        return b"blender_script.py" in words[1] and int(words[4]) != os.getpid()
    except (OSError, IndexError, ValueError):
        return False


@needs_proc
def test_limits_hold_for_few_objects_and_one_worker(mesh, tmp_path):
    sources = objects(mesh, tmp_path / "log", a="nothing", bomb="crash", sleeper="hang", hog="swell")
    render_orbits(sources, tmp_path / "out", SMALL, workers=1, limits=Limits(seconds=6, mebibytes=600))
    records = whole(tmp_path / "out", [source.id for source in sources])
    assert [name for name, record in records.items() if record["status"] == "ok"] == ["a"]


def test_a_worker_keeps_the_ceiling_of_its_limits(tmp_path):
    with (tmp_path / "a.ply").open("wb") as file:
        file.truncate(2**30)  # takes no room on the disk
    (record,) = render_orbits(tmp_path / "a.ply", tmp_path / "out", SMALL, limits=Limits(mebibytes=700))
    assert "claims 1,024 MiB of memory, and an object may take 700" in record["reason"]
    assert Limits().mebibytes == 2048


def test_a_script_needs_no_guard_for_its_main_part(mesh, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"from render.run import render_orbits\nfrom render.settings import Settings\n"
        f"print(render_orbits({str(mesh)!r}, {str(tmp_path / 'out')!r}, Settings(views=1, size=16))[0]['status'])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=300)
    assert result.stdout == "ok\n"
