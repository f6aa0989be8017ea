# SPDX-License-Identifier: Apache-2.0
"""The linear program of one step in the controls alone, for many moments.

At a lawful state the laws tie all other columns to the controls, d_S = K d_U with K = -A_S^-1 A_U (the reduced gradient
of J. Abadie, J. Carpentier 1969). What remains is a small dense program: the controls of all moments, and a row for
each limit that they can reach inside the box. Over a day it is solved many times faster than the sparse one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from serai.dispatch.program import FAR, Box, Point, Step

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.dispatch.limits import Row

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

NOTHING = 1e-11  # scaled: a slope that is round-off


class Reduced:
    """Steps of one task from lawful states; `scale` is unused here (curved costs enter by their slope)."""

    def __init__(self, box: Box, rows: list[Row], controls: Ints) -> None:
        """Take the limits; `controls` are numbers among the N columns."""
        self.box = box
        self.U = controls
        self.S = np.setdiff1d(np.arange(len(box.low)), controls)
        self.row_low = np.concatenate([r.low for r in rows]) if rows else np.empty(0)
        self.row_high = np.concatenate([r.high for r in rows]) if rows else np.empty(0)
        self.limited = np.flatnonzero(np.isfinite(box.low[self.S]) | np.isfinite(box.high[self.S]))
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        for option, value in (("output_flag", False), ("threads", 1)):
            self.highs.setOptionValue(option, value)
        self._at: Point | None = None

    def _tie(self, at: Point) -> None:
        """Find K, the slopes of everything in the controls, once for each state."""
        if self._at is at:
            return
        A = csc_array(at.A)
        self.K = -splu(csc_array(A[:, self.S])).solve(A[:, self.U].toarray())
        self.cost = at.cost[self.U] + self.K.T @ at.cost[self.S]
        G = csc_array(at.G)
        self.G = G[:, self.U].toarray() + G[:, self.S] @ self.K if len(at.values) else np.zeros((0, len(self.U)))
        self._at = at

    def step(self, at: Point, radius: float, price: float, shift: tuple[Floats, Floats] | None = None) -> Step:
        """Return the best move within `radius`; arguments as in `Program.step`."""
        self._tie(at)
        base, values = (at.y, at.values) if shift is None else (at.y + shift[0], at.values + shift[1])
        box, U = self.box, self.U
        reach = np.minimum(radius * box.reach[U], FAR)
        down, up = (np.clip(limit[U] - base[U], -reach, reach) for limit in (box.low, box.high))
        low, high = np.minimum(down, up), np.maximum(down, up)
        rows = self.S[self.limited]
        lower = np.concatenate([box.low[rows] - base[rows], self.row_low - values])
        upper = np.concatenate([box.high[rows] - base[rows], self.row_high - values])
        matrix = np.vstack([self.K[self.limited], self.G])
        span = np.abs(matrix) @ np.maximum(np.abs(low), np.abs(high))
        near = np.flatnonzero((upper < span) | (lower > -span))
        lower, upper, matrix = lower[near], upper[near], matrix[near]
        ok = self._solve((low, high), matrix, (lower, upper), price)
        self.still = price * float(np.maximum(lower, 0.0).sum() + np.maximum(-upper, 0.0).sum())
        return self._read(at, near, ok=ok)

    def _solve(self, box: tuple[Floats, Floats], matrix: Floats, limits: tuple[Floats, Floats], price: float) -> bool:
        n, R = len(self.U), len(matrix)
        slopes = csr_array(np.where(np.abs(matrix) > NOTHING, matrix, 0.0))
        eye = np.arange(R)
        # every row of slopes is followed by its two slacks
        start = slopes.indptr + 2 * np.arange(R + 1)
        index, value = np.empty(start[-1], np.int32), np.empty(start[-1])
        own = np.ones(start[-1], bool)
        for k, sign in ((2, 1.0), (1, -1.0)):
            at = start[1:] - k
            own[at] = False
            index[at], value[at] = n + 2 * eye + (2 - k), sign
        index[own], value[own] = slopes.indices, slopes.data
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = n + 2 * R, R
        lp.col_lower_ = np.concatenate([box[0], np.zeros(2 * R)])
        lp.col_upper_ = np.concatenate([box[1], np.full(2 * R, FAR)])
        lp.col_cost_ = np.concatenate([self.cost, np.full(2 * R, price)])
        lp.row_lower_, lp.row_upper_ = limits
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = start, index, value
        self.highs.passModel(lp)
        self.highs.run()
        return bool(self.highs.getModelStatus() == highspy.HighsModelStatus.kOptimal)

    def _read(self, at: Point, near: Ints, *, ok: bool) -> Step:
        N, M = len(at.y), len(at.residual)
        move, price, row_price = np.zeros(N), np.zeros(N), np.zeros(len(at.values))
        if not ok:
            return Step(move, 0.0, price, row_price, np.zeros(M), ok=False)
        s = self.highs.getSolution()
        n = len(self.U)
        move[self.U] = np.array(s.col_value)[:n]
        move[self.S] = self.K @ move[self.U]
        price[self.U] = np.array(s.col_dual)[:n]
        dual = np.zeros(len(self.limited) + len(at.values))
        dual[near] = np.array(s.row_dual)
        price[self.S[self.limited]] = dual[: len(self.limited)]
        row_price = dual[len(self.limited) :]
        gained = self.still - self.highs.getInfo().objective_function_value
        return Step(move, gained, price, row_price, np.zeros(M), ok=True)
