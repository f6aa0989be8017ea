# SPDX-License-Identifier: Apache-2.0
"""A grid laid out for the kernel of `ac_lanes`, and the tables of its scenarios.

The kernel serves grids whose buses each know two of P, Q, magnitude and angle: references, held magnitudes, loads.
`why_not` says in words what else a system has; the general path then solves it.
"""

from __future__ import annotations

from math import nan, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.sparse import coo_array

from serai.lanes import EIGHT
from serai.sparse.lane_lu import factor_blocks, lay_out
from serai.system.ac_lanes import EITHER, HELD, LOAD, Grid, Table, measure_with_slopes, work_for
from serai.system.ac_proof import Proof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from serai.system.columns import Fixed
    from serai.system.system import System

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Lanes = tuple[float, ...]

SWITCHED = ("lines", "transformers", "branches")  # whose status may differ between scenarios


def why_not(system: System, fixed: Mapping[int, Fixed]) -> str:  # noqa: PLR0911 - one reason a line
    """Say what keeps a system from the kernel; an empty text means that nothing does."""
    c, eq, g = system.equations.columns, system.equations, system.power
    if system.gas.names:
        return "it has gas"
    if not g.names:
        return "it has no grid"
    for law, what in (("voltage_dependent_load", "loads that depend on the voltage"), ("direct_current_link", "links")):
        if eq.stamps_of(law):
            return f"it has {what}"
    if g.following:
        return "its units share the swing"
    n = len(g.names)
    angle, magnitude = (_known(fixed, c[q].first, n) for q in ("angle", "magnitude"))
    if not (magnitude | ~angle).all():
        return "a reference holds no magnitude"
    for name in g.generators:
        node = g.at(name)
        if c["active_power"].index[name] not in fixed and not angle[node]:
            return f"{name} swings away from a reference"
        if c["reactive_power"].index[name] not in fixed and not magnitude[node]:
            return f"the reactive power of {name} is open"
    return ""


def _known(fixed: Mapping[int, Fixed], first: int, n: int) -> Flags:
    return np.array([first + k in fixed for k in range(n)], bool)


def _indices(values: NDArray[np.generic]) -> NDArray[np.uint32]:
    return np.ascontiguousarray(values, np.uint32)


class Layout:
    """A grid in the order of the pivots, with its base state, and what its tables are made from.

    system, fixed  the system at its set-points: magnitudes held, no bus at a reactive limit
    x              its base state (n_column,)
    limits         node of the power graph -> -1 or 1: at its lower or upper reactive limit in the base state
    q_limits       whether buses may reach their limits in the scenarios
    """

    def __init__(
        self, system: System, fixed: Mapping[int, Fixed], x: Floats, limits: Mapping[int, int], *, q_limits: bool
    ) -> None:
        self.system, self.fixed, self.x = system, dict(fixed), x
        self.base = system.network.base_power
        g, c = system.power, system.equations.columns
        self.n = n = len(g.names)
        self.reference = _known(fixed, c["angle"].first, n)
        self.magnitude_known = _known(fixed, c["magnitude"].first, n)
        free = np.flatnonzero(~self.reference)
        local = np.full(n, -1)
        local[free] = np.arange(free.size)
        f, t = g.ends
        inside = (local[f] >= 0) & (local[t] >= 0)
        pairs = np.r_[local[f[inside]], local[t[inside]]], np.r_[local[t[inside]], local[f[inside]]]
        self._pattern = lay_out(free.size, *pairs)
        place = np.empty(n, np.int64)
        place[free] = self._pattern.row_place
        place[self.reference] = free.size + np.arange(n - free.size)
        self.place = place
        self.node = np.argsort(place)
        self._spec()
        self.grid, self.proof = self._grid(limits, q_limits=q_limits)
        self._factor()
        self._alone: tuple[Ints, NDArray[np.uint32]] | None = None

    # ------------------------------------------------------------------------------------------------------- the grid

    def _spec(self) -> None:
        """What enters each bus by the Knowns [pu], in the order of the power graph (n,); held Q counts as 0."""
        c, g = self.system.equations.columns, self.system.power
        value = {k: f.value for k, f in self.fixed.items()}
        self.P = np.array([-value[c["active_withdrawal"].first + k] for k in range(self.n)]) / self.base
        self.Q = np.array([-value[c["reactive_withdrawal"].first + k] for k in range(self.n)]) / self.base
        for name in g.generators:
            for spec, quantity in ((self.P, "active_power"), (self.Q, "reactive_power")):
                spec[g.at(name)] += value.get(c[quantity].index[name], 0.0) / self.base

    def _admittances(self) -> tuple[Floats, Floats]:
        """Branches (8, n_branch) as the law takes them, and shunts as G + jB of each node (n,), both per unit."""
        eq, g = self.system.equations, self.system.power
        branch = np.zeros((8, 0)) if g.branch_stamp is None else g.branch_stamp.parameters / self.base
        shunt = np.zeros(self.n, complex)
        for s in eq.stamps_of("shunt"):
            np.add.at(shunt, s.columns[0] - eq.columns["magnitude"].first, (s.get("G") + 1j * s.get("B")) / self.base)
        return branch, shunt

    def _grid(self, limits: Mapping[int, int], *, q_limits: bool) -> tuple[Grid, Proof]:
        g, c, p, n = self.system.power, self.system.equations.columns, self._pattern, self.n
        m = p.diagonal.size
        branch, shunt = self._admittances()
        ends = self.place[np.stack(g.ends)]
        y = branch[::2] + 1j * branch[1::2]
        rows, columns = np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]]
        own = np.zeros(n, complex)
        np.add.at(own, ends[0], y[0])
        np.add.at(own, ends[1], y[3])
        own[self.place] += shunt
        matrix = coo_array((np.r_[y[1], y[2]], (rows, columns)), shape=(n, n)).tocsr()
        matrix.sum_duplicates()
        starts, columns_of = matrix.indptr[: m + 1], matrix.indices[: matrix.indptr[m]].astype(np.int64)
        rows_of = np.repeat(np.arange(m), np.diff(starts))
        slot = self._slots(rows_of, columns_of)
        self.may = self._limited() if q_limits else {}
        kind = np.where(self.magnitude_known, HELD, LOAD).astype(np.int8)[self.node]
        may = np.array(sorted(self.may), np.int64)
        kind[self.place[may]] = EITHER
        ranges = np.array([self.may[k] for k in may]).reshape(-1, 4).T
        held = np.where(
            self.magnitude_known,
            [getattr(self.fixed.get(c["magnitude"].first + k), "value", -1.0) for k in range(n)],
            -1.0,
        )[self.node]
        v, a = self.x[c["magnitude"].span][self.node], self.x[c["angle"].span][self.node]
        e, f = v * np.cos(a), v * np.sin(a)
        shift = g.branches.shift[g.alive_branch]
        u = _indices
        off = matrix.data[: starts[-1]]
        branch_slots = np.stack([self._slots(ends[0], ends[1]), self._slots(ends[1], ends[0])])
        fill_free = np.ones(p.columns.size, bool)
        fill_free[slot[slot < p.columns.size]] = False
        fill_free[p.diagonal] = False
        grid = Grid(  # type: ignore[call-arg]  # mypy does not count what is unpacked
            u(self.place), p.starts, p.diagonal, p.columns, p.targets, u(np.flatnonzero(fill_free)),
            u(starts), u(columns_of), u(slot), off.real.copy(), off.imag.copy(),
            own.real[:m].copy(), own.imag[:m].copy(), kind[:m].copy(), u(self.place[may]),
            u(ends), np.ascontiguousarray(branch), u(branch_slots),
            e, f, a, np.zeros(m), np.zeros(m), np.zeros(4 * p.columns.size), np.zeros(4 * m),
            *(np.ascontiguousarray(r, float) for r in ranges), held,
            np.array([limits.get(int(k), 0) for k in may], np.int8),
        )  # fmt: skip
        return grid, Proof(shunt.real[self.node], shunt.imag[self.node], np.stack([np.cos(shift), np.sin(shift)]))

    def _slots(self, rows: Ints, columns: Ints) -> Ints:
        """Slot of each entry; where a reference takes part the one behind the last."""
        p = self._pattern
        m = p.diagonal.size
        keys = np.repeat(np.arange(m), np.diff(p.starts).astype(np.int64)) * m + p.columns  # ascending
        inside = (rows < m) & (columns < m)
        slots = np.full(rows.shape, p.columns.size)
        slots[inside] = np.searchsorted(keys, rows[inside] * m + columns[inside])
        return np.asarray(slots, np.int64)

    def _limited(self) -> dict[int, tuple[float, float, float, float]]:
        """Nodes that may give up their magnitude: offset, share [pu], lowest and highest position."""
        g, c = self.system.power, self.system.equations.columns
        found = {}
        first = c["position"].first
        offset, share = np.zeros(len(g.controlled)), np.zeros(len(g.controlled))
        for s in self.system.equations.stamps_of("share"):
            mine = (s.columns[1] >= first) & (s.columns[1] < first + len(g.controlled))
            np.add.at(offset, s.columns[1][mine] - first, s.get("offset")[mine] / self.base)
            np.add.at(share, s.columns[1][mine] - first, s.get("share")[mine] / self.base)
        for k, node in enumerate(g.controlled):
            low, high = g.position_limits[k]
            if (np.isfinite(low) or np.isfinite(high)) and self.magnitude_known[node] and not self.reference[node]:
                found[int(node)] = (float(offset[k]), float(share[k]), float(low), float(high))
        return found

    def _factor(self) -> None:
        """Keep balances and factors of the base state: the first step of all scenarios."""
        grid, width = self.grid, len(EIGHT)
        w = work_for(grid)
        for of, at in ((grid.e, w.e), (grid.f, w.f), ((grid.kind == LOAD).astype(float), w.pq)):
            at[:] = np.repeat(of, width)
        for k, i in enumerate(grid.may.astype(np.int64)):
            w.pq[i * width : (i + 1) * width] = float(grid.at_limit[k] != 0)
        measure_with_slopes(grid, w, EIGHT)
        grid.P[:] = -w.R[::width][::2]
        grid.Q[:] = -w.R[::width][1::2]
        factor_blocks(grid.starts, grid.diagonal, grid.columns, grid.targets, w.X, w.D, w.small, EIGHT)
        grid.X[:] = w.X[::width][: grid.X.size]
        grid.D[:] = w.D[::width]

    # ----------------------------------------------------------------------------------------------------- the tables

    def plan(self, columns: Sequence[tuple[str, str]]) -> Plan | str:
        """Work out what the columns (quantity, element) of a table change, or say in words why one does not fit."""
        self._known_values = {(k.quantity, k.where): k.value for k in self.system.knowns}
        self._holding: dict[int, list[str]] = {}
        for known in self.system.knowns:
            if known.quantity == "magnitude":
                self._holding.setdefault(self.system.power.at(known.where), []).append(known.where)
        others = frozenset(columns)
        P, Q = self.P.copy(), self.Q.copy()
        effects: list[tuple[int, int, int, float]] = []
        switched: list[tuple[int, int]] = []
        idle: list[int] = []
        for k, (quantity, where) in enumerate(columns):
            if quantity == "in_service" and self.system.network.kind_of(where) in SWITCHED:
                mine = self.branches_of(where)
                if not mine:
                    return f"{where} is out of service, and some scenarios may switch it on"
                switched += [(k, b) for b in mine]
                continue
            found = self._effects(quantity, where, others)
            now = 0.0 if not found or found[0][1] == 2 else self._now(quantity, where)
            if found is None or now != now:  # noqa: PLR0124 - nan: nothing is known there yet
                return f"{quantity} of {where} differs between scenarios"
            # a reactive power where the magnitude is held, or a power at a reference, moves no voltage
            silent = [
                what != 2 and (self.reference[node] or (what == 1 and self.magnitude_known[node]))
                for node, what, _ in found
            ]
            if all(silent):
                idle.append(k)
            for node, what, by in found:
                if what != 2:
                    (P, Q)[what][node] -= by * now
                effects.append((k, node, what, by))
        effects = [x for x in effects if x[2] == 2 or not self.reference[x[1]]]
        return Plan(self, len(columns), effects, switched, idle, P, Q)

    def _effects(
        self, quantity: str, where: str, others: frozenset[tuple[str, str]]
    ) -> list[tuple[int, int, float]] | None:
        """What a column changes: (node, 0 P | 1 Q | 2 magnitude, factor); None: not for the kernel."""
        g, c, S = self.system.power, self.system.equations.columns, self.base
        kind, node = self.system.network.kind_of(where), g.at(where)
        if quantity in ("angle", "in_service") or kind not in ("loads", "generators", "buses"):
            return None
        if node < 0:
            return []
        if quantity == "magnitude":
            return [(node, 2, 1.0)] if self._holding.get(node) == [where] else None
        side = 0 if quantity.startswith("active") else 1
        if kind == "buses":
            return [(node, side, -1.0 / S)]
        if kind == "generators":
            return [(node, side, 1.0 / S)] if c[quantity].index[where] in self.fixed else None
        effects = [(node, side, -1.0 / S)]
        own = ("reactive_power", where)
        if side == 0 and own not in self._known_values and own not in others:
            loads = self.system.network.active("loads")
            factor = loads["power_factor"][loads.row(where)]
            if not np.isnan(factor):
                effects.append((node, 1, -sqrt(1.0 / factor**2 - 1.0) / S))
        return effects

    def _now(self, quantity: str, where: str) -> float:
        """Return the value of a column in the base, as far as it entered P and Q; nan where nothing is known."""
        if (quantity, where) in self._known_values:
            return self._known_values[quantity, where]
        kind = self.system.network.kind_of(where)
        if kind == "loads" and quantity == "reactive_power":
            loads = self.system.network.active("loads")
            factor = loads["power_factor"][loads.row(where)]
            active = self._known_values.get(("active_power", where), nan)
            return 0.0 if np.isnan(factor) else active * sqrt(1.0 / factor**2 - 1.0)
        return 0.0 if kind == "buses" else nan

    def branches_of(self, name: str) -> list[int]:
        """Return the running branches of an element."""
        if not hasattr(self, "_branches"):
            self._branches: dict[str, list[int]] = {}
            g = self.system.power
            for k, x in enumerate(g.branches.name[g.alive_branch]):
                self._branches.setdefault(str(x), []).append(k)
        return self._branches.get(name, [])

    def cut_off(self, out_starts: Ints, out: NDArray[np.uint32]) -> tuple[Ints, NDArray[np.uint32]]:
        """Return the buses, by place, that no reference reaches in each scenario, starts and buses."""
        count = np.diff(out_starts)
        if not out.size:
            return np.zeros_like(out_starts), np.empty(0, np.uint32)
        if count.max() > 1:
            return self._searched(out_starts, out)
        # one branch at most: what each branch cuts off alone is found once for all tables
        branches = self.grid.ends.shape[1]
        if self._alone is None:
            self._alone = self._searched(np.arange(branches + 1), np.arange(branches, dtype=np.uint32))
        starts, dead = self._alone
        lengths = np.zeros(count.size, np.int64)
        lengths[count == 1] = np.diff(starts)[out]
        found = np.zeros(count.size + 1, np.int64)
        np.cumsum(lengths, out=found[1:])
        some = [dead[starts[b] : starts[b + 1]] for b in out[np.diff(starts)[out] > 0]]
        return found, np.concatenate(some) if some else np.empty(0, np.uint32)

    def _searched(self, out_starts: Ints, out: NDArray[np.uint32]) -> tuple[Ints, NDArray[np.uint32]]:
        """Search the grid without the branches of each scenario from its references on."""
        ends = self.grid.ends.astype(np.int64)
        order = np.argsort(np.r_[ends[0], ends[1]], kind="stable")
        starts = np.zeros(self.n + 1, np.int64)
        np.cumsum(np.bincount(ends.ravel(), minlength=self.n), out=starts[1:])
        neighbours, by = np.r_[ends[1], ends[0]][order], np.tile(np.arange(ends.shape[1]), 2)[order]
        found: tuple[Ints, NDArray[np.uint32]] = buses_cut_off(
            starts, neighbours, by, self.grid.kind.size, out_starts, out.astype(np.int64)
        )
        return found


class Plan:
    """What the columns of a table change in one grid: made once, for any number of tables.

    effects   (column, node, 0 P | 1 Q | 2 magnitude, factor); switched  (column, branch) of columns in_service
    idle      columns whose absence the voltages may not show
    """

    def __init__(
        self, layout: Layout, count: int, effects: list[tuple[int, int, int, float]], switched: list[tuple[int, int]],
        idle: list[int], P: Floats, Q: Floats,
    ) -> None:  # fmt: skip
        self.layout, self.count, self.switched, self.idle = layout, count, switched, idle
        e = np.array(effects, float).reshape(-1, 4)
        m = layout.grid.kind.size
        self._effects = (
            e[:, 0].astype(np.uint32), layout.place[e[:, 1].astype(np.int64)].astype(np.uint32),
            e[:, 2].astype(np.int8), e[:, 3].copy(), bool((e[:, 2] == 2).any()), P[layout.node[:m]], Q[layout.node[:m]],
        )  # fmt: skip

    def table(self, values: Floats, out: Sequence[Sequence[int]] | None = None) -> Table:
        """Lay out the values (n_scenarios, n_columns), SI, contiguous in either order; nothing is copied.

        out  for each scenario branches that are out beside its columns, as numbers among the running ones
        """
        starts, branches = self._outages(values, out)
        dead_starts, dead = self.layout.cut_off(starts, branches)
        by = [stride // values.itemsize for stride in values.strides]
        return Table(values.ravel(order="K"), by[0], by[1], *self._effects, starts, branches, dead_starts, dead)

    def _outages(self, values: Floats, out: Sequence[Sequence[int]] | None) -> tuple[Ints, NDArray[np.uint32]]:
        """Return the branches that are out of each scenario, starts and branches."""
        count = len(values)
        if not self.switched and out is None:
            return np.zeros(count + 1, np.int64), np.empty(0, np.uint32)
        starts = np.zeros(count + 1, np.int64)
        if out is not None and not self.switched:
            np.cumsum([len(x) for x in out], out=starts[1:])
            return starts, np.array([b for x in out for b in x], np.uint32)
        lists = [set(x) for x in out] if out is not None else [set() for _ in range(count)]
        for column, branch in self.switched:
            for s in np.flatnonzero(values[:, column] == 0.0):
                lists[s].add(branch)
        np.cumsum([len(x) for x in lists], out=starts[1:])
        return starts, np.array([b for x in lists for b in sorted(x)], np.uint32)


@njit(cache=True, error_model="numpy", nogil=True)
def buses_cut_off(
    starts: Ints, neighbours: Ints, by: Ints, first_reference: int, out_starts: Ints, out: Ints
) -> tuple[Ints, NDArray[np.uint32]]:
    """Find the buses that no reference reaches without the branches that are out, scenario by scenario.

    starts, neighbours, by  the neighbours of each bus and the branch to each; references are the last buses
    """
    n, count = starts.size - 1, out_starts.size - 1
    seen, waiting = np.full(n, -1, np.int64), np.empty(n, np.int64)
    is_out = np.zeros(neighbours.size // 2, np.bool_)
    dead_starts = np.zeros(count + 1, np.int64)
    dead = np.empty(16, np.uint32)
    used = 0
    for s in range(count):
        reached = n
        if out_starts[s + 1] > out_starts[s]:
            for k in range(out_starts[s], out_starts[s + 1]):
                is_out[out[k]] = True
            reached = n - first_reference
            for i in range(first_reference, n):
                seen[i] = s
                waiting[i - first_reference] = i
            at = 0
            while at < reached:
                i = waiting[at]
                at += 1
                for k in range(starts[i], starts[i + 1]):
                    j = neighbours[k]
                    if seen[j] != s and not is_out[by[k]]:
                        seen[j] = s
                        waiting[reached] = j
                        reached += 1
            for k in range(out_starts[s], out_starts[s + 1]):
                is_out[out[k]] = False
        if used + n - reached > dead.size:
            more = np.empty(2 * dead.size + n - reached, np.uint32)
            more[:used] = dead[:used]
            dead = more
        if reached < n:
            for i in range(n):
                if seen[i] != s:
                    dead[used] = i
                    used += 1
        dead_starts[s + 1] = used
    return dead_starts, dead[:used].copy()
