# SPDX-License-Identifier: Apache-2.0
"""The second stage: how a year's gas is best sold once builds, contracts and bookings stand.

A year of one scenario is a flow through a small network: fields feed hubs, hubs feed homes, trunk lines and corridors
season by season, corridors feed sales. All years and scenarios share its arcs and differ only in costs and capacities,
so they are solved together, each by successive shortest paths, which ends at the exact optimum of the linear program
and leaves its dual prices (Ahuja, Magnanti & Orlin 1993, Network Flows, section 9.7).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ENOUGH = 1e-9  # bcm: a path that carries less is full
CHEAPER = 1e-9  # USD/1,000 m3: a path that earns less earns nothing; far above rounding, or ties would run in circles


@dataclass(frozen=True)
class Flows:
    """Optimal flows of n blocks over the same m arcs.

    value  earned: minus the sum of cost x flow (n,)
    flow   (n, m);  price = what one more unit of capacity of an arc would earn (n, m)

    By duality value = sum of capacity x price, which `gap` holds against it, (n,).
    """

    value: Floats
    flow: Floats
    price: Floats
    gap: Floats


def best_flows(tail: Ints, head: Ints, cost: Floats, capacity: Floats) -> Flows:
    """Return the flows from node 0 to the last node that earn the most, block by block.

    tail, head  arcs (m,), numbered from 0 to the last node; arcs without a capacity hold inf
    cost        (n, m), negative = earns; no cycle may earn anything
    capacity    (n, m)
    """
    nodes = int(max(tail.max(), head.max())) + 1
    n, m = cost.shape
    flow, price = np.zeros((n, m)), np.zeros((n, m))
    finite = np.where(np.isfinite(capacity), capacity, 1e18)
    _solve(nodes, tail, head, np.ascontiguousarray(cost), np.ascontiguousarray(finite), flow, price)
    value = -(cost * flow).sum(axis=1)
    bounded = np.where(np.isfinite(capacity), capacity, 0.0)
    return Flows(value, flow, price, np.abs(value - (bounded * price).sum(axis=1)))


@njit(cache=True, parallel=True, nogil=True)
def _solve(nodes, tail, head, cost, capacity, flow, price):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    for k in prange(cost.shape[0]):
        _block(nodes, tail, head, cost[k], capacity[k], flow[k], price[k])


@njit(cache=True, nogil=True)
def _block(nodes, tail, head, cost, capacity, flow, price):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Send gas along the path that earns the most until none earns anything; then read the prices."""
    m = len(tail)
    sink = nodes - 1
    distance = np.empty(nodes)
    via = np.empty(nodes, np.int64)  # arc by which a node is reached: +a forward, -a-1 backward
    for _ in range(50 * m):
        _distances(tail, head, cost, capacity, flow, distance, via, 0)
        if distance[sink] > -CHEAPER:
            break
        push, v = 1e18, sink
        while v != 0:
            a = via[v]
            if a >= 0:
                push = min(push, capacity[a] - flow[a])
                v = tail[a]
            else:
                push = min(push, flow[-a - 1])
                v = head[-a - 1]
        v = sink
        while v != 0:
            a = via[v]
            if a >= 0:
                flow[a] = capacity[a] if capacity[a] - flow[a] - push < ENOUGH * 1e-3 else flow[a] + push
                v = tail[a]
            else:
                flow[-a - 1] = 0.0 if flow[-a - 1] - push < ENOUGH * 1e-3 else flow[-a - 1] - push
                v = head[-a - 1]
    _distances(tail, head, cost, capacity, flow, distance, via, 1)
    _unreached(tail, head, cost, capacity, flow, distance)
    for a in range(m):
        price[a] = max(0.0, distance[head[a]] - distance[tail[a]] - cost[a])


@njit(cache=True, nogil=True)
def _unreached(tail, head, cost, capacity, flow, distance):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Give nodes that nothing reaches the least price that keeps every open arc out of them from earning."""
    lost = distance > 1e17
    distance[lost] = -1e18
    for _ in range(2 * len(distance) + 2):
        changed = True
        passes = 0
        while changed and passes <= len(distance):
            changed = False
            passes += 1
            for a in range(len(tail)):
                i, j = tail[a], head[a]
                if lost[i] and capacity[a] - flow[a] > ENOUGH and distance[j] - cost[a] > distance[i] + CHEAPER:
                    distance[i] = distance[j] - cost[a]
                    changed = True
        left = -1
        for v in range(len(distance)):
            if distance[v] < -1e17:
                left = v
        if left < 0:
            return
        best = -1e18  # no open arc leaves it: worth what its closed ones would fetch
        for a in range(len(tail)):
            if tail[a] == left and distance[head[a]] > -1e17:
                best = max(best, distance[head[a]] - cost[a])
        distance[left] = best if best > -1e17 else 0.0


@njit(cache=True, nogil=True)
def _distances(tail, head, cost, capacity, flow, distance, via, circulating):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Shortest distances from node 0 in the residual network (Bellman 1958); `circulating` ties the sink to 0."""
    distance[:] = 1e18
    distance[0] = 0.0
    if circulating == 1:
        distance[-1] = 0.0
    changed = True
    passes = 0
    while changed and passes <= 4 * len(distance):
        changed = False
        passes += 1
        for a in range(len(tail)):
            i, j = tail[a], head[a]
            if capacity[a] - flow[a] > ENOUGH and distance[i] < 1e17 and distance[i] + cost[a] < distance[j] - CHEAPER:
                distance[j] = distance[i] + cost[a]
                via[j] = a
                changed = True
            if flow[a] > ENOUGH and distance[j] < 1e17 and distance[j] - cost[a] < distance[i] - CHEAPER:
                distance[i] = distance[j] - cost[a]
                via[i] = -a - 1
                changed = True
