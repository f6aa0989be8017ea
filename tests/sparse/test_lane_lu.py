# SPDX-License-Identifier: Apache-2.0
"""Many systems of one pattern, eight at a time: against dense solves, with the lanes that go wrong among them."""

import numpy as np
import pytest

from serai.errors import SingularSystem
from serai.lanes import EIGHT
from serai.sparse import lane_lu
from serai.sparse.lane_lu import LaneLU, factor_blocks, lay_out, mirror, solve_blocks, solve_blocks_pair


def graph(n, rng, extra=2.0):
    """A connected random graph as triplets of a symmetric pattern with its diagonal."""
    a = np.r_[np.arange(1, n), rng.integers(0, n, int(extra * n))]
    b = np.r_[[rng.integers(0, k) for k in range(1, n)], rng.integers(0, n, int(extra * n))].astype(int)
    keep = a != b
    a, b = a[keep], b[keep]
    return np.r_[a, b, np.arange(n)], np.r_[b, a, np.arange(n)]


def dense(n, rows, columns, values):
    A = np.zeros((n, n))
    np.add.at(A, (rows, columns), values)
    return A


@pytest.mark.parametrize("n", [1, 2, 30, 120])
@pytest.mark.parametrize("typical", [True, False], ids=["any pivots", "diagonal pivots"])
def test_every_lane_equals_a_dense_solve(n, typical):
    rng = np.random.default_rng(n)
    rows, columns = graph(n, rng)
    values = rng.normal(size=(19, rows.size))
    values[:, rows == columns] += 4.0 * np.sqrt(n)
    lu = LaneLU(n, rows, columns, values[0] if typical else None)
    rhs = rng.normal(size=(19, n))
    x, errors = lu.solve(values, rhs)
    assert lu.fallbacks == 0
    assert errors.max() < 1e-13
    for s in range(19):
        np.testing.assert_allclose(x[s], np.linalg.solve(dense(n, rows, columns, values[s]), rhs[s]), rtol=1e-9)


def test_rows_that_no_diagonal_holds_are_matched():
    rng = np.random.default_rng(3)
    n = 60
    rows, columns = graph(n, rng)
    order = rng.permutation(n)
    rows = order[rows]
    values = rng.uniform(0.5, 1.5, size=(8, rows.size)) + 9.0 * (order[columns] == rows)
    x, errors = LaneLU(n, rows, columns, values[0]).solve(values, np.ones((8, n)))
    assert errors.max() < 1e-13
    np.testing.assert_allclose(x[5], np.linalg.solve(dense(n, rows, columns, values[5]), np.ones(n)), rtol=1e-10)


def test_bad_lanes_are_found_and_the_others_are_untouched():
    rng = np.random.default_rng(5)
    n = 40
    rows, columns = graph(n, rng)
    values = rng.normal(size=(24, rows.size))
    values[:, rows == columns] += 20.0
    rhs = rng.normal(size=(24, n))
    lu = LaneLU(n, rows, columns, values[0])
    before, _ = lu.solve(values, rhs)
    hard = values.copy()
    hard[3, (rows == 7) & (columns == 7)] = 0.0  # a static pivot that vanishes, unless fill makes up for it
    hard[5, rows == 11] = 0.0  # singular
    hard[6, 4] = np.nan
    hard[8] *= 1e-200
    hard[9, rows == columns] = 1e-14 * rng.normal(size=n)  # needs other pivots
    x, errors = lu.solve(hard, rhs)
    others = np.setdiff1d(np.arange(24), [3, 5, 6, 8, 9])
    np.testing.assert_array_equal(x[others], before[others])
    for s in (3, 8, 9):
        A = dense(n, rows, columns, hard[s])
        np.testing.assert_allclose(A @ x[s], rhs[s], atol=1e-9 * np.abs(x[s]).max() * np.abs(A).max())
        assert errors[s] <= 1e-12
    for s in (5, 6):
        assert np.isnan(x[s]).all()
        assert np.isnan(errors[s])
    assert lu.fallbacks >= 3


def test_a_pattern_that_cannot_be_regular_is_refused():
    with pytest.raises(SingularSystem):
        lay_out(2, [0, 0], [0, 1], [1.0, 1.0])


def test_blocks_equal_the_dense_system():
    rng = np.random.default_rng(11)
    n, width = 25, len(EIGHT)
    rows, columns = graph(n, rng)
    keys = np.unique(rows * n + columns)
    rows, columns = keys // n, keys % n
    p = lay_out(n, rows, columns)
    blocks = rng.normal(size=(width, rows.size, 2, 2))
    blocks[:, rows == columns] += 12.0 * np.eye(2)
    rhs = rng.normal(size=(width, n, 2))
    X, D, B, weakest = (
        np.zeros((p.columns.size, 4, width)),
        np.empty(4 * n * width),
        np.empty((n, 2, width)),
        np.empty(8),
    )
    X[p.slots] = blocks.reshape(width, -1, 4).transpose(1, 2, 0)
    B[p.row_place] = rhs.transpose(1, 2, 0)
    X, B = X.ravel(), B.ravel()
    first, second = B.copy(), -3.0 * B
    factor_blocks(p.starts, p.diagonal, p.columns, p.targets, X, D, weakest, EIGHT)
    solve_blocks(p.starts, p.diagonal, p.columns, X, D, B, EIGHT)
    solve_blocks_pair(p.starts, p.diagonal, p.columns, X, D, first, second, EIGHT)
    np.testing.assert_allclose(first, B, rtol=1e-13)
    np.testing.assert_allclose(second, -3.0 * B, rtol=1e-12)
    x = B.reshape(n, 2, width)[p.column_place]
    assert (weakest > 1e-3).all()
    for l in range(width):
        A = np.zeros((n, 2, n, 2))
        A[rows, :, columns, :] = blocks[l]
        expected = np.linalg.solve(A.reshape(2 * n, 2 * n), rhs[l].ravel()).reshape(n, 2)
        np.testing.assert_allclose(x[:, :, l], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("plain", [False, True], ids=["compiled", "plain"])
@pytest.mark.parametrize("kind", ["gain", "any"])
def test_the_selected_inverse_equals_the_dense_one(kind, plain, monkeypatch):
    if plain:
        monkeypatch.setattr(lane_lu, "selected_inverse", lane_lu.selected_inverse.py_func)
    rng = np.random.default_rng(2)
    n = 35
    rows, columns = graph(n, rng, 1.0)
    if kind == "gain":  # H' H of a graph: symmetric, positive definite
        keys = np.unique(rows * n + columns)
        rows, columns = keys // n, keys % n
        weights = rng.uniform(0.1, 1.0, (n, n)) * 1.0
        weights = weights + weights.T
        values = np.where(rows == columns, 0.5, -weights[rows, columns])
        sums = np.bincount(rows[rows != columns], -values[rows != columns], minlength=n)
        values[rows == columns] += sums[rows[rows == columns]]
        lu = LaneLU(n, rows, columns)
    else:
        rows = rng.permutation(n)[rows]
        values = rng.normal(size=rows.size)
        lu = LaneLU(n, rows, columns, values, mirrored=True)
    inverse = np.linalg.inv(dense(n, rows, columns, values))
    np.testing.assert_allclose(lu.inverse(values), inverse[columns, rows], rtol=1e-8, atol=1e-10)


def test_the_selected_inverse_asks_for_a_symmetric_pattern_and_a_regular_matrix():
    rows, columns = [0, 1, 1, 2, 2], [0, 0, 1, 1, 2]
    values = np.ones(5)
    with pytest.raises(SingularSystem, match="mirrored"):
        mirror(lay_out(3, rows, columns, values))
    with pytest.raises(SingularSystem, match="singular"):
        LaneLU(3, rows, columns, values, mirrored=True).inverse([0.0, 1.0, 0.0, 1.0, 1.0])
