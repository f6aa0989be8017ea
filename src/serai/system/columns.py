# SPDX-License-Identifier: Apache-2.0
"""The unknowns of a network: blocks of columns, each a quantity of a list of elements, with a scale and a start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.errors import UnknownName

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.known import Known


@dataclass(frozen=True)
class Block:
    """Columns first .. first + n of one quantity; `names[k]` carries column first + k.

    scale  what counts as one in this column, in its SI unit (Pa, kg/s, W, rad, per unit)
    """

    quantity: str
    names: tuple[str, ...]
    first: int
    scale: float
    index: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.names)

    @property
    def span(self) -> slice:
        """The place of the block in the vector of all columns."""
        return slice(self.first, self.first + len(self.names))

    def __getitem__(self, rows: NDArray[np.intp] | slice | int) -> NDArray[np.intp]:
        """Return the columns of the given element numbers."""
        return np.arange(self.first, self.first + len(self.names))[rows]


class Columns:
    """All blocks, in order."""

    def __init__(self) -> None:
        """Begin without any."""
        self.blocks: dict[str, Block] = {}
        self.size = 0
        self._starts: list[NDArray[np.float64]] = []

    def add(self, quantity: str, names: Sequence[str], scale: float, start: float | NDArray[np.float64]) -> Block:
        """Append a block of columns and return it."""
        block = Block(quantity, tuple(names), self.size, scale, {n: self.size + k for k, n in enumerate(names)})
        self.blocks[quantity] = block
        self.size += len(names)
        self._starts.append(np.broadcast_to(np.asarray(start, float), (len(names),)))
        return block

    def __contains__(self, quantity: object) -> bool:
        """Tell whether the quantity exists."""
        return quantity in self.blocks

    def __getitem__(self, quantity: str) -> Block:
        """Return the block of a quantity."""
        return self.blocks[quantity]

    def find(self, quantity: str, name: str) -> int:
        """Return the column of a quantity of an element; UnknownName when there is none."""
        block = self.blocks.get(quantity)
        if block is None or name not in block.index:
            msg = f"{name} has no {quantity} in the running network"
            raise UnknownName(msg)
        return block.index[name]

    def name(self, column: int) -> tuple[str, str]:
        """Return quantity and element of a column."""
        for block in self.blocks.values():
            if block.first <= column < block.first + len(block.names):
                return block.quantity, block.names[column - block.first]
        raise IndexError(column)

    def scales(self) -> NDArray[np.float64]:
        """Return the scale of every column (n,)."""
        parts = [np.full(len(b.names), b.scale) for b in self.blocks.values()]
        return np.concatenate(parts) if parts else np.empty(0)

    def start(self) -> NDArray[np.float64]:
        """Return the first guess of every column (n,), SI."""
        return np.concatenate(self._starts) if self._starts else np.empty(0)


@dataclass(frozen=True)
class Fixed:
    """One column that a Known closes."""

    column: int
    value: float
    known: Known
