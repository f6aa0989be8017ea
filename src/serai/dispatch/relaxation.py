# SPDX-License-Identifier: Apache-2.0
"""A relaxation of the gas laws that bounds from below how far any choice of set-points must break the limits.

    minimise s,    p_min - s <= p <= p_max + s  at every limit,    the laws between straight lines, choices 0 or 1

Nothing that the exact laws allow is excluded, so s > 0 at the optimum proves that the nomination cannot be carried, and
s is the least worst violation in bar. At s = 0 its point and its choices are where the exact search begins.

Bounds come first: flows by limits, balances and the drop that the pressures leave; then, one column after the other, by
the linear relaxation (optimisation-based bound tightening). The narrower they are, the nearer the lines.

References:
[1] M. Pfetsch et al., Validation of nominations in gas network optimization, Optim. Methods Softw. 30(1):15-53, 2015,
    doi 10.1080/10556788.2014.888426 (relaxation, choices, tightening).
[2] B. Geissler, A. Martin, A. Morsi, L. Schewe, Using piecewise linear functions for solving MINLPs, in Mixed Integer
    Nonlinear Programming, Springer 2012, doi 10.1007/978-1-4614-1927-3_10 (bands around pieces).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.nomination_bounds import Bounds, chains, first_bounds, propagate
from serai.dispatch.nomination_machines import Envelope, envelopes
from serai.dispatch.nomination_model import BAR
from serai.dispatch.nomination_program import INFINITY, Answer, answer
from serai.dispatch.nomination_rows import DEVICES, Rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from serai.dispatch.nomination_bounds import Chain
    from serai.dispatch.nomination_model import Task

    Floats = NDArray[np.float64]

PIECES = 6  # most pieces of one chain
MANY = 180  # pieces in all: a first point has fewer in each chain where it would have more
FINE = 0.15  # u, about bar: error of a chain's losses below which it is not cut further
WORST, FINEST = 8, 4  # chains refined at a time, and how often pieces double
NARROW = 0.05  # kg/s: a chain is not tightened further
SECOND = 30.0  # s for a second opinion on a bound
SHUTTING = 10.0  # s for the search of devices that need not stand open
STEPS = (5.0, 20.0, 80.0)  # bar: by which limits are widened to see how far they must be broken
RUNNING, STANDING = 0.1, 0.003  # what an active and an open device cost beside a whole margin
GAP = 0.15  # of a margin: a point need not be the best one
PROVEN = 1e-3  # bar: a bound below it proves nothing


@dataclass(frozen=True)
class Point:
    """One answer of the relaxation.

    modes     element -> "closed", "open" or "active", for valves, check valves, control valves and stations
    u, flow   potentials (n,) and flows [kg/s] (e,); slack [bar]
    draw      what leaves each free node is balanced by these flows
    """

    modes: Mapping[str, str]
    u: Floats
    flow: Floats
    slack: float


@dataclass
class Relaxation:
    """The relaxation of one task, with bounds as tight as it has got."""

    task: Task
    seconds: float = 60.0
    dropped: frozenset[tuple[str, str]] = frozenset()
    chains: list[Chain] = field(default_factory=list)
    envelopes: dict[str, Envelope] = field(default_factory=dict)
    bounds: dict[float, Bounds] = field(default_factory=dict)
    finer: dict[int, int] = field(default_factory=dict)
    softened: Point | None = None  # the point of the last least violation

    def __post_init__(self) -> None:
        """Find the chains of flow and what stations can do."""
        t = self.task
        self.until = time.perf_counter() + self.seconds
        self.chains, self.known = chains(t, {d.node for d in t.drives})
        c = t.network.active("compressors")
        if len(c):
            at = {name: k for k, name in enumerate(t.names)}
            inlet = [at[str(n)] for n in c["from_node"]]
            hard = np.fmax(t.low[inlet], c["pressure_in_min"]) - c["pressure_loss_in"]
            hard = np.where(c["drag_factor_in"] > 0.0, BAR, np.maximum(hard, BAR))  # machines stand behind the losses
            self.hard = envelopes(t.network, t.fluid, hard, t.high[inlet], t.kappa)
            # a limit may be broken by the widest step: what a machine can do must hold there too
            low = np.maximum(hard - STEPS[-1] * BAR, BAR)
            self.wide = envelopes(t.network, t.fluid, low, t.high[inlet] + STEPS[-1] * BAR, t.kappa)
        else:
            self.wide = self.hard = {}

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.until - time.perf_counter()

    # ------------------------------------------------------------------------------------------------------ bounds

    def tight(self, slack: float) -> Bounds:
        """Return bounds for limits widened by `slack` [bar]: propagated, then tightened by the linear relaxation."""
        if slack not in self.bounds:
            b = first_bounds(self.task, self.known, slack * BAR)
            propagate(self.task, b, self.chains)
            self.bounds[slack] = b
            for _ in range(2):
                if b.empty() or not self._tighten(b):
                    break
                propagate(self.task, b, self.chains)
        return self.bounds[slack]

    def rows(self, slack: float, pieces: Mapping[int, int] | None = None) -> Rows:
        """Return the rows for limits widened by at most `slack` [bar]."""
        bounds = self.tight(slack)
        envelope = self.wide if slack > 0.0 else self.hard
        return Rows(self.task, bounds, self.chains, envelope, self.pieces(bounds) if pieces is None else pieces,
                    self.dropped)  # fmt: skip

    def _tighten(self, b: Bounds) -> bool:
        """Minimise and maximise the flow of each chain over the linear relaxation; False = no point is left."""
        rows = Rows(self.task, b, self.chains, self.wide if b.slack else self.hard, {}, self.dropped)
        h = rows.program.highs(relaxed=True)
        h.setOptionValue("presolve", "off")
        columns = [rows.flow[c.edges[0]][0] for c in self.chains]
        order = sorted(range(len(columns)), key=lambda k: -float(np.ptp(b.m[self.chains[k].edges[0]])))
        for k in order:
            column, edge = columns[k], self.chains[k].edges[0]
            if column < 0 or np.ptp(b.m[edge]) < NARROW or self.left < 0.0:
                continue
            for side, sign in ((0, 1.0), (1, -1.0)):
                h.changeColCost(column, sign)
                found = answer(h, whole=False)
                h.changeColCost(column, 0.0)
                if found.status == "infeasible":
                    b.u[0] = (1.0, 0.0)
                    return False
                if found.status != "optimal":
                    continue
                value = sign * found.value - sign * (1e-6 * abs(found.value) + 1e-5)
                if sign * (value - b.m[edge, side]) > 0.0:
                    b.m[edge, side] = value
                    h.changeColBounds(column, float(b.m[edge, 0]), float(b.m[edge, 1]))
        return True

    def pieces(self, b: Bounds, most: int = PIECES) -> dict[int, int]:
        """Return into how many pieces each chain is cut, so that its losses are known to FINE: `most`, or refined."""
        out = {}
        for number, c in enumerate(self.chains):
            error = 0.0
            for k in c.edges:
                e = self.task.edges[k]
                if e.curve is None or e.kind == "constant" or np.ptp(b.m[k]) <= NARROW:
                    continue
                y = e.curve(np.linspace(b.m[k, 0], b.m[k, 1], 5))
                error += float(np.max(np.abs(y - np.linspace(y[0], y[-1], 5))))
            count = int(np.ceil(np.sqrt(error / FINE))) if error > FINE else 1
            out[number] = min(max(count, 1), most) * self.finer.get(number, 1)
            if error > FINE and b.m[c.edges[0], 0] < 0.0 < b.m[c.edges[0], 1]:
                out[number] = max(out[number], 2)
        return out

    def refine(self, point: Point) -> None:
        """Draw the lines nearer where a point is furthest from the laws: twice the pieces for the worst chains."""
        t, off = self.task, dict[int, float]()
        for number, c in enumerate(self.chains):
            for k in c.edges:
                e = t.edges[k]
                if e.curve is None or e.kind == "constant":
                    continue
                lost = float(e.curve(point.flow[[k]])[0])
                off[number] = off.get(number, 0.0) + abs(lost - float(point.u[e.start] - point.u[e.end]))
        for number in sorted(off, key=lambda n: -off[n])[:WORST]:
            self.finer[number] = min(2 * self.finer.get(number, 1), FINEST)

    def _some_pieces(self) -> dict[int, int]:
        """Return the pieces for a point: as many as for a proof, or fewer where they would be MANY."""
        bounds = self.tight(0.0)
        for most in range(PIECES, 1, -1):
            found = self.pieces(bounds, most)
            if sum(v for v in found.values() if v > 1) <= MANY:
                break
        return found

    # ------------------------------------------------------------------------------------------------------- solve

    def point(self, excluded: Iterable[Mapping[str, str]] = ()) -> Point | None:
        """Return a point with all limits kept, well inside them and with few machines; None when there is none.

        excluded  choices of modes not to come back with
        """
        if self.tight(0.0).empty():
            return None
        rows = self.rows(0.0, self._some_pieces())
        p = rows.program
        p.cost[rows.margin] = -1.0
        for modes in rows.modes.values():  # few machines, and no rings through which gas could flow either way
            for mode, column in modes.items():
                p.cost[column] = RUNNING if mode == "active" else STANDING
        for choice in excluded:
            _exclude(rows, choice)
        found = p.solve(self.left, options={"mip_rel_gap": GAP, "mip_abs_gap": GAP})
        self.ended = found.status
        return self.read(rows, self._shut(rows, found)) if len(found.x) else None

    def _shut(self, rows: Rows, found: Answer) -> Answer:
        """Shut what need not stand open, the active devices as they are: gas then has one way to go."""
        p, x = rows.program, found.x
        p.low[rows.margin] = float(x[rows.margin]) * (1.0 - 1e-6) - 1e-6
        p.cost[rows.margin] = 0.0
        for modes in rows.modes.values():
            if "active" in modes:
                p.low[modes["active"]] = p.high[modes["active"]] = round(float(x[modes["active"]]))
        fewer = p.solve(min(0.2 * self.left, SHUTTING), start=x)
        return fewer if len(fewer.x) else found

    def read(self, rows: Rows, found: Answer) -> Point:
        """Turn columns into a point."""
        x = found.x
        flow = np.array([(x[c] if c >= 0 else 0.0) * s + o for c, s, o in rows.flow])
        modes = {}
        for e in self.task.edges:
            if e.kind in DEVICES:
                columns = rows.modes[e.element]
                modes[e.element] = next((m for m, c in columns.items() if x[c] > 0.5), "closed")
        return Point(modes, x[rows.u], flow, float(x[rows.slack]))

    def violation(self) -> tuple[float, Rows | None, Answer | None]:
        """Return a proven lower bound [bar] on the worst violation, and the program and point that it comes from.

        What a solver calls infeasible or bounds is believed when the linear relaxation says so too, or a second solve
        without presolve.
        """
        bound = 0.0
        for slack in STEPS:
            if self.left < 0.0:
                break
            if self.tight(slack).empty():
                bound = slack
                continue
            rows = self.rows(slack)
            rows.program.cost[rows.slack] = 1.0
            rows.program.high[rows.margin] = 0.0
            found = rows.program.solve(self.left)
            self.softened = self.read(rows, found) if len(found.x) else None
            proven = min(found.bound, self._again(rows, found.bound)) if found.bound > PROVEN else found.bound
            if np.isinf(proven):
                bound = slack
                continue
            return max(bound, proven - 1e-5), rows, found
        return bound, None, None

    def _again(self, rows: Rows, claimed: float) -> float:
        """Return a bound [bar] on the slack found by other means: linear, else with whole numbers and no presolve."""
        h = rows.program.highs(relaxed=True)
        h.setOptionValue("presolve", "off")
        plain = answer(h, whole=False)
        if plain.status == "infeasible" and np.isinf(claimed):
            return INFINITY
        second = rows.program.solve(min(self.left, SECOND), options={"presolve": "off"})
        return max(plain.bound, second.bound)


def _exclude(rows: Rows, choice: Mapping[str, str]) -> None:
    """Add a row that at least one device is in another mode."""
    terms, ones = [], 0
    for element, mode in choice.items():
        for name, column in rows.modes[element].items():
            if name == mode:
                terms.append((column, -1.0))
                ones += 1
            else:
                terms.append((column, 1.0))
    rows.program.row(terms, low=1.0 - ones)


__all__ = ["Point", "Relaxation"]
