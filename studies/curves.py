"""How did the losses of several runs fall, one after the other? Their logs in one figure.

    python studies/curves.py runs/align runs/i2mv runs/t2mv --out docs/stages.png

A point is the mean over the steps since the point before, of each layout by itself: batches of other layouts have other
losses.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from matplotlib.figure import Figure

from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.learning import log
from viewmask.train.masked import LAYOUTS


def curves(runs: list[Path]) -> Figure:
    """A figure with a plot for each run.

    Raises:
        ViewmaskError: a run without a log.
    """
    figure = Figure(figsize=(3.2 * len(runs), 3), layout="constrained")
    for number, run in enumerate(runs):
        records = log.read(run)
        if not records:
            raise ViewmaskError(f"{run} holds no log of a training")
        axes = figure.add_subplot(1, len(runs), number + 1, xlabel="step", title=run.name)
        axes.set_ylabel("loss, nats a token" if number == 0 else "")
        for index, name in enumerate(LAYOUTS):
            lines = [record for record in records if name in record]
            if lines:
                points = [line["step"] for line in lines], [line[name] for line in lines]
                axes.plot(*points, marker="o", markersize=3, color=f"C{index}", label=name)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def main() -> None:
    """Write the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run folders, in their order")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    figure = curves(arguments.runs)
    atomic.write_with(arguments.out, lambda temporary: figure.savefig(temporary, format="png", dpi=100))
    print(arguments.out)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
