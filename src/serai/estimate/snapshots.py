# SPDX-License-Identifier: Apache-2.0
"""Many snapshots of one grid at once, in lanes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array, csr_array

from serai.errors import SeraiError
from serai.estimate.grid_lanes import Layout, estimate_range, shared_range, work_for
from serai.lanes import EIGHT
from serai.sparse.lane_lu import lay_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

    from serai.estimate.grid_lanes import Work
    from serai.estimate.problem import Problem
    from serai.sparse.lane_lu import LaneLayout

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

TOLERANCE = 1e-9  # rad and ln V: the last step
WEAK = 1e-13  # a pivot block below this beside its parts is not trusted
ONE = EIGHT[:1]
EXACT = 1e-9  # per unit: what may be left of an injection that is exactly known


@dataclass(frozen=True, eq=False)
class Snapshots:
    """What became of many snapshots of a grid.

    buses       names of the electrical nodes, in the order of the columns
    magnitude   [per unit], angle [rad] (n_snapshot, n_bus); nan where there is no answer
    objective   J (n_snapshot,)
    converged, steps   (n_snapshot,)
    mismatch    largest exact injection that does not hold [per unit], computed again from the answer (n_snapshot,)
    residuals   reading less estimate of every meter (n_snapshot, n_meter), SI, where they were asked for
    """

    buses: tuple[str, ...]
    magnitude: Floats
    angle: Floats
    objective: Floats
    converged: Flags
    steps: Ints
    mismatch: Floats
    residuals: Floats = field(default_factory=lambda: np.empty((0, 0)))


def why_not(problem: Problem) -> str:
    """Say what keeps a network from the lanes; empty where nothing does."""
    system, eq = problem.frame.system, problem.frame.system.equations
    if system.gas.names:
        return "it has gas"
    if not system.power.names or system.power.branch_stamp is None:
        return "it has no grid"
    for law in ("voltage_dependent_load", "direct_current_link", "motor", "motor_reactive"):
        if eq.stamps_of(law):
            return f"it has {law.replace('_', ' ')}s"
    return ""


class GridSnapshots:
    """The kernel and its workspaces for one problem whose network is a grid.

    Raises SeraiError for meters that the kernel does not take: two of one quantity, or a magnitude that is exact.
    """

    def __init__(self, problem: Problem, sigmas: Floats, *, threads: int | None = None) -> None:
        self.problem = problem
        system = problem.frame.system
        self.base, self.n = system.network.base_power, len(system.power.names)
        self.threads = threads or len(os.sched_getaffinity(0))
        meters = problem.functions
        self._unit = np.array([1.0 if m.quantity in ("magnitude", "angle") else self.base for m in meters.meters])
        scaled = 1.0 / (sigmas / self._unit) ** 2
        self._weight = float(np.median(scaled[np.isfinite(scaled)]))
        self.weights = np.where(np.isfinite(scaled) & ~meters.idle, scaled / self._weight, 0.0)
        self.layout = self._lay_out()
        self._work: dict[int, list[Work]] = {}

    # --------------------------------------------------------------------------------------------------------- layout

    @cached_property
    def _reads(self) -> dict[int, list[tuple[int, float]]]:
        """Return the linear meters of each column: (meter, factor)."""
        rows, columns, factors = self.problem.functions.linear
        out: dict[int, list[tuple[int, float]]] = {}
        counts = np.bincount(rows, minlength=self.problem.functions.size)
        for i, c, factor in zip(rows.tolist(), columns.tolist(), factors.tolist(), strict=True):
            if counts[i] == 1:
                out.setdefault(c, []).append((i, factor))
        return out

    def _one(self, column: int) -> tuple[int, float] | None:
        found = self._reads.get(column, [])
        if len(found) > 1:
            quantity, name = self.problem.frame.system.equations.columns.name(column)
            msg = f"two meters read the {quantity} of {name}: the lanes take one, use run"
            raise SeraiError(msg)
        return found[0] if found else None

    def _lay_out(self) -> Layout:
        system = self.problem.frame.system
        g, c = system.power, system.equations.columns
        n, none = self.n, self.problem.functions.size
        f, t = (np.asarray(x, np.int64) for x in g.ends)
        pattern = lay_out(n, np.r_[f, t], np.r_[t, f])
        place = pattern.row_place.astype(np.int64)
        self.place, self.node = place, np.argsort(place)
        stamp = g.branch_stamp
        branch = stamp.parameters / self.base if stamp is not None else np.zeros((8, 0))
        ends = place[np.stack([f, t])]
        starts, columns, values, own = self._admittances(branch, ends)
        rows_of = np.repeat(np.arange(n), np.diff(starts))
        slots, mirrors = self._slots(pattern, rows_of, columns), self._slots(pattern, columns, rows_of)
        flow = np.full((4, len(f)), none)
        for i, k, part in self.problem.functions.of_branches:
            flow[part, k] = i
        metered = np.flatnonzero((flow < none).any(axis=0))
        turns = np.array([c["angle"].first + k not in self.problem.frame.fixed for k in range(n)], float)[self.node]
        voltage = self._meters_of("magnitude", none)
        angle = self._meters_of("angle", none)
        parts, signs, part_starts, known, constant = self._injections()
        u = _indices
        return Layout(
            pattern.starts, pattern.diagonal, pattern.columns, pattern.targets,
            u(starts), u(columns), u(slots), u(mirrors), values.real.copy(), values.imag.copy(),
            own.real.copy(), own.imag.copy(), turns,
            u(ends[0, metered]), u(ends[1, metered]), u(self._slots(pattern, ends[0, metered], ends[1, metered])),
            u(self._slots(pattern, ends[1, metered], ends[0, metered])), np.ascontiguousarray(branch[:, metered]),
            u(flow[:, metered]), u(voltage), u(angle), u(part_starts), u(parts), signs, known, constant,
        )  # fmt: skip

    def _admittances(
        self, branch: Floats, ends: Ints
    ) -> tuple[Ints, Ints, NDArray[np.complex128], NDArray[np.complex128]]:
        """Admittances off the diagonal by rows, and on it, in the order of the pivots, with all shunts."""
        y = branch[::2] + 1j * branch[1::2]
        own = np.zeros(self.n, complex)
        np.add.at(own, ends[0], y[0])
        np.add.at(own, ends[1], y[3])
        eq = self.problem.frame.system.equations
        for s in eq.stamps_of("shunt"):
            np.add.at(own, self.place[s.columns[0] - eq.columns["magnitude"].first],
                      (s.get("G") + 1j * s.get("B")) / self.base)  # fmt: skip
        pairs = np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]]
        matrix = coo_array((np.r_[y[1], y[2]], pairs), shape=(self.n, self.n)).tocsr()
        matrix.sum_duplicates()
        return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, own

    @staticmethod
    def _slots(p: LaneLayout, rows: Ints, columns: Ints) -> Ints:
        """Return the slot of each entry (row, column) of the pattern."""
        n = p.diagonal.size
        keys = np.repeat(np.arange(n), np.diff(p.starts).astype(np.int64)) * n + p.columns
        return np.asarray(np.searchsorted(keys, rows * n + columns), np.int64)

    def _meters_of(self, quantity: str, none: int) -> Ints:
        """Meter of each bus in the order of the pivots (n,)."""
        first = self.problem.frame.system.equations.columns[quantity].first
        out = np.full(self.n, none, np.int64)
        for k in range(self.n):
            if first + k in self.problem.frame.fixed:
                if quantity == "magnitude":
                    msg = "the lanes take no magnitude that is exact: give it a small sigma, or use run"
                    raise SeraiError(msg)
                continue
            found = self._one(first + k)
            if found is not None:
                out[self.place[k]] = found[0]
        return out

    def _injections(self) -> tuple[Ints, Floats, Ints, NDArray[np.int8], Floats]:
        """What is injected at each bus: meters with their signs, a constant, and whether all of it is known."""
        eq = self.problem.frame.system.equations
        parts: list[int] = []
        signs: list[float] = []
        starts, known, constant = [0], np.zeros(2 * self.n, np.int8), np.zeros(2 * self.n)
        terms = self._terms()
        for side, label in enumerate(("active power balance", "reactive power balance")):
            first = next(f for name, _, f, _ in eq.row_blocks if name == label)
            for i in range(self.n):
                at = side * self.n + i
                mine, total, free = self._summed(terms.get(first + int(self.node[i]), []))
                known[at] = 0 if free else (1 if mine else 2)
                constant[at] = total / self.base
                for meter, sign in mine if not free else []:
                    parts.append(meter)
                    signs.append(sign)
                starts.append(len(parts))
        return np.array(parts, np.int64), np.array(signs, float), np.array(starts, np.int64), known, constant

    def _terms(self) -> dict[int, list[tuple[int, float]]]:
        """Columns and signs that enter each row by production and consumption."""
        out: dict[int, list[tuple[int, float]]] = {}
        for law, sign in (("production", 1.0), ("consumption", -1.0)):
            for s in self.problem.frame.system.equations.stamps_of(law):
                for row, column in zip(s.rows[0].tolist(), s.columns[0].tolist(), strict=True):
                    out.setdefault(row, []).append((column, sign))
        return out

    def _summed(self, terms: list[tuple[int, float]]) -> tuple[list[tuple[int, float]], float, bool]:
        """Return the meters and signs of a sum of columns, its constant [W], and whether a part of it is free."""
        fixed, split = self.problem.frame.fixed, self._split
        meters, total = [], 0.0
        todo = list(terms)
        while todo:
            column, sign = todo.pop()
            found = self._one(column)
            if column in fixed:
                total += sign * fixed[column].value
            elif found is not None and column not in split:
                meters.append((found[0], sign * found[1]))
            elif found is None and column in split:
                todo += [(c, sign * s) for c, s in split[column]]
            else:
                return [], 0.0, True
        return meters, total, False

    @cached_property
    def _split(self) -> dict[int, list[tuple[int, float]]]:
        """Parts of every column that is a sum of loads."""
        out: dict[int, list[tuple[int, float]]] = {}
        for terms in self._terms().values():
            total = [c for c, sign in terms if c in self.problem.frame.sums and sign > 0.0]
            if len(total) == 1 and len(terms) > 1:
                out[total[0]] = [(c, -sign) for c, sign in terms if c != total[0]]
        return out

    # ----------------------------------------------------------------------------------------------------------- solve

    def solve(self, values: ArrayLike, start: Floats | None = None) -> Snapshots:
        """Estimate snapshots: values (n_snapshot, n_meter), SI, in the order of the problem's meters; nan = missing.

        start  all columns (n_column,) to begin from; not given = the start of the problem
        """
        z = np.ascontiguousarray(np.atleast_2d(np.asarray(values, float)) / self._unit)
        count = len(z)
        c = self.problem.frame.system.equations.columns
        x = self.problem.frame.start if start is None else start
        v, a = x[c["magnitude"].span][self.node].copy(), x[c["angle"].span][self.node].copy()
        magnitude, angle, told = np.empty((count, self.n)), np.empty((count, self.n)), np.full((count, 5), np.nan)
        out = magnitude, angle, told
        self._each(ONE, 0, 1, self._apart(z, (v, a), out))  # the base
        if count > 1 and self._fine(told[:1])[0]:
            v, a = magnitude[0].copy(), angle[0].copy()
            self._each(EIGHT, 1, count, self._alike(self._work[1][0], z, (v, a), out))
        left = np.flatnonzero(~self._fine(told))
        left = left[left > 0]
        if left.size:
            mine = tuple(np.full((left.size, *x.shape[1:]), np.nan) for x in out)
            self._each(ONE, 0, left.size, self._apart(z[left], (v, a), mine))
            for whole, part in zip(out, mine, strict=True):
                whole[left] = part
        converged = self._fine(told)
        magnitude[~converged], angle[~converged] = np.nan, np.nan
        back = self.place
        return Snapshots(
            tuple(self.problem.frame.system.power.names), magnitude[:, back], angle[:, back], told[:, 0] * self._weight,
            converged, told[:, 1].astype(np.int64), told[:, 4],
        )  # fmt: skip

    def residuals(self, found: Snapshots, values: ArrayLike) -> Floats:
        """Return reading less estimate of every meter (n_snapshot, n_meter), SI; nan where missing or without answer.

        Computed from complex voltages and the branches, apart from the kernel. What several meters of one bus miss
        together is theirs by their variances, as the weighted least squares have it.
        """
        m, unit = self.layout, self._unit
        z = np.atleast_2d(np.asarray(values, float)) / unit
        v, a = found.magnitude[:, self.node], found.angle[:, self.node]
        V = v * np.exp(1j * a)
        told = np.full(z.shape, np.nan)
        for meters, of in ((m.voltage, v), (m.angle, a)):
            here = np.flatnonzero(meters < z.shape[1])
            told[:, meters[here]] = of[:, here]
        y = m.branch[::2] + 1j * m.branch[1::2]
        near, far = V[:, m.from_bus], V[:, m.to_bus]
        ends = near * np.conj(y[0] * near + y[1] * far), far * np.conj(y[2] * near + y[3] * far)
        for part, power in enumerate(x for S in ends for x in (S.real, S.imag)):
            here = np.flatnonzero(m.flow[part] < z.shape[1])
            told[:, m.flow[part, here]] = power[:, here]
        out = np.asarray(z - told, np.float64)
        Y = csr_array((m.G + 1j * m.B, m.y_columns, m.y_starts), shape=(self.n, self.n))
        S = V * np.conj((Y @ V.T).T + (m.own_g + 1j * m.own_b) * V)
        injected = np.concatenate([S.real, S.imag], axis=1)
        variance = 1.0 / np.where(self.weights > 0.0, self.weights, np.nan)
        for i in np.flatnonzero(m.known == 1):
            mine = slice(int(m.part_starts[i]), int(m.part_starts[i + 1]))
            k, sign = m.parts[mine].astype(np.intp), m.signs[mine]
            lack = (z[:, k] * sign).sum(axis=1) + m.constant[i] - injected[:, i]
            out[:, k] = lack[:, None] * sign * variance[k] / variance[k].sum()
        # what shares a bus with something that nobody meters checks nothing there: it is believed
        alone = np.isnan(out) & np.isfinite(z) & (self.weights > 0.0) & found.converged[:, None]
        return np.asarray(np.where(alone, 0.0, out) * unit, np.float64)

    @staticmethod
    def _fine(told: Floats) -> Flags:
        return np.asarray((told[:, 2] <= TOLERANCE) & (told[:, 3] > WEAK) & (told[:, 4] <= EXACT), bool)

    def _apart(
        self, z: Floats, start: tuple[Floats, Floats], out: tuple[Floats, ...]
    ) -> Callable[[Work, int, int], None]:
        """Return what estimates snapshots with factors of their own, one lane each: they are few."""

        def do(w: Work, first: int, last: int) -> None:
            estimate_range(self.layout, w, z, self.weights, *start, TOLERANCE, first, last, *out, ONE)

        return do

    def _alike(
        self, base: Work, z: Floats, start: tuple[Floats, Floats], out: tuple[Floats, ...]
    ) -> Callable[[Work, int, int], None]:
        """Return what estimates snapshots with the factors of a base."""
        factors = base.X, base.D

        def do(w: Work, first: int, last: int) -> None:
            shared_range(
                self.layout, w, *factors, z, self.weights, *start, base.mu, TOLERANCE, first, last, *out, EIGHT
            )  # fmt: skip

        return do

    def _each(
        self, lanes: tuple[float, ...], first: int, last: int, do: Callable[[Work, int, int], None]
    ) -> None:  # fmt: skip
        """Share blocks of snapshots among the threads."""
        pieces = _pieces(first, last, len(lanes))
        threads = max(1, min(self.threads, len(pieces)))
        work = self._work.setdefault(len(lanes), [])
        while len(work) < threads:
            work.append(work_for(self.layout, len(self.weights), len(lanes)))

        def run(thread: int) -> None:
            for begin, end in pieces[thread::threads]:
                do(work[thread], begin, end)

        if threads == 1:
            run(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(threads)))


def _pieces(first: int, last: int, width: int) -> list[tuple[int, int]]:
    return [(k, min(k + width, last)) for k in range(first, last, width)]


def _indices(values: NDArray[np.generic]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.uint32)
