# SPDX-License-Identifier: Apache-2.0
"""How far flows and pressures can go, before any program is solved: chains of equal flow, and interval propagation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from serai.dispatch.nomination_curves import padding
from serai.dispatch.nomination_model import BAR, HIGHEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.dispatch.nomination_model import Edge, Task

    Floats = NDArray[np.float64]

ENDLESS = 1e5  # kg/s: more than any network carries
ROUNDS = 30
MOVED = 1e-3  # u counts bars, m kg/s: what is not worth another round
FIXED = 1e-9  # kg/s


@dataclass
class Bounds:
    """Ranges of potentials u (n, 2) and flows m [kg/s] (e, 2); `slack` [Pa] widened every limited pressure."""

    u: Floats
    m: Floats
    slack: float = 0.0

    def empty(self) -> str:
        """Return "" or what has no room left: "u" or "m"."""
        for name, a in (("u", self.u), ("m", self.m)):
            if np.any(np.isinf(a)) or np.any(a[:, 0] > a[:, 1] + 1e-9 * (1.0 + np.abs(a[:, 1]))):
                return name
        return ""


@dataclass(frozen=True)
class Chain:
    """Edges whose flows differ by constants: m[edges] = sign x + offset with one x, the flow of the first edge."""

    edges: tuple[int, ...]
    sign: tuple[float, ...]
    offset: tuple[float, ...]


def chains(task: Task, fuel_nodes: set[int]) -> tuple[list[Chain], Floats]:
    """Return the chains of edges with unknown flow, and the flows (e,) that the nomination fixes (nan = unknown).

    A node with one open edge fixes it, a node with two ties them, as long as what leaves the node is known.
    """
    n, edges = len(task.names), task.edges
    known = (task.draw[:, 0] == task.draw[:, 1]) & np.array([k not in fuel_nodes for k in range(n)])
    known[task.swing_node] &= not fuel_nodes  # it takes the fuel of all drives
    at: list[list[int]] = [[] for _ in range(n)]
    for k, e in enumerate(edges):
        at[e.start].append(k)
        at[e.end].append(k)
    need = task.draw[:, 0].copy()
    fixed = np.full(len(edges), np.nan)
    todo = [k for k in range(n) if known[k] and len(at[k]) == 1]
    while todo:
        node = todo.pop()
        if len(at[node]) != 1:
            continue
        (k,) = at[node]
        e = edges[k]
        fixed[k] = need[node] if e.end == node else -need[node]
        for end, sign in ((e.start, -1.0), (e.end, 1.0)):
            at[end].remove(k)
            need[end] -= sign * fixed[k]
            if known[end] and len(at[end]) == 1:
                todo.append(end)
    return _tied(task, at, need, known, fixed), fixed


def _tied(task: Task, at: list[list[int]], need: Floats, known: NDArray[np.bool_], fixed: Floats) -> list[Chain]:
    edges, done, out = task.edges, ~np.isnan(fixed), []
    for first in range(len(edges)):
        if done[first]:
            continue
        found = {first: (1.0, 0.0)}
        todo = [(first, edges[first].start), (first, edges[first].end)]
        while todo:
            k, node = todo.pop()
            if not known[node] or len(at[node]) != 2:
                continue
            (other,) = [j for j in at[node] if j != k] or [k]
            if other in found:
                continue
            s1, s2 = (1.0 if edges[j].end == node else -1.0 for j in (k, other))
            sign, offset = found[k]
            found[other] = (-s1 * s2 * sign, s2 * (need[node] - s1 * offset))
            todo.append((other, edges[other].end if edges[other].start == node else edges[other].start))
        done[list(found)] = True
        keys = tuple(found)
        out.append(Chain(keys, tuple(found[k][0] for k in keys), tuple(found[k][1] for k in keys)))
    return out


def first_bounds(task: Task, fixed: Floats, slack: float) -> Bounds:
    """Return what limits alone say: pressures widened by `slack` [Pa], flows by their limits or the nomination."""
    f = task.fluid
    low = np.where(task.limited[:, 0], np.maximum(task.low - slack, 0.0), task.low)
    high = np.where(task.limited[:, 1], np.minimum(task.high + slack, HIGHEST + 70.0 * BAR), task.high)
    m = np.array([[max(e.flow_low, -ENDLESS), min(e.flow_high, ENDLESS)] for e in task.edges])
    for k in np.flatnonzero(~np.isnan(fixed)):
        room = 1e-6 * max(task.total, 1.0)  # what rounding may break a flow limit by
        inside = m[k, 0] - room <= fixed[k] <= m[k, 1] + room
        m[k] = fixed[k] if inside else (np.inf, -np.inf)
    return Bounds(np.stack([f.u(low), f.u(high)], axis=1), m, slack)


def propagate(task: Task, bounds: Bounds, tied: list[Chain]) -> None:
    """Narrow potentials and flows along pipes and losses until nothing moves; in place.

    An edge is looked at again when one of its ranges has moved since; densities are those at the start of a round.
    """
    seen: dict[int, tuple[float, ...]] = {}
    passive = [(k, e) for k, e in enumerate(task.edges) if e.kind in ("pipe", "drag", "constant", "short")]
    for _ in range(ROUNDS):
        before = bounds.u.copy(), bounds.m.copy()
        rho = task.fluid.rho(task.fluid.p(bounds.u))
        for k, e in passive:
            state = (*bounds.u[e.start], *bounds.u[e.end], *bounds.m[k])
            if seen.get(k) != state:
                _narrow(task, bounds, k, rho)
                seen[k] = (*bounds.u[e.start], *bounds.u[e.end], *bounds.m[k])
        for c in tied:
            _share(bounds, c)
        moved = max(float(np.max(np.abs(a - b))) for a, b in zip(before, (bounds.u, bounds.m), strict=True))
        if bounds.empty() or moved < MOVED:
            return


def _share(bounds: Bounds, c: Chain) -> None:
    low, high = -np.inf, np.inf
    for k, s, o in zip(c.edges, c.sign, c.offset, strict=True):
        a, b = sorted(((bounds.m[k, 0] - o) * s, (bounds.m[k, 1] - o) * s))
        low, high = max(low, a), min(high, b)
    for k, s, o in zip(c.edges, c.sign, c.offset, strict=True):
        bounds.m[k] = sorted((s * low + o, s * high + o)) if low <= high else (s * low + o, s * high + o)


def _narrow(task: Task, bounds: Bounds, k: int, rho: Floats) -> None:
    """Narrow both ends and the flow of one edge by the drop that its law allows; rho (n, 2) [kg/m3] of all nodes."""
    e = task.edges[k]
    ua, ub, m = bounds.u[e.start], bounds.u[e.end], bounds.m[k]
    extra = _lifted(task, bounds, e, rho) if e.kind == "pipe" else (0.0, 0.0)
    least, most = _drops(task, e, m, float(max(rho[e.start, 1], rho[e.end, 1])))
    least, most = least + extra[0], most + extra[1]
    ua[0], ua[1] = max(ua[0], ub[0] + least), min(ua[1], ub[1] + most)
    ub[0], ub[1] = max(ub[0], ua[0] - most), min(ub[1], ua[1] - least)
    if e.kind == "pipe" and m[1] - m[0] > FIXED:
        m[0] = max(m[0], inverse(e, float(ua[0] - ub[1]) - extra[1], up=False))
        m[1] = min(m[1], inverse(e, float(ua[1] - ub[0]) - extra[0], up=True))


def _drops(task: Task, e: Edge, m: Floats, dense: float) -> tuple[float, float]:
    """Return least and most of u_start - u_end that the flow m (2,) causes; `dense` [kg/m3] is not exceeded there."""
    if e.curve is None:
        return 0.0, 0.0
    a, b = (float(x) for x in e.curve(m))
    if e.kind == "pipe":
        return a, b
    scale = e.loss / task.fluid.reference * dense if e.kind == "constant" else 1.0
    return min(0.0, a * scale), max(0.0, b * scale)


def _lifted(task: Task, bounds: Bounds, e: Edge, rho: Floats) -> tuple[float, float]:
    """Return least and most of u_start - u_end beyond the drag: height, and a temperature of its own."""
    if e.height == 0.0 and e.own is None:
        return 0.0, 0.0
    ref = task.fluid.reference
    parts = []
    for node, sign in ((e.start, 1.0), (e.end, -1.0)):
        if e.own is None:
            off = rho[node] ** 2 * (-sign * e.height / (2.0 * ref))  # monotone: both ends tell
            parts.append((float(off.min()), float(off.max())))
            continue
        u = np.linspace(bounds.u[node, 0], bounds.u[node, 1], 17)
        p = task.fluid.p(u)
        off = (e.own.u(p) * e.own.reference - sign * e.height * e.own.rho(p) ** 2 / 2.0) / ref - u
        pad = padding(off)
        parts.append((float(off.min()) - pad, float(off.max()) + pad))
    return parts[1][0] - parts[0][1], parts[1][1] - parts[0][0]


def inverse(e: Edge, drop: float, *, up: bool) -> float:
    """Return a flow at which a pipe loses `drop` [u], rounded outwards: never less (`up`) or never more than the truth.

    A drag is nearly a multiple of m|m|, so m <- m sqrt(drop / R(m)) comes to rest in a few steps.
    """
    if e.curve is None:
        return ENDLESS if up else -ENDLESS
    sign = 1.0 if up else -1.0
    m = 100.0 if drop >= 0.0 else -100.0
    for _ in range(40):
        lost = float(e.curve(np.array([m]))[0])
        new = m * float(np.sqrt(max(drop / lost, 1e-8))) if drop else 0.0
        close = abs(new - m) <= 1e-9 * abs(m) or abs(new) < 1e-6
        m = new
        if close:
            break
    m += sign * (1e-6 * abs(m) + 1e-5)
    outward = sign * (float(e.curve(np.array([m]))[0]) - drop) >= 0.0
    return m if outward else sign * ENDLESS
