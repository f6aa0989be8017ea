# SPDX-License-Identifier: Apache-2.0
"""What the pattern of laws and readings alone says: which columns no values could tell.

A maximum matching of rows (laws and readings) with columns leaves an under-determined part (Dulmage and Mendelsohn, see
`sparse.structure`): more columns than rows that hold them. The numbers have the last word (`problem.Problem.sight`):
they may leave more unseen, where readings say the same, or less, where a slope vanishes (a bypass has no power at any
flow).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.sparse import structural_check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.estimate.problem import Problem

    Ints = NDArray[np.intp]
    Flags = NDArray[np.bool_]


def untold(problem: Problem, used: Flags) -> Ints:
    """Return the columns that laws and the readings `used` (n_reading,) leave open by their pattern alone."""
    real = problem.h_columns >= 0
    real &= used[problem.h_rows]
    rows = np.concatenate([problem.a_rows, problem.m + problem.h_rows[real]])
    columns = np.concatenate([problem.a_columns, problem.h_columns[real]])
    defect = structural_check(problem.m + len(used), problem.n, rows, columns)
    return np.empty(0, np.intp) if defect is None else problem.free[defect.missing_columns]
