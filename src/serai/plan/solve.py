# SPDX-License-Identifier: Apache-2.0
"""Solve a plan to a proven gap: cuts from exact yearly networks above, mixtures of whole policies below.

Above, the master's optimum bounds every plan (Benders 1962; Kelley 1960 for the relaxation). Below, at fixed decisions,
a mixture of policies that were solved exactly keeps every bound on dependence in expectation (Dantzig & Wolfe 1960), so
its value is attained. The gap between the two is what is reported.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import highspy
import numpy as np

from serai.errors import NotConverged, PhysicsRefused
from serai.plan.master import INFINITY, Master, Prices
from serai.plan.neutrality import dependences, elements
from serai.plan.scenarios import expected
from serai.plan.value import Decisions, Policy, capacities, deliverable, firm_sales, policy, standing, stopped, warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem

    Floats = NDArray[np.float64]

ROUNDS = 400  # of cuts at most
OVERTIME = 5.0  # s beyond its time that a search may take to finish the plan at hand
QUIET, RECENT = 4, 12  # rounds without news that end the relaxation; policies that set prices in it
FRESH, SAME_WEIGHTS = 3, 0.05  # new weighings of the futures in one relaxation; mean difference that tells two apart
SHUT = 1e6  # USD/1,000 m3: no sale pays this
SHORT = 1e-6  # a stress test may lack this share of what it asks


@dataclass(frozen=True)
class Mixture:
    """Policies at the same decisions and the share of each in each year (J, Y); a policy is followed by lot."""

    policies: list[Policy]
    share: Floats

    def mean(self, what: str) -> Floats:
        """Return the expected value of one of the policies' arrays."""
        arrays = [getattr(p, what) for p in self.policies]
        axis = 2 if what in ("by_corridor", "by_pair", "produced") else 1  # where the year stands
        shape = [1] * arrays[0].ndim
        shape[axis] = -1
        return np.asarray(sum(a * w.reshape(shape) for a, w in zip(arrays, self.share, strict=True)))


@dataclass(frozen=True)
class Solved:
    """A plan: decisions, how gas is sold, value [million USD], the bound on any better one, seconds, rounds."""

    decisions: Decisions
    mixture: Mixture
    value: float
    bound: float
    seconds: float
    rounds: int

    @property
    def gap(self) -> float:
        """What is left to prove, relative to the value."""
        return (self.bound - self.value) / max(1.0, abs(self.value))


def solve(
    problem: Problem,
    neutrality: Neutrality,
    *,
    risk: float = 0.0,
    tail: float = 0.1,
    gap: float = 1e-3,
    seconds: float = 60.0,
    progress: Callable[[float, float], None] | None = None,
) -> Solved:
    """Return the best plan found and its proven gap, within a time.

    progress  is told (value, bound) as they move
    """
    return Search(problem, neutrality, risk, tail).run(gap, seconds, progress)


class Search:
    """The master, what it has learned, and the best plan so far; may be run again for longer."""

    def __init__(self, problem: Problem, neutrality: Neutrality, risk: float, tail: float) -> None:
        """Start without a cut, every future weighed alike."""
        self.problem, self.neutrality = problem, neutrality
        self.master = Master(problem, neutrality, risk, tail)
        self.sure = type(problem)(problem.case, expected(problem.case))
        self.best: Solved | None = None
        self.bound = inf
        self.rounds = 0
        self.start: Floats | None = None
        self.master.weigh(np.ones(problem.scenarios.count))

    def run(self, gap: float, seconds: float, progress: Callable[[float, float], None] | None = None) -> Solved:
        """Search until the gap is proven or the time is up; return the best plan.

        Raises PhysicsRefused when no plan keeps the bounds.
        """
        self.begun = time.perf_counter()
        self.until = self.begun + seconds
        self.bound = min(self.bound, self._converge(gap / 8.0))
        while self._left() > 0.0 or self.best is None:
            answer = self.master.integer(
                max(gap / 4.0, 0.4 * min(self._open(), 0.01)), max(1.0, self._left()), self.start
            )
            self.bound = min(self.bound, answer.bound)
            if self._open() > gap:
                self._consider(answer.decisions, gap)
            if progress is not None and self.best is not None:
                progress(self.best.value, self.bound)
            if self._open() <= gap:
                break
        assert self.best is not None  # noqa: S101 - the loop ends with one
        return replace(self.best, bound=max(self.bound, self.best.value), seconds=self._spent(), rounds=self.rounds)

    def _left(self) -> float:
        return self.until - time.perf_counter()

    def _spent(self) -> float:
        return time.perf_counter() - self.begun

    def _open(self) -> float:
        """What is left to prove, relative to the best value."""
        return (self.bound - self.best.value) / max(1.0, abs(self.best.value)) if self.best else inf

    def _converge(self, gap: float) -> float:
        """Add cuts at the relaxed optimum until they teach nothing more; return the bound that stands then.

        Prices of dependence and weights of futures come from a mixture of the last policies: right when it settles,
        and valid for cuts at any time.
        """
        recent: list[Policy] = []
        nothing: Policy | None = None
        bound, quiet, fresh = inf, 0, 0
        for _ in range(ROUNDS):
            answer = self.master.relaxed()
            quiet = quiet + 1 if bound - answer.bound <= gap * max(1.0, abs(bound)) else 0
            bound = min(bound, answer.bound)
            lacking = self._stress(answer.decisions, answer.values)
            mix = Mix(self, answer.decisions)
            nothing = nothing or self._nothing(answer.decisions)
            for old in (nothing, *recent[-RECENT:]):
                mix.add(old)
            prices = mix.solve()[2]
            settled = quiet >= QUIET and not lacking
            if settled and fresh < FRESH and self._apart(prices.weight)[1] > SAME_WEIGHTS:
                self.master.weigh(prices.weight)  # what the futures weigh has moved: bound the plan by that too
                fresh, quiet, settled = fresh + 1, 0, False
            prices = replace(prices, weight=self.master.weighings[self._apart(prices.weight)[0]])
            recent.append(self._learn(answer.decisions, prices))
            if settled or self._left() < 0.0:
                break
        return bound

    def _apart(self, weight: Floats) -> tuple[int, float]:
        """Return the weighing of the master that is nearest, and its mean difference."""
        apart = [float(np.abs(w - weight) @ self.problem.scenarios.probability) for w in self.master.weighings]
        return int(np.argmin(apart)), min(apart)

    def _nothing(self, at: Decisions) -> Policy:
        """Return the policy of exporting nothing: no share is too large in it."""
        shut = np.full((len(self.problem.ways[0]), len(self.problem.years)), SHUT)
        weight = np.broadcast_to(self.problem.discount, (self.problem.scenarios.count, len(self.problem.years)))
        return policy(self.problem, at, weight, shut, np.zeros_like(shut))

    def _learn(self, at: Decisions, prices: Prices) -> Policy:
        """Add the cuts of the best policy at these prices, under their weighing of the futures."""
        p = self.problem
        found = policy(p, at, prices.weight[:, None] * p.discount, prices.fee, prices.toll)
        j, apart = self._apart(prices.weight)
        if apart > 0.0:
            j = self.master.weigh(prices.weight)
        self.master.add_value(found, prices, j)
        self.rounds += 1
        return found

    def _around(self, at: Decisions, prices: Prices) -> None:
        """Add the cuts of neighbouring plans: one project or contract more or less, all a year earlier or later.

        Whole decisions lie far apart for cuts that are tangents; neighbours are where the next candidate will be.
        """
        p, j = self.problem, self._apart(prices.weight)[0]
        before = self._states(at)
        for near in self._neighbours(at):
            found = policy(p, near, prices.weight[:, None] * p.discount, prices.fee, prices.toll)
            moved = np.flatnonzero((self._states(near) != before).any(axis=0))
            self.master.add_value(found, prices, j, moved)

    def _states(self, at: Decisions) -> Floats:
        """Return what a year knows of the decisions, (P + G, Y)."""
        signed = np.repeat(at.u[:, None], len(self.problem.years), axis=1)
        return np.vstack([standing(self.problem, at.x), signed])

    def _neighbours(self, at: Decisions) -> Iterator[Decisions]:
        """Yield plans beside a plan; a corridor that grows is booked as far as it can be."""
        p = self.problem
        plans = []
        for i in range(len(at.x)):
            x = at.x.copy()
            x[i] = 0.0 if x[i].any() else np.maximum.accumulate(p.allowed[i]).astype(float)
            plans.append((x, at.u))
        for g in p.open_contracts:
            u = at.u.copy()
            u[g] = 1.0 - u[g]
            plans.append((at.x, u))
        later = np.hstack([np.zeros((len(at.x), 1)), at.x[:, :-1]])
        sooner = np.hstack([at.x[:, 1:], at.x[:, -1:]]) * np.maximum.accumulate(p.allowed, axis=1)
        plans += [(later, at.u), (sooner, at.u)]
        had = capacities(p, at.x)[2]
        for x, u in plans:
            has = capacities(p, x)[2]
            yield Decisions(x, u, np.where(has > had, has, np.minimum(at.booked, has)))

    def _stress(self, at: Decisions, values: Floats) -> int:
        """Add floors where stress tests lack what neutrality asks; return how many."""
        rule, added = self.neutrality, 0
        places, p = self.master.at, self.problem
        years = range(rule.since, len(p.years))
        if rule.max_loss is not None:
            kept = 1.0 - rule.max_loss
            revenue = values[places.revenue].sum(axis=(0, 2))
            for d in dependences(p):
                if d.dimension not in rule.stops:
                    continue
                left, bounds = stopped(self.sure, at, d)
                for y in years:
                    if left[y] < kept * revenue[y] - SHORT * max(1.0, revenue[y]):
                        ways = places.revenue[:, y].ravel()
                        name = f"stop of {d.dimension} {d.name} {p.years[y]}"
                        self.master.add_floor(name, bounds[y], y, ways, np.full(len(ways), kept))
                        added += 1
        if rule.survive:
            added += self._survive(at)
        return added

    def _survive(self, at: Decisions) -> int:
        """Add floors for homes on the peak day and for firm exports without any one element."""
        p, rule, added = self.problem, self.neutrality, 0
        firm = firm_sales(p)
        for e in elements(p.case):
            if rule.survive == "any one corridor" and e.kind != "corridor":
                continue
            tests = [("export", deliverable(self.sure, at, e))]
            if e.kind != "corridor":
                tests.append(("homes", warm(self.sure, at, e)))
            for what, (left, bounds) in tests:
                for y in range(rule.since, len(p.years)):
                    asked = rule.cover * firm[:, y] if what == "export" else np.zeros(len(firm))
                    need = float(asked @ at.u)
                    if left[y] < need - SHORT * max(1.0, need):
                        fixed = float(np.delete(asked, p.open_contracts).sum())
                        bound = replace(bounds[y], constant=bounds[y].constant - fixed)
                        name = f"{what} without {e.name} {p.years[y]}"
                        self.master.add_floor(name, bound, y, self.master.at.u, asked[p.open_contracts])
                        added += 1
        return added

    # ------------------------------------------------------------------------------------------------ whole decisions

    def _consider(self, at: Decisions, gap: float) -> None:
        """Find the best bookings and policies at whole decisions; keep the plan when it is the best so far."""
        whole = replace(at, x=np.round(at.x), u=np.round(at.u))
        self.master.fix(whole)
        try:
            self._converge(gap / 8.0)
            answer = self.master.relaxed()
        except PhysicsRefused:  # these decisions miss a floor that was learned here: the master knows now
            return
        finally:
            self.master.fix(None)
        stands = capacities(self.problem, whole.x)[2]
        free = (self.problem.case.settings.ship_or_pay * self.problem.fee == 0.0)[
            :, None
        ]  # booking it all costs nothing
        booked = np.where(free, stands, np.minimum(answer.decisions.booked, stands))
        decisions = Decisions(whole.x, whole.u, booked)
        if self._stress(decisions, answer.values):
            return
        mixture, value, prices = self._mix(decisions, gap / 8.0)
        self._around(decisions, prices)
        if self.best is None or value > self.best.value:
            self.best = Solved(decisions, mixture, value, inf, self._spent(), self.rounds)
            self.start = answer.values

    def _mix(self, at: Decisions, gap: float) -> tuple[Mixture, float, Prices]:
        """Mix policies at fixed decisions until no other policy would improve the mixture."""
        mix = Mix(self, at)
        mix.add(self._nothing(at))
        share, value, prices, level = mix.solve()
        for _ in range(ROUNDS):
            found = self._learn(at, prices)
            if (found.value - level).sum() <= gap * max(1.0, abs(value)):
                break
            mix.add(found)
            share, value, prices, level = mix.solve()
            if self._left() < -OVERTIME:
                break
        return Mixture(mix.policies, share), value, prices


class Mix:
    """The linear program that mixes policies at fixed decisions: convex in each year, within every bound."""

    def __init__(self, search: Search, at: Decisions) -> None:
        """Start with rows for risk, shares and stops, and no policy."""
        self.search = search
        self.policies: list[Policy] = []
        p, master, rule = search.problem, search.master, search.neutrality
        self.p, self.risk, self.tail = p, master.risk, master.tail
        n_s, n_y = p.scenarios.count, len(p.years)
        self.sure_money = np.einsum("g,gsy,y->s", at.u, p.fixed, p.discount)
        places = master.at
        first = (master.cost[places.x] * at.x).sum() + (master.cost[places.booked] * at.booked).sum()
        self.constant = float(first + (1.0 - self.risk) * p.scenarios.probability @ self.sure_money)
        rows: list[tuple[int, Floats, Floats, float]] = []  # year, on volume, on revenue, limit
        zero = np.zeros(len(p.ways[0]))
        for d in dependences(p):
            limit = rule.shares.get(d.dimension)
            if limit is not None and limit < 1.0:
                for y in range(rule.since, n_y):
                    if "volume" in rule.measures:
                        rows.append((y, np.asarray(d.ways - limit), zero, 0.0))
                    if "revenue" in rule.measures:
                        rows.append((y, zero, np.asarray(d.ways - limit), 0.0))
            if rule.max_loss is not None and d.dimension in rule.stops:
                left = stopped(search.sure, at, d)[0]
                rows += [(y, zero, zero + 1.0 - rule.max_loss, float(left[y])) for y in range(rule.since, n_y)]
        self.rows = rows
        self.highs = highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call
        highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
        nothing = np.empty(0, dtype=np.int32)
        cost = np.concatenate([[self.risk], -self.risk / self.tail * p.scenarios.probability])
        low = np.concatenate([[-INFINITY], np.zeros(n_s)])
        highs.addCols(1 + n_s, cost, low, np.full(1 + n_s, INFINITY), 0, nothing, nothing, np.empty(0))
        for _ in range(n_y):
            highs.addRow(1.0, 1.0, 0, nothing, np.empty(0))
        for s in range(n_s):
            highs.addRow(-self.sure_money[s], INFINITY, 2, np.array([0, 1 + s], dtype=np.int32), np.array([-1.0, 1.0]))
        for *_, limit in rows:
            highs.addRow(-INFINITY, limit, 0, nothing, np.empty(0))

    def add(self, found: Policy) -> None:
        """Let a policy take part, a share of its own in each year."""
        p, n_y, n_s = self.p, len(self.p.years), self.p.scenarios.count
        self.policies.append(found)
        for y in range(n_y):
            money = p.discount[y] * found.earned[:, y]
            index, value = [np.array([y]), n_y + np.arange(n_s)], [np.ones(1), money]
            mine = [k for k, row in enumerate(self.rows) if row[0] == y]
            index.append(np.array([n_y + n_s + k for k in mine], dtype=np.int64))
            value.append(
                np.array(
                    [
                        self.rows[k][1] @ found.volume[:, y].sum(axis=1)
                        + self.rows[k][2] @ found.revenue[:, y].sum(axis=1)
                        for k in mine
                    ]
                )
            )
            worth = (1.0 - self.risk) * float(p.scenarios.probability @ money)
            rows, values = np.concatenate(index).astype(np.int32), np.concatenate(value)
            self.highs.addCol(worth, 0.0, INFINITY, len(rows), rows, values)

    def solve(self) -> tuple[Floats, float, Prices, Floats]:
        """Return shares (J, Y), the plan's value, prices for the next policy, and what each year is worth at them."""
        p, n_y, n_s = self.p, len(self.p.years), self.p.scenarios.count
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            msg = f"mixing policies ended {self.highs.modelStatusToString(self.highs.getModelStatus()).lower()}"
            raise NotConverged(msg)
        solution = self.highs.getSolution()
        dual = np.array(solution.row_dual)
        tail = np.abs(dual[n_y : n_y + n_s]) / p.scenarios.probability
        fee, toll = np.zeros((len(p.ways[0]), n_y)), np.zeros((len(p.ways[0]), n_y))
        for k, (y, on_volume, on_revenue, _) in enumerate(self.rows):
            fee[:, y] += dual[n_y + n_s + k] * on_volume
            toll[:, y] += dual[n_y + n_s + k] * on_revenue
        share = np.array(solution.col_value)[1 + n_s :].reshape(len(self.policies), n_y)
        value = self.highs.getInfo().objective_function_value + self.constant
        weight = (1.0 - self.risk) + tail
        return share, value, Prices(weight / (p.scenarios.probability @ weight), fee, toll), dual[:n_y]
