"""Composed objects: whole objects and vessels, bent, tipped over and put together at random.

A network that sees a few thousand objects often begins to know them by heart. Where it should learn to see, not to
recognise, shapes need not make sense. LRM-Zero (Xie et al., NeurIPS 2024) learns from such shapes alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from trimesh.transformations import rotation_matrix, translation_matrix

from render.solid import Solid
from render.source import Source
from render.surface import Surface
from render.vessel import Vessel
from viewmask.errors import ViewmaskError

PARTS = (0.2, 0.5, 0.3)  # chances of one part, two and three
VESSELS = 1 / 3  # chance that a part is a vessel
SOLIDS = 100_000  # of which procedural objects are made


@dataclass(frozen=True)
class Composed(Source):
    """A composed object. Its looks follow from its parts and its own id."""

    parts: tuple[Source, ...] = ()
    made: ClassVar[bool] = True

    def surface(self, up: str = "y", lenient: bool = False) -> Surface:
        """See `Source.surface`.

        Raises:
            ViewmaskError: a part cannot be read.
        """
        random = np.random.default_rng(int(_digest(self.id), 16))
        whole = _bent(self.parts[0].surface(up, lenient), random)
        for part in self.parts[1:]:
            whole = Surface.joined([whole, _placed(_bent(part.surface(up, lenient), random), whole, random)])
        return whole.normalised(self.id)


def compose(sources: Sequence[Source], count: int, seed: int = 0) -> list[Composed]:
    """So many objects of one to three parts. A third of the parts are vessels; each is bent, tipped over perhaps, and
    put on, beside or into the rest.

    Args:
        sources: what the other parts are, each as likely as the others.
        seed: of the choice of parts and of everything after it.

    Raises:
        ViewmaskError: nothing to take parts from.
    """
    if not sources:
        raise ViewmaskError("nothing to compose objects from")
    random = np.random.default_rng(seed)
    all_splits = {source.about.get("split") for source in sources}
    objects = []
    for number in range(count):
        parts = tuple(
            Vessel.of(int(random.integers(10**6))) if hollow else sources[int(random.integers(len(sources)))]
            for hollow in random.random(1 + random.choice(len(PARTS), p=PARTS)) < VESSELS
        )
        about: dict[str, Any] = {"parts": [part.id for part in parts]}
        splits = {part.about.get("split") for part in parts if not isinstance(part, Vessel)} or all_splits
        if splits != {None}:
            about["split"] = splits.pop() if len(splits) == 1 else "mixed"
        # The name depends on the parts: a run that is resumed with other meshes must not take these for done.
        name = f"composed-{number:06}-{_digest(seed, *about['parts'])[:8]}"
        objects.append(Composed(name, sources[0].path, about=about, parts=parts))
    return objects


def invent(count: int, seed: int = 0) -> list[Composed]:
    """So many procedural objects: composed of solids and vessels that are made at random, with true captions.

    Args:
        seed: of everything.
    """
    objects = compose([Solid.of(number) for number in range(SOLIDS)], count, seed)
    return [
        replace(one, id=one.id.replace("composed", "procedural", 1), about=one.about | {"captions": [_caption(one)]})
        for one in objects
    ]


def _caption(one: Composed) -> str:
    """Its parts, with articles."""
    names = [part.caption for part in one.parts if isinstance(part, Solid | Vessel)]
    return " and ".join(f"{'an' if name[0] in 'aeiou' else 'a'} {name}" for name in names)


def _digest(*what: object) -> str:
    return hashlib.sha256("/".join(map(str, what)).encode()).hexdigest()[:16]


def _bent(surface: Surface, random: np.random.Generator) -> Surface:
    """Tipped over (a third of the time), stretched, tapered, sheared and twisted."""
    tip = np.pi / 2 * int(random.integers(1, 4)) if random.random() < 1 / 3 else 0.0
    turn = rotation_matrix(random.uniform(0, 2 * np.pi), (0, 0, 1)) @ rotation_matrix(tip, (1, 0, 0))
    stretch = np.diag([*np.exp(random.uniform(np.log(0.6), np.log(1.6), 3)), 1.0])
    # Turned outward first: parts that overlap would cancel out otherwise.
    surface = surface.outward().transformed(stretch @ turn)
    vertices = surface.vertices.astype(np.float64)
    height = vertices[:, 2] / max(np.abs(vertices[:, 2]).max(), 1e-9)  # -1 to 1
    taper, shear, twist = random.normal(0, 0.2), random.normal(0, 0.1, 2), random.normal(0, 0.3)
    x, y = (vertices[:, :2] * np.clip(1 + taper * height, 0.3, None)[:, None] + shear * height[:, None]).T
    cosine, sine = np.cos(twist * height), np.sin(twist * height)
    vertices[:, 0], vertices[:, 1] = cosine * x - sine * y, sine * x + cosine * y
    bent = replace(
        surface, vertices=vertices.astype(np.float32), file_normals=np.zeros_like(surface.file_normals)
    )  # the file's normals are no longer right
    return bent.normalised()


def _placed(surface: Surface, whole: Surface, random: np.random.Generator) -> Surface:
    """Smaller, and moved on, beside or into what is there."""
    surface = surface.transformed(np.diag([*[float(random.uniform(0.3, 1))] * 3, 1.0]))
    low, high = whole.box
    bottom, top = surface.box
    offset = random.uniform(low, high) - (bottom + top) / 2
    way = random.integers(3)
    if way == 0:  # on it
        offset[2] = high[2] - bottom[2] - random.uniform(0, 0.1)
    elif way == 1:  # beside it, on the same ground
        axis, side = int(random.integers(2)), bool(random.integers(2))
        sunk = random.uniform(0, 0.1)
        offset[axis] = high[axis] - bottom[axis] - sunk if side else low[axis] - top[axis] + sunk
        offset[2] = low[2] - bottom[2]
    return surface.transformed(translation_matrix(offset))
