# SPDX-License-Identifier: Apache-2.0
"""The second stage: how a year's gas is best sold once builds, contracts and bookings stand.

A year of one scenario is a flow through a small network: fields feed hubs, hubs feed homes, trunk lines and corridors
season by season, corridors feed sales. All years and scenarios share its arcs and differ only in costs and capacities,
so they are solved together, each by the network simplex method, which ends at the exact optimum of the linear program
and leaves its dual prices (Ahuja, Magnanti & Orlin 1993, Network Flows, chapter 11). A block that is solved again
starts from the spanning tree it ended with: a few pivots instead of a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit, prange

from serai.errors import NotConverged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

ENOUGH = 1e-9  # bcm: a path that carries less is full
CHEAPER = 1e-9  # USD/1,000 m3: what earns less earns nothing; far above rounding, or ties would run in circles
NO_LIMIT = 1e18  # bcm
BIG = 1e8  # USD/1,000 m3: what leaving a balance open costs, far above all prices
PIVOTS = 4000  # of one block at most; a hundred are usual
RESTLESS = 400  # pivots after which the next arc is taken by turns, not by its gain: no circle lasts then
EMPTY, FULL, TREE = 0, 1, 2  # where an arc stands: at no flow, at its capacity, in the spanning tree


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


@dataclass(frozen=True)
class Trees:
    """Where n blocks ended, for their next solve: changed in place.

    state   of each arc and of the sink's return to the source (n, m + 1);  known  whether a block was solved, (n,)
    parent  of each node in the spanning tree, and the arc to it (n, nodes + 1); the last node is the root
    """

    state: NDArray[np.int8]
    parent: NDArray[np.int32]
    arc: NDArray[np.int32]
    known: NDArray[np.bool_]

    @classmethod
    def of(cls, blocks: int, nodes: int, arcs: int) -> Trees:
        """Return the memory of blocks that were never solved."""
        shape = (blocks, nodes + 1)
        return cls(
            np.zeros((blocks, arcs + 1), dtype=np.int8),
            np.zeros(shape, dtype=np.int32),
            np.zeros(shape, dtype=np.int32),
            np.zeros(blocks, dtype=np.bool_),
        )


def best_flows(
    tail: Ints, head: Ints, cost: Floats, capacity: Floats, *, trees: Trees | None = None, which: Ints | None = None
) -> Flows:
    """Return the flows from node 0 to the last node that earn the most, block by block.

    tail, head  arcs (m,), numbered from 0 to the last node; arcs without a capacity hold inf
    cost        (n, m), negative = earns; no cycle may earn anything
    capacity    (n, m)
    trees       where the blocks ended last time; which = the block of each row in them (n,), None = all in order

    Raises NotConverged when a block does not end.
    """
    nodes = int(max(tail.max(), head.max())) + 1
    n, m = cost.shape
    trees = trees or Trees.of(n, nodes, m)
    which = np.arange(n) if which is None else which
    flow, price, ended = np.zeros((n, m)), np.zeros((n, m)), np.zeros(n, dtype=np.bool_)
    finite = np.where(np.isfinite(capacity), capacity, NO_LIMIT)
    _solve(
        nodes, tail, head, np.ascontiguousarray(cost), np.ascontiguousarray(finite), flow, price,
        which, trees.state, trees.parent, trees.arc, trees.known, ended,
    )  # fmt: skip
    if not ended.all():
        msg = f"the yearly network of block {int(np.flatnonzero(~ended)[0])} did not end in {PIVOTS} pivots"
        raise NotConverged(msg)
    value = -np.einsum("nm,nm->n", cost, flow)
    bounded = np.where(np.isfinite(capacity), capacity, 0.0)
    return Flows(value, flow, price, np.abs(value - np.einsum("nm,nm->n", bounded, price)))


@njit(cache=True, parallel=True, nogil=True)
def _solve(nodes, tail, head, cost, capacity, flow, price, which, state, parent, arc, known, ended):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    for k in prange(cost.shape[0]):
        b = which[k]
        net = (tail, head, cost[k], capacity[k])
        ended[k] = known[b] and _block(nodes, net, flow[k], state[b], parent[b], arc[b], True)  # noqa: FBT003 - numba takes no names
        if not ended[k]:
            ended[k] = _block(nodes, net, flow[k], state[b], parent[b], arc[b], False)  # noqa: FBT003 - numba takes no names
        known[b] = ended[k]
        if ended[k]:
            _prices(nodes, tail, head, cost[k], capacity[k], flow[k], price[k])


# -------------------------------------------------------------------------------------------------- network simplex


@njit(cache=True, nogil=True)
def _block(nodes, net, flow, state, parent, arc, warm):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Solve one block from its last tree, or from none; return whether it ended.

    Arcs: those given, then the return from sink to source (number m), then one from each node to the root (above m),
    whose flow `spare` stands for a balance that is open; it comes from the root where the node is `short`.
    """
    m = len(net[0])
    tail, head = _and(net[0], nodes - 1), _and(net[1], 0)
    cost, capacity = _and(net[2], 0.0), _and(net[3], NO_LIMIT)
    moved, spare, short = np.zeros(m + 1), np.zeros(nodes + 1), np.zeros(nodes + 1, np.bool_)
    child = np.full(nodes + 1, -1, np.int32)
    after, before = child.copy(), child.copy()
    below = (parent, child, after, before)
    if not warm:
        state[:] = EMPTY
        parent[:] = nodes
        arc[:] = m + 1
    for v in range(nodes):
        _hang(v, parent[v], below)
    tree = (tail, head, cost, capacity, moved, spare, short, state, arc)
    pot, depth, order = np.zeros(nodes + 1), np.zeros(nodes + 1, np.int32), np.zeros(nodes + 1, np.int32)
    where = (pot, depth, order)
    open_ = _rebalance(nodes, tree, below, where) if warm else True
    if open_:
        _potentials(nodes, tree, below, where, BIG)
        if not _pivots(tree, below, where, NO_LIMIT, BIG * 1e-14):
            return False
        for v in range(nodes):
            if arc[v] > m and spare[v] > ENOUGH:
                return False
            spare[v] = 0.0
    _potentials(nodes, tree, below, where, 0.0)
    dearest = 1e4
    for a in range(m):
        dearest = max(dearest, abs(cost[a]))
    if not _pivots(tree, below, where, 0.0, CHEAPER * dearest / 1e4):
        return False
    for a in range(m):  # loops, not slices: those take longer to compile than all pivots
        flow[a] = moved[a]
    return True


@njit(cache=True, nogil=True)
def _and(values, last):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return an array with one more value."""
    found = np.empty(len(values) + 1, values.dtype)
    for k in range(len(values)):
        found[k] = values[k]
    found[len(values)] = last
    return found


@njit(cache=True, nogil=True)
def _hang(v, p, below):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    parent, child, after, before = below
    parent[v] = p
    after[v], before[v] = child[p], -1
    if child[p] >= 0:
        before[child[p]] = v
    child[p] = v


@njit(cache=True, nogil=True)
def _cut(v, below):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    parent, child, after, before = below
    if before[v] >= 0:
        after[before[v]] = after[v]
    else:
        child[parent[v]] = after[v]
    if after[v] >= 0:
        before[after[v]] = before[v]


@njit(cache=True, nogil=True)
def _potentials(nodes, tree, below, where, open_cost):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Read potentials, depths and an order from root to leaves off the tree; `open_cost` is that of spare arcs."""
    tail, _, cost, _, _, _, short, _, arc = tree
    _, child, after, _ = below
    pot, depth, order = where
    pot[nodes], depth[nodes], order[0] = 0.0, 0, nodes
    done, known = 0, 1
    while done < known:
        u = order[done]
        done += 1
        c = child[u]
        while c >= 0:
            a = arc[c]
            if a >= len(tail):
                pot[c] = pot[u] + (open_cost if short[c] else -open_cost)
            elif tail[a] == u:
                pot[c] = pot[u] + cost[a]
            else:
                pot[c] = pot[u] - cost[a]
            depth[c] = depth[u] + 1
            order[known] = c
            known += 1
            c = after[c]


@njit(cache=True, nogil=True)
def _rebalance(nodes, tree, below, where):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Find the tree's flows at new capacities; what does not fit goes to the root. Return whether anything does not."""
    tail, head, _, capacity, moved, spare, short, state, arc = tree
    _potentials(nodes, tree, below, where, 0.0)
    order, parent = where[2], below[0]
    excess = np.zeros(nodes + 1)
    for a in range(len(tail)):
        if state[a] == FULL and capacity[a] >= NO_LIMIT:
            state[a] = EMPTY
        if state[a] == FULL:
            moved[a] = capacity[a]
            excess[tail[a]] -= moved[a]
            excess[head[a]] += moved[a]
    open_ = False
    for k in range(nodes, 0, -1):
        v = order[k]
        a, p = arc[v], parent[v]
        if a < len(tail):
            sign = 1.0 if tail[a] == v else -1.0
            asked = sign * excess[v]
            fits = min(max(asked, 0.0), capacity[a])
            moved[a] = fits
            if abs(asked - fits) <= 1e-2 * ENOUGH:  # rounding
                excess[p] += excess[v]
                continue
            excess[p] += sign * fits
            excess[v] -= sign * fits
            state[a] = EMPTY if asked < 0.0 else FULL
            _cut(v, below)
            _hang(v, nodes, below)
            arc[v] = len(tail)
        if abs(excess[v]) > 1e-2 * ENOUGH:
            spare[v], short[v] = abs(excess[v]), excess[v] < 0.0
            open_ = True
    return open_


@njit(cache=True, nogil=True)
def _pivots(tree, below, where, room, least):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Let the arc that earns the most enter the tree until none earns anything; `room` = capacity of spare arcs."""
    tail, head, _, capacity, moved, _, _, state, _ = tree
    parent, depth = below[0], where[1]
    for turn in range(PIVOTS):
        if turn % RESTLESS == RESTLESS - 1:  # rounding gathers in potentials
            _potentials(len(parent) - 1, tree, below, where, BIG if room > 0.0 else 0.0)
        enter = _dearest(tree, where[0], least, turn if turn >= RESTLESS else -1)
        if enter < 0:
            return True
        up = state[enter] == EMPTY
        s, t = (tail[enter], head[enter]) if up else (head[enter], tail[enter])
        push, leave, on_tail = capacity[enter], -1, True
        u, v = s, t
        while u != v:  # of several arcs that block the last one leaves, or ties would run in circles
            if depth[u] >= depth[v]:
                left = _room(u, False, tree, room)  # noqa: FBT003 - numba takes no names
                if left < push or (leave < 0 and left <= push):
                    push, leave, on_tail = left, u, True
                u = parent[u]
            else:
                left = _room(v, True, tree, room)  # noqa: FBT003 - numba takes no names
                if left <= push:
                    push, leave, on_tail = left, v, False
                v = parent[v]
        if push > 0.0:
            moved[enter] += push if up else -push
            _send(s, u, -push, tree, parent)
            _send(t, u, push, tree, parent)
        if leave < 0:
            state[enter] = FULL if up else EMPTY
            moved[enter] = capacity[enter] if up else 0.0
            continue
        _leave(leave, tree)
        state[enter] = TREE
        _turn(s if on_tail else t, t if on_tail else s, enter, leave, tree, below, where)
    return False


@njit(cache=True, nogil=True)
def _dearest(tree, pot, least, turn):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return the arc outside the tree that earns the most, or the next that earns, by turns (-1: no turn).

    -1 where none earns more than `least`.
    """
    tail, head, cost, capacity, _, _, _, state, _ = tree
    best, enter = least, -1
    for k in range(len(tail)):
        a = k if turn < 0 else (k + 31 * turn) % len(tail)
        if state[a] != TREE and capacity[a] > 0.0:
            gain = pot[head[a]] - pot[tail[a]] - cost[a]
            gain = gain if state[a] == EMPTY else -gain
            if gain > best:
                best, enter = gain, a
                if turn >= 0:
                    return enter
    return enter


@njit(cache=True, nogil=True)
def _send(v, apex, push, tree, parent):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Move `push` from a node up the tree to `apex`; negative = down from it."""
    tail, _, _, _, moved, spare, short, _, arc = tree
    while v != apex:
        a = arc[v]
        if a >= len(tail):
            spare[v] += -push if short[v] else push
        else:
            moved[a] += push if tail[a] == v else -push
        v = parent[v]


@njit(cache=True, nogil=True)
def _room(v, rising, tree, room):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Return what more can move between a node and its parent: to it when `rising`, else from it."""
    tail, _, _, capacity, moved, spare, short, _, arc = tree
    a = arc[v]
    if a >= len(tail):
        return spare[v] if short[v] == rising else room - spare[v]
    return capacity[a] - moved[a] if (tail[a] == v) == rising else moved[a]


@njit(cache=True, nogil=True)
def _leave(v, tree):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Put the arc between a node and its parent at the bound that it has reached."""
    tail, _, _, capacity, moved, spare, _, state, arc = tree
    a = arc[v]
    if a >= len(tail):
        spare[v] = 0.0
    elif moved[a] > 0.5 * capacity[a]:
        state[a], moved[a] = FULL, capacity[a]
    else:
        state[a], moved[a] = EMPTY, 0.0


@njit(cache=True, nogil=True)
def _turn(w, onto, enter, leave, tree, below, where):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Hang what was below the leaving arc onto the entering one, whose ends are `w` (inside) and `onto`."""
    tail, _, cost, _, _, _, _, _, arc = tree
    parent, child, after, _ = below
    pot, depth, order = where
    end = pot[onto] + (cost[enter] if tail[enter] == onto else -cost[enter])
    order[0], shift = w, end - pot[w]
    by = enter
    while True:
        p, old = parent[w], arc[w]
        _cut(w, below)
        _hang(w, onto, below)
        arc[w] = by
        if w == leave:
            break
        onto, by, w = w, old, p
    done, known = 0, 1
    while done < known:
        u = order[done]
        done += 1
        pot[u] += shift
        depth[u] = depth[parent[u]] + 1
        c = child[u]
        while c >= 0:
            order[known] = c
            known += 1
            c = after[c]


# ----------------------------------------------------------------------------------------------------------- prices


@njit(cache=True, nogil=True)
def _prices(nodes, tail, head, cost, capacity, flow, price):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Read the prices of capacities off the optimal flows: the least ones, so that their bounds are tight."""
    distance = np.empty(nodes)
    _distances(tail, head, cost, capacity, flow, distance)
    _unreached(tail, head, cost, capacity, flow, distance)
    for a in range(len(tail)):
        price[a] = max(0.0, distance[head[a]] - distance[tail[a]] - cost[a])


@njit(cache=True, nogil=True)
def _unreached(tail, head, cost, capacity, flow, distance):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Give nodes that nothing reaches the least price that keeps every open arc out of them from earning."""
    lost = distance > 1e17
    for v in range(len(distance)):
        if lost[v]:
            distance[v] = -1e18
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
def _distances(tail, head, cost, capacity, flow, distance):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Shortest distances from node 0, tied to the sink, in the residual network (Bellman 1958)."""
    distance[:] = 1e18
    distance[0] = distance[-1] = 0.0
    changed = True
    passes = 0
    while changed and passes <= 4 * len(distance):
        changed = False
        passes += 1
        for a in range(len(tail)):
            i, j = tail[a], head[a]
            if capacity[a] - flow[a] > ENOUGH and distance[i] < 1e17 and distance[i] + cost[a] < distance[j] - CHEAPER:
                distance[j] = distance[i] + cost[a]
                changed = True
            if flow[a] > ENOUGH and distance[j] < 1e17 and distance[j] - cost[a] < distance[i] - CHEAPER:
                distance[i] = distance[j] - cost[a]
                changed = True
