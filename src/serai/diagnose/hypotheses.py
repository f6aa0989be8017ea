# SPDX-License-Identifier: Apache-2.0
"""Every single thing that may be wrong, as one unknown b with a direction, and how well each explains a scan.

A wrong reading is a direction among the readings, a leak or theft a mass balance that does not close, a position that
is not as said a law that does not hold (Clements & Costa 1988, IEEE Trans. Power Syst. 3:126). All have one test: by
the best b the sum of squares falls by g^2 / I, with g and I from the kept factors of the estimate. What b is worth and
what it can be confused with follow from the same factors, so a scan is tested against hundreds of hypotheses at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from serai.diagnose.switches import CLOSED, OPEN, Switches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from serai.estimate import Estimate

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

TESTED = 1e-6  # share of what the readings nearest to it could tell, below which nothing tests a hypothesis
LAW_KINDS = {
    "mass balance": "leak", "active power balance": "power loss", "momentum": "position", "pressure drop": "position",
    "pressure ratio": "position", "compression power": "efficiency", "turbine fuel": "efficiency",
    "plant fuel": "efficiency", "motor": "efficiency",
}  # fmt: skip
OUTWARD = ("leak", "power loss", OPEN, CLOSED)  # gas goes away, a stop is a stop: only a positive size makes sense
OF_A_PIPE = "resistance"  # a pipe's momentum: roughness, efficiency, deposits; a valve's is its position


@dataclass(frozen=True)
class Hypotheses:
    """All hypotheses of one estimate, (n,) each: readings first, then laws, then what stands as not said.

    kind, where   what is wrong and of which element (a meter's tag, a node, a branch)
    reading       number of the reading, -1 for others
    law           number of the law row, -1 for others
    slope, information   g and I: the statistic is g / sqrt(I), the size g / I in the unit of the direction
    outward       a leak takes gas away and a stop is a stop: only a positive size makes sense
    told          what the faults told before share with every hypothesis (n_told, n), scaled: I = 1 of each, and 0
                  between them
    spread        of each statistic on clean days (n,); empty = 1: see `score`
    moved         how the state moves with them (n_told, n_free), scaled; amount (n_told,) by how much
    """

    estimate: Estimate
    kind: tuple[str, ...]
    where: tuple[str, ...]
    reading: Ints
    law: Ints
    slope: Floats
    information: Floats
    outward: NDArray[np.bool_]
    switches: Switches
    told: Floats = field(default_factory=lambda: np.empty((0, 0)))
    moved: Floats = field(default_factory=lambda: np.empty((0, 0)))
    amount: Floats = field(default_factory=lambda: np.empty(0))
    spread: Floats = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.kind)

    def statistic(self) -> Floats:
        """Return g / sqrt(I), standard normal while nothing is wrong; 0 where untested or of an absurd sign."""
        seen = self.information > 0.0
        z = np.where(seen, self.slope / np.sqrt(np.where(seen, self.information, 1.0)), 0.0)
        return np.where(self.outward & (z < 0.0), 0.0, z)

    def score(self) -> Floats:
        """Return the statistic over its spread on clean days: what is held against a threshold."""
        return self.statistic() / self.spread if len(self.spread) else self.statistic()

    def spreading(self, spread: Mapping[tuple[str, str], float]) -> Hypotheses:
        """Return the same hypotheses with the spreads that clean days have taught, by kind and element."""
        if not spread:
            return self
        return replace(self, spread=np.array([spread.get(key, 1.0) for key in self.keys()]))

    def keys(self) -> zip[tuple[str, str]]:
        """Yield (kind, element) of every hypothesis."""
        return zip(self.kind, self.where, strict=True)

    def shared(self, k: int) -> Floats:
        """Return I between hypothesis k and every hypothesis (n,), beside the faults told: one solution."""
        return self._solved(k)[0]

    def _solved(self, k: int) -> tuple[Floats, Floats]:
        """Return what number k shares with all (n,), and how the state moves with it (n_free,)."""
        e, p = self.estimate, self.estimate._ready()  # noqa: SLF001 - the factors may stand at another scan
        d, c = np.zeros(len(e.meters)), np.zeros(p.m)
        if self.reading[k] >= 0:
            d[self.reading[k]] = 1.0
        elif self.law[k] >= 0:
            c[self.law[k]] = 1.0
        else:
            self.switches.into(d, c, k - (len(self) - len(self.switches)))
        y = p.lu.solve(e._right_side(d, c))  # noqa: SLF001 - the right side of a direction
        inside = p.h_columns >= 0
        seen = np.bincount(p.h_rows[inside], (p.H * y[np.maximum(p.h_columns, 0)])[inside], minlength=len(e.meters))
        by_reading = e.weight * (d - seen)
        by_law = y[p.n :] / p.row_unit
        plain = np.concatenate([
            by_reading[self.reading[self.reading >= 0]], by_law[self.law[self.law >= 0]],
            self.switches.dot(by_reading, by_law),
        ])  # fmt: skip
        if not len(self.told):
            return plain, y[: p.n]
        known = self.told[:, k]
        return plain - known @ self.told, y[: p.n] - known @ self.moved

    def beside(self, k: int) -> Hypotheses:
        """Return the same hypotheses with the unknown of number k among those that are free (Gram and Schmidt)."""
        own, moved = self._solved(k)
        root = own[k] ** 0.5
        left = self.information - (own / root) ** 2
        left[left < TESTED * self.information] = 0.0  # the fault told explains it: nothing else tests it any more
        left[k] = 0.0
        slope = self.slope - own * (self.slope[k] / own[k])
        told = np.vstack([*self.told, own / root])
        moved, amount = np.vstack([*self.moved, moved / root]), np.append(self.amount, self.slope[k] / root)
        return replace(self, slope=slope, information=left, told=told, moved=moved, amount=amount)


def hypotheses(estimate: Estimate) -> Hypotheses:
    """Return every hypothesis of an estimate with its slope and information; none where it has not converged."""
    e = estimate
    if not e.converged:
        none, no = np.empty(0), np.empty(0, np.intp)
        return Hypotheses(e, (), (), no, no, none, none, np.empty(0, np.bool_), Switches.none())
    network, switches = e.network, Switches.at(e)
    checked = np.flatnonzero(np.isfinite(e.normalised))
    labels = e.laws
    rows = np.array([j for j, (label, _) in enumerate(labels) if label in LAW_KINDS], dtype=np.intp)
    kinds, places = ["reading"] * len(checked), [e.meters[k].name for k in checked]
    for j in rows:
        label, name = labels[j]
        element = name.split(" [cell")[0]
        pipe = label == "momentum" and network.kind_of(element) == "pipes"
        kinds.append(OF_A_PIPE if pipe else LAW_KINDS[label])
        places.append(element)
    law_slope = e.multipliers
    weighted = np.where(e.used, e.weight * np.nan_to_num(e.residuals), 0.0)
    slope = [weighted[checked], law_slope[rows], switches.dot(weighted, law_slope) + switches.slope]
    information = [e.weight[checked] ** 2 * e.omega[checked], e.multiplier_variance[rows], _of_switches(e, switches)]
    n = len(checked) + len(rows) + len(switches)
    reading, law = np.full(n, -1, np.intp), np.full(n, -1, np.intp)
    reading[: len(checked)] = checked
    law[len(checked) : len(checked) + len(rows)] = rows
    kinds += switches.kinds
    groups = ["reading"] * len(checked) + [labels[j][0] for j in rows] + [*switches.kinds]
    outward = np.array([k in OUTWARD for k in kinds])
    return Hypotheses(
        e, tuple(kinds), (*places, *switches.names), reading, law, np.concatenate(slope),
        _tested(np.concatenate(information), groups), outward, switches,
    )  # fmt: skip


def _of_switches(e: Estimate, switches: Switches) -> Floats:
    """Return the information on every branch's direction: one solution each."""
    if not len(switches):
        return np.empty(0)
    readings, laws = np.zeros((len(switches), len(e.meters))), np.zeros((len(switches), e.problem.m))
    for k in range(len(switches)):
        switches.into(readings[k], laws[k], k)
    return e.score(readings, laws).information + switches.information


def _tested(information: Floats, laws: list[str]) -> Floats:
    """Put information to nothing that is rounding beside that of the other rows of the same law (and unit)."""
    found = information.copy()
    of = np.array(laws)
    for law in set(laws) - {"reading"}:  # of a reading nothing but rounding is left where it is critical
        mine = of == law
        known = found[mine & (found > 0.0)]
        found[mine & (found < TESTED * (float(np.median(known)) if len(known) else 0.0))] = 0.0
    return found
