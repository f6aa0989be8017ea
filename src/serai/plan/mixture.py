# SPDX-License-Identifier: Apache-2.0
"""Mixtures of whole policies: what is attained at fixed decisions, and the prices that this gives.

A policy is followed by lot, year by year; what bounds dependence is expected volume and revenue, which mix in
proportion (Dantzig & Wolfe 1960). The duals of the linear program that mixes best are the prices for the next policy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import highspy
import numpy as np

from serai.errors import NotConverged
from serai.plan.master import INFINITY, NOTHING, Prices, settle
from serai.plan.neutrality import tightest
from serai.plan.value import stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.neutrality import Neutrality
    from serai.plan.problem import Problem
    from serai.plan.value import Decisions, Policy

    Floats = NDArray[np.float64]


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


class Asked(Protocol):
    """What is planned, under which bounds and attitude to risk; `sure` holds the one expected future."""

    problem: Problem
    sure: Problem
    neutrality: Neutrality
    risk: float
    tail: float


class Mix:
    """The linear program that mixes policies at fixed decisions: convex in each year, within every bound."""

    def __init__(self, asked: Asked, at: Decisions, left: Floats | None = None) -> None:
        """Start with rows for risk, shares and stops, and no policy.

        left  revenue that each stop of a dependence leaves, (Y, stops), where it is known already
        """
        self.asked = asked
        self.policies: list[Policy] = []
        p, rule = asked.problem, asked.neutrality
        self.p, self.risk, self.tail, self.since = p, asked.risk, asked.tail, rule.since
        n_s, n_y = p.scenarios.count, len(p.years)
        self._bounds()
        self.tails = n_s if self.risk > 0.0 else 0  # rows of risk: none where no tail counts
        self.highs = highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call
        highs.changeObjectiveSense(highspy.ObjSense.kMaximize)
        cost = np.concatenate([[self.risk], -self.risk / self.tail * p.scenarios.probability])
        low = np.concatenate([[-INFINITY if self.tails else 0.0], np.zeros(n_s)])
        high = np.concatenate([[INFINITY if self.tails else 0.0], np.full(n_s, INFINITY)])
        highs.addCols(1 + n_s, cost, low, high, 0, NOTHING, NOTHING, np.empty(0))
        bare = np.zeros(n_y, dtype=np.int32)
        highs.addRows(n_y, np.ones(n_y), np.ones(n_y), 0, bare, NOTHING, np.empty(0))
        for s in range(self.tails):
            highs.addRow(0.0, INFINITY, 2, np.array([0, 1 + s], dtype=np.int32), np.array([-1.0, 1.0]))
        late = max(0, n_y - self.since) * len(self.on_volume)
        bare = np.zeros(late, dtype=np.int32)
        highs.addRows(late, np.full(late, -INFINITY), np.zeros(late), 0, bare, NOTHING, np.empty(0))
        self.move(at, left)

    def _bounds(self) -> None:
        """Write bounds as on_volume, on_revenue (K, W): first those on shares, then those on what a stop leaves."""
        p, rule = self.p, self.asked.neutrality
        none = np.zeros(len(p.ways[0]))
        volume, revenue = [], []
        for measure in rule.measures:
            for d, limit in tightest(p, rule.limits, nested=measure == "volume"):
                volume.append(d.ways - limit if measure == "volume" else none)
                revenue.append(d.ways - limit if measure == "revenue" else none)
        self.shares, self.stops = len(volume), [d for d, _ in tightest(p, rule.losses)]
        volume += [none] * len(self.stops)
        revenue += [none + 1.0 - (rule.max_loss or 0.0)] * len(self.stops)
        self.on_volume, self.on_revenue = (np.array(v).reshape(-1, len(none)) for v in (volume, revenue))

    def move(self, at: Decisions, left: Floats | None = None) -> None:
        """Let the policies stand for other decisions: what is signed and built, and what stops leave there."""
        p, n_y = self.p, len(self.p.years)
        sure = np.einsum("g,gsy,y->s", at.u, p.fixed, p.discount)
        first = (p.build_cost * at.x).sum() + (p.booking_cost * at.booked).sum()
        self.constant = float((1.0 - self.risk) * p.scenarios.probability @ sure - first)
        self.limit = np.zeros((max(0, n_y - self.since), len(self.on_volume)))
        if self.stops:
            if left is None:
                left = np.stack([stopped(self.asked.sure, at, d) for d in self.stops], axis=1)
            self.limit[:, self.shares :] = left[self.since :]
        for s in range(self.tails):
            self.highs.changeRowBounds(n_y + s, -sure[s], INFINITY)
        if self.stops:
            for k, high in enumerate(self.limit.ravel(), n_y + self.tails):
                self.highs.changeRowBounds(k, -INFINITY, high)

    def only(self, wanted: Sequence[Policy]) -> None:
        """Let these policies take part and no others, which stay at no share."""
        have = {id(f) for f in self.policies}
        for found in wanted:
            if id(found) not in have:
                self.add(found)
        keep, n_y = {id(f) for f in wanted}, len(self.p.years)
        for j, found in enumerate(self.policies):
            columns = 1 + self.p.scenarios.count + j * n_y + np.arange(n_y, dtype=np.int32)
            high = np.full(n_y, INFINITY if id(found) in keep else 0.0)
            self.highs.changeColsBounds(n_y, columns.astype(np.int32), np.zeros(n_y), high)

    def add(self, found: Policy) -> None:
        """Let a policy take part, a share of its own in each year."""
        p, n_y, since = self.p, len(self.p.years), self.since
        self.policies.append(found)
        money = (p.discount * found.earned).T  # (Y, S)
        late, kinds = self.limit.shape
        asked = np.einsum("kw,wy->yk", self.on_volume, found.volume.sum(axis=2))
        asked += np.einsum("kw,wy->yk", self.on_revenue, found.revenue.sum(axis=2))
        index, value, start = [], [], [0]
        for y in range(n_y):
            bound = n_y + self.tails + (y - since) * kinds + np.arange(kinds if late and y >= since else 0)
            index.append(np.concatenate([[y], n_y + np.arange(self.tails), bound]))
            value.append(np.concatenate([[1.0], money[y, : self.tails], asked[y, : len(bound)]]))
            start.append(start[-1] + len(index[-1]))
        worth = (1.0 - self.risk) * money @ p.scenarios.probability
        self.highs.addCols(
            n_y, worth, np.zeros(n_y), np.full(n_y, INFINITY), start[-1], np.array(start[:-1], dtype=np.int32),
            np.concatenate(index).astype(np.int32), np.concatenate(value),
        )  # fmt: skip

    def solve(self) -> tuple[Floats, float, Prices, Floats]:
        """Return shares (J, Y), the plan's value, prices for the next policy, and what each year is worth at them."""
        p, n_y, n_s = self.p, len(self.p.years), self.p.scenarios.count
        status = settle(self.highs)
        if status != highspy.HighsModelStatus.kOptimal:
            msg = f"mixing policies ended {self.highs.modelStatusToString(status).lower()}"
            raise NotConverged(msg)
        solution = self.highs.getSolution()
        dual = np.array(solution.row_dual)
        weight = np.full(n_s, 1.0 - self.risk)
        weight[: self.tails] += np.abs(dual[n_y : n_y + self.tails]) / p.scenarios.probability[: self.tails]
        fee, toll = np.zeros((len(p.ways[0]), n_y)), np.zeros((len(p.ways[0]), n_y))
        self.dual = bound = dual[n_y + self.tails :].reshape(self.limit.shape)
        fee[:, self.since :] = (bound @ self.on_volume).T
        toll[:, self.since :] = (bound @ self.on_revenue).T
        share = np.array(solution.col_value)[1 + n_s :].reshape(len(self.policies), n_y)
        value = self.highs.getInfo().objective_function_value + self.constant
        return share, value, Prices(weight / (p.scenarios.probability @ weight), fee, toll), dual[:n_y]

    def room(self, share: Floats) -> float:
        """Return what raising every bound on a share by 1 would earn at these decisions, [million USD], by the duals.

        A row is sum (way - alpha) flow <= 0: its slope in alpha is its dual times the whole flow.
        """
        kinds = self.dual[:, : self.shares]
        flows = {
            what: sum(getattr(p, what).sum(axis=(0, 2)) * w for p, w in zip(self.policies, share, strict=True))
            for what in ("volume", "revenue")
        }
        volume, revenue = (np.asarray(flows[what])[self.since :, None] for what in ("volume", "revenue"))
        of_volume = np.abs(self.on_volume[: self.shares]).sum(axis=1) > 0.0
        return float((np.abs(kinds) * np.where(of_volume, volume, revenue)).sum())
