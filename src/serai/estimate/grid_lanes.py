# SPDX-License-Identifier: Apache-2.0
"""Estimation of a grid for eight snapshots at once, in angle and ln V, in blocks of four: laws fused with the solve.

Every bus has the unknowns (angle, ln V, mu_P, mu_Q), mu the multipliers of what is injected there. With G = H'WH of the
voltage and branch meters, J the slopes of the injections, s^2 the variance of an injection (0 where it is exact),

    [ G    J'  ] [ dx ]   [ H'W r   ]
    [ J   -s^2 ] [ mu ] = [ z - S(x) ]

Snapshots that are alike share the factors of one of them (the base): each then costs right sides and solutions only.
The right side is the exact one of each snapshot, [H'W r - J' mu, z - S(x) + s^2 mu] for the change of mu, so the answer
is too; a snapshot that does not come to rest so gets factors of its own.

A bus whose injection nobody knows has J = 0 and -1 in the place of -s^2. All is per unit of the base power, weights are
per unit of a typical one, so that the parts of a block are of like size. The pattern is that of the admittance matrix;
pivots are blocks of four on the diagonal in an order of minimum degree. For T = V_i conj(Y_ij V_j) = tp + j tq:

              d angle_j  d lnV_j      d angle_i    d lnV_i
    d P_i        tq        tp          tq_ii - Q_i   P_i + tp_ii
    d Q_i       -tp        tq          P_i - tp_ii   Q_i + tq_ii

References: A. Abur, A. Gomez Exposito, Power System State Estimation, Dekker 2004, ch. 2 and 3.8 (Hachtel's matrix);
A. Monticelli, State Estimation in Electric Power Systems, Kluwer 1999, ch. 10.
"""

from __future__ import annotations

from math import cos, sin, sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from serai.estimate.fours import factor, inner, solve, solve_shared
from serai.lanes import fmuladd, load, maximum, minimum, splat, store, where

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Indices = NDArray[np.uint32]
    Lanes = tuple[float, ...]

LONGEST = 0.5  # rad and ln V: no step turns or changes a voltage by more
AGAIN = 12  # steps at most
PATIENCE = 16  # steps with shared factors at most: a snapshot that needs more is better off with its own

outer = njit(cache=True, error_model="numpy", nogil=True, _nrt=False, no_rewrites=True)


class Layout(NamedTuple):
    """What all snapshots share; buses in the order of the pivots.

    starts ... targets    the factors, in blocks (as `sparse.lane_lu.LaneLayout`)
    y_starts, y_columns, y_slots, y_mirrors, G, B    admittances off the diagonal by rows, slots of (i, j) and (j, i)
    own_g, own_b          on the diagonal, (n,)
    turns                 0 for a reference, whose angle is known, else 1, (n,)
    from_bus, to_bus, slot_from, slot_to, branch     metered branches: ends, slots of both sides, admittances (8, n)
    flow                  meter of P and Q at both ends of each, (4, n); the number of meters = none
    voltage, angle        meter of each bus, (n,); the number of meters = none
    part_starts, parts, signs     meters whose sum is injected: P of each bus, then Q (2 n + 1,)
    known                 0 = free, 1 = metered, 2 = exact: P of each bus, then Q, (2 n,)
    constant              what is injected beside the meters [pu], (2 n,)
    """

    starts: Indices
    diagonal: Indices
    columns: Indices
    targets: Indices
    y_starts: Indices
    y_columns: Indices
    y_slots: Indices
    y_mirrors: Indices
    G: Floats
    B: Floats
    own_g: Floats
    own_b: Floats
    turns: Floats
    from_bus: Indices
    to_bus: Indices
    slot_from: Indices
    slot_to: Indices
    branch: Floats
    flow: Indices
    voltage: Indices
    angle: Indices
    part_starts: Indices
    parts: Indices
    signs: Floats
    known: NDArray[np.int8]
    constant: Floats


class Work(NamedTuple):
    """What one thread writes on."""

    X: Floats
    D: Floats
    R: Floats
    v: Floats
    a: Floats
    e: Floats
    f: Floats
    z: Floats
    w: Floats
    injected: Floats
    variance: Floats
    on: Floats
    small: Floats
    done: Floats
    mu: Floats


def work_for(layout: Layout, meters: int, width: int) -> Work:
    """Return the workspace of one thread."""
    n, slots = layout.diagonal.size, layout.columns.size
    sizes = (16 * slots, 16 * n, 4 * n, n, n, n, n, meters + 1, meters + 1, 2 * n, 2 * n, 2 * n, 24, 4, 2 * n)
    return Work(*(np.zeros(size * width) for size in sizes))


# ------------------------------------------------------------------------------------------------ readings, assembly


@inner
def pack(
    m: Layout, w: Work, values: Floats, weights: Floats, first: int, last: int, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Write readings and weights of snapshots, and what their meters say is injected at each bus."""
    n_lanes, count = len(lanes), weights.size
    wz, ww = w.z, w.w
    for l in range(n_lanes):
        s = min(first + l, last - 1)
        for meter in range(count):
            z = values[s, meter]
            here = z == z  # noqa: PLR0124 - false for nan
            wz[meter * n_lanes + l] = z if here else 0.0
            ww[meter * n_lanes + l] = weights[meter] if here else 0.0
        wz[count * n_lanes + l] = 0.0
        ww[count * n_lanes + l] = 0.0
    zero, one = splat(0.0, lanes), splat(1.0, lanes)
    for i in range(m.known.size):
        total, variance, on = splat(m.constant[i], lanes), zero, one
        for p in range(np.intp(m.part_starts[i]), np.intp(m.part_starts[i + 1])):
            k = np.intp(m.parts[p])
            total += m.signs[p] * load(wz, k, lanes)
            weight = load(ww, k, lanes)
            on = where(weight > 0.0, on, zero)
            variance += 1.0 / where(weight > 0.0, weight, one)
        if m.known[i] == 0:
            on = zero
        store(w.injected, i, total)
        store(w.variance, i, where(on > 0.0, variance, one))
        store(w.on, i, on)


@inner
def begin(w: Work, v: Floats, a: Floats, lanes: Lanes) -> None:  # pragma: no cover - lanes: compiled only
    """Start every lane at magnitudes and angles (n,)."""
    for i in range(v.size):
        store(w.v, i, splat(v[i], lanes))
        store(w.a, i, splat(a[i], lanes))
        store(w.e, i, splat(v[i] * cos(a[i]), lanes))
        store(w.f, i, splat(v[i] * sin(a[i]), lanes))
    store(w.done, 0, splat(0.0, lanes))


@inner
def injections(m: Layout, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Fill the rows and columns of the multipliers, the right side below, and the diagonal of voltage meters."""
    X, R, e, f, on, turns = w.X, w.R, w.e, w.f, w.on, m.turns
    n = m.diagonal.size
    zero = splat(0.0, lanes)
    for slot in range(16 * m.columns.size):
        store(X, slot, zero)
    for i in range(n):
        ei, fi = load(e, i, lanes), load(f, i, lanes)
        onP, onQ = load(on, i, lanes), load(on, n + i, lanes)
        p, q = zero, zero
        for y in range(np.intp(m.y_starts[i]), np.intp(m.y_starts[i + 1])):
            j, s, t = np.intp(m.y_columns[y]), 16 * np.intp(m.y_slots[y]), 16 * np.intp(m.y_mirrors[y])
            g, b = splat(m.G[y], lanes), splat(m.B[y], lanes)
            ej, fj = load(e, j, lanes), load(f, j, lanes)
            c, d = fmuladd(g, ej, -(b * fj)), fmuladd(g, fj, b * ej)
            tp, tq = fmuladd(ei, c, fi * d), fmuladd(fi, c, -(ei * d))
            p += tp
            q += tq
            turn = turns[j]
            for at, across, value in ((8, 2, onP * tq * turn), (9, 6, onP * tp),
                                      (12, 3, -onQ * tp * turn), (13, 7, onQ * tq)):  # fmt: skip
                store(X, s + at, value)
                store(X, t + across, value)
        square = fmuladd(ei, ei, fi * fi)
        tp, tq = m.own_g[i] * square, -m.own_b[i] * square
        p += tp
        q += tq
        s = 16 * np.intp(m.diagonal[i])
        turn = turns[i]
        for at, across, value in ((8, 2, onP * (tq - q) * turn), (9, 6, onP * (p + tp)),
                                  (12, 3, onQ * (p - tp) * turn), (13, 7, onQ * (q + tq))):  # fmt: skip
            store(X, s + at, value)
            store(X, s + across, value)
        store(X, s, splat(1.0 - turn, lanes))
        store(X, s + 10, -load(w.variance, i, lanes))
        store(X, s + 15, -load(w.variance, n + i, lanes))
        store(R, 4 * i + 2, onP * (load(w.injected, i, lanes) - p))
        store(R, 4 * i + 3, onQ * (load(w.injected, n + i, lanes) - q))
        k = np.intp(m.voltage[i])
        v, weight = load(w.v, i, lanes), load(w.w, k, lanes)
        store(X, s + 5, weight * v * v)
        store(R, 4 * i + 1, weight * v * (load(w.z, k, lanes) - v))
        k = np.intp(m.angle[i])
        weight = load(w.w, k, lanes) * turn
        store(X, s, load(X, s, lanes) + weight)
        store(R, 4 * i, weight * (load(w.z, k, lanes) - load(w.a, i, lanes)))


@inner
def add(A: Floats, i: int, value: float, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Add to lanes i of an array."""
    store(A, i, load(A, i, lanes) + value)


@inner
def branches(m: Layout, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Add H'WH and H'W r of the meters at branch ends."""
    X, R, e, f = w.X, w.R, w.e, w.f
    for b in range(m.from_bus.size):
        near, far = np.intp(m.from_bus[b]), np.intp(m.to_bus[b])
        near_slot, far_slot = 16 * np.intp(m.diagonal[near]), 16 * np.intp(m.diagonal[far])
        ij, ji = 16 * np.intp(m.slot_from[b]), 16 * np.intp(m.slot_to[b])
        ei, fi, ej, fj = load(e, near, lanes), load(f, near, lanes), load(e, far, lanes), load(f, far, lanes)
        for end in range(2):
            if end == 1:
                near, far, near_slot, far_slot, ij, ji = far, near, far_slot, near_slot, ji, ij
                ei, fi, ej, fj = ej, fj, ei, fi
            kP, kQ = np.intp(m.flow[2 * end, b]), np.intp(m.flow[2 * end + 1, b])
            wP, wQ = load(w.w, kP, lanes), load(w.w, kQ, lanes)
            if kP + 1 == w.z.size // len(lanes) and kP == kQ:
                continue
            own, other = (0, 2) if end == 0 else (6, 4)
            square = fmuladd(ei, ei, fi * fi)
            g, h = m.branch[other, b], m.branch[other + 1, b]
            c, d = g * ej - h * fj, g * fj + h * ej
            tp, tq = ei * c + fi * d, fi * c - ei * d
            op, oq = m.branch[own, b] * square, -m.branch[own + 1, b] * square
            rP, rQ = load(w.z, kP, lanes) - (op + tp), load(w.z, kQ, lanes) - (oq + tq)
            # slopes of P and Q in angle and ln V of this end, then of the other
            p0, p1, p2, p3 = -tq * m.turns[near], 2.0 * op + tp, tq * m.turns[far], tp
            q0, q1, q2, q3 = tp * m.turns[near], 2.0 * oq + tq, -tp * m.turns[far], tq
            P0, P1, P2, P3 = wP * p0, wP * p1, wP * p2, wP * p3
            Q0, Q1, Q2, Q3 = wQ * q0, wQ * q1, wQ * q2, wQ * q3
            add(X, near_slot, P0 * p0 + Q0 * q0, lanes)
            x = P0 * p1 + Q0 * q1
            add(X, near_slot + 1, x, lanes)
            add(X, near_slot + 4, x, lanes)
            add(X, near_slot + 5, P1 * p1 + Q1 * q1, lanes)
            add(X, far_slot, P2 * p2 + Q2 * q2, lanes)
            x = P2 * p3 + Q2 * q3
            add(X, far_slot + 1, x, lanes)
            add(X, far_slot + 4, x, lanes)
            add(X, far_slot + 5, P3 * p3 + Q3 * q3, lanes)
            for at, across, x in ((0, 0, P0 * p2 + Q0 * q2), (1, 4, P0 * p3 + Q0 * q3),
                                  (4, 1, P1 * p2 + Q1 * q2), (5, 5, P1 * p3 + Q1 * q3)):  # fmt: skip
                add(X, ij + at, x, lanes)
                add(X, ji + across, x, lanes)
            add(R, 4 * near, P0 * rP + Q0 * rQ, lanes)
            add(R, 4 * near + 1, P1 * rP + Q1 * rQ, lanes)
            add(R, 4 * far, P2 * rP + Q2 * rQ, lanes)
            add(R, 4 * far + 1, P3 * rP + Q3 * rQ, lanes)


@inner
def move(m: Layout, w: Work, tolerance: float, lanes: Lanes) -> None:  # pragma: no cover - lanes: compiled only
    """Take the step in every lane that is not done, at most `LONGEST`, and mark the lanes whose step was small."""
    n = m.diagonal.size
    done = load(w.done, 0, lanes)
    size = splat(0.0, lanes)
    for i in range(n):
        size = maximum(size, maximum(abs(load(w.R, 4 * i, lanes)), abs(load(w.R, 4 * i + 1, lanes))))
    share = where(size > LONGEST, LONGEST / size, splat(1.0, lanes))
    share = where(done > 0.0, splat(0.0, lanes), share)
    for i in range(n):
        d, step = share * load(w.R, 4 * i, lanes), share * load(w.R, 4 * i + 1, lanes)
        x = d * d  # sine and cosine to round-off for |d| <= 0.5, where the library is called lane by lane
        turn_s = d * (1.0 - x / 6.0 * (1.0 - x / 20.0 * (1.0 - x / 42.0 * (1.0 - x / 72.0 * (1.0 - x / 110.0 * (
            1.0 - x / 156.0))))))  # fmt: skip
        turn_c = 1.0 - x / 2.0 * (1.0 - x / 12.0 * (1.0 - x / 30.0 * (1.0 - x / 56.0 * (1.0 - x / 90.0 * (
            1.0 - x / 132.0 * (1.0 - x / 182.0))))))  # fmt: skip
        grow = 1.0 + step * (1.0 + step / 2.0 * (1.0 + step / 3.0 * (1.0 + step / 4.0 * (1.0 + step / 5.0 * (
            1.0 + step / 6.0 * (1.0 + step / 7.0 * (1.0 + step / 8.0)))))))  # fmt: skip
        ei, fi = load(w.e, i, lanes), load(w.f, i, lanes)
        e, f = turn_c * ei - turn_s * fi, turn_s * ei + turn_c * fi
        v = load(w.v, i, lanes) * grow
        scale = v / sqrt(e * e + f * f)
        store(w.a, i, load(w.a, i, lanes) + d)
        store(w.v, i, v)
        store(w.e, i, e * scale)
        store(w.f, i, f * scale)
    store(w.done, 0, where(size <= tolerance, splat(1.0, lanes), done))
    store(w.done, 1, size)


@inner
def objective(m: Layout, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Write J of every lane to done[2], and the largest exact injection that does not hold to done[3]."""
    n = m.diagonal.size
    total, broken = splat(0.0, lanes), splat(0.0, lanes)
    for i in range(n):
        ei, fi, v = load(w.e, i, lanes), load(w.f, i, lanes), load(w.v, i, lanes)
        c, d = m.own_g[i] * ei - m.own_b[i] * fi, m.own_g[i] * fi + m.own_b[i] * ei
        for y in range(np.intp(m.y_starts[i]), np.intp(m.y_starts[i + 1])):
            j = np.intp(m.y_columns[y])
            ej, fj = load(w.e, j, lanes), load(w.f, j, lanes)
            c += m.G[y] * ej - m.B[y] * fj
            d += m.G[y] * fj + m.B[y] * ej
        for part, power in ((i, ei * c + fi * d), (n + i, fi * c - ei * d)):
            r, on = load(w.injected, part, lanes) - power, load(w.on, part, lanes)
            if m.known[part] == 2:
                broken = maximum(broken, abs(r))
            else:
                total += on * r * r / load(w.variance, part, lanes)
        r = load(w.z, np.intp(m.voltage[i]), lanes) - v
        total += load(w.w, np.intp(m.voltage[i]), lanes) * r * r
        r = load(w.z, np.intp(m.angle[i]), lanes) - load(w.a, i, lanes)
        total += load(w.w, np.intp(m.angle[i]), lanes) * r * r
    for b in range(m.from_bus.size):
        for end in range(2):
            near, far = np.intp(m.from_bus[b]), np.intp(m.to_bus[b])
            if end == 1:
                near, far = far, near
            own, other = (0, 2) if end == 0 else (6, 4)
            e, f = w.e, w.f
            ei, fi, ej, fj = load(e, near, lanes), load(f, near, lanes), load(e, far, lanes), load(f, far, lanes)
            g, h = m.branch[other, b], m.branch[other + 1, b]
            c, d = g * ej - h * fj, g * fj + h * ej
            square = ei * ei + fi * fi
            kP, kQ = np.intp(m.flow[2 * end, b]), np.intp(m.flow[2 * end + 1, b])
            r = load(w.z, kP, lanes) - (m.branch[own, b] * square + ei * c + fi * d)
            total += load(w.w, kP, lanes) * r * r
            r = load(w.z, kQ, lanes) - (fi * c - ei * d - m.branch[own + 1, b] * square)
            total += load(w.w, kQ, lanes) * r * r
    store(w.done, 2, total)
    store(w.done, 3, broken)


@inner
def right_side(m: Layout, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Fill R with the exact right side for the changes of the state and of mu."""
    R, e, f, mu, on = w.R, w.e, w.f, w.mu, w.on
    n = m.diagonal.size
    zero = splat(0.0, lanes)
    for row in range(4 * n):
        store(R, row, zero)
    for i in range(n):
        ei, fi = load(e, i, lanes), load(f, i, lanes)
        onP, onQ = load(on, i, lanes), load(on, n + i, lanes)
        muP, muQ = onP * load(mu, i, lanes), onQ * load(mu, n + i, lanes)
        p, q = zero, zero
        for y in range(np.intp(m.y_starts[i]), np.intp(m.y_starts[i + 1])):
            j = np.intp(m.y_columns[y])
            g, b = splat(m.G[y], lanes), splat(m.B[y], lanes)
            ej, fj = load(e, j, lanes), load(f, j, lanes)
            c, d = fmuladd(g, ej, -(b * fj)), fmuladd(g, fj, b * ej)
            tp, tq = fmuladd(ei, c, fi * d), fmuladd(fi, c, -(ei * d))
            p += tp
            q += tq
            add(R, 4 * j, m.turns[j] * (tp * muQ - tq * muP), lanes)
            add(R, 4 * j + 1, -(tp * muP + tq * muQ), lanes)
        square = fmuladd(ei, ei, fi * fi)
        tp, tq = m.own_g[i] * square, -m.own_b[i] * square
        p += tp
        q += tq
        k = np.intp(m.voltage[i])
        v, weight = load(w.v, i, lanes), load(w.w, k, lanes)
        push = weight * v * (load(w.z, k, lanes) - v)
        add(R, 4 * i + 1, push - (p + tp) * muP - (q + tq) * muQ, lanes)
        k = np.intp(m.angle[i])
        push = load(w.w, k, lanes) * (load(w.z, k, lanes) - load(w.a, i, lanes))
        add(R, 4 * i, m.turns[i] * (push - (tq - q) * muP - (p - tp) * muQ), lanes)
        store(R, 4 * i + 2, onP * (load(w.injected, i, lanes) - p + load(w.variance, i, lanes) * muP))
        store(R, 4 * i + 3, onQ * (load(w.injected, n + i, lanes) - q + load(w.variance, n + i, lanes) * muQ))
    for b in range(m.from_bus.size):
        near, far = np.intp(m.from_bus[b]), np.intp(m.to_bus[b])
        ei, fi, ej, fj = load(e, near, lanes), load(f, near, lanes), load(e, far, lanes), load(f, far, lanes)
        for end in range(2):
            if end == 1:
                near, far, ei, fi, ej, fj = far, near, ej, fj, ei, fi
            kP, kQ = np.intp(m.flow[2 * end, b]), np.intp(m.flow[2 * end + 1, b])
            if kP + 1 == w.z.size // len(lanes) and kP == kQ:
                continue
            own, other = (0, 2) if end == 0 else (6, 4)
            square = fmuladd(ei, ei, fi * fi)
            g, h = m.branch[other, b], m.branch[other + 1, b]
            c, d = g * ej - h * fj, g * fj + h * ej
            tp, tq = ei * c + fi * d, fi * c - ei * d
            op, oq = m.branch[own, b] * square, -m.branch[own + 1, b] * square
            P = load(w.w, kP, lanes) * (load(w.z, kP, lanes) - (op + tp))
            Q = load(w.w, kQ, lanes) * (load(w.z, kQ, lanes) - (oq + tq))
            turned = tp * Q - tq * P
            both = tp * P + tq * Q
            add(R, 4 * near, m.turns[near] * turned, lanes)
            add(R, 4 * near + 1, 2.0 * (op * P + oq * Q) + both, lanes)
            add(R, 4 * far, -m.turns[far] * turned, lanes)
            add(R, 4 * far + 1, both, lanes)


@inner
def change(m: Layout, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Add the changes of mu, in lanes that are not done; a step that `move` shortens is shortened here as well."""
    n = m.diagonal.size
    size = splat(0.0, lanes)
    for i in range(n):
        size = maximum(size, maximum(abs(load(w.R, 4 * i, lanes)), abs(load(w.R, 4 * i + 1, lanes))))
    share = where(size > LONGEST, LONGEST / size, splat(1.0, lanes))
    share = where(load(w.done, 0, lanes) > 0.0, splat(0.0, lanes), share)
    for i in range(n):
        add(w.mu, i, share * load(w.R, 4 * i + 2, lanes), lanes)
        add(w.mu, n + i, share * load(w.R, 4 * i + 3, lanes), lanes)


@inner
def tell(
    m: Layout, w: Work, told: Floats, magnitude: Floats, angle: Floats, first: int, last: int, steps: int,
    weakest: float, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Write what became of the lanes to the rows of their snapshots."""
    width = len(lanes)
    objective(m, w, lanes)
    for l in range(min(width, last - first)):
        s = first + l
        told[s, 0], told[s, 1], told[s, 2] = w.done[2 * width + l], steps, w.done[width + l]
        told[s, 3], told[s, 4] = weakest, w.done[3 * width + l]
        for i in range(m.diagonal.size):
            magnitude[s, i] = w.v[i * width + l]
            angle[s, i] = w.a[i * width + l]


@outer
def shared_range(
    m: Layout, w: Work, X: Floats, D: Floats, values: Floats, weights: Floats, v: Floats, a: Floats, mu: Floats,
    tolerance: float, first: int, last: int, magnitude: Floats, angle: Floats, told: Floats, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Estimate snapshots first .. last with the factors X, D of a base state: v, a (n,), its multipliers mu (2 n,)."""
    for block in range(first, last, len(lanes)):
        pack(m, w, values, weights, block, last, lanes)
        begin(w, v, a, lanes)
        for k in range(mu.size):
            store(w.mu, k, splat(mu[k], lanes))
        steps = 0
        while steps < PATIENCE:
            right_side(m, w, lanes)
            solve_shared(m.starts, m.diagonal, m.columns, X, D, w.R, lanes)
            change(m, w, lanes)
            move(m, w, tolerance, lanes)
            steps += 1
            done = True
            for l in range(len(lanes)):
                done = done and w.done[l] > 0.0
            if done:
                break
        tell(m, w, told, magnitude, angle, block, last, steps, 1.0, lanes)


@outer
def estimate_range(
    m: Layout, w: Work, values: Floats, weights: Floats, v: Floats, a: Floats, tolerance: float,
    first: int, last: int, magnitude: Floats, angle: Floats, told: Floats, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Estimate snapshots first .. last from the start v, a (n,), in the order of the pivots.

    values (n_snapshot, n_meter) per unit, nan = missing; weights (n_meter,) over a typical one; magnitude, angle
    (n_snapshot, n); told (n_snapshot, 5): J, steps, last step, weakest pivot, largest exact injection that fails.
    """
    width = len(lanes)
    for block in range(first, last, width):
        pack(m, w, values, weights, block, last, lanes)
        begin(w, v, a, lanes)
        steps, weakest = 0, splat(np.inf, lanes)
        while steps < AGAIN:
            injections(m, w, lanes)
            branches(m, w, lanes)
            factor(m.starts, m.diagonal, m.columns, m.targets, w.X, w.D, w.small, lanes)
            weakest = minimum(weakest, load(w.small, 0, lanes))
            solve(m.starts, m.diagonal, m.columns, w.X, w.D, w.R, lanes)
            move(m, w, tolerance, lanes)
            steps += 1
            done = True
            for l in range(width):
                done = done and w.done[l] > 0.0
            if done:
                break
        store(w.small, 1, weakest)
        least = w.small[width]
        for l in range(width):
            least = min(least, w.small[width + l])
        tell(m, w, told, magnitude, angle, block, last, steps, least, lanes)
    for i in range(m.diagonal.size):
        for part in range(2):
            w.mu[(part * m.diagonal.size + i) * width] = w.R[(4 * i + 2 + part) * width]
