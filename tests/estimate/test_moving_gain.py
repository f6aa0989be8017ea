# SPDX-License-Identifier: Apache-2.0
"""Gains in doubling strides against the textbook recursion, one scan after the other, and SciPy's Riccati solver."""

import numpy as np
import pytest
from scipy.linalg import solve_discrete_are

from serai.estimate.moving_gain import gain, stages


@pytest.fixture
def problem():
    """A stable random system whose states live in units a million apart."""
    r = np.random.default_rng(3)
    n, m = 9, 4
    F = r.normal(size=(n, n))
    F *= 0.98 / np.abs(np.linalg.eigvals(F)).max()
    unit = 10.0 ** r.uniform(-3, 3, n)
    Q = np.diag((0.1 * unit) ** 2)
    F = F * unit[:, None] / unit[None, :]
    H = r.normal(size=(m, n)) / unit
    return F, Q, H, r.uniform(0.5, 2.0, m), np.diag((3.0 * unit) ** 2)


def test_doubled_strides_are_single_ones(problem):
    F, Q, H, R, P = problem
    wanted = {s.since: s for s in stages(F, Q, H, R, P, doublings=7)}
    for scan in range(129):
        K, V = gain(P, H, R)
        if scan in wanted:
            unit = np.sqrt(np.diag(P))
            assert wanted[scan].P / np.outer(unit, unit) == pytest.approx(P / np.outer(unit, unit), abs=1e-8)
            assert pytest.approx(V, rel=1e-7) == wanted[scan].V
        # Kalman's recursion in Joseph's form: symmetric and positive whatever K is
        keep = np.eye(len(P)) - K @ H
        P = F @ (keep @ P @ keep.T + K @ np.diag(R) @ K.T) @ F.T + Q
    assert set(wanted) == {0, 1, 2, 4, 8, 16, 32, 64, 128}


def test_the_last_is_the_steady_gain(problem):
    F, Q, H, R, P = problem
    steady = solve_discrete_are(F.T, H.T, Q, np.diag(R))
    last = stages(F, Q, H, R, P, doublings=12)[-1]
    unit = np.sqrt(np.diag(steady))
    assert last.P / np.outer(unit, unit) == pytest.approx(steady / np.outer(unit, unit), abs=1e-8)
