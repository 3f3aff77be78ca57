"""glTF documents: JSON with its buffers, accessors and pictures, each checked when it is asked for (glTF 2.0)."""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from render.beside import Beside
from render.ceiling import claim
from render.formats.patch import Reading
from render.picture import decode
from viewmask.errors import ViewmaskError

INSTALL = "in viewmask's source tree: pip install torch==2.13.0 '.[gltf]'"
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
DRACO = "KHR_draco_mesh_compression"
KTX = b"\xabKTX 20\xbb\r\n\x1a\n"

_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}  # no attribute that matters has another
_JSON, _BINARY = 0x4E4F534A, 0x004E4942  # kinds of a GLB's chunks


class Document:
    """A glTF file, of either kind.

    Args:
        data: the bytes of a .glb or a .gltf; what they hold tells which.
        beside: the buffers and pictures that it refers to.

    Raises:
        ViewmaskError: it is cut off or damaged, or of another version than 2.
    """

    def __init__(self, data: bytes, reading: Reading, beside: Beside) -> None:
        self.reading, self._beside = reading, beside
        self._chunk: bytes | None = None
        text = self._unpacked(data) if data[:4] == b"glTF" else data
        try:
            self.json = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise reading.broken(f"its JSON is damaged ({error})") from error
        if not isinstance(self.json, dict):
            raise reading.broken("its JSON is not an object")
        self._check_version()
        self._views: dict[int, Any] = {}
        self._buffers: dict[int, Any] = {}
        self._accessors: dict[int, NDArray[Any]] = {}

    def _unpacked(self, data: bytes) -> bytes:
        """The JSON of a GLB; its binary chunk is kept."""
        if len(data) < 20:
            raise self.reading.broken("it is cut off")
        version, length = struct.unpack_from("<II", data, 4)
        if version != 2:
            raise self.reading.broken(f"it is GLB version {version}, and only 2 is read")
        if length > len(data):
            raise self.reading.broken(f"it is cut off: {len(data):,} of {length:,} bytes are there")
        text, at = None, 12
        while at + 8 <= length:
            size, kind = struct.unpack_from("<II", data, at)
            if at + 8 + size > len(data):
                raise self.reading.broken("it is cut off or damaged: a chunk reaches beyond its end")
            if kind == _JSON and text is None:
                text = data[at + 8 : at + 8 + size]
            elif kind == _BINARY and self._chunk is None:
                self._chunk = data[at + 8 : at + 8 + size]
            at += 8 + size
        if text is None:
            raise self.reading.broken("it has no JSON")
        return text

    def _check_version(self) -> None:
        asset = self.json.get("asset") or {}
        for key in ("version", "minVersion"):
            version = str(asset.get(key, "2.0"))
            if version.split(".")[0] != "2" or (key == "minVersion" and version != "2.0"):
                raise self.reading.broken(f"it is glTF {version}, and only 2.0 is read")

    def items(self, kind: str) -> list[dict[str, Any]]:
        """All of a kind: "nodes", "meshes" ..."""
        found = self.json.get(kind, [])
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise self.reading.broken(f"its {kind} are not a list of objects")
        return found

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """One of a kind by its number.

        Raises:
            ViewmaskError: there is none.
        """
        found = self.items(kind)
        if not isinstance(index, int) or not 0 <= index < len(found):
            raise self.reading.broken(f"it refers to number {index!r} of its {len(found)} {kind}")
        return found[index]

    # -- numbers --------------------------------------------------------------------------------

    def accessor(self, index: Any, floats: bool = True) -> NDArray[Any]:
        """The values of an accessor, [count, components], with its sparse ones; normalised integers as float32.

        Args:
            floats: whether normalised integers become floats.

        Raises:
            ViewmaskError: it reaches beyond its buffer, or is of an unknown kind.
        """
        about = self.item("accessors", index)
        if index not in self._accessors:
            self._accessors[index] = self._table(about)
        values = self._accessors[index]
        return fractions(values) if floats and about.get("normalized") else values

    def _table(self, about: dict[str, Any]) -> NDArray[Any]:
        dtype, count = self.component(about), self._count(about["count"])
        width = _WIDTHS.get(about["type"], 0)
        if not width:
            raise self.reading.broken(f"an accessor is of the type {about['type']!r}, which is not read")
        claim(count * width * dtype.itemsize, f"an accessor of {count:,} values")
        if about.get("bufferView") is None:
            values = np.zeros((count, width), dtype)
        else:
            values = self._rows(about, count, width, dtype)
        sparse = about.get("sparse")
        if sparse:
            some = self._count(sparse["count"])
            where = self._rows(sparse["indices"], some, 1, self.component(sparse["indices"]))[:, 0]
            if some and where.max() >= count:
                raise self.reading.broken("a sparse accessor replaces values that it lacks")
            values = values.copy()
            values[where] = self._rows(sparse["values"], some, width, dtype)
        return values

    def component(self, about: dict[str, Any]) -> np.dtype[Any]:
        """The type of an accessor's numbers, as stored.

        Raises:
            ViewmaskError: unknown.
        """
        kind = _COMPONENTS.get(about["componentType"])
        if kind is None:
            raise self.reading.broken(f"an accessor's componentType is {about['componentType']}, which is unknown")
        return np.dtype(kind)

    def _count(self, count: Any) -> int:
        if not isinstance(count, int) or count < 0:
            raise self.reading.broken(f"a count is {count!r}")
        return count

    def _rows(self, about: dict[str, Any], count: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Values [count, width] in a buffer view, whose number and offset `about` gives."""
        index, offset = about["bufferView"], self._count(about.get("byteOffset", 0))
        data = self.view(index)
        stride = self._count(self.item("bufferViews", index).get("byteStride") or width * dtype.itemsize)
        if count and offset + stride * (count - 1) + width * dtype.itemsize > len(data):
            raise self.reading.broken("an accessor reaches beyond its buffer: the file is cut off or damaged")
        if not count:
            return np.zeros((0, width), dtype)
        rows: NDArray[Any] = np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))
        return np.ascontiguousarray(rows)

    # -- bytes ----------------------------------------------------------------------------------

    def view(self, index: Any) -> memoryview:
        """The bytes of a buffer view, decompressed.

        Raises:
            ViewmaskError: it reaches beyond its buffer, or cannot be decompressed.
        """
        about = self.item("bufferViews", index)
        if index not in self._views:
            packed = next((about["extensions"][name] for name in MESHOPT if name in about.get("extensions", {})), None)
            self._views[index] = self._slice(about) if packed is None else self._decompressed(about, packed)
        view: memoryview = self._views[index]
        return view

    def _slice(self, about: dict[str, Any]) -> memoryview:
        start, length = self._count(about.get("byteOffset", 0)), self._count(about["byteLength"])
        data = self._buffer(about["buffer"])
        if start + length > len(data):
            raise self.reading.broken(
                f"its buffer {about['buffer']} has {len(data):,} bytes and {start + length:,} are needed: "
                "it is cut off or damaged"
            )
        return data[start : start + length]

    def _buffer(self, index: Any) -> memoryview:
        about = self.item("buffers", index)
        if index not in self._buffers:
            uri = about.get("uri")
            if uri is not None:
                data = self._referred(uri)
            elif index == 0 and self._chunk is not None:
                data = self._chunk
            else:
                raise self.reading.broken(f"its buffer {index} is nowhere")
            self._buffers[index] = memoryview(data)
        buffer: memoryview = self._buffers[index]
        return buffer

    def _referred(self, uri: Any) -> bytes:
        """The bytes that a URI gives: its own, or those of a file beside."""
        if not isinstance(uri, str):
            raise self.reading.broken(f"a URI is {uri!r}")
        if not uri.startswith("data:"):
            return self._beside.find(uri)
        kind, _, body = uri.partition(",")
        try:
            return base64.b64decode(body) if kind.endswith(";base64") else unquote_to_bytes(body)
        except binascii.Error as error:
            raise self.reading.broken(f"a data URI is damaged ({error})") from error

    def _decompressed(self, about: dict[str, Any], packed: dict[str, Any]) -> memoryview:
        try:
            import meshopt
        except ImportError:
            try:  # files for everyone carry the same uncompressed
                return self._slice(about)
            except ViewmaskError:
                raise ViewmaskError(f"{self.reading.name} needs meshopt: {INSTALL}") from None
        count, stride = self._count(packed["count"]), self._count(packed["byteStride"])
        claim(count * stride, "a compressed buffer view")
        source = bytes(self._slice(packed))
        try:
            rows = meshopt.decode_gltf_buffer(source, count, stride, packed["mode"], packed.get("filter", "NONE"))
        except (ValueError, RuntimeError, TypeError, KeyError) as error:
            raise self.reading.broken(f"a buffer view compressed by meshopt is damaged ({error})") from error
        if packed["mode"] != "ATTRIBUTES":
            rows = rows.astype(f"<u{stride}")
        return memoryview(np.ascontiguousarray(rows).tobytes())

    def image(self, index: Any) -> tuple[bytes, str]:
        """The file of a picture, and what to call it.

        Raises:
            ViewmaskError: it is missing, or of a kind that is not read.
        """
        about = self.item("images", index)
        uri = about.get("uri")
        named = uri if uri and not uri.startswith("data:") else about.get("name")
        name = str(named) if named else f"number {index}"
        data = bytes(self.view(about["bufferView"])) if uri is None else self._referred(uri)
        if data.startswith(KTX) or about.get("mimeType") == "image/ktx2":
            raise ViewmaskError(
                f"the picture {name} is KTX2 (KHR_texture_basisu), which is not read: write PNG or JPEG"
            )
        return data, name

    def picture(self, index: Any) -> NDArray[np.uint8]:
        """The pixels of a picture, uint8 [height, width, 4].

        Raises:
            ViewmaskError: it is missing, damaged, or of a kind that is not read.
        """
        return decode(*self.image(index))

    def draco(self, packed: dict[str, Any]) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]] | None:
        """Attributes and triangles of a primitive compressed by Draco; None if DracoPy is absent.

        Integers are as they were before normalising, perhaps in a wider type.

        Raises:
            ViewmaskError: damaged.
        """
        try:
            import DracoPy
        except ImportError:
            return None
        try:
            mesh = DracoPy.decode(bytes(self.view(packed["bufferView"])))
            attributes = {
                name: mesh.get_attribute_by_unique_id(number)["data"] for name, number in packed["attributes"].items()
            }
            return attributes, np.asarray(mesh.faces, dtype=np.int64)
        except ViewmaskError:
            raise
        except Exception as error:  # its errors are plain Exceptions
            raise self.reading.broken(
                f"a mesh compressed by Draco (KHR_draco_mesh_compression) is damaged: {error}"
            ) from error


def fractions(values: NDArray[Any]) -> NDArray[Any]:
    """Integers as float32 shares of their type's largest, in 0 to 1 or -1 to 1; floats as they are."""
    if not np.issubdtype(values.dtype, np.integer):
        return values
    whole = np.float32(np.iinfo(values.dtype).max)
    return np.maximum(values.astype(np.float32) / whole, np.float32(-1))
