"""A textured mesh in world coordinates, and how it becomes a file."""

from __future__ import annotations

import html
import io
import json
import math
import tempfile
import webbrowser
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.ply import export_ply
from trimesh.exchange.stl import export_stl

from recon.formats import PRINTED, SUFFIXES
from recon.hull import Grid, Volume
from recon.meshing import is_closed
from recon.page import page
from viewmask.errors import ViewmaskError
from viewmask.files import atomic
from viewmask.files.counting import counted
from viewmask.version import VERSION

# glTF's +Y up with its front on +Z, of the world's +Z up with its front on +X: (x, y, z) becomes (y, z, x).
_WORLD_TO_FILE = [1, 2, 0]

_MAKER = f"viewmask {VERSION}"

_XML = '<?xml version="1.0" encoding="UTF-8"?>'
_OPC = "http://schemas.openxmlformats.org/package/2006"
_3MF = "http://schemas.microsoft.com/3dmanufacturing"
_3MF_MODEL = f"{_3MF}/2013/01/3dmodel"


@dataclass(eq=False, repr=False)
class TexturedMesh:
    """A closed surface with a picture on it. World axes: +Z up, azimuth 0 on +X.

    Attributes:
        vertices: float64 [vertices, 3], world units.
        faces: int [faces, 3], corners counter-clockwise seen from outside.
        uv: float [corners, 2] in [0, 1], origin at the texture's lower left (OBJ's rule).
        uv_faces: int [faces, 3] into `uv`; apart from `faces`, so that seams do not open the surface.
        texture: uint8 RGB [size, size, 3], sRGB, first row on top.
        notes: what a user should know of how it was made, a line each.
        raw: the signed field (world units, positive inside) whose zero surface this is, smoothed and simplified.
        making: how it was made, the views that it was made of included, ready for JSON.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64]
    uv_faces: NDArray[np.int64]
    texture: NDArray[np.uint8]
    notes: tuple[str, ...] = ()
    raw: tuple[Volume, Grid] | None = None
    making: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        facts = self.summary()
        size = " x ".join(f"{side:.3g}" for side in facts["size"])
        words = f"{counted(facts['faces'], 'triangle')}, {counted(facts['components'], 'piece')}"
        closed = "watertight" if facts["watertight"] else "not watertight"
        return f"<TexturedMesh: {words}, {closed}, size {size}, texture {facts['texture']} px>"

    def _repr_html_(self) -> str:
        """How a notebook shows it: turnable."""
        source = html.escape(page(self, title=repr(self)))
        return f'<iframe srcdoc="{source}" style="width: 100%; height: 480px; border: 0"></iframe>'

    def show(self) -> Path:
        """Open the mesh in the browser, turnable; the page, a temporary file that stays until the system clears it."""
        with tempfile.NamedTemporaryFile(
            "w", suffix=".html", prefix="viewmask-", delete=False, encoding="utf-8"
        ) as file:
            file.write(page(self, title=repr(self)))
        webbrowser.open(Path(file.name).as_uri())
        return Path(file.name)

    def geometry(self) -> trimesh.Trimesh:
        """The closed surface alone, without seams, in world coordinates."""
        return trimesh.Trimesh(self.vertices, self.faces, process=False)

    def normals(self) -> NDArray[np.float64]:
        """Unit normals of the vertices, [vertices, 3], outward."""
        return np.asarray(self.geometry().vertex_normals)

    def vertex_colours(self) -> NDArray[np.uint8]:
        """The texture's RGB at every vertex, [vertices, 3]."""
        size = self.texture.shape[0]
        column = np.clip((self.uv[:, 0] * size).astype(int), 0, size - 1)
        row = np.clip(((1 - self.uv[:, 1]) * size).astype(int), 0, size - 1)
        corner = self.texture[row, column].astype(np.float64)
        # A vertex on a seam has several places in the texture: their mean.
        total, count = np.zeros((len(self.vertices), 3)), np.zeros(len(self.vertices))
        np.add.at(total, self.faces.ravel(), corner[self.uv_faces.ravel()])
        np.add.at(count, self.faces.ravel(), 1)
        return np.round(total / np.maximum(count, 1)[:, None]).astype(np.uint8)

    def split(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """One vertex a place in the texture, as graphics cards want it.

        Returns:
            positions [corners, 3], normals [corners, 3] (of the unsplit surface, so that no seam
            shows), faces [faces, 3] into them and into `uv`.
        """
        source = np.zeros(len(self.uv), np.int64)
        source[self.uv_faces.ravel()] = self.faces.ravel()
        return self.vertices[source], self.normals()[source], self.uv_faces

    def summary(self) -> dict[str, Any]:
        """What a user wants to know: watertight, components, faces, vertices, size (world x, y, z), volume, texture.

        Watertight is manifold3d's judgement: a closed manifold that faces outward.
        """
        surface = self.geometry()
        return {
            "watertight": is_closed(surface),
            "components": int(surface.body_count),
            "faces": len(self.faces),
            "vertices": len(self.vertices),
            "size": [_rounded(float(side), 4) for side in surface.extents],
            "volume": _rounded(float(surface.volume), 6),
            "texture": self.texture.shape[0],
        }

    def save(self, path: str | Path) -> list[Path]:
        """Write the mesh; the suffix picks the format. All are +Y up with azimuth 0 on +Z, as glTF demands, and a
        world unit is a metre; only 3MF is +Z up with azimuth 0 on +X, as 3MF demands.

        `.glb` and `.obj` (with `.mtl` and `.png` beside it) carry the texture, `.ply` and `.3mf` vertex colours,
        `.stl` the shape alone. All but `.stl`, which has no place for it, say how the mesh was made: GLB in
        `asset.extras`, OBJ and PLY in a comment, 3MF in its metadata.

        Returns:
            All files written, the one asked for first.

        Raises:
            ViewmaskError: another suffix, or the disk refuses.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ViewmaskError(
                f"{path.name}: a mesh is written as {', '.join(SUFFIXES)}, not {suffix or 'no suffix'!r}"
            )
        self._check(path)
        if suffix == ".obj":
            return self._save_obj(path)
        writer = {".glb": self.glb, ".ply": self._ply, ".stl": self._stl, ".3mf": self._3mf}[suffix]
        return [atomic.write(path, writer())]

    def save_print(self, path: str | Path, size: float) -> Path:
        """Write the mesh for a printer: +Z up, on the plate, in millimetres. `.3mf` carries colours, `.stl` none.

        Args:
            size: of the longest side in millimetres.

        Raises:
            ViewmaskError: another suffix, or the disk refuses.
        """
        path = Path(path)
        self._check(path)
        low, sides = self.vertices.min(0), np.ptp(self.vertices, axis=0)
        solid = replace(self, vertices=(self.vertices - low) * (size / sides.max()))
        match path.suffix.lower():
            case ".3mf":
                return atomic.write(path, solid._3mf("millimeter"))
            case ".stl":
                return atomic.write(path, export_stl(solid.geometry()))
        raise ViewmaskError(f"{path.name}: a print is written as {' or '.join(PRINTED)}")

    def save_raw(self, path: str | Path) -> Path:
        """Write `raw` as an .npz that `numpy.load` reads: float32 `values` [x, y, z] (world units, positive inside) at
        `origin` [3] + `pitch` (i, j, k), world axes.

        Raises:
            ViewmaskError: the mesh was not made of a field, or the disk refuses.
        """
        if self.raw is None:
            raise ViewmaskError("this mesh knows no field that it was made of")
        volume, grid = self.raw
        far = np.float32(grid.pitch * max(grid.shape))  # a silhouette without an edge is infinitely deep
        if np.isnan(volume).any():
            raise ViewmaskError(f"{Path(path).name} cannot be written: the field holds numbers that are none")
        packed = io.BytesIO()
        np.savez_compressed(
            packed,
            values=np.clip(volume, -far, far),
            origin=np.asarray(grid.origin, np.float32),
            pitch=np.float32(grid.pitch),
        )
        return atomic.write(path, packed.getvalue())

    def _check(self, path: Path) -> None:
        if not len(self.faces) or not all(np.isfinite(part).all() for part in (self.vertices, self.uv)):
            raise ViewmaskError(f"{path.name} cannot be written: the mesh has no triangles, or holds no finite numbers")

    def glb(self) -> bytes:
        """The content of a GLB file of the mesh."""
        positions, normals, faces = self.split()
        material = trimesh.visual.material.PBRMaterial(
            name="texture", baseColorTexture=Image.fromarray(self.texture), metallicFactor=0.0, roughnessFactor=1.0
        )
        mesh = trimesh.Trimesh(
            positions[:, _WORLD_TO_FILE],
            faces,
            vertex_normals=normals[:, _WORLD_TO_FILE],
            visual=trimesh.visual.TextureVisuals(uv=self.uv, material=material),
            process=False,
        )

        def tell(tree: dict[str, Any]) -> None:
            tree["asset"]["extras"] = {"made_by": _MAKER, "making": dict(self.making)}

        return export_glb(trimesh.Scene([mesh]), include_normals=True, tree_postprocessor=tell)

    def _told(self) -> str:
        """How it was made as one line of ASCII: comments of OBJ and PLY know no other letters."""
        return f"{_MAKER} {json.dumps(dict(self.making), allow_nan=False)}"

    def _ply(self) -> bytes:
        mesh = trimesh.Trimesh(
            self.vertices[:, _WORLD_TO_FILE], self.faces, vertex_colors=self.vertex_colours(), process=False
        )
        magic, form, rest = export_ply(mesh, vertex_normal=True).split(b"\n", 2)
        return b"\n".join((magic, form, f"comment {self._told()}".encode(), rest))

    def _stl(self) -> bytes:
        return export_stl(trimesh.Trimesh(self.vertices[:, _WORLD_TO_FILE], self.faces, process=False))

    def _3mf(self, unit: str = "meter") -> bytes:
        """3MF core specification 1.3, colours by its materials extension; the object stands on the build plate."""
        colours, picked = np.unique(self.vertex_colours(), axis=0, return_inverse=True)
        picked = picked.ravel()  # numpy 2.0 keeps the input's dimensions
        digits = self._digits()
        right = " ".join(f"{-side:.{digits}f}" for side in self.vertices.min(0))
        lines = [f'<m:color color="#{r:02X}{g:02X}{b:02X}"/>' for r, g, b in colours]
        lines += ['</m:colorgroup><object id="2" type="model" pid="1" pindex="0"><mesh><vertices>']
        lines += [f'<vertex x="{x:.{digits}f}" y="{y:.{digits}f}" z="{z:.{digits}f}"/>' for x, y, z in self.vertices]
        lines += ["</vertices><triangles>"]
        for (a, b, c), (p, q, r) in zip(self.faces, picked[self.faces], strict=True):
            lines.append(f'<triangle v1="{a}" v2="{b}" v3="{c}" pid="1" p1="{p}" p2="{q}" p3="{r}"/>')
        model = (
            f'{_XML}<model unit="{unit}" xml:lang="en-US" '
            f'xmlns="{_3MF}/core/2015/02" xmlns:m="{_3MF}/material/2015/02">'
            f'<metadata name="Application">{_MAKER}</metadata>'
            f'<metadata name="Description">{html.escape(json.dumps(dict(self.making)))}</metadata>'
            f'<resources><m:colorgroup id="1">{"".join(lines)}</triangles></mesh></object></resources>'
            f'<build><item objectid="2" transform="1 0 0 0 1 0 0 0 1 {right}"/></build></model>'
        )
        parts = {
            "[Content_Types].xml": f'{_XML}<Types xmlns="{_OPC}/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="model" ContentType="application/vnd.ms-package.3dmanufacturing-3dmodel+xml"/></Types>',
            "_rels/.rels": f'{_XML}<Relationships xmlns="{_OPC}/relationships">'
            f'<Relationship Target="/3D/3dmodel.model" Id="model" Type="{_3MF_MODEL}"/></Relationships>',
            "3D/3dmodel.model": model,
        }
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)  # no clock: the same bytes again
        return packed.getvalue()

    def _digits(self) -> int:
        """Decimals of coordinates in text: six, and more for what is smaller than a unit."""
        return 6 + max(0, -math.floor(math.log10(max(float(np.ptp(self.vertices, axis=0).max()), 1e-30))) - 1)

    def _save_obj(self, path: Path) -> list[Path]:
        picture, material = path.with_suffix(".png"), path.with_suffix(".mtl")
        digits = self._digits()
        lines = [f"# {self._told()}", f"mtllib {material.name}", "usemtl texture"]
        lines += [f"v {x:.{digits}f} {y:.{digits}f} {z:.{digits}f}" for x, y, z in self.vertices[:, _WORLD_TO_FILE]]
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in self.uv]
        lines += [f"vn {x:.4f} {y:.4f} {z:.4f}" for x, y, z in self.normals()[:, _WORLD_TO_FILE]]
        for (a, b, c), (p, q, r) in zip(self.faces + 1, self.uv_faces + 1, strict=True):
            lines.append(f"f {a}/{p}/{a} {b}/{q}/{b} {c}/{r}/{c}")
        encoded = io.BytesIO()
        Image.fromarray(self.texture).save(encoded, "PNG")
        # The file that names the others comes last.
        atomic.write(picture, encoded.getvalue())
        atomic.write(material, f"newmtl texture\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nillum 1\nmap_Kd {picture.name}\n")
        return [atomic.write(path, "\n".join(lines) + "\n"), material, picture]


def _rounded(number: float, digits: int) -> float:
    """A number to so many decimals, and never to fewer significant digits."""
    small = 0 < abs(number) < 1
    return round(number, digits - 1 - math.floor(math.log10(abs(number))) if small else digits)
