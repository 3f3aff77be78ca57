"""A photo that somebody sent: read once, cut out, and its cut-out mended by hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import IO

import numpy as np
from PIL import Image

from viewmask.errors import ViewmaskError
from viewmask.views.cutout import CUTOUT, WAYS, CutOut, cut
from viewmask.views.picture import LARGEST, Picture, inside, read_mask, read_picture

MENDED = "your own brush"


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture and what of it is the object.

    Attributes:
        key: names it.
        name: of the file, as the command shows it.
        picture: as it was sent, uint8 RGBA, its longest side at most 1024.
        way: how it is cut out: `auto` and the like.
        shown: the cut-out, if there is one.
        trouble: why there is none.
        version: grows with each cut-out, so that browsers load it again.
    """

    key: str
    name: str
    picture: Picture
    way: str = "auto"
    shown: CutOut | None = None
    trouble: str = ""
    version: int = 0

    @classmethod
    def read(cls, file: IO[bytes], name: str) -> Photo:
        """Read a file and cut its object out.

        Raises:
            ViewmaskError: no picture, or one that cannot be read.
        """
        picture = read_picture(file, upright=True, largest=LARGEST)
        plain = PurePath(name.replace("\\", "/")).name
        plain = "".join(letter for letter in plain if letter.isprintable())[-80:]
        return cls(secrets.token_urlsafe(12), plain or "photo.png", picture).cut("auto")

    def cut(self, way: str) -> Photo:
        """The same, cut out in another way; where that fails, `trouble` says why.

        Raises:
            ViewmaskError: there is no such way.
        """
        if way not in ("auto", *WAYS):  # never a file of this machine
            raise ViewmaskError("there is no such way to cut out")
        try:
            return replace(self, way=way, shown=cut(self.picture, way), trouble="", version=self.version + 1)
        except ViewmaskError as error:
            return replace(self, way=way, shown=None, trouble=str(error), version=self.version + 1)

    def mended(self, mask: IO[bytes]) -> Photo:
        """The same with a mask that somebody painted: black is left out.

        Raises:
            ViewmaskError: no picture, one of another size, or one that tells nothing.
        """
        alpha = read_mask(mask)
        if alpha.shape != self.picture.shape[:2]:
            raise ViewmaskError("the painted cut-out has another size than the picture")
        if not inside(alpha).any():
            raise ViewmaskError("nothing is left of the picture: paint what belongs to the object")
        if inside(alpha).all():
            raise ViewmaskError("all of the picture is kept: remove what is not the object")
        # As the command line takes it: cutout.png with its own transparency.
        shown = cut(np.dstack([self.picture[..., :3], alpha]), "alpha")
        return replace(self, shown=replace(shown, how=MENDED), trouble="", version=self.version + 1)

    @property
    def source(self) -> tuple[str, str]:
        """The file, and the `--cutout`, with which the command line gets the same picture."""
        if self.shown is not None and self.shown.how == MENDED:
            return CUTOUT, "alpha"
        return self.name, self.way


def sheet(rows: Iterable[Iterable[Picture]], side: int) -> Image.Image:
    """Pictures side by side, a row for each group, every one `side` pixels large."""
    lines = [np.hstack([np.asarray(Image.fromarray(view).resize((side, side))) for view in row]) for row in rows]
    return Image.fromarray(np.vstack(lines), "RGBA")
