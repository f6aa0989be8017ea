# SPDX-License-Identifier: Apache-2.0
"""Gains of a filter whose transition stays what it is: the Riccati recursion in doubling strides.

One scan carries the covariance P before the readings to

    Phi(P) = Q + F P (I + M P)^-1 F',     M = H' R^-1 H

and so do 2, 4, 8 ... scans, with other F, Q and M (B. D. O. Anderson, J. B. Moore, Optimal Filtering, Prentice-Hall
1979, ch. 6.7):

    F2 = F (I + Q M)^-1 F      Q2 = Q + F (I + Q M)^-1 Q F'      M2 = M + F' M (I + Q M)^-1 F

So the covariance after 2^k scans, from any start, costs k dense products, and the gains between are those of the last
power of two: the filter forgets its start as a full one would, to a factor of two in time, at the price of a product of
one matrix and one vector a scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DOUBLINGS = 14  # 2^14 scans of a minute are 11 days


@dataclass(frozen=True)
class Stage:
    """Gain from a number of scans on: K (n_state, n_reading), covariances V of innovations, P of the state before."""

    since: int
    K: Floats
    V: Floats
    P: Floats


def gain(P: Floats, H: Floats, R: Floats) -> tuple[Floats, Floats]:
    """Return K = P H' V^-1 and V = H P H' + diag(R), for variances R (n_reading,)."""
    PH = P @ H.T
    V = H @ PH
    V = (V + V.T) / 2.0 + np.diag(R)
    return np.asarray(cho_solve(cho_factor(V, lower=True), PH.T).T), V


def stages(F: Floats, Q: Floats, H: Floats, R: Floats, P: Floats, *, doublings: int = DOUBLINGS) -> list[Stage]:
    """Return the gains after 0, 1, 2, 4 ... 2^doublings scans from the covariance P (n, n) on.

    F (n, n) transition, Q (n, n) noise of a scan, H (m, n) readings, R (m,) their variances. Inside, everything is
    scaled by the standard deviations of P, since pressures and efficiencies live in one state.
    """
    unit = np.sqrt(np.diag(P))
    back = 1.0 / unit
    f, q = F * (back[:, None] * unit[None, :]), Q * np.outer(back, back)
    h, p0 = H * unit, P * np.outer(back, back)
    m = h.T @ (h / R[:, None])
    identity = np.eye(len(unit))
    out = [_stage(0, P, H, R)]
    for k in range(doublings + 1):
        p = q + f @ np.linalg.solve(identity + p0 @ m, p0) @ f.T
        out.append(_stage(2**k, (p + p.T) / 2.0 * np.outer(unit, unit), H, R))
        if k == doublings:
            break
        lu = lu_factor(identity + q @ m)
        fw = lu_solve(lu, np.hstack([f, q]))
        f1, q1 = fw[:, : len(unit)], fw[:, len(unit) :]
        m = m + f.T @ m @ f1
        q = q + f @ q1 @ f.T
        f = f @ f1
        m, q = (m + m.T) / 2.0, (q + q.T) / 2.0
    return out


def _stage(since: int, P: Floats, H: Floats, R: Floats) -> Stage:
    K, V = gain(P, H, R)
    return Stage(since, K, V, P)
