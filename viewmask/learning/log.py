"""The log of a run: a line for every fifty steps, and the loss curve drawn from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.files import atomic

LOG, CURVE = "log.jsonl", "loss.png"


def append(folder: Path, record: dict[str, float]) -> None:
    """Add a line to the log in a run's folder."""
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(record) + "\n")


def read(folder: Path) -> list[dict[str, float]]:
    """The lines of the log in a run's folder; none where there is no log."""
    path = folder / LOG
    return [_parsed(line, path) for line in path.read_text().splitlines()] if path.exists() else []


def cut(folder: Path, step: int) -> None:
    """Leave out of the log in a run's folder what came after a step."""
    path = folder / LOG
    if not path.exists():
        return
    lines = path.read_text().splitlines(keepends=True)
    # A run that was killed may have left half a line.
    kept = [line for line in lines if line.endswith("\n") and _parsed(line, path)["step"] <= step]
    if kept != lines:
        atomic.write(path, "".join(kept))


def _parsed(line: str, path: Path) -> dict[str, float]:
    """A line of the log.

    Raises:
        ViewmaskError: it is none.
    """
    try:
        record: dict[str, float] = json.loads(line)
        record["step"] += 0
    except (ValueError, KeyError, TypeError) as error:
        raise ViewmaskError(f"{path} is damaged: {line.strip()[:40]!r} is no line of a log; take it out") from error
    return record


def plot(folder: Path) -> None:
    """Draw the loss curve of the run in a folder, and that of `val` where its log has one."""
    from matplotlib.figure import Figure  # half a second to load

    records = read(folder)
    if not records:
        return
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="step", ylabel="loss", title=f"loss {records[-1]['loss']:.4f}")
    for name in ("loss", "val"):
        lines = [record for record in records if name in record]
        if lines:
            mark = "o" if len(lines) == 1 else ""  # a line of one point is not seen
            axes.plot([line["step"] for line in lines], [line[name] for line in lines], marker=mark, label=name)
    losses = [record["loss"] for record in records]
    low, high = min(losses), float(np.quantile(losses, 0.98))  # a few bad steps do not flatten the curve
    if high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    axes.grid(alpha=0.3)
    axes.legend()
    atomic.write_with(folder / CURVE, lambda temporary: figure.savefig(temporary, format="png", dpi=100))
