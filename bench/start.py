"""How long it takes until work begins: help, imports, loading of the weights. Each in a process of its own.

    python bench/start.py [--runs 5]

Processor seconds of the whole process, beside those of an empty one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import numpy as np

PIECES = {
    "nothing": "pass",
    "`viewmask --help`": "import sys; sys.argv = ['viewmask', '--help']\nfrom viewmask_cli.main import run; run()",
    "import torch": "import torch",
    "import viewmask": "import viewmask",
    "import recon": "import recon.reconstructor",
    "shipped weights, loaded": "from viewmask import Generator; Generator.load()",
    "field, loaded": "from recon.field_grid import SHIPPED, Field, FieldConfig, checkpoint\n"
    "checkpoint.load(SHIPPED, Field, FieldConfig)",
}


def seconds(program: str) -> float:
    """Processor seconds of a new process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", program], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    for program in PIECES.values():
        seconds(program)  # files come from the disk once
    runs = [[seconds(program) for program in PIECES.values()] for _ in range(options.runs)]
    print("| what | processor, s | times an empty process |\n|---|---|---|")
    for name, each, ratio in zip(
        PIECES, np.median(runs, 0), np.median([np.divide(run, run[0]) for run in runs], 0), strict=True
    ):
        print(f"| {name} | {each:.2f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
