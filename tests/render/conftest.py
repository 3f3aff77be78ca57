"""GLB files written by hand, byte by byte after the glTF 2.0 specification: nobody's loader checks itself."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

# A square in the file's plane z = 0 that faces the file's front (+Z), first corner lower left.
SQUARE = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]], np.float32)
SQUARE_FACES = np.array([[0, 1, 2], [0, 2, 3]], np.uint16)
SQUARE_UV = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)  # glTF: (0, 0) is the picture's upper left


def _glb(positions=SQUARE, faces=SQUARE_FACES, uv=None, colours=None, factor=None, picture=None, node=None):
    chunk, views, accessors = b"", [], []

    def view(data):
        nonlocal chunk
        chunk += b"\0" * (-len(chunk) % 4)
        views.append({"buffer": 0, "byteOffset": len(chunk), "byteLength": len(data)})
        chunk += data
        return len(views) - 1

    def accessor(array, kind, component, **more):
        accessors.append(
            {"bufferView": view(array.tobytes()), "componentType": component, "count": len(array), "type": kind} | more
        )
        return len(accessors) - 1

    positions = np.asarray(positions, np.float32)
    bounds = (
        {"min": positions.min(0).tolist(), "max": positions.max(0).tolist()} if np.isfinite(positions).all() else {}
    )
    attributes = {"POSITION": accessor(positions, "VEC3", 5126, **bounds)}
    indices = accessor(np.asarray(faces, np.uint16).reshape(-1), "SCALAR", 5123)
    if uv is not None:
        attributes["TEXCOORD_0"] = accessor(np.asarray(uv, np.float32), "VEC2", 5126)
    if colours is not None:
        attributes["COLOR_0"] = accessor(np.asarray(colours, np.float32), "VEC4", 5126)
    rough = {"metallicFactor": 0} | ({} if factor is None else {"baseColorFactor": [*factor, 1]})
    document = {"asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}]}
    document["nodes"] = [{"mesh": 0} | (node or {})]
    primitive = {"attributes": attributes, "indices": indices}
    if factor is not None or picture is not None:
        primitive["material"] = 0
    if picture is not None:
        file = io.BytesIO()
        Image.fromarray(np.asarray(picture, np.uint8)).save(file, "PNG")
        rough["baseColorTexture"] = {"index": 0}
        document |= {"images": [{"bufferView": view(file.getvalue()), "mimeType": "image/png"}]}
        document |= {"textures": [{"source": 0, "sampler": 0}], "samplers": [{"wrapS": 10497, "wrapT": 10497}]}
    document["meshes"] = [{"primitives": [primitive]}]
    document["materials"] = [{"pbrMetallicRoughness": rough}]
    chunk += b"\0" * (-len(chunk) % 4)
    document |= {"buffers": [{"byteLength": len(chunk)}], "bufferViews": views, "accessors": accessors}
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(chunk), 0x004E4942) + chunk
    return struct.pack("<III", 0x46546C67, 2, 12 + len(body)) + body


@pytest.fixture
def make_glb():
    """A function that writes one primitive as GLB bytes; a square facing +Z unless told."""
    return _glb


@pytest.fixture
def square_uv():
    """Texture coordinates that show a whole picture upright on the square."""
    return SQUARE_UV
