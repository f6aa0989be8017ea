# SPDX-License-Identifier: Apache-2.0
"""The laws over one moment or a row of moments, as one function of one vector, and its slopes.

A moment is a state of the system; steady is one moment with an infinite step. Over a day the moments are tied by the
linepack and the inertia of the implicit Euler step, the same as in `serai.simulate.transient`:

    F(x_t, x_{t-1}) = 0,  t = 1 .. T,      x_0 given

Columns that a Known of the job fixes are data. The others are free, among them the controls: columns that a set-point
closes, as many as it takes to close the laws. A step of a dispatch moves all free columns along the slopes; `settle`
then keeps the controls alone and solves the exact laws for the rest.

Free columns are scaled, and pressures enter as y = p|p|/scale^2: the momentum of a pipe, p1^2 - p2^2 ~ m|m|, is then
nearly linear in y.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array

from serai.known import Known
from serai.laws.fluid import density
from serai.simulate.transient import set_step
from serai.system import Closed, Fixed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.system import System
    from serai.system.equations import Stamp

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

CONTROL = Known("control", "dispatch", 0.0, source="dispatch")  # what stands behind a set-point on its way
LOWEST = 1e-3  # of the pressure scale: below it the slope of p in y = p|p| stays what it is there


class Open(Closed):
    """The laws with more free columns than rows: an objective, not Knowns, closes them."""

    def _check(self) -> None:
        """Leave the freedom to the objective."""


class Horizon:
    """T moments of one system.

    system     its laws
    fixed      for each moment what is data (the same columns in each), without the controls
    controls   columns (n_control,) that set-points close: with `fixed` they make the laws square
    step       length of a time step [s]; None = one steady moment
    before     state (n_column,) one step before the first moment; not needed when steady
    free       the free columns (n_free,); `local` gives their numbers among the free ones, -1 = data
    """

    def __init__(
        self,
        system: System,
        fixed: Sequence[Mapping[int, Fixed]],
        controls: Sequence[int],
        *,
        step: float | None = None,
        before: Floats | None = None,
    ) -> None:
        """Lay out the slopes; NotClosed names elements when fixed columns and controls do not close the laws."""
        self.system, self.step, self.before = system, step, before
        self.fixed = [dict(f) for f in fixed]
        self.controls = np.asarray(controls, np.intp)
        transient = step is not None
        self._set(before)
        self._laws = Open(system, self.fixed[0], transient=transient)
        self._square = Closed(system, self._with(0, np.zeros(system.equations.columns.size)), transient=transient)
        self.moments = len(self.fixed)
        self.free = self._laws.free
        self.n, self.m = len(self.free), system.equations.size
        self.local = np.full(system.equations.columns.size, -1)
        self.local[self.free] = np.arange(self.n)
        self.scale = system.equations.columns.scales()
        self._pressures = np.zeros(system.equations.columns.size, bool)
        if "pressure" in system.equations.columns:
            self._pressures[system.equations.columns["pressure"].span] = True
        rows, columns = self._laws._all_rows, self._laws._all_columns  # noqa: SLF001 - of the base class of Open
        self._inside = columns >= 0
        self._rows, self._columns = rows[self._inside], columns[self._inside]

    # ------------------------------------------------------------------------------------------------- coordinates

    def y(self, x: Floats, columns: Ints | slice = slice(None)) -> Floats:
        """Return scaled coordinates of values x (..., n) of columns: p|p|/scale^2 for pressures."""
        u = x / self.scale[columns]
        return np.where(self._pressures[columns], u * np.abs(u), u)

    def x(self, y: Floats, columns: Ints | slice = slice(None)) -> Floats:
        """Return SI values of scaled coordinates y (..., n) of columns."""
        root = np.where(self._pressures[columns], np.sign(y) * np.sqrt(np.abs(y)), y)
        return np.asarray(root * self.scale[columns])

    def slope(self, x: Floats, columns: Ints | slice = slice(None)) -> Floats:
        """Return dx/dy (..., n) at values x (..., n) of columns, SI over scaled."""
        unit = self.scale[columns]
        root = 0.5 / np.maximum(np.abs(x / unit), LOWEST)
        return np.asarray(unit * np.where(self._pressures[columns], root, 1.0))

    # --------------------------------------------------------------------------------------------------------- laws

    def laws(self, X: Floats) -> tuple[Floats, csr_array]:
        """Return the scaled residuals (T m,) and their slopes (T m, T n_free) in y at states X (T, n_column)."""
        residuals, rows, columns, values = [], [], [], []
        for t in range(self.moments):
            before = X[t - 1] if t else self.before
            self._set(before)
            r, c, data = self._laws.triplets(X[t])
            residuals.append(self._laws.residual.copy())
            turn = self.slope(X[t]) / self.scale
            rows.append(self._rows + t * self.m)
            columns.append(self._columns + t * self.n)
            values.append(data[self._inside] * turn[self.free][self._columns])
            if t and before is not None:
                r, c, v = self._memory(X[t], before)
                rows.append(r + t * self.m)
                columns.append(c + (t - 1) * self.n)
                values.append(v)
        shape = (self.m * self.moments, self.n * self.moments)
        A = coo_array((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
        return np.concatenate(residuals), A.tocsr()

    def _memory(self, x: Floats, before: Floats) -> tuple[Ints, Ints, Floats]:
        """Return rows, free columns one moment earlier and slopes there: of the linepack and of the inertia."""
        rate = 1.0 / self.step if self.step is not None else 0.0
        turn, row_scale = self.slope(before), self._laws.row_scales
        flow = self.system.equations.columns["flow"].first
        rows, columns, values = [], [], []
        for s in self.system.gas.storage:
            _, slope = _density(before[s.columns[0]], s)
            rows.append(s.rows[0])
            columns.append(s.columns[0])
            values.append(s.get("V") * slope * rate)
        for s, edges in self.system.gas.momentum:
            mean = (_density(x[s.columns[0]], s)[0] + _density(x[s.columns[1]], s)[0]) / 2.0
            rows.append(s.rows[0])
            columns.append(flow + edges)
            values.append(mean * s.get("L") / s.get("A") * rate)
        r, c, v = (np.concatenate(k) if k else np.empty(0, np.intp) for k in (rows, columns, values))
        keep = self.local[c] >= 0
        r, c, v = r[keep], c[keep], v[keep]
        return r, self.local[c], v * row_scale[r] * turn[c]

    def _set(self, before: Floats | None) -> None:
        if self.step is not None and before is not None:
            set_step(self.system, before, self.step)

    # ------------------------------------------------------------------------------------------------------- settle

    def _with(self, t: int, x: Floats) -> dict[int, Fixed]:
        given = dict(self.fixed[t])
        for c in self.controls.tolist():
            given[c] = Fixed(c, float(x[c]), CONTROL)
        return given

    def settle(self, X: Floats, *, cold: bool = False) -> Floats:
        """Return the states (T, n_column) that the exact laws give to the controls of X, solved from X.

        Raises NotConverged or SingularSystem, naming elements, where the laws have no answer.
        """
        out = np.empty_like(X)
        for t in range(self.moments):
            self._set(out[t - 1] if t else self.before)
            self._square.x[:] = X[t]
            self._square.set_known(self._with(t, X[t]))
            out[t] = self._square.solve(cold=cold, max_iterations=60 if cold else 25).x
        return out

    def states(self, x: Floats) -> Floats:
        """Return states (T, n_column) that begin at x (n_column,), with the data of each moment in place."""
        X = np.tile(x, (self.moments, 1))
        for t, fixed in enumerate(self.fixed):
            for f in fixed.values():
                X[t, f.column] = f.value
        return X


def _density(p: Floats, stamp: Stamp) -> tuple[Floats, Floats]:
    """Return rho [kg/m3] and d rho/dp at pressures p (n,) of the instances of a stamp."""
    b = [stamp.get(f"b{k}") for k in range(1, 6)]
    rho, slope = density.py_func(p, *b, stamp.get("RT"))
    return np.asarray(rho), np.asarray(slope)
