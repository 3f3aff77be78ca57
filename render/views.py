"""Views of one mesh: from a file, or a mesh that was just made, in one call."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from viewmask.views.viewset import ViewSet


class Glb(Protocol):
    """A mesh that can say its GLB file, as `recon.mesh.TexturedMesh` can."""

    def glb(self) -> bytes:
        """The file's content."""


def render(mesh: str | Path | Glb, views: int = 8, **settings: Any) -> ViewSet:
    """Views all around a mesh, turned upright and normalised: longest side 1, box centre at the origin.

    Args:
        mesh: a file that `viewmask render` reads, or a mesh in memory.
        views: how many, evenly spaced, counter-clockwise from azimuth 0.
        settings: further fields of `render.settings.Settings`: elevation, size, light, engine ...

    Raises:
        ViewmaskError: a mesh that cannot be read or rendered, or an impossible value.
    """
    from render.job import render_one
    from render.settings import Settings
    from render.source import Source

    chosen = Settings(views=views, **settings)
    if isinstance(mesh, str | Path):
        return render_one(Source(Path(mesh).stem, Path(mesh)), chosen)
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        file = Path(folder) / "mesh.glb"
        file.write_bytes(mesh.glb())
        return render_one(Source("mesh", file), chosen)
