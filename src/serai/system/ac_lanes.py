# SPDX-License-Identifier: Apache-2.0
"""The grid for eight scenarios at once: the balances of `laws.power`, fused with the solve, in angle and ln V.

For an entry (i, j) of the admittance matrix Y let T = V_i conj(Y_ij V_j) = tp + j tq; then P_i = sum tp, Q_i = sum tq,

             d angle_j   d lnV_j         d angle_i          d lnV_i
    d P_i       tq          tp           tq_ii - Q_i        P_i + tp_ii
    d Q_i      -tp          tq           P_i - tp_ii        Q_i + tq_ii

so one pass over Y gives balances and slopes without a sine. Voltages are kept as e + j f and turned by each step; the
angle is summed up beside them. Where the magnitude is held, the second row says d lnV_i = 0.

Work done once a network (`ac_grid.Layout`): order, places of the factors, the base state and the factors of its matrix.
The first step of every scenario that starts there needs no factors of its own. A branch that is out in a lane is taken
away from that lane's balances and slopes behind the pass; buses that lose every way to a reference there are dead:
their rows become d x = 0 and their answer NaN. Lanes that are done are frozen. A block leaves behind lanes that are
far from an answer when most others are near theirs: `ac_curve` follows each of them from the base to its answer.
Reactive limits are tried per lane when it has converged (complementarity, as in `simulate.modes`): a lane with a switch
goes on.

Everything is per unit of the base power here; the plain laws give the same residual to 1e-12 (tested).

References: W. F. Tinney, C. E. Hart, Power flow solution by Newton's method, IEEE Trans. PAS-86 (1967),
doi:10.1109/TPAS.1967.291823; kept factors: B. Stott, Proc. IEEE 62 (1974), doi:10.1109/PROC.1974.9544.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from serai.lanes import EIGHT, fmuladd, load, maximum, minimum, splat, store, where
from serai.sparse.lane_lu import factor_blocks, solve_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Indices = NDArray[np.uint32]
    Lanes = tuple[float, ...]

LOAD, HELD, EITHER = 0, 1, 2  # what a bus knows: Q; its magnitude; one of them, by lane
WAITING, CONVERGED, SLOW, LOST, CYCLING = 0, 1, 2, 3, 4  # what became of a scenario
FAR = 1e-2  # per unit: a lane with a larger mismatch is left behind when half of its block is below
FALLS = 0.1  # unless its mismatch fell to this share in its last step
NEAR = 1e-4  # per unit: below, the factors of the last step serve once more
FIRST_CAP, SWITCH_CAP = 8, 40  # steps
LONGEST = 0.8  # rad: a step turns no voltage by more, and changes none by more than 1.3
TURN = 6.283185307179586
ROUND = 6755399441055744.0  # 1.5 x 2^52: what is added and taken away again loses its fraction
SLACK = 1e-7  # dead band of the tests of reactive limits, as in simulate.modes
PATIENCE, LIMIT = 4, 10  # switches of one bus before it waits its turn, and before it is called a cycle


class Grid(NamedTuple):
    """What all scenarios share. Buses are in the order of the pivots, references after them.

    place          place of each node of the power graph, (n,)
    starts ... fills                 as in `LaneLayout`, for the buses without the references; blocks of 2x2
    y_starts, y_columns, y_slots, G, B    admittances off the diagonal by rows: column, slot, value
    own_g, own_b   on the diagonal
    kind, may      LOAD, HELD or EITHER of each bus; the buses of kind EITHER
    ends, branch, branch_slots       branches: places of both ends (2, n), eight admittances (8, n), slots (2, n)
    e, f, angle    the base state; P, Q what enters the grid there, as its equations have it
    X, D           factors of the matrix at the base state
    offset, share, low, high, held, at_limit   reactive range of the buses `may`: Q = offset + share position with
                   low <= position <= high; magnitude held; whether the base is at a limit (-1 low, 0, 1 high)
    """

    place: Indices
    starts: Indices
    diagonal: Indices
    columns: Indices
    targets: Indices
    fills: Indices
    y_starts: Indices
    y_columns: Indices
    y_slots: Indices
    G: Floats
    B: Floats
    own_g: Floats
    own_b: Floats
    kind: NDArray[np.int8]
    may: Indices
    ends: Indices
    branch: Floats
    branch_slots: Indices
    e: Floats
    f: Floats
    angle: Floats
    P: Floats
    Q: Floats
    X: Floats
    D: Floats
    offset: Floats
    share: Floats
    low: Floats
    high: Floats
    held: Floats
    at_limit: NDArray[np.int8]


class Table(NamedTuple):
    """What differs between scenarios.

    values                  the given numbers, flat; scenario s of column c at [s * by_scenario + c * by_column]
    column, bus, what, by   what a column changes: `by` times its value is added to P (0) or Q (1) of a bus, or sets its
                            magnitude (2), (n_effects,); `sets`: whether any sets one
    P, Q                    what enters each bus without the columns [pu], in the order of the pivots
    out_starts, out         branches that are out of each scenario: out[out_starts[s] : out_starts[s + 1]]
    dead_starts, dead       buses that no reference reaches in it
    """

    values: Floats
    by_scenario: int
    by_column: int
    column: Indices
    bus: Indices
    what: NDArray[np.int8]
    by: Floats
    sets: bool
    P: Floats
    Q: Floats
    out_starts: Ints
    out: Indices
    dead_starts: Ints
    dead: Indices


class Answers(NamedTuple):
    """Where answers go: magnitude and angle (n_scenarios, n) in the order of the power graph, and what became of each.

    state, steps, mismatch (n_scenarios,); limits (n_scenarios, n_may): -1, 0, 1 as `Grid.at_limit`
    """

    magnitude: Floats
    angle: Floats
    state: NDArray[np.int8]
    steps: NDArray[np.int16]
    mismatch: Floats
    limits: NDArray[np.int8]


class Work(NamedTuple):
    """What one thread writes on, kept between blocks: nothing is allocated inside them."""

    X: Floats
    D: Floats
    R: Floats
    e: Floats
    f: Floats
    angle: Floats
    P: Floats
    Q: Floats
    held: Floats
    pq: Floats
    before: Floats
    step: Floats
    tangent: Floats
    given: Floats
    small: Floats
    path: Floats
    switches: Ints
    lane: Ints


def work_for(grid: Grid, width: int = len(EIGHT)) -> Work:
    """Return the workspace of one thread."""
    n, m, slots = grid.place.size, grid.kind.size, grid.columns.size + 1  # one slot more takes what references get
    sizes = (4 * slots, 4 * m, 2 * m, n, n, n, m, m, n, m, 3 * n, 2 * m, 2 * m, 2 * m, 8)
    floats = [np.zeros(size * width) for size in sizes]
    switches, lane = np.zeros(grid.may.size * width, np.int64), np.zeros(3 * width, np.int64)
    return Work(*floats, np.zeros((20, width)), switches, lane)  # type: ignore[call-arg,arg-type]  # mypy does not count what is unpacked


# --------------------------------------------------------------------------------------------------- compiled passes

# Nothing is allocated in these functions, so their arrays need no counting of references; that, and no way in from
# Python for those that only others call, halves the time to compile them.
outer = njit(cache=True, error_model="numpy", nogil=True, _nrt=False, no_rewrites=True)
inner = njit(
    cache=True, error_model="numpy", nogil=True, _nrt=False, no_rewrites=True, no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
)  # fmt: skip


@inner
def pack(
    grid: Grid, table: Table, scenarios: Ints, w: Work, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Write what enters each bus, and the magnitudes that are held, of eight scenarios (n_lanes,)."""
    kinds, base_e, base_held, wP, wQ = grid.kind, grid.e, grid.held, w.P, w.Q
    w_held, t_values, t_column, t_bus, t_what = w.held, table.values, table.column, table.bus, table.what
    t_by, t_P, t_Q, t_by_column = table.by, table.P, table.Q, table.by_column
    width = len(lanes)
    for i in range(kinds.size):
        store(wP, i, splat(t_P[i], lanes))
        store(wQ, i, splat(t_Q[i], lanes))
    if table.sets:
        for i in range(base_e.size):
            store(w_held, i, splat(base_held[i], lanes))
    for l in range(width):
        row = np.intp(scenarios[l]) * table.by_scenario
        for k in range(t_column.size):
            value = t_by[k] * t_values[row + np.intp(t_column[k]) * t_by_column]
            at = np.intp(t_bus[k]) * width + l
            if t_what[k] == 0:
                wP[at] += value
            elif t_what[k] == 1:
                wQ[at] += value
            else:
                w_held[at] = value


@inner
def measure(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Write the mismatch of every bus, P and Q, to R; 0 for Q where every lane holds the magnitude."""
    y_starts, y_columns, G, B, own_g = grid.y_starts, grid.y_columns, grid.G, grid.B, grid.own_g
    own_b, kinds, wR, we, wf = grid.own_b, grid.kind, w.R, w.e, w.f
    wP, wQ, w_pq = w.P, w.Q, w.pq
    for i in range(kinds.size):
        ei, fi = load(we, i, lanes), load(wf, i, lanes)
        c, d = own_g[i] * ei - own_b[i] * fi, own_g[i] * fi + own_b[i] * ei
        for y in range(np.intp(y_starts[i]), np.intp(y_starts[i + 1])):
            j = np.intp(y_columns[y])
            g, b = splat(G[y], lanes), splat(B[y], lanes)
            ej, fj = load(we, j, lanes), load(wf, j, lanes)
            c = fmuladd(-b, fj, fmuladd(g, ej, c))
            d = fmuladd(b, ej, fmuladd(g, fj, d))
        store(wR, 2 * i, load(wP, i, lanes) - fmuladd(ei, c, fi * d))
        if kinds[i] == HELD:
            store(wR, 2 * i + 1, splat(0.0, lanes))
        else:
            store(wR, 2 * i + 1, (load(wQ, i, lanes) - fmuladd(fi, c, -(ei * d))) * load(w_pq, i, lanes))


@outer
def measure_with_slopes(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Do what `measure` does and write the matrix to the slots."""
    diagonal, fills, y_starts, y_columns, y_slots = (
        grid.diagonal,
        grid.fills,
        grid.y_starts,
        grid.y_columns,
        grid.y_slots,
    )
    G, B, own_g, own_b, kinds = grid.G, grid.B, grid.own_g, grid.own_b, grid.kind
    wX, wR, we, wf, wP = w.X, w.R, w.e, w.f, w.P
    wQ, w_pq = w.Q, w.pq
    zero, one = splat(0.0, lanes), splat(1.0, lanes)
    for k in range(fills.size):
        for part in range(4):
            store(wX, 4 * np.intp(fills[k]) + part, zero)
    for i in range(kinds.size):
        ei, fi = load(we, i, lanes), load(wf, i, lanes)
        p, q = zero, zero
        kind = kinds[i]
        pq = load(w_pq, i, lanes)
        for y in range(np.intp(y_starts[i]), np.intp(y_starts[i + 1])):
            j, s = np.intp(y_columns[y]), 4 * np.intp(y_slots[y])
            g, b = splat(G[y], lanes), splat(B[y], lanes)
            ej, fj = load(we, j, lanes), load(wf, j, lanes)
            c, d = fmuladd(g, ej, -(b * fj)), fmuladd(g, fj, b * ej)
            tp, tq = fmuladd(ei, c, fi * d), fmuladd(fi, c, -(ei * d))
            p += tp
            q += tq
            store(wX, s, tq)
            store(wX, s + 1, tp)
            if kind == LOAD:
                store(wX, s + 2, -tp)
                store(wX, s + 3, tq)
            elif kind == HELD:
                store(wX, s + 2, zero)
                store(wX, s + 3, zero)
            else:
                store(wX, s + 2, -tp * pq)
                store(wX, s + 3, tq * pq)
        square = fmuladd(ei, ei, fi * fi)
        tp, tq = own_g[i] * square, -own_b[i] * square
        p += tp
        q += tq
        s = 4 * np.intp(diagonal[i])
        store(wX, s, tq - q)
        store(wX, s + 1, p + tp)
        store(wR, 2 * i, load(wP, i, lanes) - p)
        if kind == HELD:
            store(wX, s + 2, zero)
            store(wX, s + 3, one)
            store(wR, 2 * i + 1, zero)
        else:
            store(wX, s + 2, (p - tp) * pq)
            store(wX, s + 3, fmuladd(q + tq - 1.0, pq, one))
            store(wR, 2 * i + 1, (load(wQ, i, lanes) - q) * pq)


@inner
def take_out(
    grid: Grid, table: Table, scenario: int, l: int, w: Work, slopes: bool, lanes: Lanes  # noqa: FBT001 - compiled
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Take the branches that are out of a scenario away from its lane, and tie its dead buses down."""
    starts, diagonal, kinds, ends, branch = grid.starts, grid.diagonal, grid.kind, grid.ends, grid.branch
    branch_slots, wX, wR, we, wf = grid.branch_slots, w.X, w.R, w.e, w.f
    w_pq, t_out_starts, t_out, t_dead_starts, t_dead = w.pq, table.out_starts, table.out, table.dead_starts, table.dead
    n = len(lanes)
    m = kinds.size
    for k in range(t_out_starts[scenario], t_out_starts[scenario + 1]):
        b = np.intp(t_out[k])
        for end in range(2):
            i, j = np.intp(ends[end, b]), np.intp(ends[1 - end, b])
            if i >= m:
                continue
            ei, fi, ej, fj = we[i * n + l], wf[i * n + l], we[j * n + l], wf[j * n + l]
            # rows of `branch`: Gff Bff Gft Bft Gtf Btf Gtt Btt
            own, other = (0, 2) if end == 0 else (6, 4)
            square = ei * ei + fi * fi
            g, h = branch[other, b], branch[other + 1, b]
            c, d = g * ej - h * fj, g * fj + h * ej
            tp, tq = ei * c + fi * d, fi * c - ei * d
            p, q = branch[own, b] * square, -branch[own + 1, b] * square
            pq = w_pq[i * n + l] if kinds[i] != HELD else 0.0
            wR[2 * i * n + l] += p + tp
            wR[(2 * i + 1) * n + l] += (q + tq) * pq
            if slopes:
                s = 4 * np.intp(diagonal[i]) * n + l
                wX[s] += tq
                wX[s + n] -= 2.0 * p + tp
                wX[s + 2 * n] -= tp * pq
                wX[s + 3 * n] -= (2.0 * q + tq) * pq
                s = 4 * np.intp(branch_slots[end, b]) * n + l
                wX[s] -= tq
                wX[s + n] -= tp
                wX[s + 2 * n] += tp * pq
                wX[s + 3 * n] -= tq * pq
    for k in range(t_dead_starts[scenario], t_dead_starts[scenario + 1]):
        i = np.intp(t_dead[k])
        wR[2 * i * n + l] = 0.0
        wR[(2 * i + 1) * n + l] = 0.0
        if slopes:
            for s in range(4 * np.intp(starts[i]), 4 * np.intp(starts[i + 1])):  # type: ignore[assignment]  # compiled
                wX[s * n + l] = 0.0
            s = 4 * np.intp(diagonal[i])
            wX[s * n + l] = 1.0
            wX[(s + 3) * n + l] = 1.0


@inner
def solve_shared(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace R by the step that the factors of the base state give: one set of factors for all lanes."""
    X, D, R = grid.X, grid.D, w.R
    starts, diagonal, columns = grid.starts, grid.diagonal, grid.columns
    m = diagonal.size
    for i in range(m):
        s, t = load(R, 2 * i, lanes), load(R, 2 * i + 1, lanes)
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            j = 2 * np.intp(columns[q])
            x, y = load(R, j, lanes), load(R, j + 1, lanes)
            s = fmuladd(splat(-X[4 * q + 1], lanes), y, fmuladd(splat(-X[4 * q], lanes), x, s))
            t = fmuladd(splat(-X[4 * q + 3], lanes), y, fmuladd(splat(-X[4 * q + 2], lanes), x, t))
        store(R, 2 * i, s)
        store(R, 2 * i + 1, t)
    for i in range(m - 1, -1, -1):
        s, t = load(R, 2 * i, lanes), load(R, 2 * i + 1, lanes)
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            j = 2 * np.intp(columns[q])
            x, y = load(R, j, lanes), load(R, j + 1, lanes)
            s = fmuladd(splat(-X[4 * q + 1], lanes), y, fmuladd(splat(-X[4 * q], lanes), x, s))
            t = fmuladd(splat(-X[4 * q + 3], lanes), y, fmuladd(splat(-X[4 * q + 2], lanes), x, t))
        store(R, 2 * i, fmuladd(splat(D[4 * i + 1], lanes), t, D[4 * i] * s))
        store(R, 2 * i + 1, fmuladd(splat(D[4 * i + 3], lanes), t, D[4 * i + 2] * s))


@inner
def largest(w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Write per lane the largest mismatch to `small` 0 and the sum of their squares to `small` 1; NaN wins in both."""
    wR, w_small = w.R, w.small
    worst, total = splat(0.0, lanes), splat(0.0, lanes)
    for k in range(wR.size // len(lanes)):
        r = load(wR, k, lanes)
        worst = maximum(worst, abs(r))
        total = fmuladd(r, r, total)
    store(w_small, 0, worst)
    store(w_small, 1, total)


@inner
def turned(x: float, lanes: Lanes) -> tuple[float, float]:  # pragma: no cover - lanes exist compiled only
    """Return sine and cosine: a whole turn off, a quarter of the rest by Taylor, doubled twice."""
    x = 0.25 * (x - TURN * ((x * (1.0 / TURN) + ROUND) - ROUND))
    z = x * x
    sine = splat(-1.0 / 1307674368000.0, lanes)
    cosine = splat(-1.0 / 87178291200.0, lanes)
    sine = fmuladd(z, fmuladd(z, sine, 1.0 / 6227020800.0), -1.0 / 39916800.0)
    cosine = fmuladd(z, fmuladd(z, cosine, 1.0 / 479001600.0), -1.0 / 3628800.0)
    sine = fmuladd(z, fmuladd(z, sine, 1.0 / 362880.0), -1.0 / 5040.0)
    cosine = fmuladd(z, fmuladd(z, cosine, 1.0 / 40320.0), -1.0 / 720.0)
    sine = fmuladd(z, fmuladd(z, sine, 1.0 / 120.0), -1.0 / 6.0)
    cosine = fmuladd(z, fmuladd(z, cosine, 1.0 / 24.0), -0.5)
    sine, cosine = fmuladd(sine * z, x, x), fmuladd(cosine, z, 1.0)
    sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    return sine, cosine


@inner
def move(w: Work, step: Floats, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Turn and stretch the voltages by a step (2 m n_lanes,) times `small` 2 of each lane (0 leaves it exactly)."""
    we, wf, w_angle, w_small = w.e, w.f, w.angle, w.small
    size = load(w_small, 2, lanes)
    for i in range(step.size // (2 * len(lanes))):
        x = where(size > 0.0, size * load(step, 2 * i, lanes), 0.0)
        y = where(size > 0.0, size * load(step, 2 * i + 1, lanes), 0.0)
        x = minimum(maximum(x, -LONGEST), LONGEST)
        y = minimum(maximum(y, -0.3), 0.3)
        z = x * x
        # Taylor to x^15 and x^14: exact to round-off for |x| <= LONGEST
        s = fmuladd(z, splat(-1.0 / 1307674368000.0, lanes), 1.0 / 6227020800.0)
        c = fmuladd(z, splat(-1.0 / 87178291200.0, lanes), 1.0 / 479001600.0)
        s = fmuladd(z, fmuladd(z, s, -1.0 / 39916800.0), 1.0 / 362880.0)
        c = fmuladd(z, fmuladd(z, c, -1.0 / 3628800.0), 1.0 / 40320.0)
        s = fmuladd(z, fmuladd(z, fmuladd(z, s, -1.0 / 5040.0), 1.0 / 120.0), -1.0 / 6.0)
        c = fmuladd(z, fmuladd(z, fmuladd(z, c, -1.0 / 720.0), 1.0 / 24.0), -0.5)
        s = fmuladd(s * z, x, x)
        c = fmuladd(c, z, 1.0)
        e, f = load(we, i, lanes), load(wf, i, lanes)
        y += 1.0
        store(we, i, fmuladd(e, c, -(f * s)) * y)
        store(wf, i, fmuladd(e, s, f * c) * y)
        store(w_angle, i, load(w_angle, i, lanes) + x)


@inner
def begin(grid: Grid, table: Table, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Put eight lanes into the base state, with the magnitudes that each of them holds."""
    kinds, base_e, base_f, base_angle, base_held = grid.kind, grid.e, grid.f, grid.angle, grid.held
    may, we, wf, w_angle, wQ = grid.may, w.e, w.f, w.angle, w.Q
    w_held, w_pq = w.held, w.pq
    width = len(lanes)
    for i in range(base_e.size):
        e, f = splat(base_e[i], lanes), splat(base_f[i], lanes)
        if table.sets and base_held[i] > 0.0:
            scale = load(w_held, i, lanes) / sqrt(e * e + f * f)
            e, f = e * scale, f * scale
        store(we, i, e)
        store(wf, i, f)
        store(w_angle, i, splat(base_angle[i], lanes))
    for i in range(kinds.size):
        store(w_pq, i, splat(0.0 if kinds[i] == HELD else 1.0, lanes))
    for k in range(may.size):
        i = np.intp(may[k])  # type: ignore[assignment]  # compiled
        side = np.int64(grid.at_limit[k])
        store(w_pq, i, splat(1.0 if side != 0 else 0.0, lanes))
        store(wQ, i, load(wQ, i, lanes) + limit_of(grid, k, side))
        for l in range(width):
            w.switches[k * width + l] = side + 1


@inner
def limit_of(grid: Grid, k: int, side: int) -> float:
    """Return the reactive power [pu] of a bus at its limit; 0 where its magnitude is held."""
    if side == 0:
        return 0.0
    return grid.offset[k] + grid.share[k] * (grid.high[k] if side > 0 else grid.low[k])  # type: ignore[no-any-return]  # compiled


@inner
def reactive(grid: Grid, table: Table, scenario: int, i: int, l: int, w: Work, n: int) -> float:
    """Return what reactive power [pu] bus i takes into the grid in one lane."""
    e, f = w.e[i * n + l], w.f[i * n + l]
    c, d = grid.own_g[i] * e - grid.own_b[i] * f, grid.own_g[i] * f + grid.own_b[i] * e
    for y in range(np.intp(grid.y_starts[i]), np.intp(grid.y_starts[i + 1])):
        at = np.intp(grid.y_columns[y]) * n + l
        c += grid.G[y] * w.e[at] - grid.B[y] * w.f[at]
        d += grid.G[y] * w.f[at] + grid.B[y] * w.e[at]
    for k in range(table.out_starts[scenario], table.out_starts[scenario + 1]):
        b = np.intp(table.out[k])
        for end in range(2):
            if np.intp(grid.ends[end, b]) == i:
                own, other = (0, 2) if end == 0 else (6, 4)
                at = np.intp(grid.ends[1 - end, b]) * n + l
                c -= grid.branch[own, b] * e - grid.branch[own + 1, b] * f
                d -= grid.branch[own, b] * f + grid.branch[own + 1, b] * e
                c -= grid.branch[other, b] * w.e[at] - grid.branch[other + 1, b] * w.f[at]
                d -= grid.branch[other, b] * w.f[at] + grid.branch[other + 1, b] * w.e[at]
    return f * c - e * d  # type: ignore[no-any-return]  # compiled


@inner
def switch(grid: Grid, table: Table, scenario: int, l: int, w: Work, lanes: Lanes) -> int:
    """Try the reactive limits of a lane that has converged: how many buses were switched, -1 where one cycles."""
    n = len(lanes)
    count = 0
    waiting = False
    for k in range(grid.may.size):
        i = np.intp(grid.may[k])
        word = w.switches[k * n + l]
        side, times = word % 4 - 1, word // 4
        alive = True
        for d in range(table.dead_starts[scenario], table.dead_starts[scenario + 1]):
            alive = alive and np.intp(table.dead[d]) != i
        if not alive:
            continue
        e, f = w.e[i * n + l], w.f[i * n + l]
        size = sqrt(e * e + f * f)
        target = w.held[i * n + l] if table.sets else grid.held[i]
        wish = side
        if side == 0:
            produced = reactive(grid, table, scenario, i, l, w, n) - w.Q[i * n + l]
            position = (produced - grid.offset[k]) / grid.share[k]
            if position > grid.high[k] + SLACK:
                wish = 1
            elif position < grid.low[k] - SLACK:
                wish = -1
        elif (side > 0 and size > target + SLACK) or (side < 0 and size < target - SLACK):
            wish = 0
        if wish == side:
            continue
        if times >= PATIENCE:  # it waits until no other bus wants to switch
            if count > 0 or waiting:
                continue
            waiting = True
        if times + 1 > LIMIT:
            return -1
        w.Q[i * n + l] += limit_of(grid, k, wish) - limit_of(grid, k, side)
        w.switches[k * n + l] = (times + 1) * 4 + wish + 1
        w.pq[i * n + l] = 0.0 if wish == 0 else 1.0
        if wish == 0:
            w.e[i * n + l] = e * target / size
            w.f[i * n + l] = f * target / size
        count += 1
    return count


# ------------------------------------------------------------------------------------------------- compiled, a block


@inner
def from_base(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Write the mismatch of every bus at the base state to R, where the grid takes what it took in the base."""
    kinds, base_P, base_Q, wR, wP = grid.kind, grid.P, grid.Q, w.R, w.P
    wQ, w_pq = w.Q, w.pq
    for i in range(kinds.size):
        store(wR, 2 * i, load(wP, i, lanes) - base_P[i])
        store(wR, 2 * i + 1, (load(wQ, i, lanes) - base_Q[i]) * load(w_pq, i, lanes))


@inner
def hand_out(
    grid: Grid, table: Table, answers: Answers, scenarios: Ints, state: Ints, w: Work, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Write the voltages of the lanes that converged, in the order of the power graph; NaN for the others."""
    place, base_e, may, we, wf = grid.place, grid.e, grid.may, w.e, w.f
    w_angle, w_before, t_dead_starts, t_dead, a_magnitude = (
        w.angle,
        w.before,
        table.dead_starts,
        table.dead,
        answers.magnitude,
    )
    a_angle, a_limits = answers.angle, answers.limits
    width = len(lanes)
    n = base_e.size
    for i in range(n):
        e, f = load(we, i, lanes), load(wf, i, lanes)
        store(w_before, i, sqrt(fmuladd(e, e, f * f)))
    for l in range(width):
        s = np.intp(scenarios[l])
        answers.state[s] = state[l]
        if state[l] == CONVERGED:
            for i in range(n):
                at = np.intp(place[i]) * width + l
                a_magnitude[s, i] = w_before[at]
                a_angle[s, i] = w_angle[at]
            for k in range(t_dead_starts[s], t_dead_starts[s + 1]):
                for i in range(n):
                    if np.intp(place[i]) == np.intp(t_dead[k]):
                        a_magnitude[s, i] = np.nan
                        a_angle[s, i] = np.nan
            for k in range(may.size):
                a_limits[s, k] = w.switches[k * width + l] % 4 - 1
        else:
            for i in range(n):
                a_magnitude[s, i] = np.nan
                a_angle[s, i] = np.nan


@outer
def solve_range(
    grid: Grid, table: Table, answers: Answers, order: Ints, first: int, last: int, tolerance: float, w: Work,
    lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Solve scenarios order[first : last], eight at a time, from the base state; those left behind get SLOW."""
    width = len(lanes)
    scenarios, state = w.lane[:width], w.lane[width : 2 * width]
    for block in range(first, last, width):
        shared = True
        for l in range(width):
            s = order[min(block + l, last - 1)]
            scenarios[l], state[l] = s, WAITING
            shared = shared and table.out_starts[s + 1] == table.out_starts[s]
        pack(grid, table, scenarios, w, lanes)
        begin(grid, table, w, lanes)
        measured = shared and not table.sets
        if measured:
            from_base(grid, w, lanes)
        slopes_wanted, slopes, kept = not shared, False, False
        steps = 0
        before = np.inf
        while True:
            if not measured:
                if slopes_wanted:
                    measure_with_slopes(grid, w, lanes)
                else:
                    measure(grid, w, lanes)
                slopes = slopes_wanted
                for l in range(width):
                    take_out(grid, table, scenarios[l], l, w, slopes, lanes)
            measured = False
            largest(w, lanes)
            waiting, near, finished, switched, farthest = 0, 0, 0, 0, 0.0
            for l in range(width):
                if state[l] == WAITING:
                    error = w.small[l]
                    if not error < np.inf:
                        state[l] = LOST
                    elif error <= tolerance:
                        changed = switch(grid, table, scenarios[l], l, w, lanes)
                        if changed < 0:
                            state[l] = CYCLING
                        elif changed > 0:
                            switched += 1
                        else:
                            state[l] = CONVERGED
                            answers.mismatch[scenarios[l]] = error
                            answers.steps[scenarios[l]] = steps
                    else:
                        waiting += 1
                        farthest = max(farthest, error)
                        near += error <= FAR
                if state[l] != WAITING:
                    finished += 1
            if waiting + switched == 0:
                break
            if steps >= (FIRST_CAP if grid.may.size == 0 else SWITCH_CAP):
                break
            if switched > 0:
                slopes_wanted, kept = True, False
                steps += 1
                continue
            if steps > 1 and farthest > FAR and 2 * (finished + near) >= width:
                waiting, farthest = 0, 0.0
                for l in range(width):
                    if state[l] == WAITING and w.small[l] > FAR and w.small[l] > FALLS * w.small[5 * width + l]:
                        state[l] = SLOW
                    elif state[l] == WAITING:
                        waiting += 1
                        farthest = max(farthest, w.small[l])
                if waiting == 0:
                    break
            if shared and steps == 0:
                solve_shared(grid, w, lanes)
                slopes_wanted = True
            elif kept and not slopes and farthest <= NEAR and farthest <= 0.1 * before:
                solve_blocks(grid.starts, grid.diagonal, grid.columns, w.X, w.D, w.R, lanes)
                slopes_wanted = False
            elif not slopes:
                slopes_wanted = True
                continue
            else:
                factor_blocks(
                    grid.starts, grid.diagonal, grid.columns, grid.targets, w.X, w.D, w.small[3 * width :], lanes
                )
                solve_blocks(grid.starts, grid.diagonal, grid.columns, w.X, w.D, w.R, lanes)
                slopes_wanted, slopes, kept = farthest > 1e-2, False, True
            before = farthest
            for l in range(width):
                w.small[2 * width + l] = 1.0 if state[l] == WAITING else 0.0
                w.small[5 * width + l] = w.small[l]
            move(w, w.R, lanes)
            steps += 1
        for l in range(width):
            if state[l] == WAITING:
                state[l] = SLOW
                answers.mismatch[scenarios[l]] = w.small[l]
            elif state[l] != CONVERGED:
                answers.mismatch[scenarios[l]] = w.small[l]
        hand_out(grid, table, answers, scenarios, state, w, lanes)
