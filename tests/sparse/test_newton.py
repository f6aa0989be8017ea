# SPDX-License-Identifier: Apache-2.0
"""Textbook problems: J. J. Moré, B. S. Garbow, K. E. Hillstrom, Testing unconstrained optimization software (1981)."""

import numpy as np
import pytest

from serai.errors import SingularSystem
from serai.sparse import LU, newton
from serai.sparse.newton import measure, moved


def dense(f, jacobian, n):
    """A problem with a full matrix, its buffers reused as a caller may."""
    rows, columns = np.divmod(np.arange(n * n), n)
    residual, data = np.empty(n), np.empty(n * n + 1)
    calls = []

    def evaluate(x):
        calls.append(x.copy())
        residual[:] = f(x)
        data[:-1] = np.asarray(jacobian(x), float).ravel()
        return residual, data

    return evaluate, LU(n, rows, columns), calls


def rosenbrock(x):
    return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])


def rosenbrock_slopes(x):
    return [[-20 * x[0], 10], [-1, 0]]


def powell(x):
    return np.array([
        x[0] + 10 * x[1], 5**0.5 * (x[2] - x[3]), (x[1] - 2 * x[2]) ** 2, 10**0.5 * (x[0] - x[3]) ** 2,
    ])  # fmt: skip


def powell_slopes(x):
    a, b = 2 * (x[1] - 2 * x[2]), 2 * 10**0.5 * (x[0] - x[3])
    return [[1, 10, 0, 0], [0, 0, 5**0.5, -(5**0.5)], [0, a, -2 * a, 0], [b, 0, 0, -b]]


def test_rosenbrock():
    evaluate, lu, _ = dense(rosenbrock, rosenbrock_slopes, 2)
    start = np.array([-1.2, 1.0])
    result = newton(evaluate, start, lu, residual_tolerance=1e-12)
    assert result.converged
    np.testing.assert_allclose(result.x, [1, 1], atol=1e-12)
    assert start.tolist() == [-1.2, 1.0]
    assert len(result.history) == result.iterations + 1
    assert result.history[-1] == abs(result.residual).max() <= 1e-12
    assert "fell to" in result.reason


def test_powell_singular_root():
    evaluate, lu, _ = dense(powell, powell_slopes, 4)
    result = newton(evaluate, np.array([3.0, -1.0, 0.0, 1.0]), lu, residual_tolerance=1e-9)
    assert result.converged
    np.testing.assert_allclose(result.x, 0, atol=1e-4)
    assert result.iterations < 25  # linear, by halves: the matrix is singular at the root


def test_broyden_tridiagonal_keeps_its_sparse_pattern():
    n = 300
    rows = np.concatenate([np.arange(n), np.arange(1, n), np.arange(n - 1)])
    columns = np.concatenate([np.arange(n), np.arange(n - 1), np.arange(1, n)])
    lu = LU(n, rows, columns)
    data = np.zeros(lu.size + 1)

    def evaluate(x):
        f = (3 - 2 * x) * x + 1
        f[1:] -= x[:-1]
        f[:-1] -= 2 * x[1:]
        data[:] = 0.0
        np.add.at(data, lu.slots, np.concatenate([3 - 4 * x, -np.ones(n - 1), -2 * np.ones(n - 1)]))
        return f, data

    result = newton(evaluate, -np.ones(n), lu, residual_tolerance=1e-12)
    assert result.converged
    assert result.iterations <= 6
    assert abs(evaluate(result.x)[0]).max() <= 1e-12


def test_already_there_takes_no_step():
    evaluate, lu, calls = dense(rosenbrock, rosenbrock_slopes, 2)
    result = newton(evaluate, np.ones(2), lu)
    assert (result.converged, result.iterations, len(calls)) == (True, 0, 1)
    assert lu.statistics.factorings == 0  # convergence is tested before factorising


def test_a_region_that_is_not_a_number_is_stepped_around():
    with np.errstate(all="ignore"):
        evaluate, lu, calls = dense(lambda x: np.sqrt(x) - 0.1, lambda x: [[0.5 / np.sqrt(x[0])]], 1)
        result = newton(evaluate, np.array([4.0]), lu)  # the full step leads to x < 0
    assert result.converged
    np.testing.assert_allclose(result.x, 0.01, rtol=1e-6)
    assert min(c[0] for c in calls) < 0


def test_not_a_number_at_the_start_or_everywhere_around():
    evaluate, lu, _ = dense(lambda x: np.array([0.0, np.nan]) * x, lambda _: np.eye(2), 2)
    result = newton(evaluate, np.ones(2), lu)
    assert not result.converged
    assert result.worst == 1
    assert "not a number at the start, in row 1" in result.reason
    assert result.history[0] != result.history[0]

    evaluate, lu, _ = dense(lambda x: x if x[0] == 1.0 else x * np.nan, lambda _: np.eye(1), 1)
    result = newton(evaluate, np.ones(1), lu)
    assert not result.converged
    assert "along the next step" in result.reason
    assert (result.x.tolist(), result.residual.tolist()) == ([1.0], [1.0])


@pytest.mark.parametrize("start", [2.0, 0.3, -7.0])
def test_no_root(start):
    evaluate, lu, _ = dense(lambda x: x * x + 1, lambda x: [[2 * x[0]]], 1)
    result = newton(evaluate, np.array([start]), lu)
    assert not result.converged
    assert result.iterations <= 50
    assert 1.0 <= abs(result.residual[0]) == min(result.history) < 1.5
    assert result.reason.startswith(("the mismatch", "after", "the steps"))


def test_stands_still_at_a_tolerance_below_round_off():
    evaluate, lu, _ = dense(lambda x: x * x - 2, lambda x: [[2 * x[0]]], 1)
    result = newton(evaluate, np.array([1.0]), lu, residual_tolerance=1e-17)
    assert not result.converged
    assert "too small to matter" in result.reason
    assert abs(result.residual[0]) < 1e-15


def test_runs_out_of_steps_and_returns_the_best_point():
    evaluate, lu, _ = dense(powell, powell_slopes, 4)
    result = newton(evaluate, np.array([3.0, -1.0, 0.0, 1.0]), lu, max_iterations=3)
    assert not result.converged
    assert result.iterations == 3
    assert "still" in result.reason
    assert "3 steps" in result.reason


def test_diverges():
    # a wrong matrix sends every step the wrong way, further each time
    evaluate, lu, _ = dense(lambda x: x, lambda x: [[-1e-3 / max(1.0, abs(x[0]))]], 1)
    result = newton(evaluate, np.array([1.0]), lu)
    assert not result.converged
    assert result.x.tolist() == [1.0]
    assert "grew" in result.reason or "stopped falling" in result.reason


def test_singular_at_the_start_raises_and_later_is_a_reason():
    evaluate, lu, _ = dense(lambda x: x * x - 4, lambda x: [[2 * x[0]]], 1)
    with pytest.raises(SingularSystem):
        newton(evaluate, np.zeros(1), lu)
    evaluate, lu, _ = dense(lambda x: x * x + 1, lambda x: [[2 * x[0]]], 1)
    result = newton(evaluate, np.ones(1), lu)  # the first step ends at x = 0
    assert not result.converged
    assert "singular" in result.reason
    assert result.residual.tolist() == [1.0]


def test_limit_step_is_kept():
    evaluate, lu, calls = dense(lambda x: 1 / x - 3, lambda x: [[-1 / x[0] ** 2]], 1)
    keep_positive = lambda x, dx: min(1.0, *(0.9 * -x[dx < 0] / dx[dx < 0])) if (dx < 0).any() else 1.0  # noqa: E731
    result = newton(evaluate, np.array([1.0]), lu, limit_step=keep_positive)
    assert result.converged
    assert min(c[0] for c in calls) > 0
    np.testing.assert_allclose(result.x, 1 / 3, rtol=1e-9)


def test_polish_reaches_round_off_or_changes_nothing():
    evaluate, lu, _ = dense(lambda x: x * x - 2, lambda x: [[2 * x[0]]], 1)
    rough = newton(evaluate, np.array([1.5]), lu, residual_tolerance=1e-2)
    fine = newton(evaluate, np.array([1.5]), lu, residual_tolerance=1e-2, polish=True)
    assert fine.iterations == rough.iterations + 1
    assert abs(fine.residual[0]) < 1e-4 < abs(rough.residual[0])
    exact = newton(evaluate, np.array([1.5]), lu, residual_tolerance=1e-14, polish=True)
    again = newton(evaluate, exact.x, lu, residual_tolerance=1e-14, polish=True)
    assert again.converged
    assert abs(again.residual[0]) <= abs(exact.residual[0])

    evaluate, lu, _ = dense(lambda x: x, lambda _: [[0.0]], 1)  # no matrix to polish with
    kept = newton(evaluate, np.array([1e-3]), lu, residual_tolerance=1e-2, polish=True)
    assert kept.converged
    assert kept.x.tolist() == [1e-3]

    evaluate, lu, _ = dense(lambda x: x, lambda _: [[-1.0]], 1)  # a step that makes it worse
    kept = newton(evaluate, np.array([1e-3]), lu, residual_tolerance=1e-2, polish=True)
    assert (kept.x.tolist(), kept.residual.tolist(), kept.iterations) == ([1e-3], [1e-3], 0)


def test_a_climb_out_of_a_valley_is_allowed():
    # the mismatch of Freudenstein and Roth's problem must rise before it falls
    def f(x):
        return np.array([-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]])

    def slopes(x):
        return [[1, (10 - 3 * x[1]) * x[1] - 2], [1, (3 * x[1] + 2) * x[1] - 14]]

    evaluate, lu, _ = dense(f, slopes, 2)
    result = newton(evaluate, np.array([6.0, 3.0]), lu)
    assert result.converged
    np.testing.assert_allclose(result.x, [5, 4], rtol=1e-8)


@pytest.mark.parametrize("kernel", [measure, measure.py_func], ids=["compiled", "plain"])
def test_measure_lets_what_is_not_a_number_win(kernel):
    assert kernel(np.array([3.0, -4.0])) == (4.0, 5.0, 1)
    assert kernel(np.zeros(2)) == (0.0, 0.0, 0)
    for bad in (np.nan, np.inf):
        largest, norm, worst = kernel(np.array([1.0, bad, 7.0]))
        assert not largest < np.inf
        assert not norm < np.inf
        assert worst == 1


@pytest.mark.parametrize("kernel", [moved, moved.py_func], ids=["compiled", "plain"])
def test_moved(kernel):
    target = np.empty(2)
    assert kernel(np.array([1.0, -4.0]), np.array([2.0, 1.0]), 0.5, target) == 0.25
    assert target.tolist() == [2.0, -3.5]
