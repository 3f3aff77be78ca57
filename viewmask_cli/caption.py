"""`viewmask caption`: a picture to a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from viewmask_cli.options import DeviceOption, PrecisionOption, WeightsOption
from viewmask_cli.progress import note, working


def caption(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="With transparency or a plain background.")],
    cutout: Annotated[
        str,
        typer.Option(
            metavar="auto|alpha|plain|grabcut|rembg|MASK.png", help="What tells the object, as in viewmask generate."
        ),
    ] = "auto",
    weights: WeightsOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
) -> str:
    """Say in words what a picture shows (multimodal understanding, the paper's MMU task).

    The shipped weights were hardly taught to: of their batches 3 % are captions. `viewmask train align` teaches it.

    Example: viewmask caption photo.png
    """
    from viewmask.model.reference import reference_view
    from viewmask.views.cutout import cut
    from viewmask.views.picture import LARGEST, read_picture

    shown = cut(read_picture(picture, upright=True, largest=LARGEST), cutout)
    for line in shown.notes:
        note(line)
    with working("loading the model"):
        from viewmask import pipeline
        from viewmask.generator import Generator

        generator = Generator.load(weights, device, precision)
    if not generator.weights.captions:
        note(pipeline.WORDLESS)
    words = generator.caption(reference_view(shown.picture))
    print(words)
    return words
