"""Who is measured: each method makes an object's other views, or its mesh, from its first view.

The trivial ones and the ceilings stand beside the model so that a reader can tell what a figure is worth.
Other systems are measured by what they left in a folder, by their own command, or by their published weights:
docs/baselines.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh

TRIVIAL = ("copy", "mirror", "white")
METHODS = ("viewmask", *TRIVIAL, "gt-views", "tokenizer")
FOLDERS = ("views", "meshes")  # views:DIR, meshes:DIR
BASELINES = ("zero123", "zero123-xl", "vivid123")  # published weights, the extra `baselines`
SYSTEMS = ("syncdreamer", "zero123plus", "mvadapter", "instantmesh", "trellis")  # NAME:DIR, run by their own command


@dataclass(frozen=True)
class Sampling:
    """How a model samples; None takes its own default.

    Attributes:
        steps: sampling steps: 20 for viewmask, 50 for the diffusion baselines.
        schedule: `cosine`, `linear` or `quadratic` (viewmask).
        temperature: as in `Generator.from_image` (viewmask).
        guidance: as in `Generator.from_image`; 3 for the diffusion baselines, in diffusers' spelling.
        symmetry: as in `Generator.from_image` (viewmask).
        weights: a checkpoint folder; None for the shipped one, or for the hub's.
    """

    steps: int | None = None
    schedule: str = "cosine"
    temperature: float | None = None
    guidance: float | None = None
    symmetry: bool = True
    weights: Path | None = None


@dataclass(frozen=True)
class Method:
    """A way to get views, and perhaps a mesh.

    Attributes:
        name: how `open_method` was asked for it.
        views: from an object's id and its true view set (view 0 is the one given) the other views, in its order;
            sizes may differ. Only the ceilings look at more than view 0 and the cameras.
        about: everything that fixes its output, for the report.
        mesh: from the same two the method's own mesh in the world; None where the mesh is to be reconstructed from
            the given view and `views`.
        has_views: whether its views stand where the bench's do. Where not, image columns stay empty and `views` raises.
        content: sha256 of the files that this object's output is read from (made first if need be), for caches.
        notes: what a reader of the table should know, a line each.
    """

    name: str
    views: Callable[[str, ViewSet], list[Picture]]
    about: dict[str, Any] = field(default_factory=dict)
    mesh: Callable[[str, ViewSet], Mesh] | None = None
    has_views: bool = True
    content: Callable[[str, ViewSet], str] | None = None
    notes: tuple[str, ...] = ()


def open_method(
    name: str = "viewmask", sampling: Sampling | None = None, seed: int = 0, command: str | None = None
) -> Method:
    """A method by its name.

    `viewmask` (the model), `copy` (view 0 again), `mirror` (view 0 flipped left to right), `white` (nothing),
    `gt-views` (the true views: the ceiling of the mesh columns), `tokenizer` (the true views encoded and decoded: the
    ceiling of the image columns), `views:DIR` and `meshes:DIR` (another system's output), `zero123`, `zero123-xl` and
    `vivid123` (published weights), `syncdreamer:DIR`, `zero123plus:DIR`, `mvadapter:DIR`, `instantmesh:DIR` and
    `trellis:DIR` (what their own commands wrote).

    Args:
        sampling, seed: of the models.
        command: how to start one of `SYSTEMS` where its folder lacks an object: see `eval.methods.systems`.

    Raises:
        ViewmaskError: no such method, or its weights, folder or packages are missing or broken.
    """
    kind, _, folder = name.partition(":")
    if folder and kind not in (*FOLDERS, *SYSTEMS):
        raise ViewmaskError(f"{kind!r} takes no folder: only {', '.join((*FOLDERS, *SYSTEMS))} do")
    if command and kind not in SYSTEMS:
        raise ViewmaskError(f"{kind!r} has no command to start: only {', '.join(SYSTEMS)} have")
    if kind in FOLDERS:
        if not folder:
            raise ViewmaskError(f"{kind} of which folder? Write {kind}:DIR")
        from eval.methods import outputs

        return outputs.views_of(Path(folder)) if kind == "views" else outputs.meshes_of(Path(folder))
    if kind in SYSTEMS:
        from eval.methods.systems import open_system

        return open_system(kind, Path(folder or f"out/{kind}"), command, seed)
    sampling = sampling or Sampling()
    match name:
        case "copy":
            return Method(name, lambda _, truth: [truth.images[0]] * (len(truth) - 1))
        case "mirror":
            return Method(name, lambda _, truth: [np.ascontiguousarray(truth.images[0][:, ::-1])] * (len(truth) - 1))
        case "white":
            return Method(name, lambda _, truth: [np.zeros_like(image) for image in truth.images[1:]])
        case "gt-views":
            return Method(name, lambda _, truth: truth.images[1:])
        case "tokenizer":
            return _tokenizer(sampling)
        case "viewmask":
            return _viewmask(sampling, seed)
        case "zero123" | "zero123-xl":
            from eval.methods.zero123 import open_zero123

            return open_zero123(name, sampling, seed)
        case "vivid123":
            from eval.methods.vivid123 import open_vivid123

            return open_vivid123(sampling, seed)
        case _:
            names = (*METHODS, *(f"{kind}:DIR" for kind in FOLDERS), *BASELINES, *(f"{kind}:DIR" for kind in SYSTEMS))
            raise ViewmaskError(f"there is no method {name!r}: choose {', '.join(names)}")


def _viewmask(sampling: Sampling, seed: int) -> Method:
    from viewmask.generator import Generator
    from viewmask.model.sampling import FROM_IMAGE

    generator = Generator.load(sampling.weights)
    options = {key: value for key, value in asdict(sampling).items() if key != "weights"}
    chosen = asdict(FROM_IMAGE) | {key: value for key, value in options.items() if value is not None}

    def views(_: str, truth: ViewSet) -> list[Picture]:
        return generator.from_image(truth.images[0], views=len(truth), seed=seed, **options).images[1:]

    return Method("viewmask", views, chosen | {"seed": seed, "model": generator.fingerprint})


def _tokenizer(sampling: Sampling) -> Method:
    from viewmask.generator import Generator

    generator = Generator.load(sampling.weights)
    return Method(
        "tokenizer", lambda _, truth: generator.round_trip(truth.images[1:]), {"model": generator.fingerprint}
    )
