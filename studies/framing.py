"""What does `generate --image` make of a picture that is framed as users' pictures are?

    python studies/framing.py --data DATA/gso [--bench gso] [--out FILE]

`viewmask eval` hands the model view 0 as the bench frames it. `viewmask generate --image` cuts the object out and
scales it to a size of its own, for a photo has no scale. So the same objects are scored a second time, view 0 framed as
`generate` frames it. Prints both rows and the mirrored picture. FILE gets the result of the second row.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from rich.console import Console
from rich.table import Table

from eval.benches import open_bench
from eval.measure import run
from eval.methods.method import Method
from eval.report.table import cell, heading
from eval.scoring import Scoring
from viewmask import Generator
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.model.reference import reference_view
from viewmask.views.viewset import Picture, ViewSet

METRICS = ("psnr", "foreground_psnr", "ssim", "silhouette_iou", "lpips")


def framed(generator: Generator) -> Method:
    """The model, given view 0 as `viewmask generate --image` frames it."""

    def views(_: str, truth: ViewSet) -> list[Picture]:
        return generator.from_image(reference_view(truth.images[0]), len(truth)).images[1:]

    return Method("viewmask, framed", views, {"model": generator.fingerprint, "framed": True})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bench", default="gso")
    parser.add_argument("--limit", type=int, help="only so many objects")
    parser.add_argument("--out", type=Path, help="JSON of the framed row")
    arguments = parser.parse_args()
    bench = open_bench(arguments.bench, arguments.data, limit=arguments.limit)
    scoring = Scoring(meshes=False)
    plain = run(bench, "viewmask", scoring)
    result = run(bench, framed(Generator.load()), scoring)
    table = Table("row", *(heading(metric) for metric in METRICS))
    for name, means in (("viewmask, as the bench frames it", plain.means), ("viewmask, framed", result.means)):
        table.add_row(name, *(cell(means, metric) for metric in METRICS))
    table.add_row("mirror", *(cell(plain.beside["mirror"], metric) for metric in METRICS))
    Console().print(table)
    if arguments.out:
        atomic.write(arguments.out, json.dumps(result.to_json(), indent=1) + "\n")
        print(arguments.out)


if __name__ == "__main__":
    try:
        main()
    except ViewmaskError as error:
        raise SystemExit(f"error: {error}") from error
