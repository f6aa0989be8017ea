# SPDX-License-Identifier: Apache-2.0
"""Entries of the inverse of K where K has entries: the covariance of states and readings without a dense matrix.

The upper left block of K^-1 is the covariance of the columns, minus the lower right one that of the multipliers. A
reading ties columns that share an entry of K, so the variance of its residual, sigma^2 - h S h', needs no others.

Reference: K. Takahashi, J. Fagan, M. Chen, Formation of a sparse bus impedance matrix and its application to short
circuit study, Proc. 8th PICA Conf., 1973; here for unsymmetric factors (Erisman, Tinney 1975, see `sparse.lane_lu`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from serai.errors import SingularSystem
from serai.lanes import EIGHT
from serai.sparse.lane_lu import TRUSTED, LaneLayout, factor_lanes, lay_out, mirror, selected_inverse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from serai.sparse import LU

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]
    Indices = NDArray[np.uint32]


class Inverse:
    """The inverse on the pattern of one K, for one set of values after the other.

    lu             the factoriser of that pattern: it says where each triplet belongs
    rows, columns  of the triplets (n_triplets,)
    """

    def __init__(self, lu: LU, rows: Ints, columns: Ints) -> None:
        self.n = lu.n
        self._rows, self._columns = np.empty(lu.size, np.intp), np.empty(lu.size, np.intp)
        self._rows[lu.slots], self._columns[lu.slots] = rows, columns
        self._layout: LaneLayout | None = None
        self._mirror: Indices = np.empty(0, np.uint32)

    def entries(self, K: Floats) -> Floats:
        """Return K^-1 at the place of every entry of K (n_entry,); SingularSystem where K has no inverse."""
        for anew in (self._layout is None, True):
            if anew:
                self._layout = lay_out(self.n, self._rows, self._columns, K, mirrored=True)
                self._mirror = mirror(self._layout)
            p = self._layout
            if p is None:  # pragma: no cover - laid out above
                break
            X = np.bincount(p.slots, K, minlength=p.columns.size)
            D, weakest = np.empty(self.n), np.empty(1)
            factor_lanes(p.starts, p.diagonal, p.columns, p.targets, X, D, weakest, EIGHT[:1])
            if weakest[0] > TRUSTED:
                Z: Floats = selected_inverse(p.starts, p.diagonal, p.columns, self._mirror, X, D)
                return np.asarray(Z[self._mirror[p.slots]])
        msg = "the matrix of the estimate is singular: its laws contradict each other, or say one thing twice"
        raise SingularSystem(msg)
