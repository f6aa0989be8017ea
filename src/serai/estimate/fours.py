# SPDX-License-Identifier: Apache-2.0
"""LU of matrices whose entries are blocks of four by four, eight matrices at once: static pivots on the diagonal.

Slots are those of `sparse.lane_lu.LaneLayout`; element 4 r + c of slot s stands at lanes 16 s + 4 r + c of X. Pivot
blocks are inverted by their 2x2 minors, so a block may have zeros on its own diagonal, as those of a constraint do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from serai.lanes import fmuladd, load, maximum, minimum, splat, store

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.uint32]
    Lanes = tuple[float, ...]

# nothing is allocated in these functions and only others call them: that halves the time to compile them
inner = njit(
    cache=True, error_model="numpy", nogil=True, _nrt=False, no_rewrites=True, no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
)  # fmt: skip


@inner
def invert(A: Floats, a: int, B: Floats, b: int, lanes: Lanes) -> Any:  # pragma: no cover - lanes: compiled only
    """Write the inverse of the 4x4 block at A[16 a ...] to B[16 b ...] by 2x2 minors; return |det| beside its parts."""
    p, q = 16 * a, 16 * b
    a00, a01, a02, a03 = load(A, p, lanes), load(A, p + 1, lanes), load(A, p + 2, lanes), load(A, p + 3, lanes)
    a10, a11, a12, a13 = load(A, p + 4, lanes), load(A, p + 5, lanes), load(A, p + 6, lanes), load(A, p + 7, lanes)
    a20, a21, a22, a23 = load(A, p + 8, lanes), load(A, p + 9, lanes), load(A, p + 10, lanes), load(A, p + 11, lanes)
    a30, a31, a32, a33 = load(A, p + 12, lanes), load(A, p + 13, lanes), load(A, p + 14, lanes), load(A, p + 15, lanes)
    s0, s1, s2 = a00 * a11 - a10 * a01, a00 * a12 - a10 * a02, a00 * a13 - a10 * a03
    s3, s4, s5 = a01 * a12 - a11 * a02, a01 * a13 - a11 * a03, a02 * a13 - a12 * a03
    c5, c4, c3 = a22 * a33 - a32 * a23, a21 * a33 - a31 * a23, a21 * a32 - a31 * a22
    c2, c1, c0 = a20 * a33 - a30 * a23, a20 * a32 - a30 * a22, a20 * a31 - a30 * a21
    det = s0 * c5 - s1 * c4 + s2 * c3 + s3 * c2 - s4 * c1 + s5 * c0
    size = maximum(maximum(abs(s0 * c5), abs(s1 * c4)), maximum(abs(s2 * c3), abs(s3 * c2)))
    size = maximum(size, maximum(abs(s4 * c1), abs(s5 * c0)))
    k = 1.0 / det
    store(B, q, (a11 * c5 - a12 * c4 + a13 * c3) * k)
    store(B, q + 1, (a02 * c4 - a01 * c5 - a03 * c3) * k)
    store(B, q + 2, (a31 * s5 - a32 * s4 + a33 * s3) * k)
    store(B, q + 3, (a22 * s4 - a21 * s5 - a23 * s3) * k)
    store(B, q + 4, (a12 * c2 - a10 * c5 - a13 * c1) * k)
    store(B, q + 5, (a00 * c5 - a02 * c2 + a03 * c1) * k)
    store(B, q + 6, (a32 * s2 - a30 * s5 - a33 * s1) * k)
    store(B, q + 7, (a20 * s5 - a22 * s2 + a23 * s1) * k)
    store(B, q + 8, (a10 * c4 - a11 * c2 + a13 * c0) * k)
    store(B, q + 9, (a01 * c2 - a00 * c4 - a03 * c0) * k)
    store(B, q + 10, (a30 * s4 - a31 * s2 + a33 * s0) * k)
    store(B, q + 11, (a21 * s2 - a20 * s4 - a23 * s0) * k)
    store(B, q + 12, (a11 * c1 - a10 * c3 - a12 * c0) * k)
    store(B, q + 13, (a00 * c3 - a01 * c1 + a02 * c0) * k)
    store(B, q + 14, (a31 * s1 - a30 * s3 - a32 * s0) * k)
    store(B, q + 15, (a20 * s3 - a21 * s1 + a22 * s0) * k)
    return abs(det) / size


@inner
def factor(
    starts: Indices, diagonal: Indices, columns: Indices, targets: Indices, X: Floats, D: Floats, small: Floats,
    lanes: Lanes,
) -> None:  # fmt: skip  # pragma: no cover - lanes exist compiled only
    """Turn the blocks X into L (unit diagonal) and U, write the inverse pivots to D; small[0]: the weakest of them."""
    least = splat(np.inf, lanes)
    o = np.intp(0)
    for i in range(diagonal.size):
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            k = np.intp(columns[q])
            first, last = np.intp(diagonal[k]) + 1, np.intp(starts[k + 1])
            for r in range(4):
                x0, x1 = load(X, 16 * q + 4 * r, lanes), load(X, 16 * q + 4 * r + 1, lanes)
                x2, x3 = load(X, 16 * q + 4 * r + 2, lanes), load(X, 16 * q + 4 * r + 3, lanes)
                for c in range(4):
                    d = 16 * k + c
                    l = fmuladd(x0, load(D, d, lanes), x1 * load(D, d + 4, lanes))
                    l = fmuladd(x3, load(D, d + 12, lanes), fmuladd(x2, load(D, d + 8, lanes), l))
                    store(small, c, l)
                l0, l1 = load(small, 0, lanes), load(small, 1, lanes)
                l2, l3 = load(small, 2, lanes), load(small, 3, lanes)
                for c in range(4):
                    store(X, 16 * q + 4 * r + c, load(small, c, lanes))
                for u in range(first, last):
                    t = 16 * np.intp(targets[o + u - first]) + 4 * r
                    b = 16 * u
                    for c in range(4):
                        s = load(X, t + c, lanes)
                        s = fmuladd(-l0, load(X, b + c, lanes), s)
                        s = fmuladd(-l1, load(X, b + 4 + c, lanes), s)
                        s = fmuladd(-l2, load(X, b + 8 + c, lanes), s)
                        store(X, t + c, fmuladd(-l3, load(X, b + 12 + c, lanes), s))
            o += last - first
        least = minimum(least, invert(X, np.intp(diagonal[i]), D, i, lanes))
    store(small, 0, least)


@inner
def solve(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, R: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace the right side R (4 n n_lanes,) by the solution."""
    n = diagonal.size
    for i in range(n):
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            j = 4 * np.intp(columns[q])
            x0, x1, x2, x3 = load(R, j, lanes), load(R, j + 1, lanes), load(R, j + 2, lanes), load(R, j + 3, lanes)
            for r in range(4):
                p = 16 * q + 4 * r
                s = fmuladd(-load(X, p, lanes), x0, load(R, 4 * i + r, lanes))
                s = fmuladd(-load(X, p + 2, lanes), x2, fmuladd(-load(X, p + 1, lanes), x1, s))
                store(R, 4 * i + r, fmuladd(-load(X, p + 3, lanes), x3, s))
    for i in range(n - 1, -1, -1):
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            j = 4 * np.intp(columns[q])
            x0, x1, x2, x3 = load(R, j, lanes), load(R, j + 1, lanes), load(R, j + 2, lanes), load(R, j + 3, lanes)
            for r in range(4):
                p = 16 * q + 4 * r
                s = fmuladd(-load(X, p, lanes), x0, load(R, 4 * i + r, lanes))
                s = fmuladd(-load(X, p + 2, lanes), x2, fmuladd(-load(X, p + 1, lanes), x1, s))
                store(R, 4 * i + r, fmuladd(-load(X, p + 3, lanes), x3, s))
        x0, x1, x2, x3 = (
            load(R, 4 * i, lanes), load(R, 4 * i + 1, lanes), load(R, 4 * i + 2, lanes), load(R, 4 * i + 3, lanes),
        )  # fmt: skip
        for r in range(4):
            p = 16 * i + 4 * r
            s = fmuladd(load(D, p + 1, lanes), x1, load(D, p, lanes) * x0)
            store(R, 4 * i + r, fmuladd(load(D, p + 3, lanes), x3, fmuladd(load(D, p + 2, lanes), x2, s)))


@inner
def solve_shared(
    starts: Indices, diagonal: Indices, columns: Indices, X: Floats, D: Floats, R: Floats, lanes: Lanes
) -> None:  # pragma: no cover - lanes exist compiled only
    """Replace the right sides R of all lanes by the solutions with one set of factors X, D."""
    n = diagonal.size
    for i in range(n):
        for q in range(np.intp(starts[i]), np.intp(diagonal[i])):
            j = 4 * np.intp(columns[q])
            x0, x1, x2, x3 = load(R, j, lanes), load(R, j + 1, lanes), load(R, j + 2, lanes), load(R, j + 3, lanes)
            for r in range(4):
                p = 16 * q + 4 * r
                s = fmuladd(splat(-X[p], lanes), x0, load(R, 4 * i + r, lanes))
                s = fmuladd(splat(-X[p + 2], lanes), x2, fmuladd(splat(-X[p + 1], lanes), x1, s))
                store(R, 4 * i + r, fmuladd(splat(-X[p + 3], lanes), x3, s))
    for i in range(n - 1, -1, -1):
        for q in range(np.intp(diagonal[i]) + 1, np.intp(starts[i + 1])):
            j = 4 * np.intp(columns[q])
            x0, x1, x2, x3 = load(R, j, lanes), load(R, j + 1, lanes), load(R, j + 2, lanes), load(R, j + 3, lanes)
            for r in range(4):
                p = 16 * q + 4 * r
                s = fmuladd(splat(-X[p], lanes), x0, load(R, 4 * i + r, lanes))
                s = fmuladd(splat(-X[p + 2], lanes), x2, fmuladd(splat(-X[p + 1], lanes), x1, s))
                store(R, 4 * i + r, fmuladd(splat(-X[p + 3], lanes), x3, s))
        x0, x1, x2, x3 = (
            load(R, 4 * i, lanes), load(R, 4 * i + 1, lanes), load(R, 4 * i + 2, lanes), load(R, 4 * i + 3, lanes),
        )  # fmt: skip
        for r in range(4):
            p = 16 * i + 4 * r
            s = fmuladd(splat(D[p + 1], lanes), x1, splat(D[p], lanes) * x0)
            s = fmuladd(splat(D[p + 3], lanes), x3, fmuladd(splat(D[p + 2], lanes), x2, s))
            store(R, 4 * i + r, s)
