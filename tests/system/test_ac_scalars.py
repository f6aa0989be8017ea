# SPDX-License-Identifier: Apache-2.0
"""The parts of the grid kernel that work on one lane, run as plain Python beside numbers computed here."""

import numpy as np
import pytest

from power.pandapower_arrays import file_of
from serai.lanes import EIGHT
from serai.network import read
from serai.simulate.steady import Run
from serai.system import System, ac_curve, ac_lanes, ac_proof
from serai.system.ac_batch import AcBatch
from serai.system.ac_curve import (
    ALONG,
    ARRIVES,
    CAME_BACK,
    CORRECTION,
    COUNT,
    EXACT,
    GIVES_UP,
    LAMBDA,
    LENGTH,
    ON_CURVE,
    PLAIN,
    REACHED,
    REFINES,
    SLOPE,
    START,
    STRETCH,
)
from serai.system.ac_grid import Layout
from serai.system.ac_lanes import CONVERGED, EITHER, HELD, LOAD, work_for

WIDTH = len(EIGHT)
PLAIN_PARTS = {
    ac_lanes: ("limit_of", "reactive", "switch"),
    ac_proof: ("limit_of", "put_back", "worst_of"),
    ac_curve: ("limit_of", "switch", "steer", "predict", "enter", "impedances", "leave", "judge", "after"),
}


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Every scalar part as the Python that was compiled."""
    for module, names in PLAIN_PARTS.items():
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name).py_func)


@pytest.fixture(scope="module")
def grid():
    """case14 with reactive limits, at its base state; branch 3 out in scenario 1, a stub cut off in scenario 2."""
    network = read(file_of("case14"))
    system = System(network, network.knowns())
    run = Run(system, q_limits=True)
    x = run.solve(cold=True).x
    layout = Layout(system, system.fix(), x, {}, q_limits=True)
    plan = layout.plan((("active_power", "load 4"), ("reactive_power", "load 4")))
    value = {(k.quantity, k.where): k.value for k in network.knowns()}
    row = [value["active_power", "load 4"], value["reactive_power", "load 4"]]
    stub = next(
        b for b in range(layout.grid.ends.shape[1])
        if layout.cut_off(np.array([0, 1]), np.array([b], np.uint32))[1].size == 1
    )  # fmt: skip
    table = plan.table(np.array([row, row, row]), out=[[], [3], [stub]])
    return layout, table, stub


def admittance(layout, out=()):
    """The admittance matrix in the order of the pivots, branch by branch."""
    g = layout.grid
    y = g.branch[::2] + 1j * g.branch[1::2]
    Y = np.diag(layout.proof.own_g + 1j * layout.proof.own_b)
    for b, (i, j) in enumerate(g.ends.astype(int).T):
        if b not in out:
            Y[[i, i, j, j], [i, j, i, j]] += y[:, b]
    return Y


def begun(layout, table, scenario, lane=2):
    w = work_for(layout.grid)
    ac_curve.enter(layout.grid, table, scenario, lane, w, WIDTH)
    return w


def voltages(w, lane=2):
    return w.e[lane::WIDTH] + 1j * w.f[lane::WIDTH]


def test_a_limit_is_offset_and_share_of_the_position(grid):
    g = grid[0].grid
    for k in range(g.may.size):
        assert ac_lanes.limit_of(g, k, 0) == 0.0
        assert ac_lanes.limit_of(g, k, 1) == g.offset[k] + g.share[k] * g.high[k]
        assert ac_lanes.limit_of(g, k, -1) == g.offset[k] + g.share[k] * g.low[k]


@pytest.mark.parametrize("scenario", [0, 1])
def test_reactive_power_is_that_of_the_admittance_matrix(grid, scenario):
    layout, table, _ = grid
    w = begun(layout, table, scenario)
    V = voltages(w)
    Q = (V * np.conj(admittance(layout, (3,) if scenario else ()) @ V)).imag
    for i in range(layout.grid.kind.size):
        found = ac_lanes.reactive(layout.grid, table, scenario, i, 2, w, WIDTH)
        assert found == pytest.approx(Q[i], abs=1e-12)


def test_a_bus_over_its_limit_gives_up_its_voltage_and_takes_it_back(grid):
    layout, table, _ = grid
    g = layout.grid
    w = begun(layout, table, 0)
    i = int(g.may[0])
    at = i * WIDTH + 2
    before = w.Q[at]
    over = layout.grid._replace(high=np.full(g.may.size, np.inf), low=np.full(g.may.size, -np.inf))
    assert ac_lanes.switch(over, table, 0, 2, w, EIGHT) == 0
    produced = ac_lanes.reactive(g, table, 0, i, 2, w, WIDTH) - before
    tight = (produced - g.offset[0]) / g.share[0] - 0.1
    over = over._replace(high=np.r_[tight, over.high[1:]])
    assert ac_lanes.switch(over, table, 0, 2, w, EIGHT) == 1
    assert w.pq[at] == 1.0
    assert w.Q[at] - before == pytest.approx(g.offset[0] + g.share[0] * tight)
    w.e[at], w.f[at] = 1.01 * w.e[at], 1.01 * w.f[at]  # above its set-point although at its upper limit: back
    assert ac_lanes.switch(over, table, 0, 2, w, EIGHT) == 1
    assert w.pq[at] == 0.0
    assert abs(voltages(w)[i]) == pytest.approx(g.held[i])
    assert w.Q[at] == pytest.approx(before)
    w.switches[2] = ac_lanes.LIMIT * 4 + 1  # it has switched too often
    assert ac_lanes.switch(over, table, 0, 2, w, EIGHT) == -1


def test_under_its_lower_limit_too(grid):
    layout, table, _ = grid
    g = layout.grid
    w = begun(layout, table, 0)
    i = int(g.may[0])
    produced = ac_lanes.reactive(g, table, 0, i, 2, w, WIDTH) - w.Q[i * WIDTH + 2]
    none = np.full(g.may.size, np.inf)
    low = np.r_[(produced - g.offset[0]) / g.share[0] + 0.1, -none[1:]]
    assert ac_lanes.switch(g._replace(high=none, low=low), table, 0, 2, w, EIGHT) == 1
    assert w.switches[2] % 4 - 1 == -1


def proven(layout, table, scenario, *, apart=False):
    """A workspace as the proof has it: magnitudes and what all running branches and shunts take at each bus."""
    w = begun(layout, table, scenario)
    if apart:  # one bus far from the others
        w.e[4 * WIDTH + 2], w.f[4 * WIDTH + 2] = 0.3, -0.9
    V = voltages(w)
    n = layout.n
    S = V * np.conj(admittance(layout) @ V)
    for part, values in enumerate((abs(V), -S.real, -S.imag)):
        w.before[part * n * WIDTH + 2 : (part + 1) * n * WIDTH : WIDTH] = values
    return w, V


def test_what_an_outage_carried_is_taken_out_of_the_balances(grid):
    layout, table, _ = grid
    w, V = proven(layout, table, 1, apart=True)
    n = layout.n
    inside = ac_proof.put_back(layout.grid, layout.proof, table, 1, 2, w, WIDTH)
    S = V * np.conj(admittance(layout, (3,)) @ V)
    np.testing.assert_allclose(w.before[n * WIDTH + 2 : 2 * n * WIDTH : WIDTH], -S.real, atol=1e-12)
    np.testing.assert_allclose(w.before[2 * n * WIDTH + 2 :: WIDTH], -S.imag, atol=1e-12)
    i, j = np.delete(layout.grid.ends.astype(int), 3, axis=1)
    shift = layout.proof.turn[0] + 1j * layout.proof.turn[1]
    assert inside < 0.9
    assert inside == pytest.approx((V[i] * np.conj(V[j]) * np.conj(np.delete(shift, 3))).real.min(), abs=1e-12)


def test_the_worst_mismatch_is_the_largest_of_every_equation(grid):
    layout, table, stub = grid
    g = layout.grid
    m = g.kind.size
    answers = AcBatch(layout, threads=1).answers(3)
    w, V = proven(layout, table, 0)
    S = V * np.conj(admittance(layout) @ V)
    P, Q = w.P[2::WIDTH], w.Q[2::WIDTH]
    off = np.r_[P - S.real[:m], (Q - S.imag[:m])[g.kind == LOAD], (abs(V) - g.held)[g.held > 0.0]]
    found = ac_proof.worst_of(g, table, answers, 0, 2, w, WIDTH)
    assert found == pytest.approx(np.abs(off).max(), rel=1e-9, abs=1e-15)
    w.P[5 * WIDTH + 2] += 0.25
    assert ac_proof.worst_of(g, table, answers, 0, 2, w, WIDTH) == pytest.approx(0.25, abs=1e-9)
    k = int(np.flatnonzero(g.kind == EITHER)[0])
    answers.limits[0, np.flatnonzero(g.may == k)] = 1  # at its limit its Q counts, not its magnitude
    w.P[5 * WIDTH + 2] -= 0.25
    position = int(np.flatnonzero(g.may == k)[0])
    expected = abs(Q[k] + ac_lanes.limit_of(g, position, 1) - S.imag[k])
    assert ac_proof.worst_of(g, table, answers, 0, 2, w, WIDTH) == pytest.approx(expected, abs=1e-9)
    w, _ = proven(layout, table, 2)
    dead = int(table.dead[0])
    w.P[dead * WIDTH + 2] = 7.0  # nothing is asked of a dead bus
    ac_proof.put_back(g, layout.proof, table, 2, 2, w, WIDTH)
    assert ac_proof.worst_of(g, table, answers, 2, 2, w, WIDTH) < 7.0
    assert stub in table.out


def test_loads_as_impedances_satisfy_their_linear_equations(grid):
    layout, table, _ = grid
    g = layout.grid
    m, n = g.kind.size, layout.n
    w = begun(layout, table, 0)
    w.R[:], w.X[:] = 0.0, 0.0
    ac_curve.impedances(g, 2, w, WIDTH)
    rows = np.repeat(np.arange(m), np.diff(g.starts).astype(int))
    A = np.zeros((m, 2, m, 2))
    A[rows, :, g.columns.astype(int), :] = w.X.reshape(-1, 4, WIDTH)[:-1, :, 2].reshape(-1, 2, 2)
    e = np.linalg.solve(A.reshape(2 * m, 2 * m), w.R[2::WIDTH]).reshape(m, 2)
    V = np.r_[e[:, 0] + 1j * e[:, 1], voltages(w)[m:]]
    S = w.P[2::WIDTH] + 1j * w.Q[2::WIDTH]
    left = (admittance(layout) @ V)[:m] - np.conj(S) * V[:m]
    solved = g.kind == LOAD
    np.testing.assert_allclose(left[solved], 0.0, atol=1e-12)
    np.testing.assert_allclose(V[:m][~solved], voltages(w)[:m][~solved])
    assert n == m + 1
    assert (g.kind != HELD).any()


def test_an_answer_leaves_with_the_angle_nearest_the_base(grid):
    layout, table, _ = grid
    answers = AcBatch(layout, threads=1).answers(3)
    w = begun(layout, table, 2)
    ac_curve.leave(layout.grid, table, answers, 2, CONVERGED, 2, w, WIDTH)
    V = voltages(w)[layout.place]
    dead = layout.node[int(table.dead[0])]
    alive = np.arange(layout.n) != dead
    assert np.isnan(answers.magnitude[2, dead])
    np.testing.assert_allclose(answers.magnitude[2, alive], abs(V)[alive], rtol=1e-14)
    np.testing.assert_allclose(answers.angle[2, alive], layout.grid.angle[layout.place][alive], atol=1e-14)
    ac_curve.leave(layout.grid, table, answers, 2, ac_lanes.LOST, 2, w, WIDTH)
    assert np.isnan(answers.magnitude[2]).all()


def follow(fold, p, steps=200):
    """Steer along the scalar curve lambda(x) = fold - (x - x0)^2, x0 the fold, from lambda = 0 downwards."""
    x0 = np.sqrt(fold)
    kept = x = 0.0
    tangent, phase = 0.0, START
    for _ in range(steps):
        slope = -2.0 * (x - x0)  # d lambda / d x
        d = 1.0 / slope if slope else np.inf
        r = (p[LAMBDA, 0] - (fold - (x - x0) ** 2)) * d if phase != START else 0.0
        free = phase in (ON_CURVE, REFINES)
        rise = -(tangent * r) / (tangent * d + p[SLOPE, 0]) if free else 0.0
        p[ALONG, 0], p[STRETCH, 0], p[ac_curve.RISE, 0] = tangent * d, abs(d), rise
        p[CORRECTION, 0] = abs(r + rise * d)
        phase = ac_curve.steer(p, phase, 0)
        if phase in (GIVES_UP, CAME_BACK):
            return phase, x
        x += p[ac_curve.APPLY, 0] * (r + rise * d)
        if p[ac_curve.KEEP, 0]:
            kept, tangent = x, p[ac_curve.KEEP, 0] * d
        if p[ac_curve.RETURN, 0]:
            x = kept
        x += p[ac_curve.AHEAD, 0] * tangent
        if phase == ARRIVES and abs(fold - (x - x0) ** 2 - 1.0) < 1e-12:
            return phase, x
    return phase, x


def test_a_curve_is_followed_to_its_answer_or_round_its_fold():
    p = np.zeros((20, 1))
    phase, x = follow(1.5, p)
    assert phase == ARRIVES
    assert x == pytest.approx(np.sqrt(1.5) - np.sqrt(0.5), abs=1e-9)  # the near one of the two answers
    p = np.zeros((20, 1))
    phase, x = follow(0.8, p)  # no answer: beyond the fold and back
    assert phase == CAME_BACK
    assert x > np.sqrt(0.8) + np.sqrt(0.4)  # lambda is below half of the fold's there


def test_hopeless_steps_end():
    p = np.zeros((20, 1))
    p[LENGTH, 0], p[CORRECTION, 0], p[EXACT, 0] = 0.1, np.nan, 0.0
    assert ac_curve.steer(p, ON_CURVE, 0) == REFINES  # the last point first
    assert p[LAMBDA, 0] == p[REACHED, 0]
    p[LENGTH, 0], p[EXACT, 0] = 2e-3, 1.0
    assert ac_curve.steer(p, ON_CURVE, 0) == GIVES_UP
    p[COUNT, 0] = 0.0
    assert ac_curve.steer(p, PLAIN, 0) == PLAIN
    p[COUNT, 0] = ac_curve.PLAIN_STEPS
    assert ac_curve.steer(p, PLAIN, 0) == GIVES_UP


def test_a_lane_is_judged_by_its_mismatch(grid):
    layout, table, _ = grid
    w = begun(layout, table, 0)
    w.lane[2], w.path[ac_curve.LEAST, 2] = 0, np.inf
    free = layout.grid._replace(high=np.full(layout.grid.may.size, np.inf), low=np.full(layout.grid.may.size, -np.inf))

    def judged(phase, error):
        w.lane[2 * WIDTH + 2], w.small[2] = phase, error
        return ac_curve.judge(free, table, 2, w, 1e-8, EIGHT)

    assert judged(ac_curve.IDLE, 1e-9) == ac_curve.IDLE
    assert judged(ac_curve.FRESH, 0.5) == START
    assert judged(PLAIN, np.nan) == GIVES_UP
    assert judged(ARRIVES, 1e-3) == ARRIVES
    assert w.path[ac_curve.LEAST, 2] == 1e-3
    assert judged(ARRIVES, 1e-9) == GIVES_UP
    assert w.lane[WIDTH + 2] == CONVERGED


def test_a_lane_that_leaves_its_curve_tries_impedances_and_then_ends(grid):
    layout, table, _ = grid
    g = layout.grid
    answers = AcBatch(layout, threads=1).answers(3)
    w = begun(layout, table, 0)
    w.lane[2] = 0

    def after(phase):
        w.lane[2 * WIDTH + 2] = phase
        return ac_curve.after(g, table, answers, 2, w, WIDTH)

    w.path[LENGTH, 2], w.path[CORRECTION, 2], w.path[EXACT, 2] = 1e-3, np.inf, 1.0
    assert after(ON_CURVE) == ac_curve.IMPEDANCES
    w.R[2::WIDTH] = np.tile([0.9, 0.1], g.kind.size)
    assert after(ac_curve.IMPEDANCES) == PLAIN
    np.testing.assert_allclose(voltages(w)[: g.kind.size], 0.9 + 0.1j)
    assert after(ac_curve.FRESH) == ac_curve.FRESH
    assert after(PLAIN) == PLAIN
    w.path[COUNT, 2] = 99.0
    assert after(PLAIN) == ac_curve.IDLE
    assert answers.state[0] == ac_lanes.LOST
