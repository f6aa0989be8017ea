# SPDX-License-Identifier: Apache-2.0
"""The tree of decisions: which parts of it are open, and on which decision a part is split next."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WHOLE = 1e-6  # a decision this near to 0 or 1 is made
TRIED = 6  # decisions whose two sides are solved before one is chosen, where nothing is known of them yet


@dataclass(order=True)
class Part:
    """Plans whose decisions lie between low and high (n,); none of them is worth more than `bound`."""

    key: float
    number: int
    bound: float = field(compare=False)
    low: Floats = field(compare=False)
    high: Floats = field(compare=False)

    def split(self, column: int, *, up: bool, bound: float, number: int) -> Part:
        """Return the side in which a decision is made (up) or not."""
        low, high = self.low.copy(), self.high.copy()
        (low if up else high)[column] = 1.0 if up else 0.0
        return Part(-bound, number, bound, low, high)

    def settle(self, values: Floats, slope: Floats, spare: float) -> None:
        """Make the decisions whose other side is not worth it: it costs more than `spare`, by the reduced costs.

        values, slope  of decisions where the part was bounded: the bound falls by at least |slope| a unit moved
        """
        self.high[(values <= self.low) & (self.low < self.high) & (-slope > spare)] = 0.0
        self.low[(values >= self.high) & (self.low < self.high) & (slope > spare)] = 1.0


class Tree:
    """Open parts, the best bound first, and what splitting on each decision has cost so far."""

    def __init__(self, low: Floats, high: Floats, bound: float, before: Tree | None = None) -> None:
        """Start with one part: all plans.

        before  another tree of the same decisions, whose losses are a first guess of these
        """
        self.parts = [Part(-bound, 0, bound, low, high)]
        self.closed = -inf  # best bound of parts that were left unsplit
        self.count = 1
        self.loss = np.zeros((2, len(low)))  # by decision and side: sum of losses per unit of change, and how many
        self.seen = np.zeros((2, len(low)))
        if before is not None:  # one loss of each decision: what is seen now soon outweighs it
            self.seen = np.minimum(before.seen, 1.0)
            self.loss = np.where(before.seen > 0.0, before.loss / np.maximum(before.seen, 1.0), 0.0)

    def bound(self, current: Part | None = None) -> float:
        """Return what no plan can exceed."""
        top = max((-self.parts[0].key if self.parts else -inf), self.closed)
        return max(top, current.bound) if current is not None else top

    def best(self) -> Part:
        """Take the part with the best bound."""
        return heapq.heappop(self.parts)

    def close(self, part: Part) -> None:
        """Leave a part: its bound is all that is known of it."""
        self.closed = max(self.closed, part.bound)

    def learned(self, column: int, value: float, *, up: bool, loss: float) -> None:
        """Remember what making a fractional decision has cost."""
        change = (1.0 - value) if up else value
        self.loss[int(up), column] += max(0.0, loss) / max(change, WHOLE)
        self.seen[int(up), column] += 1.0

    def split(self, part: Part, values: Floats, probe: Callable[[Part], float]) -> tuple[Part, tuple[int, float, bool]]:
        """Split a part on the decision that costs most on both sides; keep one side open, return the other.

        probe  gives the bound of a part, for decisions of which nothing is known
        """
        free = np.flatnonzero((values > WHOLE) & (values < 1.0 - WHOLE))
        cost = self._expected(free, values)
        unknown = [k for k in np.argsort(-cost) if self.seen[:, free[k]].min() == 0.0][:TRIED]
        known: dict[tuple[int, bool], float] = {}
        for k in unknown:
            for up in (False, True):
                column = int(free[k])
                found = known[column, up] = probe(part.split(column, up=up, bound=part.bound, number=0))
                self.learned(column, values[column], up=up, loss=min(part.bound - found, abs(part.bound)))
        cost = self._expected(free, values)
        column = int(free[int(np.argmax(cost))])
        up = bool(values[column] > 0.5)
        self.count += 2
        sides = [
            part.split(column, up=u, bound=min(part.bound, known.get((column, u), inf)), number=self.count + u)
            for u in (not up, up)
        ]
        heapq.heappush(self.parts, sides[0])
        return sides[1], (column, float(values[column]), up)

    def _expected(self, free: NDArray[np.int64], values: Floats) -> Floats:
        """Return the score of decisions: the product of what both sides are expected to cost (Achterberg 2007)."""
        mean = np.where(self.seen.sum() > 0.0, self.loss.sum() / max(1.0, self.seen.sum()), 1.0)
        each = np.where(self.seen > 0.0, self.loss / np.maximum(self.seen, 1.0), mean)
        down, up = each[0, free] * values[free], each[1, free] * (1.0 - values[free])
        return np.asarray(np.maximum(down, 1e-6) * np.maximum(up, 1e-6))
