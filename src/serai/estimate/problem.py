# SPDX-License-Identifier: Apache-2.0
"""Weighted least squares under exact laws: minimise sum ((z - h(x)) / sigma)^2 subject to F(x) = 0.

Each Gauss-Newton step solves, with W = diag(1 / sigma^2), r = z - h(x), H and A the slopes of h and F,

    [ H'WH + eps I    A'   ] [ dx      ]   [ H'W r - A' lambda ]
    [ A           -delta I ] [ dlambda ] = [ -F                ]

eps and delta only keep the matrix K regular: the right side is that of the exact problem, so the answer does not
depend on them. Columns and rows are scaled so that the largest entries of K are about one. The pattern never changes:
a reading that is missing has weight 0. K is symmetric but indefinite; its pivots are chosen once by size and sparsity,
and watched (`sparse.lu`).

References: G. D. Hachtel, The sparse tableau approach to finite element assembly, in Sparse Matrix Computations, 1976;
A. Gjelsvik, S. Aam, L. Holten, Hachtel's augmented matrix method, IEEE Trans. PAS-104 (1985), doi:10.1109/TPAS.1985.
318793; R. J. Vanderbei, Symmetric quasidefinite matrices, SIAM J. Optim. 5 (1995), doi:10.1137/0805005.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from serai.errors import SingularSystem
from serai.estimate.inverse import Inverse
from serai.estimate.refine import refined
from serai.sparse import LU
from serai.system.kernels import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.estimate.frame import Frame, Laws
    from serai.estimate.meters import Functions

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Flags = NDArray[np.bool_]

EPS, DELTA = 1e-10, 1e-13  # beside the scaled entries of K, whose largest are about 1
BLIND = 1e-3  # share of the variance that eps alone would leave: above, nothing tells the column
TOLERANCE = 1e-9  # of the last step and of the laws, in scaled units
MOST_STEPS = 100  # where flows are near zero the laws bend much and the steps shrink slowly
PATIENCE = 6  # steps without the curvature of the laws
SURE = 0.05  # share of its curvature without that of the laws that a step must keep, or the bends are not for it
BEND = 1e-6, 10.0  # kg/s and Pa over which the curvature of a law is measured
MEMORY = 5  # a step must lower the merit below the largest of so many last ones (Grippo, Lampariello, Lucidi 1986)
SHORTEST, LONGEST = 1.0 / 256.0, 8.0  # shares of a step; long ones only away from a ridge, which slopes but little
STALLED = 10  # such shares one after the other: from here the search goes nowhere, another start may do better
SOFT = 1e4  # a cold start lets the laws of the elements give so much in its first step


@njit(cache=True, error_model="numpy")
def weigh(
    base: Floats, A: Floats, upper: Ints, lower: Ints, H: Floats, weight: Floats, rows: Ints,
    first: Ints, second: Ints, pairs: Ints, K: Floats,
) -> None:  # fmt: skip
    """Fill K: its diagonal `base`, the slopes A of the laws above and below it, and H'WH from pairs of slopes."""
    K[:] = base
    for k in range(A.size):
        K[upper[k]] = A[k]
        K[lower[k]] = A[k]
    for p in range(pairs.size):
        a, b = first[p], second[p]
        K[pairs[p]] += H[a] * H[b] * weight[rows[a]]


@njit(cache=True, error_model="numpy")
def gather(
    A: Floats, a_rows: Ints, a_columns: Ints, multipliers: Floats, H: Floats, weighted: Floats, rows: Ints,
    columns: Ints, n: int, rhs: Floats,
) -> None:  # fmt: skip
    """Fill the upper part of the right side: H'W r - A' lambda; `weighted` is W r."""
    rhs[:n] = 0.0
    for k in range(A.size):
        rhs[a_columns[k]] -= A[k] * multipliers[a_rows[k]]
    for k in range(H.size):
        if columns[k] >= 0:
            rhs[columns[k]] += H[k] * weighted[rows[k]]


@dataclass(frozen=True)
class Answer:
    """Where the search ended.

    x            all columns (n_column,), SI
    residuals    z - h(x) (n_reading,), SI; nan where nothing is read
    multipliers  lambda of each law, scaled (n_row,)
    steps, converged, reason
    broken       largest law that does not hold, scaled
    """

    x: Floats
    residuals: Floats
    multipliers: Floats
    steps: int
    converged: bool
    reason: str
    broken: float


@dataclass(frozen=True)
class Sight:
    """What a set of readings tells.

    blind       columns of which they say nothing (n_blind,)
    directions  in which the state can move unseen
    void        rows of the laws that say what others say already
    base        diagonal of K with eps in blind columns only (n_entry,)
    """

    blind: Ints
    directions: int
    void: int
    base: Floats


class Problem:
    """The matrix of one frame and its meters, factored again and again.

    n, m      free columns, rows of the laws
    free      the free columns
    unit, row_unit     SI value of one in each free column (n,), and of one in each row (m,)
    last      where the last search that converged ended (n_column,); None = nowhere yet
    """

    def __init__(self, frame: Frame, laws: Laws, functions: Functions, sigma: Floats) -> None:
        """Lay out K; `sigma` (n_reading,) are typical ones: they choose scales and pivots."""
        self.frame, self.laws, self.functions = frame, laws, functions
        self.n, self.m = laws.n, frame.system.equations.size
        self.free = laws.free
        local = np.full(frame.system.equations.columns.size, -1)
        local[self.free] = np.arange(self.n)
        self.h_rows, self.h_columns = functions.rows, local[functions.columns]
        self.laws.x[:] = frame.start
        self.multipliers = np.zeros(self.m)
        self._read = functions.bind(laws.x)
        self._bind()
        self._equilibrate(sigma)
        self._bind()
        self._lay_out(sigma)

    # --------------------------------------------------------------------------------------------------------- layout

    def _bind(self) -> None:
        """Bind the laws to a compressed list of their slopes, in the present scales."""
        laws = self.laws
        r, c = laws._all_rows, laws._all_columns  # noqa: SLF001 - the triplets of a base class of this floor's own
        inside = c >= 0
        keys, where = np.unique(r[inside] * self.n + c[inside], return_inverse=True)
        self.a_rows, self.a_columns = (keys // max(self.n, 1)).astype(np.intp), (keys % max(self.n, 1)).astype(np.intp)
        flat = np.full(r.size, keys.size)
        flat[inside] = where
        self._a = np.zeros(keys.size + 1)
        at = 0
        self._calls = []
        for s, (rows, row_scales, slot_scales) in zip(laws.stamps, laws.scales(), strict=True):
            slots = np.ascontiguousarray(flat[at : at + rows.size].reshape(rows.shape))
            at += rows.size
            self._calls.append((kernel(s.law).accumulate, (
                laws.x, s.columns, s.parameters, s.rows, row_scales, slots, slot_scales, laws.residual, self._a,
            )))  # fmt: skip
        self.unit, self.row_unit = laws.column_scales[self.free], 1.0 / laws.row_scales
        self._h_scale = np.where(self.h_columns >= 0, self.unit[self.h_columns], 0.0)

    def slopes(self) -> None:
        """Evaluate laws and readings at the present x: F, A, h, H in scaled units."""
        self.laws.residual.fill(0.0)
        self._a.fill(0.0)
        for accumulate, arguments in self._calls:
            accumulate(*arguments)
        self.F, self.A = self.laws.residual, self._a[:-1]
        self.h, slopes = self._read()
        self.H = slopes * self._h_scale

    def _equilibrate(self, sigma: Floats) -> None:
        """Scale columns and rows so that the largest entries of K are about one (Ruiz 2001).

        No column counts in more than its declared scale: where nothing flows, a slope of almost nothing would make
        millions of kg/s of one, and of the balances rows too faint to stand beside delta.
        """
        self.slopes()
        H = np.abs(self.H) / sigma[self.h_rows]
        of = self.h_columns
        d = np.ones(self.n + self.m)
        top = np.zeros(self.n)  # the diagonal of H'WH bounds its row well enough
        np.add.at(top, of[of >= 0], H[of >= 0] ** 2)
        a = np.abs(self.A)
        for _ in range(6):
            largest = np.zeros(self.n + self.m)
            largest[: self.n] = top * d[: self.n] ** 2
            value = a * d[self.a_columns] * d[self.n + self.a_rows]
            np.maximum.at(largest, self.a_columns, value)
            np.maximum.at(largest, self.n + self.a_rows, value)
            d /= np.sqrt(np.where(largest > 0.0, largest, 1.0))
            np.minimum(d[: self.n], 1.0, out=d[: self.n])
        self.laws.weigh(d[: self.n], d[self.n :])

    def _lay_out(self, sigma: Floats) -> None:
        """Find the slots of K and factor it once for typical values, which choose the pivots."""
        n, m = self.n, self.m
        order = np.argsort(self.h_rows, kind="stable")
        order = order[self.h_columns[order] >= 0]
        starts = np.searchsorted(self.h_rows[order], np.arange(self.functions.size + 1))
        first, second = [], []
        for i in range(self.functions.size):
            mine = order[starts[i] : starts[i + 1]]
            first.append(np.repeat(mine, len(mine)))
            second.append(np.tile(mine, len(mine)))
        self.first, self.second = (np.concatenate([*part, np.empty(0, np.intp)]).astype(np.intp)
                                     for part in (first, second))  # fmt: skip
        diagonal = np.arange(n + m)
        self.k_rows = np.concatenate(
            [diagonal, self.a_columns, n + self.a_rows, self.h_columns[self.first]]
        ).astype(np.intp)  # fmt: skip
        self.k_columns = np.concatenate(
            [diagonal, n + self.a_rows, self.a_columns, self.h_columns[self.second]]
        ).astype(np.intp)  # fmt: skip
        self.slopes()
        weight = 1.0 / sigma**2
        H = self.H
        values = np.concatenate([
            np.r_[np.full(n, EPS), np.full(m, -DELTA)], self.A, self.A,
            H[self.first] * H[self.second] * weight[self.h_rows[self.first]],
        ])  # fmt: skip
        self.lu = LU(n + m, self.k_rows, self.k_columns, values)
        slots, a = self.lu.slots, len(self.A)
        self.base = np.zeros(self.lu.size)
        np.add.at(self.base, slots[: n + m], values[: n + m])
        self._upper, self._lower = slots[n + m : n + m + a], slots[n + m + a : n + m + 2 * a]
        self.pairs = slots[n + m + 2 * a :]
        self.K = np.zeros(self.lu.size)
        self._sights: dict[bytes, Sight] = {}
        self._held = 0
        self.last: Floats | None = None
        self._inverse = Inverse(self.lu, self.k_rows, self.k_columns)

    def sight(self, x: Floats, weight: Floats) -> Sight:
        """Return what readings of these weights tell at all: found once for every set of them.

        Where eps (delta) alone holds a column (a multiplier) its variance is a share of 1/eps (1/delta). Elsewhere
        they are taken away, for they would lie a little on every variance.
        """
        key = (weight > 0.0).tobytes()
        if key not in self._sights:
            self.laws.x[:] = x
            self.slopes()
            self.factor(weight)
            self._held = 0
            diagonal = self.inverse()[self.lu.slots[: self.n + self.m]]
            n, slots = self.n, self.lu.slots
            share = np.r_[EPS * diagonal[:n], -DELTA * diagonal[n:]]
            held = share > BLIND
            base = np.zeros(self.lu.size)
            base[slots[: n + self.m][held]] = self.base[slots[: n + self.m][held]]
            void = round(float(share[n:].sum()))
            self._sights[key] = Sight(self.free[held[:n]], round(float(share[:n].sum())), void, base)
        return self._sights[key]

    def hold(self, x: Floats, weight: Floats, token: int) -> None:
        """Evaluate and factor at the columns x (n_column,) unless that was the last thing done for this token."""
        base = self.sight(x, weight).base
        if self._held == token:
            return
        self.laws.x[:] = x
        self.slopes()
        self.factor(weight, base)
        self._held = token

    def inverse(self) -> Floats:
        """Return K^-1 at the place of every entry of K (n_entry,), for the matrix factored last."""
        return self._inverse.entries(self.K)

    # ---------------------------------------------------------------------------------------------------------- search

    def factor(self, weight: Floats, base: Floats | None = None) -> None:
        """Factor K at the present slopes with weights 1/sigma^2 (n_reading,), 0 where nothing is read."""
        weigh(
            self.base if base is None else base, self.A, self._upper, self._lower, self.H, weight, self.h_rows,
            self.first, self.second, self.pairs, self.K,
        )  # fmt: skip
        self.lu.factor(self.K)

    def solve(self, values: Floats, weight: Floats, x: Floats, *, cold: bool) -> Answer:
        """Search from the columns x (n_column,) for readings `values` (n_reading,) with weights 1/sigma^2."""
        self._held = 0
        self.laws.x[:] = x
        for column, fixed in self.frame.fixed.items():
            self.laws.x[column] = fixed.value
        self.multipliers[:] = 0.0
        z = np.where(weight > 0.0, values, 0.0)
        self.slopes()
        reason, converged, penalty, steps = "", False, np.zeros(self.m), 0
        self._short, self._ridge = 0, False
        self._path: list[tuple[float, Floats]] = []
        if cold:
            self._approach(z, weight)
        while steps < MOST_STEPS and not reason:
            try:
                step = self._step(z, weight) if steps < PATIENCE else self._curved_step(z, weight)
            except SingularSystem as error:
                reason = f"the matrix is singular after {steps} steps: {error}"
                break
            wanted = 2.0 * np.abs(step[self.n :] + self.multipliers)
            penalty = np.maximum(penalty, wanted)
            size = self._advance(step, z, weight, penalty)
            steps += 1
            if not np.isfinite(size):
                reason = "the laws are not numbers along the step"
            elif self._short >= STALLED:
                reason = f"no step makes the fit better after {steps} steps"
            broken = float(np.max(np.abs(self.F), initial=0.0))
            converged = size <= TOLERANCE and broken <= TOLERANCE
            if converged:
                break
        reason = reason or ("" if converged else f"the steps are still above {TOLERANCE:g} after {steps} steps")
        residuals = np.where(weight > 0.0, values - self.h, np.nan)
        broken = float(np.max(np.abs(self.F), initial=0.0))
        return Answer(self.laws.x.copy(), residuals, self.multipliers.copy(), steps, converged, reason, broken)

    def _step(self, z: Floats, weight: Floats, base: Floats | None = None) -> Floats:
        self.factor(weight, base)
        return self.lu.solve(self._right_side(z, weight))

    def _right_side(self, z: Floats, weight: Floats) -> Floats:
        rhs = np.empty(self.n + self.m)
        weighted = weight * (z - self.h)
        gather(
            self.A, self.a_rows, self.a_columns, self.multipliers, self.H, weighted, self.h_rows, self.h_columns,
            self.n, rhs,
        )  # fmt: skip
        rhs[self.n :] = -self.F
        return rhs

    def _curved_step(self, z: Floats, weight: Floats) -> Floats:
        """Return the step of Newton and of the exact matrix.

        Gauss's leaves out how the laws bend, which rules where flows are near zero; where the curvature of the
        Lagrangian is not surely positive along the step, only what of the bends is positive is kept.
        """
        rhs, bend, self._ridge = self._right_side(z, weight), self._curvature(), False
        for curvature in (bend, np.maximum(bend, 0.0)):
            base = self.base.copy()
            base[self.lu.slots[: self.n]] += curvature
            self.factor(weight, base)
            step = refined(partial(self._times, weight, curvature), self.lu.solve, rhs)
            dx = step[: self.n]
            plain = float(weight @ self._seen(dx) ** 2)
            if plain + float(curvature @ dx**2) >= SURE * plain:
                break
            self._ridge = True
        return step

    def _seen(self, dx: Floats) -> Floats:
        """Return H dx (n_reading,)."""
        inside = self.h_columns >= 0
        moved = self.H[inside] * dx[self.h_columns[inside]]
        return np.asarray(np.bincount(self.h_rows[inside], moved, minlength=self.functions.size), float)

    def _times(self, weight: Floats, curvature: Floats, v: Floats) -> Floats:
        """Return the product of the exact K, without eps and delta, and a vector (n + m,)."""
        n = self.n
        weighted = weight * self._seen(v[:n])
        inside = self.h_columns >= 0
        out = np.empty(n + self.m)
        out[:n] = curvature * v[:n]
        out[:n] += np.bincount(
            self.h_columns[inside], (self.H * weighted[self.h_rows])[inside], minlength=n
        ) + np.bincount(self.a_columns, self.A * v[n + self.a_rows], minlength=n)
        out[n:] = np.bincount(self.a_rows, self.A * v[self.a_columns], minlength=self.m)
        return out

    def _curvature(self) -> Floats:
        """Return the second derivatives of multipliers x laws in each flow and pressure (n,), scaled.

        Each gas law has one flow, and its pressures bend it each by itself, so a difference of slopes gives all.
        """
        c, x, n = self.frame.system.equations.columns, self.laws.x, self.n
        found = np.zeros(n)
        for quantity, width in zip(("flow", "pressure"), BEND, strict=True):
            if quantity not in c:
                continue
            before = x.copy()
            mine = np.zeros(len(x), bool)
            mine[c[quantity].span] = True
            mine = mine[self.free]
            columns = self.free[mine]
            slopes = []
            for side in (1.0, -1.0):
                x[columns] = before[columns] + side * width
                self.slopes()
                slopes.append(self.A.copy())
            x[:] = before
            bend = (slopes[0] - slopes[1]) * self.multipliers[self.a_rows]
            own = mine[self.a_columns]
            found += np.bincount(self.a_columns[own], bend[own], minlength=n) * self.unit / (2.0 * width)
        self.slopes()
        return found

    def _merits(self, z: Floats, weight: Floats) -> tuple[float, Floats]:
        """Return half of J, and by how much each law does not hold: their sum with a penalty is the merit."""
        r = z - self.h
        return 0.5 * float(weight @ (r * r)), np.abs(self.F)

    def _advance(self, step: Floats, z: Floats, weight: Floats, penalty: Floats) -> float:
        """Take the step, or a part of it that makes the merit smaller; return its size beside the unknowns."""
        n, laws = self.n, self.laws
        before = laws.x[self.free].copy()
        self._path = [*self._path[1 - MEMORY :], self._merits(z, weight)]
        merit = max(half + float(penalty @ broken) for half, broken in self._path)
        t = LONGEST if self._ridge else 1.0
        size = float(np.max(np.abs(step[:n]) / (1.0 + np.abs(before) / self.unit), initial=0.0))
        while True:
            laws.x[self.free] = before + t * step[:n] * self.unit
            self.slopes()
            half, broken = self._merits(z, weight)
            after = half + float(penalty @ broken)
            if after <= merit * (1.0 + 1e-9) + 1e-9 or (size <= 1e-6 and t <= 1.0) or t <= SHORTEST:
                break
            t *= 0.5
        self.multipliers += min(t, 1.0) * step[n:]
        self._short = self._short + 1 if t <= SHORTEST else 0
        return size if t >= 1.0 and np.isfinite(after) else (max(size, 1.0) if np.isfinite(after) else np.inf)

    def _approach(self, z: Floats, weight: Floats) -> None:
        """Take a first step in which balances hold and the laws of elements, whose slopes mean little yet, give way."""
        base = self.base.copy()
        soft = np.array([k for label, names, first, _ in self.frame.system.equations.row_blocks
                         if label in ("momentum", "compression power") for k in range(first, first + len(names))],
                        np.intp)  # fmt: skip
        base[self.lu.slots[self.n + soft]] = -SOFT
        base[self.lu.slots[: self.n]] += 1e-6
        try:
            step = self._step(z, weight, base)
        except SingularSystem:
            return
        if np.isfinite(step).all():
            self.laws.x[self.free] += step[: self.n] * self.unit
            self.slopes()
