"""Options that several commands share: which weights, where they run, how many processes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewmask.learning.device import DeviceName, Precision

WeightsOption = Annotated[
    Path | None,
    typer.Option(exists=True, help="Folder of weights, such as runs/t2mv/weights.", show_default="the shipped weights"),
]
DeviceOption = Annotated[DeviceName, typer.Option(help="Where the model runs. auto: a CUDA GPU, else the CPU.")]
PrecisionOption = Annotated[Precision, typer.Option(help="Of the transformer. auto: bfloat16 on a GPU, else float32.")]
JobsOption = Annotated[
    int, typer.Option("--jobs", "-j", min=1, max=1024, help="Processes of a batch; each has its share of the cores.")
]
