# SPDX-License-Identifier: Apache-2.0
"""The fused grid kernel gives the residual of the plain laws, and the slopes of that residual."""

import numpy as np
import pytest

from power.pandapower_arrays import file_of
from serai.lanes import EIGHT
from serai.network import read
from serai.simulate.steady import Run
from serai.system import System
from serai.system.ac_grid import Layout, why_not
from serai.system.ac_lanes import HELD, LOAD, measure_with_slopes, work_for
from serai.system.kernels import kernel

WIDTH = len(EIGHT)


@pytest.fixture(scope="module", params=["case14", "case118"])
def grid(request):
    network = read(file_of(request.param))
    system = System(network, network.knowns())
    run = Run(system, q_limits=False)
    x = run.solve(cold=True).x
    assert why_not(system, run.modes.fixed) == ""
    return system, Layout(system, run.modes.fixed, x, {}, q_limits=False)


def by_laws(system, x):
    """What the laws leave over in every balance [pu], P and Q of every node."""
    left = np.zeros(system.equations.size)
    for s in system.equations.stamps:
        out = np.empty(s.rows.shape)
        kernel(s.law).values(x, s.columns, s.parameters, out)
        np.add.at(left, s.rows, out)
    n = len(system.power.names)
    return left[:n] / system.network.base_power, left[n : 2 * n] / system.network.base_power


def at_random(system, layout, rng):
    """Eight random states: x (8, n_column), and a workspace that holds them."""
    c, grid = system.equations.columns, layout.grid
    w = work_for(grid)
    X = np.tile(layout.x, (WIDTH, 1))
    n = layout.n
    X[:, c["angle"].span] += rng.normal(0.0, 0.1, (WIDTH, n))
    X[:, c["magnitude"].span] *= rng.uniform(0.9, 1.1, (WIDTH, n))
    v, a = X[:, c["magnitude"].span][:, layout.node], X[:, c["angle"].span][:, layout.node]
    w.e[:], w.f[:] = (v * np.cos(a)).T.ravel(), (v * np.sin(a)).T.ravel()
    w.pq[:] = np.repeat((grid.kind == LOAD).astype(float), WIDTH)
    m = grid.kind.size
    w.P[:], w.Q[:] = np.repeat(layout.P[layout.node[:m]], WIDTH), np.repeat(layout.Q[layout.node[:m]], WIDTH)
    return X, w


def test_the_kernel_equals_the_plain_laws(grid):
    system, layout = grid
    X, w = at_random(system, layout, np.random.default_rng(1))
    measure_with_slopes(layout.grid, w, EIGHT)
    kind = layout.grid.kind
    m = kind.size
    R = w.R.reshape(m, 2, WIDTH)
    largest = np.abs(layout.grid.branch).max()
    for l in range(WIDTH):
        P, Q = (part[layout.node[:m]] for part in by_laws(system, X[l]))
        np.testing.assert_allclose(R[:, 0, l], P, atol=1e-12 * largest)
        np.testing.assert_allclose(R[kind == LOAD, 1, l], Q[kind == LOAD], atol=1e-12 * largest)
        assert not R[kind == HELD, 1, l].any()


def test_the_slopes_are_those_of_the_residual(grid):
    system, layout = grid
    g = layout.grid
    m = g.kind.size
    _, w = at_random(system, layout, np.random.default_rng(2))
    measure_with_slopes(g, w, EIGHT)
    rows = np.repeat(np.arange(m), np.diff(g.starts).astype(int))
    J = np.zeros((m, 2, m, 2))
    J[rows, :, g.columns.astype(int), :] = w.X.reshape(-1, 4, WIDTH)[:-1, :, 3].reshape(-1, 2, 2)
    e, f = w.e.copy(), w.f.copy()
    for j in range(0, m, 7):
        for part in range(2):
            found = []
            for h in (1e-5, -1e-5):
                w.e[:], w.f[:] = e, f
                at = slice(j * WIDTH, (j + 1) * WIDTH)
                V = (e[at] + 1j * f[at]) * (np.exp(1j * h) if part == 0 else np.exp(h))
                w.e[at], w.f[at] = V.real, V.imag
                measure_with_slopes(g, w, EIGHT)
                found.append(w.R.reshape(m, 2, WIDTH)[:, :, 3].copy())
            slope = -(found[0] - found[1]) / 2e-5
            expected = J[:, :, j, part].copy()
            if part == 1 and g.kind[j] == HELD:
                expected[j, 1] -= 1.0  # that row says d lnV = 0
            np.testing.assert_allclose(expected, slope, atol=2e-6 * np.abs(g.branch).max())
