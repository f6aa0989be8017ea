# SPDX-License-Identifier: Apache-2.0
"""Newton for eight scenarios at once: the loops that `batch` compiles together with the laws of one network.

This file is a pattern. `batch` copies it to its cache and puts a generated module with the laws of a network in the
place of `no_laws`: numba keeps compiled code from one process to the next only where a loop calls a function by the
name that it has in a module.

Everything of a lane is flat: element i of lane l at [i n_lanes + l]. Lanes that have come to rest go on with the
others: they only become more exact. What is not a number never comes to rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from serai.lanes import fmuladd, load, maximum, splat, store, where
from serai.sparse.lane_lu import solve_lanes
from serai.system.no_laws import assemble, remember, residual

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Indices = NDArray[np.uint32]
    Lanes = tuple[float, ...]

# what became of a scenario
CONVERGED, UNFINISHED, PIVOT_LOST, NOT_A_NUMBER = 0, 1, 2, 3
# after a step this small beside the unknowns the factors of the matrix serve once more ...
NEAR = 0.03
# ... and again, where they would bring the mismatch below the tolerance in so many steps
CHEAP = 2.0
# where a block begins: with no factors, with those of its last step, with those of the base state in every lane
NONE, LAST, BASE = 0, 1, 2


@njit(cache=True, error_model="numpy", nogil=True)
def factor(
    starts: Indices, diagonal: Indices, columns: Indices, targets: Indices, X: Floats, D: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Do what `factor_lanes` does, but leave the pivots unjudged until the end."""
    o = np.intp(0)
    for i in range(diagonal.size):
        begin, middle = np.intp(starts[i]), np.intp(diagonal[i])
        for q in range(begin, middle):
            k = np.intp(columns[q])
            l = load(X, q, lanes) * load(D, k, lanes)
            store(X, q, l)
            for u in range(np.intp(diagonal[k]) + 1, np.intp(starts[k + 1])):
                t = np.intp(targets[o])
                store(X, t, fmuladd(-l, load(X, u, lanes), load(X, t, lanes)))
                o += 1
        store(D, i, 1.0 / load(X, middle, lanes))


@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def solve_alike(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, B: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Do what `solve_lanes` does with factors X (n_slots,), D (n,) that are the same in every lane."""
    n = diagonal.size
    for i in range(n):
        s = load(B, i, lanes)
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            s = fmuladd(splat(-X[q], lanes), load(B, np.intp(columns[q]), lanes), s)
        store(B, i, s)
    for i in range(n - 1, -1, -1):
        s = load(B, i, lanes)
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            s = fmuladd(splat(-X[q], lanes), load(B, np.intp(columns[q]), lanes), s)
        store(B, i, s * D[i])


@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def replace(
    x: Floats, unknowns: Indices, scales: Floats, swaps: Any, B: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Put the equations of the swaps, x = target, in the place of those they stand for, into the residual B."""
    rows, columns, targets, _, _ = swaps
    width = len(lanes)
    for k in range(rows.shape[0]):
        for l in range(width):
            if rows[k, l] >= 0:
                c = columns[k, l]
                B[rows[k, l] * width + l] = (x[np.intp(unknowns[c]) * width + l] - targets[k, l]) / scales[c]


@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def units(swaps: Any, lanes: Lanes) -> None:  # pragma: no cover - lanes exist compiled only
    """Write the unit vectors of the rows that are swapped: solved, they tell what a row moves."""
    rows, _, _, Z, _ = swaps
    width = len(lanes)
    for k in range(rows.shape[0]):
        for i in range(Z.shape[1] // width):
            store(Z[k], i, splat(0.0, lanes))
        for l in range(width):
            if rows[k, l] >= 0:
                Z[k, rows[k, l] * width + l] = 1.0


@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def correct(
    x: Floats, unknowns: Indices, scales: Floats, swaps: Any, B: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Turn the step B of the equations as they are into that of the swapped ones.

    With Z_j what row j moves: B <- B - sum a_j Z_j, a such that each swapped column makes the step of its equation
    (the capacitance form of Sherman, Morrison, Woodbury; the factors stay those of the pattern).
    """
    rows, columns, targets, Z, M = swaps
    count, width = rows.shape[0], len(lanes)
    for l in range(width):
        for i in range(count):
            for j in range(count):
                M[i, j] = 1.0 if i == j else 0.0
            M[i, count] = 0.0
            if rows[i, l] >= 0:
                c = columns[i, l]
                for j in range(count):
                    M[i, j] = Z[j, c * width + l]
                M[i, count] = B[c * width + l] - (x[np.intp(unknowns[c]) * width + l] - targets[i, l]) / scales[c]
        for j in range(count):
            if rows[j, l] < 0:
                for i in range(count):
                    if i != j:
                        M[i, j] = 0.0
        for j in range(count):  # elimination with the largest pivot of each column
            p = j
            for i in range(j + 1, count):
                if abs(M[i, j]) > abs(M[p, j]):
                    p = i
            for q in range(j, count + 1):
                M[j, q], M[p, q] = M[p, q], M[j, q]
            for i in range(count):
                if i != j:
                    f = M[i, j] / M[j, j]
                    for q in range(j, count + 1):
                        M[i, q] -= f * M[j, q]
        for j in range(count):
            a = M[j, count] / M[j, j]
            if rows[j, l] >= 0:
                for i in range(Z.shape[1] // width):
                    B[i * width + l] -= a * Z[j, i * width + l]


@njit(cache=True, error_model="numpy", nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
def newton(
    x: Floats, program: Any, varied: Any, pattern: Any, work: Any, found: Ints, steps: Ints, limits: Any, begin: int,
    swaps: Any, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Solve one block from x (n_column n_lanes,) on; fill found and steps (n_lanes,), what became of every lane.

    pattern  starts, diagonal, columns, targets of the factors; constant entries of the matrix by slot; column of each
             unknown in the order of the pivots, and its scale; factors of the base state
    work     matrix, inverse pivots, right side, largest mismatch, largest step (see `Batch`)
    limits   (largest mismatch, smallest pivot, most steps, steps that a last quarter of the lanes may take alone)
    begin    NONE, LAST or BASE
    swaps    equations x = target in the place of others: rows and columns among the pivots (n_swap, n_lanes), -1 = none
             in this lane; targets (n_swap, n_lanes); workplaces (n_swap, n n_lanes), (n_swap, n_swap + 1)
    """
    starts, diagonal, columns, targets, template, unknowns, scales, base_X, base_D = pattern
    X, D, B, worst, moved = work
    tolerance, trusted, cap, patience = limits
    width = len(lanes)
    n, swapped = diagonal.size, swaps[0].shape[0]
    alone, near, before, rate = 0, begin != NONE, np.inf, NEAR
    for l in range(width):
        found[l] = UNFINISHED
        steps[l] = 0
    step = 0
    while True:
        for i in range(n):
            store(B, i, splat(0.0, lanes))
        if near:
            residual(x, program, varied, B, lanes)
        else:
            for k in range(template.size):
                store(X, k, splat(template[k], lanes))
            assemble(x, program, varied, B, X, lanes)
        replace(x, unknowns, scales, swaps, B, lanes)
        # the sum tells what is not a number; a maximum that does so for every row would take twice the time
        largest, total = splat(0.0, lanes), splat(0.0, lanes)
        for i in range(n):
            b = abs(load(B, i, lanes))
            largest = where(b > largest, b, largest)
            total += b
        store(worst, 0, largest + (total - total))
        going, most = 0, 0.0
        for l in range(width):
            if not worst[l] < np.inf:
                found[l] = NOT_A_NUMBER
            elif worst[l] <= tolerance:
                found[l] = CONVERGED
            else:
                found[l] = UNFINISHED
                steps[l] = step + 1
                most = max(most, worst[l])
                going += 1
        if going == 0 or step == cap or alone > patience:
            break
        if near and step > 0:
            if before < np.inf:
                rate = most / before
            if not most * rate**CHEAP <= tolerance:
                near = False
                continue  # the same place again, with its matrix
        if 0 < going <= width // 4:
            alone += 1
        before = most
        if not near:
            factor(starts, diagonal, columns, targets, X, D, lanes)
            before = np.inf
        alike = begin == BASE and step == 0
        if alike or not near:
            units(swaps, lanes)
            for k in range(swapped):
                if alike:
                    solve_alike(starts, diagonal, columns, base_X, base_D, swaps[3][k], lanes)
                else:
                    solve_lanes(starts, diagonal, columns, X, D, swaps[3][k], lanes)
        if alike:
            solve_alike(starts, diagonal, columns, base_X, base_D, B, lanes)
        else:
            solve_lanes(starts, diagonal, columns, X, D, B, lanes)
        if swapped:
            correct(x, unknowns, scales, swaps, B, lanes)
        change = splat(0.0, lanes)
        for k in range(n):
            c, dz = np.intp(unknowns[k]), load(B, k, lanes)
            store(x, c, load(x, c, lanes) - dz * scales[k])
            change = where(abs(dz) > change, abs(dz), change)
        store(moved, 0, change)
        longest = 0.0
        for l in range(width):
            if found[l] != NOT_A_NUMBER and not moved[l] <= longest:
                longest = moved[l]
        near = longest <= NEAR and not (begin == BASE and step == 0)
        rate = longest
        step += 1
    if near and (begin != BASE or step > 1):
        # the tolerance alone leaves the answer short: once more with the factors at hand
        solve_lanes(starts, diagonal, columns, X, D, B, lanes)
        if swapped:
            correct(x, unknowns, scales, swaps, B, lanes)
        for k in range(n):
            c = np.intp(unknowns[k])
            store(x, c, load(x, c, lanes) - load(B, k, lanes) * scales[k])
        smallest = splat(0.0, lanes)
        for i in range(n):
            smallest = maximum(smallest, abs(load(D, i, lanes)))
        store(moved, 0, smallest * trusted)
        for l in range(width):
            if found[l] == CONVERGED and not moved[l] < 1.0:
                found[l] = PIVOT_LOST


@njit(cache=True, error_model="numpy", nogil=True)
def solve_blocks(
    order: Ints, first: int, last: int, base: Floats, given: Ints, values: Floats, wanted: Ints, out: Floats,
    found: Ints, steps: Ints, program: Any, varied: Any, pattern: Any, work: Any, limits: Any, swaps: Any, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Solve scenarios order[first : last] from the state base (n_column,), one block after the other.

    given, values   columns that differ (n_given,) and what they are (n_scenario, n_given)
    wanted, out     columns to keep (n_wanted,) and where (n_scenario, n_wanted)
    found, steps    what became of each scenario, and after how many steps (n_scenario,)
    swaps           as in `newton`, but rows, columns and targets are (n_scenario, n_swap)
    """
    width = len(lanes)
    x = np.empty(base.size * width)
    all_rows, all_columns, all_targets, Z, M = swaps
    rows, columns = np.empty((Z.shape[0], width), np.int64), np.empty((Z.shape[0], width), np.int64)
    targets = np.empty((Z.shape[0], width))
    ended, taken = np.empty(width, np.int64), np.empty(width, np.int64)
    for block in range(first, last, width):
        for c in range(base.size):
            store(x, c, splat(base[c], lanes))
        for l in range(width):
            s = order[min(block + l, last - 1)]
            for k in range(given.size):
                x[given[k] * width + l] = values[s, k]
            for k in range(Z.shape[0]):
                rows[k, l], columns[k, l], targets[k, l] = all_rows[s, k], all_columns[s, k], all_targets[s, k]
        newton(x, program, varied, pattern, work, ended, taken, limits, BASE, (rows, columns, targets, Z, M), lanes)
        for l in range(min(width, last - block)):
            s = order[block + l]
            found[s] = ended[l]
            steps[s] = taken[l]
            for k in range(wanted.size):
                out[s, k] = x[wanted[k] * width + l]


@njit(cache=True, error_model="numpy", nogil=True)
def march(
    order: Ints, first: int, last: int, start: Floats, length: float, given: Ints, values: Floats, wanted: Ints,
    out: Floats, end: Floats, leaving: Ints, left: Floats, found: Ints, steps: Ints, program: Any, varied: Any,
    pattern: Any, work: Any, limits: Any, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Step scenarios order[first : last] through time, from the states start (n_scenario or 1, n_column).

    length          of a step [s]; the parameters `rate` hold 1/length already
    given, values   columns that differ or move (n_given,) and what they are (n_step, n_scenario, n_given)
    wanted, out     columns to keep (n_wanted,) and where (n_scenario, n_step + 1, n_wanted)
    end             the last state (n_scenario, n_column)
    leaving, left   columns that take gas out, and their sum over all steps [kg] (n_scenario,)
    found, steps    what became of each scenario: the first step that failed ends it; steps of Newton in all
    """
    width = len(lanes)
    n_column = start.shape[1]
    x = np.empty(n_column * width)
    past = np.empty(n_column * width)
    unknowns = pattern[5]
    ended, taken = np.empty(width, np.int64), np.empty(width, np.int64)
    none = np.empty((0, width), np.int64)
    swaps = (none, none, np.empty((0, width)), np.empty((0, width)), np.empty((0, 1)))
    for block in range(first, last, width):
        for l in range(width):
            s = order[min(block + l, last - 1)]
            of = min(s, start.shape[0] - 1)  # one start for all, or each its own
            for c in range(n_column):
                x[c * width + l] = start[of, c]
            found[s] = CONVERGED
            steps[s] = 0
            left[s] = 0.0
            for k in range(wanted.size):
                out[s, 0, k] = x[wanted[k] * width + l]
        for t in range(values.shape[0]):
            remember(x, program, varied, lanes)
            for k in range(unknowns.size):  # begin where the last step points to
                at = np.intp(unknowns[k])
                now = load(x, at, lanes)
                if t > 0:
                    store(x, at, now + (now - load(past, at, lanes)))
                store(past, at, now)
            for l in range(width):
                s = order[min(block + l, last - 1)]
                for k in range(given.size):
                    x[given[k] * width + l] = values[t, s, k]
            newton(x, program, varied, pattern, work, ended, taken, limits, NONE, swaps, lanes)
            bad = 0
            for l in range(min(width, last - block)):
                s = order[block + l]
                if found[s] == CONVERGED and ended[l] != CONVERGED:
                    found[s] = ended[l]
                if found[s] != CONVERGED:
                    bad += 1
                steps[s] += taken[l]
                for k in range(leaving.size):
                    left[s] += x[leaving[k] * width + l] * length
                for k in range(wanted.size):
                    out[s, t + 1, k] = x[wanted[k] * width + l]
            if bad == min(width, last - block):
                break
        for l in range(min(width, last - block)):
            s = order[block + l]
            for c in range(n_column):
                end[s, c] = x[c * width + l]


@njit(cache=True, error_model="numpy", nogil=True)
def mismatches(
    first: int, last: int, X: Floats, out: Floats, program: Any, varied: Any, work: Any, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Write the largest scaled residual of each of the states X (n_scenario, n_column), anew from the laws."""
    width = len(lanes)
    B = work[2]
    x = np.empty(X.shape[1] * width)
    for block in range(first, last, width):
        for l in range(width):
            s = min(block + l, last - 1)
            for c in range(X.shape[1]):
                x[c * width + l] = X[s, c]
        for i in range(B.size // width):
            store(B, i, splat(0.0, lanes))
        residual(x, program, varied, B, lanes)
        largest = splat(0.0, lanes)
        for i in range(B.size // width):
            largest = maximum(largest, abs(load(B, i, lanes)))
        store(work[3], 0, largest)
        for l in range(min(width, last - block)):
            out[block + l] = work[3][l]
