# SPDX-License-Identifier: Apache-2.0
"""One sparsity pattern, factored again and again.

Gaussian elimination with static pivots: the pivots and the pattern of the factors are found once, for typical values,
and each new set of values is eliminated in place without a search. Every solution is measured by its backward error

    omega = max_i |b - A x|_i / (|A| |x| + |b|)_i

and refined once where that is not at round-off. Where it stays too large, or a pivot is too small, new static pivots
are chosen for these values; where that was tried of late, or does not help, SuperLU solves with partial pivoting.

References: X. S. Li, J. W. Demmel, SuperLU_DIST, ACM Trans. Math. Softw. 29 (2003), doi:10.1145/779359.779361;
M. Arioli, J. W. Demmel, I. S. Duff, Solving sparse linear systems with sparse backward error, SIAM J. Matrix Anal.
Appl. 10 (1989), doi:10.1137/0610013.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from scipy.sparse import csc_array, csr_array
from scipy.sparse.linalg import splu

from serai.errors import SeraiError, SingularSystem
from serai.sparse.ordering import plan
from serai.sparse.structure import by_rows, structural_check

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from serai.sparse.ordering import Pattern

    Floats = NDArray[np.float64]
    Indices = NDArray[np.uint32]

# A static pivot below this share of its row's largest entry is not trusted.
_SMALLEST_PIVOT = 1e-11
# A solution with a larger backward error is refined; one that stays there after it is found in another way.
_TRUST_BELOW = 1e-12
# An unknown so much smaller than the largest one is measured against this share of the largest one.
_FLOOR = 1e-4
# A scaled matrix that shrinks some vector by more than this is singular in double precision.
_SINGULAR = 1e-15
# New static pivots are chosen only if the present ones served for 1, 2, 4, ... and at most so many factorisations.
_MOST_PATIENCE = 32
# A null vector's entry above this share of its largest one is suspicious.
_SUSPICIOUS = 0.3


@dataclass(slots=True)
class Statistics:
    """What one `LU` holds and what happened to it.

    nonzeros, factor_nonzeros, multiplications
                    entries of the matrix, of both factors, and products L_ik U_kj of one factorisation
    smallest_pivot  smallest static pivot of the last factorisation over the largest entry of its matrix row
    growth          largest entry of U of the last factorisation over the largest entry of its matrix row
    factorings      how many sets of values were factored
    fallbacks       how many of them needed partial pivoting
    refinements     how many solutions were refined
    rematches       how many times new static pivots were chosen
    """

    nonzeros: int = 0
    factor_nonzeros: int = 0
    multiplications: int = 0
    smallest_pivot: float = 1.0
    growth: float = 1.0
    factorings: int = 0
    fallbacks: int = 0
    refinements: int = 0
    rematches: int = 0


# Nothing is allocated in these: without counting references they compile in half the time.
passes = njit(cache=True, error_model="numpy", _nrt=False, no_rewrites=True, no_cfunc_wrapper=True)


@passes
def factor_in_place(
    data: Floats,
    starts: Indices,
    diagonal: Indices,
    columns: Indices,
    targets: Indices,
    entry_starts: Indices,
    entries: Indices,
    entry_slots: Indices,
    X: Floats,
    D: Floats,
) -> tuple[float, float]:
    """Fill the slots X with L (unit diagonal) and U, and D with the inverse pivots; return smallest pivot and growth.

    Both are relative to the largest entry of the matrix row; a zero or NaN pivot gives 0.
    """
    smallest = np.inf
    growth = 0.0
    o = np.intp(0)
    for i in range(diagonal.size):
        begin, middle, end = np.intp(starts[i]), np.intp(diagonal[i]), np.intp(starts[i + 1])
        for q in range(begin, end):
            X[q] = 0.0
        largest = 0.0
        for p in range(np.intp(entry_starts[i]), np.intp(entry_starts[i + 1])):
            value = data[np.intp(entries[p])]
            X[np.intp(entry_slots[p])] = value
            largest = max(largest, abs(value))
        for q in range(begin, middle):
            k = np.intp(columns[q])
            l = X[q] * D[k]
            X[q] = l
            for u in range(np.intp(diagonal[k]) + 1, np.intp(starts[k + 1])):
                X[np.intp(targets[o])] -= l * X[u]
                o += 1
        pivot = X[middle]
        if not abs(pivot) > 0.0:  # catches NaN as well
            return 0.0, growth
        D[i] = 1.0 / pivot
        most = 0.0
        for q in range(middle, end):
            most = max(most, abs(X[q]))
        smallest = min(smallest, abs(pivot) / largest)
        growth = max(growth, most / largest)
    return smallest, growth


@passes
def solve_rows(
    starts: Indices, diagonal: Indices, columns: Indices, row_at: Indices, column_at: Indices,
    X: Floats, D: Floats, rhs: Floats, work: Floats, x: Floats,
) -> None:  # fmt: skip
    """Solve L U = the permuted matrix for one right side: x (n,) in the order of the matrix columns."""
    n = diagonal.size
    for i in range(n):
        s = rhs[np.intp(row_at[i])]
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            s -= X[q] * work[np.intp(columns[q])]
        work[i] = s
    for i in range(n - 1, -1, -1):
        s = work[i]
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            s -= X[q] * work[np.intp(columns[q])]
        s *= D[i]
        work[i] = s
        x[np.intp(column_at[i])] = s


@passes
def solve_columns(
    starts: Indices, diagonal: Indices, columns: Indices, row_at: Indices, column_at: Indices,
    X: Floats, D: Floats, rhs: Floats, work: Floats, x: Floats,
) -> None:  # fmt: skip
    """Solve with the transposed factors for one right side: x (n,) in the order of the matrix rows."""
    n = diagonal.size
    for i in range(n):
        work[i] = rhs[np.intp(column_at[i])]
    for i in range(n):
        s = work[i] * D[i]
        work[i] = s
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            work[np.intp(columns[q])] -= X[q] * s
    for i in range(n - 1, -1, -1):
        s = work[i]
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            work[np.intp(columns[q])] -= X[q] * s
        x[np.intp(row_at[i])] = s


@passes
def backward_error(starts: Indices, columns: Indices, data: Floats, x: Floats, rhs: Floats, residual: Floats) -> float:
    """Fill residual = rhs - A x, (n,), and return the largest backward error of its rows; NaN wins."""
    largest = 0.0
    for k in range(x.size):
        largest = max(largest, abs(x[k]))
    worst = 0.0
    for i in range(rhs.size):
        r = rhs[i]
        size = abs(r)
        row = 0.0
        for p in range(np.intp(starts[i]), np.intp(starts[i + 1])):
            j = np.intp(columns[p])
            product = data[p] * x[j]
            r -= product
            size += abs(product)
            row += abs(data[p])
        residual[i] = r
        size = max(size, _FLOOR * row * largest)
        if not abs(r) <= worst * size:  # catches NaN as well
            worst = abs(r) / size
    return worst


@njit(cache=True, error_model="numpy")
def backward_error_transposed(
    starts: Indices, columns: Indices, data: Floats, x: Floats, rhs: Floats, residual: Floats
) -> float:
    """Fill residual = rhs - A' x, (n,), and return the largest backward error of its rows; NaN wins."""
    n = x.size
    size = np.abs(rhs)
    column = np.zeros(n)
    largest = 0.0
    for i in range(n):
        residual[i] = rhs[i]
        largest = max(largest, abs(x[i]))
    for i in range(n):
        for p in range(np.intp(starts[i]), np.intp(starts[i + 1])):
            j = np.intp(columns[p])
            product = data[p] * x[i]
            residual[j] -= product
            size[j] += abs(product)
            column[j] += abs(data[p])
    worst = 0.0
    for k in range(n):
        scale = max(size[k], _FLOOR * column[k] * largest)
        if not abs(residual[k]) <= worst * scale:  # catches NaN as well
            worst = abs(residual[k]) / scale
    return worst


class _Pivoted:
    """The fallback: SuperLU with partial pivoting of the matrix with its rows and columns scaled to 1."""

    def __init__(self, matrix: csr_array, pivots: tuple[Indices, Indices]) -> None:
        """Factor, and raise `SingularSystem` where the matrix shrinks some vector to nothing.

        matrix: the assembled matrix, (n, n). pivots: rows and columns of n entries that could be pivots, (n,) each.
        """
        absolute = abs(matrix)
        rows = np.asarray(absolute.max(axis=1).todense(), np.float64).ravel()
        self._row_scale = 1.0 / np.where(rows > 0.0, rows, 1.0)
        scaled = csr_array(matrix.multiply(self._row_scale[:, None]))
        columns = np.asarray(abs(scaled).max(axis=0).todense(), np.float64).ravel()
        self._column_scale = 1.0 / np.where(columns > 0.0, columns, 1.0)
        scaled = csr_array(scaled.multiply(self._column_scale))
        try:
            self._factors: Any = splu(csc_array(scaled))
        except RuntimeError:  # SuperLU met an exact zero pivot: look for the null vectors of a matrix close by
            self._factors = self._nearby(scaled, pivots)
            self._refuse(*self._null_vectors(scaled, rounds=3)[1:])
        shrinks_to, left, right = self._null_vectors(scaled, rounds=1)
        if not shrinks_to > _SINGULAR:
            self._refuse(left, right)

    @staticmethod
    def _nearby(scaled: csr_array, pivots: tuple[Indices, Indices]) -> Any:
        """Factor the matrix with its possible pivots and its diagonal nudged, by more and more until it factors."""
        n = scaled.shape[0]
        places = np.concatenate([pivots[0], np.arange(n)]), np.concatenate([pivots[1], np.arange(n)])
        random = np.random.default_rng(0)
        for size in (1e-10, 1e-8, 1e-6):
            nudge = csr_array((size * random.uniform(0.5, 1.0, 2 * n), places), shape=(n, n))
            try:
                return splu(csc_array(scaled + nudge))
            except RuntimeError:
                continue
        text = "the matrix is singular, and so are the matrices close by"
        raise SingularSystem(text)

    def solve(self, rhs: Floats) -> Floats:
        """Solve A x = rhs, (n,)."""
        solution: Floats = self._column_scale * self._factors.solve(self._row_scale * rhs)
        return solution

    def solve_transposed(self, rhs: Floats) -> Floats:
        """Solve A' x = rhs, (n,)."""
        solution: Floats = self._row_scale * self._factors.solve(self._column_scale * rhs, "T")
        return solution

    def _null_vectors(self, scaled: csr_array, *, rounds: int) -> tuple[float, Floats, Floats]:
        """Iterate the inverse: how much the matrix shrinks a vector at most, and the left and right vectors, (n,)."""
        right = np.random.default_rng(0).uniform(0.5, 1.0, scaled.shape[0])
        for _ in range(rounds):
            left = self._factors.solve(right / np.linalg.norm(right), "T")
            right = self._factors.solve(left / np.linalg.norm(left))
        return 1.0 / float(np.linalg.norm(right)), left, right

    @staticmethod
    def _refuse(left: Floats, right: Floats) -> None:
        """Raise the error that points at the largest entries of the null vectors."""
        rows, columns = (np.argsort(-np.abs(v)) for v in (left, right))
        rows = rows[np.abs(left)[rows] >= _SUSPICIOUS * np.abs(left).max()]
        columns = columns[np.abs(right)[columns] >= _SUSPICIOUS * np.abs(right).max()]
        text = (
            f"the matrix is singular: {rows.size} of its rows depend on each other, "
            f"and {columns.size} of its unknowns can move together without any row seeing it"
        )
        raise SingularSystem(text, rows.tolist(), columns.tolist())


class LU:
    """One sparsity pattern, factored again and again.

    n, rows, columns  size of the square matrix and its pattern as triplets, (n_triplets,); repeated ones are summed
    values            a typical value of each triplet, (n_triplets,), for the choice of the pivots; where absent, the
                      first matrix to be factored stands in

    slots             where each triplet belongs in the assembled values: `data[slots[k]] += value_k`, (n_triplets,)
    size              length of the assembled values; a caller may append one element as a bin, it is not read
    statistics        what happened so far

    Raises `SingularSystem` where the pattern alone makes the matrix singular.
    """

    def __init__(self, n: int, rows: ArrayLike, columns: ArrayLike, values: ArrayLike | None = None) -> None:
        r = np.asarray(rows, np.int64)
        c = np.asarray(columns, np.int64)
        defect = structural_check(n, n, r, c)
        if defect is not None:
            text = (
                f"no values can make this system regular: {defect.rows.size} equations share only "
                f"{defect.columns.size} unknowns, and {defect.missing_columns.size} unknowns are held by only "
                f"{defect.missing_rows.size} equations"
            )
            raise SingularSystem(text, defect.rows.tolist(), defect.missing_columns.tolist())
        keys, slots = np.unique(r * n + c, return_inverse=True)
        self.n = n
        self.size = int(keys.size)
        self.slots: NDArray[np.intp] = slots.astype(np.intp)
        self._starts, self._columns = by_rows(n, keys // max(n, 1), keys % max(n, 1))
        self._row_starts = self._starts.astype(np.uint32)
        self._row_columns = self._columns.astype(np.uint32)
        self._data = np.zeros(self.size)
        self._work = np.empty(n)
        self._residual = np.empty(n)
        self._plan: Pattern | None = None
        self._pivoted: _Pivoted | None = None
        self._since_choice = 0
        self._patience = 1
        self.statistics = Statistics(nonzeros=self.size)
        if values is not None:
            self._data += np.bincount(self.slots, np.asarray(values, np.float64), minlength=self.size)
            self._choose()

    @property
    def used_fallback(self) -> bool:
        """Whether the present factors come from partial pivoting."""
        return self._pivoted is not None

    def _choose(self) -> Pattern:
        """Choose pivots and order for the present values and lay out the factors."""
        self._plan = p = plan(self._starts, self._columns, self._data)
        self._X = np.empty(p.columns.size)
        self._D = np.empty(self.n)
        self._since_choice = 0
        self.statistics.factor_nonzeros = int(p.columns.size)
        self.statistics.multiplications = int(p.targets.size)
        return p

    def rematch(self, data: Floats) -> None:
        """Choose pivots and order anew for the assembled values `data`, (size,) or (size + 1,); `slots` stay valid.

        The matrix must be factored again before the next solve.
        """
        np.copyto(self._data, data[: self.size])
        self.statistics.rematches += 1
        self._choose()

    def factor(self, data: Floats) -> None:
        """Factor the matrix with the assembled values `data`, (size,) or (size + 1,), which stay as they are.

        Raises `SingularSystem` where partial pivoting finds no inverse either.
        """
        np.copyto(self._data, data[: self.size])
        self._pivoted = None
        self._since_choice += 1
        self.statistics.factorings += 1
        if not self._eliminate():
            self._recover()

    def _eliminate(self) -> bool:
        """Factor with static pivots; say whether they can be trusted."""
        p = self._plan or self._choose()
        smallest, growth = factor_in_place(
            self._data, p.starts, p.diagonal, p.columns, p.targets, p.entry_starts, p.entries, p.entry_slots,
            self._X, self._D,
        )  # fmt: skip
        self.statistics.smallest_pivot = smallest
        self.statistics.growth = growth
        return bool(smallest > _SMALLEST_PIVOT and growth < 1.0 / _SMALLEST_PIVOT)

    def _recover(self) -> None:
        """Factor where static pivots failed: choose new ones unless that was done of late, else pivot partially."""
        bad = np.flatnonzero(~np.isfinite(self._data))
        if bad.size:
            rows = np.unique(np.searchsorted(self._starts, bad, side="right") - 1)
            text = f"{bad.size} values of the matrix are not numbers"
            raise SingularSystem(text, rows.tolist(), np.unique(self._columns[bad]).tolist())
        if self._since_choice >= self._patience:
            self._patience = min(2 * self._patience, _MOST_PATIENCE)
            self.rematch(self._data)
            if self._eliminate():
                return
        self.statistics.fallbacks += 1
        matrix = csr_array((self._data, self._columns, self._starts), shape=(self.n, self.n))
        p = self._plan or self._choose()
        self._pivoted = _Pivoted(matrix, (p.row_at, p.column_at))

    def solve(self, rhs: Floats) -> Floats:
        """Return x with A x = rhs, (n,), refined where its backward error asks for it.

        Raises `SingularSystem` where no way of solving brings the backward error to round-off.
        """
        return self._refined(rhs, transposed=False)

    def solve_transposed(self, rhs: Floats) -> Floats:
        """Return x with A' x = rhs, (n,), refined where its backward error asks for it.

        Raises `SingularSystem` where no way of solving brings the backward error to round-off.
        """
        return self._refined(rhs, transposed=True)

    def _once(self, rhs: Floats, *, transposed: bool) -> Floats:
        """Solve by the present factors, unrefined."""
        if self._pivoted is not None:
            return self._pivoted.solve_transposed(rhs) if transposed else self._pivoted.solve(rhs)
        if self._plan is None:
            raise SeraiError("solve was called before factor: factor the matrix first")
        p = self._plan
        x = np.empty(self.n)
        through = solve_columns if transposed else solve_rows
        through(p.starts, p.diagonal, p.columns, p.row_at, p.column_at, self._X, self._D, rhs, self._work, x)
        return x

    def _refined(self, rhs: Floats, *, transposed: bool) -> Floats:
        """Solve, measure, refine once where needed, factor anew where that does not help."""
        rhs = np.ascontiguousarray(rhs, np.float64)
        measure = backward_error_transposed if transposed else backward_error
        x = self._once(rhs, transposed=transposed)
        error = measure(self._row_starts, self._row_columns, self._data, x, rhs, self._residual)
        if error <= _TRUST_BELOW:
            return x
        if not np.isfinite(rhs).all():
            return np.full(self.n, np.nan)
        self.statistics.refinements += 1
        refined = x + self._once(self._residual, transposed=transposed)
        after = measure(self._row_starts, self._row_columns, self._data, refined, rhs, self._residual)
        if not after >= error:
            x, error = refined, after
        if error <= _TRUST_BELOW:
            return x
        if self._pivoted is None:
            self._recover()
            return self._refined(rhs, transposed=transposed)
        raise SingularSystem(f"the solution of the linear system keeps a backward error of {error:.1e}")
