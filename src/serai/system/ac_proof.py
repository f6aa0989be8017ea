# SPDX-License-Identifier: Apache-2.0
"""The proof of the kernel's answers: the mismatch of each scenario once more, from the answers alone.

By branches and shunts as the laws have them, not by the admittance matrix that the kernel solves with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from serai.lanes import fmuladd, load, maximum, minimum, splat, store
from serai.system.ac_lanes import CONVERGED, HELD, LOAD, LOST, inner, limit_of, outer, pack, turned

if TYPE_CHECKING:
    from serai.system.ac_lanes import Answers, Floats, Grid, Ints, Lanes, Table, Work

REFUSED = 5  # a scenario whose answer cannot be: a branch more than a quarter turn apart


class Proof(NamedTuple):
    """What the balances are computed from again: branches and shunts as the laws have them, not Y.

    own_g, own_b   shunts of each bus in the order of the pivots, (n,); turn  cos and sin of the shifts (2, n_branch)
    reference      whether a bus is a reference
    """

    own_g: Floats
    own_b: Floats
    turn: Floats


@outer
def prove_range(
    grid: Grid, proof: Proof, table: Table, answers: Answers, order: Ints, first: int, last: int, w: Work,
    lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Compute the mismatch of scenarios order[first : last] again from their answers, and refuse what cannot be.

    By branches and shunts, with sines and cosines of the angles, all buses but the references; where a magnitude is
    held its difference counts instead of Q.
    """
    place, kinds, ends, branch, base_e = grid.place, grid.kind, grid.ends, grid.branch, grid.e
    base_held, may, we, wf, w_angle = grid.held, grid.may, w.e, w.f, w.angle
    wP, wQ, w_held, w_before, w_small = w.P, w.Q, w.held, w.before, w.small
    t_out_starts, shunt_G, shunt_B, turn, a_magnitude = (
        table.out_starts,
        proof.own_g,
        proof.own_b,
        proof.turn,
        answers.magnitude,
    )
    a_angle = answers.angle
    width = len(lanes)
    n, m = base_e.size, kinds.size
    scenarios = w.lane[:width]
    for block in range(first, last, width):
        for l in range(width):
            scenarios[l] = order[min(block + l, last - 1)]
        pack(grid, table, scenarios, w, lanes)
        for l in range(width):
            s = scenarios[l]
            for i in range(n):
                at = np.intp(place[i]) * width + l
                w_angle[at] = a_angle[s, i]
                w_before[at] = a_magnitude[s, i]
            for k in range(table.dead_starts[s], table.dead_starts[s + 1]):
                at = np.intp(table.dead[k]) * width + l
                if w_before[at] == w_before[at]:  # a dead bus has no voltage
                    answers.state[s] = LOST
                w_angle[at] = 0.0
                w_before[at] = 0.0
        for i in range(n):
            v, a = load(w_before, i, lanes), load(w_angle, i, lanes)
            sine, cosine = turned(a, lanes)
            store(we, i, v * cosine)
            store(wf, i, v * sine)
            square = v * v
            store(w_before, n + i, -shunt_G[i] * square)
            store(w_before, 2 * n + i, shunt_B[i] * square)
        inside = splat(1.0, lanes)
        for b in range(ends.shape[1]):
            i, j = np.intp(ends[0, b]), np.intp(ends[1, b])  # type: ignore[assignment]  # compiled
            ei, fi, ej, fj = load(we, i, lanes), load(wf, i, lanes), load(we, j, lanes), load(wf, j, lanes)
            for end in range(2):
                own, other = (0, 2) if end == 0 else (6, 4)
                c = fmuladd(splat(branch[own, b], lanes), ei, branch[other, b] * ej)
                c -= fmuladd(splat(branch[own + 1, b], lanes), fi, branch[other + 1, b] * fj)
                d = fmuladd(splat(branch[own, b], lanes), fi, branch[other, b] * fj)
                d += fmuladd(splat(branch[own + 1, b], lanes), ei, branch[other + 1, b] * ej)
                store(w_before, n + i, load(w_before, n + i, lanes) - fmuladd(ei, c, fi * d))
                store(w_before, 2 * n + i, load(w_before, 2 * n + i, lanes) - fmuladd(fi, c, -(ei * d)))
                i, j = j, i  # type: ignore[assignment]  # compiled
                ei, fi, ej, fj = ej, fj, ei, fi
            across = fmuladd(ei, ej, fi * fj) * turn[0, b] + (fi * ej - ei * fj) * turn[1, b]
            inside = minimum(inside, across)
        store(w_small, 1, inside)
        for l in range(width):
            s = scenarios[l]
            if t_out_starts[s + 1] > t_out_starts[s]:
                w_small[width + l] = put_back(grid, proof, table, s, l, w, width)
        worst = splat(0.0, lanes)
        for i in range(m):
            worst = maximum(worst, abs(load(wP, i, lanes) + load(w_before, n + i, lanes)))
            if kinds[i] == LOAD:
                worst = maximum(worst, abs(load(wQ, i, lanes) + load(w_before, 2 * n + i, lanes)))
        for i in range(n):
            if base_held[i] > 0.0 and (i >= m or kinds[i] == HELD):
                held = load(w_held, i, lanes) if table.sets else splat(base_held[i], lanes)
                worst = maximum(worst, abs(load(w_before, i, lanes) - held))
        store(w_small, 0, worst)
        for l in range(min(width, last - block)):
            s = scenarios[l]
            if answers.state[s] != CONVERGED:
                continue
            answers.mismatch[s] = w_small[l]
            if may.size > 0 or table.dead_starts[s + 1] > table.dead_starts[s]:
                answers.mismatch[s] = worst_of(grid, table, answers, s, l, w, width)
            if not w_small[width + l] > 0.0:
                answers.state[s] = REFUSED


@inner
def put_back(grid: Grid, proof: Proof, table: Table, scenario: int, l: int, w: Work, width: int) -> float:
    """Take what branches that are out carried out of a lane's balances; return the least cosine of all others."""
    ends, branch, base_e, we, wf = grid.ends, grid.branch, grid.e, w.e, w.f
    w_before, t_out_starts, t_out, turn = w.before, table.out_starts, table.out, proof.turn
    n = base_e.size
    inside = 1.0
    for b in range(ends.shape[1]):
        i, j = np.intp(ends[0, b]), np.intp(ends[1, b])
        ei, fi, ej, fj = we[i * width + l], wf[i * width + l], we[j * width + l], wf[j * width + l]
        is_out = False
        for k in range(t_out_starts[scenario], t_out_starts[scenario + 1]):
            is_out = is_out or np.intp(t_out[k]) == b
        if is_out:
            Gff, Bff, Gft, Bft = branch[0, b], branch[1, b], branch[2, b], branch[3, b]
            Gtf, Btf, Gtt, Btt = branch[4, b], branch[5, b], branch[6, b], branch[7, b]
            c = Gff * ei - Bff * fi + Gft * ej - Bft * fj
            d = Gff * fi + Bff * ei + Gft * fj + Bft * ej
            w_before[(n + i) * width + l] += ei * c + fi * d
            w_before[(2 * n + i) * width + l] += fi * c - ei * d
            c = Gtf * ei - Btf * fi + Gtt * ej - Btt * fj
            d = Gtf * fi + Btf * ei + Gtt * fj + Btt * ej
            w_before[(n + j) * width + l] += ej * c + fj * d
            w_before[(2 * n + j) * width + l] += fj * c - ej * d
        elif (ei != 0.0 or fi != 0.0) and (ej != 0.0 or fj != 0.0):  # neither end is dead
            inside = min(inside, (ei * ej + fi * fj) * turn[0, b] + (fi * ej - ei * fj) * turn[1, b])
    return inside


@inner
def worst_of(grid: Grid, table: Table, answers: Answers, scenario: int, l: int, w: Work, width: int) -> float:
    """Return the largest mismatch of one lane whose buses may be dead or at a reactive limit; NaN wins."""
    n, m = grid.e.size, grid.kind.size
    for k in range(table.dead_starts[scenario], table.dead_starts[scenario + 1]):
        i = np.intp(table.dead[k])
        for part in range(3):  # nothing is asked of it
            w.before[(part * n + i) * width + l] = 0.0
        w.P[i * width + l], w.Q[i * width + l] = 0.0, 0.0
        w.before[i * width + l] = -1.0
    worst = 0.0
    for k in range(grid.may.size):
        i = np.intp(grid.may[k])
        if w.before[i * width + l] == -1.0:
            continue
        side = np.int64(answers.limits[scenario, k])
        held = w.held[i * width + l] if table.sets else grid.held[i]
        if side == 0:
            difference = abs(w.before[i * width + l] - held)
        else:
            difference = abs(w.Q[i * width + l] + limit_of(grid, k, side) + w.before[(2 * n + i) * width + l])
        worst = maximum(worst, difference)
    for i in range(n):  # type: ignore[assignment]  # compiled
        if w.before[i * width + l] == -1.0:
            continue
        difference = 0.0
        if i < m:
            difference = abs(w.P[i * width + l] + w.before[(n + i) * width + l])
            worst = maximum(worst, difference)
        if i < m and grid.kind[i] == LOAD:
            difference = abs(w.Q[i * width + l] + w.before[(2 * n + i) * width + l])
        elif grid.held[i] > 0.0 and (i >= m or grid.kind[i] == HELD):
            difference = abs(w.before[i * width + l] - (w.held[i * width + l] if table.sets else grid.held[i]))
        worst = maximum(worst, difference)
    return worst
