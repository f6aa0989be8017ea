# SPDX-License-Identifier: Apache-2.0
"""Why there is no feasible set-point near: an irreducible set of limits that cannot hold together.

The laws are linearised where the search ended. Of the limits with a multiplier in the program of the smallest violation
a deletion filter keeps those without any one of which the rest would hold (J. W. Chinneck, E. W. Dravnieks, ORSA J.
Computing 3 (1991) 157). Every limit named takes part; other sets may conflict as well. It speaks of the linearised laws
within the box, so it is a finding near that state and no proof for all states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy.sparse import csc_array, hstack, vstack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.dispatch.program import Point

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

FREE = highspy.kHighsInf
BOXES = (1.0, 0.3, 0.1, 0.02)  # how far, in units of a column's reach, the linearised laws are believed
SURE = 1e-6  # scaled violation from which a system of limits counts as infeasible


@dataclass(frozen=True)
class Limits:
    """Limits in scaled coordinates: low and high (N,) of columns, reach (N,) of the box, low and high (R,) of rows."""

    low: Floats
    high: Floats
    reach: Floats
    row_low: Floats
    row_high: Floats


def conflict(at: Point, limits: Limits) -> list[tuple[str, int]]:
    """Return ("low" or "high", number) of the limits of an irreducible conflicting set; rows count on from N.

    An empty list: the linearised limits can hold together, so the conflict is one of the curved laws.
    """
    crossed = np.flatnonzero(
        np.concatenate([limits.low, limits.row_low]) > np.concatenate([limits.high, limits.row_high])
    )
    if len(crossed):  # one quantity is asked to be above what it must be below
        return [(side, int(crossed[0])) for side in ("low", "high")]
    suspects: list[tuple[str, int]] = []
    for box in BOXES:
        lp = _Filter(at, limits, box)
        suspects = lp.suspects()
        if suspects:
            break
    else:
        return []
    lp.only(suspects)
    kept = list(suspects)
    for one in suspects:
        lp.drop(one)
        if lp.feasible():
            lp.restore(one)
        else:
            kept.remove(one)
    return kept


class _Filter:
    """Feasibility of chosen limits; variables are the moves and the values of rows."""

    def __init__(self, at: Point, limits: Limits, box: float) -> None:
        N, R, M = len(at.y), len(at.values), len(at.residual)
        self.N, self.R = N, R
        self.box = np.concatenate([np.minimum(box * limits.reach, 1e3), np.full(R, 1e3)])
        self.low = np.concatenate([limits.low - at.y, limits.row_low - at.values])
        self.high = np.concatenate([limits.high - at.y, limits.row_high - at.values])
        eye = csc_array((np.ones(R), (np.arange(R), np.arange(R))), shape=(R, R))
        A, G = csc_array(at.A), csc_array(at.G)
        left = csc_array(vstack([A, G])) if R else A
        right = csc_array(vstack([csc_array((M, R)), -eye])) if R else csc_array((M, 0))
        self.matrix = (left, right)
        self.rhs = np.concatenate([-at.residual, np.zeros(R)])
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        self.highs.setOptionValue("output_flag", False)  # noqa: FBT003 - HiGHS's own call

    def suspects(self) -> list[tuple[str, int]]:
        """Return the limits that carry a multiplier where the sum of violations is smallest."""
        left, right = self.matrix
        n = self.N + self.R
        above, below = np.flatnonzero(np.isfinite(self.high)), np.flatnonzero(np.isfinite(self.low))
        whole = csc_array(hstack([left, right]))
        matrix = csc_array(hstack([whole, csc_array(whole[:, above]), csc_array(-whole[:, below])]))
        low, high = np.clip(self.low, -self.box, self.box), np.clip(self.high, -self.box, self.box)
        extra = len(above) + len(below)
        cost = np.concatenate([np.zeros(n), np.ones(extra)])
        self._pass(matrix, np.concatenate([low, np.zeros(extra)]), np.concatenate([high, np.full(extra, FREE)]), cost)
        self.highs.run()
        if self.highs.getInfo().objective_function_value < SURE:
            return []
        price = np.array(self.highs.getSolution().col_dual)[:n]
        highs = [("high", int(k)) for k in above if price[k] < -SURE]
        return highs + [("low", int(k)) for k in below if price[k] > SURE]

    def only(self, members: list[tuple[str, int]]) -> None:
        """Take these limits alone, hard."""
        self.now = -self.box.copy(), self.box.copy()
        for side, k in members:
            self.now[0 if side == "low" else 1][k] = (self.low if side == "low" else self.high)[k]
        self._pass(csc_array(hstack(self.matrix)), *self.now, np.zeros(self.N + self.R))

    def _pass(self, matrix: csc_array, low: Floats, high: Floats, cost: Floats) -> None:
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = matrix.shape[1], matrix.shape[0]
        lp.col_lower_, lp.col_upper_, lp.col_cost_ = low, high, cost
        lp.row_lower_ = lp.row_upper_ = self.rhs
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        self.highs.passModel(lp)

    def drop(self, one: tuple[str, int]) -> None:
        """Let a limit go."""
        self._set(one, -self.box[one[1]] if one[0] == "low" else self.box[one[1]])

    def restore(self, one: tuple[str, int]) -> None:
        """Take a limit back."""
        self._set(one, (self.low if one[0] == "low" else self.high)[one[1]])

    def _set(self, one: tuple[str, int], value: float) -> None:
        self.now[0 if one[0] == "low" else 1][one[1]] = value
        self.highs.changeColBounds(one[1], float(self.now[0][one[1]]), float(self.now[1][one[1]]))

    def feasible(self) -> bool:
        """Whether the limits in force can hold together."""
        self.highs.run()
        return bool(self.highs.getModelStatus() == highspy.HighsModelStatus.kOptimal)
