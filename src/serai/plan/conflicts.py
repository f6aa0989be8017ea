# SPDX-License-Identifier: Apache-2.0
"""Which bounds contradict each other when no plan keeps them all: an irreducible set, by name.

More capacity is never worse in a stress test, and nothing forces a plan to sign or sell. So bounds contradict each
other exactly when some stress test fails with every project built as early as it may be and no open contract signed:
each such test is a conflict of its own. A deletion filter (Chinneck & Dravnieks 1991, ORSA J. Comput. 3:157) then
leaves of its bounds only those without any one of which the test would pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.plan.neutrality import elements
from serai.plan.problem import Problem
from serai.plan.recourse import best_flows
from serai.plan.scenarios import expected
from serai.plan.stress import FIRST, left, stands
from serai.plan.value import Decisions, capacities, firm_sales, peak_demand

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.plan.neutrality import Element, Neutrality

    Floats = NDArray[np.float64]

TINY = 1e-6  # bcm


@dataclass(frozen=True)
class Conflict:
    """A stress test that no plan passes: what it asks, without which element, first when, how much lacks [bcm].

    bounds  that contradict each other: an irreducible set, without any one of which the test would pass
    """

    test: str
    element: str
    year: int
    lacks: float
    bounds: tuple[str, ...]

    def __str__(self) -> str:
        """Say it as a sentence."""
        unit = "bcm/y on the peak day" if self.test == "homes" else "bcm"
        without = f" without {self.element}" if self.element else ""
        return (
            f"{self.test}{without} lack {self.lacks:.2f} {unit} in {self.year} even with every project; in conflict: "
            f"{', '.join(self.bounds)}"
        )


def everything(problem: Problem) -> Decisions:
    """Return the decisions with every project as early as it may be, no open contract, all capacity booked."""
    x = np.maximum.accumulate(problem.allowed, axis=1).astype(float)
    names = [p.name for p in problem.case.projects]
    for _ in names:
        for i, p in enumerate(problem.case.projects):
            if p.after:
                x[i] *= x[names.index(p.after)]
    u = np.ones(len(problem.sales))
    u[problem.open_contracts] = 0.0
    return Decisions(x, u, capacities(problem, x)[2])


def conflicts(problem: Problem, rule: Neutrality) -> list[Conflict]:
    """Return every stress test of a neutrality that no plan passes, with the bounds that contradict each other."""
    sure, at = Problem(problem.case, expected(problem.case)), everything(problem)
    tests: list[tuple[Element | None, str]] = []
    if rule.max_loss is not None or rule.survive:
        tests.append((None, "homes"))
    if rule.survive:
        parts = [e for e in elements(problem.case) if rule.survive == "any one element" or e.kind == "corridor"]
        tests += [(e, t) for e in parts for t in ("homes", "firm export")]
    if not tests:
        return []
    found = left(sure, at, [[e] if e else [] for e, _ in tests])
    firm = rule.cover * (at.u @ firm_sales(problem))
    out = []
    for k, (e, test) in enumerate(tests):
        lacks = firm - found.exported[k] if test == "firm export" else np.maximum(found.missing[k], found.unserved[k])
        late = np.flatnonzero((lacks > TINY) & (np.arange(len(lacks)) >= rule.since))
        if len(late):
            y = int(late[0])
            peak = test == "homes" and found.missing[k, y] >= found.unserved[k, y]
            bounds = _irreducible(sure, at, e, y, firm[y] if test == "firm export" else 0.0, peak=peak)
            named = f"survive {rule.survive!r}: {e.name}" if e else "homes are served"
            out.append(Conflict(test, e.name if e else "", int(problem.years[y]), float(lacks[y]), (named, *bounds)))
    return out


def _irreducible(p: Problem, at: Decisions, lost: Element | None, y: int, need: float, *, peak: bool) -> list[str]:
    """Delete bounds one by one for as long as the test still fails; return those that stay."""
    arcs, case = p.arcs, p.case
    capacity = stands(p, at, [[lost] if lost else []])[0, y]
    demand = peak_demand(p)[:, y, None] * p.days if peak else p.scenarios.home[:, 0, y]
    capacity[arcs.home] = demand
    capacity[arcs.sale] = 0.0 if peak else np.inf
    groups: list[tuple[str, NDArray[np.int64], float]] = [
        *((f"capacity of corridor {c.name}", arcs.corridor[i], np.inf) for i, c in enumerate(case.corridors)),
        *((f"capacity of link {x.name}", np.r_[arcs.forth[i], arcs.back[i]], np.inf) for i, x in enumerate(case.links)),
        *((f"output of the fields of {h}", arcs.field[i], np.inf) for i, h in enumerate(case.hubs)),
        *((f"{'peak ' if peak else ''}demand of {h}", arcs.home[i], 0.0) for i, h in enumerate(case.hubs)),
    ]
    gone = lost.name if lost and lost.lost >= 1.0 else ""  # its own capacity is what the test takes away
    kept = []
    for name, places, free in groups:
        if name in (f"capacity of corridor {gone}", f"capacity of link {gone}"):
            continue
        before = capacity[places].copy()
        capacity[places] = free
        if not _fails(p, capacity, need):
            capacity[places] = before
            kept.append(name)
    if need > 0.0:
        kept.append(f"firm sales of {need:.1f} bcm")
    return kept


def _fails(p: Problem, capacity: Floats, need: float) -> bool:
    """Tell whether homes lack gas, or less than `need` can be exported when they are served."""
    arcs = p.arcs
    cost = np.zeros(len(capacity))
    cost[arcs.home], cost[arcs.sale] = -FIRST, -1.0
    finite = np.where(np.isfinite(capacity), capacity, 1e6)  # bcm: more than any plan moves
    flow = best_flows(arcs.tail, arcs.head, cost[None], finite[None]).flow[0]
    return bool(flow[arcs.home].sum() < finite[arcs.home].sum() - TINY or flow[arcs.sale].sum() < need - TINY)
