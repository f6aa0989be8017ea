# SPDX-License-Identifier: Apache-2.0
"""Columns, rows and the instances of laws that tie them: what a network becomes before anything is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.laws import LAWS, Law
from serai.system.columns import Columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.intp]
    Floats = NDArray[np.float64]


@dataclass
class Stamp:
    """All instances of one law that belong together.

    rows, columns   equation and column numbers (law.rows, n), (len(law.columns), n)
    parameters      (len(law.parameters), n), SI; a job rewrites those that change with time
    names           the element of each instance
    """

    law: Law
    rows: Ints
    columns: Ints
    parameters: Floats
    names: tuple[str, ...]
    steady: bool = True  # False: takes part in transient jobs only; whoever adds the stamp says so

    def set(self, **parameters: Any) -> None:
        """Overwrite parameters by their symbol."""
        for symbol, value in parameters.items():
            self.parameters[self.law.parameters.index(symbol)] = value

    def get(self, symbol: str) -> Floats:
        """Return one parameter of every instance (n,)."""
        return np.asarray(self.parameters[self.law.parameters.index(symbol)])

    def without(self, gone: NDArray[np.bool_]) -> Stamp:
        """Return the stamp without some of its instances (n,); its parameters are a copy."""
        keep = np.flatnonzero(~gone)
        names = tuple(self.names[k] for k in keep)
        return Stamp(self.law, self.rows[:, keep], self.columns[:, keep], self.parameters[:, keep], names, self.steady)


@dataclass
class Equations:
    """The laws of one network, not yet closed by Knowns.

    row_names   (law or balance, element) of every equation
    row_scales  what counts as one in an equation, in its own unit
    """

    columns: Columns = field(default_factory=Columns)
    stamps: list[Stamp] = field(default_factory=list)
    row_blocks: list[tuple[str, tuple[str, ...], int, float]] = field(default_factory=list)
    size: int = 0

    def add_rows(self, label: str, names: Sequence[str], scale: float) -> Ints:
        """Append equations of one label, one for each name, and return their numbers (n,)."""
        first, n = self.size, len(names)
        self.row_blocks.append((label, tuple(names), first, scale))
        self.size += n
        return np.arange(first, first + n)

    def add(
        self,
        law: str,
        names: Sequence[str],
        rows: Sequence[Any],
        columns: Sequence[Any],
        **parameters: Any,
    ) -> Stamp:
        """Append the instances of a law; parameters are scalars or arrays (n,) by symbol."""
        found = LAWS[law]
        n = len(names)
        if set(parameters) != set(found.parameters):
            msg = f"law {law} takes {found.parameters}, got {tuple(parameters)}"
            raise TypeError(msg)
        values = np.empty((len(found.parameters), n))
        for k, symbol in enumerate(found.parameters):
            values[k] = parameters[symbol]
        stamp = Stamp(
            found,
            np.array([np.broadcast_to(r, (n,)) for r in rows], dtype=np.intp).reshape(found.rows, n),
            np.array([np.broadcast_to(c, (n,)) for c in columns], dtype=np.intp).reshape(len(found.columns), n),
            values,
            tuple(names),
        )
        if n:
            self.stamps.append(stamp)
        return stamp

    def row_name(self, row: int) -> tuple[str, str]:
        """Return label and element of an equation."""
        for label, names, first, _ in self.row_blocks:
            if first <= row < first + len(names):
                return label, names[row - first]
        raise IndexError(row)

    def row_scales(self) -> Floats:
        """Return the scale of every equation (size,)."""
        parts = [np.full(len(names), scale) for _, names, _, scale in self.row_blocks]
        return np.concatenate(parts) if parts else np.empty(0)

    def stamps_of(self, law: str) -> list[Stamp]:
        """Return the stamps of a law."""
        return [s for s in self.stamps if s.law.name == law]
