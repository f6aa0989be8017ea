# SPDX-License-Identifier: Apache-2.0
"""A linear program with integers, built row by row and solved by HiGHS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import highspy
import numpy as np
from scipy.sparse import coo_array

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

INFINITY = highspy.kHighsInf
TINY = 1e-11  # a slope that moves nothing: flows and potentials stay below 1e5
ENDED = {
    highspy.HighsModelStatus.kOptimal: "optimal",
    highspy.HighsModelStatus.kInfeasible: "infeasible",
    highspy.HighsModelStatus.kUnboundedOrInfeasible: "infeasible",
    highspy.HighsModelStatus.kTimeLimit: "time limit",
    highspy.HighsModelStatus.kObjectiveTarget: "time limit",
}


@dataclass(frozen=True)
class Answer:
    """What a solve returned.

    status  "optimal", "infeasible", "time limit" or "failed"
    x       columns (n,), empty where no point was found
    value   objective at x; bound: nothing is below it (minus infinity where nothing is known)
    duals   of the rows (m,) of a program without integers, else empty
    """

    status: str
    x: Floats
    value: float
    bound: float
    duals: Floats


@dataclass
class Program:
    """Minimise cost x, low <= x <= high, rows between bounds, some columns whole numbers."""

    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    cost: list[float] = field(default_factory=list)
    whole: list[int] = field(default_factory=list)
    row_low: list[float] = field(default_factory=list)
    row_high: list[float] = field(default_factory=list)
    entries: list[tuple[int, int, float]] = field(default_factory=list)

    def column(self, low: float = 0.0, high: float = INFINITY, cost: float = 0.0, *, whole: bool = False) -> int:
        """Add a column and return its number."""
        self.low.append(low)
        self.high.append(high)
        self.cost.append(cost)
        if whole:
            self.whole.append(len(self.low) - 1)
        return len(self.low) - 1

    def row(self, terms: Sequence[tuple[int, float]], low: float = -INFINITY, high: float = INFINITY) -> int:
        """Add a row low <= sum of value x[column] <= high and return its number."""
        number = len(self.row_low)
        self.entries += [(number, column, value) for column, value in terms if abs(value) > TINY]
        self.row_low.append(low)
        self.row_high.append(high)
        return number

    def highs(self, *, relaxed: bool = False, threads: int = 1) -> Any:
        """Return a silent HiGHS that holds the program; `relaxed` forgets that columns are whole numbers."""
        h = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        for option, value in (("output_flag", False), ("threads", threads)):
            h.setOptionValue(option, value)
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = len(self.low), len(self.row_low)
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = (np.array(v, float) for v in (self.cost, self.low, self.high))
        lp.row_lower_, lp.row_upper_ = np.array(self.row_low, float), np.array(self.row_high, float)
        r, c, v = (np.array(part) for part in zip(*self.entries, strict=True))
        matrix = coo_array((v, (r, c)), shape=(lp.num_row_, lp.num_col_)).tocsr()
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
        if self.whole and not relaxed:
            kinds = np.full(lp.num_col_, highspy.HighsVarType.kContinuous)
            kinds[self.whole] = highspy.HighsVarType.kInteger
            lp.integrality_ = list(kinds)
        h.passModel(lp)
        return h

    def solve(
        self, seconds: float = INFINITY, *, options: Mapping[str, Any] | None = None, start: Floats | None = None
    ) -> Answer:
        """Solve within a time limit [s], from a point (n,) that keeps all rows if there is one."""
        h = self.highs()
        if start is not None:
            point = highspy.HighsSolution()
            point.col_value = start.tolist()
            h.setSolution(point)
        for option, value in {"time_limit": max(0.05, seconds), **(options or {})}.items():
            h.setOptionValue(option, value)
        return answer(h, whole=bool(self.whole))


def answer(h: Any, *, whole: bool) -> Answer:
    """Run a HiGHS and return what it found."""
    h.run()
    status = ENDED.get(h.getModelStatus(), "failed")
    info, solution = h.getInfo(), h.getSolution()
    found = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.array(solution.col_value) if found else np.empty(0)
    value = float(info.objective_function_value) if found else np.inf
    bound = value if status == "optimal" else -np.inf
    if whole:
        bound = float(info.mip_dual_bound)
    duals = np.empty(0) if whole else np.array(solution.row_dual)
    return Answer(status, x, value, np.inf if status == "infeasible" else bound, duals)
