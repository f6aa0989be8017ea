# SPDX-License-Identifier: Apache-2.0
"""One sparsity pattern, factored for eight scenarios at once.

Scenarios of one network share their pattern. So the order of the pivots and the places of the factors are found once
(`lay_out`, `lay_out_blocks`); each set of eight values is then eliminated in place, without a search and without a
gather: every number is eight lanes (`serai.lanes`), flat, element i of lane l at [i n_lanes + l].

    layout = lay_out(n, rows, columns, values)            # once; triplets; typical values, or None: diagonal pivots
    # inside a compiled kernel, per eight scenarios (X, D, weakest: a workspace kept between calls):
    #   zero X at layout.fills, write or add the value of triplet k at lanes layout.slots[k] of X
    #   factor_lanes(starts, diagonal, columns, targets, X, D, weakest, lanes)
    #   write the right side of matrix row r at lanes layout.row_place[r] of B
    #   solve_lanes(starts, diagonal, columns, X, D, B, lanes)
    #   the unknown of matrix column c stands at lanes layout.column_place[c] of B

The pivots are static: `weakest` gives, per lane, the smallest pivot beside the largest entry of its row. A lane where
that is below `TRUSTED`, or NaN, must be solved in another way. `LaneLU` does all that for systems that are at hand as
arrays, with one refinement and SuperLU for the lanes that need it. `factor_blocks` and `solve_blocks` are the same for
matrices of 2x2 blocks, X and D then hold four lane numbers a slot. `selected_inverse` gives the inverse on the pattern.

References: X. S. Li, J. W. Demmel, SuperLU_DIST, ACM Trans. Math. Softw. 29 (2003), doi:10.1145/779359.779361 (static
pivots); A. M. Erisman, W. F. Tinney, On computing certain elements of the inverse of a sparse matrix, Comm. ACM 18
(1975), doi:10.1145/360680.360704.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit
from scipy.sparse import csc_array
from scipy.sparse.linalg import splu

from serai.errors import SingularSystem
from serai.lanes import EIGHT, fmuladd, load, maximum, minimum, splat, store, where
from serai.sparse.ordering import factor_products, factor_rows, plan
from serai.sparse.structure import by_rows, structural_check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int32]
    Indices = NDArray[np.uint32]
    Lanes = tuple[float, ...]

# A static pivot below this share of the largest entry of its row is not trusted.
TRUSTED = 1e-11
# A solution with a larger backward error is refined; one that stays there after it is found in another way.
_TRUST_BELOW = 1e-12

# Nothing is allocated in the passes: without counting references they compile in half the time.
passes = njit(cache=True, error_model="numpy", nogil=True, _nrt=False, no_rewrites=True, no_cfunc_wrapper=True)


class LaneLayout(NamedTuple):
    """The factors of one pattern, row after row: columns of L ascending, the diagonal, columns of U ascending.

    starts, diagonal, columns   first slot of each row (n + 1,), slot of its diagonal (n,), column of each slot
    targets      slot changed by each product of the factorisation, in the order of the products
    slots        where each triplet belongs, (n_triplets,); repeated triplets share a slot
    fills        slots that no triplet writes
    row_place, column_place    place of each row and column of the matrix among the pivots, (n,)
    """

    starts: Indices
    diagonal: Indices
    columns: Indices
    targets: Indices
    slots: Indices
    fills: Indices
    row_place: Indices
    column_place: Indices


def lay_out(
    n: int, rows: ArrayLike, columns: ArrayLike, values: ArrayLike | None = None, *, mirrored: bool = False
) -> LaneLayout:
    """Choose the pivots of an n x n pattern, given by triplets (n_triplets,), and lay out its factors.

    values    a typical value of each triplet: pivots by size and sparsity, for any matrix. None = the diagonal holds
              the pivots, in the order of minimum degree: for symmetric patterns and dominant diagonals
    mirrored  make the pattern symmetric in the order of the pivots, as the selected inverse needs; always so for None

    Raises SingularSystem where the pattern alone makes the matrix singular.
    """
    r, c = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
    if values is None:
        row_place = column_place = minimum_degree(n, r, c)
        mirrored = True
    else:
        if structural_check(n, n, r, c) is not None:
            raise SingularSystem("no values can make this system regular: see structural_check")
        keys, slots = np.unique(r * n + c, return_inverse=True)
        starts, entries = by_rows(n, keys // max(n, 1), keys % max(n, 1))
        p = plan(
            starts, entries, np.bincount(slots, np.asarray(values, np.float64), minlength=keys.size).astype(np.float64)
        )
        row_place, column_place = np.argsort(p.row_at), np.argsort(p.column_at)
    return _laid_out(n, row_place[r], column_place[c], row_place, column_place, mirrored=mirrored)


def minimum_degree(n: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return the place of each row and column (n,) in an order of small degree for the symmetric pattern A + A'."""
    if n == 0:
        return np.empty(0, np.intp)
    off = rows != columns
    r, c = np.r_[rows[off], columns[off]], np.r_[columns[off], rows[off]]
    diagonal = np.arange(n)
    dominant = np.r_[np.full(r.size, -1.0), np.full(n, 2.0 * r.size + 1.0)]  # so that SuperLU keeps the diagonal
    matrix = csc_array((dominant, (np.r_[r, diagonal], np.r_[c, diagonal])), shape=(n, n))
    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    return np.asarray(factors.perm_c, np.intp)


def _laid_out(
    n: int, r: NDArray[np.int64], c: NDArray[np.int64], row_place: NDArray[np.intp], column_place: NDArray[np.intp],
    *, mirrored: bool,
) -> LaneLayout:  # fmt: skip
    """Lay out the factors of triplets that are in the order of the pivots already."""
    diagonal = np.arange(n)
    keys = np.concatenate([r * n + c, diagonal * n + diagonal, c * n + r if mirrored else r[:0]])
    keys, place = np.unique(keys, return_inverse=True)
    starts, entries = by_rows(n, keys // max(n, 1), keys % max(n, 1))
    factor_starts, factor_diagonal, factor_columns = factor_rows(starts, entries)
    entry_slots, targets = factor_products(starts, entries, factor_starts, factor_diagonal, factor_columns)
    slots = entry_slots[place[: r.size]]
    untouched = np.ones(factor_columns.size, bool)
    untouched[slots] = False
    arrays = (
        factor_starts, factor_diagonal, factor_columns, targets, slots, np.flatnonzero(untouched), row_place,
        column_place,
    )  # fmt: skip
    return LaneLayout(*(np.ascontiguousarray(a, np.uint32) for a in arrays))


# ----------------------------------------------------------------------------------------------------- 1x1, in lanes


@passes
def factor_lanes(
    starts: Indices, diagonal: Indices, columns: Indices, targets: Indices, X: Floats, D: Floats, weakest: Floats,
    lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Turn the values in the slots X into L (unit diagonal) and U, write the inverse pivots to D.

    X (n_slots n_lanes,), D (n n_lanes,), weakest (n_lanes,): smallest |pivot| over the largest entry of its row of the
    matrix and of U; NaN where a pivot is NaN or 0/0.
    """
    least = splat(np.inf, lanes)
    o = np.intp(0)
    for i in range(diagonal.size):
        begin, middle, end = np.intp(starts[i]), np.intp(diagonal[i]), np.intp(starts[i + 1])
        largest = splat(0.0, lanes)
        for q in range(begin, end):
            largest = maximum(largest, abs(load(X, q, lanes)))
        for q in range(begin, middle):
            k = np.intp(columns[q])
            l = load(X, q, lanes) * load(D, k, lanes)
            store(X, q, l)
            for u in range(np.intp(diagonal[k]) + 1, np.intp(starts[k + 1])):
                t = np.intp(targets[o])
                store(X, t, fmuladd(-l, load(X, u, lanes), load(X, t, lanes)))
                o += 1
        for q in range(middle, end):
            largest = maximum(largest, abs(load(X, q, lanes)))
        pivot = load(X, middle, lanes)
        store(D, i, 1.0 / pivot)
        least = minimum(least, abs(pivot) / largest)
    store(weakest, 0, least)


@passes
def solve_lanes(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, B: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace the right side B (n n_lanes,), in the order of the pivots, by the solution."""
    n = diagonal.size
    for i in range(n):
        s = load(B, i, lanes)
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            s = fmuladd(-load(X, q, lanes), load(B, np.intp(columns[q]), lanes), s)
        store(B, i, s)
    for i in range(n - 1, -1, -1):
        s = load(B, i, lanes)
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            s = fmuladd(-load(X, q, lanes), load(B, np.intp(columns[q]), lanes), s)
        store(B, i, s * load(D, i, lanes))


# ----------------------------------------------------------------------------------------------------- 2x2, in lanes


@passes
def factor_blocks(
    starts: Indices, diagonal: Indices, columns: Indices, targets: Indices, X: Floats, D: Floats, weakest: Floats,
    lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Do what `factor_lanes` does for blocks [[a, b], [c, d]], lanes 4 s + (0, 1, 2, 3) of slot s.

    D takes the inverse of each diagonal block; weakest the smallest |ad - bc| / max(|ad|, |bc|) over all of them.
    """
    least = splat(np.inf, lanes)
    o = np.intp(0)
    for i in range(diagonal.size):
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            k = np.intp(columns[q])
            a, b = load(X, 4 * q, lanes), load(X, 4 * q + 1, lanes)
            c, d = load(X, 4 * q + 2, lanes), load(X, 4 * q + 3, lanes)
            e, f = load(D, 4 * k, lanes), load(D, 4 * k + 1, lanes)
            g, h = load(D, 4 * k + 2, lanes), load(D, 4 * k + 3, lanes)
            la, lb = -fmuladd(b, g, a * e), -fmuladd(b, h, a * f)
            lc, ld = -fmuladd(d, g, c * e), -fmuladd(d, h, c * f)
            store(X, 4 * q, -la)
            store(X, 4 * q + 1, -lb)
            store(X, 4 * q + 2, -lc)
            store(X, 4 * q + 3, -ld)
            for u in range(np.intp(diagonal[k]) + 1, np.intp(starts[k + 1])):
                t = 4 * np.intp(targets[o])
                o += 1
                e, f = load(X, 4 * u, lanes), load(X, 4 * u + 1, lanes)
                g, h = load(X, 4 * u + 2, lanes), load(X, 4 * u + 3, lanes)
                store(X, t, fmuladd(lb, g, fmuladd(la, e, load(X, t, lanes))))
                store(X, t + 1, fmuladd(lb, h, fmuladd(la, f, load(X, t + 1, lanes))))
                store(X, t + 2, fmuladd(ld, g, fmuladd(lc, e, load(X, t + 2, lanes))))
                store(X, t + 3, fmuladd(ld, h, fmuladd(lc, f, load(X, t + 3, lanes))))
        m = 4 * np.intp(diagonal[i])
        a, b, c, d = load(X, m, lanes), load(X, m + 1, lanes), load(X, m + 2, lanes), load(X, m + 3, lanes)
        ad, bc = a * d, b * c
        determinant = ad - bc
        inverse = 1.0 / determinant
        store(D, 4 * i, d * inverse)
        store(D, 4 * i + 1, -b * inverse)
        store(D, 4 * i + 2, -c * inverse)
        store(D, 4 * i + 3, a * inverse)
        least = minimum(least, abs(determinant) / maximum(abs(ad), abs(bc)))
    store(weakest, 0, least)


@passes
def solve_blocks(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, B: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace the right side B (2 n n_lanes,), in the order of the pivots, by the solution."""
    n = diagonal.size
    for i in range(n):
        s, t = load(B, 2 * i, lanes), load(B, 2 * i + 1, lanes)
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            j = 2 * np.intp(columns[q])
            x, y = load(B, j, lanes), load(B, j + 1, lanes)
            s = fmuladd(-load(X, 4 * q + 1, lanes), y, fmuladd(-load(X, 4 * q, lanes), x, s))
            t = fmuladd(-load(X, 4 * q + 3, lanes), y, fmuladd(-load(X, 4 * q + 2, lanes), x, t))
        store(B, 2 * i, s)
        store(B, 2 * i + 1, t)
    for i in range(n - 1, -1, -1):
        s, t = load(B, 2 * i, lanes), load(B, 2 * i + 1, lanes)
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            j = 2 * np.intp(columns[q])
            x, y = load(B, j, lanes), load(B, j + 1, lanes)
            s = fmuladd(-load(X, 4 * q + 1, lanes), y, fmuladd(-load(X, 4 * q, lanes), x, s))
            t = fmuladd(-load(X, 4 * q + 3, lanes), y, fmuladd(-load(X, 4 * q + 2, lanes), x, t))
        store(B, 2 * i, fmuladd(load(D, 4 * i + 1, lanes), t, load(D, 4 * i, lanes) * s))
        store(B, 2 * i + 1, fmuladd(load(D, 4 * i + 3, lanes), t, load(D, 4 * i + 2, lanes) * s))


@passes
def solve_blocks_pair(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, B: Floats, C: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Do what `solve_blocks` does for two right sides, reading the factors once."""
    n = diagonal.size
    for i in range(n):
        s, t = load(B, 2 * i, lanes), load(B, 2 * i + 1, lanes)
        v, w = load(C, 2 * i, lanes), load(C, 2 * i + 1, lanes)
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            j = 2 * np.intp(columns[q])
            a, b = -load(X, 4 * q, lanes), -load(X, 4 * q + 1, lanes)
            c, d = -load(X, 4 * q + 2, lanes), -load(X, 4 * q + 3, lanes)
            x, y = load(B, j, lanes), load(B, j + 1, lanes)
            s, t = fmuladd(b, y, fmuladd(a, x, s)), fmuladd(d, y, fmuladd(c, x, t))
            x, y = load(C, j, lanes), load(C, j + 1, lanes)
            v, w = fmuladd(b, y, fmuladd(a, x, v)), fmuladd(d, y, fmuladd(c, x, w))
        store(B, 2 * i, s)
        store(B, 2 * i + 1, t)
        store(C, 2 * i, v)
        store(C, 2 * i + 1, w)
    for i in range(n - 1, -1, -1):
        s, t = load(B, 2 * i, lanes), load(B, 2 * i + 1, lanes)
        v, w = load(C, 2 * i, lanes), load(C, 2 * i + 1, lanes)
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            j = 2 * np.intp(columns[q])
            a, b = -load(X, 4 * q, lanes), -load(X, 4 * q + 1, lanes)
            c, d = -load(X, 4 * q + 2, lanes), -load(X, 4 * q + 3, lanes)
            x, y = load(B, j, lanes), load(B, j + 1, lanes)
            s, t = fmuladd(b, y, fmuladd(a, x, s)), fmuladd(d, y, fmuladd(c, x, t))
            x, y = load(C, j, lanes), load(C, j + 1, lanes)
            v, w = fmuladd(b, y, fmuladd(a, x, v)), fmuladd(d, y, fmuladd(c, x, w))
        a, b = load(D, 4 * i, lanes), load(D, 4 * i + 1, lanes)
        c, d = load(D, 4 * i + 2, lanes), load(D, 4 * i + 3, lanes)
        store(B, 2 * i, fmuladd(b, t, a * s))
        store(B, 2 * i + 1, fmuladd(d, t, c * s))
        store(C, 2 * i, fmuladd(b, w, a * v))
        store(C, 2 * i + 1, fmuladd(d, w, c * v))


# --------------------------------------------------------------------------------------------------- many at a time


@njit(cache=True, error_model="numpy", nogil=True)
def _solve_many(
    starts: Indices, diagonal: Indices, columns: Indices, targets: Indices, slots: Indices, row_place: Indices,
    column_place: Indices, rows: Indices, cols: Indices, values: Floats, rhs: Floats, x: Floats, errors: Floats,
    first: int, last: int, lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Solve systems first .. last: values (n_systems, n_triplets), rhs and x (n_systems, n), errors (n_systems,)."""
    width = len(lanes)
    n, count = diagonal.size, slots.size
    A, X, D = np.empty(count * width), np.empty(columns.size * width), np.empty(n * width)
    B, R, S, Z = np.empty(n * width), np.empty(n * width), np.empty(n * width), np.empty(n * width)
    weakest = np.empty(width)
    for block in range(first, last, width):
        for l in range(width):
            s = min(block + l, last - 1)
            for k in range(count):
                A[k * width + l] = values[s, k]
            for i in range(n):
                R[np.intp(row_place[i]) * width + l] = rhs[s, i]
        X[:] = 0.0
        for k in range(count):
            slot = np.intp(slots[k])
            store(X, slot, load(X, slot, lanes) + load(A, k, lanes))
        factor_lanes(starts, diagonal, columns, targets, X, D, weakest, lanes)
        Z[:] = 0.0
        for attempt in range(3):
            # residual and size of each row, in the order of the pivots, for the solution so far
            for l in range(width):
                s = min(block + l, last - 1)
                for i in range(n):
                    B[np.intp(row_place[i]) * width + l] = rhs[s, i]
            for i in range(n):
                store(S, i, abs(load(B, i, lanes)))
            for k in range(count):
                at, j = np.intp(row_place[np.intp(rows[k])]), np.intp(column_place[np.intp(cols[k])])
                product = load(A, k, lanes) * load(Z, j, lanes)
                store(B, at, load(B, at, lanes) - product)
                store(S, at, load(S, at, lanes) + abs(product))
            worst = splat(0.0, lanes)
            for i in range(n):
                r, size = load(B, i, lanes), load(S, i, lanes)
                worst = maximum(worst, abs(r) / maximum(size, 1e-300))
            store(weakest, 0, worst)
            if attempt == 2:
                break
            done = True
            for l in range(width):
                done = done and weakest[l] <= _TRUST_BELOW
            if done:
                break
            solve_lanes(starts, diagonal, columns, X, D, B, lanes)
            before = load(weakest, 0, lanes)
            for i in range(n):
                store(Z, i, load(Z, i, lanes) + where(before <= _TRUST_BELOW, 0.0, load(B, i, lanes)))
        for l in range(min(width, last - block)):
            errors[block + l] = weakest[l]
            for i in range(n):
                x[block + l, i] = Z[np.intp(column_place[i]) * width + l]


class LaneLU:
    """One pattern, solved for many sets of values, eight at a time.

    n, rows, columns, values   as `lay_out` takes them
    fallbacks                  how many systems so far needed partial pivoting
    """

    def __init__(
        self, n: int, rows: ArrayLike, columns: ArrayLike, values: ArrayLike | None = None, *, mirrored: bool = False
    ) -> None:
        self.n = n
        self.layout = lay_out(n, rows, columns, values, mirrored=mirrored)
        self._rows = np.ascontiguousarray(rows, np.uint32)
        self._columns = np.ascontiguousarray(columns, np.uint32)
        self.fallbacks = 0

    def solve(self, values: ArrayLike, rhs: ArrayLike) -> tuple[Floats, Floats]:
        """Solve many systems: values (n_systems, n_triplets), rhs (n_systems, n).

        Returns the solutions (n_systems, n) and their backward errors (n_systems,). Lanes that one refinement does not
        bring to round-off are solved with partial pivoting; a system that is singular has NaN and an error of NaN.
        """
        v, b = np.ascontiguousarray(values, np.float64), np.ascontiguousarray(rhs, np.float64)
        p = self.layout
        x, errors = np.empty(b.shape), np.empty(b.shape[0])
        _solve_many(
            p.starts, p.diagonal, p.columns, p.targets, p.slots, p.row_place, p.column_place, self._rows, self._columns,
            v, b, x, errors, 0, b.shape[0], EIGHT,
        )  # fmt: skip
        for s in np.flatnonzero(~(errors <= _TRUST_BELOW)):
            self.fallbacks += 1
            x[s], errors[s] = self._pivoted(v[s], b[s])
        return x, errors

    def _pivoted(self, values: Floats, rhs: Floats) -> tuple[Floats, float]:
        """Solve one system with partial pivoting."""
        lost = np.full(self.n, np.nan), np.nan
        matrix = csc_array((values, (self._rows, self._columns)), shape=(self.n, self.n))
        if not (np.isfinite(values).all() and np.isfinite(rhs).all()):
            return lost
        try:
            factors = splu(matrix)
        except RuntimeError:  # an exact zero pivot
            return lost
        x = factors.solve(rhs)
        x += factors.solve(rhs - matrix @ x)
        size = abs(matrix) @ np.abs(x) + np.abs(rhs)
        error = float(np.max(np.abs(rhs - matrix @ x) / np.maximum(size, 1e-300), initial=0.0))
        return (x, error) if error <= _TRUST_BELOW else lost

    def inverse(self, values: ArrayLike) -> Floats:
        """Return entries of the inverse of one matrix: A^-1[columns[k], rows[k]] for every triplet k, (n_triplets,).

        The layout must be mirrored. For a symmetric matrix these are the entries at (rows[k], columns[k]).
        """
        p = self.layout
        data = np.bincount(p.slots, np.asarray(values, np.float64), minlength=p.columns.size)
        X, D, weakest = data, np.empty(self.n), np.empty(1)
        factor_lanes(p.starts, p.diagonal, p.columns, p.targets, X, D, weakest, EIGHT[:1])
        if not weakest[0] > TRUSTED:
            raise SingularSystem("the matrix is singular, or its static pivots do not serve for these values")
        other = mirror(p)
        Z: Floats = selected_inverse(p.starts, p.diagonal, p.columns, other, X, D)
        return Z[other[p.slots]]


def mirror(layout: LaneLayout) -> Indices:
    """Return the slot of (j, i) for the slot of each (i, j), (n_slots,); the pattern must be symmetric."""
    n = layout.diagonal.size
    rows = np.repeat(np.arange(n), np.diff(layout.starts).astype(np.intp))
    columns = layout.columns.astype(np.int64)
    back = np.lexsort((rows, columns))
    if not (np.array_equal(columns[back], rows) and np.array_equal(rows[back], columns)):
        raise SingularSystem("the selected inverse needs a symmetric pattern: lay it out with mirrored=True")
    return back.astype(np.uint32)


@njit(cache=True, error_model="numpy")
def selected_inverse(
    starts: Indices, diagonal: Indices, columns: Indices, mirrors: Indices, X: Floats, D: Floats
) -> Floats:
    """Return the inverse on the slots of a symmetric pattern, (n_slots,), from its factors; in the order of the pivots.

    With A = L U, U_ii = 1/D_i and k over the columns of U in row i [Erisman, Tinney]:

        Z_ij = -D_i sum_k U_ik Z_kj      Z_ji = -sum_k Z_jk L_ki      Z_ii = D_i (1 - sum_k U_ik Z_ki)
    """
    n = diagonal.size
    Z = np.zeros(columns.size)
    place = np.full(n, -1, np.int64)  # slot in row i of each column of U
    for i in range(n - 1, -1, -1):
        middle, end = np.intp(diagonal[i]), np.intp(starts[i + 1])
        for u in range(middle + 1, end):
            place[np.intp(columns[u])] = u
        for u in range(middle + 1, end):
            k = np.intp(columns[u])
            below = np.intp(mirrors[u])  # the slot (k, i)
            column = 0.0
            for s in range(np.intp(starts[k]), np.intp(starts[k + 1])):
                other = place[np.intp(columns[s])]
                if other >= 0:
                    Z[other] -= D[i] * X[u] * Z[s]
                    column -= Z[s] * X[np.intp(mirrors[other])]
            Z[below] = column
        total = 1.0
        for u in range(middle + 1, end):
            total -= X[u] * Z[np.intp(mirrors[u])]
            place[np.intp(columns[u])] = -1
        Z[middle] = D[i] * total
    return Z
