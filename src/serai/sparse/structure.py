# SPDX-License-Identifier: Apache-2.0
"""What a pattern alone says about a system of equations: which rows are too many, which unknowns nothing holds.

References: A. L. Dulmage, N. S. Mendelsohn, Coverings of bipartite graphs, Canad. J. Math. 10 (1958),
doi:10.4153/CJM-1958-052-0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int32]
    Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class StructuralDefect:
    """Why no values can make a pattern regular; all index arrays ascend, a part without a defect is empty.

    rows             equations of the over-determined part: more of them than the unknowns they share
    columns          the unknowns they share
    missing_columns  unknowns of the under-determined part: more of them than the equations that hold them
    missing_rows     the equations that hold them
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    missing_columns: NDArray[np.intp]
    missing_rows: NDArray[np.intp]


@njit(cache=True, error_model="numpy")
def match_rows(n_columns: int, starts: Ints, columns: Ints) -> tuple[Ints, Ints]:
    """Match as many rows with columns as can be: the column of each row, (n_rows,), the row of each column; -1 is none.

    starts, columns: the pattern by rows, int32 (n_rows + 1,) and (n_entries,). Every row that finds no free column asks
    the rows that hold its columns to move, and these theirs, shortest chains first.
    """
    n_rows = starts.size - 1
    column_of = np.full(n_rows, -1, np.int32)
    row_of = np.full(n_columns, -1, np.int32)
    asked_by = np.empty(n_columns, np.int32)
    asked_for = np.full(n_columns, -1, np.int32)  # the row for which a column was last asked
    waiting = np.empty(n_rows + 1, np.int32)
    for row in range(n_rows):
        waiting[0] = row
        first, end, free = 0, 1, -1
        while first < end and free < 0:
            i = waiting[first]
            first += 1
            for p in range(starts[i], starts[i + 1]):
                j = columns[p]
                if asked_for[j] != row:
                    asked_for[j] = row
                    asked_by[j] = i
                    if row_of[j] < 0:
                        free = int(j)
                        break
                    waiting[end] = row_of[j]
                    end += 1
        while free >= 0:
            i = asked_by[free]
            row_of[free] = i
            free, column_of[i] = int(column_of[i]), free
    return column_of, row_of


@njit(cache=True, error_model="numpy")
def alternating_reach(starts: Ints, columns: Ints, column_of: Ints, row_of: Ints) -> tuple[Flags, Flags]:
    """Flag the rows and columns on alternating paths from unmatched rows, (n_rows,) and (n_columns,)."""
    rows = column_of < 0
    reached = np.zeros(row_of.size, np.bool_)
    waiting = np.empty(column_of.size, np.int32)
    n_waiting = 0
    for i in range(column_of.size):
        if rows[i]:
            waiting[n_waiting] = i
            n_waiting += 1
    while n_waiting > 0:
        n_waiting -= 1
        i = waiting[n_waiting]
        for p in range(starts[i], starts[i + 1]):
            j = columns[p]
            if not reached[j]:
                reached[j] = True
                following = row_of[j]
                if following >= 0 and not rows[following]:
                    rows[following] = True
                    waiting[n_waiting] = following
                    n_waiting += 1
    return rows, reached


def by_rows(n_rows: int, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Ints, Ints]:
    """Sort a pattern by rows: starts (n_rows + 1,), columns (n_entries,); repeated entries stay."""
    starts = np.zeros(n_rows + 1, np.int32)
    np.cumsum(np.bincount(rows, minlength=n_rows), out=starts[1:])
    return starts, columns[np.argsort(rows, kind="stable")].astype(np.int32)


def structural_check(n_rows: int, n_columns: int, rows: ArrayLike, columns: ArrayLike) -> StructuralDefect | None:
    """Return None where every equation can have an unknown of its own and every unknown an equation, else the defect.

    rows, columns: the pattern, one pair an entry, (n_entries,); repeated entries are allowed.
    """
    r = np.asarray(rows, np.intp)
    c = np.asarray(columns, np.intp)
    starts, entries = by_rows(n_rows, r, c)
    column_of, row_of = match_rows(n_columns, starts, entries)
    if n_rows == n_columns and bool((column_of >= 0).all()):
        return None
    over_rows, over_columns = alternating_reach(starts, entries, column_of, row_of)
    under_columns, under_rows = alternating_reach(*by_rows(n_columns, c, r), row_of, column_of)
    return StructuralDefect(
        rows=np.flatnonzero(over_rows),
        columns=np.flatnonzero(over_columns),
        missing_columns=np.flatnonzero(under_columns),
        missing_rows=np.flatnonzero(under_rows),
    )
