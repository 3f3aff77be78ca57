"""What a method is: it makes an object's other views, or its mesh, from its first view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from viewmask.model.sampling import SPEED, Speed
from viewmask.views.viewset import Picture, ViewSet

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh


Given = Literal["view", "photo", "camera"]


@dataclass(frozen=True)
class Options:
    """What a model can be told; None leaves it to the model.

    Attributes:
        speed: as in `Generator.from_reference`: what it sets is taken where nothing else is chosen (viewmask).
        steps: sampling steps: those of the speed for viewmask, 50 for the diffusion baselines.
        schedule: `cosine`, `linear` or `quadratic` (viewmask).
        temperature: as in `Generator.from_reference` (viewmask).
        guidance: as in `Generator.from_reference`; 3 for the diffusion baselines, in diffusers' spelling.
        refine: as in `Sampling` (viewmask).
        symmetry: as in `Generator.from_reference` (viewmask).
        given: how the given picture reaches the model (viewmask). "view": as view 0 of the orbit, as in papers.
            "photo": view 0, cut out and framed as `viewmask generate --image` does. "camera": the same of a picture
            that an unknown camera takes of the true mesh, from view 0's azimuth.
        captions: whether the model is told what the object is, in the bench's words (viewmask).
        weights: a checkpoint folder; None for the shipped one, or for the hub's.
        device, precision: as in `Generator.load` (viewmask, tokenizer).
    """

    speed: Speed = SPEED
    steps: int | None = None
    schedule: str | None = None
    temperature: float | None = None
    guidance: float | None = None
    refine: int | None = None
    symmetry: bool = False
    given: Given = "view"
    captions: bool = False
    weights: Path | None = None
    device: str | None = None
    precision: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The options as a result file holds them."""
        return asdict(self) | {"weights": None if self.weights is None else str(self.weights)}

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Options:
        """What `to_json` gave, also that of versions that had no speed: theirs was "exact".

        Raises:
            TypeError: an unknown option.
        """
        options = cls(**{"speed": "exact"} | record)
        return options if options.weights is None else replace(options, weights=Path(options.weights))


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
        given: what it wants in place of view 0; see `Options`. All but "view" make view 0, too: `views` gives them all.
        captions: whether it reads the bench's captions; see `Options`.
    """

    name: str
    views: Callable[[str, ViewSet], list[Picture]]
    about: dict[str, Any] = field(default_factory=dict)
    mesh: Callable[[str, ViewSet], Mesh] | None = None
    has_views: bool = True
    content: Callable[[str, ViewSet], str] | None = None
    notes: tuple[str, ...] = ()
    given: Given = "view"
    captions: bool = False
