"""Patches: triangles of one material, as a file has them; what every reader of a format gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from render.texture import Floats, Texture, to_linear
from viewmask.errors import ViewmaskError

BLEND = -1.0  # the cutoff of what blends
Y_UP = np.eye(4)
Z_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])  # +Z up, front -Y: to +Y up, front +Z
X_UP = np.array([[0.0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@dataclass(frozen=True, eq=False)
class Patch:
    """Triangles with one material.

    Attributes:
        vertices: in the file's coordinates, float64 [vertices, 3].
        faces: int [faces, 3].
        colours: linear base colour, float32 [3] or at every corner [faces, 3, 3]; multiplies the texture.
        uv: texture coordinates at every corner, float32 [faces, 3, 2], origin at the lower left; None for none.
        texture: what the faces wear, or None. Its alpha counts only if `alpha` is not None.
        normals: at every corner, [faces, 3, 3], zero where the file has none; or None.
        alpha: share of a ray that faces stop, at every corner [faces, 3] if not one, times the texture's alpha; None
            where all is solid.
        cutoff: alpha below it is a hole, and from it on solid; `BLEND` where alpha is the share that is stopped.
        emission: linear light of its own, [3] or at every corner [faces, 3, 3]; multiplies `emission_texture`; None
            for none.
        emission_texture: or None.
        emission_uv: where `emission_texture` is looked up, as `uv`; None for `uv`.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[Any]
    colours: Floats | None = None
    uv: NDArray[Any] | None = None
    texture: Texture | None = None
    normals: NDArray[Any] | None = None
    alpha: float | Floats | None = None
    cutoff: float = BLEND
    emission: Floats | None = None
    emission_texture: Texture | None = None
    emission_uv: NDArray[Any] | None = None


@dataclass
class Reading:
    """What is said while one file is read.

    Attributes:
        name: of the file, for messages.
        lenient: whether what is absent or unreadable beside the mesh is a note, rather than a failure.
        notes: what is left out or doubtful, a sentence each.
    """

    name: str
    lenient: bool = False
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Say something once, in the manifest's record of the object."""
        if text not in self.notes:
            self.notes.append(text)

    def lacks(self, reason: str) -> None:
        """Fail because a part of the object is absent or unreadable, or note it if lenient.

        Raises:
            ViewmaskError: not lenient.
        """
        if not self.lenient:
            raise ViewmaskError(f"{self.name}: {reason} (--lenient renders what is there)")
        self.note(reason)

    def broken(self, reason: str) -> ViewmaskError:
        """The error of a file that cannot be read right."""
        return ViewmaskError(f"cannot read {self.name} as a mesh: {reason}")


def linear(srgb: ArrayLike) -> Floats:
    """Linear light of sRGB shares in 0 to 1, of any shape."""
    shares = np.nan_to_num(np.asarray(srgb, dtype=np.float64), nan=0.0, posinf=1.0)
    return to_linear(np.round(np.clip(shares, 0, 1) * 255))


def shares(colours: NDArray[Any], whole: float | None = None) -> NDArray[np.float64]:
    """Colours as shares of 1: of `whole`, or of 255 where any is above 1."""
    values = np.asarray(colours, dtype=np.float64)
    if whole is None:
        whole = 255.0 if values.size and np.nanmax(values) > 1 else 1.0
    return values / whole


def numbers(tokens: Sequence[bytes] | Sequence[str], reading: Reading, what: str) -> NDArray[np.float64]:
    """Words as float64 [words].

    Raises:
        ViewmaskError: one of them is no number.
    """
    try:
        return np.array(tokens, dtype=np.float64)
    except ValueError as error:
        raise reading.broken(f"{what} that are no numbers ({error})") from error


def counts(tokens: Sequence[bytes] | Sequence[str], reading: Reading, what: str) -> NDArray[np.int64]:
    """Words as int64 [words].

    Raises:
        ViewmaskError: one of them is no whole number.
    """
    try:
        return np.array(tokens, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise reading.broken(f"{what} that are no whole numbers ({error})") from error
