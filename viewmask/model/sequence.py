"""Sequences: how text and views line up for the transformer, in the paper's four layouts.

    t2i  <t2i> text <soi> view <eoi>                         alignment, text to picture
    mmu  <mmu> <soi> view <eoi> text                         alignment, picture to text
    i2mv <i2mv> [text] <soi> view <eoi> ...                  the first view is given
    t2mv <t2mv> text <soi> view <eoi> ...                    all views are made

The text is a field of fixed length filled with <pad>, which is attended to like any word, in
training and in use alike (LLaDA's way), so there is no attention mask to get wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from viewmask.errors import ViewmaskError
from viewmask.model.vocabulary import EOI, I2MV, LENGTH, MMU, SOI, T2I, T2MV

NOWHERE = -1  # row, column of what is not part of a view


@dataclass(frozen=True)
class Layout:
    """The arrangement of one batch of sequences.

    Attributes:
        task: special word that opens the sequence.
        azimuths: of each view, in degrees relative to the first.
        given: how many of the first views are known from the start.
        text: length of the text field; 0 leaves it out.
        text_last: the text stands behind the views (captioning).
    """

    task: int
    azimuths: tuple[float, ...]
    given: int = 0
    text: int = LENGTH
    text_last: bool = False

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.azimuths)

    @property
    def words(self) -> int:
        """Number of words: task, text, and <soi>, <eoi> of every view."""
        return 1 + self.text + 2 * self.views


def azimuths(views: int) -> tuple[float, ...]:
    """Azimuths of `views` evenly spaced views, in degrees.

    Raises:
        ViewmaskError: fewer than one.
    """
    if views < 1:
        raise ViewmaskError(f"at least one view is needed, not {views}")
    return tuple(360.0 * index / views for index in range(views))


def t2i() -> Layout:
    """Text to one picture (alignment)."""
    return Layout(T2I, (0.0,))


def mmu() -> Layout:
    """One picture to text (alignment, captioning)."""
    return Layout(MMU, (0.0,), given=1, text_last=True)


def i2mv(azimuths: tuple[float, ...] = azimuths(4), with_text: bool = False) -> Layout:
    """One reference view to the others."""
    return Layout(I2MV, azimuths, given=1, text=LENGTH if with_text else 0)


def t2mv(azimuths: tuple[float, ...] = azimuths(4)) -> Layout:
    """Text to views."""
    return Layout(T2MV, azimuths)


@dataclass(frozen=True)
class Places:
    """Where every element of a sequence stands: int64 or float32 tensors [length].

    Attributes:
        visual: whether it is a visual token, bool.
        index: position in the sequence.
        azimuth: degrees of its view (0 outside views).
        row, column: in the grid of its view, NOWHERE outside; <soi> and <eoi> belong to a view without a place in it.
        in_view: whether it belongs to a view, bool.
    """

    visual: Tensor
    index: Tensor
    azimuth: Tensor
    row: Tensor
    column: Tensor
    in_view: Tensor


def places(layout: Layout, grid: int, device: torch.device | str = "cpu") -> Places:
    """The places of a layout whose views have `grid` x `grid` tokens."""
    words = [(False, 0.0, NOWHERE, NOWHERE, False)]
    field = words * layout.text
    views: list[tuple[bool, float, int, int, bool]] = []
    for azimuth in layout.azimuths:
        border = (False, azimuth, NOWHERE, NOWHERE, True)
        views += [border, *((True, azimuth, r, c, True) for r in range(grid) for c in range(grid)), border]
    elements = words + (views + field if layout.text_last else field + views)
    visual, azimuths, rows, columns, in_view = zip(*elements, strict=True)
    return Places(
        torch.tensor(visual, device=device),
        torch.arange(len(elements), device=device),
        torch.tensor(azimuths, device=device),
        torch.tensor(rows, device=device),
        torch.tensor(columns, device=device),
        torch.tensor(in_view, device=device),
    )


def words(layout: Layout, captions: Tensor) -> Tensor:
    """All words of a batch in the order of the sequence.

    Args:
        layout: the arrangement.
        captions: word ids of the text field, int64 [batch, layout.text].

    Returns:
        int64 [batch, layout.words].
    """
    batch, device = len(captions), captions.device
    task = torch.full((batch, 1), layout.task, device=device)
    borders = torch.tensor([SOI, EOI] * layout.views, device=device).expand(batch, -1)
    parts = [task, borders, captions] if layout.text_last else [task, captions, borders]
    return torch.cat(parts, dim=1)


def text_slice(layout: Layout) -> slice:
    """Where the text field lies among the words."""
    start = 1 + 2 * layout.views if layout.text_last else 1
    return slice(start, start + layout.text)
