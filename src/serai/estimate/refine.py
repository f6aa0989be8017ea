# SPDX-License-Identifier: Apache-2.0
"""The answer of the exact matrix by the factors of one that is kept regular.

Reference: Y. Saad, M. H. Schultz, GMRES, SIAM J. Sci. Stat. Comput. 7 (1986), doi:10.1137/0907058.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Map = Callable[[Floats], Floats]

MOST = 12  # directions: so many are told so faintly that what keeps the matrix regular stands beside them
SMALL = 1e-13  # of the first residual


def refined(exact: Map, solve: Map, rhs: Floats) -> Floats:
    """Return x of exact x = rhs, by GMRES from the left with the factors of a matrix near it.

    exact, solve  the product with the exact matrix, and the solution with the nearby one: (n,) -> (n,)

    Where the exact matrix is singular and the right side consistent, what it cannot tell stays as `solve` has it.
    """
    x = solve(rhs)
    residual = solve(rhs - exact(x))
    first = float(np.linalg.norm(residual))
    if not 0.0 < first < np.inf:
        return x
    basis, upper = [residual / first], np.zeros((MOST + 1, MOST))
    for k in range(MOST):
        new = solve(exact(basis[k]))
        for j, old in enumerate(basis):
            upper[j, k] = old @ new
            new = new - upper[j, k] * old
        upper[k + 1, k] = np.linalg.norm(new)
        target = np.zeros(k + 2)
        target[0] = first
        share = np.linalg.lstsq(upper[: k + 2, : k + 1], target, rcond=None)[0]
        left = float(np.linalg.norm(target - upper[: k + 2, : k + 1] @ share))
        if left <= SMALL * float(np.linalg.norm(x)) or upper[k + 1, k] <= SMALL:
            break
        basis.append(new / upper[k + 1, k])
    return np.asarray(x + sum(s * b for s, b in zip(share, basis, strict=False)))
