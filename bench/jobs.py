"""What several processes gain a batch: the same eight pictures, and the same eight sentences, with --jobs 1 and 2.

    python bench/jobs.py [--rounds 3] [--jobs 2] [--mesh]

Wall seconds of whole commands, loading included, in turn. Only ratios of an otherwise idle machine count.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from render.demo import demo_objects
from render.raycast import render
from viewmask.views.camera import orbit

ROOT = Path(__file__).parents[1]


def inputs(folder: Path) -> dict[str, list[str]]:
    """The options that name each batch; its files are written."""
    objects, pictures, sentences = demo_objects(), folder / "pictures", folder / "prompts.txt"
    sentences.write_text("".join(f"{each.caption}\n" for each in objects.values()))
    pictures.mkdir()
    for name, each in objects.items():
        Image.fromarray(render(each.surface(), orbit(1))[0], "RGBA").save(pictures / f"{name}.png")
    return {
        f"{len(objects)} pictures": ["--image", str(pictures)],
        f"{len(objects)} sentences": ["--text-file", str(sentences)],
    }


def seconds(options: list[str], jobs: int) -> float:
    """Wall seconds of one batch.

    Raises:
        CalledProcessError: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as scratch:
        environment |= {"PYTHONPATH": str(ROOT), "XDG_STATE_HOME": scratch}
        command = ["generate", *options, "--jobs", str(jobs), "--out", f"{scratch}/out"]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "viewmask_cli", *command], check=True, env=environment, capture_output=True
        )
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mesh", action="store_true", help="make meshes, too")
    options = parser.parse_args()
    print(f"| batch | --jobs 1, s | --jobs {options.jobs}, s | times as fast |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, words in inputs(Path(folder)).items():
            words = [*words, *(["--mesh"] if options.mesh else [])]
            pairs = [(seconds(words, 1), seconds(words, options.jobs)) for _ in range(options.rounds)]
            ratios = [alone / together for alone, together in pairs]
            alone, together = np.median(pairs, 0)
            spread = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"| {name}{', meshes' * options.mesh} | {alone:.1f} | {together:.1f} | {spread} |", flush=True)


if __name__ == "__main__":
    main()
