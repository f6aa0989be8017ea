# SPDX-License-Identifier: Apache-2.0
"""Values held to limits, all at once: which conditions are true, with a dead band."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.alarms.rationale import SIDES
from serai.units import to_si, unit_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from serai.alarms.rationale import Rationale, Record
    from serai.network import Network

    Floats = NDArray[np.float64]


SAME = {"supplied": "supply", "delivered": "withdrawal"}  # results and readings name these differently


@dataclass(frozen=True, slots=True)
class Watched:
    """One value of one element that a record holds to a limit, SI.

    column      its place in the array of values
    record      the rule
    where       the element
    limit, dead_band   SI
    """

    column: int
    record: Record
    where: str
    limit: float
    dead_band: float


def watched(book: Rationale, network: Network, values: Sequence[tuple[str, str]]) -> Iterator[Watched]:
    """Yield what the records of limits say of `values`, each (quantity, element); a limit not given is none."""
    rules: dict[tuple[str, str], list[Record]] = {}
    for r in book.of_limits():
        for kind in r.kinds:
            rules.setdefault((kind, r.quantity), []).append(r)
    kept: dict[tuple[str, str], Mapping[str, float]] = {}
    for column, (quantity, where) in enumerate(values):
        kind = network.kind_of(where) if where in network else ""
        for r in rules.get((kind, SAME.get(quantity, quantity)), ()):
            limits = kept.get((r.key, kind))
            if limits is None:
                limits = kept[r.key, kind] = _limits(r, kind, network)
            if where in limits:
                yield Watched(column, r, where, limits[where], r.dead_band * unit_factor(r.unit, network))


def unit_factor(unit: str, network: Network) -> float:
    """Return SI over `unit` of a difference."""
    density = network.gas.standard_density
    return to_si(1.0, unit, density) - unit_of(unit).offset


def _limits(r: Record, kind: str, network: Network) -> dict[str, float]:
    """Return the limit [SI] of every element in service of a kind that a record is for."""
    t = network.active(kind)
    if isinstance(r.set_point, str):
        base = network.limit(kind, r.set_point, t)
    else:
        base = np.full(len(t), to_si(r.set_point, r.unit, network.gas.standard_density))
    found = base * r.factor + r.offset * unit_factor(r.unit, network)
    wanted = np.isfinite(found)
    if r.only:
        wanted &= np.isin(t["kind"].astype(str), r.only)
    if r.elements:
        wanted &= np.isin(np.asarray(t.names, dtype=str), r.elements)
    return {str(t.names[k]): float(found[k]) for k in np.flatnonzero(wanted)}


@dataclass(frozen=True)
class Limits:
    """Conditions in columns, (n,) each.

    slot       number of the condition
    column     place of its value in the array of values
    sign       1 = high, -1 = low
    limit, dead_band   SI
    """

    slot: NDArray[np.intp]
    column: NDArray[np.intp]
    sign: Floats
    limit: Floats
    dead_band: Floats

    @classmethod
    def of(cls, slots: Sequence[int], held: Sequence[Watched]) -> Limits:
        """Return the conditions of what is watched, under the numbers `slots`."""
        return cls(
            np.array(slots, dtype=np.intp),
            np.array([w.column for w in held], dtype=np.intp),
            np.array([SIDES[w.record.side] for w in held]),
            np.array([w.limit for w in held]),
            np.array([w.dead_band for w in held]),
        )

    def past(self, values: Floats) -> NDArray[np.bool_]:
        """Return which conditions (n,) have their value past its limit, dead band apart; not known (nan) = not."""
        return np.asarray(self.sign * (values[self.column] - self.limit) > 0.0)

    def check(self, values: Floats, before: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which conditions (n,) are true; what is not known (nan) stays as it was `before` (n,)."""
        beyond = self.sign * (values[self.column] - self.limit)
        with np.errstate(invalid="ignore"):
            return (beyond > 0.0) | (before & ~(beyond <= -self.dead_band))
