# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serai.sparse import structural_check, structure


@pytest.fixture(params=[False, True], ids=["compiled", "plain"])
def plain(request, monkeypatch):
    """Run with the compiled loops, then with the same loops as plain Python."""
    if request.param:
        for name in ("match_rows", "alternating_reach"):
            monkeypatch.setattr(structure, name, getattr(structure, name).py_func)


def pattern(text):
    """Read rows of `x` and `.`, as in a picture."""
    marks = np.array([[mark == "x" for mark in line] for line in text.split()])
    return *marks.shape, *np.nonzero(marks)


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize("text", ["x", ".x x.", "xx. x.x .x.", "xxx xxx xxx", ".xx x.. .x."])
def test_no_defect(text):
    assert structural_check(*pattern(text)) is None


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("text", "rows", "columns", "missing_columns", "missing_rows"),
    [
        (".", [0], [], [0], []),
        # two equations on one unknown, two unknowns in one equation, one sound pair between
        ("x... x... .x.. ..xx", [0, 1], [0], [2, 3], [3]),
        # the sound pair may lean on the over-determined unknown and the under-determined equation on it
        ("x... x... xx.. .xxx", [0, 1], [0], [2, 3], [3]),
        # a ring of equations with one too many, an unknown nobody holds
        ("xx.. .x.. x... ...x", [0, 1, 2], [0, 1], [2], []),
        # not square: only too many, only too few
        ("x. .x xx", [0, 1, 2], [0, 1], [], []),
        ("xx.", [], [], [0, 1, 2], [0]),
    ],
)
def test_defect_is_named(text, rows, columns, missing_columns, missing_rows):
    defect = structural_check(*pattern(text))
    assert defect is not None
    assert defect.rows.tolist() == rows
    assert defect.columns.tolist() == columns
    assert defect.missing_columns.tolist() == missing_columns
    assert defect.missing_rows.tolist() == missing_rows


def test_no_rows_and_no_columns():
    assert structural_check(0, 0, [], []) is None
    defect = structural_check(0, 2, [], [])
    assert defect is not None
    assert defect.missing_columns.tolist() == [0, 1]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1), st.floats(0.05, 0.6))
def test_defect_counts_the_missing_rank(n_rows, n_columns, seed, density):
    marks = np.random.default_rng(seed).random((n_rows, n_columns)) < density
    # random values reach the structural rank
    rank = np.linalg.matrix_rank(marks * np.random.default_rng(seed + 1).uniform(1, 2, marks.shape))
    defect = structural_check(n_rows, n_columns, *np.nonzero(marks))
    if defect is None:
        assert rank == n_rows == n_columns
        return
    assert defect.rows.size - defect.columns.size == n_rows - rank
    assert defect.missing_columns.size - defect.missing_rows.size == n_columns - rank
    outside = np.setdiff1d(np.arange(n_columns), defect.columns)
    assert not marks[np.ix_(defect.rows, outside)].any()
