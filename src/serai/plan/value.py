# SPDX-License-Identifier: Apache-2.0
"""What first-stage decisions are worth: exact yearly values with their slopes, and the stress tests of neutrality.

Every function here returns an affine bound on a concave function of the decisions X = (x, u, K), exact at the X given:
the dual prices of the yearly networks are the slopes (Benders 1962, Numer. Math. 4:238).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.plan.recourse import best_flows

if TYPE_CHECKING:
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
class Bound:
    """An affine bound in one year: constant + project (P,) of what stands + signed (G,) + booked (C,)."""

    constant: float
    project: Floats
    signed: Floats
    booked: Floats


@dataclass(frozen=True)
class Policy:
    """How gas is sold in every year and future under some prices of dependence.

    earned  (S, Y) [million USD], unserved home gas already paid for;  unserved (S, Y) [bcm]
    volume, revenue   expected, by way and part of the futures (W, Y, B)
    bounds  on the priced value of each year and part: bounds[y][b]
    value   the priced value of each year, (Y,), at the decisions given
    by_corridor, by_sale, produced   volumes (C, S, Y, Q), (A, S, Y), (H, S, Y, Q) [bcm]
    gap     largest duality gap over the networks, relative to the value: the proof that each was solved
    """

    earned: Floats
    unserved: Floats
    volume: Floats
    revenue: Floats
    bounds: list[list[Bound]]
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


def policy(problem: Problem, at: Decisions, weight: Floats, fee: Floats, toll: Floats) -> Policy:
    """Return the best way to sell every year's gas in every future, when dependence has a price.

    weight  of each future's money in each year (S, Y), relative to its probability, discounted
    fee     on the volume of each way (W, Y) [USD/1,000 m3];  toll = on its revenue (W, Y), as a share
    """
    p, arcs = problem, problem.arcs
    s, (_, n_s, n_y) = p.scenarios, p.margin.shape
    unserved = p.case.settings.unserved
    _, _, way = p.ways
    cost = np.zeros((n_y, n_s, len(arcs.tail)))
    w = weight.T[:, :, None]
    cost[:, :, arcs.field] = w[..., None] * p.cost_of_gas[None, None, :, None]
    cost[:, :, arcs.home] = -w[..., None] * unserved
    cost[:, :, arcs.pair] = -w * p.margin.transpose(2, 1, 0) + (
        fee[way].T[:, None, :] + toll[way].T[:, None, :] * p.netback.transpose(2, 1, 0)
    )
    capacity = _capacity(p, at, p.days)
    capacity[:, :, arcs.home] = s.home.transpose(2, 1, 0, 3)
    capacity[:, :, arcs.corridor] *= s.available.transpose(2, 1, 0, 3)
    capacity[:, :, arcs.sale] = (p.limit * at.u[:, None, None]).transpose(2, 1, 0)
    flat = best_flows(arcs.tail, arcs.head, cost.reshape(n_y * n_s, -1), capacity.reshape(n_y * n_s, -1))
    flow, price = (v.reshape(n_y, n_s, -1) for v in (flat.flow, flat.price))
    missing = s.home.sum(axis=(0, 3)) - flow[:, :, arcs.home].sum(axis=(2, 3)).T
    sold = flow[:, :, arcs.pair].transpose(2, 1, 0)
    earned = (p.margin * sold).sum(axis=0) - unserved * missing
    earned -= (p.cost_of_gas[:, None] * flow[:, :, arcs.field]).sum(axis=(2, 3)).T
    prob, parts = s.probability, p.parts
    unpaid = unserved * weight * s.home.sum(axis=(0, 3))  # (S, Y)
    bounds = [
        [_bound(p, y, prob * part, price[y], capacity[y], -float((prob * part) @ unpaid[:, y])) for part in parts]
        for y in range(n_y)
    ]
    volume, revenue = (np.zeros((len(p.ways[0]), n_y, len(parts))) for _ in range(2))
    np.add.at(volume, way, np.einsum("s,bs,asy->ayb", prob, parts, sold))
    np.add.at(revenue, way, np.einsum("s,bs,asy->ayb", prob, parts, sold * p.netback))
    value = (prob[:, None] * (flat.value.reshape(n_y, n_s).T - unpaid)).sum(axis=0)
    return Policy(
        earned, missing, volume, revenue, bounds, value,
        flow[:, :, arcs.corridor].transpose(2, 1, 0, 3), sold, flow[:, :, arcs.field].transpose(2, 1, 0, 3),
        float((flat.gap / np.maximum(1.0, np.abs(flat.value))).max(initial=0.0)),
    )  # fmt: skip


def _capacity(p: Problem, at: Decisions, days: Floats) -> Floats:
    """Return capacities of the arcs without futures, (Y, S, m) [bcm]; homes and sales are left infinite."""
    arcs = p.arcs
    fields, links, _ = capacities(p, at.x)
    found = np.full((len(p.years), p.scenarios.count, len(arcs.tail)), np.inf)
    found[:, :, arcs.field] = (fields.T[:, :, None] * days)[:, None]
    found[:, :, arcs.forth] = found[:, :, arcs.back] = (links.T[:, :, None] * days)[:, None]
    found[:, :, arcs.corridor] = (at.booked.T[:, :, None] * days)[:, None]
    return found


def _bound(p: Problem, y: int, weight: Floats, price: Floats, capacity: Floats, constant: float) -> Bound:  # noqa: PLR0917 - the parts of one year
    """Return the affine bound of year y from the dual prices (S, m), each scenario weighed, at capacities (S, m).

    Capacities that decisions scale enter by their slope; those that stand fixed, by their product with the price.
    """
    arcs = p.arcs
    priced = weight[:, None] * price
    fixed = np.where(np.isfinite(capacity), capacity, 0.0) * priced
    by_hub = (priced[:, arcs.field] * p.days).sum(axis=(0, 2))
    by_link = ((priced[:, arcs.forth] + priced[:, arcs.back]) * p.days).sum(axis=(0, 2))
    available = p.scenarios.available[:, :, y].transpose(1, 0, 2)
    by_corridor = (priced[:, arcs.corridor] * available * p.days).sum(axis=(0, 2))
    by_sale = (
        (priced[:, arcs.sale] * p.limit[:, :, y].T).sum(axis=0)
        if np.isfinite(p.limit).all()
        else np.array(
            [
                (priced[:, a] * np.where(np.isfinite(x), x, 0.0)).sum()
                for a, x in zip(arcs.sale, p.limit[:, :, y], strict=True)
            ]
        )
    )
    links = np.array([v.capacity for v in p.case.links])
    whole = constant + fixed[:, arcs.home].sum() + by_hub @ p.produced[:, y] + (by_link @ links if len(links) else 0.0)
    projects = by_hub @ p.adds("fields") + (by_link @ p.adds("links") if len(links) else 0.0)
    return Bound(float(whole), projects, by_sale, by_corridor)


# --------------------------------------------------------------------------------------------------- stress tests


def stopped(problem: Problem, at: Decisions, dependence: Dependence) -> tuple[Floats, list[Bound]]:
    """Return the revenue left in each year when a dependence stops for all of it, (Y,), with bounds.

    `problem` holds the one expected future; homes are served first, what else can be sold elsewhere is.
    """
    p, arcs = problem, problem.arcs
    _, _, way = p.ways
    open_ = (~dependence.ways[way]).astype(float)
    cost = np.zeros((len(p.years), 1, len(arcs.tail)))
    cost[:, :, arcs.home] = -SERVED_FIRST
    cost[:, :, arcs.pair] = -(p.netback * open_[:, None, None]).transpose(2, 1, 0)
    capacity = _capacity(p, at, p.days)
    capacity[:, :, arcs.home] = p.scenarios.home.transpose(2, 1, 0, 3)
    capacity[:, :, arcs.sale] = (p.limit * at.u[:, None, None]).transpose(2, 1, 0)
    capacity[:, :, arcs.pair] = np.where(open_ > 0.0, np.inf, 0.0)
    return _tested(p, cost, capacity, -SERVED_FIRST * p.scenarios.home.sum(axis=(0, 1, 3)), p.limit[:, 0])


def deliverable(problem: Problem, at: Decisions, lost: Element) -> tuple[Floats, list[Bound]]:
    """Return what can be exported in each year without an element, homes first, (Y,) [bcm], with bounds."""
    p, arcs = problem, problem.arcs
    cost = np.zeros((len(p.years), 1, len(arcs.tail)))
    cost[:, :, arcs.home] = -SERVED_FIRST
    cost[:, :, arcs.sale] = -1.0
    capacity = _capacity(p, at, p.days)
    capacity[:, :, arcs.home] = p.scenarios.home.transpose(2, 1, 0, 3)
    left = _without(p, capacity, lost)
    none = np.zeros((len(p.sales), len(p.years)))
    return _tested(p, cost, capacity, -SERVED_FIRST * p.scenarios.home.sum(axis=(0, 1, 3)), none, left)


def warm(problem: Problem, at: Decisions, lost: Element) -> tuple[Floats, list[Bound]]:
    """Return the home gas that the peak day lacks in each year without an element, (Y,) <= 0 [bcm/y], with bounds."""
    p, arcs, demand = problem, problem.arcs, peak_demand(problem)
    cost = np.zeros((len(p.years), 1, len(arcs.tail)))
    cost[:, :, arcs.home] = -1.0
    capacity = _capacity(p, at, p.days)
    capacity[:, :, arcs.home] = (demand.T[:, :, None] * p.days)[:, None]
    capacity[:, :, arcs.sale] = 0.0
    left = _without(p, capacity, lost)
    return _tested(p, cost, capacity, -demand.sum(axis=0), np.zeros((len(p.sales), len(p.years))), left)


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


def _without(p: Problem, capacity: Floats, lost: Element) -> tuple[Floats, Floats, Floats]:
    """Take an element out of the capacities, in place; return what it leaves."""
    corridor, link, field = left = left_without(p, lost)
    capacity[:, :, p.arcs.corridor] *= corridor[:, None]
    for group in (p.arcs.forth, p.arcs.back):
        capacity[:, :, group] *= link[:, None]
    capacity[:, :, p.arcs.field] -= (field.T[:, :, None] * p.days)[:, None]
    return left


def _tested(  # noqa: PLR0917 - the parts of one linear program
    p: Problem,
    cost: Floats,
    capacity: Floats,
    constant: Floats,
    limit: Floats,
    left: tuple[Floats, Floats, Floats] | None = None,
) -> tuple[Floats, list[Bound]]:
    """Solve a stress test of one future in every year; return its value and its bound by year.

    limit  what signing a sale adds to its capacity (G, Y)
    """
    arcs, n_y = p.arcs, len(p.years)
    found = best_flows(arcs.tail, arcs.head, cost.reshape(n_y, -1), capacity.reshape(n_y, -1))
    whole_corridors, whole_links = np.ones(len(p.case.corridors)), np.ones(len(p.case.links))
    corridor_left, link_left, field_lost = left or (whole_corridors, whole_links, np.zeros_like(p.produced))
    links = np.array([v.capacity for v in p.case.links])
    bounds = []
    for y in range(n_y):
        price = found.price[y]
        by_hub = (price[arcs.field] * p.days).sum(axis=1)
        by_link = ((price[arcs.forth] + price[arcs.back]) * p.days).sum(axis=1) * link_left
        by_corridor = (price[arcs.corridor] * p.days).sum(axis=1) * corridor_left
        by_sale = price[arcs.sale] * np.where(np.isfinite(limit[:, y]), limit[:, y], 0.0)
        home = (price[arcs.home] * capacity[y, 0, arcs.home]).sum()
        whole = constant[y] + home + by_hub @ (p.produced[:, y] - field_lost[:, y])
        whole += by_link @ links if len(links) else 0.0
        projects = by_hub @ p.adds("fields") + (by_link @ p.adds("links") if len(links) else 0.0)
        bounds.append(Bound(float(whole), projects, by_sale, by_corridor))
    return found.value + constant, bounds
