"""This project's model, and its tokenizer alone: the ceiling of the image columns."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from eval.methods.method import Method, Options
from viewmask.errors import ViewmaskError
from viewmask.generator import Generator
from viewmask.learning.checkpoint import fingerprint
from viewmask.model.reference import reference_view
from viewmask.model.sampling import FROM_IMAGE, at_speed
from viewmask.pipeline import NO_REFINER, UNTAUGHT
from viewmask.views.viewset import Picture, ViewSet


def open_viewmask(options: Options, seed: int) -> Method:
    """`viewmask`: the model's views from view 0, or from a photo (`Options.given`).

    Raises:
        ViewmaskError: its weights are missing or broken, or lack a refiner that is asked for.
    """
    generator = Generator.load(options.weights, options.device, options.precision)
    about = asdict(at_speed(FROM_IMAGE, **_sampling(options)))
    if generator.weights.refiner is None:
        if options.refine:
            raise ViewmaskError(NO_REFINER)
        del about["refine"]  # older results have no such word, and differ in nothing
    about |= {"symmetry": options.symmetry, "given": options.given, "captions": options.captions, "seed": seed}
    about |= {"model": generator.fingerprint} | _runs_on(generator)
    first = 1 if options.given == "view" else 0
    if first == 0 and (framing := generator.weights.framing) is not None:
        about["framing"] = fingerprint(framing)
    notes = () if options.given == "view" or generator.weights.photos else (UNTAUGHT,)
    return Method(
        "viewmask", lambda _, truth: _views(generator, truth, options, seed)[first:], about, notes=notes,
        given=options.given, captions=options.captions,
    )  # fmt: skip


def open_tokenizer(options: Options) -> Method:
    """`tokenizer`: the true views, encoded and decoded.

    Raises:
        ViewmaskError: its weights are missing or broken.
    """
    generator = Generator.load(options.weights, options.device, options.precision)
    about = {"model": generator.fingerprint} | _runs_on(generator)
    return Method("tokenizer", lambda _, truth: generator.round_trip(truth.images[1:]), about)


def _sampling(options: Options) -> dict[str, Any]:
    """Speed, and what is chosen beside it; None is left to the speed."""
    return {
        name: getattr(options, name) for name in ("speed", "steps", "schedule", "temperature", "guidance", "refine")
    }


def _views(generator: Generator, truth: ViewSet, options: Options, seed: int) -> list[Picture]:
    """As many views as the truth has."""
    picture, as_view = truth.images[0], options.given == "view"
    reference = picture if as_view else reference_view(picture)
    caption = truth.caption if options.captions else ""
    return generator.from_reference(
        reference,
        len(truth),
        as_view=as_view,
        seed=seed,
        caption=caption,
        symmetry=options.symmetry,
        **_sampling(options),
    ).images


def _runs_on(generator: Generator) -> dict[str, str]:
    """The device and the precision, where these are not the ones of every published figure."""
    words = str(generator.weights.runs_on)
    return {} if words == "cpu, float32" else {"runs_on": words}
