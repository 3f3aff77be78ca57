"""Two processes that train together, as torchrun would start them: what each of them runs, and how they are started.

They are forked from a server that has loaded torch and Accelerate once.
"""

import contextlib
import json
import multiprocessing
import os
import signal
import socket
import time
from pathlib import Path

import numpy as np
import torch

from viewmask.learning import checkpoint, processes
from viewmask.learning.schedule import Schedule
from viewmask.learning.trainer import CHECKPOINT, Trainer
from viewmask.model.transformer import Transformer, TransformerConfig
from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train.epochs import Epochs
from viewmask.train.masked import Masked, Mixture, validation
from viewmask.train.tokens import Tokens

SCHEDULE = Schedule(steps=20, batch=6, rate=2e-3, muon=4e-3, warmup=3, clip=0.5)
CURVE = "curve.jsonl"  # the loss of each step, as rank 0 was told


def task(epochs: Epochs | None = None) -> Masked:
    """Some objects of random tokens, one of them without a caption."""
    random = np.random.default_rng(0)
    tokens = random.integers(0, 2**18, (6, 8, 2, 2)).astype(np.int32) * (random.random((6, 8, 2, 2)) < 0.7)
    captions = [["a red cup"], ["a chair", "it"], [], ["a blue dog"], ["a bag"], ["a hat", "a red hat"]]
    azimuths = np.float32(np.arange(8) * 45 + np.zeros((6, 1)))
    some = Tokens([*"abcdef"], np.zeros(6, int), captions, azimuths, tokens)
    vocabulary = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
    return Masked(some, Mixture(t2i=0.3, mmu=0.2, i2mv=0.3, t2mv=0.2), vocabulary, torch.device("cpu"), epochs=epochs)


def train(out: Path, schedule: Schedule = SCHEDULE, *, resume: bool = False, event=None, **options) -> None:
    """Train a tiny transformer; `event` (step, action, ranks) kills ("SIGKILL") or asks to stop at a step."""
    torch.manual_seed(0)
    config = TransformerConfig(width=32, layers=2, heads=2, hidden=48, words=len(task().vocabulary), grid=2)
    model = checkpoint.load(out / CHECKPOINT, Transformer, TransformerConfig)[0] if resume else Transformer(config)
    joined = processes.joined(options.pop("tracker", None))

    def progress(step, steps, figures):
        if joined.main:
            with (out / CURVE).open("a") as file:
                file.write(json.dumps([step, figures["loss"]]) + "\n")
        if event and step == event[0] and joined.rank in event[2]:
            os.kill(os.getpid(), getattr(signal, event[1]))

    judge = validation(task(), batches=1, batch=4)
    trainer = Trainer(
        model, task(Epochs(5)), out, schedule, {}, processes=joined, validation=judge, validate_every=10, **options
    )
    assert joined.sharded == hasattr(next(model.parameters()), "full_tensor")
    assert joined.sharded == (os.environ.get("ACCELERATE_USE_FSDP") == "true")
    with contextlib.suppress(KeyboardInterrupt):
        trainer.run(resume, progress)


def curve(out: Path) -> list[tuple[int, float]]:
    """Steps and losses, those of a later sitting in place of what a killed one had gone too far."""
    lines = [json.loads(line) for line in (out / CURVE).read_text().splitlines()]
    return sorted(dict(lines).items())


def together(target, *arguments, count: int = 2, environment: dict[str, str] | None = None, **options) -> list[int]:
    """Run a function in several processes that know of each other; gives their exit codes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.viewmask.learning.together", "accelerate"])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = {"WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = []
    for rank in range(count):
        names = {name: str(value) for name, value in here.items()} | {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        started.append(context.Process(target=_run, args=(names | (environment or {}), target, arguments, options)))
        started[-1].start()
    end = time.monotonic() + 240
    while any(process.is_alive() for process in started) and time.monotonic() < end:
        time.sleep(0.05)
        if any(process.exitcode for process in started):  # the others would wait for it
            for process in started:
                process.join(5)
                process.kill()
    for process in started:
        process.kill()
        process.join()
    return [process.exitcode for process in started]


def _run(environment, target, arguments, options):
    os.environ.update(environment)
    torch.set_num_threads(1)
    target(*arguments, **options)
