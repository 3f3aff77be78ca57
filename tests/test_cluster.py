"""docs/cluster.md: each of its commands runs, with two processes on this machine in place of a cluster."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.viewmask.train.parquet import write_tokens
from viewmask.learning import checkpoint

pytest.importorskip("accelerate")

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "cluster.md").read_text()
BIN = Path(sys.executable).parent
MORE = "--steps 2 --batch 2"  # the smallest run


def block(kind: str, number: int = 0) -> str:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.S)[number]


def reached(out: Path) -> tuple[int, int, bool]:
    """Steps of a run, the processes that it had, and whether they shared the weights."""
    record = checkpoint.load_training(out / "checkpoint")[1]
    return record["step"], record["processes"], record["sharded"]


@pytest.fixture
def run(tmp_path):
    """A shell beside a file of tokens, with stand-ins of SLURM's programs, in which a command is run."""
    write_tokens(tmp_path / "tokens.parquet")
    stubs = tmp_path / "bin"
    stubs.mkdir()
    for name, text in {"srun": 'shift\nexec "$@"', "scontrol": "echo 127.0.0.1\necho other"}.items():
        (stubs / name).write_text(f"#!/bin/bash\n{text}\n")
        (stubs / name).chmod(0o755)
    path = f"{stubs}:{BIN}:{os.environ['PATH']}"
    here = {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DATA": "tokens.parquet", "MORE": MORE}

    def shell(command: str, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=os.environ | here | more, capture_output=True, text=True,
            timeout=600,
        )  # fmt: skip

    shell.folder = tmp_path
    return shell


def test_the_commands_of_one_machine(run):
    first, second = re.findall(r"^\$ (.*)$", block("console"), re.M)
    done = run(f"{first} {MORE}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("weights") == 1  # one process speaks
    assert done.stderr.count("training on 2 processes (DDP)") == 1
    done = run(f"{second} --steps 3 --batch 2")
    assert done.returncode == 0, done.stderr
    assert reached(run.folder / "runs" / "t2mv") == (3, 2, False)


def test_weights_are_shared_by_the_configuration(run):
    (run.folder / "fsdp2.yaml").write_text(block("yaml"))
    (command,) = re.findall(r"^\$ (accelerate launch --config_file .*)$", PAGE, re.M)
    done = run(f"{command.replace('launch', 'launch --num_processes 2')} {MORE}")
    assert done.returncode == 0, done.stderr
    assert reached(run.folder / "runs" / "large") == (2, 2, True)
    assert checkpoint.about(run.folder / "runs" / "large" / "weights")["schedule"]["precision"] == "bfloat16"


def test_the_slurm_script(run):
    names = {"SLURM_JOB_NODELIST": "node[0-1]", "SLURM_NNODES": "1", "SLURM_GPUS_ON_NODE": "2", "SLURM_JOB_ID": "7"}
    script = block("bash").replace(":29500", ":0")  # any port that is free
    done = run(script, OUT="run", **names)
    assert done.returncode == 0, done.stderr
    assert reached(run.folder / "run") == (2, 2, False)


def test_the_kubernetes_job(run):
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all(block("yaml", 1))
    assert service["metadata"]["name"] == job["spec"]["template"]["spec"]["subdomain"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    values = {each["name"]: each["value"] for each in container["env"]}
    assert values["HEAD"] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert int(values["NODES"]) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert int(values["GPUS"]) == container["resources"]["limits"]["nvidia.com/gpu"]
    assert container["command"] == ["bash", "-c"]
    command = container["args"][0].replace("29500", str(free_port()))
    here = {"NODES": "1", "GPUS": "2", "HEAD": "127.0.0.1", "OUT": "run", "JOB_COMPLETION_INDEX": "0"}
    done = run(command, **(values | here | {"DATA": "tokens.parquet"}))
    assert done.returncode == 0, done.stderr
    assert reached(run.folder / "run") == (2, 2, False)


def free_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
