# SPDX-License-Identifier: Apache-2.0
"""A system closed by its Knowns: the square problem that remains, and its solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from serai.errors import NotClosed, NotConverged, SingularSystem
from serai.laws import LAWS
from serai.laws.fluid import potential
from serai.sparse import LU, newton, structural_check
from serai.system.equations import Stamp
from serai.system.gas import circulations
from serai.system.kernels import kernel
from serai.system.system import _say, _some

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from scipy.sparse import csc_array

    from serai.sparse import NewtonResult
    from serai.system.columns import Block, Fixed
    from serai.system.system import System

    Floats = NDArray[np.float64]
    Ints = NDArray[np.intp]

TOLERANCE = 1e-9  # of the scaled residual: 1e-9 of the highest pressure, of the total supply, of the base power
LIKELY = (0.8, 1.2)  # per unit: a cold start takes no magnitude from beyond
ROUGH = 1e-4  # the same on the way to a cold answer
SHARP = 10.0  # a constant loss gets so much sharper from one round of a cold start to the next
COLD_DROP = 0.05  # share of p2 that a pipe loses at the flow over which a cold start smooths it

ADVICE = {
    "ratio": "give one of ratio, outlet_pressure, inlet_pressure, flow, power or open",
    "drop": "give one of outlet_pressure, inlet_pressure, flow, pressure_drop or open",
    "withdrawal": "give the supply or withdrawal there, or a pressure",
    "active_power": "give its active_power, or make its bus a reference (angle)",
    "reactive_power": "give its reactive_power or magnitude",
    "imbalance": "give an angle in its island",
}


GRID_ADVICE = (
    ". The grid may be unable to carry what is asked there: take less load, hold more voltages nearby, or close a line"
)


@dataclass(frozen=True)
class Solution:
    """Values of all columns (n,), SI, with what Newton did: mismatch as the solver saw it, in scaled units."""

    x: Floats
    iterations: int
    mismatch: float
    worst: tuple[str, str]
    fallbacks: int


class Closed:
    """The free columns of a system, its pattern, and the buffers to solve it again and again.

    Raises NotClosed, naming elements, when the Knowns leave something open or give something twice.
    """

    def __init__(self, system: System, fixed: Mapping[int, Fixed], *, transient: bool = False) -> None:
        """Check the structure, then lay out the matrix."""
        eq = system.equations
        self.system = system
        self.fixed = dict(fixed)
        self.row_scales = 1.0 / eq.row_scales()
        self.stamps = self._uncirculating([s for s in eq.stamps if transient or s.steady])
        is_free = np.ones(eq.columns.size, bool)
        is_free[list(fixed)] = False
        self.free = np.flatnonzero(is_free)
        local = np.where(is_free, np.cumsum(is_free) - 1, -1)
        self.n = len(self.free)
        self.column_scales = eq.columns.scales()
        self._free_scales = self.column_scales[self.free]
        self._triplets(local)
        self._check()
        self.residual = np.zeros(eq.size)
        self.x = eq.columns.start()
        self.set_known(fixed)
        self._matrix: LU | None = None

    # --------------------------------------------------------------- structure

    def _uncirculating(self, stamps: list[Stamp]) -> list[Stamp]:
        """Put the law of circulation in place of the equations that loops without resistance make void."""
        loops = circulations(self.system.gas, self.fixed)
        if not loops:
            return stamps
        void = [row for row, _ in loops]
        self.row_scales[void] = 1.0 / self.system.flow_scale
        kept = [s.without(np.isin(s.rows[0], void)) if s.law.name in ("drop", "ratio") else s for s in stamps]
        terms = [(row, flow, sign) for row, flows in loops for flow, sign in flows]
        rows, flows, signs = (np.array(x) for x in zip(*terms, strict=True))
        names = tuple(self.system.equations.columns.name(int(f))[1] for f in flows)
        return [*kept, Stamp(LAWS["circulation"], rows[None, :], flows[None, :], signs[None, :], names)]

    def _triplets(self, local: Ints) -> None:
        rows, columns = [], []
        self._rows_of: list[tuple[Ints, Floats, Floats]] = []
        for s in self.stamps:
            C = len(s.law.columns)
            r = np.repeat(s.rows, C, axis=0)  # slopes come row by row
            c = np.tile(s.columns, (s.law.rows, 1))
            rows.append(r.ravel())
            columns.append(local[c].ravel())
            self._rows_of.append((r, self.row_scales[s.rows], self.row_scales[r] * self.column_scales[c]))
        self._all_rows = np.concatenate(rows) if rows else np.empty(0, np.intp)
        self._all_columns = np.concatenate(columns) if columns else np.empty(0, np.intp)
        self._inside = np.flatnonzero(self._all_columns >= 0)

    def _check(self) -> None:
        eq = self.system.equations
        defect = structural_check(eq.size, self.n, self._all_rows[self._inside], self._all_columns[self._inside])
        if defect is None:
            return
        missing = [eq.columns.name(int(self.free[c])) for c in defect.missing_columns]
        over = [int(r) for r in defect.rows]
        twice = self._knowns_of_rows(over)
        parts = []
        if missing:
            parts.append("not enough is known: " + "; ".join(_lacking(missing)))
        if over:
            where = [f"{label} of {name}" for label, name in (eq.row_name(r) for r in over)]
            given = f"; of the Knowns there take one back: {_some(twice)}" if twice else ""
            parts.append(f"too much is known around {_some(where, 4)}{given}")
        names = [name for _, name in missing]
        raise NotClosed(f"{self.system.network.name}: " + ". ".join(parts), missing=names, twice=twice)

    def _knowns_of_rows(self, rows: list[int]) -> list[str]:
        """Return the Knowns of columns that touch the given equations and that a person gave."""
        wanted = set(rows)
        found: dict[str, None] = {}
        for s in self.stamps:
            touching = np.isin(s.rows, list(wanted)).any(axis=0)
            for column in s.columns[:, touching].ravel():
                fixed = self.fixed.get(int(column))
                if fixed is not None and (fixed.known.source or fixed.value != 0.0):
                    found[_say(fixed.known)] = None
        return list(found)

    # ------------------------------------------------------------------ values

    def set_known(self, fixed: Mapping[int, Fixed]) -> None:
        """Write the values of the Knowns, for the same columns as before."""
        if fixed.keys() != self.fixed.keys():
            msg = "other columns are known than before: close the system anew"
            raise NotClosed(msg)
        self.fixed = dict(fixed)
        for f in self.fixed.values():
            self.x[f.column] = f.value

    def _calls(self, slots: list[Ints], data: Floats) -> list[tuple[Any, tuple[Any, ...]]]:
        """Return the kernel of every stamp with its arguments; all are buffers that stay where they are."""
        return [
            (
                kernel(s.law).accumulate,
                (self.x, s.columns, s.parameters, s.rows, row_scales, where, slot_scales, self.residual, data),
            )
            for s, where, (_, row_scales, slot_scales) in zip(self.stamps, slots, self._rows_of, strict=True)
        ]

    def _assemble(self, calls: list[tuple[Any, tuple[Any, ...]]], data: Floats) -> None:
        self.residual.fill(0.0)
        data.fill(0.0)
        for accumulate, arguments in calls:
            accumulate(*arguments)

    def triplets(self, x: Floats) -> tuple[Ints, Ints, Floats]:
        """Return rows, free columns (-1: known) and values of all slopes at a state x (n_column,), stamp after stamp.

        The slopes of a stamp come row by row, each for all its instances; their scales are those of `scales`.
        """
        count = len(self._all_rows)
        data = np.zeros(count)
        here = self.x.copy()
        self.x[:] = x
        self._assemble(self._calls(self._split(np.arange(count)), data), data)
        self.x[:] = here
        return self._all_rows, self._all_columns, data

    def scales(self) -> list[tuple[Ints, Floats, Floats]]:
        """Return for each stamp the row of each slope, the scales of its rows and those of its slopes."""
        return self._rows_of

    def matrix(self) -> LU:
        """Return the factoriser of this pattern; the present values choose its pivots."""
        if self._matrix is None:
            count = len(self._all_rows)
            plain = self._split(np.arange(count))
            data = np.zeros(count)
            self._assemble(self._calls(plain, data), data)
            inside = self._inside
            lu = LU(self.n, self._all_rows[inside], self._all_columns[inside], data[inside])
            flat = np.full(count, lu.size)  # eliminated columns fall into a bin behind the matrix
            flat[inside] = lu.slots
            self._data = np.zeros(lu.size + 1)
            self._filling = self._calls(self._split(flat), self._data)
            self._values = self._data[:-1]
            self._matrix = lu
        return self._matrix

    def _split(self, flat: Ints) -> list[Ints]:
        out, at = [], 0
        for r, *_ in self._rows_of:
            out.append(np.ascontiguousarray(flat[at : at + r.size].reshape(r.shape)))
            at += r.size
        return out

    def evaluate(self, z: Floats) -> tuple[Floats, Floats]:
        """Return the scaled residual (n,) and the matrix data at scaled free columns z (n,); buffers are reused."""
        self.x[self.free] = z * self._free_scales
        self._assemble(self._filling, self._data)
        return self.residual, self._values

    # ------------------------------------------------------------------- solve

    def solve(self, *, cold: bool = False, tolerance: float = TOLERANCE, max_iterations: int = 60) -> Solution:
        """Solve from the present x; `cold` begins with smoothed friction and the linear power flow.

        Raises NotConverged or SingularSystem, naming the worst element.
        """
        scale = self.column_scales[self.free]
        steps = 0
        if cold:
            self._start_grid()
            steps = self._approach(tolerance)
        result = self._newton(self.x[self.free] / scale, max_iterations=max_iterations, tolerance=tolerance, last=True)
        self.x[self.free] = result.x * scale
        worst = self.system.equations.row_name(result.worst) if len(result.residual) else ("", "")
        return Solution(
            self.x.copy(), steps + result.iterations, float(np.max(np.abs(result.residual), initial=0.0)), worst,
            self.matrix().statistics.fallbacks,
        )  # fmt: skip

    def _approach(self, tolerance: float) -> int:
        """Come near the answer with widened smoothing; return the Newton steps that it took.

        Friction takes two steps with it. A constant loss is a sign function, across which no long step leads: it
        sharpens by tens.
        """
        scale = self.column_scales[self.free]
        smooth = self._smoothed()
        if not smooth:
            return 0
        steps = 0
        try:
            first = self._newton(self.x[self.free] / scale, max_iterations=2, tolerance=tolerance, last=False)
            steps += first.iterations
            constant = [(stamp, eps) for stamp, eps in smooth if stamp.law.name == "resistor_constant"]
            for stamp, eps in smooth:
                if stamp.law.name != "resistor_constant":
                    stamp.set(eps=eps)
            width = 0.1 * self.system.flow_scale
            while constant and width > SHARP * max(float(np.max(eps)) for _, eps in constant):
                for stamp, _ in constant:
                    stamp.set(eps=width)
                result = self._newton(self.x[self.free] / scale, max_iterations=12, tolerance=ROUGH, last=False)
                steps += result.iterations
                width /= SHARP
        finally:
            for stamp, eps in smooth:
                stamp.set(eps=eps)
        self._matrix = None if self._matrix is not None and self._matrix.statistics.fallbacks else self._matrix
        return steps

    def _newton(self, z: Floats, *, max_iterations: int, tolerance: float, last: bool) -> NewtonResult:
        try:
            lu = self.matrix()
            result = newton(
                self.evaluate, z, lu, residual_tolerance=tolerance, max_iterations=max_iterations,
                polish=last, approach=not last,
            )  # fmt: skip
        except SingularSystem as error:
            raise self._named(error) from None
        if last and not result.converged:
            label, name = self.system.equations.row_name(result.worst)
            advice = GRID_ADVICE if label.endswith("power balance") else ""
            msg = f"no answer found: {result.reason}; it is worst in the {label} of {name}{advice}"
            raise NotConverged(msg)
        self.x[self.free] = result.x * self.column_scales[self.free]
        return result

    def _named(self, error: SingularSystem) -> SingularSystem:
        eq = self.system.equations
        rows = [" of ".join(eq.row_name(r)) for r in error.rows]
        columns = [" of ".join(eq.columns.name(int(self.free[c]))) for c in error.columns]
        msg = f"the equations are singular at {_some(rows, 4) or '?'}; undetermined: {_some(columns, 4) or '?'}"
        return SingularSystem(msg, error.rows, error.columns)

    def _smoothed(self) -> list[tuple[Stamp, Floats]]:
        """Widen the smoothing of every friction for the first steps; return what it was."""
        system, before = self.system, []
        for s in self.stamps:
            if "eps" not in s.law.parameters:
                continue
            before.append((s, s.get("eps").copy()))
            if "L" in s.law.parameters:
                phi = potential.py_func(system.pressure_scale, 1.0, 0.0, 0.0, 0.0, 0.0, s.get("RT"))[0]
                drag = 0.01 * s.get("L") / (2.0 * s.get("D") * s.get("A") ** 2 * s.get("E") ** 2)
                s.set(eps=np.minimum(np.sqrt(COLD_DROP * phi / drag), system.flow_scale))
            else:
                s.set(eps=0.1 * system.flow_scale)
        return before

    def _start_grid(self) -> None:
        """Start from the linear power flow: angles by 1/x of the branches, then magnitudes by Q/V at these angles.

        P = B' a            P_i, a_i  injection [pu] and angle [rad], B' from the reactances and ratios
        Q = M v             M = Im(diag(e) conj(Y) diag(conj(e))), e = exp(j a): exact but for Q/v, where v is 1
        """
        power = self.system.power
        if not power.names:
            return
        c, n, (f, t) = self.system.equations.columns, len(power.names), power.ends
        P, Q = self._injected()
        pick = power.alive_branch
        b, ratio, shift = (x[pick] for x in (power.branches.x, power.branches.ratio, power.branches.shift))
        b = 1.0 / (np.where(b == 0.0, 1e-4, b) * ratio)
        np.add.at(P, f, b * shift)
        np.add.at(P, t, -b * shift)
        both = np.r_[f, t, f, t], np.r_[f, t, t, f]
        angle, magnitude = c["angle"], c["magnitude"]
        B = coo_array((np.r_[b, b, -b, -b], both), shape=(n, n)).tocsc()
        self._spread(B, P, angle, (-3.0, 3.0))
        yff, yft, ytf, ytt = (y[pick] for y in power.branches.admittances())
        Y = coo_array((np.r_[yff, ytt, yft, ytf], both), shape=(n, n)).tocsc()
        shunt = np.zeros(n, complex)
        for s in self.system.equations.stamps_of("shunt"):
            y = (s.get("G") + 1j * s.get("B")) / self.system.network.base_power
            np.add.at(shunt, s.columns[0] - magnitude.first, y)
        e = diags_array(np.exp(1j * self.x[angle.span]))
        M = (e @ (Y + diags_array(shunt)).conj() @ e.conj()).imag.tocsc()
        self._spread(M, Q, magnitude, LIKELY)

    def _injected(self) -> tuple[Floats, Floats]:
        """Return active and reactive power into every node [pu], (n,) each, as far as the present x tells."""
        eq, n = self.system.equations, len(self.system.power.names)
        if "link_sent" in eq.columns:
            self.x[eq.columns["link_received"].span] = self.x[eq.columns["link_sent"].span]
        first = next(first for label, _, first, _ in eq.row_blocks if label == "active power balance")
        power = np.zeros(2 * n)
        for s in eq.stamps_of("shunt"):  # its susceptance is part of the matrix of the magnitudes
            np.subtract.at(
                power, s.columns[0] - eq.columns["magnitude"].first, s.get("G") / self.system.network.base_power
            )
        for law, sign in (("production", 1.0), ("consumption", -1.0), ("voltage_dependent_load", -1.0)):
            for s in eq.stamps_of(law):
                np.add.at(power, s.rows[0] - first, sign * self.x[s.columns[0]] / self.system.network.base_power)
        return power[:n], power[n:]

    def _spread(self, A: csc_array, rhs: Floats, block: Block, likely: tuple[float, float]) -> None:
        """Fill the free columns of a block with the answer of A x = rhs inside its likely range, or leave them."""
        known = np.array([k in self.fixed for k in range(block.first, block.first + len(block))])
        value, free = np.where(known, self.x[block.span], 0.0), np.flatnonzero(~known)
        if not len(free):
            return
        try:
            answer = splu(A[free][:, free].tocsc()).solve(rhs[free] - A[free] @ value)
        except RuntimeError:  # no linear answer: begin flat
            return
        at = block.first + free
        self.x[at] = np.where(np.isfinite(answer), np.clip(answer, *likely), self.x[at])


def _lacking(missing: list[tuple[str, str]]) -> list[str]:
    """Return one sentence for each element with an open freedom, the ones a person would close first."""
    wanted: dict[str, str] = {}
    for quantity, name in missing:
        if quantity in ADVICE and name not in wanted:
            wanted[name] = f"{name}: {ADVICE[quantity]}"
    if not wanted:
        return [f"{quantity} of {name}" for quantity, name in missing[:6]]
    sentences = list(wanted.values())
    return sentences[:6] + ([f"{len(sentences) - 6} more"] if len(sentences) > 6 else [])
