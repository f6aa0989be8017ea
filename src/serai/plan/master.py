# SPDX-License-Identifier: Apache-2.0
"""The master problem: decisions, bounds on dependence, and what the yearly networks have taught about value.

    maximise  phi - builds - bookings,   phi <= sum_y theta_jy + m_j u   for every weighing j of the futures

(1 - lambda) E[V] + lambda CVaR_beta(V) is the least of sum_s p_s w_s V_s over weights w of mean 1 between 1 - lambda
and 1 - lambda + lambda / beta (Rockafellar, Uryasev & Zabarankin 2006, Finance Stoch. 10:51). So any weighing bounds it
from above, and the futures themselves need not stand in the master. theta_jy is the money of a year under weighing j;
cuts hold it below the concave value functions of `value`. One HiGHS instance is kept; cuts are added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np

from serai.errors import NotConverged, PhysicsRefused
from serai.plan.neutrality import dependences
from serai.plan.value import Decisions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem
    from serai.plan.value import Bound, Policy

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

INFINITY = highspy.kHighsInf


@dataclass(frozen=True)
class Places:
    """Where the variables stand: x (P, Y), u (open,), booked (C, Y), volume, revenue (W, Y, B), phi."""

    x: Ints
    u: Ints
    booked: Ints
    volume: Ints
    revenue: Ints
    phi: int
    count: int

    @classmethod
    def of(cls, p: Problem) -> Places:
        """Number the variables."""
        n_y, flows = len(p.years), (len(p.ways[0]), len(p.years), len(p.parts))
        shapes = [(len(p.case.projects), n_y), (len(p.open_contracts),), (len(p.case.corridors), n_y), flows, flows]
        edges = np.cumsum([0, *(int(np.prod(s)) for s in shapes)])
        x, u, booked, volume, revenue = (
            np.arange(a, b).reshape(s) for a, b, s in zip(edges[:-1], edges[1:], shapes, strict=True)
        )
        return cls(x, u, booked, volume, revenue, int(edges[-1]), int(edges[-1]) + 1)


@dataclass(frozen=True)
class Prices:
    """Prices of risk and of dependence: weight of each future (S,) of mean 1, fee and toll on each way (W, Y)."""

    weight: Floats
    fee: Floats
    toll: Floats


@dataclass(frozen=True)
class Answer:
    """A solution of the master: decisions, its bound on the objective, the values of all variables."""

    decisions: Decisions
    bound: float
    values: Floats


class Master:
    """The master of one problem under one neutrality and one attitude to risk.

    risk  lambda, the weight of the mean of the worst `tail` share of futures
    """

    def __init__(self, problem: Problem, neutrality: Neutrality, risk: float, tail: float) -> None:
        """Build decisions, shares and risk; no cut yet, so the first bound is only the ceiling on yearly money."""
        self.problem, self.neutrality, self.risk, self.tail = problem, neutrality, risk, tail
        self.at = Places.of(problem)
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        self.highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call
        self.highs.setOptionValue("threads", 1)
        self.row_names: list[str] = []
        self.weighings: list[Floats] = []
        self.theta: list[Ints] = []
        self._add_columns()
        self._add_builds()
        self._add_shares()

    # ------------------------------------------------------------------------------------------------------ building

    def _add_columns(self) -> None:
        p, at = self.problem, self.at
        low, high, cost = np.zeros(at.count), np.full(at.count, INFINITY), np.zeros(at.count)
        high[at.x] = np.maximum.accumulate(p.allowed, axis=1)
        high[at.u] = 1.0
        low[at.revenue] = low[at.phi] = -INFINITY
        cost[at.x] = -self._build_costs()
        cost[at.booked] = -p.discount * p.case.settings.ship_or_pay * p.fee[:, None]
        cost[at.phi] = 1.0
        nothing = np.empty(0, dtype=np.int32)
        self.highs.addCols(at.count, cost, low, high, 0, nothing, nothing, np.empty(0))
        self.highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
        self.cost = cost

    def weigh(self, weight: Floats) -> int:
        """Let a weighing of the futures (S,) bound the plan; return its number."""
        p, at = self.problem, self.at
        n_y, n_b, count = len(p.years), len(p.parts), self.highs.getNumCol()
        nothing = np.empty(0, dtype=np.int32)
        ceiling = np.repeat(np.full(n_y, self._ceiling()) * p.discount, n_b)
        size = n_y * n_b
        self.highs.addCols(size, np.zeros(size), np.full(size, -INFINITY), ceiling, 0, nothing, nothing, np.empty(0))
        theta = np.arange(count, count + size).reshape(n_y, n_b)
        money = np.einsum("s,y,gsy->g", p.scenarios.probability * weight, p.discount, p.fixed)
        signed = np.delete(money, p.open_contracts).sum()
        columns = np.concatenate([[at.phi], theta.ravel(), at.u])
        values = np.concatenate([[1.0], -np.ones(size), -money[p.open_contracts]])
        self._row(f"weighing {len(self.weighings)}", columns, values, high=float(signed))
        self.weighings.append(weight)
        self.theta.append(theta)
        return len(self.weighings) - 1

    def _ceiling(self) -> float:
        """Return more than any year can earn, [million USD]."""
        p = self.problem
        return float(np.maximum(p.margin, 0.0).max() * (p.produced.sum(axis=0).max() + p.adds("fields").sum()))

    def _build_costs(self) -> Floats:
        """Return what deciding a project by a year costs, (P, Y): x is cumulative, so spending is a difference."""
        p = self.problem
        found = np.zeros(self.at.x.shape)
        for i, project in enumerate(p.case.projects):
            spent = project.capex * p.spending
            found[i] += spent - np.append(spent[1:], 0.0)  # x_y - x_{y-1} is spent in y
            upkeep = project.upkeep * project.capex * p.discount
            found[i, : len(spent) - project.lead] += upkeep[project.lead :]
        return found

    def _add_builds(self) -> None:
        """Built stays built; stages in their order; nothing is booked beyond what stands."""
        p, at = self.problem, self.at
        names = [q.name for q in p.case.projects]
        for i, project in enumerate(p.case.projects):
            for y in range(len(p.years)):
                when = p.years[y]
                if y:
                    self._row(f"{project.name} stays built {when}", [at.x[i, y], at.x[i, y - 1]], [1.0, -1.0], low=0.0)
                    if not p.allowed[i, y]:
                        row = f"{project.name} cannot be decided in {when}"
                        self._row(row, [at.x[i, y], at.x[i, y - 1]], [1.0, -1.0], high=0.0)
                if project.after:
                    first = names.index(project.after)
                    row = f"{project.name} after {project.after} {when}"
                    self._row(row, [at.x[first, y], at.x[i, y]], [1.0, -1.0], low=0.0)
        adds = p.adds("corridors")
        for c, corridor in enumerate(p.case.corridors):
            for y in range(len(p.years)):
                built = [(i, y - q.lead) for i, q in enumerate(p.case.projects) if adds[c, i] and y >= q.lead]
                columns = [at.booked[c, y], *(at.x[b] for b in built)]
                values = [1.0, *(-adds[c, i] for i, _ in built)]
                self._row(f"capacity of {corridor.name} {p.years[y]}", columns, values, high=corridor.capacity)

    def _add_shares(self) -> None:
        """share_b <= alpha sum, on expected volume and revenue of each year, written without a division."""
        p, at, rule = self.problem, self.at, self.neutrality
        for dependence in dependences(p):
            limit = rule.shares.get(dependence.dimension)
            if limit is None or limit >= 1.0:
                continue
            values = dependence.ways - limit
            for measure, places in (("volume", at.volume), ("revenue", at.revenue)):
                if measure not in rule.measures:
                    continue
                for y in range(rule.since, len(p.years)):
                    name = f"{dependence.dimension} {dependence.name}, share of {measure} {p.years[y]}"
                    n_b = places.shape[2]
                    self._row(name, places[:, y].ravel(), np.repeat(values, n_b), high=0.0)

    def _row(
        self, name: str, columns: Sequence[int] | Ints, values: Sequence[float] | Floats,
        *, low: float = -INFINITY, high: float = INFINITY,
    ) -> int:  # fmt: skip
        index, value = np.asarray(columns, dtype=np.int32), np.asarray(values, dtype=np.float64)
        kept = value != 0.0
        self.highs.addRow(low, high, int(kept.sum()), index[kept], value[kept])
        self.row_names.append(name)
        return len(self.row_names) - 1

    # ---------------------------------------------------------------------------------------------------------- cuts

    def add_value(self, found: Policy, prices: Prices, j: int, years: Ints | None = None) -> None:
        """Add what a policy under weighing j teaches: theta_jy <= its bound + fee F_y + toll R_y, in given years."""
        p, at = self.problem, self.at
        for y in range(len(found.bounds)) if years is None else years.tolist():
            for b, bound in enumerate(found.bounds[y]):
                columns, values, constant = self._bound(bound, y)
                self._row(
                    f"value {p.years[y]}",
                    np.concatenate([self.theta[j][y, b : b + 1], at.volume[:, y, b], at.revenue[:, y, b], columns]),
                    np.concatenate([[1.0], -prices.fee[:, y], -prices.toll[:, y], -values]),
                    high=constant,
                )

    def add_floor(self, name: str, bound: Bound, y: int, columns: Ints, values: Floats) -> None:
        """Add: bound of a stress test in year y >= sum of values x columns."""
        more, slopes, constant = self._bound(bound, y)
        self._row(name, np.concatenate([columns, more]), np.concatenate([values, -slopes]), high=constant)

    def _bound(self, bound: Bound, y: int) -> tuple[Ints, Floats, float]:
        """Return a bound as columns, slopes and constant; what is signed anyway is constant."""
        p, at = self.problem, self.at
        built = [(i, y - q.lead) for i, q in enumerate(p.case.projects) if y >= q.lead and bound.project[i]]
        columns = np.array([*(at.x[b] for b in built), *at.u, *at.booked[:, y]], dtype=np.int64)
        slopes = np.array([*(bound.project[i] for i, _ in built), *bound.signed[p.open_contracts], *bound.booked])
        fixed = np.delete(bound.signed, p.open_contracts).sum()
        return columns, slopes, bound.constant + float(fixed)

    # ------------------------------------------------------------------------------------------------------- solving

    def relaxed(self) -> Answer:
        """Solve without integrality."""
        self._run(integer=False)
        return self._answer(self.highs.getInfo().objective_function_value)

    def integer(self, gap: float, seconds: float, start: Floats | None = None) -> Answer:
        """Solve with whole builds and signatures, to a relative gap or until the time is up; `start` is a good plan."""
        self.highs.setOptionValue("mip_rel_gap", gap)
        self.highs.setOptionValue("time_limit", self.highs.getRunTime() + seconds)
        self._kinds(integer=True)
        if start is not None:
            columns = np.concatenate([self.at.x.ravel(), self.at.u]).astype(np.int32)
            self.highs.setSolution(len(columns), columns, np.round(start[columns]))
        self._run(integer=True)
        info = self.highs.getInfo()
        self.highs.setOptionValue("time_limit", INFINITY)
        return self._answer(info.mip_dual_bound)

    def fix(self, decisions: Decisions | None) -> None:
        """Hold builds and signatures at decisions, or let them go again (None)."""
        p, at = self.problem, self.at
        columns = np.concatenate([at.x.ravel(), at.u]).astype(np.int32)
        if decisions is None:
            low = np.zeros(len(columns))
            high = np.concatenate([np.maximum.accumulate(p.allowed, axis=1).ravel().astype(float), np.ones(len(at.u))])
        else:
            low = high = np.round(np.concatenate([decisions.x.ravel(), decisions.u[p.open_contracts]]))
        self.highs.changeColsBounds(len(columns), columns, low, high)

    def _kinds(self, *, integer: bool) -> None:
        columns = np.concatenate([self.at.x.ravel(), self.at.u]).astype(np.int32)
        kind = highspy.HighsVarType.kInteger if integer else highspy.HighsVarType.kContinuous
        self.highs.changeColsIntegrality(len(columns), columns, np.array([kind] * len(columns)))

    def _run(self, *, integer: bool) -> None:
        self._kinds(integer=integer)
        self.highs.run()
        status = self.highs.getModelStatus()
        if status == highspy.HighsModelStatus.kInfeasible:
            msg = "no plan keeps every bound on dependence"
            raise PhysicsRefused(msg)
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            msg = f"the plan's master problem ended {self.highs.modelStatusToString(status).lower()}"
            raise NotConverged(msg)

    def _answer(self, bound: float) -> Answer:
        p, at = self.problem, self.at
        values = np.array(self.highs.getSolution().col_value)
        u = np.ones(len(p.sales))
        u[p.open_contracts] = values[at.u]
        return Answer(Decisions(values[at.x], u, np.maximum(values[at.booked], 0.0)), bound, values)
