# SPDX-License-Identifier: Apache-2.0
"""The master problem: decisions, bounds on dependence, and what the yearly networks have taught about value.

    maximise  phi - builds - bookings,   phi <= sum_y theta_jy + m_j u   for every weighing j of the futures

(1 - lambda) E[V] + lambda CVaR_beta(V) is the least of sum_s p_s w_s V_s over weights w of mean 1 between 1 - lambda
and 1 - lambda + lambda / beta (Rockafellar, Uryasev & Zabarankin 2006, Finance Stoch. 10:51). So any weighing bounds it
from above, and the futures themselves need not stand in the master. theta_jy is the money of a year under weighing j;
cuts hold it below the concave value functions of `value`. One HiGHS instance is kept; cuts are added, old ones go.

Years in which a project cannot be decided share the column of the year before; corridors whose booking costs nothing
are booked as far as they stand and have no column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np

from serai.errors import NotConverged, PhysicsRefused
from serai.plan.neutrality import tightest
from serai.plan.value import Decisions, capacities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem
    from serai.plan.value import Bounds, Policy

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

INFINITY = highspy.kHighsInf
IDLE, CROWD = 60, 400  # solves in which a cut did not bind before it goes; cuts that may be idle before any goes
SLACK = 1e-6  # of weights of futures
STAYS, SHARE = -1, -2  # rows that are no cuts; those of shares go when the bound on them changes
NOTHING = np.empty(0, dtype=np.int32)
ENDED = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)
# How a program is solved whose kept basis has gone bad, in turn: nothing is left out before, so that a status is one
# of the program itself. 1 = dual, 4 = primal simplex; the defaults stand first, for after.
USUAL: dict[str, str | int] = {"solver": "choose", "simplex_strategy": 1, "presolve": "choose"}
ANEW: tuple[dict[str, str | int], ...] = (
    {"solver": "simplex", "simplex_strategy": 1, "presolve": "off"},
    {"solver": "simplex", "simplex_strategy": 4, "presolve": "off"},
    {"solver": "ipm", "presolve": "off"},
)


def settle(highs: highspy.Highs) -> highspy.HighsModelStatus:
    """Solve a program from where its last solve ended, and anew where that ends in numbers that say nothing.

    After hundreds of cuts added and dropped the basis that is kept can be too near to singular.
    """
    highs.run()
    if highs.getModelStatus() in ENDED:
        return highs.getModelStatus()
    for how in ANEW:
        highs.clearSolver()
        for name, value in how.items():
            highs.setOptionValue(name, value)
        highs.run()
        if highs.getModelStatus() in ENDED:
            break
    for name, usual in USUAL.items():
        highs.setOptionValue(name, usual)
    return highs.getModelStatus()


@dataclass(frozen=True)
class Places:
    """Where the variables stand: x (P, Y), u (open,), booked (C, Y), volume, revenue (W, Y, B), phi; -1 = no column."""

    x: Ints
    u: Ints
    booked: Ints
    volume: Ints
    revenue: Ints
    phi: int
    count: int

    @classmethod
    def of(cls, p: Problem, rule: Neutrality) -> Places:
        """Number the variables that the problem and its bounds need."""
        n_y, flows = len(p.years), (len(p.ways[0]), len(p.years), len(p.parts))
        bounded = bool(rule.limits)
        late = np.arange(n_y) >= rule.since
        volume = bounded and "volume" in rule.measures
        revenue = (bounded and "revenue" in rule.measures) or rule.max_loss is not None
        needed = [
            p.allowed,
            np.ones(len(p.open_contracts), dtype=bool),
            p.booking_cost > 0.0,
            np.broadcast_to((late & volume)[:, None], flows),
            np.broadcast_to((late & revenue)[:, None], flows),
        ]
        count, found = 0, []
        for need in needed:
            places = np.full(need.shape, -1)
            places[need] = count + np.arange(int(need.sum()))
            count += int(need.sum())
            found.append(places)
        x, u, booked, flow, money = found
        return cls(np.maximum.accumulate(x, axis=1) if x.size else x, u, booked, flow, money, count, count + 1)

    @property
    def integers(self) -> Ints:
        """Columns of builds and signatures, that come first."""
        return np.arange(max(self.x.max(initial=-1), self.u.max(initial=-1)) + 1)


@dataclass(frozen=True)
class Prices:
    """Prices of risk and of dependence: weight of each future (S,) of mean 1, fee and toll on each way (W, Y)."""

    weight: Floats
    fee: Floats
    toll: Floats


@dataclass(frozen=True)
class Answer:
    """A solution of the master: decisions, its bound on the objective, values and reduced costs of all variables."""

    decisions: Decisions
    bound: float
    values: Floats
    slope: Floats


class Master:
    """The relaxed master of one problem under one neutrality and one attitude to risk.

    risk  lambda, the weight of the mean of the worst `tail` share of futures
    """

    def __init__(self, problem: Problem, neutrality: Neutrality, risk: float, tail: float) -> None:
        """Build decisions, shares and risk; no cut yet, so the first bound is only the ceiling on yearly money."""
        self.problem, self.neutrality, self.risk, self.tail = problem, neutrality, risk, tail
        self.at = Places.of(problem, neutrality)
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        self.highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call
        self.highs.setOptionValue("threads", 1)
        self.row_names: list[str] = []
        self.idle: Ints = np.empty(0, dtype=np.int64)  # solves since a row last bound; negative: STAYS, SHARE
        self.weighings: list[Floats] = []
        self.signed: list[float] = []  # money of what is signed anyway, by weighing
        self.theta: list[Ints] = []
        self._add_columns()
        self._add_builds()
        self._add_shares()

    # ------------------------------------------------------------------------------------------------------ building

    def _add_columns(self) -> None:
        p, at = self.problem, self.at
        low, high, cost = np.zeros(at.count), np.full(at.count, INFINITY), np.zeros(at.count)
        high[at.integers] = 1.0
        low[at.revenue[at.revenue >= 0]] = low[at.phi] = -INFINITY
        np.subtract.at(cost, at.x[at.x >= 0], p.build_cost[at.x >= 0])
        cost[at.booked[at.booked >= 0]] = -p.booking_cost[at.booked >= 0]
        cost[at.phi] = 1.0
        self.highs.addCols(at.count, cost, low, high, 0, NOTHING, NOTHING, np.empty(0))
        self.highs.changeObjectiveSense(highspy.ObjSense.kMaximize)

    def weigh(self, weight: Floats) -> int:
        """Let a weighing of the futures (S,) bound the plan; return its number."""
        p, at = self.problem, self.at
        n_y, n_b, count = len(p.years), len(p.parts), self.highs.getNumCol()
        ceiling = np.repeat(np.full(n_y, self._ceiling()) * p.discount, n_b)
        size = n_y * n_b
        self.highs.addCols(size, np.zeros(size), np.full(size, -INFINITY), ceiling, 0, NOTHING, NOTHING, np.empty(0))
        theta = np.arange(count, count + size).reshape(n_y, n_b)
        money = np.einsum("s,y,gsy->g", p.scenarios.probability * weight, p.discount, p.fixed)
        signed = np.delete(money, p.open_contracts).sum()
        columns = np.concatenate([[at.phi], theta.ravel(), at.u])
        values = np.concatenate([[1.0], -np.ones(size), -money[p.open_contracts]])
        self._row(f"weighing {len(self.weighings)}", columns, values, high=float(signed))
        self.weighings.append(weight)
        self.theta.append(theta)
        self.signed.append(float(signed))
        return len(self.weighings) - 1

    def live(self, j: int) -> bool:
        """Whether a weighing is one that this attitude to risk allows."""
        low, high, w = 1.0 - self.risk, 1.0 - self.risk + self.risk / self.tail, self.weighings[j]
        return bool(w.min() >= low - SLACK and w.max() <= high + SLACK)

    def ask(self, neutrality: Neutrality, risk: float) -> None:
        """Change bounds on shares and the attitude to risk; all cuts stay true.

        Shares that were not bounded at all when the master was made have no columns to be bounded by.
        """
        self.neutrality, self.risk = neutrality, risk
        old = np.flatnonzero(self.idle == SHARE)
        self._drop(old)
        self._add_shares()
        for j, signed in enumerate(self.signed):
            row = self.row_names.index(f"weighing {j}")
            self.highs.changeRowBounds(row, -INFINITY, signed if self.live(j) else INFINITY)

    def _ceiling(self) -> float:
        """Return more than any year can earn, [million USD]."""
        p = self.problem
        most = 1.0 - self.risk + self.risk / self.tail  # what a future can weigh
        return most * float(np.maximum(p.margin, 0.0).max() * (p.produced.sum(axis=0).max() + p.adds("fields").sum()))

    def _add_builds(self) -> None:
        """Built stays built; stages in their order; nothing is booked beyond what stands."""
        p, at = self.problem, self.at
        names = [q.name for q in p.case.projects]
        for i, project in enumerate(p.case.projects):
            first = names.index(project.after) if project.after else i
            for y, when in enumerate(p.years):
                if y and at.x[i, y] > at.x[i, y - 1] >= 0:
                    self._row(f"{project.name} stays built {when}", [at.x[i, y], at.x[i, y - 1]], [1.0, -1.0], low=0.0)
                if project.after and at.x[i, y] >= 0:
                    row = f"{project.name} after {project.after} {when}"
                    self._row(row, [at.x[first, y], at.x[i, y]], [1.0, -1.0], low=0.0)
        adds = p.adds("corridors")
        for c, corridor in enumerate(p.case.corridors):
            for y in np.flatnonzero(at.booked[c] >= 0).tolist():
                built = [(i, y - q.lead) for i, q in enumerate(p.case.projects) if adds[c, i] and y >= q.lead]
                columns = [at.booked[c, y], *(at.x[b] for b in built)]
                values = [1.0, *(-adds[c, i] for i, _ in built)]
                self._row(f"capacity of {corridor.name} {p.years[y]}", columns, values, high=corridor.capacity)

    def _add_shares(self) -> None:
        """share_b <= alpha sum, on expected volume and revenue of each year, written without a division."""
        p, at, rule = self.problem, self.at, self.neutrality
        for measure, places in (("volume", at.volume), ("revenue", at.revenue)):
            if measure not in rule.measures:
                continue
            for d, limit in tightest(p, rule.limits, nested=measure == "volume"):
                values = np.repeat(d.ways - limit, places.shape[2])
                for y in range(rule.since, len(p.years)):
                    name = f"{d.dimension} {d.name}, share of {measure} {p.years[y]}"
                    self._row(name, places[:, y].ravel(), values, high=0.0, kind=SHARE)

    def _row(
        self, name: str, columns: Sequence[int] | Ints, values: Sequence[float] | Floats,
        *, low: float = -INFINITY, high: float = INFINITY, kind: int = STAYS,
    ) -> None:  # fmt: skip
        """Add a row that stays; columns may repeat, -1 is nothing."""
        index, value = np.asarray(columns, dtype=np.int64), np.asarray(values, dtype=np.float64)
        dense = np.zeros(self.highs.getNumCol())
        np.add.at(dense, index[index >= 0], value[index >= 0])
        kept = np.flatnonzero(dense).astype(np.int32)
        self.highs.addRow(low, high, len(kept), kept, dense[kept])
        self.row_names.append(name)
        self.idle = np.append(self.idle, kind)

    # ---------------------------------------------------------------------------------------------------------- cuts

    def add_value(self, found: Policy, prices: Prices, j: int, against: Answer | None, least: float = 0.0) -> float:
        """Add what a policy under weighing j teaches: theta_jy <= its bound + fee F_y + toll R_y.

        Only bounds that an answer breaks by more than `least` are added (None, or one without this weighing: all).
        Return by how much it does, in all.
        """
        p, at, theta = self.problem, self.at, self.theta[j]
        wanted, broken = np.ones(theta.shape, dtype=bool), 0.0
        if against is not None and theta.max() < len(against.values):
            says = found.bounds.at(p, against.decisions)
            for places, price in ((at.volume, prices.fee), (at.revenue, prices.toll)):
                amount = np.where(places >= 0, against.values[places], 0.0)
                says += np.einsum("wy,wyb->yb", price, amount)
            excess = against.values[theta] - says
            wanted, broken = excess > least, float(excess.sum())
        years, parts = np.nonzero(wanted)
        dense, constant = self._affine(found.bounds, years, parts)
        for k, (y, b) in enumerate(zip(years, parts, strict=True)):
            dense[k, theta[y, b]] = 1.0
            for places, price in ((at.volume, prices.fee), (at.revenue, prices.toll)):
                here = places[:, y, b]
                dense[k, here[here >= 0]] -= price[here >= 0, y]
        self._cuts([f"value {p.years[y]}" for y in years], dense, constant)
        return broken

    def add_floors(self, names: list[str], bounds: Bounds, where: tuple[Ints, Ints], dense: Floats) -> None:
        """Add: bounds of stress tests at (year, test) >= what rows (n, columns) ask for."""
        slopes, constant = self._affine(bounds, *where)
        self._cuts(names, slopes + dense, constant)

    def _affine(self, bounds: Bounds, years: Ints, others: Ints) -> tuple[Floats, Floats]:
        """Return bounds at (year, other) as rows of minus their slopes (n, columns), and their constants (n,)."""
        p, at = self.problem, self.at
        project, signed = bounds.project[years, others], bounds.signed[years, others]
        booked, constant = bounds.booked[years, others], bounds.constant[years, others].copy()
        dense = np.zeros((len(years), self.highs.getNumCol()))
        paid = at.booked[:, years].T >= 0  # (n, C): what has a column; the rest is booked as far as it stands
        free = np.where(paid, 0.0, booked)
        constant += free @ np.array([c.capacity for c in p.case.corridors])
        project = project + free @ p.adds("corridors")
        rows = np.arange(len(years))
        for i, q in enumerate(p.case.projects):
            column = np.where(years >= q.lead, at.x[i, np.maximum(years - q.lead, 0)], -1)
            has = column >= 0
            dense[rows[has], column[has]] -= project[has, i]
        dense[:, at.u] -= signed[:, p.open_contracts]
        for c in range(paid.shape[1]):
            has = paid[:, c]
            dense[rows[has], at.booked[c, years[has]]] -= booked[has, c]
        return dense, constant + np.delete(signed, p.open_contracts, axis=1).sum(axis=1)

    def _cuts(self, names: list[str], dense: Floats, high: Floats) -> None:
        if not len(names):
            return
        row, column = np.nonzero(dense)
        start = np.searchsorted(row, np.arange(len(names)))
        self.highs.addRows(
            len(names), np.full(len(names), -INFINITY), high, len(row),
            start.astype(np.int32), column.astype(np.int32), dense[row, column],
        )  # fmt: skip
        self.row_names += names
        self.idle = np.concatenate([self.idle, np.zeros(len(names), dtype=np.int64)])

    def _forget(self) -> None:
        """Drop cuts that have long not bound."""
        old = np.flatnonzero(self.idle > IDLE)
        if len(old) >= CROWD:
            self._drop(old)

    def _drop(self, old: Ints) -> None:
        if not len(old):
            return
        self.highs.deleteRows(len(old), old.astype(np.int32))
        self.idle = np.delete(self.idle, old)
        gone = set(old.tolist())
        self.row_names = [name for k, name in enumerate(self.row_names) if k not in gone]

    # ------------------------------------------------------------------------------------------------------- solving

    def relaxed(self) -> Answer:
        """Solve without integrality, from where the last solve ended.

        Raises PhysicsRefused when nothing keeps the bounds.
        """
        self._forget()
        status = settle(self.highs)
        if status == highspy.HighsModelStatus.kInfeasible:
            msg = "no plan keeps every bound on dependence"
            raise PhysicsRefused(msg)
        if status != highspy.HighsModelStatus.kOptimal:
            msg = f"the plan's master problem ended {self.highs.modelStatusToString(status).lower()}"
            raise NotConverged(msg)
        solution = self.highs.getSolution()
        binds = np.abs(np.array(solution.row_dual)) > 0.0
        self.idle = np.where(self.idle < 0, self.idle, np.where(binds, 0, self.idle + 1))
        values, slope = np.array(solution.col_value), np.array(solution.col_dual)
        return self._answer(values, slope, self.highs.getInfo().objective_function_value)

    def limit(self, low: Floats, high: Floats) -> None:
        """Hold builds and signatures (`Places.integers`) between bounds."""
        columns = self.at.integers.astype(np.int32)
        self.highs.changeColsBounds(len(columns), columns, low, high)

    def _answer(self, values: Floats, slope: Floats, bound: float) -> Answer:
        p, at = self.problem, self.at
        u = np.ones(len(p.sales))
        u[p.open_contracts] = values[at.u]
        x = np.where(at.x >= 0, values[at.x], 0.0)
        booked = np.where(at.booked >= 0, np.maximum(values[at.booked], 0.0), capacities(p, x)[2])
        return Answer(Decisions(x, u, booked), bound, values, slope)
