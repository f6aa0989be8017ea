# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from scipy.sparse import csr_array

from serai.sparse import ordering

KERNELS = (
    "append",
    "remove",
    "file",
    "row_candidate",
    "column_candidate",
    "next_pivot",
    "choose_pivots",
    "factor_rows",
    "factor_products",
)


@pytest.fixture(params=[False, True], ids=["compiled", "plain"])
def plain(request, monkeypatch):
    """Run with the compiled loops, then with the same loops as plain Python."""
    if request.param:
        for name in KERNELS:
            monkeypatch.setattr(ordering, name, getattr(ordering, name).py_func)


def random_matrix(n, per_row, seed):
    rng = np.random.default_rng(seed)
    a = np.zeros((n, n))
    a[np.arange(n), rng.permutation(n)] = rng.uniform(1, 2, n)
    a[rng.integers(0, n, n * per_row), rng.integers(0, n, n * per_row)] = rng.normal(size=n * per_row)
    return a


def planned(a):
    s = csr_array(a)
    s.sort_indices()
    return s, ordering.plan(s.indptr.astype(np.int32), s.indices.astype(np.int32), s.data)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("seed", range(4))
def test_pattern_holds_the_factors_exactly(seed):
    a = random_matrix(30, 3, seed)
    s, p = planned(a)
    assert sorted(p.row_at) == sorted(p.column_at) == list(range(30))
    rows = np.repeat(np.arange(30), np.diff(p.starts.astype(int)))
    filled = np.zeros((30, 30), bool)
    filled[rows, p.columns] = True
    work = a[np.ix_(p.row_at, p.column_at)] != 0
    for k in range(30):  # elimination on the pattern
        work[k + 1 :, k + 1 :] |= np.outer(work[k + 1 :, k], work[k, k + 1 :])
    assert (filled == work).all()
    assert (p.columns[p.diagonal] == np.arange(30)).all()
    for k in range(30):
        assert (np.diff(p.columns[p.starts[k] : p.starts[k + 1]].astype(int)) > 0).all()
    lower, upper = np.tril(work, -1).sum(axis=0), np.triu(work, 1).sum(axis=1)
    assert p.targets.size == (lower * upper).sum()
    values = np.zeros(p.columns.size)
    values[p.entry_slots] = s.data[p.entries]
    dense = np.zeros((30, 30))
    dense[rows, p.columns] = values
    assert (dense == a[np.ix_(p.row_at, p.column_at)]).all()


@pytest.mark.usefixtures("plain")
def test_pivots_are_not_small_beside_their_row():
    a = np.array([[1e-9, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])
    _, p = planned(a)
    b = a[np.ix_(p.row_at, p.column_at)]
    for k in range(3):
        assert abs(b[k, k]) >= 0.1 * abs(b[k, k:]).max()
        b[k + 1 :, k:] -= np.outer(b[k + 1 :, k] / b[k, k], b[k, k:])


@pytest.mark.usefixtures("plain")
def test_arrow_has_no_fill():
    n = 12
    a = np.eye(n)
    a[0, :] = a[:, 0] = 1.0
    a[0, 0] = 100.0
    _, p = planned(a)
    assert p.columns.size == 3 * n - 2


@pytest.mark.usefixtures("plain")
def test_singular_typical_values_do_not_stop_the_plan():
    _, p = planned(np.ones((3, 3)))
    assert p.columns.size == 9
    s = csr_array(np.ones((2, 2)))
    p = ordering.plan(s.indptr, s.indices, np.full(4, np.nan))
    assert p.columns.size == 4


@pytest.mark.usefixtures("plain")
def test_much_fill_finds_room():
    a = random_matrix(80, 5, 0)
    _, p = planned(a)
    assert p.columns.size > 2 * np.count_nonzero(a) + 80
