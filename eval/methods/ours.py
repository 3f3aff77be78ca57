"""This project's model, and its tokenizer alone: the ceiling of the image columns."""

from __future__ import annotations

from dataclasses import asdict

from eval.methods.method import Method, Options
from viewmask.generator import Generator
from viewmask.model.sampling import FROM_IMAGE
from viewmask.views.viewset import Picture, ViewSet


def open_viewmask(options: Options, seed: int) -> Method:
    """`viewmask`: the model's views from view 0.

    Raises:
        ViewmaskError: its weights are missing or broken.
    """
    generator = Generator.load(options.weights, options.device, options.precision)
    elsewhere = ("weights", "device", "precision")
    sampling = {name: value for name, value in asdict(options).items() if value is not None and name not in elsewhere}
    about = asdict(FROM_IMAGE) | sampling | {"seed": seed, "model": generator.fingerprint} | _runs_on(generator)

    def views(_: str, truth: ViewSet) -> list[Picture]:
        return _from_image(generator, truth.images[0], len(truth), options, seed).images[1:]

    return Method("viewmask", views, about)


def open_tokenizer(options: Options) -> Method:
    """`tokenizer`: the true views, encoded and decoded.

    Raises:
        ViewmaskError: its weights are missing or broken.
    """
    generator = Generator.load(options.weights, options.device, options.precision)
    about = {"model": generator.fingerprint} | _runs_on(generator)
    return Method("tokenizer", lambda _, truth: generator.round_trip(truth.images[1:]), about)


def _runs_on(generator: Generator) -> dict[str, str]:
    """The device and the precision, where these are not the ones of every published figure."""
    words = str(generator.weights.runs_on)
    return {} if words == "cpu, float32" else {"runs_on": words}


def _from_image(generator: Generator, picture: Picture, views: int, options: Options, seed: int) -> ViewSet:
    """The one place where options become the generator's own words."""
    return generator.from_image(
        picture,
        views,
        steps=options.steps,
        schedule=options.schedule,
        temperature=options.temperature,
        guidance=options.guidance,
        symmetry=options.symmetry,
        seed=seed,
    )
