# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serai.errors import SeraiError, SingularSystem
from serai.sparse import LU, lu

KERNELS = ("factor_in_place", "solve_rows", "solve_columns", "backward_error", "backward_error_transposed")


@pytest.fixture(params=[False, True], ids=["compiled", "plain"])
def plain(request, monkeypatch):
    """Run with the compiled loops, then with the same loops as plain Python."""
    if request.param:
        for name in KERNELS:
            monkeypatch.setattr(lu, name, getattr(lu, name).py_func)


def sparse_matrix(n, per_row, seed):
    """A matrix whose natural diagonal is zero, as triplets and dense."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([np.arange(n), rng.integers(0, n, n * per_row)])
    columns = np.concatenate([np.roll(np.arange(n), 1), rng.integers(0, n, n * per_row)])
    keep = (rows != columns) | (n == 1)
    rows, columns = rows[keep], columns[keep]
    values = rng.normal(size=rows.size)
    values[: min(n, rows.size)] += 4.0
    a = np.zeros((n, n))
    np.add.at(a, (rows, columns), values)
    return rows, columns, values, a


def assembled(system, values):
    data = np.zeros(system.size + 1)
    np.add.at(data, system.slots, values)
    data[-1] = np.nan  # the bin is never read
    return data


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("n", [1, 2, 3, 40])
def test_solves_both_ways(n):
    rows, columns, values, a = sparse_matrix(n, 3, n)
    system = LU(n, rows, columns, values)
    data = assembled(system, values)
    before = data.copy()
    system.factor(data)
    assert np.array_equal(data, before, equal_nan=True)
    b = np.arange(1.0, n + 1.0)
    np.testing.assert_allclose(system.solve(b), np.linalg.solve(a, b), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(system.solve_transposed(b), np.linalg.solve(a.T, b), rtol=1e-10, atol=1e-12)
    assert not system.used_fallback


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_any_matrix_has_a_small_backward_error(n, per_row, seed):
    rows, columns, values, a = sparse_matrix(n, per_row, seed)
    system = LU(n, rows, columns)  # no typical values: the first matrix stands in
    system.factor(assembled(system, values))
    b = np.random.default_rng(seed).normal(size=n)
    x, y = system.solve(b), system.solve_transposed(b)
    reference = np.linalg.solve(a, b)
    assert abs(a @ x - b).max() <= 1e-11 * (abs(a).sum(axis=1).max() * abs(x).max() + abs(b).max())
    assert abs(a.T @ y - b).max() <= 1e-11 * (abs(a).sum(axis=0).max() * abs(y).max() + abs(b).max())
    assert abs(x - reference).max() <= 1e-13 * np.linalg.cond(a) * abs(reference).max() + 1e-13


def test_repeated_triplets_are_summed():
    system = LU(2, [0, 0, 1, 0], [1, 1, 0, 1], [1.0, 2.0, 5.0, 3.0])
    assert system.size == 2
    assert system.slots.tolist() == [0, 0, 1, 0]
    system.factor(np.array([6.0, 5.0]))
    np.testing.assert_allclose(system.solve(np.array([12.0, 5.0])), [1.0, 2.0])


def test_solve_before_factor():
    with pytest.raises(SeraiError, match="factor the matrix first"):
        LU(1, [0], [0]).solve(np.ones(1))


def test_statistics_count_the_work():
    rows, columns, values, _ = sparse_matrix(50, 3, 0)
    system = LU(50, rows, columns, values)
    data = assembled(system, values)
    for _ in range(3):
        system.factor(data)
    s = system.statistics
    assert (s.factorings, s.fallbacks, s.rematches) == (3, 0, 0)
    assert s.nonzeros == system.size <= s.factor_nonzeros
    assert s.multiplications > 0
    assert 0.0 < s.smallest_pivot <= 1.0
    assert s.growth >= s.smallest_pivot


# --- pivots that turn bad -------------------------------------------------------------------------------------


def two_by_two(a, b, c, d):
    return np.array([a, b, c, d], float)


@pytest.mark.usefixtures("plain")
def test_new_pivots_and_then_the_fallback():
    system = LU(2, [0, 0, 1, 1], [0, 1, 0, 1], two_by_two(4, 1, 1, 4))
    diagonal, crossed = two_by_two(1, 0, 0, 1), two_by_two(0, 1, 1, 0)
    b = np.array([3.0, 5.0])
    system.factor(diagonal)
    assert system.solve(b).tolist() == [3.0, 5.0]
    system.factor(crossed)  # zero pivots: chosen anew
    assert system.solve(b).tolist() == [5.0, 3.0]
    assert (system.statistics.rematches, system.statistics.fallbacks, system.used_fallback) == (1, 0, False)
    system.factor(diagonal)  # too soon to choose again: partial pivoting
    assert system.used_fallback
    assert system.solve(b).tolist() == [3.0, 5.0]
    assert system.solve_transposed(b).tolist() == [3.0, 5.0]
    assert (system.statistics.rematches, system.statistics.fallbacks) == (1, 1)
    slots = system.slots.copy()
    system.rematch(diagonal)
    assert (system.slots == slots).all()
    system.factor(diagonal)
    assert not system.used_fallback
    assert system.solve(b).tolist() == [3.0, 5.0]


def test_fallback_agrees_with_static_pivots():
    rows, columns, values, a = sparse_matrix(60, 3, 5)
    system = LU(60, rows, columns, values)
    data = assembled(system, values)
    system.factor(data)
    b = np.ones(60)
    static = system.solve(b), system.solve_transposed(b)
    system._patience = 100
    system._recover()
    assert system.used_fallback
    np.testing.assert_allclose(system.solve(b), static[0], rtol=1e-9)
    np.testing.assert_allclose(system.solve_transposed(b), static[1], rtol=1e-9)
    np.testing.assert_allclose(system.solve(b), np.linalg.solve(a, b), rtol=1e-9)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("transposed", [False, True])
def test_a_small_pivot_is_refined(transposed):
    system = LU(2, [0, 0, 1, 1], [0, 1, 0, 1], two_by_two(4, 1, 1, 4))
    a = two_by_two(1e-7, 1, 1, 0.7)
    system.factor(a)
    b = np.array([1.0, 3.0])
    x = system.solve_transposed(b) if transposed else system.solve(b)
    np.testing.assert_allclose(x, np.linalg.solve(a.reshape(2, 2), b), rtol=1e-13)
    assert system.statistics.refinements == 1
    assert system.statistics.fallbacks == 0
    assert system.statistics.growth > 1e6


def test_refinement_that_does_not_help_leads_to_new_pivots_then_to_the_fallback(monkeypatch):
    monkeypatch.setattr(lu, "_SMALLEST_PIVOT", 1e-300)  # lets the tiny pivot below pass
    rows, columns = np.divmod(np.arange(16), 4)
    a = np.random.default_rng(1).normal(size=(4, 4))
    a[np.arange(4), np.arange(4)] = 1e-14
    b = np.array([1.0, 3.0, -2.0, 0.5])
    for patience, counts in [(1, (1, 0)), (100, (0, 1))]:
        system = LU(4, rows, columns, (10 * np.eye(4) + 1).ravel())
        system._patience = patience
        system.factor(a.ravel())
        assert (system.statistics.rematches, system.statistics.fallbacks) == (0, 0)
        np.testing.assert_allclose(system.solve(b), np.linalg.solve(a, b), rtol=1e-12)
        assert (system.statistics.rematches, system.statistics.fallbacks) == counts
        assert system.used_fallback == bool(counts[1])


def test_what_is_not_a_number_stays_so():
    system = LU(2, [0, 1], [0, 1], [1.0, 1.0])
    system.factor(np.ones(2))
    assert np.isnan(system.solve(np.array([1.0, np.nan]))).all()
    assert not system.used_fallback
    with pytest.raises(SingularSystem, match="not numbers") as caught:
        system.factor(np.array([1.0, np.nan]))
    assert (caught.value.rows, caught.value.columns) == ((1,), (1,))


# --- singular matrices are named ------------------------------------------------------------------------------


def test_one_zero():
    system = LU(1, [0], [0], [0.0])
    with pytest.raises(SingularSystem) as caught:
        system.factor(np.zeros(2))
    assert (caught.value.rows, caught.value.columns) == ((0,), (0,))
    system.factor(np.array([2.0]))
    assert system.solve(np.array([4.0])).tolist() == [2.0]


def test_structure_is_refused_at_once():
    with pytest.raises(SingularSystem, match="no values can make") as caught:
        LU(3, [0, 1, 2, 2], [0, 0, 1, 2])
    assert caught.value.rows == (0, 1)
    assert caught.value.columns == (1, 2)


def test_floating_island_is_named():
    # unknowns 0..2 hang on a reference, 3..5 only on each other
    a = np.zeros((6, 6))
    for i, j in [(0, 1), (1, 2), (3, 4), (4, 5), (3, 5)]:
        a[i, i] += 1.3
        a[j, j] += 1.3
        a[i, j] = a[j, i] = -1.3
    a[0, 0] += 1.0
    rows, columns = np.nonzero(a)
    system = LU(6, rows, columns, a[rows, columns])
    with pytest.raises(SingularSystem, match="3 of its unknowns") as caught:
        system.factor(assembled(system, a[rows, columns]))
    assert sorted(caught.value.rows) == [3, 4, 5]
    assert sorted(caught.value.columns) == [3, 4, 5]
    assert system.statistics.fallbacks == 1


def test_singular_only_up_to_round_off():
    rng = np.random.default_rng(3)
    a = rng.normal(size=(8, 8))
    a[5] = a[2] / 3.0
    rows, columns = np.nonzero(a)
    system = LU(8, rows, columns)
    with pytest.raises(SingularSystem) as caught:
        system.factor(assembled(system, a[rows, columns]))
    assert set(caught.value.rows) == {2, 5} or set(caught.value.rows) == {5}


def test_a_solution_that_cannot_be_trusted_is_refused(monkeypatch):
    monkeypatch.setattr(lu, "_TRUST_BELOW", -1.0)
    system = LU(2, [0, 0, 1, 1], [0, 1, 0, 1], two_by_two(3, 1, 1, 3))
    system.factor(two_by_two(3, 1, 1, 3))
    with pytest.raises(SingularSystem, match="keeps a backward error"):
        system.solve(np.array([1.0, 0.3]))
