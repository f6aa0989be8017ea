# SPDX-License-Identifier: Apache-2.0
"""What first-stage decisions are worth: exact yearly values with their slopes, and the stress tests of neutrality.

Every function here returns an affine bound on a concave function of the decisions X = (x, u, K), exact at the X given:
the dual prices of the yearly networks are the slopes (Benders 1962, Numer. Math. 4:238).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.plan.recourse import Trees, best_flows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.neutrality import Dependence, Element
    from serai.plan.problem import Problem

    Floats = NDArray[np.float64]

SERVED_FIRST = 1e4  # weight of home gas in tests that count gas, not money


@dataclass(frozen=True)
class Decisions:
    """First stage: x (P, Y) decided by that year, u (G,) signed (spot sales 1), booked K (C, Y) [bcm/y]."""

    x: Floats
    u: Floats
    booked: Floats


@dataclass(frozen=True)
class Bounds:
    """Affine bounds of any leading shape: constant + project (.., P) standing + signed (.., G) + booked (.., C)."""

    constant: Floats
    project: Floats
    signed: Floats
    booked: Floats

    def at(self, problem: Problem, at: Decisions) -> Floats:
        """Return what bounds by (year, other) come to at decisions, (Y, B)."""
        stands = standing(problem, at.x)
        found = self.constant + np.einsum("ybp,py->yb", self.project, stands) + self.signed @ at.u
        return np.asarray(found + np.einsum("ybc,cy->yb", self.booked, at.booked))


@dataclass(frozen=True)
class Policy:
    """How gas is sold in every year and future under some prices of dependence.

    earned  (S, Y) [million USD], unserved home gas already paid for;  unserved (S, Y) [bcm]
    volume, revenue   expected, by way and part of the futures (W, Y, B)
    bounds  on the priced value of each year and part, (Y, B)
    value   the priced value of each year, (Y,), at the decisions given
    by_corridor, by_pair, produced   volumes (C, S, Y, Q), (A, S, Y), (H, S, Y, Q) [bcm]
    gap     largest duality gap over the networks, relative to the value: the proof that each was solved
    """

    earned: Floats
    unserved: Floats
    volume: Floats
    revenue: Floats
    bounds: Bounds
    value: Floats
    by_corridor: Floats
    by_pair: Floats
    produced: Floats
    gap: float


def standing(problem: Problem, x: Floats) -> Floats:
    """Return which projects stand in each year, (P, Y): decided at least `lead` years before."""
    found = np.zeros_like(x)
    for i, p in enumerate(problem.case.projects):
        if p.lead < x.shape[1]:
            found[i, p.lead :] = x[i, : x.shape[1] - p.lead] if p.lead else x[i]
    return found


def capacities(problem: Problem, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return capacities of hubs' fields (H, Y), trunk lines (L, Y) and corridors (C, Y) [bcm/y]."""
    stands = standing(problem, x)
    links = np.array([v.capacity for v in problem.case.links]).reshape(-1, 1)
    ways = np.array([c.capacity for c in problem.case.corridors]).reshape(-1, 1)
    return (
        problem.produced + problem.adds("fields") @ stands,
        links + problem.adds("links") @ stands,
        ways + problem.adds("corridors") @ stands,
    )


def trees(problem: Problem, tests: int = 0) -> Trees:
    """Return the memory that `policy`, or so many stress tests of one future, start from and leave."""
    arcs, each = problem.arcs, tests or problem.scenarios.count
    nodes = int(max(arcs.tail.max(), arcs.head.max())) + 1
    return Trees.of(each * len(problem.years), nodes, len(arcs.tail))


def policy(  # noqa: PLR0917 - prices of three kinds
    problem: Problem, at: Decisions, weight: Floats, fee: Floats, toll: Floats, memory: Trees | None = None
) -> Policy:
    """Return the best way to sell every year's gas in every future, when dependence has a price.

    weight  of each future's money in each year (S, Y), relative to its probability, discounted
    fee     on the volume of each way (W, Y) [USD/1,000 m3];  toll = on its revenue (W, Y), as a share
    memory  where the networks ended last time (`trees`)
    """
    p, arcs = problem, problem.arcs
    s, (_, n_s, n_y) = p.scenarios, p.margin.shape
    unserved = p.case.settings.unserved
    _, _, way = p.ways
    cost = np.zeros((n_y, n_s, len(arcs.tail)))
    w = weight.T[:, :, None]
    cost[:, :, arcs.field] = w[..., None] * p.cost_of_gas[None, None, :, None]
    cost[:, :, arcs.home] = -w[..., None] * unserved
    cost[:, :, arcs.pair] = -w * p.by_year.margin
    if fee.any() or toll.any():
        cost[:, :, arcs.pair] += fee[way].T[:, None, :] + toll[way].T[:, None, :] * p.by_year.netback
    capacity = _capacity(p, at)
    capacity[:, :, arcs.home] = p.by_year.home
    capacity[:, :, arcs.corridor] *= p.by_year.available
    capacity[:, :, arcs.sale] = p.by_year.limit * at.u
    blocks = (n_y * n_s, len(arcs.tail))
    flat = best_flows(arcs.tail, arcs.head, cost.reshape(blocks), capacity.reshape(blocks), trees=memory)
    flow, price = (v.reshape(n_y, n_s, -1) for v in (flat.flow, flat.price))
    home, sold, made = flow[:, :, arcs.home], flow[:, :, arcs.pair], flow[:, :, arcs.field]
    demand = s.home.sum(axis=(0, 3))
    missing = demand - home.sum(axis=(2, 3)).T
    earned = np.einsum("ysa,ysa->sy", p.by_year.margin, sold) - unserved * missing
    earned -= np.einsum("h,yshq->sy", p.cost_of_gas, made)
    prob, sold = s.probability, sold.transpose(2, 1, 0)
    shares = prob * p.parts  # (B, S)
    unpaid = unserved * weight * demand  # (S, Y)
    volume, revenue = (np.zeros((len(p.ways[0]), n_y, len(shares))) for _ in range(2))
    np.add.at(volume, way, np.einsum("bs,asy->ayb", shares, sold))
    np.add.at(revenue, way, np.einsum("bs,asy->ayb", shares, sold * p.netback))
    value = prob @ (flat.value.reshape(n_y, n_s).T - unpaid)
    return Policy(
        earned, missing, volume, revenue, _bounds(p, shares, price, -(shares @ unpaid).T), value,
        flow[:, :, arcs.corridor].transpose(2, 1, 0, 3), sold, made.transpose(2, 1, 0, 3),
        float((flat.gap / np.maximum(1.0, np.abs(flat.value))).max(initial=0.0)),
    )  # fmt: skip


def _capacity(p: Problem, at: Decisions) -> Floats:
    """Return capacities of the arcs without futures, (Y, S, m) [bcm]; homes and sales are left infinite."""
    arcs, days = p.arcs, p.days
    fields, links, _ = capacities(p, at.x)
    found = np.full((len(p.years), p.scenarios.count, len(arcs.tail)), np.inf)
    found[:, :, arcs.field] = (fields.T[:, :, None] * days)[:, None]
    found[:, :, arcs.forth] = found[:, :, arcs.back] = (links.T[:, :, None] * days)[:, None]
    found[:, :, arcs.corridor] = (at.booked.T[:, :, None] * days)[:, None]
    return found


def _bounds(p: Problem, shares: Floats, price: Floats, constant: Floats) -> Bounds:
    """Return affine bounds (Y, B) from dual prices (Y, S, m), the futures weighed by shares (B, S).

    Capacities that decisions scale enter by their slope; those that stand fixed, by their product with the price.
    """
    arcs, each = p.arcs, p.by_year

    def weighed(arc: NDArray[np.int64], by: Floats) -> Floats:
        priced = price[:, :, arc] * by
        return np.asarray(np.einsum("bs,ys...->yb...", shares, priced, optimize=True))

    ones = np.ones(1)
    fields = weighed(arcs.field, p.days).sum(axis=-1)
    links = (weighed(arcs.forth, p.days) + weighed(arcs.back, p.days)).sum(axis=-1)
    booked = weighed(arcs.corridor, each.available * p.days).sum(axis=-1)
    signed = weighed(arcs.sale, np.where(np.isfinite(each.limit), each.limit, 0.0))
    homes = weighed(arcs.home, each.home * ones).sum(axis=(-2, -1))
    stand = np.array([v.capacity for v in p.case.links])
    whole = constant + homes + np.einsum("ybh,hy->yb", fields, p.produced) + links @ stand
    return Bounds(whole, fields @ p.adds("fields") + links @ p.adds("links"), signed, booked)


# --------------------------------------------------------------------------------------------------- stress tests


@dataclass(frozen=True)
class Stress:
    """A stress test of every year: `stop` of a dependence (counts revenue), `export` or `homes` without an element."""

    what: str
    of: Dependence | Element

    @property
    def name(self) -> str:
        """What it is called in a row of the master."""
        if self.what == "stop":
            assert not hasattr(self.of, "kind")  # noqa: S101 - a stop is of a dependence
            return f"stop of {self.of.dimension} {self.of.name}"
        return f"{self.what} without {self.of.name}"


def stresses(
    problem: Problem, at: Decisions, tests: Sequence[Stress], memory: Trees | None = None
) -> tuple[Floats, Bounds]:
    """Return what each test leaves in each year, (Y, T), with its bounds (Y, T); `problem` holds one expected future.

    Homes are served first, what else can be sold elsewhere is.
    """
    p, arcs, n_y, n_t = problem, problem.arcs, len(problem.years), len(tests)
    laid = [_laid(p, t) for t in tests]
    cost = np.stack([s.cost for s in laid], axis=1)  # (Y, T, m)
    capacity = np.repeat(_capacity(p, at), n_t, axis=1)
    corridor, link = np.array([s.corridor for s in laid]), np.array([s.link for s in laid])
    lost, home = np.stack([s.field for s in laid]), np.stack([s.home for s in laid])  # (T, H, Y), (T, Y, H, Q)
    limit = np.stack([s.limit for s in laid])  # (T, Y, G)
    capacity[:, :, arcs.corridor] *= corridor[:, :, None]
    for group in (arcs.forth, arcs.back):
        capacity[:, :, group] *= link[:, :, None]
    capacity[:, :, arcs.field] -= lost.transpose(2, 0, 1)[..., None] * p.days
    capacity[:, :, arcs.home] = home.transpose(1, 0, 2, 3)
    for t, s in enumerate(laid):
        capacity[:, t, arcs.pair] = np.where(s.open, np.inf, 0.0)
        capacity[:, t, arcs.sale] = s.limit * at.u if tests[t].what == "stop" else s.sold
    blocks = (n_y * n_t, len(arcs.tail))
    flat = best_flows(arcs.tail, arcs.head, cost.reshape(blocks), capacity.reshape(blocks), trees=memory)
    price = flat.price.reshape(n_y, n_t, -1)
    first = np.array([s.first for s in laid])
    fields = (price[:, :, arcs.field] * p.days).sum(axis=-1)
    links = ((price[:, :, arcs.forth] + price[:, :, arcs.back]) * p.days).sum(axis=-1) * link
    booked = (price[:, :, arcs.corridor] * p.days).sum(axis=-1) * corridor
    signed = price[:, :, arcs.sale] * np.where(np.isfinite(limit), limit, 0.0).transpose(1, 0, 2)
    served = (price[:, :, arcs.home] * home.transpose(1, 0, 2, 3)).sum(axis=(-2, -1))
    constant = -first * home.sum(axis=(2, 3)).T
    whole = constant + served + np.einsum("yth,thy->yt", fields, p.produced - lost)
    whole += links @ np.array([v.capacity for v in p.case.links])
    bounds = Bounds(whole, fields @ p.adds("fields") + links @ p.adds("links"), signed, booked)
    return flat.value.reshape(n_y, n_t) + constant, bounds


@dataclass(frozen=True)
class _Laid:
    """A test in arrays: costs (Y, m), what stands of corridors (C,), links (L,), fields lost (H, Y), homes (Y, H, Q).

    open  pairs that may sell (A,);  limit = what a signature lets sell (Y, G), sold = what may be sold anyway
    first weight of home gas, that comes before everything
    """

    cost: Floats
    corridor: Floats
    link: Floats
    field: Floats
    home: Floats
    open: NDArray[np.bool_]
    limit: Floats
    sold: float
    first: float


def _laid(p: Problem, test: Stress) -> _Laid:
    """Write a test as arrays."""
    arcs, n_y = p.arcs, len(p.years)
    cost, home = np.zeros((n_y, len(arcs.tail))), p.by_year.home[:, 0]
    whole = np.ones(len(p.case.corridors)), np.ones(len(p.case.links)), np.zeros_like(p.produced)
    every, none = np.ones(len(arcs.pair), dtype=bool), np.zeros((n_y, len(p.sales)))
    if test.what == "stop":
        open_ = ~test.of.ways[p.ways[2]]  # type: ignore[union-attr]  # a stop is of a dependence
        cost[:, arcs.home] = -SERVED_FIRST
        cost[:, arcs.pair] = -p.by_year.netback[:, 0] * open_
        return _Laid(cost, *whole, home, open_, p.by_year.limit[:, 0], np.inf, SERVED_FIRST)
    left = left_without(p, test.of)  # type: ignore[arg-type]  # what is lost is an element
    if test.what == "export":
        cost[:, arcs.home] = -SERVED_FIRST
        cost[:, arcs.sale] = -1.0
        return _Laid(cost, *left, home, every, none, np.inf, SERVED_FIRST)
    cost[:, arcs.home] = -1.0
    peak = peak_demand(p).T[:, :, None] * p.days
    return _Laid(cost, *left, peak, every, none, 0.0, 1.0)


def stopped(problem: Problem, at: Decisions, dependence: Dependence) -> Floats:
    """Return the revenue left in each year when a dependence stops for all of it, (Y,); one expected future."""
    return np.asarray(stresses(problem, at, [Stress("stop", dependence)])[0][:, 0])


def deliverable(problem: Problem, at: Decisions, lost: Element) -> tuple[Floats, Bounds]:
    """Return what can be exported in each year without an element, homes first, (Y,) [bcm], with bounds (Y, 1)."""
    left, bounds = stresses(problem, at, [Stress("export", lost)])
    return left[:, 0], bounds


def warm(problem: Problem, at: Decisions, lost: Element) -> tuple[Floats, Bounds]:
    """Return the home gas that the peak day lacks in each year without an element, (Y,) <= 0 [bcm/y], with bounds."""
    left, bounds = stresses(problem, at, [Stress("homes", lost)])
    return left[:, 0], bounds


def peak_demand(problem: Problem) -> Floats:
    """Return what homes take on the peak day of each year, as a rate (H, Y) [bcm/y]; one expected future."""
    p = problem
    peak = np.array([sum(h.peak * h.demand for h in p.case.home if h.hub == hub) for hub in p.case.hubs])
    mean = np.array([sum(h.demand for h in p.case.home if h.hub == hub) for hub in p.case.hubs])
    growth = p.scenarios.home.sum(axis=(1, 3)) / np.maximum(mean, 1e-9)[:, None]
    return np.asarray(peak[:, None] * growth)


def firm_sales(problem: Problem) -> Floats:
    """Return what each sale must always get, (G, Y) [bcm]: the take-or-pay quantity of contracts while they run."""
    found = np.zeros((len(problem.sales), len(problem.years)))
    for i, g in enumerate(problem.case.contracts):
        runs = (problem.years >= g.start) & (problem.years <= g.end)
        found[i, runs] = g.take_or_pay * g.quantity
    return found


def left_without(problem: Problem, lost: Element) -> tuple[Floats, Floats, Floats]:
    """Return what an element's loss leaves of corridors (C,) and links (L,), and takes off hubs' fields (H, Y)."""
    p = problem
    corridor, link, field = np.ones(len(p.case.corridors)), np.ones(len(p.case.links)), np.zeros_like(p.produced)
    if lost.kind == "corridor":
        corridor[lost.number] = 1.0 - lost.lost
    elif lost.kind == "link":
        link[lost.number] = 1.0 - lost.lost
    else:
        row = p.case.fields[lost.number]
        past = (p.years - p.case.settings.base_year).astype(float)
        field[p.case.hubs.index(row.hub)] = lost.lost * row.capacity * (1.0 - row.decline) ** past
    return corridor, link, field
