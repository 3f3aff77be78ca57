"""Epochs: every row once, in an order of chance, before any comes again."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray


class Epochs:
    """Draws rows of several kinds, each kind by epochs of its own.

    What a step draws is a function of how many rows came before it. So the position is all that a resumed run needs,
    however many processes split the rows of a step.

    Args:
        seed: of the orders.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._step = -1
        self._before: dict[str, int] = {}  # rows drawn of each kind before the present step, and with it
        self._after: dict[str, int] = {}
        self._orders: dict[str, tuple[int, NDArray[np.int64]]] = {}

    @property
    def position(self) -> dict[str, int]:
        """The seed, and how many rows of each kind were drawn."""
        return {"seed": self._seed} | {f"rows {kind}": count for kind, count in self._after.items()}

    @position.setter
    def position(self, record: dict[str, int]) -> None:
        self._seed, self._step = record["seed"], -1
        self._after = {name.removeprefix("rows "): count for name, count in record.items() if name != "seed"}
        self._orders = {}

    def begin(self, step: int) -> None:
        """A step begins; parts of the same step draw the same rows."""
        if step != self._step:
            self._step, self._before = step, dict(self._after)

    def take(self, kind: str, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """The next rows of a kind.

        Args:
            kind: its name.
            rows: all of them.
            count: how many are wanted.
        """
        start = self._before.get(kind, 0)
        self._after[kind] = start + count
        at = np.arange(start, start + count)
        taken = np.empty(count, rows.dtype)
        for epoch in range(start // len(rows), (start + count - 1) // len(rows) + 1):
            here = at // len(rows) == epoch
            taken[here] = rows[self._order(kind, epoch, len(rows))[at[here] % len(rows)]]
        return taken

    def _order(self, kind: str, epoch: int, length: int) -> NDArray[np.int64]:
        known, order = self._orders.get(kind, (-1, np.zeros(0, np.int64)))
        if known != epoch:
            order = np.random.default_rng([self._seed, zlib.crc32(kind.encode()), epoch]).permutation(length)
            self._orders[kind] = epoch, order
        return order
