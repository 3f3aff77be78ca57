"""Who is measured: each method makes an object's other views from its first one.

The trivial ones and the ceilings stand beside the model so that a reader can tell what a figure is worth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.viewset import Picture, ViewSet

TRIVIAL = ("copy", "mirror", "white")
METHODS = ("viewmask", *TRIVIAL, "gt-views", "tokenizer")


@dataclass(frozen=True)
class Sampling:
    """How the model samples; None takes the model's own default.

    Attributes:
        steps: sampling steps.
        schedule: `cosine`, `linear` or `quadratic`.
        temperature, guidance: as in `Generator.from_image`.
        weights: a checkpoint folder; None for the shipped one.
    """

    steps: int = 20
    schedule: str = "cosine"
    temperature: float | None = None
    guidance: float | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Method:
    """A way to get views.

    Attributes:
        name: one of `METHODS`.
        views: from a true view set (view 0 is the one given) the other views, in its order and sizes. Only the
            ceilings look at more than view 0.
        about: everything that fixes its output, for the report.
    """

    name: str
    views: Callable[[ViewSet], list[Picture]]
    about: dict[str, Any] = field(default_factory=dict)


def open_method(name: str = "viewmask", sampling: Sampling | None = None, seed: int = 0) -> Method:
    """A method by its name: `viewmask` (the model), `copy` (view 0 again), `mirror` (view 0 flipped left to right),
    `white` (nothing), `gt-views` (the true views: the ceiling of the mesh columns), `tokenizer` (the true views
    encoded and decoded: the ceiling of the image columns).

    Raises:
        ViewmaskError: no such method, or the model's weights are missing or broken.
    """
    match name:
        case "copy":
            return Method(name, lambda truth: [truth.images[0]] * (len(truth) - 1))
        case "mirror":
            return Method(name, lambda truth: [np.ascontiguousarray(truth.images[0][:, ::-1])] * (len(truth) - 1))
        case "white":
            return Method(name, lambda truth: [np.zeros_like(image) for image in truth.images[1:]])
        case "gt-views":
            return Method(name, lambda truth: truth.images[1:])
        case "tokenizer":
            return _tokenizer(sampling or Sampling())
        case "viewmask":
            return _viewmask(sampling or Sampling(), seed)
        case _:
            raise ViewmaskError(f"there is no method {name!r}: choose {', '.join(METHODS)}")


def _viewmask(sampling: Sampling, seed: int) -> Method:
    from viewmask.generator import FROM_IMAGE, Generator

    generator = Generator.load(sampling.weights)
    options = {key: value for key, value in asdict(sampling).items() if key != "weights"}
    chosen = asdict(FROM_IMAGE) | {key: value for key, value in options.items() if value is not None}

    def views(truth: ViewSet) -> list[Picture]:
        return generator.from_image(truth.images[0], views=len(truth), seed=seed, **options).images[1:]

    return Method("viewmask", views, chosen | {"seed": seed, "model": generator.fingerprint})


def _tokenizer(sampling: Sampling) -> Method:
    from viewmask.generator import Generator

    generator = Generator.load(sampling.weights)
    return Method("tokenizer", lambda truth: generator.round_trip(truth.images[1:]), {"model": generator.fingerprint})
