"""The transformer's three stages from packed tokens on one GPU, in slices, within minutes: `make gpu`.

    python bench/gpu.py --data tokens.parquet --out runs/gpu [--tokenizer DIR] [--minutes 14] [--slice 9]

A slice ends with a checkpoint; the same command goes on where it ended, until it says that all is done. At the end of
each slice stand the operations a second, as a share of what this device reaches on a large product of matrices and of
its maker's figure. Finished weights are cut into files of at most 15 MiB in `--out`/parts: `cat parts/* | tar x` joins
them. `--steps 3 --batch 2` is a dry run for a CPU.
"""

from __future__ import annotations

import argparse
import io
import os
import signal
import tarfile
import threading
import time
from pathlib import Path

import torch

from viewmask.learning.processes import device
from viewmask.learning.trainer import CHECKPOINT, EXPORT
from viewmask.model import sequence
from viewmask.train import masked, stages
from viewmask.train.budget import GPUS, Recipe, flops
from viewmask.train.run import Run

SHARES = {"align": 0.1, "i2mv": 0.4, "t2mv": 0.5}  # of the time
PART = 15 * 2**20  # bytes of a file
START, END = 20.0, 15.0  # seconds that loading and compiling, and writing, may take in a slice
WARM = 10  # steps that are not timed: they compile
LAYOUTS = {
    "t2i": sequence.t2i(), "mmu": sequence.mmu(), "i2mv": sequence.i2mv(), "photo": sequence.i2mv(),
    "t2mv": sequence.t2mv(),
}  # fmt: skip


class Meter:
    """Adds up the operations and seconds of steps, those at the start left out."""

    def __init__(self, preset: str, batch: int) -> None:
        self.network, self.batch = masked.TRANSFORMERS[preset], batch
        self.operations = self.seconds = 0.0
        self.steps = 0
        self.last = time.monotonic()

    def step(self, figures: dict[str, float]) -> None:
        """A step is done, of the layout that its figures name."""
        now = time.monotonic()
        self.steps += 1
        (name,) = LAYOUTS.keys() & figures.keys()
        if self.steps > WARM:
            self.seconds += now - self.last
            # Three times the way there; about half of the target tokens are predicted.
            recipe = Recipe(self.network, LAYOUTS[name], 0.5, self.batch, 0, 0, 0, "", "")
            self.operations += 3 * flops(recipe) * self.batch * (4 if name in ("t2i", "mmu") else 1)
        self.last = now


def peak(place: torch.device, side: int) -> float:
    """Operations a second of a product of bfloat16 matrices, the best of some."""
    matrix = torch.ones(side, side, dtype=torch.bfloat16, device=place)
    best = 0.0
    for _ in range(10):
        if place.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        matrix @ matrix
        if place.type == "cuda":
            torch.cuda.synchronize()
        best = max(best, 2 * side**3 / (time.perf_counter() - start))
    return best


def named(place: torch.device) -> float | None:
    """The maker's figure of a GPU that is known."""
    name = torch.cuda.get_device_name(place).lower() if place.type == "cuda" else ""
    return next((gpu.flops for known, gpu in GPUS.items() if known in name), None)


def cut(folders: list[Path], out: Path) -> list[Path]:
    """Folders as a tar, in files of at most PART bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in folders:
            tar.add(folder, arcname=f"{folder.parent.name}/{folder.name}")
    content = stream.getvalue()
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for number, start in enumerate(range(0, len(content), PART)):
        files.append(out / f"weights.tar.{number:03d}")
        files[-1].write_bytes(content[start : start + PART])
    return files


def main() -> None:
    """Train what the slice holds."""
    begun = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--preset", default="small", choices=masked.TRANSFORMERS)
    parser.add_argument("--minutes", type=float, default=14.0, help="of all slices together")
    parser.add_argument("--slice", type=float, default=9.0, help="minutes of this one")
    parser.add_argument("--steps", type=int, help="of each stage: a dry run")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--no-compile", action="store_true")
    options = parser.parse_args()
    place = device()
    measured = peak(place, 8192 if place.type == "cuda" else 1024)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: training writes a checkpoint first
    timer = threading.Timer(60 * options.slice - END, os.kill, (os.getpid(), signal.SIGTERM))
    timer.daemon = True
    timer.start()
    slices = -(-options.minutes // options.slice)
    seconds = 60 * options.minutes - slices * (START + END) - len(SHARES) * START
    before: Path | None = None
    done = []
    for stage, share in SHARES.items():
        out = options.out / stage
        weights = out / EXPORT
        if not weights.is_dir():
            batch = options.batch or masked.SCHEDULES[options.preset, stage].batch
            meter = Meter(options.preset, batch)
            run = Run(
                out, preset=options.preset, time_limit=max(share * seconds, 1.0) if not options.steps else None,
                steps=options.steps, resume=(out / CHECKPOINT).is_dir(), init=before, tokenizer=options.tokenizer,
                batch=options.batch, compiled=not options.no_compile, note=lambda line: print(line, flush=True),
                progress=lambda step, steps, figures, meter=meter: meter.step(figures),
            )  # fmt: skip
            try:
                stages.train(stage, options.data, run)
            except KeyboardInterrupt:
                timer.cancel()
                print(f"the slice is over after {time.monotonic() - begun:.0f} s: run the same command again")
                return
            finally:
                _tell(stage, meter, measured, named(place))
        before = weights
        done.append(weights)
    timer.cancel()
    files = cut(done[-1:], options.out / "parts")
    print(f"all is done after {time.monotonic() - begun:.0f} s: {len(files)} files in {options.out / 'parts'}")


def _tell(stage: str, meter: Meter, measured: float, maker: float | None) -> None:
    if not meter.seconds:
        print(f"{stage}: {meter.steps} steps, too few to be timed")
        return
    rate = meter.operations / meter.seconds
    words = (
        f"{stage}: {meter.steps} steps, {rate / 1e12:.3g} TFLOP/s, {rate / measured:.0%} of the product measured here"
    )
    print(words + (f", {rate / maker:.0%} of the maker's figure" if maker else ""), flush=True)


if __name__ == "__main__":
    main()
