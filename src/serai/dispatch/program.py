# SPDX-License-Identifier: Apache-2.0
"""The linear program of one step: laws linearised, limits elastic, a box around the present point.

Every free column of the laws is moved by pieces: one within its limits and the box, one beyond its upper and one below
its lower limit at the price of a violation, and for a curved cost a few on either side, each with the slope of its
part. A piece is a copy of the column, so the program has the rows of the laws and of the limits on functions, no more.
The layout never changes, so that HiGHS takes the last basis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import highspy
import numpy as np
from scipy.sparse import csc_array, csr_array, hstack, vstack

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.dispatch.limits import Row
    from serai.dispatch.objective import Objective

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

PARTS = 6  # pieces of a curved cost on either side
INFINITY = highspy.kHighsInf
FAR = 1e3  # scaled: what no step needs to pass


@dataclass(frozen=True)
class Point:
    """A state with everything that a step needs, in scaled coordinates.

    X         (T, n_column) SI      y (N,) its free columns, N = T n_free
    residual  (M,) of the laws      A (M, N) their slopes
    values    (R,) of the rows      G (R, N) their slopes
    cost      (N,) slopes of the objective over its scale
    """

    X: Floats
    y: Floats
    residual: Floats
    A: csr_array
    values: Floats
    G: csr_array
    cost: Floats
    turn: Floats  # dx/dy (N,)


@dataclass(frozen=True)
class Step:
    """What the program found: the move (N,) in y, by how much it lowers the modelled merit, and multipliers.

    column_price  (N,) rise of the scaled objective for a unit of each column: below 0, more of it would be welcome
    row_price     (R,) the same for the functions
    law_price     (M,) multipliers of the laws
    """

    move: Floats
    gained: float
    column_price: Floats
    row_price: Floats
    law_price: Floats
    ok: bool


@dataclass(frozen=True)
class Box:
    """Ranges in y: low, high (N,) of columns; hard (N,) marks those that are never broken; reach (N,) of the box."""

    low: Floats
    high: Floats
    hard: NDArray[np.bool_]
    reach: Floats


class Program:
    """One HiGHS instance for the steps of one task."""

    def __init__(self, box: Box, rows: list[Row], objective: Objective, curved: dict[int, int], scale: float) -> None:
        """Lay out the pieces. `curved`: number among the N columns -> curve; `scale`: SI of one of the objective."""
        self.box, self.rows, self.objective, self.scale = box, rows, objective, scale
        n = len(box.low)
        self.n = n
        self.curved = curved
        self.above = np.flatnonzero(np.isfinite(box.high) & ~box.hard)
        self.below = np.flatnonzero(np.isfinite(box.low) & ~box.hard)
        self.row_low = np.concatenate([r.low for r in rows]) if rows else np.empty(0)
        self.row_high = np.concatenate([r.high for r in rows]) if rows else np.empty(0)
        more = np.repeat(np.array(list(curved), dtype=np.intp), PARTS)
        self.of = np.concatenate([np.arange(n), self.above, self.below, more, more])
        self.sign = np.concatenate([
            np.ones(n), np.ones(len(self.above)), -np.ones(len(self.below)), np.ones(len(more)), -np.ones(len(more)),
        ])  # fmt: skip
        self.highs = highspy.Highs()  # type: ignore[no-untyped-call] # highspy's constructor has no types
        for option, value in (("output_flag", False), ("threads", 1), ("dual_feasibility_tolerance", 1e-9),
                              ("primal_feasibility_tolerance", 1e-9)):  # fmt: skip
            self.highs.setOptionValue(option, value)
        self.basis: highspy.HighsBasis | None = None

    def step(self, at: Point, radius: float, price: float, shift: tuple[Floats, Floats] | None = None) -> Step:
        """Return the best move from a point within `radius`, at the price of a violation.

        shift  (N,), (R,): what the laws added to the last move, for a correction of second order
        """
        base, values = at.y, at.values
        if shift is not None:
            base, values = base + shift[0], values + shift[1]
        low, high, cost = self._pieces(at, base, radius, price)
        lp = self._model(at, values, (low, high, cost), price)
        self.highs.passModel(lp)
        if self.basis is not None:
            self.highs.setBasis(self.basis)
        self.highs.run()
        if self.highs.getModelStatus() != highspy.HighsModelStatus.kOptimal and self.basis is not None:
            self.highs.clearSolver()  # a basis of old may lead astray: once more without it
            self.highs.run()
        ok = self.highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
        self.basis = self.highs.getBasis() if ok else None
        return self._read(at, ok=ok)

    # ------------------------------------------------------------------------------------------------------- layout

    def _pieces(self, at: Point, base: Floats, radius: float, price: float) -> tuple[Floats, Floats, Floats]:
        """Return low, high and cost of every piece."""
        box = self.box
        reach = np.minimum(radius * box.reach, FAR)
        up, down = (np.clip(limit - base, -reach, reach) for limit in (box.high, box.low))
        low, high = np.minimum(up, down), np.maximum(up, down)
        cost = at.cost.copy()
        curved = list(self.curved)
        if curved:  # moved by pieces of its own, beside the way back to its limits
            low[curved] = high[curved] = np.clip(0.0, low[curved], high[curved])
        lows = [low, np.zeros(len(self.above) + len(self.below))]
        highs = [high, (reach - up)[self.above], (reach + down)[self.below]]
        costs = [cost, cost[self.above] + price, -cost[self.below] + price]
        # standing still costs what is broken already
        self.still = price * float(np.maximum(-up[self.above], 0.0).sum() + np.maximum(down[self.below], 0.0).sum())
        if curved:
            for width, slope in self._curves(at, (down, up)):
                lows.append(np.zeros(len(width)))
                highs.append(width)
                costs.append(slope)
        return np.concatenate(lows), np.concatenate(highs), np.concatenate(costs)

    def _curves(self, at: Point, room: tuple[Floats, Floats]) -> list[tuple[Floats, Floats]]:
        """Return widths and slopes of the pieces of curved costs, upwards and downwards: secants of the true curve."""
        widths: list[list[float]] = [[], []]
        slopes: list[list[float]] = [[], []]
        for j, k in self.curved.items():
            curve, unit = self.objective.curves[k], at.turn[j]
            ends = max(room[1][j], 0.0), max(-room[0][j], 0.0)
            x = at.y[j] * unit  # curved columns have plain coordinates
            for side, (end, sense) in enumerate(zip(ends, (1.0, -1.0), strict=True)):
                stops = x + sense * unit * end * np.linspace(0.0, 1.0, PARTS + 1)
                f = curve.value(stops) * self.objective.weight / self.scale
                width = end / PARTS
                rise = np.diff(f) / width if width > 0.0 else np.zeros(PARTS)
                widths[side] += [width] * PARTS
                slopes[side] += rise.tolist()
        return [(np.array(w), np.array(s)) for w, s in zip(widths, slopes, strict=True)]

    def _model(self, at: Point, values: Floats, pieces: tuple[Floats, Floats, Floats], price: float) -> highspy.HighsLp:
        """Return the program: laws A d = -F (as far as t of it), limits G d within their range or at a price."""
        low, high, cost = pieces
        A, G = csc_array(at.A)[:, self.of], csc_array(at.G)[:, self.of]
        sign = csr_array((self.sign, (np.arange(len(self.sign)), np.arange(len(self.sign)))))
        R, M = len(values), len(at.residual)
        eye = csc_array((np.ones(R), (np.arange(R), np.arange(R))), shape=(R, R))
        lawless = csc_array(-at.residual[:, None])  # times t: A d = -(1 - t) F, t = 0 is a whole Newton step
        top = hstack([A @ sign, csc_array((M, 2 * R)), lawless])
        matrix = csc_array(vstack([top, hstack([G @ sign, eye, -eye, csc_array((R, 1))])]) if R else top)
        size = float(np.abs(at.residual).sum())
        broken = np.maximum(self.row_low - values, 0.0) + np.maximum(values - self.row_high, 0.0)
        self.still += price * (size + float(broken.sum()))
        lp = highspy.HighsLp()
        lp.num_col_, lp.num_row_ = matrix.shape[1], matrix.shape[0]
        lp.col_lower_ = np.concatenate([low, np.zeros(2 * R + 1)])
        lp.col_upper_ = np.concatenate([high, np.full(2 * R, FAR), [1.0]])
        lp.col_cost_ = np.concatenate([cost, np.full(2 * R, price), [price * size]])
        lp.row_lower_ = np.concatenate([-at.residual, self.row_low - values])
        lp.row_upper_ = np.concatenate([-at.residual, self.row_high - values])
        lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        lp.a_matrix_.start_ = matrix.indptr
        lp.a_matrix_.index_ = matrix.indices
        lp.a_matrix_.value_ = matrix.data
        return lp

    def _read(self, at: Point, *, ok: bool) -> Step:
        s = self.highs.getSolution()
        M, P = len(at.residual), len(self.of)
        value = np.array(s.col_value)
        dual = np.array(s.row_dual)
        move = np.zeros(self.n)
        if not ok or len(value) < P:
            zero = np.zeros(self.n)
            return Step(zero, 0.0, zero, np.zeros(len(at.values)), np.zeros(M), ok=False)
        gained = self.still - self.highs.getInfo().objective_function_value
        np.add.at(move, self.of, value[:P] * self.sign)
        law, row = dual[:M], dual[M:]
        column = at.cost - at.A.T @ law - (at.G.T @ row if len(row) else 0.0)
        return Step(move, gained, column, row, law, ok=True)
