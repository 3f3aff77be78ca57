"""One HTML file that shows a mesh, turnable, beside its views: works offline and on a phone."""

from __future__ import annotations

import base64
import html
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.mesh import TexturedMesh
from viewmask.files import atomic
from viewmask.files.record import json_text
from viewmask.views.viewset import ViewSet, resize

_TEMPLATE = Path(__file__).with_name("page.html")
_THUMBNAIL = 192


def write_page(mesh: TexturedMesh, views: ViewSet, path: str | Path, title: str = "") -> Path:
    """Write a self-contained turntable page: mesh, texture and views are inside the file.

    Args:
        title: a heading; the views' caption unless given.

    Returns:
        The file.

    Raises:
        ViewmaskError: the disk refuses.
    """
    title = title or views.caption or "Reconstruction"
    # "</script>" in a text must not end the script that holds the data.
    data = json_text(page_data(mesh, views)).replace("</", "<\\/")
    page = template()
    for name, value in (("title", html.escape(title)), ("data", data)):
        page = page.replace("{{" + name + "}}", value)
    return atomic.write(path, page)


def template() -> str:
    """The page with `{{title}}` (HTML) and `{{data}}` (JSON of `page_data`, `</` written `<\\/`) to be filled in."""
    return _TEMPLATE.read_text(encoding="utf-8")


def page_data(mesh: TexturedMesh, views: ViewSet) -> dict[str, Any]:
    """What the page shows, ready for JSON: the mesh's arrays and pictures in base64, facts, and the views."""
    positions, normals, faces = mesh.split()
    summary = mesh.summary()
    facts = [
        f"{summary['faces']:,} triangles",
        "watertight" if summary["watertight"] else "not watertight",
        f"{summary['texture']} px texture",
        "size " + " × ".join(f"{side:.2f}" for side in summary["size"]),
    ]
    return {
        "positions": _base64(positions.astype("<f4")),
        "normals": _base64(np.round(127 * normals).astype("<i1")),
        "uv": _base64(mesh.uv.astype("<f4")),
        "faces": _base64(faces.astype("<u4")),
        "texture": picture_uri(Image.fromarray(mesh.texture), "JPEG", quality=90),
        "facts": facts,
        "views": [
            {
                "picture": picture_uri(Image.fromarray(resize(image, _THUMBNAIL)), "WEBP", quality=88),
                "azimuth": round(camera.azimuth, 2),
                "elevation": round(camera.elevation, 2),
            }
            for image, camera in zip(views.images, views.cameras, strict=True)
        ],
    }


def _base64(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def picture_uri(picture: Image.Image, form: str, quality: int) -> str:
    """A picture as a data URI: `JPEG`, `WEBP` or `PNG`."""
    encoded = io.BytesIO()
    picture.save(encoded, form, quality=quality)
    return f"data:image/{form.lower()};base64,{base64.b64encode(encoded.getvalue()).decode()}"
