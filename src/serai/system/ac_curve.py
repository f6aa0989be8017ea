# SPDX-License-Identifier: Apache-2.0
"""The careful second try: scenarios that Newton did not reach, followed along a curve from the base state.

Let d be what the balances of a scenario leave over in the base state. The states where they leave over (1 - lambda) d
make a curve from the base (lambda = 0) to the answers (lambda = 1). It is followed by its length, lambda being one more
unknown, so that it may turn back where the grid can carry no more, and go on beyond (S-shaped curves are common near
collapse). A matrix A is factored once a step and solved for two right sides, x = A^-1 r and y = A^-1 d: the correction
across the curve with tangent (t, s) is

    x + dlambda y,    dlambda = -(t . x) / (t . y + s),    and the new tangent is +-(y, 1).

A correction that is too large for its step is taken back and the step cut; small ones make the steps grow. Where
lambda = 1 is crossed, the step ends on it and Newton finishes. A curve that comes back half of the way has no answer.
Scenarios that leave the curve without an answer have one more try, Newton without any restraint from the voltages of
loads that are impedances, which finds what other programs find from such a start.

A lane that is done takes the next scenario, so that none waits for its neighbours.

Reference: H. B. Keller, Numerical solution of bifurcation and nonlinear eigenvalue problems (1977); V. Ajjarapu,
C. Christy, The continuation power flow, IEEE Trans. Power Systems 7 (1992), doi:10.1109/59.141737.
"""

from __future__ import annotations

from math import atan2, inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

from serai.lanes import fmuladd, load, maximum, splat, store, where
from serai.sparse.lane_lu import factor_blocks, solve_blocks_pair
from serai.system.ac_lanes import (
    CONVERGED,
    CYCLING,
    FIRST_CAP,
    HELD,
    LOST,
    TURN,
    inner,
    largest,
    limit_of,
    measure_with_slopes,
    outer,
    switch,
    take_out,
    turned,
)

if TYPE_CHECKING:
    from serai.system.ac_lanes import Answers, Floats, Grid, Ints, Lanes, Table, Work

FIRST, LONGEST_STEP, SHORTEST_STEP = 0.3, 0.6, 1e-3  # of the largest angle [rad] or d ln V
WEIGHT = 0.2  # of lambda beside these
STEPS, PLAIN_STEPS, ALL_STEPS = 120, 30, 1000  # along one curve, without restraint, of one scenario with its switches
HOPELESS = 0.3  # lambda: a curve that turns below has no answer
BACK = 0.5  # of the highest lambda: a curve that fell below has come back; it may turn more than once before

# rows of `Work.path`: where each lane is, and what to do with it
LAMBDA, REACHED, SLOPE, LENGTH, ROUND, LAST, EXACT, COUNT, TOTAL, LEAST = range(10)
ACROSS, ALONG, STRETCH, CORRECTION, RISE = range(10, 15)  # t . x, t . y, max |y|, max |x + dlambda y|, dlambda
APPLY, KEEP, AHEAD, RETURN = range(15, 19)  # correct; scale of the new tangent; length of the next step; take back
TOP = 19  # highest lambda of the curve
# phases of a lane
FRESH, START, ON_CURVE, REFINES, ARRIVES, IMPEDANCES, PLAIN, GIVES_UP, CAME_BACK, IDLE = range(10)


@inner
def steer(p: Floats, phase: int, l: int) -> int:  # noqa: PLR0911 - a return for each thing to do
    """Decide what becomes of the correction of one lane, and of its next step; return its next phase.

    p  `Work.path`, (n_rows, n_lanes)
    """
    p[APPLY, l], p[KEEP, l], p[AHEAD, l], p[RETURN, l] = 0.0, 0.0, 0.0, 0.0
    p[COUNT, l] += 1.0
    p[TOTAL, l] += 1.0
    if phase == PLAIN:
        p[APPLY, l] = 1.0
        return PLAIN if p[COUNT, l] <= PLAIN_STEPS else GIVES_UP
    stretch = max(p[STRETCH, l], WEIGHT)
    if phase == START:
        p[TOP, l] = 0.0
        p[REACHED, l], p[SLOPE, l], p[KEEP, l], p[EXACT, l] = 0.0, 1.0 / stretch, 1.0 / stretch, 1.0
        return predict(p, FIRST, l)  # type: ignore[no-any-return]  # compiled
    h, rounds = p[LENGTH, l], p[ROUND, l]
    size = max(p[CORRECTION, l], WEIGHT * abs(p[RISE, l]))
    allowed = 0.5 * (h if rounds == 0.0 else p[LAST, l])
    if not (size <= allowed or size <= 1e-6 or (phase == REFINES and size < inf)):
        h *= max(0.1, min(0.5, 0.25 * h / size)) if rounds == 0.0 and size < inf else 0.4
        if not h >= SHORTEST_STEP or p[COUNT, l] > STEPS or phase == REFINES:
            return GIVES_UP
        p[RETURN, l] = 1.0
        if p[EXACT, l] == 0.0:  # the point it came from and its tangent are made exact first
            p[LAMBDA, l], p[LENGTH, l], p[ROUND, l] = p[REACHED, l], h, 0.0
            return REFINES
        return predict(p, h, l)  # type: ignore[no-any-return]  # compiled
    p[APPLY, l] = 1.0
    p[LAMBDA, l] += p[RISE, l]
    p[LAST, l] = size
    p[ROUND, l] = rounds + 1.0
    if phase == ARRIVES or not (phase == REFINES or size <= 0.1 * h):
        return phase
    p[TOP, l] = max(p[TOP, l], p[LAMBDA, l])
    if p[LAMBDA, l] < BACK * p[TOP, l]:
        return CAME_BACK
    if p[COUNT, l] > STEPS:
        return GIVES_UP
    sign = 1.0 if p[ALONG, l] + p[SLOPE, l] > 0.0 else -1.0
    if sign < 0.0 and p[TOP, l] < HOPELESS:
        return CAME_BACK
    if (p[REACHED, l] - 1.0) * (p[LAMBDA, l] - 1.0) < 0.0:  # the correction went past the answer: turn round
        sign = -sign
    p[REACHED, l], p[SLOPE, l], p[KEEP, l] = p[LAMBDA, l], sign / stretch, sign / stretch
    p[EXACT, l] = 1.0 if phase == REFINES or size <= 0.01 * h else 0.0
    if phase != REFINES and rounds == 0.0:
        h = min(LONGEST_STEP, h * min(2.0, max(0.7, 0.25 * h / max(size, 1e-12))))
    return predict(p, h, l)  # type: ignore[no-any-return]  # compiled


@inner
def predict(p: Floats, h: float, l: int) -> int:
    """Set out from the point reached by a length h, or less to end on lambda = 1."""
    reached, slope = p[REACHED, l], p[SLOPE, l]
    phase = ON_CURVE
    if (reached - 1.0) * (reached + h * slope - 1.0) <= 0.0:
        h, phase = (1.0 - reached) / slope, ARRIVES
    p[LAMBDA, l] = 1.0 if phase == ARRIVES else reached + h * slope
    p[AHEAD, l], p[LENGTH, l], p[ROUND, l], p[LAST, l] = h, h, 0.0, inf
    return phase


@inner
def enter(grid: Grid, table: Table, scenario: int, l: int, w: Work, n: int) -> None:
    """Put one lane into the base state with what enters each bus, and what is held, of one scenario."""
    for i in range(grid.kind.size):
        w.P[i * n + l], w.Q[i * n + l] = table.P[i], table.Q[i]
        w.pq[i * n + l] = 0.0 if grid.kind[i] == HELD else 1.0
    if table.sets:
        for i in range(grid.e.size):
            w.held[i * n + l] = grid.held[i]
    row = scenario * table.by_scenario
    for k in range(table.column.size):
        value = table.by[k] * table.values[row + np.intp(table.column[k]) * table.by_column]
        at = np.intp(table.bus[k]) * n + l
        if table.what[k] == 0:
            w.P[at] += value
        elif table.what[k] == 1:
            w.Q[at] += value
        else:
            w.held[at] = value
    for i in range(grid.e.size):
        e, f = grid.e[i], grid.f[i]
        if table.sets and grid.held[i] > 0.0:
            scale = w.held[i * n + l] / sqrt(e * e + f * f)
            e, f = e * scale, f * scale
        w.e[i * n + l], w.f[i * n + l] = e, f
    for k in range(grid.may.size):
        i, side = np.intp(grid.may[k]), np.int64(grid.at_limit[k])  # type: ignore[assignment]  # compiled
        w.pq[i * n + l] = 1.0 if side != 0 else 0.0
        w.Q[i * n + l] += limit_of(grid, k, side)
        w.switches[k * n + l] = side + 1


@inner
def impedances(grid: Grid, l: int, w: Work, n: int) -> None:
    """Write one lane of the equations Y V - conj(S) V = 0 to X and R: loads that draw S at one per unit.

    Buses with a magnitude stay where they are. Branches that are out count: it is a start, no more.
    """
    m = grid.kind.size
    for i in range(m):
        free = 1.0 if grid.kind[i] != HELD and w.pq[i * n + l] != 0.0 else 0.0
        c, d = 0.0, 0.0
        for y in range(np.intp(grid.y_starts[i]), np.intp(grid.y_starts[i + 1])):
            g, b, j = free * grid.G[y], free * grid.B[y], np.intp(grid.y_columns[y])
            at = 4 * np.intp(grid.y_slots[y]) * n + l
            w.X[at], w.X[at + n], w.X[at + 2 * n], w.X[at + 3 * n] = g, -b, b, g
            if j >= m:
                c += g * w.e[j * n + l] - b * w.f[j * n + l]
                d += g * w.f[j * n + l] + b * w.e[j * n + l]
        g, b = grid.own_g[i] - w.P[i * n + l], grid.own_b[i] + w.Q[i * n + l]
        if free == 0.0:
            g, b, c, d = 1.0, 0.0, -w.e[i * n + l], -w.f[i * n + l]
        at = 4 * np.intp(grid.diagonal[i]) * n + l
        w.X[at], w.X[at + n], w.X[at + 2 * n], w.X[at + 3 * n] = g, -b, b, g
        w.R[2 * i * n + l], w.R[(2 * i + 1) * n + l] = -c, -d


@inner
def leave(
    grid: Grid, table: Table, answers: Answers, scenario: int, state: int, l: int, w: Work, n: int
) -> None:  # fmt: skip
    """Hand out the answer of one lane: NaN where it has none."""
    answers.state[scenario] = state
    answers.mismatch[scenario] = w.path[LEAST, l]
    answers.steps[scenario] = FIRST_CAP + np.int64(w.path[TOTAL, l])
    for i in range(grid.e.size):
        at = np.intp(grid.place[i])
        e, f, base = w.e[at * n + l], w.f[at * n + l], grid.angle[at]
        angle = atan2(f, e)
        angle += TURN * np.rint((base - angle) / TURN)
        answers.magnitude[scenario, i] = sqrt(e * e + f * f) if state == CONVERGED else np.nan
        answers.angle[scenario, i] = angle if state == CONVERGED else np.nan
    for k in range(table.dead_starts[scenario], table.dead_starts[scenario + 1]):
        for i in range(grid.e.size):
            if np.intp(grid.place[i]) == np.intp(table.dead[k]):
                answers.magnitude[scenario, i] = np.nan
                answers.angle[scenario, i] = np.nan
    for k in range(grid.may.size):
        answers.limits[scenario, k] = w.switches[k * n + l] % 4 - 1


@inner
def shift(w: Work, step: Floats, row: int, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Turn and stretch the voltages by a step (2 m n_lanes,), without bounds, times a row of `path`."""
    we, wf = w.e, w.f
    size = load(w.path, row, lanes)
    for i in range(step.size // (2 * len(lanes))):
        x = where(size > 0.0, size * load(step, 2 * i, lanes), 0.0)
        y = where(size > 0.0, size * load(step, 2 * i + 1, lanes), 0.0) + 1.0
        s, c = turned(x, lanes)
        e, f = load(we, i, lanes), load(wf, i, lanes)
        store(we, i, where(size > 0.0, fmuladd(e, c, -(f * s)) * y, e))
        store(wf, i, where(size > 0.0, fmuladd(e, s, f * c) * y, f))


@inner
def correct(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace R and y by the two solutions, R by the correction across the curve; write its sizes to `path`."""
    wR, wy, wt, p = w.R, w.step, w.tangent, w.path
    solve_blocks_pair(grid.starts, grid.diagonal, grid.columns, w.X, w.D, wR, wy, lanes)
    across, along, stretch = splat(0.0, lanes), splat(0.0, lanes), splat(0.0, lanes)
    for k in range(wR.size // len(lanes)):
        t, y = load(wt, k, lanes), load(wy, k, lanes)
        across, along = fmuladd(t, load(wR, k, lanes), across), fmuladd(t, y, along)
        stretch = maximum(stretch, abs(y))
    store(p, ACROSS, across)
    store(p, ALONG, along)
    store(p, STRETCH, stretch)
    rise = load(p, RISE, lanes)  # 1 where lambda is free
    rise = where(rise > 0.0, -across / (along + load(p, SLOPE, lanes)), 0.0)
    largest_part = splat(0.0, lanes)
    for k in range(wR.size // len(lanes)):
        x = where(rise != 0.0, fmuladd(rise, load(wy, k, lanes), load(wR, k, lanes)), load(wR, k, lanes))
        store(wR, k, x)
        largest_part = maximum(largest_part, abs(x))
    store(p, CORRECTION, largest_part)
    store(p, RISE, rise)


@inner
def go(grid: Grid, w: Work, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Do what `steer` has decided: correct, keep the point and its tangent, take back, go ahead."""
    p, before, we, wf, wt = w.path, w.before, w.e, w.f, w.tangent
    n = grid.e.size
    shift(w, w.R, APPLY, lanes)
    keep, back = load(p, KEEP, lanes), load(p, RETURN, lanes)
    for i in range(n):
        e, f, E, F = load(we, i, lanes), load(wf, i, lanes), load(before, i, lanes), load(before, n + i, lanes)
        store(before, i, where(keep != 0.0, e, E))
        store(before, n + i, where(keep != 0.0, f, F))
        store(we, i, where(back > 0.0, E, e))
        store(wf, i, where(back > 0.0, F, f))
    for k in range(wt.size // len(lanes)):
        store(wt, k, where(keep != 0.0, keep * load(w.step, k, lanes), load(wt, k, lanes)))
    shift(w, wt, AHEAD, lanes)


@inner
def judge(grid: Grid, table: Table, l: int, w: Work, tolerance: float, lanes: Lanes) -> int:
    """Look at the mismatch of one lane: its phase now, or GIVES_UP with the state in `lane` where it is done."""
    n = len(lanes)
    scenario, phase = int(w.lane[l]), int(w.lane[2 * n + l])
    if phase in (IDLE, IMPEDANCES):
        return phase
    error = w.small[l]
    w.path[LEAST, l] = min(w.path[LEAST, l], error)  # NaN does not count
    if error <= tolerance:
        w.path[LEAST, l] = error
        changed = switch(grid, table, scenario, l, w, lanes)
        w.lane[n + l] = CONVERGED if changed == 0 else CYCLING if changed < 0 else LOST
        return FRESH if changed > 0 else GIVES_UP
    if phase == FRESH:
        w.path[COUNT, l] = 0.0
        return START
    if phase == PLAIN and not error < inf:
        return GIVES_UP
    return phase


@inner
def after(grid: Grid, table: Table, answers: Answers, l: int, w: Work, n: int) -> int:
    """Decide what one lane does with the solutions at hand; return its next phase."""
    p, found = w.path, IDLE
    scenario, phase = int(w.lane[l]), int(w.lane[2 * n + l])
    if phase not in (IDLE, FRESH, IMPEDANCES):
        found = steer(p, phase, l)
        if found not in (GIVES_UP, CAME_BACK) and p[TOTAL, l] <= ALL_STEPS:
            return found  # type: ignore[no-any-return]  # compiled
    p[APPLY, l], p[KEEP, l], p[AHEAD, l], p[RETURN, l] = 0.0, 0.0, 0.0, 0.0
    if phase == IMPEDANCES:
        for i in range(grid.kind.size):
            w.e[i * n + l], w.f[i * n + l] = w.R[2 * i * n + l], w.R[(2 * i + 1) * n + l]
        p[LAMBDA, l], p[COUNT, l] = 1.0, 0.0
        return PLAIN
    if phase in (IDLE, FRESH):
        return phase
    if phase == PLAIN or found == CAME_BACK or p[TOTAL, l] > ALL_STEPS:
        leave(grid, table, answers, scenario, np.int64(LOST), l, w, n)
        return IDLE
    enter(grid, table, scenario, l, w, n)  # the curve gave no answer
    return IMPEDANCES


@outer
def solve_carefully(
    grid: Grid, table: Table, answers: Answers, order: Ints, tolerance: float, w: Work, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Follow the curve of each scenario of `order` to its answer; else its state is LOST."""
    n = len(lanes)
    m = grid.kind.size
    scenarios, state, phases = w.lane[:n], w.lane[n : 2 * n], w.lane[2 * n :]
    p = w.path
    taken = 0
    for l in range(n):
        phases[l] = IDLE
        scenarios[l] = order[0]
        enter(grid, table, order[0], l, w, n)
    while True:
        busy = 0
        for l in range(n):
            if phases[l] == IDLE and taken < order.size:
                scenarios[l], state[l], phases[l] = order[taken], LOST, FRESH
                taken += 1
                p[LEAST, l], p[TOTAL, l] = inf, 0.0
                enter(grid, table, scenarios[l], l, w, n)
            busy += phases[l] != IDLE
        if busy == 0:
            break
        measure_with_slopes(grid, w, lanes)
        for l in range(n):
            take_out(grid, table, scenarios[l], l, w, busy > 0, lanes)  # always with slopes; a True is another type
        largest(w, lanes)
        for l in range(n):
            phase = judge(grid, table, l, w, tolerance, lanes)
            if phase == GIVES_UP:
                leave(grid, table, answers, scenarios[l], state[l], l, w, n)
                phase = IDLE
            phases[l] = phase
            fresh = phase == START
            w.small[2 * n + l] = 1.0 if fresh else 0.0
            if fresh:
                p[LAMBDA, l] = 0.0
            p[RISE, l] = 1.0 if phase in (ON_CURVE, REFINES) else 0.0
        start, left = load(w.small, 2, lanes), 1.0 - load(p, LAMBDA, lanes)
        for k in range(2 * m):
            r = load(w.R, k, lanes)
            d = where(start > 0.0, r, load(w.given, k, lanes))
            store(w.given, k, d)
            store(w.step, k, d)
            store(w.R, k, r - left * d)
        for l in range(n):
            if phases[l] == IMPEDANCES:
                impedances(grid, l, w, n)
        factor_blocks(grid.starts, grid.diagonal, grid.columns, grid.targets, w.X, w.D, w.small[4 * n :], lanes)
        correct(grid, w, lanes)
        for l in range(n):
            phases[l] = after(grid, table, answers, l, w, n)
        go(grid, w, lanes)
