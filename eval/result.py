"""What a method scored on a bench: means, a record an object, and how it was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eval.metrics import appearance, geometry
from viewmask.files import atomic
from viewmask.files.record import json_text

METRICS = (*appearance.NAMES, *geometry.NAMES)

Means = dict[str, float | None]
Record = dict[str, Any]


@dataclass
class Result:
    """What a method scored on a bench.

    Attributes:
        method: its name.
        means: of `METRICS` (`psnr` ... `lpips`, `chamfer` ... `normals`), over the objects that have the figure, None
            where none has.
        counts: how many objects have each figure.
        beside: the means of the trivial methods on the same objects (no meshes).
        records: a record an object: `id`, `sha256`, the figures, `beside`, `seconds` (of making the views), and
            `mesh_error` where no mesh could be made.
        protocol: how it was measured: bench, objects, views, definitions, method, versions, in words and numbers.
        notes: what a reader should know, such as how to get a missing column.
    """

    method: str
    means: Means
    counts: dict[str, int]
    beside: dict[str, Means]
    records: list[Record]
    protocol: dict[str, Any]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """The means under their names, then everything else."""
        rest = {key: value for key, value in asdict(self).items() if key not in ("means", "records")}
        return self.means | rest | {"objects": self.records}

    def save(self, path: str | Path) -> Path:
        """Write `to_json` to a file, atomically."""
        return atomic.write(path, json_text(self.to_json(), indent=1) + "\n")


def means_of(records: Sequence[Record]) -> tuple[Means, dict[str, int]]:
    """The mean of each metric over the objects that have it, and how many these are."""
    figures = {name: [record[name] for record in records if record.get(name) is not None] for name in METRICS}
    means = {name: sum(values) / len(values) if values else None for name, values in figures.items()}
    return means, {name: len(values) for name, values in figures.items()}
