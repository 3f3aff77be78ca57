"""One HTML file that shows a mesh, turnable, beside its views: works offline and on a phone."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from viewmask.files import atomic
from viewmask.files.record import json_text
from viewmask.views.viewset import ViewSet, resize


class Shown(Protocol):
    """What a page needs of a mesh: `recon.mesh.TexturedMesh` has it."""

    uv: NDArray[np.float64]
    texture: NDArray[np.uint8]
    notes: tuple[str, ...]

    def split(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Positions, normals and faces, a vertex a place in the texture."""

    def summary(self) -> dict[str, Any]:
        """Facts."""


_TEMPLATE = Path(__file__).with_name("page.html")
_THUMBNAIL = 192


def write_page(mesh: Shown, views: ViewSet | None, path: str | Path, title: str = "") -> Path:
    """Write a self-contained turntable page: mesh, texture and views are inside the file.

    What people should know of views and mesh (their notes) stands under the heading.

    Args:
        views: what the mesh was made of, if that is to be shown.
        title: a heading; the views' caption unless given.

    Returns:
        The file.

    Raises:
        ViewmaskError: the disk refuses.
    """
    return atomic.write(path, page(mesh, views, title))


def page(mesh: Shown, views: ViewSet | None = None, title: str = "") -> str:
    """The content of a page: HTML that needs no other file."""
    title = title or (views.caption if views else "") or "Reconstruction"
    # "</script>" in a text must not end the script that holds the data.
    data = json_text(page_data(mesh, views)).replace("</", "<\\/")
    text = template()
    for name, value in (("title", html.escape(title)), ("data", data)):
        text = text.replace("{{" + name + "}}", value)
    return text


def template() -> str:
    """The page with `{{title}}` (HTML) and `{{data}}` (JSON of `page_data`, `</` written `<\\/`) to be filled in."""
    return _TEMPLATE.read_text(encoding="utf-8")


def page_data(mesh: Shown, views: ViewSet | None) -> dict[str, Any]:
    """What the page shows, ready for JSON: the mesh's arrays and pictures in base64, facts, and the views."""
    positions, normals, faces = mesh.split()
    summary = mesh.summary()
    facts = [
        f"{summary['faces']:,} triangles",
        "watertight" if summary["watertight"] else "not watertight",
        f"{summary['texture']} px texture",
        "size " + " × ".join(f"{side:.2f}" for side in summary["size"]),
    ]
    told = views.extra.get("notes", []) if views else []
    notes = [*map(str, told if isinstance(told, list) else []), *mesh.notes]
    return {
        "positions": _base64(positions.astype("<f4")),
        "normals": _base64(np.round(127 * normals).astype("<i1")),
        "uv": _base64(mesh.uv.astype("<f4")),
        "faces": _base64(faces.astype("<u4")),
        "texture": picture_uri(Image.fromarray(mesh.texture), "JPEG", quality=90),
        "facts": facts,
        "notes": list(dict.fromkeys(notes)),
        "views": [
            {
                "picture": picture_uri(Image.fromarray(resize(image, _THUMBNAIL)), "WEBP", quality=88),
                "azimuth": round(camera.azimuth, 2),
                "elevation": round(camera.elevation, 2),
            }
            for image, camera in views or ()
        ],
    }


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def picture_uri(picture: Image.Image, form: str, quality: int) -> str:
    """A picture as a data URI: `JPEG`, `WEBP` or `PNG`."""
    encoded = io.BytesIO()
    picture.save(encoded, form, quality=quality)
    return f"data:image/{form.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
