"""What a run leaves to be looked at: of every object the true views, a method's views, and both meshes.

objects/<id>/truth/         view set          objects/<id>/truth.glb
objects/<id>/<method>/      view set          objects/<id>/<method>.glb
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from eval.proxy import proxy
from viewmask.views.conventions import TRANSFORMS
from viewmask.views.viewset import ViewSet

if TYPE_CHECKING:
    from eval.metrics.occupancy import Mesh

TRUTH = "truth"
FACES, TEXTURE = 20_000, 512  # of a mesh that is kept; views have 256 pixels


@dataclass(frozen=True)
class Artefacts:
    """The folder of one run.

    Attributes:
        folder: the run's.
        method: whose views stand beside the true ones.
    """

    folder: Path
    method: str

    def place(self, subject: str, whose: str | None = None) -> Path:
        """The view set of an object: the method's, or `truth`; the mesh stands beside it with `.glb` behind."""
        return self.folder / "objects" / safe(subject) / safe(whose or self.method)

    def mesh(self, subject: str, whose: str | None = None) -> Path:
        """The mesh of an object, which need not exist."""
        place = self.place(subject, whose)
        return place.with_name(place.name + ".glb")

    def keep(
        self, subject: str, key: str, truth: ViewSet, views: ViewSet, true_mesh: Mesh | None, mesh: Mesh | None
    ) -> None:
        """Write what was made of one object; the method's views come last and carry the record's key.

        Raises:
            ViewmaskError: the disk refuses.
        """
        truth.save(self.place(subject, TRUTH), force=True)
        for whose, shape in ((TRUTH, true_mesh), (None, mesh)):
            path = self.mesh(subject, whose)
            if shape is not None:
                proxy(shape, FACES, TEXTURE).save(path)
            elif whose is None:
                path.unlink(missing_ok=True)
        ViewSet(views.images, views.cameras, {"method": self.method, "key": key}).save(self.place(subject), force=True)

    def holds(self, subject: str, key: str) -> bool:
        """Whether the views of this very record are there."""
        try:
            record = json.loads((self.place(subject) / TRANSFORMS).read_text())
        except (OSError, ValueError):
            return False
        return isinstance(record, dict) and record.get("key") == key


def safe(name: str) -> str:
    """A file name for an object or a method: `views:out/mine` becomes `views_out_mine`."""
    return re.sub(r"[^\w.+-]+", "_", name).strip("._") or "_"
