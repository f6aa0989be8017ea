# SPDX-License-Identifier: Apache-2.0
"""Many scenarios of one closed system, sixteen at a time.

Scenarios that know the same columns share their equations, their pattern and, near enough, their pivots. `Batch` lays
that out once, from a solved state, and then only numbers move: Newton runs compiled, from the tables of scenarios to
the columns that are asked for.

    batch = Batch(closed, solution.x)
    answer = batch.solve(columns, values)          # columns (n,) whose values differ, values (n_scenario, n)
    answer.x, answer.status                        # (n_scenario, n_column), (n_scenario,)

A scenario that does not come to rest with its neighbours is tried again among its like, for longer; what is left
then is solved one by one by `Closed`, with line search and pivoting. An answer is marked CONVERGED only if its own
mismatch, from the exact laws, is below the tolerance.

The laws are those of `serai.laws`, compiled for lanes; the loops round them are in `lane_newton`.
"""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np

from serai.errors import NotConverged, SingularSystem
from serai.lanes import EIGHT
from serai.laws import LAWS
from serai.sparse import lane_lu
from serai.sparse.lane_lu import TRUSTED, lay_out
from serai.system import lane_newton, tracing
from serai.system.closed import TOLERANCE
from serai.system.kernels import written
from serai.system.lane_newton import CONVERGED, NOT_A_NUMBER, PIVOT_LOST, UNFINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from serai.system.closed import Closed
    from serai.system.equations import Stamp

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Indices = NDArray[np.uint32]

__all__ = ["CONVERGED", "NOT_A_NUMBER", "PIVOT_LOST", "UNFINISHED", "Answer", "Batch", "Days"]

WIDE = (0.0,) * 16  # what the laws compute of their parameters alone is shared by more scenarios than with eight
FIRST, LATER = (12, 1), (16, 16)  # Newton steps at most, and how many of them a last quarter of a block takes alone
OLD = ("m_old", "mass_old")  # parameters that hold the state of one step ago: each scenario has its own
MEMORY = tuple((o,) for o in OLD)
DRAINED = -0.5  # of the highest pressure
BLOCKS_AT_ONCE = 4  # that a thread takes from the pile


@cache
def loops(laws: tuple[tuple[str, tuple[str, ...], tuple[str, ...], bool], ...]) -> tuple[Any, tuple[Any, ...]]:
    """Return the module of `lane_newton` for laws, and the module of each.

    laws  (name, parameters that differ between scenarios, parameters that are 0, whether the slopes are constant)
    """
    modules, texts = [], ""
    for name, varied, zero, _ in laws:
        text = tracing.source(LAWS[name], varied, zero)
        texts += text
        modules.append(written(f"serai_lanes_{name}_{hashlib.sha256(text.encode()).hexdigest()[:12]}", text))
    calls: dict[str, list[str]] = {"assemble": [], "residual": [], "remember": []}
    for k, (_, varied, _, constant) in enumerate(laws):
        just = f"l{k}.residual(x, program[{k}], varied[{k}], B, lanes)"
        calls["residual"].append(just)
        calls["assemble"].append(just if constant else f"l{k}.assemble(x, program[{k}], varied[{k}], B, X, lanes)")
        calls["remember"] += [f"l{k}.remember(x, program[{k}], varied[{k}], lanes)"] * (varied in MEMORY)
    head = ["from numba import njit", *(f"import {m.__name__} as l{k}" for k, m in enumerate(modules))]
    arguments = {"assemble": "x, program, varied, B, X, lanes", "residual": "x, program, varied, B, lanes",
                 "remember": "x, program, varied, lanes"}  # fmt: skip
    text = "\n".join(head)
    for function, lines in calls.items():
        body = "\n".join(f"    {line}" for line in lines or ["pass"])
        text += f"\n\n\n{tracing.INNER}\ndef {function}({arguments[function]}):\n{body}\n"
    # code compiled before is kept: it must not outlive what it calls
    pattern = _source_of(lane_newton)
    digest = hashlib.sha256((texts + text + pattern + _source_of(lane_lu)).encode()).hexdigest()[:16]
    written(f"serai_laws_{digest}", text)
    newton = written(f"serai_newton_{digest}", pattern.replace("serai.system.no_laws", f"serai_laws_{digest}"))
    return newton, tuple(modules)


def _source_of(module: Any) -> str:
    return Path(str(module.__file__)).read_text(encoding="utf-8")


@dataclass(frozen=True)
class Answer:
    """What became of every scenario.

    x           the columns asked for (n_scenario, n_wanted), SI
    status      CONVERGED, or why not (n_scenario,)
    iterations  Newton steps (n_scenario,)
    alone       scenarios that were solved one by one
    drained     scenarios that were not, because Newton ends deep below zero pressure: what they ask for cannot flow
    """

    x: Floats
    status: Ints
    iterations: Ints
    alone: tuple[int, ...] = ()
    drained: tuple[int, ...] = ()


@dataclass(frozen=True)
class Changes:
    """Equations that differ between scenarios of one pattern.

    swaps   for each scenario: row -> (column, value): instead of that equation the unknown column has that value
    absent  law -> for each scenario the numbers of its instances that are not there
    """

    swaps: Sequence[Mapping[int, tuple[int, float]]]
    absent: Mapping[str, Sequence[Sequence[int]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Days:
    """What became of every scenario over time.

    x           the columns asked for (n_scenario, n_step + 1, n_wanted), SI; the first is the start
    end         the last state (n_scenario, n_column)
    left        gas that left the network in all [kg] (n_scenario,)
    status, iterations    as in `Answer`
    """

    x: Floats
    end: Floats
    left: Floats
    status: Ints
    iterations: Ints


class Batch:
    """The equations of one closed system, laid out for lanes.

    closed   what is known, and the equations; a transient one steps through time
    x        a state near the ones to come (n_column,): it chooses the pivots, and every scenario starts there
    threads  at most; not given = as many as this process may use
    varying  laws whose instances can be absent from a scenario (`Changes.absent`): without parameters they say 0
    """

    def __init__(self, closed: Closed, x: Floats, *, threads: int | None = None, varying: Sequence[str] = ()) -> None:
        self.closed = closed
        self.base = np.array(x, np.float64)
        self.threads = threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else threads or 2
        rows, columns, values = closed.triplets(self.base)
        inside = columns >= 0
        p = lay_out(closed.n, rows[inside], columns[inside], values[inside])
        self.n_slots = p.columns.size
        slots = np.full(rows.size, self.n_slots, np.uint32)  # slopes of known columns fall into a bin behind the matrix
        slots[inside] = p.slots
        constant = self._constant(values)
        template = np.zeros(self.n_slots + 1)
        at = 0
        groups: dict[str, list[tuple[Stamp, tuple[Any, ...]]]] = {}
        for s, (r, row_scales, slot_scales) in zip(closed.stamps, closed.scales(), strict=True):
            these = slice(at, at + r.size)
            at += r.size
            if constant[s.law.name]:
                np.add.at(template, slots[these], values[these])
            part = (
                s.columns, s.parameters, p.row_place[s.rows], row_scales, slots[these].reshape(r.shape), slot_scales,
            )  # fmt: skip
            groups.setdefault(s.law.name, []).append((s, part))
        self._groups: dict[str, list[Stamp]] = {name: [s for s, _ in parts] for name, parts in groups.items()}
        self._varied = {
            name: tuple(o for o in OLD if o in LAWS[name].parameters and self._moving(name)) for name in groups
        } | {name: LAWS[name].parameters for name in varying if name in groups}
        kinds = (np.uint32, np.float64, np.uint32, np.float64, np.uint32, np.float64)
        program = [
            [
                np.ascontiguousarray(np.concatenate([part[k] for _, part in parts], axis=1).T, kind)
                for k, kind in enumerate(kinds)
            ]
            for parts in groups.values()
        ]
        self._parameters = [instances[1] for instances in program]
        zero = [self._zero(name, given) for name, given in zip(groups, self._parameters, strict=True)]
        self._loops, self._laws = loops(
            tuple((name, self._varied[name], z, constant[name]) for name, z in zip(groups, zero, strict=True))
        )
        for instances, law in zip(program, self._laws, strict=True):
            instances[1] = np.empty((instances[1].shape[0], max(1, law.KEPT)))
        self._program = tuple(tuple(instances) for instances in program)
        self._prepare()
        unknowns = np.empty(closed.n, np.uint32)
        unknowns[p.column_place] = closed.free
        scales = closed.column_scales[unknowns]
        X, D = np.append(np.bincount(p.slots, values[inside], minlength=self.n_slots), 0.0), np.empty(closed.n)
        lane_newton.factor(p.starts, p.diagonal, p.columns, p.targets, X, D, EIGHT[:1])
        self._places = p.row_place, p.column_place, {int(c): k for k, c in enumerate(closed.free)}
        self._pattern = (p.starts, p.diagonal, p.columns, p.targets, template, unknowns, scales, X, D)
        self._desks: SimpleQueue[tuple[Any, Any, Any]] = SimpleQueue()
        self._width = 0, 0

    def _zero(self, name: str, parameters: Floats) -> tuple[str, ...]:
        """Return the parameters (n, n_parameter) of a law that are 0 in every instance and every scenario."""
        moving = (*self._varied[name], "rate") if self._varied[name] else ()
        symbols = LAWS[name].parameters
        return tuple(p for p, x in zip(symbols, parameters.T, strict=True) if p not in moving and not x.any())

    def _prepare(self) -> None:
        """Compute what every instance needs of its parameters alone."""
        for law, parameters, instances in zip(self._laws, self._parameters, self._program, strict=True):
            law.prepare(parameters, instances[1])

    def _moving(self, law: str) -> bool:
        """Whether the instances of a law remember the state of one step ago."""
        return any(s.get("rate").any() for s in self._groups[law])

    def _constant(self, values: Floats) -> dict[str, bool]:
        """Tell of each law whether its slopes stay what they are at the base wherever the state goes."""
        random = np.random.default_rng(0)
        same = np.ones(values.size, bool)
        for _ in range(3):
            elsewhere = self.base * random.uniform(0.7, 1.3, self.base.size)
            elsewhere += self.closed.column_scales * random.uniform(-0.1, 0.1, self.base.size)
            same &= self.closed.triplets(elsewhere)[2] == values
        out: dict[str, bool] = {}
        at = 0
        for s, (r, *_) in zip(self.closed.stamps, self.closed.scales(), strict=True):
            out[s.law.name] = out.get(s.law.name, True) and bool(same[at : at + r.size].all())
            at += r.size
        return out

    # --------------------------------------------------------------- workplaces

    def _lay_desks(self, width: int, count: int, swaps: int = 0) -> None:
        """Prepare what a thread writes to, for each of them; kept from call to call."""
        if (width, swaps) != self._width:
            self._desks, self._width = SimpleQueue(), (width, swaps)
        for _ in range(count - self._desks.qsize()):
            n = self.closed.n
            sizes = (self.n_slots + 1, n, n, 1, 1)
            varied = tuple(
                np.zeros(max(1, sum(s.rows.shape[1] for s in self._groups[name]) * len(v)) * width)
                for name, v in self._varied.items()
            )
            room = np.empty((swaps, n * width)), np.empty((swaps, swaps + 1))
            self._desks.put((varied, tuple(np.zeros(size * width) for size in sizes), room))

    def _share(
        self, count: int, lanes: tuple[float, ...], work: Callable[[int, int, Any, Any, Any], None], swaps: int = 0
    ) -> None:
        """Run work(first, last, varied, desk, room) over `count` scenarios, a few blocks at a time, on all threads."""
        size = len(lanes) * BLOCKS_AT_ONCE
        if -(-count // size) < self.threads:
            size = len(lanes) * max(1, -(-count // (len(lanes) * self.threads)))
        pieces = [(k, min(k + size, count)) for k in range(0, count, size)]
        threads = min(self.threads, len(pieces))
        self._lay_desks(len(lanes), max(1, threads), swaps)

        def one(piece: tuple[int, int]) -> None:
            desk = self._desks.get()
            try:
                work(*piece, *desk)
            finally:
                self._desks.put(desk)

        if threads <= 1:
            for piece in pieces:
                one(piece)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(one, pieces))

    # -------------------------------------------------------------------- solve

    def solve(
        self, columns: ArrayLike, values: ArrayLike, wanted: ArrayLike | None = None, *,
        tolerance: float = TOLERANCE, alone: bool = True, changes: Changes | None = None,
    ) -> Answer:  # fmt: skip
        """Solve every scenario: `columns` (n,) known in all of them have the values (n_scenario, n), SI.

        wanted   columns to return (n_wanted,); not given = all
        alone    solve what does not come to rest in lanes one by one; not with changes, which only lanes know
        changes  equations that differ between the scenarios
        """
        given, table = self._table(columns, values)
        keep = np.arange(self.base.size) if wanted is None else np.asarray(wanted, np.int64)
        count = table.shape[0]
        out = np.full((count, keep.size), np.nan)
        found, steps = np.full(count, NOT_A_NUMBER), np.zeros(count, np.int64)
        order = np.flatnonzero(np.isfinite(table).all(axis=1))
        swaps = self._swaps(changes, count)
        for cap, patience in (FIRST, LATER):
            if not order.size:
                break
            limits = (tolerance, TRUSTED, cap, patience)

            def work(
                first: int, last: int, varied: Any, desk: Any, room: Any, order: Ints = order, limits: Any = limits
            ) -> None:
                size = last - first if changes is None else len(WIDE)
                for k in range(first, last, max(1, size)):
                    until = min(k + size, last)
                    if changes is not None:
                        self._absent(changes, order[k:until], varied)
                    self._loops.solve_blocks(
                        order, k, until, self.base, given, table, keep, out, found, steps, self._program, varied,
                        self._pattern, desk, limits, (*swaps, *room), WIDE,
                    )  # fmt: skip

            self._share(order.size, WIDE, work, swaps[0].shape[1])
            order = order[found[order] == UNFINISHED]
        left = np.flatnonzero((found != CONVERGED) & np.isfinite(table).all(axis=1))
        drained = left[self._drained(keep, out[left])]
        left = np.setdiff1d(left, drained) if alone and changes is None else np.empty(0, np.intp)
        for s in left:
            x, status, taken = self._alone(given, table[s], tolerance)
            out[s], found[s] = x[keep], status
            steps[s] += taken
        out[found != CONVERGED] = np.nan
        return Answer(out, found, steps, tuple(int(s) for s in left), tuple(int(s) for s in drained))

    def mismatch(self, X: Floats) -> Floats:
        """Return the largest scaled residual of each of the states X (n_scenario, n_column), anew from the laws."""
        states = np.ascontiguousarray(X, np.float64)
        out = np.full(len(states), np.nan)

        def work(first: int, last: int, varied: Any, desk: Any, _room: Any) -> None:
            self._loops.mismatches(first, last, states, out, self._program, varied, desk, WIDE)

        self._share(len(states), WIDE, work)
        return out

    def _swaps(self, changes: Changes | None, count: int) -> tuple[Ints, Ints, Floats]:
        """Return the swapped rows and columns by their places among the pivots, and the targets (n_scenario, n)."""
        most = max((len(s) for s in changes.swaps), default=0) if changes is not None else 0
        rows, columns = np.full((count, most), -1, np.int64), np.zeros((count, most), np.int64)
        targets = np.zeros((count, most))
        row_place, column_place, free = self._places
        for s, those in enumerate(changes.swaps if changes is not None else ()):
            for k, (row, (column, value)) in enumerate(those.items()):
                rows[s, k], columns[s, k], targets[s, k] = row_place[row], column_place[free[column]], value
        return rows, columns, targets

    def _absent(self, changes: Changes, scenarios: Ints, varied: Any) -> None:
        """Write the parameters of the laws whose instances may be absent: zero in the lanes that lack them."""
        width = len(WIDE)
        for k, name in enumerate(self._groups):
            if name not in changes.absent:
                continue
            values = varied[k].reshape(*self._parameters[k].shape, width)
            values[:] = self._parameters[k][:, :, None]
            for l in range(width):  # the last block is padded with its last scenario
                values[changes.absent[name][scenarios[min(l, len(scenarios) - 1)]], :, l] = 0.0

    def _drained(self, keep: Ints, x: Floats) -> NDArray[np.bool_]:
        """Tell which last points (n, n_wanted) of scenarios without an answer lie deep below zero pressure."""
        system = self.closed.system
        if "pressure" not in system.equations.columns or not len(x):
            return np.zeros(len(x), bool)
        block = system.equations.columns["pressure"]
        pressures = x[:, (keep >= block.first) & (keep < block.first + len(block))]
        return np.asarray((pressures < DRAINED * system.pressure_scale).any(axis=1))

    def _table(self, columns: ArrayLike, values: ArrayLike) -> tuple[Ints, Floats]:
        given = np.asarray(columns, np.int64)
        table = np.ascontiguousarray(values, np.float64)
        unknown = [int(c) for c in given if c not in self.closed.fixed]
        if unknown:
            names = ", ".join(" of ".join(self.closed.system.equations.columns.name(c)) for c in unknown[:5])
            msg = f"not known in the base, so a scenario cannot give it: {names}"
            raise ValueError(msg)
        if table.shape[-1] != given.size:
            msg = f"{given.size} columns differ, but the table has {table.shape[-1]}"
            raise ValueError(msg)
        return given, table

    def _alone(self, given: Ints, values: Floats, tolerance: float) -> tuple[Floats, int, int]:
        """Solve one scenario with line search and pivoting; return state, status and steps."""
        closed = self.closed
        closed.x[:] = self.base
        closed.x[given] = values
        status = UNFINISHED
        try:
            for cold in (False, True):
                try:
                    solution = closed.solve(cold=cold, tolerance=tolerance, max_iterations=40)
                except NotConverged:
                    closed.x[:] = self.base if cold else closed.system.equations.columns.start()
                    closed.x[list(closed.fixed)] = self.base[list(closed.fixed)]
                    closed.x[given] = values
                except SingularSystem:
                    status = PIVOT_LOST
                    break
                else:
                    return solution.x, CONVERGED, solution.iterations
        finally:
            closed.x[:] = self.base
        return np.full(self.base.size, np.nan), status, 0

    # --------------------------------------------------------------------- time

    def march(
        self, start: ArrayLike, length: float, columns: ArrayLike, values: ArrayLike, wanted: ArrayLike,
        leaving: Sequence[int] = (), *, tolerance: float = TOLERANCE, cap: int = 20, lanes: tuple[float, ...] = WIDE,
    ) -> Days:  # fmt: skip
        """Step every scenario through time.

        start    the first state (n_column,), or one for each scenario (n_scenario, n_column)
        length   of a step [s]
        values   what the `columns` (n,) are at the end of each step (n_step, n_scenario, n), SI
        wanted   columns to keep (n_wanted,)
        leaving  columns that take gas out of the network
        """
        given, table = self._table(columns, values)
        keep, out_of = np.asarray(wanted, np.int64), np.asarray(leaving, np.int64)
        first_state = np.ascontiguousarray(np.atleast_2d(np.asarray(start, np.float64)))
        self._pace(length)
        n_step, count = table.shape[:2]
        out = np.full((count, n_step + 1, keep.size), np.nan)
        end = np.full((count, self.base.size), np.nan)
        left, found, steps = np.zeros(count), np.full(count, NOT_A_NUMBER), np.zeros(count, np.int64)
        order = np.flatnonzero(np.isfinite(table).all(axis=(0, 2)))
        limits = (tolerance, TRUSTED, cap, cap)

        def work(first: int, last: int, varied: Any, desk: Any, _room: Any) -> None:
            self._loops.march(
                order, first, last, first_state, length, given, table, keep, out, end, out_of, left, found, steps,
                self._program, varied, self._pattern, desk, limits, lanes,
            )  # fmt: skip

        self._share(order.size, lanes, work)
        bad = found != CONVERGED
        out[bad], end[bad], left[bad] = np.nan, np.nan, np.nan
        return Days(out, end, left, found, steps)

    def _pace(self, length: float) -> None:
        """Put the length of the time step into every law that has one."""
        for name, parameters in zip(self._groups, self._parameters, strict=True):
            if self._varied[name]:
                parameters[:, LAWS[name].parameters.index("rate")] = 1.0 / length
        self._prepare()
