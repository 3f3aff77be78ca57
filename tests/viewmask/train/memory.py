"""How much memory a process takes for itself to learn from a folder of token files."""

import re
import threading
from pathlib import Path

import numpy as np
import torch

from viewmask.model.weights import SHIPPED, TRANSFORMER, lexicon_of
from viewmask.train import tokens
from viewmask.train.masked import MIXTURES, Masked, _objects


def taken() -> int:
    """Bytes that are this process's own: mapped files do not count."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def main(folder: str, laid: str) -> None:
    """Print rows, objects, how many different ones a batch of 64 holds, and the most memory taken on the way."""
    vocabulary = lexicon_of(SHIPPED / TRANSFORMER, {}).vocabulary
    tokens.HELD = 0
    start, peak, done = taken(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], taken() - start)

    thread = threading.Thread(target=watch)
    thread.start()
    rows = tokens.read([folder], "t", "train", Path(laid))
    task = Masked(rows, MIXTURES["t2mv"], vocabulary, torch.device("cpu"))
    objects = sum(len(each) for each in _objects(rows))
    drawn = task.draw("t2mv", np.random.default_rng(0), 64)[2]
    done.set()
    thread.join()
    print(len(rows.ids), objects, len(set(drawn[:, 0, 0, 0].tolist())), peak[0])
