# SPDX-License-Identifier: Apache-2.0
"""What is left of a plan without any set of its pieces: homes on the peak day, deliverable exports, revenue.

Every (set, year) is one small network of `recourse`; thousands are solved together, each exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.plan.neutrality import Dependence, Element
from serai.plan.recourse import best_flows
from serai.plan.value import capacities, peak_demand

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from serai.plan.problem import Problem
    from serai.plan.value import Decisions

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Piece = Element | Dependence

FIRST = 1e4  # weight of home gas against a unit of export or a dollar per 1,000 m3
MOST = 20_000  # networks solved at a time


@dataclass(frozen=True)
class Left:
    """What is left in each year without each set of pieces, (n, Y).

    missing   home gas that the peak day lacks, as a rate [bcm/y];  unserved = in the whole year [bcm]
    exported  what could leave the country, homes served first [bcm]
    revenue   at the border, of what is signed and taken [million USD]
    carried   by each corridor and season when that is earned (n, Y, C, Q) [bcm]
    """

    missing: Floats
    unserved: Floats
    exported: Floats
    revenue: Floats
    carried: Floats


def left(
    problem: Problem,
    at: Decisions,
    sets: Sequence[Sequence[Piece]],
    *,
    years: Ints | None = None,
    available: Floats | None = None,
) -> Left:
    """Return what is left without each set: elements (a corridor, a line, a train) or neighbours that stop.

    problem    holds one future
    years      which of its years, by number; None = all
    available  share of each corridor that works by season (C, Y, Q); None = as in that future
    """
    y = np.arange(len(problem.years)) if years is None else years
    step = max(1, MOST // len(y))
    parts = [_left(problem, at, sets[i : i + step], y, available) for i in range(0, len(sets), step)]
    return Left(*(np.concatenate([getattr(x, n) for x in parts]) for n in Left.__dataclass_fields__))


def _left(p: Problem, at: Decisions, sets: Sequence[Sequence[Piece]], y: Ints, available: Floats | None) -> Left:
    arcs, demand = p.arcs, peak_demand(p)[:, y]
    capacity = stands(p, at, sets, available)[:, y]
    home = p.scenarios.home[:, 0][:, y].transpose(1, 0, 2)  # (Y, H, Q)
    netback = p.netback[:, 0][:, y].T
    shut = np.array([_stopped(p, s) for s in sets])  # (n, A)

    def solve(cost: Floats, capacity: Floats) -> Floats:
        shape = capacity.shape[:2]
        costs = np.broadcast_to(cost, capacity.shape).reshape(-1, capacity.shape[2])
        found = best_flows(arcs.tail, arcs.head, costs, capacity.reshape(-1, capacity.shape[2]))
        return np.asarray(found.flow.reshape(*shape, -1))

    cold, cost = capacity.copy(), np.zeros(capacity.shape[1:])
    peak = demand.T[:, :, None] * p.days  # (Y, H, Q)
    cold[:, :, arcs.home] = peak
    cold[:, :, arcs.sale] = 0.0
    cost[:, arcs.home] = -1.0
    missing = (peak.sum(axis=(1, 2)) - solve(cost, cold)[:, :, arcs.home].sum(axis=(2, 3))).clip(min=0.0)

    whole, cost = capacity.copy(), np.zeros(capacity.shape[1:])
    whole[:, :, arcs.home] = home
    whole[:, :, arcs.pair] = np.where(shut[:, None, :], 0.0, np.inf)
    cost[:, arcs.home], cost[:, arcs.sale] = -FIRST, -1.0
    flow = solve(cost, whole)
    unserved = (home.sum(axis=(1, 2)) - flow[:, :, arcs.home].sum(axis=(2, 3))).clip(min=0.0)
    exported = flow[:, :, arcs.sale].sum(axis=2)

    whole[:, :, arcs.sale] = (p.limit[:, 0][:, y] * at.u[:, None]).T
    cost[:, arcs.sale], cost[:, arcs.pair] = 0.0, -netback
    flow = solve(cost, whole)
    revenue = (flow[:, :, arcs.pair] * netback).sum(axis=2)
    return Left(missing, unserved, exported, revenue, flow[:, :, arcs.corridor])


def stands(p: Problem, at: Decisions, sets: Sequence[Sequence[Piece]], available: Floats | None = None) -> Floats:
    """Return the capacities of a year's arcs without each set of pieces, (n, Y, m) [bcm]; homes, sales infinite."""
    arcs = p.arcs
    fields, links, _ = capacities(p, at.x)
    open_ = p.scenarios.available[:, 0] if available is None else available
    found = np.full((len(sets), len(p.years), len(arcs.tail)), np.inf)
    for k, pieces in enumerate(sets):
        corridor, link, field = np.ones(len(p.case.corridors)), np.ones(len(p.case.links)), np.zeros_like(fields)
        for e in pieces:
            if isinstance(e, Dependence):
                continue
            if e.kind == "corridor":
                corridor[e.number] *= 1.0 - e.lost
            elif e.kind == "link":
                link[e.number] *= 1.0 - e.lost
            else:
                row = p.case.fields[e.number]
                past = (p.years - p.case.settings.base_year).astype(float)
                field[p.case.hubs.index(row.hub)] += e.lost * row.capacity * (1.0 - row.decline) ** past
        found[k][:, arcs.field] = (fields - field).clip(min=0.0).T[:, :, None] * p.days
        found[k][:, arcs.forth] = found[k][:, arcs.back] = (links * link[:, None]).T[:, :, None] * p.days
        found[k][:, arcs.corridor] = ((at.booked * corridor[:, None])[:, :, None] * open_ * p.days).transpose(1, 0, 2)
    return found


def _stopped(p: Problem, pieces: Sequence[Piece]) -> NDArray[np.bool_]:
    """Return the pairs that a set's neighbours keep from being sold, (A,)."""
    _, _, way = p.ways
    shut = np.zeros(len(way), dtype=bool)
    for d in pieces:
        if isinstance(d, Dependence):
            shut |= d.ways[way]
    return shut
