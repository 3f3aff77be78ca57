"""Jobs: in this process or in several, with the same outcome; a failure and a crash cost one input."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.viewmask_cli.test_batch import rows
from tests.viewmask_cli.test_generate import contents
from tests.viewmask_cli.writer import Writer
from viewmask.errors import ViewmaskError
from viewmask.files.record import json_text
from viewmask_cli.jobs import Attempt, Job, Made, attempts
from viewmask_cli.render import render

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has one process")
ROOT = Path(__file__).parents[2]


def outcomes(folder: Path, names: list[str], processes: int) -> dict[str, Attempt]:
    jobs = [Job(index, f"input {name}", name) for index, name in enumerate(names)]
    return {job.name: attempt for job, attempt in attempts(Writer(folder), jobs, len(jobs), processes)}


@pytest.mark.parametrize("processes", [1, 2])
def test_each_is_tried_and_a_failure_is_its_own(tmp_path, capsys, processes):
    done = outcomes(tmp_path, ["a", "bad", "b"], processes)
    assert set(done) == {"a", "bad", "b"}
    assert (done["bad"].made, done["bad"].error) == (None, "it is bad")
    for index, name in ((0, "a"), (2, "b")):
        assert done[name].made == Made(name, [tmp_path / name], ["a note"], {"index": index})
        assert done[name].seconds > 0
    assert "[3/3] input b\n" in capsys.readouterr().err


def test_processes_prepare_themselves_share_the_cores_and_tell_what_they_know(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    outcomes(tmp_path, ["a", "b"], 2)
    assert (tmp_path / "prepared").exists()
    assert (tmp_path / "a").read_text() == "0 a 3"
    said = capsys.readouterr().err
    assert "2 processes, threads of each: 3\n" in said
    assert said.count("a note\n") == 2
    assert os.environ["OMP_NUM_THREADS"] == "6"


def test_a_crash_costs_one_input(tmp_path):
    done = outcomes(tmp_path, ["a", "worse", "b", "c"], 2)
    assert [name for name in done if done[name].made is None] == ["worse"]
    assert "the process that made it died (SIGABRT)" in done["worse"].error


def views() -> list[Path]:
    """Three small sets of views, and a folder without."""
    render(views=4, size=32)
    made = next(Path("views").glob("*/transforms.json")).parent
    for name in ("x", "y", "z"):
        made.parent.joinpath(name).mkdir()
        for file in made.iterdir():
            (made.parent / name / file.name).write_bytes(file.read_bytes())
    Path("bare").mkdir()
    return [*(made.parent / name for name in ("z", "x")), Path("bare"), made.parent / "y"]


QUICK = ("--faces", 200, "--texture", 64, "--resolution", 24, "--method", "hull")


def test_a_batch_of_two_processes_gives_the_bytes_of_one(shell, monkeypatch, capsys):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    folders = views()
    capsys.readouterr()
    for jobs in (1, 2):
        assert shell("reconstruct", *folders, *QUICK, "--out", f"of-{jobs}", "--jobs", jobs).code == 1
    one, two = contents("of-1"), contents("of-2")
    assert one.pop("seconds.jsonl")
    assert two.pop("seconds.jsonl")
    assert one == two
    assert [row["id"] for row in rows("of-2")] == [str(folder) for folder in folders]
    shell("reconstruct", folders[3], folders[0], *QUICK, "--out", "of-2", "--jobs", 2)
    # Inputs that are not named this time stand behind.
    assert [row["name"] for row in rows("of-2")] == ["y", "z", "x"]


def test_sentences_are_drawn_alike_in_two_processes(shell, monkeypatch):
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        Path("prompts.txt").write_text("a red chair\na jug\n")
        for jobs in (1, 2):
            words = ("--text-file", "prompts.txt", "--steps", 2, "--draws", 1, "--out", f"of-{jobs}", "--jobs", jobs)
            done = shell("generate", *words)
            assert done.code == 0, done.err
    finally:
        torch.set_num_threads(threads)
    one, two = contents("of-1"), contents("of-2")
    assert one.pop("seconds.jsonl")
    assert two.pop("seconds.jsonl")
    assert one == two


def test_ctrl_c_ends_all_and_the_same_command_goes_on(shell, capsys):
    folders = views()
    capsys.readouterr()
    many = [folders[0]]
    for number in range(15):
        many.append(Path(f"views/{number}"))
        many[-1].symlink_to(folders[0].resolve())
    words = [str(word) for word in ("reconstruct", *many, *QUICK, "--jobs", 2)]
    program = "from viewmask_cli.main import run; run()"
    run = subprocess.Popen(
        [sys.executable, "-c", program, *words], env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE
    )
    results = Path("meshes/results.jsonl")
    deadline = time.monotonic() + 120
    while not (results.exists() and rows("meshes")) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    while left := [
        pid for pid in workers if Path(f"/proc/{pid}").exists()
    ]:  # multiprocessing's own ends a little later
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
    before = rows("meshes")
    assert 0 < len(before) < len(many)
    assert not list(Path("meshes").rglob(".*"))
    assert shell("reconstruct", *many, *QUICK, "--jobs", 2).code == 0
    after = rows("meshes")
    assert [row["id"] for row in after] == [str(path) for path in many]
    assert all(row in after for row in before)


def test_a_batch_that_is_being_written_is_left_alone(shell, tmp_path):
    from viewmask_cli.batch import Batch

    first = Batch(tmp_path / "b", "generate", {"seed": 0})
    with pytest.raises(ViewmaskError, match="another batch is writing into"):
        Batch(tmp_path / "b", "generate", {"seed": 0})
    first.run([], Writer(tmp_path))
    Batch(tmp_path / "b", "generate", {"seed": 0})


def test_what_a_killed_process_left_is_removed(shell, tmp_path):
    from viewmask_cli.batch import Batch

    folder = tmp_path / "b"
    Batch(folder, "generate", {}).run([], Writer(tmp_path))
    (folder / "a").mkdir()
    for name in (".a-old-0123abcd", ".notes", "a/.mesh-0123abcd.glb"):
        (folder / name).write_text("")
    (folder / ".a-0123abcd").mkdir()
    (folder / ".other-0123abcd").mkdir()
    (tmp_path / "made").mkdir()
    assert Batch(folder, "generate", {}).run(["a"], Writer(tmp_path / "made"))[0]["name"] == "a"
    assert {path.name for path in folder.rglob(".*")} == {".notes", ".other-0123abcd"}
    assert json_text(rows(folder)[0]).startswith('{"id":')
