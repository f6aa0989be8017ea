# SPDX-License-Identifier: Apache-2.0
"""The whole plan as one mixed-integer program, every future written out: for other tools, and to check `solve`.

Nothing here uses cuts, networks or dual prices; the two ways to the optimum share only the arrays of `problem`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy import sparse

from serai.plan.neutrality import dependences, elements
from serai.plan.scenarios import expected
from serai.plan.value import firm_sales, left_without, peak_demand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Terms = list[tuple[Ints, Floats | float]]

INFINITY = highspy.kHighsInf


class Extensive:
    """Columns and rows of the whole program; `highs` passes it to a solver, which can write it as an MPS file."""

    def __init__(self, problem: Problem, neutrality: Neutrality, *, risk: float = 0.0, tail: float = 0.1) -> None:
        """Write everything out: decisions, flows of every future, shares, stops, losses, risk."""
        self.p, self.rule, self.risk, self.tail = problem, neutrality, risk, tail
        self.cost: list[Floats] = []
        self.low: list[Floats] = []
        self.high: list[Floats] = []
        self.count = 0
        self.entries: list[tuple[Ints, Ints, Floats]] = []
        self.bounds: list[tuple[float, float]] = []
        self.x = self._columns(
            problem.allowed.shape, cost=-problem.build_cost, high=np.maximum.accumulate(problem.allowed, axis=1)
        )
        self.u = self._columns((len(problem.open_contracts),), high=1.0)
        self.booked = self._columns(problem.booking_cost.shape, cost=-problem.booking_cost)
        self._builds()
        self._futures()
        self._stops()
        self._losses()

    def highs(self) -> highspy.Highs:
        """Return a solver instance that holds the program (maximise)."""
        h = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        h.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call
        rows = np.concatenate([e[0] for e in self.entries])
        columns = np.concatenate([e[1] for e in self.entries])
        values = np.concatenate([e[2] for e in self.entries])
        matrix = sparse.coo_array((values, (rows, columns)), shape=(len(self.bounds), self.count)).tocsr()
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = self.count, len(self.bounds)
        lp.col_cost_, lp.col_lower_ = np.concatenate(self.cost), np.concatenate(self.low)
        lp.col_upper_ = np.concatenate(self.high)
        lp.row_lower_, lp.row_upper_ = (np.array([b[k] for b in self.bounds]) for k in (0, 1))
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        lp.sense_ = highspy.ObjSense.kMaximize
        kinds = np.full(self.count, highspy.HighsVarType.kContinuous)
        kinds[np.concatenate([self.x.ravel(), self.u])] = highspy.HighsVarType.kInteger
        lp.integrality_ = list(kinds)
        h.passModel(lp)
        return h

    # ------------------------------------------------------------------------------------------------------ assembly

    def _columns(
        self, shape: tuple[int, ...], *, cost: Floats | float = 0.0, low: float = 0.0, high: Floats | float = INFINITY
    ) -> Ints:
        size = int(np.prod(shape))
        for store, value in ((self.cost, cost), (self.low, low), (self.high, high)):
            store.append(np.broadcast_to(np.asarray(value, dtype=float), shape).ravel())
        self.count += size
        return np.arange(self.count - size, self.count).reshape(shape)

    def _rows(
        self,
        terms: Sequence[tuple[Ints, Floats | float]],
        *,
        low: Floats | float = -INFINITY,
        high: Floats | float = INFINITY,
    ) -> None:
        """Add rows of one shape: each term is a column and a value for every row."""
        shape = np.broadcast_shapes(*(np.shape(c) for c, _ in terms), np.shape(low), np.shape(high))
        size, first = int(np.prod(shape)), len(self.bounds)
        for columns, values in terms:
            c, v = np.broadcast_to(columns, shape).ravel(), np.broadcast_to(values, shape).ravel().astype(float)
            kept = v != 0.0
            self.entries.append((first + np.flatnonzero(kept), c[kept], v[kept]))
        low_, high_ = (np.broadcast_to(b, shape).ravel().astype(float).tolist() for b in (low, high))
        self.bounds += list(zip(low_, high_, strict=True))
        assert len(self.bounds) == first + size  # noqa: S101 - one bound a row

    def _built(self, adds: Floats, y: int) -> list[tuple[int, float]]:
        """Return (column, capacity) of what projects add in year y, from a row (P,) of capacities."""
        return [
            (int(self.x[i, y - q.lead]), -adds[i])
            for i, q in enumerate(self.p.case.projects)
            if adds[i] and y >= q.lead
        ]

    # -------------------------------------------------------------------------------------------------- first stage

    def _builds(self) -> None:
        p, names = self.p, [q.name for q in self.p.case.projects]
        self._rows([(self.x[:, 1:], 1.0), (self.x[:, :-1], -1.0)], low=0.0)
        shut = ~p.allowed[:, 1:]
        self._rows([(self.x[:, 1:][shut], 1.0), (self.x[:, :-1][shut], -1.0)], high=0.0)
        for i, q in enumerate(p.case.projects):
            if q.after:
                self._rows([(self.x[names.index(q.after)], 1.0), (self.x[i], -1.0)], low=0.0)
        adds = p.adds("corridors")
        for c, corridor in enumerate(p.case.corridors):
            for y in range(len(p.years)):
                terms = [(self.booked[c, y], 1.0), *self._built(adds[c], y)]
                self._rows([(np.array([k]), v) for k, v in terms], high=corridor.capacity)

    # ------------------------------------------------------------------------------------------------- second stage

    def _flows(
        self, p: Problem, home: Floats, left: tuple[Floats, Floats, Floats], limit: Floats | None
    ) -> dict[str, Ints]:
        """Add the flows of every year and future of a problem and the rows that hold them; return their columns.

        home   (H, S, Y, Q);  left = what stands of corridors (C, S, Y, Q), links (L,), and less fields (H, Y)
        limit  of each sale when signed (G, S, Y); None = no limit on sales
        """
        s, n_y, n_q = home.shape[1:]
        hubs, g, c = list(p.case.hubs), *p.pairs
        corridor = self._columns((len(p.case.corridors), s, n_y, n_q))
        field, unserved = (self._columns((len(hubs), s, n_y, n_q)) for _ in range(2))
        pair = self._columns((len(g), s, n_y))
        forth, back = (self._columns((len(p.case.links), s, n_y, n_q)) for _ in range(2))
        for h, hub in enumerate(hubs):
            balance: Terms = [(field[h], 1.0), (unserved[h], 1.0)]
            for i, x in enumerate(p.case.links):
                if hub in (x.from_hub, x.to_hub):
                    sign = 1.0 if hub == x.to_hub else -1.0
                    balance += [(forth[i], sign), (back[i], -sign)]
            balance += [(corridor[i], -1.0) for i, way in enumerate(p.case.corridors) if way.hub == hub]
            self._rows(balance, low=home[h], high=home[h])
        self._rows([(unserved, 1.0)], high=home)
        for i in range(len(p.case.corridors)):
            sold = [(pair[k], -1.0) for k in np.flatnonzero(c == i)]
            self._rows([*((corridor[i, :, :, q], 1.0) for q in range(n_q)), *sold], low=0.0, high=0.0)
        open_corridor, open_link, lost = left
        booked = self.booked[:, None, :, None]
        self._rows([(corridor, 1.0), (booked, -p.days * open_corridor)], high=0.0)
        fields, links = p.adds("fields"), p.adds("links")
        for y in range(n_y):
            for h in range(len(hubs)):
                terms: Terms = [
                    (field[h, :, y], 1.0),
                    *((np.array(k), p.days * v) for k, v in self._built(fields[h], y)),
                ]
                self._rows(terms, high=p.days * (p.produced[h, y] - lost[h, y]))
            for i, x in enumerate(p.case.links):
                scale = p.days * open_link[i]
                for flow in (forth, back):
                    more: Terms = [
                        (flow[i, :, y], 1.0),
                        *((np.array(k), scale * v) for k, v in self._built(links[i], y)),
                    ]
                    self._rows(more, high=scale * x.capacity)
        if limit is not None:
            self._limits(p, pair, limit)
        return {"corridor": corridor, "field": field, "unserved": unserved, "pair": pair}

    def _limits(self, p: Problem, pair: Ints, limit: Floats) -> None:
        """Nothing is sold beyond what is nominated or taken, and nothing under a contract that is not signed."""
        g, _ = p.pairs
        place = {int(j): self.u[i] for i, j in enumerate(p.open_contracts)}
        for j in range(len(p.sales)):
            terms: Terms = [(pair[k], 1.0) for k in np.flatnonzero(g == j)]
            if j in place:
                self._rows([*terms, (np.array(place[j]), -limit[j])], high=0.0)
            elif np.isfinite(limit[j]).all():
                self._rows(terms, high=limit[j])

    def _futures(self) -> None:
        """Flows and money of every future; expected shares; mean and tail of the value."""
        p, s = self.p, self.p.scenarios
        none = np.zeros_like(p.produced)
        f = self._flows(p, s.home, (s.available, np.ones(len(p.case.links)), none), p.limit)
        money = [
            (f["pair"], p.margin * p.discount),
            (f["field"], -p.cost_of_gas[:, None, None, None] * p.discount[:, None]),
            (f["unserved"], np.full(1, -p.case.settings.unserved)[:, None] * p.discount[:, None]),
        ]
        prob = s.probability
        value = self._columns((s.count,), cost=(1.0 - self.risk) * prob, low=-INFINITY)
        eta = self._columns((1,), cost=self.risk, low=-INFINITY)
        xi = self._columns((s.count,), cost=-self.risk / self.tail * prob)
        fixed = np.einsum("gsy,y->gs", p.fixed, p.discount)
        sure = np.delete(fixed, p.open_contracts, axis=0).sum(axis=0)
        for one in range(s.count):
            terms = [(np.array([value[one]]), 1.0)]
            terms += [(np.array([k]), -fixed[j, one]) for k, j in zip(self.u, p.open_contracts, strict=True)]
            flat = [
                (np.take(c, one, axis=1).ravel(), np.broadcast_to(v, c.shape).take(one, axis=1).ravel())
                for c, v in money
            ]
            self._row(terms, flat, float(sure[one]))
        self._rows([(xi, 1.0), (eta, -1.0), (value, 1.0)], low=0.0)
        _, _, way = p.ways
        revenue = p.netback * prob[:, None]
        volume = np.broadcast_to(prob[:, None], p.netback.shape[1:])[None] * np.ones((len(way), 1, 1))
        self.worth = (f["pair"], revenue)
        for d in dependences(p):
            limit = self.rule.shares.get(d.dimension)
            if limit is None or limit >= 1.0:
                continue
            factor = (d.ways[way] - limit)[:, None]
            for measure, value_of in (("volume", volume), ("revenue", revenue)):
                if measure in self.rule.measures:
                    for y in range(self.rule.since, len(p.years)):
                        self._row(
                            [], [(f["pair"][:, :, y].ravel(), (factor * value_of[:, :, y]).ravel())], 0.0, equal=False
                        )

    def _row(
        self, terms: list[tuple[Ints, float]], flat: list[tuple[Ints, Floats]], high: float, *, equal: bool = True
    ) -> None:
        """Add one row: terms as they are, less the flat columns when equal (value = sum), plus them otherwise."""
        r = len(self.bounds)
        sign = -1.0 if equal else 1.0
        for columns, values in [*((c, np.full(len(c), v)) for c, v in terms), *((c, sign * v) for c, v in flat)]:
            kept = values != 0.0
            self.entries.append((np.full(int(kept.sum()), r), columns[kept], values[kept]))
        self.bounds.append((high if equal else -INFINITY, high))

    # ------------------------------------------------------------------------------------------------------- stress

    def _sure(self) -> Problem:
        return type(self.p)(self.p.case, expected(self.p.case))

    def _stops(self) -> None:
        """Revenue that is left when a dependence stops for a year, homes served, is enough."""
        rule, q = self.rule, self._sure()
        if rule.max_loss is None:
            return
        kept = 1.0 - rule.max_loss
        _, _, way = q.ways
        years = np.arange(rule.since, len(q.years))
        for d in dependences(q):
            if d.dimension not in rule.stops:
                continue
            none = np.zeros_like(q.produced)
            f = self._flows(q, q.scenarios.home, (q.scenarios.available, np.ones(len(q.case.links)), none), q.limit)
            self._rows([(f["pair"][d.ways[way]], 1.0)], high=0.0)
            self._rows([(f["unserved"], 1.0)], high=0.0)
            pairs, revenue = self.worth
            for y in years:
                left = [
                    (f["pair"][:, 0, y], -q.netback[:, 0, y]),
                    (pairs[:, :, y].ravel(), kept * revenue[:, :, y].ravel()),
                ]
                self._row([], left, 0.0, equal=False)

    def _losses(self) -> None:
        """Homes on the peak day and firm sales without any one element."""
        if not self.rule.survive:
            return
        q, rule, firm = self._sure(), self.rule, firm_sales(self.p)
        years = np.arange(rule.since, len(q.years))
        for e in elements(q.case):
            corridors, links, lost = left_without(q, e)
            open_ = np.broadcast_to(corridors[:, None, None, None], q.scenarios.available.shape)
            if rule.survive == "any one corridor" and e.kind != "corridor":
                continue
            f = self._flows(q, q.scenarios.home, (open_, links, lost), None)
            self._rows([(f["unserved"][:, :, years], 1.0)], high=0.0)
            place = {int(j): int(self.u[i]) for i, j in enumerate(self.p.open_contracts)}
            for y in years:
                signed = [(np.array([place[j]]), rule.cover * firm[j, y]) for j in place if firm[j, y]]
                rest = rule.cover * float(np.delete(firm[:, y], self.p.open_contracts).sum())
                out = f["pair"][:, 0, y]
                self._row(
                    [], [*((c, np.array([v])) for c, v in signed), (out, np.full(len(out), -1.0))], -rest, equal=False
                )
            if e.kind != "corridor":
                peak = (peak_demand(q).T[:, :, None] * q.days).transpose(1, 0, 2)[:, None]
                cold = self._flows(q, peak, (open_ * 0.0, links, lost), None)
                self._rows([(cold["unserved"][:, :, years], 1.0)], high=0.0)
