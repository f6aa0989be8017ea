# SPDX-License-Identifier: Apache-2.0
"""The frontier: what a plan is worth against the fear of bad futures and against the bound on dependence.

    found = frontier("turkmenistan", risks=(0.0, 0.5), shares=(0.5, 0.7, 1.0))
    found.table                          # a row for every pair: value, bound, mean, worst, the price of neutrality
    plan.frontier()                      # the same around a plan, of the same tables, futures and other bounds

Points of one risk are solved from the tightest bound on, by one search: its plan keeps every looser bound, its cuts and
weighings of futures depend on no bound, so that each point starts from a plan and from all that was learned.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pandas as pd

from serai.errors import PhysicsRefused, SeraiError
from serai.plan.case import PlanningCase, read_planning
from serai.plan.neutrality import DIMENSIONS, Neutrality
from serai.plan.problem import Problem
from serai.plan.scenarios import draw
from serai.plan.solve import Search
from serai.simulate.ensemble_parts import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from serai.plan.made import Made
    from serai.plan.solve import Solved
    from serai.plan.value import Decisions

    Floats = NDArray[np.float64]

RISKS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHARES = (0.4, 0.5, 0.6, 0.75, 1.0)


@dataclass(frozen=True)
class Point:
    """The best plan at one risk and one bound; money in million USD of the base year.

    value, bound   as in a plan: nothing is worth more than `bound`;  seconds it took, parts of the tree it split
    mean, worst    expected net present value, and its mean over the worst `tail` share of futures
    room           what raising the bound on shares by 1 would earn at the plan's decisions, by the duals
    decisions      None where no plan keeps the bounds
    """

    risk: float
    share: float
    value: float
    bound: float
    mean: float
    worst: float
    room: float
    decisions: Decisions | None
    seconds: float
    parts: int

    @property
    def gap(self) -> float:
        """What is left to prove, relative to the value."""
        return (self.bound - self.value) / max(1.0, abs(self.value))


@dataclass(frozen=True)
class Frontier:
    """Points over risk and bound, with the names that their decisions stand for.

    asked   gap to which each point was to be solved;  chosen = risk and share of the plan that it was made around
    """

    problem: Problem
    points: tuple[Point, ...]
    asked: float
    chosen: tuple[float, float] | None = None

    def __repr__(self) -> str:
        """Say what it is in one line."""
        return f"<serai frontier of {self.problem.case.name}: {len(self.points)} points, gap {100 * self.gap:.2f} %>"

    @property
    def gap(self) -> float:
        """The largest of all points."""
        return max((p.gap for p in self.points if p.decisions is not None), default=np.nan)

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a point: risk, share, value, bound, gap, mean, worst, builds, contracts, prices of neutrality.

        proven            whether the gap is what was asked;  chosen = whether it is the plan itself
        price_dual        [million USD per percentage point of the bound] at fixed builds and contracts
        price_difference  the same between this bound and the next looser one: builds jump, so the two differ
        """
        case, open_ = self.problem.case, self.problem.open_contracts
        rows = []
        for p in self.points:
            x, u = (p.decisions.x[:, -1], p.decisions.u[open_]) if p.decisions else (np.zeros(0), np.zeros(0))
            rows.append(
                {
                    "risk": p.risk, "share": p.share, "value": p.value, "bound": p.bound, "gap": p.gap, "mean": p.mean,
                    "worst": p.worst, "price_dual": p.room / 100.0, "seconds": p.seconds,
                    "proven": p.gap <= self.asked, "chosen": (p.risk, p.share) == self.chosen,
                    "builds": "; ".join(q.name for q, b in zip(case.projects, x, strict=False) if b > 0.5),
                    "contracts": "; ".join(case.contracts[i].name for i, b in zip(open_, u, strict=False) if b > 0.5),
                }
            )  # fmt: skip
        found = pd.DataFrame(rows).sort_values(["risk", "share"], ignore_index=True)
        by_risk = found.groupby("risk")
        step = by_risk["share"].diff(-1) * 100.0
        found.insert(8, "price_difference", by_risk["value"].diff(-1) / step)
        return found


def frontier(
    case: str | os.PathLike[str] | PlanningCase,
    *,
    risks: Sequence[float] = RISKS,
    shares: Sequence[float] = SHARES,
    bounded: Sequence[str] = DIMENSIONS,
    neutrality: Neutrality | None = None,
    tail: float = 0.1,
    futures: int = 100,
    seed: int = 1,
    gap: float = 5e-3,
    seconds: float = 60.0,
    executor: Any = None,
    progress: Callable[[float, Point], None] | None = None,
) -> Frontier:
    """Plan at every risk and every bound on shares.

    case        a bundled case, a case folder with planning tables, or tables already read
    risks       weights of the worst futures, 0 to 1
    shares      bounds on dependence, 0 to 1; 1 = none;  bounded = the dimensions they hold for

    neutrality  other bounds, that hold at every point
    tail, futures, seed, gap   as in `plan`
    seconds     each point may take; one that is not done by then shows its gap
    executor    any concurrent.futures executor (processes must be spawned) or Dask client: one piece for each risk,
                the largest first, which takes longest
    progress    is told the share done, 0 to 1, and the point

    Raises SeraiError for a risk or a share outside 0 to 1, CaseError for mistakes in the tables. A point at which no
    plan keeps the bounds is nan.
    """
    tables = case if isinstance(case, PlanningCase) else read_planning(case)
    problem = Problem(tables, draw(tables, futures, seed=seed))
    work = _Work(problem, neutrality or Neutrality(), _sorted("share", shares), tuple(bounded), tail, gap, seconds)
    return _frontier(work, _sorted("risk", risks), executor, progress)


def around(
    made: Made,
    *,
    risks: Sequence[float] = RISKS,
    shares: Sequence[float] = SHARES,
    gap: float = 5e-3,
    seconds: float = 60.0,
    executor: Any = None,
    progress: Callable[[float, Point], None] | None = None,
) -> Frontier:
    """Plan at every risk and every bound around a plan: its tables, its futures, its other bounds.

    The plan is one of the points: its own risk and share stand in place of the nearest of those given. Where it bounds
    some dimensions only, the shares are of these. Options and errors are those of `frontier`.
    """
    rule = made.neutrality
    limits, bounded = set(rule.limits.values()), tuple(rule.limits) or DIMENSIONS
    work = _Work(made.problem, rule, _sorted("share", shares), bounded, made.tail, gap, seconds)
    if len(limits) > 1:  # no one share is that of the plan
        return _frontier(work, _sorted("risk", risks), executor, progress)
    own = (made.risk, limits.pop() if limits else 1.0)
    itself = _point(made.problem, made.solved, *own, made.tail)
    work = replace(work, shares=_with(own[1], work.shares), given=itself)
    return _frontier(work, _with(own[0], _sorted("risk", risks)), executor, progress)


def workers(count: int | None = None) -> ProcessPoolExecutor:
    """Return processes for a frontier, one for each core unless said otherwise."""
    spawned = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count or os.cpu_count(), mp_context=spawned, initializer=_one_thread)


def _one_thread() -> None:
    """Let this process solve its networks by one thread: the others have their own."""
    numba.set_num_threads(1)


def _sorted(what: str, values: Sequence[float]) -> tuple[float, ...]:
    if not len(values) or not all(0.0 <= v <= 1.0 for v in values):
        msg = f"a frontier needs {what}s between 0 and 1, got {list(values)}"
        raise SeraiError(msg)
    return tuple(sorted(set(values)))


def _with(own: float, values: tuple[float, ...]) -> tuple[float, ...]:
    """Return values with one of them in place of the nearest."""
    nearest = min(values, key=lambda v: abs(v - own))
    return tuple(sorted({own, *(v for v in values if v != nearest)}))


def _frontier(
    work: _Work,
    risks: tuple[float, ...],
    executor: Any,
    progress: Callable[[float, Point], None] | None,
) -> Frontier:
    itself = work.given
    points, count = [] if itself is None else [itself], len(risks) * len(work.shares)
    every: Any
    if executor is None:
        every = work.points(risks)
    else:
        chains = in_order(executor, _chain, [(work, [r]) for r in risks[::-1]])
        every = (point for chain in chains for point in chain)
    for point in every:
        points.append(point)
        if progress is not None:
            progress(len(points) / count, point)
    chosen = (itself.risk, itself.share) if itself else None
    return Frontier(work.problem, tuple(agreed(points, itself)), work.gap, chosen)


def agreed(points: Sequence[Point], itself: Point | None = None) -> list[Point]:
    """Let points learn from each other what their searches, each out of time, may not have found.

    A plan keeps every looser bound, and is worth (1 - risk) mean + risk worst at any risk. What the best plan is worth
    never rises with risk nor falls with a looser bound, and is convex in risk, being the most of such lines: so what no
    plan exceeds at two risks bounds those between them.

    itself  the plan that the points are around: it stays as it is, but for its bound
    """
    have = [p for p in points if p.decisions is not None]
    bound = {(p.risk, p.share): min(q.bound for q in have if q.risk <= p.risk and q.share >= p.share) for p in have}
    for p in have:
        line = [(q.risk, bound[q.risk, q.share]) for q in have if q.share == p.share]
        below, above = ([v for v in line if v[0] < p.risk], [v for v in line if v[0] > p.risk])
        for (r0, b0), (r1, b1) in product(below, above):
            chord = b0 + (p.risk - r0) / (r1 - r0) * (b1 - b0)
            bound[p.risk, p.share] = min(bound[p.risk, p.share], chord)
    found = []
    for p in points:
        best = p
        for q in () if p is itself or p.decisions is None else have:
            worth = (1.0 - p.risk) * q.mean + p.risk * q.worst
            if q.share <= p.share and worth > best.value + 1e-9 * abs(best.value):
                best = replace(q, risk=p.risk, share=p.share, value=worth, seconds=p.seconds, parts=p.parts)
                best = replace(best, room=np.nan)  # the duals are those of another risk and bound
        found.append(replace(best, bound=max(best.value, bound.get((p.risk, p.share), np.nan))))
    return found


@dataclass(frozen=True)
class _Work:
    """What all points share."""

    problem: Problem
    rule: Neutrality  # but for its shares
    shares: tuple[float, ...]  # the tightest first
    bounded: tuple[str, ...]
    tail: float
    gap: float
    seconds: float
    given: Point | None = None  # the plan that the points are around

    def points(self, risks: Sequence[float]) -> Iterator[Point]:
        """Yield the points of some risks by one search that keeps what it learns."""
        search, known = None, self.given
        for risk, share in product(risks, self.shares):
            if known is not None and (risk, share) == (known.risk, known.share):
                continue
            rule = replace(self.rule, max_share={**self.rule.shares, **dict.fromkeys(self.bounded, share)})
            begun = time.perf_counter()
            try:
                if search is None:
                    search = Search(self.problem, rule, risk, self.tail)
                else:
                    search.ask(rule, risk)
                if known is not None and known.decisions and share in (self.shares[0], known.share):
                    search.first.append(known.decisions)  # it keeps these bounds, or sells less to keep them
                found = search.run(self.gap, self.seconds)
            except PhysicsRefused:
                lost = time.perf_counter() - begun
                yield Point(risk, share, np.nan, np.nan, np.nan, np.nan, np.nan, None, lost, 0)
                continue
            yield _point(self.problem, found, risk, share, self.tail)


def _chain(piece: tuple[_Work, list[float]]) -> list[Point]:
    """Solve the points of some risks in a worker."""
    work, risks = piece
    return list(work.points(risks))


def _point(p: Problem, found: Solved, risk: float, share: float, tail: float) -> Point:
    value = net_present_values(p, found)
    mean, worst = float(p.scenarios.probability @ value), worst_mean(value, p.scenarios.probability, tail)
    return Point(
        risk, share, found.value, found.bound, mean, worst, found.room, found.decisions, found.seconds, found.parts
    )


def net_present_values(p: Problem, found: Solved) -> Floats:
    """Return what a plan is worth in each future, (S,) [million USD]."""
    at, earned = found.decisions, found.mixture.mean("earned")
    first = float((p.build_cost * at.x).sum() + (p.booking_cost * at.booked).sum())
    return np.asarray(earned @ p.discount + np.einsum("g,gsy,y->s", at.u, p.fixed, p.discount) - first)


def worst_mean(value: Floats, probability: Floats, tail: float) -> float:
    """Return the mean of the worst `tail` share of futures (Rockafellar & Uryasev 2000, J. Risk 2:21)."""
    order = np.argsort(value)
    before = np.concatenate([[0.0], np.cumsum(probability[order])[:-1]])
    weight = np.clip(tail - before, 0.0, probability[order])
    return float(weight @ value[order] / tail)
