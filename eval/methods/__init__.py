"""Methods: who is measured. `open_method` opens one by its name.

The trivial ones and the ceilings stand beside the model so that a reader can tell what a figure is worth.
Other systems are measured by what they left in a folder, by their own command, or by their published weights:
docs/baselines.md.
"""

from __future__ import annotations

from pathlib import Path

from eval.methods.method import Method, Options
from eval.methods.trivial import COPY, MIRROR, TRUE_VIEWS, WHITE
from viewmask.errors import ViewmaskError

TRIVIAL = ("copy", "mirror", "white")
METHODS = ("viewmask", *TRIVIAL, "gt-views", "tokenizer")
FOLDERS = ("views", "meshes")  # views:DIR, meshes:DIR
BASELINES = ("zero123", "zero123-xl", "vivid123")  # published weights, the extra `baselines`
SYSTEMS = ("syncdreamer", "zero123plus", "mvadapter", "instantmesh", "trellis")  # NAME:DIR, run by their own command


def open_method(
    name: str = "viewmask", options: Options | None = None, seed: int = 0, command: str | None = None
) -> Method:
    """A method by its name.

    `viewmask` (the model), `copy` (view 0 again), `mirror` (view 0 flipped left to right), `white` (nothing),
    `gt-views` (the true views: the ceiling of the mesh columns), `tokenizer` (the true views encoded and decoded: the
    ceiling of the image columns), `views:DIR` and `meshes:DIR` (another system's output), `zero123`, `zero123-xl` and
    `vivid123` (published weights), `syncdreamer:DIR`, `zero123plus:DIR`, `mvadapter:DIR`, `instantmesh:DIR` and
    `trellis:DIR` (what their own commands wrote).

    Args:
        options, seed: of the models.
        command: how to start one of `SYSTEMS` where its folder lacks an object: see `eval.methods.systems`.

    Raises:
        ViewmaskError: no such method, or its weights, folder or packages are missing or broken.
    """
    kind, _, folder = name.partition(":")
    if folder and kind not in (*FOLDERS, *SYSTEMS):
        raise ViewmaskError(f"{kind!r} takes no folder: only {', '.join((*FOLDERS, *SYSTEMS))} do")
    if command and kind not in SYSTEMS:
        raise ViewmaskError(f"{kind!r} has no command to start: only {', '.join(SYSTEMS)} have")
    if kind in FOLDERS and not folder:
        raise ViewmaskError(f"{kind} of which folder? Write {kind}:DIR")
    options = options or Options()
    # Imports stand where they are needed: nobody waits for torch to score a copy.
    match kind:
        case "copy":
            return COPY
        case "mirror":
            return MIRROR
        case "white":
            return WHITE
        case "gt-views":
            return TRUE_VIEWS
        case "viewmask":
            from eval.methods.ours import open_viewmask

            return open_viewmask(options, seed)
        case "tokenizer":
            from eval.methods.ours import open_tokenizer

            return open_tokenizer(options)
        case "views":
            from eval.methods.outputs import views_of

            return views_of(Path(folder))
        case "meshes":
            from eval.methods.outputs import meshes_of

            return meshes_of(Path(folder))
        case "zero123" | "zero123-xl":
            from eval.methods.zero123 import open_zero123

            return open_zero123(kind, options, seed)
        case "vivid123":
            from eval.methods.vivid123 import open_vivid123

            return open_vivid123(options, seed)
        case _ if kind in SYSTEMS:
            from eval.methods.systems import open_system

            return open_system(kind, Path(folder or f"out/{kind}"), command, seed)
        case _:
            names = (*METHODS, *(f"{kind}:DIR" for kind in FOLDERS), *BASELINES, *(f"{kind}:DIR" for kind in SYSTEMS))
            raise ViewmaskError(f"there is no method {name!r}: choose {', '.join(names)}")
