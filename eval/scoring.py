"""Scoring one object: a method's views and its mesh against the true ones."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eval.artefacts import TEXTURE, Artefacts
from eval.benches.bench import Subject
from eval.methods import TRIVIAL
from eval.methods.method import Method
from eval.protocols import Protocol, open_protocol
from eval.result import METRICS, Record
from viewmask.errors import ViewmaskError
from viewmask.views.viewset import Picture, ViewSet, resize

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh
    from viewmask.learning.lpips import Lpips


@dataclass(frozen=True)
class Scoring:
    """How a method is scored.

    Attributes:
        protocol: one of `eval.protocols.PROTOCOLS`, by its name.
        views: of the orbit, the given one included; 4 scores azimuths 90, 180, 270. None takes the protocol's own.
        meshes: also reconstruct a mesh from the given view and the method's, where the true mesh is known.
        beside: methods scored on the same views for comparison.
        seed: of the sampler and of the points of the Chamfer distance.
    """

    protocol: str = "viewmask"
    views: int | None = None
    meshes: bool = True
    beside: Sequence[str] = TRIVIAL
    seed: int = 0

    @property
    def ruler(self) -> Protocol:
        """The protocol itself."""
        return open_protocol(self.protocol)

    @property
    def count(self) -> int:
        """How many views of the orbit are asked for, the given one included."""
        return self.ruler.views if self.views is None else self.views


@dataclass(frozen=True)
class Scorer:
    """What gives an object its record; `facts` are all that the figures hang on beside the object."""

    method: Method
    beside: list[Method]
    scoring: Scoring
    lpips: Lpips | None
    artefacts: Artefacts | None
    facts: dict[str, Any]

    def record(self, subject: Subject, record: Record) -> tuple[Record, bool]:
        """An object's record, and whether it is new; `record` is what an earlier run left of it, perhaps nothing."""
        truth = subject.views(self.scoring.count) if self.method.content else None
        content = self.method.content(subject.id, truth) if self.method.content and truth else ""
        key = hashlib.sha256(json.dumps([self.facts, subject.sha256, content], sort_keys=True).encode()).hexdigest()
        new = record.get("key") != key or (self.artefacts is not None and not self.artefacts.holds(subject.id, key))
        if new:
            truth = truth or subject.views(self.scoring.count)
            record = {"id": subject.id, "key": key} | self.figures(subject, truth, key) | {"beside": {}}
        absent = [other for other in self.beside if other.name not in record["beside"]]
        if absent:
            truth = truth or subject.views(self.scoring.count)
            rows = {
                other.name: self.scoring.ruler.images(truth.images[1:], _views(other, subject, truth), self.lpips)
                for other in absent
            }
            record = record | {"beside": record["beside"] | rows}
        return record, new or bool(absent)

    def figures(self, subject: Subject, truth: ViewSet, key: str) -> Record:
        """The method's figures of one object; its views and meshes are kept, if they are to be."""
        method, ruler = self.method, self.scoring.ruler
        start = time.monotonic()
        record: Record = {"sha256": subject.sha256, "given": False, "seconds": None} | dict.fromkeys(METRICS)
        completed = ViewSet(truth.images[:1], truth.cameras[:1])  # the given view, and what the method adds to it
        if method.has_views:
            views = _views(method, subject, given(method, subject, truth))
            record["seconds"] = round(time.monotonic() - start, 3)
            others = views if len(views) < len(truth) else views[1:]
            record["given"] = first = ruler.given and len(views) == len(truth)
            if method.given != "view":
                completed = ViewSet(views[:1], truth.cameras[:1])
            record |= ruler.images(truth.images if first else truth.images[1:], views if first else others, self.lpips)
            completed = ViewSet([completed.images[0], *others], truth.cameras)
        mesh = true_mesh = None
        if self.scoring.meshes and ruler.meshes and subject.mesh and (method.has_views or method.mesh):
            true_mesh = subject.mesh()
            try:
                mesh = self._mesh(subject, truth, completed)
                record |= ruler.meshes(true_mesh, mesh, self.scoring.seed)
            except ViewmaskError as error:
                record["mesh_error"] = str(error)
        if self.artefacts:
            self.artefacts.keep(subject.id, key, truth, completed, true_mesh, mesh)
        return record

    def _mesh(self, subject: Subject, truth: ViewSet, views: ViewSet) -> Mesh:
        if self.method.mesh:
            return self.method.mesh(subject.id, truth)
        from recon.reconstructor import reconstruct

        # Only the shape is measured: a texture that nobody looks at may be tiny.
        return reconstruct(views, texture=TEXTURE if self.artefacts else 16)


def given(method: Method, subject: Subject, truth: ViewSet) -> ViewSet:
    """The true views with what the method wants in place of view 0 (`Options.given`), and the bench's caption."""
    extra = truth.extra | {"caption": subject.caption}
    if method.given != "camera" or subject.photo is None:
        return ViewSet(truth.images, truth.cameras, extra)
    picture = subject.photo()
    camera = truth.cameras[0].resized(picture.shape[1], picture.shape[0])  # it is unknown: nothing may look at it
    return ViewSet([picture, *truth.images[1:]], [camera, *truth.cameras[1:]], extra)


def _views(method: Method, subject: Subject, truth: ViewSet) -> list[Picture]:
    return [resize(image, truth.images[0].shape[0]) for image in method.views(subject.id, truth)]
