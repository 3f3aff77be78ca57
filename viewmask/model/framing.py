"""Framing: how large an object is in a view of the orbit, and where in it, told from a picture of it alone.

A cut-out picture is framed by its own edges, so scale and place are lost. The model then works with objects that are
too large or too small for it. In a view of the orbit the longest side of the object's box is 1, and its middle stands
in the middle: how that looks depends on how deep and how high the object is. A small network guesses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from viewmask.errors import ViewmaskError
from viewmask.learning import checkpoint
from viewmask.model.reference import EXTENT, square
from viewmask.views.conventions import SIZE
from viewmask.views.picture import Picture, inside, premultiplied, resize


@dataclass(frozen=True)
class Place:
    """Where the square of a reference view lies in the square of a view of the orbit.

    Attributes:
        zoom: its side, as a share of the view's.
        down, right: from the middle of the view to its middle, as shares of the view's side.
    """

    zoom: float = 1.0
    down: float = 0.0
    right: float = 0.0

    @classmethod
    def of(cls, view: Picture) -> Place | None:
        """Where in a view its object stands; None where it shows nothing."""
        shown = inside(view[..., 3])
        if not shown.any():
            return None
        (top, bottom), (left, right) = (np.flatnonzero(shown.any(axis=axis))[[0, -1]] for axis in (1, 0))
        size, middle = len(view), len(view) / 2
        longest = max(bottom - top, right - left) + 1
        down, across = ((first + last + 1) / 2 - middle for first, last in ((top, bottom), (left, right)))
        return cls(longest / EXTENT / size, down / size, across / size)

    def view(self, reference: Picture) -> Picture:
        """The view that shows a reference view's object at this place, uint8 RGBA [256, 256, 4]."""
        side = max(1, round(SIZE * self.zoom))
        return square(resize(reference, side), SIZE, (side / 2 - SIZE * self.down, side / 2 - SIZE * self.right))


MEAN, SPREAD = (0.0, 0.02, 0.0), (0.16, 0.05, 0.03)
"""Of what is learnt: the logarithm of the zoom, down and right, in views of the shared sets."""
_FARTHEST = (1.0, 0.4, 0.4)  # of these three: no view of a unit box goes beyond


@dataclass(frozen=True)
class FramingConfig:
    """Architecture of the network.

    Attributes:
        size: side of the picture that it looks at.
        width: channels at a half of that side; each halving doubles them, up to four times as many.
        hidden: width of the layer before the last.
        dropout: share of features that is hidden while learning.
    """

    size: int = 48
    width: int = 24
    hidden: int = 128
    dropout: float = 0.2


class _Residual(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(c_in, c_out, 3, stride, padding=1)
        self.second = nn.Conv2d(c_out, c_out, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, c_out) for _ in range(2))
        self.skip = nn.Conv2d(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norms[0](self.first(x)))
        return F.relu(self.skip(x) + self.norms[1](self.second(inner)))


class Framing(nn.Module):
    """Reference views, premultiplied RGBA in [0, 1], [n, 4, size, size], to places [n, 3] in units of SPREAD.

    Raises:
        ViewmaskError: a size that is no multiple of 16, or a width that is no multiple of 8.
    """

    def __init__(self, config: FramingConfig) -> None:
        super().__init__()
        if config.size % 16 or config.width % 8:
            raise ViewmaskError(f"framing needs a size that 16 divides and a width that 8 divides, not {config}")
        self.config = config
        width, squares = config.width, (config.size // 16) ** 2
        self.look = nn.Sequential(
            nn.Conv2d(4, width, 5, 2, padding=2),
            nn.ReLU(),
            _Residual(width, width, 1),
            _Residual(width, 2 * width, 2),
            _Residual(2 * width, 4 * width, 2),
            _Residual(4 * width, 4 * width, 2),
        )
        self.tell = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(config.dropout),
            nn.Linear(4 * width * squares, config.hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, len(SPREAD)),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.tell(self.look(pictures))

    @classmethod
    def load(cls, folder: str | Path) -> Framing:
        """Read its folder.

        Raises:
            ViewmaskError: missing or damaged weights.
        """
        return checkpoint.load(folder, cls, FramingConfig)[0]

    @torch.inference_mode()
    def place(self, reference: Picture) -> Place:
        """Where the object of a reference view, framed by its edges, stands in a view of the orbit.

        Raises:
            ViewmaskError: the weights are damaged.
        """
        seen = looked_at(resize(reference, self.config.size)[None])
        told = unit(self(seen)[0].float())
        if not told.isfinite().all():
            raise ViewmaskError("the weights of framing/ are damaged: they tell no place")
        farthest = torch.tensor(_FARTHEST)
        log_zoom, down, right = told.clamp(-farthest, farthest).tolist()
        return Place(math.exp(log_zoom), down, right)

    def view(self, reference: Picture) -> Picture:
        """A reference view as a view of the orbit shows it, uint8 RGBA [256, 256, 4]."""
        return self.place(reference).view(reference)


def looked_at(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures uint8 RGBA [n, size, size, 4] as the network looks at them, [n, 4, size, size]."""
    return torch.from_numpy(premultiplied(pictures)).permute(0, 3, 1, 2)


def target(place: Place) -> NDArray[np.float32]:
    """A place as the network tells it, float32 [3]."""
    return np.asarray((np.array([np.log(place.zoom), place.down, place.right]) - MEAN) / SPREAD, np.float32)


def unit(told: Tensor) -> Tensor:
    """What the network tells [..., 3] as logarithm of the zoom, down and right."""
    return told * torch.tensor(SPREAD) + torch.tensor(MEAN)
